package docs_test

import (
	"bytes"
	"context"
	"net"
	"slices"
	"strings"
	"sync"
	"testing/synctest"
	"time"

	"github.com/eclipse/paho.mqtt.golang/packets"

	"github.com/twinpanel/twinpanel/internal/agent"
	"github.com/twinpanel/twinpanel/internal/panel"
	"github.com/twinpanel/twinpanel/sensor"
	"github.com/twinpanel/twinpanel/statemachine"
	"github.com/twinpanel/twinpanel/twinclient"
)

// panels are the panels that the page has started. The last one speaks in its blocks.
type panels struct {
	cancel []context.CancelFunc
	tasks  sync.WaitGroup

	panel    *panel.Panel
	contacts map[string]contact
	wire     *tap
	desired  string // the answer to the last get of desired that was shown
}

func (p *panels) stop() {
	for _, cancel := range p.cancel {
		cancel()
	}
	p.tasks.Wait()
}

// startPanel starts a panel as one of the page's devices. Its doors are said as "door closed" or "front open, back closed".
func (s *stage) startPanel(line int, at, device, doors string) {
	s.t.Helper()
	start, err := time.Parse("15:04", at)
	if err != nil {
		s.t.Fatalf("%s: %v", s.page.at(line), err)
	}
	now := time.Now().UTC()
	start = time.Date(now.Year(), now.Month(), now.Day(), start.Hour(), start.Minute(), 0, 0, time.UTC)
	if now.After(start) {
		s.t.Fatalf("%s: it is %v already", s.page.at(line), now)
	}
	time.Sleep(time.Until(start))

	p := &s.panels
	p.contacts, p.wire, p.desired = map[string]contact{}, new(tap), ""
	wire, ready := p.wire, make(chan struct{})
	config := agent.Config{
		Panel: panel.Config{Rules: statemachine.DefaultRules(), Siren: silentSiren{}, StateDir: s.t.TempDir()},
		Hub: twinclient.Options{Hub: "mqtt://localhost", DeviceID: s.ids[device], Dial: func(ctx context.Context) (net.Conn, error) {
			<-ready
			conn, err := s.hub.Dial(ctx)
			return &tapped{conn, wire}, err
		}},
	}
	for said := range strings.SplitSeq(doors, ", ") {
		name, _, _ := strings.Cut(said, " ")
		p.contacts[name] = make(contact)
		config.Panel.Contacts = append(config.Panel.Contacts, panel.Contact{Name: name, Sensor: p.contacts[name]})
	}
	a, err := agent.New(config)
	if err != nil {
		s.t.Fatalf("%s: %v", s.page.at(line), err)
	}
	p.panel = a.Panel
	ctx, cancel := context.WithCancel(context.Background())
	p.cancel = append(p.cancel, cancel)
	p.tasks.Go(func() {
		if err := a.Run(ctx); err != nil {
			s.t.Errorf("the panel ended with %v", err)
		}
	})
	for said := range strings.SplitSeq(doors, ", ") {
		if !p.happen("the contact of " + said) {
			s.t.Fatalf("%s: no contact says %q", s.page.at(line), said)
		}
	}
	close(ready) // the network comes up when the contacts have been read
	synctest.Wait()
}

// happen does what the page says happens at the last panel.
func (p *panels) happen(words string) bool {
	defer synctest.Wait()
	switch words {
	case "somebody at the panel arms":
		_, err := p.panel.Command(context.Background(), true)
		return err == nil
	case "somebody at the panel disarms":
		_, err := p.panel.Command(context.Background(), false)
		return err == nil
	}
	rest, ok := strings.CutPrefix(words, "the contact of ")
	name, what, _ := strings.Cut(rest, " ")
	reading, known := map[string]sensor.Reading{
		"opens": sensor.Open, "open": sensor.Open, "closes": sensor.Closed, "closed": sensor.Closed, "cannot be read": sensor.Fault,
	}[what]
	if !ok || !known || p.contacts[name] == nil {
		return false
	}
	p.contacts[name] <- reading
	return true
}

// eventsTopic is how the topics of that document begin.
const eventsTopic = " $SCW/twins/me/events/"

func aboutEvents(e step) bool { return strings.Contains(e.what+" "+e.words, eventsTopic) }

// playPanel compares what the panel said and heard since the last such block. Of the
// gets of desired only those with a new answer are on the page, and the document events is where a block shows it.
func (s *stage) playPanel(steps []step) {
	for _, e := range steps {
		if e.what == "(" {
			s.happen(e)
		}
	}
	said := s.panels.take()
	if !slices.ContainsFunc(steps, aboutEvents) {
		said = slices.DeleteFunc(said, func(line string) bool { return strings.Contains(line, eventsTopic) })
	}
	for _, e := range steps {
		if e.what == "(" {
			continue
		}
		got := "nothing"
		if len(said) > 0 {
			got, said = said[0], said[1:]
		}
		s.compare(e.line, got, e.what+" "+e.words)
	}
	for _, more := range said {
		s.t.Errorf("%s: the page leaves out %s", s.page.at(steps[len(steps)-1].line), s.shorten(more))
	}
}

// take returns what went over the wire, without the gets of desired that brought nothing new.
func (p *panels) take() []string {
	all := p.wire.take()
	var said []string
	for i := 0; i < len(all); i++ {
		if all[i] == "> PUBLISH $SCW/twins/me/desired/get" && i+1 < len(all) {
			if all[i+1] == p.desired {
				i++
				continue
			}
			p.desired = all[i+1]
		}
		said = append(said, all[i])
	}
	return said
}

// A tap writes down the packets of a connection.
type tap struct {
	mu    sync.Mutex
	bytes [2][]byte // said and heard, the beginning of a packet
	lines []string
}

// add takes bytes of direction way and writes down the packets that are complete.
func (t *tap) add(way int, b []byte) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.bytes[way] = append(t.bytes[way], b...)
	for {
		r := bytes.NewReader(t.bytes[way])
		p, err := packets.ReadPacket(r)
		if err != nil {
			return
		}
		t.bytes[way] = t.bytes[way][len(t.bytes[way])-r.Len():]
		t.lines = append(t.lines, []string{"> ", "< "}[way]+format(p))
	}
}

func (t *tap) take() []string {
	t.mu.Lock()
	defer t.mu.Unlock()
	defer func() { t.lines = nil }()
	return slices.Clone(t.lines)
}

// A tapped connection is one that is listened in on.
type tapped struct {
	net.Conn
	tap *tap
}

func (c *tapped) Write(b []byte) (int, error) {
	c.tap.add(0, b)
	return c.Conn.Write(b)
}

func (c *tapped) Read(b []byte) (int, error) {
	n, err := c.Conn.Read(b)
	c.tap.add(1, b[:n])
	return n, err
}

// A contact reports what the page says.
type contact chan sensor.Reading

func (c contact) Run(ctx context.Context, report func(sensor.Reading)) error {
	for {
		select {
		case r := <-c:
			report(r)
		case <-ctx.Done():
			return nil
		}
	}
}

// A silentSiren always obeys.
type silentSiren struct{}

func (silentSiren) Set(bool) error { return nil }
func (silentSiren) Check() error   { return nil }
func (silentSiren) Close() error   { return nil }
