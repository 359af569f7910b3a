// Package peerstest is what holds for every link between hubs, as tests.
package peerstest

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/twinpanel/twinpanel/hub/docstore"
	"github.com/twinpanel/twinpanel/hub/peers"
	"github.com/twinpanel/twinpanel/hub/registry"
	"github.com/twinpanel/twinpanel/twin"
)

// patience is for what must happen, on a machine that has much else to do.
const patience = 30 * time.Second

const (
	panelID twin.ID = "11111111-1111-4111-8111-111111111111"
	otherID twin.ID = "22222222-2222-4222-8222-222222222222"
)

// A Hub is what one of several hubs has.
type Hub struct {
	peers.Link
	registry.Registry
}

// Run runs all tests. Open makes two hubs on one new registry.
func Run(t *testing.T, open func(*testing.T) (a, b Hub)) {
	for _, tt := range []struct {
		name string
		run  func(*testing.T, Hub, Hub)
	}{
		{"Raise", testRaise},
		{"Epochs", testEpochs},
		{"News", testNews},
		{"ListenEnds", testListenEnds},
		{"Presence", testPresence},
	} {
		t.Run(tt.name, func(t *testing.T) {
			a, b := open(t)
			if err := a.AddDevice(t.Context(), registry.Device{ID: panelID, Name: "panel"}); err != nil {
				t.Fatal(err)
			}
			tt.run(t, a, b)
		})
	}
}

// Whichever hubs raise an epoch at the same time, each gets one of its own, and the registry has it.
func testRaise(t *testing.T, a, b Hub) {
	if _, err := a.Raise(t.Context(), otherID); !errors.Is(err, registry.ErrNoDevice) {
		t.Errorf("a device that isn't there: got %v, want %v", err, registry.ErrNoDevice)
	}
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := a.Raise(ended, panelID); !errors.Is(err, context.Canceled) {
		t.Errorf("after the end of the context: got %v, want %v", err, context.Canceled)
	}
	const all = 100
	var mu sync.Mutex
	var epochs []int64
	var raising sync.WaitGroup
	for n := range all {
		raising.Go(func() {
			h := []Hub{a, b}[n%2]
			epoch, err := h.Raise(t.Context(), panelID)
			if err != nil {
				t.Error(err)
			}
			if d, err := h.Device(t.Context(), panelID); err != nil || d.Epoch < epoch {
				t.Errorf("the registry has epoch %d, %v, after %d", d.Epoch, err, epoch)
			}
			mu.Lock()
			defer mu.Unlock()
			epochs = append(epochs, epoch)
		})
	}
	raising.Wait()
	slices.Sort(epochs)
	if len(slices.Compact(epochs)) != all || epochs[0] < 1 {
		t.Errorf("got epochs %v, want %d different ones", epochs, all)
	}
	// Nothing else writes it.
	last := epochs[all-1]
	d, err := b.UpdateDevice(t.Context(), panelID, func(d *registry.Device) error {
		d.Epoch, d.Description = 1, "changed"
		return nil
	})
	if err != nil || d.Epoch != last {
		t.Errorf("after an update: epoch %d, %v; want %d", d.Epoch, err, last)
	}
	if d, err = a.Device(t.Context(), panelID); err != nil || d.Epoch != last {
		t.Errorf("the registry has epoch %d, %v; want %d", d.Epoch, err, last)
	}
}

func testEpochs(t *testing.T, a, b Hub) {
	check := func(want int64) {
		t.Helper()
		got, err := b.Epochs(t.Context(), []twin.ID{panelID, otherID})
		if err != nil || len(got) != 1 || got[panelID] != want {
			t.Errorf("got %v, %v; want %d of the only device", got, err, want)
		}
	}
	check(0)
	epoch, err := a.Raise(t.Context(), panelID)
	if err != nil {
		t.Fatal(err)
	}
	check(epoch)
	if got, err := b.Epochs(t.Context(), nil); err != nil || len(got) != 0 {
		t.Errorf("of no device: %v, %v", got, err)
	}
}

// listen hands over what a hub hears until the test ends.
func listen(t *testing.T, h Hub) <-chan peers.News {
	t.Helper()
	heard := make(chan peers.News, 1000)
	ctx, stop := context.WithCancel(context.Background())
	var listening sync.WaitGroup
	listening.Go(func() { h.Listen(ctx, func(n peers.News) { heard <- n }) })
	t.Cleanup(func() {
		stop()
		listening.Wait()
	})
	if n := next(t, heard); !n.Missed {
		t.Fatalf("heard %+v first, want that something was missed", n)
	}
	return heard
}

func next(t *testing.T, heard <-chan peers.News) peers.News {
	t.Helper()
	select {
	case n := <-heard:
		return n
	case <-time.After(patience):
		t.Fatal("nothing is heard")
		return peers.News{}
	}
}

// What one hub tells the others hear, and it itself doesn't.
func testNews(t *testing.T, a, b Hub) {
	fromB, fromA := listen(t, a), listen(t, b)
	desired := docstore.Key{Twin: panelID, Name: "desired"}
	a.Changed(desired)
	if n := next(t, fromA); !slices.Equal(n.Changed, []docstore.Key{desired}) || n.Missed || n.Hub || len(n.Raised) > 0 {
		t.Errorf("heard %+v, want that desired has changed", n)
	}
	epoch, err := a.Raise(t.Context(), panelID)
	if err != nil {
		t.Fatal(err)
	}
	if n := next(t, fromA); len(n.Raised) != 1 || n.Raised[panelID] != epoch || n.Missed || n.Hub || len(n.Changed) > 0 {
		t.Errorf("heard %+v, want epoch %d", n, epoch)
	}
	a.HubChanged()
	if n := next(t, fromA); !n.Hub || n.Missed || len(n.Raised)+len(n.Changed) > 0 {
		t.Errorf("heard %+v, want the hub's record", n)
	}

	// The first that a hears is what b tells.
	b.HubChanged()
	if n := next(t, fromB); !n.Hub || n.Missed || len(n.Raised)+len(n.Changed) > 0 {
		t.Errorf("heard %+v, want what the other told", n)
	}

	// Of very much, either all is told or that something was missed.
	const changes = 20000
	for n := range changes {
		a.Changed(docstore.Key{Twin: panelID, Name: twin.Name(fmt.Sprint(n))})
	}
	told := make(map[docstore.Key]bool)
	for missed := false; !missed && len(told) < changes; {
		n := next(t, fromA)
		missed = n.Missed
		for _, key := range n.Changed {
			told[key] = true
		}
	}
}

func testListenEnds(t *testing.T, a, _ Hub) {
	for range 2 {
		ctx, stop := context.WithCancel(t.Context())
		ended := make(chan struct{})
		go func() {
			defer close(ended)
			a.Listen(ctx, func(peers.News) { stop() })
		}()
		select {
		case <-ended:
		case <-time.After(patience):
			t.Fatal("Listen doesn't end with its context")
		}
	}
}

// Each hub sees what the other has, soon.
func testPresence(t *testing.T, a, b Hub) {
	listen(t, a)
	listen(t, b)
	await := func(what string, h Hub, ids []twin.ID, want ...twin.ID) {
		t.Helper()
		for end := time.Now().Add(patience); ; time.Sleep(5 * time.Millisecond) {
			found, err := h.Elsewhere(t.Context(), ids)
			if err != nil {
				t.Fatal(err)
			}
			ok := len(found) == len(want)
			for _, id := range want {
				ok = ok && found[id]
			}
			if ok {
				return
			}
			if time.Now().After(end) {
				t.Fatalf("%s: got %v, want %v", what, found, want)
			}
		}
	}
	await("nobody", b, nil)
	a.Connected(panelID, true)
	a.Connected(otherID, true)
	await("two", b, nil, panelID, otherID)
	await("one of two", b, []twin.ID{otherID}, otherID)
	await("none of two", b, []twin.ID{})
	await("its own", a, nil)
	b.Connected(otherID, true)
	await("on both", a, nil, otherID)
	a.Connected(otherID, false)
	await("one", b, nil, panelID)
	for range 100 {
		a.Connected(panelID, false)
		a.Connected(panelID, true)
	}
	a.Connected(otherID, true)
	await("in and out", b, nil, panelID, otherID)
	a.Connected(panelID, false)
	a.Connected(otherID, false)
	b.Connected(otherID, false)
	await("all gone", b, nil)
	await("all gone", a, nil)
}
