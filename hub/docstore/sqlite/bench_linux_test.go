package sqlite

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/twinpanel/twinpanel/hub/docstore"
	"github.com/twinpanel/twinpanel/hub/registry"
	"github.com/twinpanel/twinpanel/twin"
)

// document has the size that the documents of a panel have.
var document = bytes.Repeat([]byte("x"), 300)

func benchKey(i int) docstore.Key {
	return docstore.Key{Twin: twin.ID(fmt.Sprintf("0b6e2b2e-7a4b-4c39-9d5e-%012x", i)), Name: "current"}
}

// BenchmarkPut compares durable writes with what the disk can do at all: one
// writer that appends as many bytes to a file and syncs it each time. The
// ratio "writes/sync" is the number to compare between machines.
func BenchmarkPut(b *testing.B) {
	for _, writers := range []int{1, 64} {
		b.Run(fmt.Sprint("writers=", writers), func(b *testing.B) {
			syncs := syncsPerSecond(b)
			db := mustOpen(b, b.TempDir())
			var next atomic.Int64
			b.ReportAllocs()
			b.ResetTimer()
			var wg sync.WaitGroup
			for w := range writers {
				wg.Go(func() {
					for i := 0; next.Add(1) <= int64(b.N); i++ {
						if _, err := db.Put(b.Context(), benchKey(100*w+i%100), docstore.Any, document); err != nil {
							b.Error(err)
							return
						}
					}
				})
			}
			wg.Wait()
			b.StopTimer()
			writes := float64(b.N) / b.Elapsed().Seconds()
			b.ReportMetric(writes, "writes/s")
			b.ReportMetric(writes/syncs, "writes/sync")
		})
	}
}

// BenchmarkRead is reads of a document, and of one with the device that it is about, as a request does it.
func BenchmarkRead(b *testing.B) {
	db := mustOpen(b, b.TempDir())
	const documents = 1000
	for i := range documents {
		if err := db.AddDevice(b.Context(), registry.Device{ID: benchKey(i).Twin, Name: fmt.Sprint("panel", i), AllowInsecure: true}); err != nil {
			b.Fatal(err)
		}
		if _, err := db.Put(b.Context(), benchKey(i), docstore.Any, document); err != nil {
			b.Fatal(err)
		}
	}
	for _, bm := range []struct {
		what string
		read func(context.Context, docstore.Key) error
	}{
		{"document", func(ctx context.Context, key docstore.Key) error { _, err := db.Get(ctx, key); return err }},
		{"device", func(ctx context.Context, key docstore.Key) error { _, err := db.Device(ctx, key.Twin); return err }},
		{"both", func(ctx context.Context, key docstore.Key) error {
			_, _, err := db.DeviceAndDocument(ctx, key)
			return err
		}},
	} {
		b.Run("what="+bm.what, func(b *testing.B) {
			b.ReportAllocs()
			b.RunParallel(func(pb *testing.PB) {
				keys := make([]docstore.Key, 100)
				for i := range keys {
					keys[i] = benchKey(i * documents / len(keys))
				}
				for i := 0; pb.Next(); i++ {
					if err := bm.read(b.Context(), keys[i%len(keys)]); err != nil {
						b.Error(err)
						return
					}
				}
			})
		})
	}
}

// syncsPerSecond measures appends to a file that are synced one by one.
func syncsPerSecond(b *testing.B) float64 {
	f, err := os.Create(filepath.Join(b.TempDir(), "log"))
	if err != nil {
		b.Fatal(err)
	}
	defer f.Close()
	const appends = 2000
	start := time.Now()
	for range appends {
		if _, err := f.Write(document); err != nil {
			b.Fatal(err)
		}
		if err := syscall.Fdatasync(int(f.Fd())); err != nil {
			b.Fatal(err)
		}
	}
	return appends / time.Since(start).Seconds()
}
