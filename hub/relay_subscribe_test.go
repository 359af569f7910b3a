package hub

import (
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
)

// How a SUBSCRIBE is split and its SUBACK put together.
func TestSubscribeInFrontOfABroker(t *testing.T) {
	const me, own = "$SCW/twins/me/#", "$SCW/twins/" + string(panelID) + "/a/get/response/+"
	for _, tt := range []struct {
		name     string
		plain    bool
		sent     []byte
		upstream []byte // nil = nothing
		suback   []byte // the broker's
		want     string
	}{
		{"all here", false, packet(0x82, uint16(5), me, 2, own, 1), nil, nil, "900400050000"},
		{"all here, not valid", false, packet(0x82, uint16(5), "$SCW/twins/a+", 0, "$SCW/twins/#/a", 0, "$SCW/twins/"+strings.Repeat("x", maxFilterLen), 0), nil, nil, "90050005808080"},
		{"all there", false, packet(0x82, uint16(5), "a", 2, "$SCW/twins", 1), packet(0x82, uint16(5), "a", 2, "$SCW/twins", 1), packet(0x90, uint16(5), 2, 128), "900400050280"},
		{"all there, with as few codes as the broker likes", false, packet(0x82, uint16(5), "a", 2, "b", 1), packet(0x82, uint16(5), "a", 2, "b", 1), packet(0x90, uint16(5), 2), "9003000502"},
		{"one here", false, packet(0x82, uint16(5), "a", 2, me, 2, "b", 1), packet(0x82, uint16(5), "a", 2, "b", 1), packet(0x90, uint16(5), 1, 128), "90050005010080"},
		{"one refused here", false, packet(0x82, uint16(5), "$SCW/twins/a+", 2, "a", 1), packet(0x82, uint16(5), "a", 1), packet(0x90, uint16(5), 1), "900400058001"},
		{"both", false, packet(0x82, uint16(5), "$SCW/#", 1), packet(0x82, uint16(5), "$SCW/#", 1), packet(0x90, uint16(5), 1), "9003000501"},
		{"both, refused there", false, packet(0x82, uint16(5), "$SCW/+/me/#", 1, "$SCW/+/#", 2), packet(0x82, uint16(5), "$SCW/+/me/#", 1, "$SCW/+/#", 2), packet(0x90, uint16(5), 128, 2), "900400050002"},
		{"neither begins with $", false, packet(0x82, uint16(5), "#", 0, "+/twins/#", 0), packet(0x82, uint16(5), "#", 0, "+/twins/#", 0), packet(0x90, uint16(5), 0, 0), "900400050000"},
		{"plain: all here", true, packet(0x82, uint16(5), me, 0, own, 0), nil, nil, "900400058080"},
		{"plain: one here", true, packet(0x82, uint16(5), "a", 0, me, 0), packet(0x82, uint16(5), "a", 0), packet(0x90, uint16(5), 0), "900400050080"},
		{"plain: both is there alone", true, packet(0x82, uint16(5), "$SCW/#", 0), packet(0x82, uint16(5), "$SCW/#", 0), packet(0x90, uint16(5), 128), "9003000580"},

		{"too few codes", false, packet(0x82, uint16(5), "a", 0, me, 0, "b", 0), packet(0x82, uint16(5), "a", 0, "b", 0), packet(0x90, uint16(5), 0), "closed"},
		{"too many codes", false, packet(0x82, uint16(5), "a", 0, me, 0), packet(0x82, uint16(5), "a", 0), packet(0x90, uint16(5), 0, 0), "closed"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s, b := newPassThrough(t, nil)
				id := string(panelID)
				if tt.plain {
					id = "meter"
				}
				c, up := s.through(b, connectPacket(id, 60))
				c.send(tt.sent)
				if tt.upstream != nil {
					c.want("")
				}
				up.want(fmt.Sprintf("%x", tt.upstream))
				up.send(tt.suback)
				c.want(tt.want)
			})
		})
	}
}

// What is subscribed to here counts at once, for both kinds of answers.
func TestSubscriptionOfBothKinds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, b := newPassThrough(t, nil)
		c, up := s.through(b, connectPacket(string(panelID), 60))
		c.send(subscribePacket(5, "$SCW/+/me/#", "$SCW/twins/me/a/changed", "house/#"))
		c.want(answer("$SCW/twins/me/a/changed", `{"version":0}`))
		up.want(fmt.Sprintf("%x", subscribePacket(5, "$SCW/+/me/#", "house/#")))
		up.send(packet(0x90, uint16(5), 0, 0))
		c.want("90050005000000")
		message := publishPacket("$SCW/events/me/x", 0, "")
		up.send(message)
		c.want(fmt.Sprintf("%x", message))
		c.send(publishPacket("$SCW/twins/me/b/get", 0, ""))
		c.want(answer("$SCW/twins/me/b/get/response/error", `{"error":"document not found"}`))

		c.send(packet(0xa2, uint16(6), "$SCW/+/me/#", "$SCW/twins/me/a/changed"))
		up.want(fmt.Sprintf("%x", packet(0xa2, uint16(6), "$SCW/+/me/#")))
		c.want("")
		up.send(packet(0xb0, uint16(6)))
		c.want("b0020006")
		c.send(publishPacket("$SCW/twins/me/b/get", 0, ""))
		s.put(panelID, "a", `{"data":{}}`)
		c.want("")

		c.send(packet(0xa2, uint16(7), "$SCW/twins/me/a/changed", "$SCW/twins/never/asked/for"))
		c.want("b0020007")
		up.want("")
	})
}

// The limit of filters is one of those about twins.
func TestLimitOfFiltersInFrontOfABroker(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, b := newPassThrough(t, nil)
		c, up := s.through(b, connectPacket(string(panelID), 60))
		var elsewhere, twins []string
		for i := range 2 * maxFilters {
			elsewhere = append(elsewhere, fmt.Sprint("house/", i))
		}
		for i := range maxFilters {
			twins = append(twins, fmt.Sprintf("$SCW/twins/me/%d/#", i))
		}
		c.send(subscribePacket(1, elsewhere...))
		up.want(fmt.Sprintf("%x", subscribePacket(1, elsewhere...)))
		c.send(subscribePacket(2, twins...))
		c.want("90660002" + strings.Repeat("00", maxFilters))
		c.send(subscribePacket(3, "$SCW/#", "$SCW/twins/me/x", "a")) // for which there is no room here
		up.want(fmt.Sprintf("%x", subscribePacket(3, "a")))
		up.send(packet(0x90, uint16(3), 0))
		c.want("90050003808000")
	})
}

// A broker that doesn't answer doesn't make the hub remember without end.
func TestSubscribesThatABrokerDoesNotAnswer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, b := newPassThrough(t, nil)
		c, up := s.through(b, connectPacket(string(panelID), 60))
		names := []string{"$SCW/twins/me/#"}
		for range maxMerging/10 - 1 {
			names = append(names, "a")
		}
		for i := range 10 {
			c.send(subscribePacket(uint16(i+1), names...))
		}
		c.want("")
		c.send(subscribePacket(11, "a", "b")) // of which the hub has no part
		c.want("")
		c.send(subscribePacket(12, "$SCW/twins/me/#"))
		c.want("9003000c00")
		up.take()
		c.send(subscribePacket(13, "$SCW/twins/me/#", "a"))
		c.want("closed")
		if log := s.log.take(); !strings.Contains(log, errMerging.Error()) {
			t.Errorf("log is %q", log)
		}
	})
}
