package twinclient

import (
	"fmt"
	"slices"
	"strings"

	"github.com/eclipse/paho.mqtt.golang/packets"
)

// notices is what a fakeHub does with a SUBSCRIBE for notices.
type notices string

const (
	without          notices = "" // grants anything and knows nothing of notices
	with             notices = "has notices"
	denies           notices = "refuses the subscription"
	ignores          notices = "does not answer"
	hangsUp          notices = "closes the connection"
	deniesAndHangsUp notices = "refuses the subscription, then closes the connection"
)

// subscribe takes a SUBSCRIBE for notices, and says whether the connection goes on.
func (c *hubConn) subscribe(p *packets.SubscribePacket) bool {
	h := c.hub
	h.mu.Lock()
	h.asked++
	mode := h.notices
	h.mu.Unlock()
	if len(p.Topics) != 1 || !slices.Equal(p.Qoss, []byte{0}) {
		h.t.Errorf("hub got %v", p)
		return false
	}
	name, _ := strings.CutPrefix(p.Topics[0], "$SCW/twins/me/")
	name, ok := strings.CutSuffix(name, "/changed")
	if !ok {
		h.t.Errorf("hub got a subscription to %s", p.Topics[0])
	}
	switch mode {
	case ignores:
	case hangsUp:
		return false
	case denies, deniesAndHangsUp:
		c.grant(p, 0x80)
		return mode == denies
	default:
		c.grant(p, 0)
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	c.watched = name
	c.tell(name)
	return true
}

// tell sends a notice of a document, if the hub has notices and the client wants them. It is called
// under the hub's lock.
func (c *hubConn) tell(name string) {
	if c.hub.notices != with || c.watched != name {
		return
	}
	p := message("$SCW/twins/me/"+name+"/changed", fmt.Sprintf(`{"version":%d}`, c.hub.docs[name].Version))
	c.hub.wg.Go(func() { c.send(p) })
}

// say sends a message that nobody asked for.
func (h *fakeHub) say(topic, payload string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.conn.send(message(topic, payload))
}
