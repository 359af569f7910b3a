package hub

import (
	"bytes"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// A client is slowed down for what it sends ahead of its answers, and for nothing else.
func TestWhoSendsAheadIsSlowedDown(t *testing.T) {
	get := publishPacket("$SCW/twins/me/desired/get", 0, "")
	gotten := answer("$SCW/twins/me/desired/get/response/success", `{"version":1,"data":{}}`)
	for _, test := range []struct {
		name            string
		request         []byte
		answer          string
		rounds, atOnce  int // so many times that many requests in one write
		atLeast, atMost time.Duration
	}{
		{"waiting for each answer", get, gotten, 2000, 1, 0, 0},
		{"as many at once as may be", get, gotten, 1, aheadAtOnce, 0, 0},
		{"many times a few at once", get, gotten, 100, 10, 700 * aheadPace, 800 * aheadPace}, // the last of each ten is not ahead
		{"many at once", get, gotten, 1, 1000, 800 * aheadPace, 900 * aheadPace},             // some are not: the hub reads in pieces
		{"pings", []byte{0xc0, 0}, "d000", 1, 1000, 800 * aheadPace, 900 * aheadPace},
	} {
		t.Run(test.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := newTestServer(t, nil)
				s.put(panelID, "desired", `{"data":{}}`)
				c, other := s.connect(panelID), s.connect(otherID)
				start, want := time.Now(), strings.Repeat(test.answer, test.rounds*test.atOnce)
				for range test.rounds {
					c.send(bytes.Repeat(test.request, test.atOnce))
					synctest.Wait()
				}
				other.send([]byte{0xc0, 0})
				other.want("d000") // whatever c has to wait for
				got := c.take()
				for len(got) < len(want) && time.Since(start) < time.Minute {
					time.Sleep(aheadPace)
					got += c.take()
				}
				if got != want {
					t.Errorf("got  %s\nwant %s", got, want)
				}
				if took := time.Since(start); took < test.atLeast || took > test.atMost {
					t.Errorf("the last answer came after %v, want %v to %v", took, test.atLeast, test.atMost)
				}
			})
		})
	}
}
