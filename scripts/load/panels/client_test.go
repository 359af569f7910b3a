package panels

import (
	"bufio"
	"bytes"
	"errors"
	"io"
	"net"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/twinpanel/twinpanel/hub"
	"github.com/twinpanel/twinpanel/hub/docstore"
	"github.com/twinpanel/twinpanel/hub/registry"
	"github.com/twinpanel/twinpanel/twin"
)

// newHub has one panel, number 7, with its document.
func newHub(t *testing.T) (h *hub.Hub, documents docstore.Store) {
	documents, devices := docstore.NewMemory(), registry.NewMemory()
	if err := devices.AddDevice(t.Context(), registry.Device{ID: ID(7), Name: "panel", AllowInsecure: true}); err != nil {
		t.Fatal(err)
	}
	if _, err := documents.Put(t.Context(), docstore.Key{Twin: ID(7), Name: DesiredName}, docstore.Absent, Desired(7)); err != nil {
		t.Fatal(err)
	}
	h, err := hub.New(hub.Config{Documents: documents, Registry: devices})
	if err != nil {
		t.Fatal(err)
	}
	return h, documents
}

func connectPanel(t *testing.T, h *hub.Hub, self string, qos byte) *panel {
	ours, theirs := net.Pipe()
	go h.ServeConn(theirs)
	p, err := newPanel(t.Context(), ours, 7, self, qos)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func TestAPanelAtAHub(t *testing.T) {
	for _, self := range []string{twin.Me, string(ID(7))} {
		for qos := range byte(2) {
			synctest.Test(t, func(t *testing.T) {
				h, _ := newHub(t)
				p := connectPanel(t, h, self, qos)
				for _, step := range []func() error{p.get, p.put, p.patch, p.get, p.patch} {
					if err := step(); err != nil {
						t.Fatal(err)
					}
				}
				want := int64(4 + 5*2 + int(qos)*5) // CONNECT and SUBSCRIBE, then five requests
				if p.packets != want || p.version != 3 {
					t.Errorf("got %d packets and version %d, want %d and 3", p.packets, p.version, want)
				}
				p.close()
				if err := h.Close(); err != nil {
					t.Error(err)
				}
			})
		}
	}
}

// A panel that is told of changes reads at once, and looks every half minute beside that.
func TestALivingPanelHearsOfChanges(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h, documents := newHub(t)
		p := connectPanel(t, h, twin.Me, 0)
		if err := errors.Join(p.watch(), p.get(), p.put()); err != nil {
			t.Fatal(err)
		}
		var times Histogram
		done := make(chan error)
		go func() { done <- p.live(t.Context(), NoticedPoll, time.Now().Add(10*time.Minute), &times) }()
		for range 10 {
			time.Sleep(time.Minute)
			synctest.Wait()
			if _, err := h.Do(t.Context(), ID(7), DesiredName, twin.Put, []byte(`{"data":`+string(Desired(7))+`}`)); err != nil {
				t.Fatal(err)
			}
		}
		if err := <-done; err != nil {
			t.Fatal(err)
		}
		doc, err := documents.Get(t.Context(), docstore.Key{Twin: ID(7), Name: CurrentName})
		// 20 heartbeats and 20 looks, and 9 or 10 reads after notices; a door event or two put one off.
		if n := times.Count(); err != nil || doc.Version < 18 || doc.Version > 30 || n < 35 || n > 65 {
			t.Errorf("got version %d, %v, and %d requests; want about 21 and 50", doc.Version, err, n)
		}
		p.close()
		if err := h.Close(); err != nil {
			t.Error(err)
		}
	})
}

// Every answer but the right one fails, whatever is wrong with it.
func TestWrongAnswersFail(t *testing.T) {
	own, other := requestOf(twin.Me, DesiredName, twin.Get), requestOf(twin.Me, CurrentName, twin.Get)
	publish := func(topic, payload string) []byte { return appendPublish(nil, topic, 0, 0, []byte(payload)) }
	tests := []struct {
		name   string
		answer []byte
		wrong  bool // an answer that must not be; else the connection is at fault
	}{
		{"another panel's document", publish(own.answer, string(DesiredAnswer(8))), true},
		{"another document", publish(other.answer, string(DesiredAnswer(7))), true},
		{"an error", publish(strings.Replace(own.answer, "success", "error", 1), `{"error":"document not found"}`), true},
		{"an older version", publish(own.answer, `{"version":0,"data":`+string(Desired(7))+`}`), true},
		{"a key more", publish(own.answer, `{"version":2,"data":`+string(Desired(7))+`,"more":1}`), true},
		{"no JSON", publish(own.answer, "yes"), true},
		{"a notice that nobody asked for", publish(twin.NoticeTopic(twin.Me, DesiredName), `{"version":1}`), true},
		{"a PUBACK to nothing", appendPuback(nil, 1), true},
		{"another packet", []byte{pingrespPacket, 0}, true},
		{"half a packet", publish(own.answer, string(DesiredAnswer(7)))[:20], false},
		{"the end", nil, false},
		{"a topic longer than its packet", []byte{publishPacket, 3, 0, 9, 'x'}, false},
		{"a packet too long", []byte{publishPacket, 0xff, 0xff, 0xff, 0x7f}, false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			ours, theirs := net.Pipe()
			go func() {
				in := packetReader{in: bufio.NewReader(theirs)}
				for _, packet := range [][]byte{{connackPacket, 2, 0, 0}, {subackPacket, 3, 0, 1, 0}, tt.answer} {
					if _, _, err := in.next(); err != nil {
						t.Error(err)
					}
					theirs.Write(packet)
				}
				theirs.Close()
			}()
			p, err := newPanel(t.Context(), ours, 7, twin.Me, 0)
			if err != nil {
				t.Fatal(err)
			}
			if err := p.get(); err == nil || errors.Is(err, errAnswer) != tt.wrong {
				t.Errorf("got %v; want an error, that of an answer that must not be: %t", err, tt.wrong)
			}
		})
	}
}

// The peer's program gives the answers that a hub would.
func TestResponder(t *testing.T) {
	for qos := range byte(2) {
		ours, theirs := net.Pipe()
		defer ours.Close()
		ready := make(chan struct{})
		go NewResponder(10).Serve(t.Context(), theirs, func() { close(ready) })
		in := packetReader{in: bufio.NewReader(ours)}
		for _, packet := range [][]byte{{connackPacket, 2, 0, 0}, {subackPacket, 3, 0, 1, 1}} {
			if _, _, err := in.next(); err != nil {
				t.Fatal(err)
			}
			ours.Write(packet)
		}
		<-ready
		q := requestOf(string(ID(7)), DesiredName, twin.Get)
		go ours.Write(appendPublish(nil, q.topic, qos, 99, nil))
		first, body, err := in.next()
		if qos == 1 {
			if first != pubackPacket || string(body) != "\x00c" {
				t.Errorf("got %x %x, %v; want a PUBACK of 99", first, body, err)
			}
			first, body, err = in.next()
		}
		if err != nil {
			t.Fatal(err)
		}
		topic, id, payload, err := splitPublish(first, body)
		if err != nil || string(topic) != q.answer || !bytes.Equal(payload, DesiredAnswer(7)) || (id != 0) != (qos == 1) {
			t.Errorf("got %s %d %s, %v", topic, id, payload, err)
		}
	}
}

// Whatever comes, what a reader makes of it reads the same when it is written again.
func FuzzPacketReader(f *testing.F) {
	f.Add([]byte{connackPacket, 2, 0, 0})
	f.Add(appendPublish(nil, "$SCW/twins/me/a/get", 1, 5, bytes.Repeat([]byte("x"), 1000)))
	f.Add([]byte{publishPacket, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff})
	read := func(b []byte) (packets [][]byte, err error) {
		r := packetReader{in: bufio.NewReaderSize(bytes.NewReader(b), 16)}
		for {
			first, body, err := r.next()
			if err != nil {
				return packets, err
			}
			splitPublish(first, body)
			packets = append(packets, append(appendLength([]byte{first}, len(body)), body...))
		}
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		packets, _ := read(b)
		again, err := read(bytes.Join(packets, nil))
		if err != io.EOF || !slices.EqualFunc(packets, again, bytes.Equal) {
			t.Errorf("%x is read as %x, and again as %x, %v", b, packets, again, err)
		}
	})
}
