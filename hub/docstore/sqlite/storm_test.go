package sqlite

import (
	"context"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/twinpanel/twinpanel/hub/docstore"
	"github.com/twinpanel/twinpanel/hub/docstore/storetest"
	"github.com/twinpanel/twinpanel/hub/registry"
	"github.com/twinpanel/twinpanel/twin"
)

// A hub that writes without pause leaves a command its turn.
func TestCommandBesideAStormOfWrites(t *testing.T) {
	dir := t.TempDir()
	hub := mustOpen(t, dir)
	command, err := OpenRegistry(dir, Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer command.Close()
	ctx, stop := context.WithCancel(t.Context())
	var writers, begun sync.WaitGroup
	for i := range 64 {
		key := docstore.Key{Twin: storetest.Panel, Name: twin.Name(fmt.Sprint("n", i))}
		begun.Add(1)
		writers.Go(func() {
			for first := true; ctx.Err() == nil; first = false {
				if _, err := hub.Put(t.Context(), key, docstore.Any, make([]byte, 300)); err != nil {
					t.Errorf("hub: %v", err)
					stop()
				}
				if first {
					begun.Done()
				}
			}
		})
	}
	begun.Wait()
	var longest time.Duration
	for i := range 50 {
		d, err := registry.NewDevice(fmt.Sprint("panel ", i))
		if err != nil {
			t.Fatal(err)
		}
		start := time.Now()
		if err := command.AddDevice(t.Context(), d); err != nil {
			t.Errorf("command %d: %v", i, err)
			break
		}
		longest = max(longest, time.Since(start))
	}
	stop()
	writers.Wait()
	t.Logf("the longest of 50 commands waited %v", longest)
}
