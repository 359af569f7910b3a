package panels

import (
	"encoding/json"
	"errors"
	"io"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/twinpanel/twinpanel/hub"
	"github.com/twinpanel/twinpanel/hub/docstore"
	"github.com/twinpanel/twinpanel/twin"
)

func TestServeWithoutAJob(t *testing.T) {
	for _, in := range []string{"", "gets\n", `{"Kind":5}` + "\n"} {
		var out strings.Builder
		if err := Serve(t.Context(), strings.NewReader(in), &out); err == nil || out.Len() > 0 {
			t.Errorf("%q: got %s, %v; want an error", in, &out, err)
		}
	}
}

// listen serves MQTT at an address; the hub has one panel, number 7.
func listen(t *testing.T, address string) (*hub.Hub, docstore.Store, string) {
	h, documents := newHub(t)
	l, err := net.Listen("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	go h.ServeMQTT(l)
	t.Cleanup(func() { h.Close() })
	return h, documents, l.Addr().String()
}

// A process is a generator whose ends are in this test.
type process struct {
	in      io.WriteCloser
	reports *json.Decoder
	ended   chan error
}

func start(t *testing.T, j Job) *process {
	inside, in := io.Pipe()
	out, outside := io.Pipe()
	p := &process{in, json.NewDecoder(out), make(chan error, 1)}
	go func() {
		p.ended <- Serve(t.Context(), inside, outside)
		outside.Close()
		inside.Close()
	}()
	if err := json.NewEncoder(in).Encode(j); err != nil {
		t.Fatal(err)
	}
	return p
}

func (p *process) report(t *testing.T) Report {
	t.Helper()
	var r Report
	if err := p.reports.Decode(&r); err != nil {
		t.Fatal(err, <-p.ended)
	}
	return r
}

func TestServeDoesAJob(t *testing.T) {
	for _, kind := range []Kind{Gets, Patches, Idle, Polls, Notices} {
		t.Run(string(kind), func(t *testing.T) {
			_, _, address := listen(t, "127.0.0.1:0")
			p := start(t, Job{Kind: kind, Servers: []string{address}, First: 7, Panels: 1, Time: 20 * time.Millisecond})
			if r := p.report(t); !r.Ready || r.Result != nil {
				t.Fatalf("got %+v, want that it is ready", r)
			}
			io.WriteString(p.in, "\n")
			r := p.report(t).Result
			if r == nil || r.Time < 20*time.Millisecond || r.Max < r.P50 || (kind == Gets || kind == Patches) && (r.Requests == 0 || r.Packets < 2*r.Requests) {
				t.Errorf("got %+v", r)
			}
			p.in.Close()
			if err := <-p.ended; err != nil {
				t.Error(err)
			}
		})
	}
}

func TestServeStopsAtAWrongAnswer(t *testing.T) {
	_, documents, address := listen(t, "127.0.0.1:0")
	p := start(t, Job{Kind: Gets, Servers: []string{address}, First: 7, Panels: 1, Time: 20 * time.Millisecond})
	p.report(t)
	if _, err := documents.Put(t.Context(), docstore.Key{Twin: ID(7), Name: DesiredName}, docstore.Any, Desired(8)); err != nil {
		t.Fatal(err)
	}
	io.WriteString(p.in, "\n")
	if err := <-p.ended; !errors.Is(err, errAnswer) || !strings.Contains(err.Error(), "panel 7") {
		t.Errorf("got %v, want the wrong answer", err)
	}
}

// Panels of a storm come back to the next server at the same address.
func TestServeComesBack(t *testing.T) {
	h, _, address := listen(t, "127.0.0.1:0")
	p := start(t, Job{Kind: Storm, Servers: []string{address}, First: 7, Panels: 1})
	p.report(t)
	io.WriteString(p.in, "\n")
	if err := h.Close(); err != nil {
		t.Fatal(err)
	}
	again, _, _ := listen(t, address)
	if r := p.report(t).Result; r == nil || r.Requests != 1 || r.Attempts < 1 {
		t.Errorf("got %+v, want one panel that came back", r)
	}
	if _, err := again.Do(t.Context(), ID(7), DesiredName, twin.Get, nil); err != nil {
		t.Error(err)
	}
	p.in.Close()
	if err := <-p.ended; err != nil {
		t.Error(err)
	}
}

// A request may be lost: by a broker that is back before the responder behind it.
func TestPanelsThatComeBackAskAgain(t *testing.T) {
	h, _, address := listen(t, "127.0.0.1:0")
	f, err := Connect(t.Context(), Job{Kind: Storm, Servers: []string{address}, First: 7, Panels: 1})
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	f.answerTime = 100 * time.Millisecond
	if err := h.Close(); err != nil {
		t.Fatal(err)
	}
	silent, err := net.Listen("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	var r Result
	ended := make(chan error)
	go func() {
		var err error
		r, err = f.Run()
		ended <- err
	}()
	conn, err := silent.Accept()
	if err != nil {
		t.Fatal(err)
	}
	io.Copy(io.Discard, conn) // until the panel gives up
	conn.Close()
	silent.Close()
	listen(t, address)
	if err := <-ended; err != nil || r.Requests != 1 || r.Attempts < 2 {
		t.Errorf("got %+v, %v, want one panel that came back at its second attempt or later", r, err)
	}
}
