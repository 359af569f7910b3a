package interop

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	mqtt "github.com/eclipse/paho.mqtt.golang"

	"github.com/twinpanel/twinpanel/hub"
	"github.com/twinpanel/twinpanel/hub/docstore"
	"github.com/twinpanel/twinpanel/hub/registry"
	"github.com/twinpanel/twinpanel/twin"
)

// Of a thousand clients of many kinds.
const (
	panels   = 300 // devices, which have a twin beside their messages
	meters   = 670 // plain clients of the broker
	sleepers = 29  // who subscribe and then never read; one more client collects
	told     = 10  // messages at QoS 1 that each panel and meter sends, and twin requests of a panel
	asked    = 3   // and is sent
)

// A many is a client with what it was sent and answered.
type many struct {
	*peer
	device   bool
	received atomic.Int64 // messages
	answered atomic.Int64 // requests
}

// Nobody's messages are lost at QoS 1, nor come out of their order, whoever else is slow.
func TestThousandMixedClients(t *testing.T) {
	b := startBroker(t, "allow_anonymous true\n")
	h := startHubAt(t, b)
	start := time.Now()
	step := func(what string) {
		t.Logf("%5d ms: %s", time.Since(start).Milliseconds(), what)
	}

	ids := make([]string, panels+meters)
	for i := range ids {
		if ids[i] = fmt.Sprint("meter-", i); i < panels {
			ids[i] = h.addDevice(fmt.Sprint("panel-", i))
		}
	}
	for range sleepers {
		fallAsleep(t, h.addr)
	}
	heard := make([]int, len(ids)) // the next one of each
	var total, again int
	collected := make(chan struct{})
	collector := dialPeer(t, "mqtt://"+h.addr, "collector", func(o *mqtt.ClientOptions) {
		o.SetDefaultPublishHandler(func(_ mqtt.Client, m mqtt.Message) {
			var who, n int
			if _, err := fmt.Sscanf(m.Topic()+" "+string(m.Payload()), "told/%d %d", &who, &n); err != nil {
				t.Errorf("got %s %s", m.Topic(), m.Payload())
				return
			}
			switch {
			case n < heard[who]:
				again++
				return
			case n > heard[who]:
				t.Errorf("message %d of client %d came before %d", n, who, heard[who])
			}
			heard[who] = n + 1
			if total++; total == len(ids)*told {
				close(collected)
			}
		})
	})
	collector.subscribe(1, "told/#")

	all := make([]*many, len(ids))
	inParallel(len(all), 50, func(i int) {
		m := &many{device: i < panels}
		all[i] = m
		m.peer = dialPeer(t, "mqtt://"+h.addr, ids[i], func(o *mqtt.ClientOptions) {
			o.SetDefaultPublishHandler(func(_ mqtt.Client, got mqtt.Message) {
				if strings.HasPrefix(got.Topic(), "$SCW/twins/me/current/put/response/success") {
					m.answered.Add(1)
				} else {
					m.received.Add(1)
				}
			})
		})
		filters := []string{fmt.Sprint("ask/", i)}
		if m.device {
			filters = append(filters, "$SCW/twins/me/#")
		}
		m.subscribe(1, filters...)
	})
	step("all are connected")

	var working sync.WaitGroup
	working.Go(func() { // who reads nothing has much to read
		noise := strings.Repeat("x", 32<<10)
		for range 500 {
			collector.publish("noise", 0, false, noise)
		}
	})
	working.Go(func() {
		inParallel(len(all), 20, func(i int) {
			for n := range asked {
				collector.publish(fmt.Sprint("ask/", i), 1, false, fmt.Sprint(n))
			}
		})
	})
	working.Go(func() {
		inParallel(len(all), 100, func(i int) {
			for n := range told {
				token := all[i].client.Publish(fmt.Sprint("told/", i), 1, false, fmt.Sprint(n))
				if all[i].device {
					all[i].publish("$SCW/twins/me/current/put", 1, false, `{"data":{"last_update":"now"}}`)
				}
				all[i].wait(token)
			}
		})
	})
	working.Wait()
	step("all is acknowledged")
	select {
	case <-collected:
	case <-time.After(patience):
		t.Errorf("%d of %d messages came", total, len(ids)*told)
	}
	step("all has come")
	for i, m := range all {
		await(t, fmt.Sprintf("client %d has all that it was sent", i), func() bool {
			return m.received.Load() >= asked && (!m.device || m.answered.Load() == told)
		})
		if len(m.lost) > 0 {
			t.Errorf("client %d was dropped", i)
		}
	}
	for i := range panels {
		if doc, err := h.Do(t.Context(), twin.ID(ids[i]), "current", twin.Get, nil); err != nil || doc.Version != told {
			t.Errorf("panel %d has version %d, %v, want %d", i, doc.Version, err, told)
		}
	}
	step("all have what they were sent and answered")
	await(t, "who didn't read was dropped", func() bool { return strings.Contains(h.log.String(), "client took nothing for 10s") })
	step(fmt.Sprintf("who doesn't read was dropped; %d messages came twice", again))
}

// A bareHub is a hub with nothing between it and its clients' sockets.
type bareHub struct {
	*hub.Hub
	t        *testing.T
	registry registry.Registry
	addr     string
	log      output
}

func startHubAt(t *testing.T, b *broker) *bareHub {
	t.Helper()
	h := &bareHub{t: t, registry: registry.NewMemory()}
	var err error
	h.Hub, err = hub.New(hub.Config{Documents: docstore.NewMemory(), Registry: h.registry, Upstream: b.upstream(""), Logger: slog.New(slog.NewTextHandler(&h.log, nil))})
	if err != nil {
		t.Fatal(err)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	h.addr = l.Addr().String()
	served := make(chan error, 1)
	go func() { served <- h.ServeMQTT(l) }()
	t.Cleanup(func() {
		if err := errors.Join(h.Close(), <-served); err != nil {
			t.Error(err)
		}
		if t.Failed() {
			t.Logf("the hub's log:\n%s", h.log.String())
		}
	})
	return h
}

// addDevice adds a device that may connect with its id alone.
func (h *bareHub) addDevice(name string) (id string) {
	h.t.Helper()
	d, err := registry.NewDevice(name)
	if err == nil {
		d.AllowInsecure = true
		err = h.registry.AddDevice(h.t.Context(), d)
	}
	if err != nil {
		h.t.Fatal(err)
	}
	return string(d.ID)
}

// fallAsleep is a client that subscribes to noise, and doesn't read it.
func fallAsleep(t *testing.T, addr string) {
	t.Helper()
	conn, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	if err := conn.(*net.TCPConn).SetReadBuffer(4096); err != nil {
		t.Fatal(err)
	}
	r := bufio.NewReaderSize(conn, 16)
	for _, step := range []struct{ send, want string }{
		{"\x10\x0c\x00\x04MQTT\x04\x02\x00\x00\x00\x00", "\x20\x02\x00\x00"},
		{"\x82\x0a\x00\x01\x00\x05noise\x00", "\x90\x03\x00\x01\x00"},
	} {
		got := make([]byte, len(step.want))
		if _, err := io.WriteString(conn, step.send); err != nil {
			t.Fatal(err)
		}
		if _, err := io.ReadFull(r, got); err != nil || string(got) != step.want {
			t.Fatalf("got %x, %v, want %x", got, err, step.want)
		}
	}
}

// inParallel does n things, so many at a time.
func inParallel(n, atOnce int, do func(int)) {
	var next atomic.Int64
	var all sync.WaitGroup
	for range atOnce {
		all.Go(func() {
			for i := int(next.Add(1)) - 1; i < n; i = int(next.Add(1)) - 1 {
				do(i)
			}
		})
	}
	all.Wait()
}
