package twinclient

import "github.com/twinpanel/twinpanel/twin"

// Notices asks the hub to tell when somebody else changes a document, and returns a
// channel that has one slot and a value for each notice: time to get the document. A hub that
// has notices sends the first one at once.
//
// Notices are nothing that the specification has. Where a hub has none, refuses, or doesn't
// answer, nothing ever comes, and that is no error: so poll as long as there was no
// notice. A hub may also close the connection over it. The error is why the connection
// had ended before.
func (c *Conn) Notices(name twin.Name) (<-chan struct{}, error) {
	if _, err := twin.ParseName(string(name)); err != nil {
		return nil, err
	}
	topic := twin.NoticeTopic(twin.Me, name)
	c.mu.Lock()
	slot := c.notices[topic]
	if slot == nil {
		slot = make(chan struct{}, 1)
		c.notices[topic] = slot
	}
	c.mu.Unlock()
	// A subscription of its own, so that what a hub makes of it leaves the answers alone.
	return slot, c.start(func() { c.client.Subscribe(topic, 0, nil) }, nil)
}

// notice takes a message of the hub if it is a notice that was asked for. What it says is
// left aside: the version of a document that was deleted and put again proves nothing.
func (c *Conn) notice(topic string) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	slot, ok := c.notices[topic]
	if !ok {
		return false
	}
	select {
	case slot <- struct{}{}:
	default: // the get that what waits there leads to will see this change, too
	}
	return true
}
