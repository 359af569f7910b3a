package panels

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net"

	"github.com/twinpanel/twinpanel/twin"
)

// A panel is one device with its connection. One goroutine at a time uses it.
type panel struct {
	*client
	number int
	qos    byte

	getDesired, putCurrent, patchCurrent request

	desired []byte // the answer to the last get
	version int    // of the document current
	beat    int    // heartbeats so far
	door    bool   // open
	noticed bool   // a notice came that no get has followed yet
}

// newPanel connects a panel and subscribes to its answers. self is what stands for the panel in topics: [twin.Me] or its id.
func newPanel(ctx context.Context, conn net.Conn, number int, self string, qos byte) (*panel, error) {
	c, err := newClient(ctx, conn, string(ID(number)), bufferSize)
	if err != nil {
		return nil, err
	}
	p := &panel{
		client: c, number: number, qos: qos,
		getDesired: requestOf(self, DesiredName, twin.Get), putCurrent: requestOf(self, CurrentName, twin.Put), patchCurrent: requestOf(self, CurrentName, twin.Patch),
		desired: DesiredAnswer(number),
	}
	if err := c.subscribe(twin.Prefix+self+"/+/+/response/+", qos); err != nil {
		c.drop()
		return nil, err
	}
	return p, nil
}

// watch asks for change notices of the document "desired", and takes the first one, which tells of what is there already.
func (p *panel) watch() error {
	p.notice = func([]byte) { p.noticed = true }
	if err := p.subscribe(twin.NoticeTopic(twin.Me, DesiredName), 0); err != nil {
		return err
	}
	return p.hear()
}

// get reads the document "desired", which may have a later version than before, and always the panel's own data.
func (p *panel) get() error {
	p.noticed = false
	got, err := p.ask(p.getDesired.topic, p.qos, nil, p.getDesired.answer)
	if err != nil || bytes.Equal(got, p.desired) {
		return err
	}
	var was, is struct{ Version int }
	if err := json.Unmarshal(p.desired, &was); err != nil {
		return err
	}
	if json.Unmarshal(got, &is) != nil || is.Version <= was.Version || !bytes.Equal(got, answer(is.Version, Desired(p.number))) {
		return fmt.Errorf("%w: panel %d gets %s after %s", errAnswer, p.number, got, p.desired)
	}
	p.desired = bytes.Clone(got)
	return nil
}

// put writes the whole document "current".
func (p *panel) put() error {
	data := currentData(p.number, p.beat, p.door)
	got, err := p.ask(p.putCurrent.topic, p.qos, fmt.Appendf(nil, `{"data":%s}`, data), p.putCurrent.answer)
	if err != nil {
		return err
	}
	var is struct{ Version int }
	if json.Unmarshal(got, &is) != nil || !bytes.Equal(got, answer(is.Version, data)) {
		return fmt.Errorf("%w: panel %d puts %s and gets %s", errAnswer, p.number, data, got)
	}
	p.version = is.Version
	return nil
}

// patch is a heartbeat: it changes two keys of the document "current", which is there and which nobody else writes.
func (p *panel) patch() error {
	p.beat++
	got, err := p.ask(p.patchCurrent.topic, p.qos, change(p.beat, p.door), p.patchCurrent.answer)
	if err != nil {
		return err
	}
	p.version++
	if want := answer(p.version, currentData(p.number, p.beat, p.door)); !bytes.Equal(got, want) {
		return fmt.Errorf("%w: panel %d patches and gets %s; want %s", errAnswer, p.number, got, want)
	}
	return nil
}
