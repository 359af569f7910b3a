package hub

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/twinpanel/twinpanel/twin"
)

// A will would be a message that the hub sends in another's name: as an answer that the
// hub never gave, or as a document that changed. It is accepted, and nobody ever gets it.
func TestWillsAreNeverPublished(t *testing.T) {
	ends := []struct {
		name string
		end  func(*rawClient)
	}{
		{"connection lost", func(c *rawClient) { c.conn.Close() }},
		{"bad packet", func(c *rawClient) { c.send(packet(0xf0)) }},
		{"keep-alive over", func(*rawClient) {}},
	}
	topics := []string{
		"$SCW/twins/me/desired/get/response/success",
		"$SCW/twins/" + string(otherID) + "/desired/get/response/success",
		"$SCW/twins/me/desired/changed",
		"$SCW/twins/me/desired/put", // as a request it would arm or disarm
		"house/door",
	}
	for _, end := range ends {
		t.Run(end.name, func(t *testing.T) {
			for _, topic := range topics {
				synctest.Test(t, func(t *testing.T) {
					s := newTestServer(t, nil)
					s.put(panelID, "desired", `{"data":{"alarm_armed":true}}`)
					listener := s.dial()
					listener.send(connectPacket(string(otherID), 0), subscribePacket(1, "$SCW/twins/#"))
					listener.want("200200009003000100")
					c := s.dial()
					// A will at QoS 1, on a clean session with a keep-alive of a minute.
					c.send(packet(0x10, "MQTT", 4, 0x0e, uint16(60), string(panelID), topic, `{"data":{"alarm_armed":false}}`))
					c.want("20020000")
					end.end(c)
					time.Sleep(time.Hour)
					listener.want("")
					if got, err := s.Do(t.Context(), panelID, "desired", twin.Get, nil); err != nil || got.Version != 1 {
						t.Errorf("after a will for %s, desired is %+v, %v", topic, got, err)
					}
				})
			}
		})
	}
}
