package hub

import (
	"bytes"
	"encoding/hex"
	"slices"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/eclipse/paho.mqtt.golang/packets"
)

// FuzzSession: whatever a connected client sends, the hub doesn't panic, sends
// nothing but whole packets that a client may get, leaves other twins alone, and
// serves the next connection.
func FuzzSession(f *testing.F) {
	for _, tt := range badPackets {
		f.Add(tt.packet)
	}
	f.Add(slices.Concat(
		publishPacket("$SCW/twins/me/a/put", 1, `{"data":{"b":[1,{}]}}`),
		publishPacket("$SCW/twins/me/a/patch", 2, `{"data":{"b":null}}`),
		publishPacket("$SCW/twins/me/a/get", 0, ""),
		publishPacket("$SCW/twins/"+string(otherID)+"/a/put", 3, `{"data":{}}`),
		subscribePacket(4, "$SCW/#", "#"),
		packet(0xa2, uint16(5), "$SCW/#"),
		packet(0xc0), packet(0xe0)))
	f.Add(slices.Concat(
		publishPacket("$SCW/twins/me/a/put", 0, `{"data":{}}`),
		subscribePacket(6, "$SCW/twins/me/a/changed", "$SCW/+/+/+/changed", "$SCW/twins/"+string(otherID)+"/a/changed"),
		packet(0xa2, uint16(7), "$SCW/twins/me/a/changed")))
	f.Fuzz(func(t *testing.T, b []byte) {
		synctest.Test(t, func(t *testing.T) {
			s := newTestServer(t, nil)
			c := s.connect(panelID)
			c.send(b)
			text, _ := strings.CutSuffix(c.take(), "closed")
			got, err := hex.DecodeString(strings.TrimSpace(text))
			if err != nil {
				t.Fatal(err)
			}
			checkServerPackets(t, got)
			if log := s.log.take(); strings.Contains(log, "level=ERROR") {
				t.Errorf("log is %s", log)
			}
			if names, err := s.documents.List(t.Context(), otherID); err != nil || len(names) > 0 {
				t.Errorf("the other twin has documents %q, %v", names, err)
			}
			c.conn.Close()
			s.connect(panelID)
		})
	})
}

// checkServerPackets fails the test if b is anything but packets for a client.
func checkServerPackets(t *testing.T, b []byte) {
	t.Helper()
	for r := bytes.NewReader(b); r.Len() > 0; {
		p, err := packets.ReadPacket(r)
		if err != nil {
			t.Fatalf("paho's decoder says %v of %x", err, b)
		}
		switch p := p.(type) {
		case *packets.PubackPacket, *packets.SubackPacket, *packets.UnsubackPacket, *packets.PingrespPacket:
		case *packets.PublishPacket:
			ours := strings.Contains(p.TopicName, "/response/") || strings.HasSuffix(p.TopicName, "/changed") && !strings.Contains(p.TopicName, string(otherID))
			if p.Qos != 0 || p.Retain || p.Dup || !ours {
				t.Errorf("got %v", p)
			}
		default:
			t.Errorf("got %v", p)
		}
	}
}
