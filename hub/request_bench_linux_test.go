package hub

import (
	"bufio"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/twinpanel/twinpanel/hub/docstore"
	"github.com/twinpanel/twinpanel/hub/docstore/sqlite"
	"github.com/twinpanel/twinpanel/hub/registry"
	"github.com/twinpanel/twinpanel/twin"
)

// What a panel writes, whole and between two heartbeats.
const (
	benchPut   = `{"data":{"last_update":"2026-11-21T12:00:00.000Z","alarm_armed":true,"siren_ringing":false,"door_open":false}}`
	benchPatch = `{"data":{"last_update":"2026-11-21T12:00:30.000Z","door_open":true}}`
)

// BenchmarkRequest is one request and its answer on one connection: the hub's way from the packet
// to the store and back.
func BenchmarkRequest(b *testing.B) {
	for _, store := range []string{"memory", "sqlite"} {
		for _, over := range []string{"pipe", "tcp"} {
			for _, request := range []struct {
				method twin.Method
				body   string
			}{{twin.Get, ""}, {twin.Put, benchPut}, {twin.Patch, benchPatch}} {
				b.Run(fmt.Sprintf("store=%s/over=%s/method=%s", store, over, request.method), func(b *testing.B) {
					h, _ := newBenchHub(b, store, 1)
					c := h.connect(b, 0, over)
					p := publishPacket("$SCW/twins/me/current/"+string(request.method), 0, request.body)
					b.ReportAllocs()
					for b.Loop() {
						c.ask(b, p, 1)
					}
				})
			}
		}
	}
}

// BenchmarkREST is a get over REST, in the process: authentication, the request and the answer, without HTTP's own work.
func BenchmarkREST(b *testing.B) {
	for _, store := range []string{"memory", "sqlite"} {
		b.Run("store="+store+"/method=get", func(b *testing.B) {
			h, _ := newBenchHub(b, store, 1)
			const secret = "0a1b2c3d-0000-4000-8000-00000000000f"
			if err := h.registry.AddToken(b.Context(), registry.Token{Name: "app", Hash: registry.HashSecret(secret)}); err != nil {
				b.Fatal(err)
			}
			rest := h.REST()
			r := httptest.NewRequest(http.MethodGet, "/iot/v1/regions/fr-par/twins/"+string(benchID(0))+"/documents/current", nil)
			r.Header.Set("X-Auth-Token", secret)
			b.ReportAllocs()
			for b.Loop() {
				w := httptest.NewRecorder()
				if rest.ServeHTTP(w, r); w.Code != http.StatusOK {
					b.Fatal(w.Code, w.Body)
				}
			}
		})
	}
}

// BenchmarkGets is gets over loopback on SQLite from many connections at once, each with one
// under way. ns/op is the time between two answers, whoever gets them; cpu-ns/op counts both ends.
func BenchmarkGets(b *testing.B) {
	for _, connections := range []int{1, 100, 1000} {
		for qos := range 2 {
			b.Run(fmt.Sprintf("connections=%d/qos=%d", connections, qos), func(b *testing.B) {
				h, _ := newBenchHub(b, "sqlite", connections)
				p := publishPacket("$SCW/twins/me/current/get", uint16(qos), "")
				h.load(b, connections, p, 1+qos)
			})
		}
	}
}

// BenchmarkPatches is patches over loopback on SQLite, each acknowledged when it is on the disk. The
// ratio "of-bare" is the number to compare between machines: how many of them the hub does in
// the time in which as many writers put as many bytes into the bare store once.
func BenchmarkPatches(b *testing.B) {
	for _, writers := range []int{1, 64, 512} {
		b.Run(fmt.Sprintf("writers=%d", writers), func(b *testing.B) {
			h, documents := newBenchHub(b, "sqlite", writers)
			bare := barePuts(b, documents, writers)
			p := publishPacket("$SCW/twins/me/current/patch", 1, benchPatch)
			h.load(b, writers, p, 2)
			b.ReportMetric(float64(b.N)/b.Elapsed().Seconds()/bare, "of-bare")
		})
	}
}

// barePuts is how many puts a second a store takes from so many writers.
func barePuts(b *testing.B, documents docstore.Store, writers int) float64 {
	const puts = 5000
	data := []byte(benchPut)
	var begun atomic.Int64
	var wg sync.WaitGroup
	start := time.Now()
	for i := range writers {
		wg.Go(func() {
			for begun.Add(1) <= puts {
				if _, err := documents.Put(b.Context(), docstore.Key{Twin: benchID(i), Name: "current"}, docstore.Any, data); err != nil {
					b.Error(err)
					return
				}
			}
		})
	}
	wg.Wait()
	return puts / time.Since(start).Seconds()
}

// A benchHub is a hub with devices that each have a document current.
type benchHub struct {
	*Hub
	address string
}

// newBenchHub returns one with so many devices, and its store.
func newBenchHub(b *testing.B, store string, devices int) (benchHub, docstore.Store) {
	b.Helper()
	var documents docstore.Store = docstore.NewMemory()
	var known registry.Registry = registry.NewMemory()
	if store == "sqlite" {
		db, err := sqlite.Open(filepath.Join(b.TempDir(), "data"), sqlite.Options{})
		if err != nil {
			b.Fatal(err)
		}
		b.Cleanup(func() { db.Close() })
		documents, known = db, db
	}
	h, err := New(Config{Documents: documents, Registry: known})
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { h.Close() })
	var wg sync.WaitGroup
	for i := range devices {
		wg.Go(func() {
			d := registry.Device{ID: benchID(i), Name: fmt.Sprintf("panel%d", i), AllowInsecure: true}
			if err := known.AddDevice(b.Context(), d); err != nil {
				b.Error(err)
			}
			if _, err := h.Do(b.Context(), d.ID, "current", twin.Put, []byte(benchPut)); err != nil {
				b.Error(err)
			}
		})
	}
	wg.Wait()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		b.Fatal(err)
	}
	go h.ServeMQTT(l)
	return benchHub{h, l.Addr().String()}, documents
}

func benchID(i int) twin.ID { return twin.ID(fmt.Sprintf("00000000-0000-4000-8000-%012d", i)) }

// load has connections ask and take answers of so many packets, b.N times in all.
func (h benchHub) load(b *testing.B, connections int, request []byte, packets int) {
	clients := make([]*benchClient, connections)
	for i := range clients {
		clients[i] = h.connect(b, i, "tcp")
	}
	var begun atomic.Int64
	var wg sync.WaitGroup
	b.ReportAllocs()
	before := cpuTime(b)
	b.ResetTimer()
	for _, c := range clients {
		wg.Go(func() {
			for begun.Add(1) <= int64(b.N) && !b.Failed() {
				c.ask(b, request, packets)
			}
		})
	}
	wg.Wait()
	b.StopTimer()
	b.ReportMetric(float64(cpuTime(b)-before)/float64(b.N), "cpu-ns/op")
}

// cpuTime is what this process has taken of the processors, which says more than the time on a
// computer that has other work.
func cpuTime(b *testing.B) time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		b.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// A benchClient is a client that has subscribed to its answers and looks at none.
type benchClient struct {
	conn net.Conn
	in   *bufio.Reader
}

// connect is device i over loopback, tcp, or in the process, pipe.
func (h benchHub) connect(b *testing.B, i int, over string) *benchClient {
	b.Helper()
	var conn net.Conn
	if over == "pipe" {
		var theirs net.Conn
		conn, theirs = net.Pipe()
		go h.ServeConn(theirs)
	} else {
		var err error
		if conn, err = net.Dial("tcp", h.address); err != nil {
			b.Fatal(err)
		}
	}
	b.Cleanup(func() { conn.Close() })
	c := &benchClient{conn, bufio.NewReaderSize(conn, 512)}
	c.ask(b, connectPacket(string(benchID(i)), 60), 1)
	c.ask(b, subscribePacket(1, "$SCW/twins/me/#"), 1)
	return c
}

// ask sends a packet and takes an answer of so many.
func (c *benchClient) ask(b *testing.B, request []byte, packets int) {
	if _, err := c.conn.Write(request); err != nil {
		b.Error(err)
		return
	}
	for range packets {
		if err := c.take(); err != nil {
			b.Error(err)
			return
		}
	}
}

// take takes a packet of less than 16 KiB.
func (c *benchClient) take() error {
	if _, err := c.in.ReadByte(); err != nil {
		return err
	}
	low, err := c.in.ReadByte()
	if err != nil {
		return err
	}
	length := int(low)
	if low >= 0x80 {
		high, err := c.in.ReadByte()
		if err != nil {
			return err
		}
		length = int(low&0x7f) + int(high)<<7
	}
	_, err = c.in.Discard(length)
	return err
}
