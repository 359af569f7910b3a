package twinclient_test

import (
	"context"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"net"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/twinpanel/twinpanel/hub/hubtest"
	"github.com/twinpanel/twinpanel/twin"
	"github.com/twinpanel/twinpanel/twinclient"
)

// TestSyncRandomHours writes, deletes and creates again what a device watches, while everything
// happens to the way to the real hub. How soon the device has to know: at once, after 30 s where
// a notice was lost, and after the longest pause between two tries where the connection was.
func TestSyncRandomHours(t *testing.T) {
	const told, poll, reconnected = 120 * time.Millisecond, 31 * time.Second, 110 * time.Second
	for seed := range uint64(4) {
		synctest.Test(t, func(t *testing.T) {
			random := rand.New(rand.NewPCG(seed, 0))
			h := hubtest.Start(t)
			id := h.AddDevice("panel").ID
			var knows atomic.Value // what the device was told last
			var news atomic.Int64  // what a further document has
			s, err := twinclient.NewSync(twinclient.SyncConfig{
				Connect: twinclient.Options{Hub: "mqtt://localhost", DeviceID: id, Dial: func(ctx context.Context) (net.Conn, error) { return h.Dial(ctx) }},
				Watch:   "desired",
				Publish: "current",
				Document: func(context.Context) (json.RawMessage, error) {
					return fmt.Appendf(nil, `{"at":%d}`, time.Now().Unix()), nil
				},
				Further: []twinclient.Publication{{Name: "events", Document: func(context.Context) (json.RawMessage, error) {
					return fmt.Appendf(nil, `{"n":%d}`, news.Load()), nil
				}}},
				Watched: func(doc twin.Document, err error) {
					if err != nil {
						doc = twin.Document{}
					}
					knows.Store(fmt.Sprint(doc.Version, string(doc.Data)))
				},
			})
			if err != nil {
				t.Fatal(err)
			}
			ctx, cancel := context.WithCancel(t.Context())
			ended := make(chan error)
			go func() { ended <- s.Run(ctx) }()
			defer func() {
				cancel()
				if err := <-ended; err != nil {
					t.Error(err)
				}
			}()

			var desired twin.Document
			change := func(n int) {
				if desired.Version != 0 && random.IntN(4) == 0 {
					h.MustDelete(id, "desired")
					desired = twin.Document{}
				}
				if desired.Version != 0 || random.IntN(4) > 0 {
					desired = h.MustPut(id, "desired", fmt.Sprintf(`{"n":%d}`, n))
				}
			}
			pause := func(most time.Duration) { time.Sleep(time.Duration(random.Int64N(int64(most)))) }
			lossy := false
			time.Sleep(time.Second)
			for n := range 150 {
				within, what := told, "nothing"
				if lossy {
					within = poll
				}
				switch random.IntN(9) {
				case 0:
					lossy = !lossy
					h.DropNotices(lossy)
					within, what = poll, fmt.Sprintf("lossy: %v", lossy)
				case 1:
					h.CutConnections()
					within, what = reconnected, "cut"
				case 2:
					h.Restart()
					within, what = reconnected, "restart"
				case 3:
					h.BlackHole(true)
					pause(time.Minute)
					change(n)
					h.BlackHole(false)
					within, what = reconnected, "black hole"
				case 4:
					h.DropAnswers(1 + random.IntN(2))
					within, what = reconnected, "lost answer"
				case 5:
					h.DelayAnswers(time.Duration(random.IntN(4000)) * time.Millisecond)
					change(n)
					pause(5 * time.Second)
					h.DelayAnswers(0)
					within, what = reconnected, "slow answers"
				}
				pause(2 * time.Second)
				for range 1 + random.IntN(3) {
					change(n)
					if random.IntN(2) == 0 {
						news.Add(1)
						s.Changed()
					}
					pause(200 * time.Millisecond)
				}
				change(n)
				time.Sleep(within)
				synctest.Wait()
				if got, want := knows.Load(), fmt.Sprint(desired.Version, string(desired.Data)); got != want {
					t.Fatalf("seed %d, step %d, %s: the device knows %v after %v, want %s", seed, n, what, got, within, want)
				}
			}
			time.Sleep(time.Hour + time.Minute) // a further document is left out for so long at most
			var events struct{ N int64 }
			if doc := h.MustGet(id, "events"); json.Unmarshal(doc.Data, &events) != nil || events.N != news.Load() {
				t.Errorf("seed %d: the hub has %s as events, want %d", seed, doc.Data, news.Load())
			}
		})
	}
}
