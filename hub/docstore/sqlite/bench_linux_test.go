package sqlite

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/twinpanel/twinpanel/hub/docstore"
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

func BenchmarkGet(b *testing.B) {
	db := mustOpen(b, b.TempDir())
	const documents = 1000
	for i := range documents {
		if _, err := db.Put(b.Context(), benchKey(i), docstore.Any, document); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportAllocs()
	b.ResetTimer()
	b.RunParallel(func(pb *testing.PB) {
		for i := 0; pb.Next(); i++ {
			if _, err := db.Get(b.Context(), benchKey(i%documents)); err != nil {
				b.Error(err)
				return
			}
		}
	})
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
