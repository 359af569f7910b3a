package postgres

import (
	"bytes"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/twinpanel/twinpanel/hub/docstore"
	"github.com/twinpanel/twinpanel/hub/registry"
	"github.com/twinpanel/twinpanel/internal/pgtest"
	"github.com/twinpanel/twinpanel/twin"
)

// document has the size that the documents of a panel have.
var document = bytes.Repeat([]byte("x"), 300)

const benchDocuments = 10_000

func benchKey(i int) docstore.Key {
	return docstore.Key{Twin: twin.ID(fmt.Sprintf("0b6e2b2e-7a4b-4c39-9d5e-%012x", i%benchDocuments)), Name: "current"}
}

// benchStore is on a server that waits for its disk, with documents.
func benchStore(b *testing.B) *DB {
	b.Helper()
	server := pgtest.New(b, pgtest.Options{Sync: true})
	url, err := server.NewDatabase("hub")
	if err != nil {
		b.Fatal(err)
	}
	db := mustOpen(b, url)
	var wg sync.WaitGroup
	for w := range 256 {
		wg.Go(func() {
			for i := w; i < benchDocuments; i += 256 {
				if _, err := db.Put(b.Context(), benchKey(i), docstore.Any, document); err != nil {
					b.Error(err)
				}
			}
		})
	}
	wg.Wait()
	return db
}

// BenchmarkPut reads a document, and writes it with its version, as a patch does.
func BenchmarkPut(b *testing.B) {
	db := benchStore(b)
	for _, writers := range []int{1, 64, 512} {
		b.Run(fmt.Sprint("writers=", writers), func(b *testing.B) {
			b.ReportAllocs()
			var next atomic.Int64
			var wg sync.WaitGroup
			for w := range writers {
				wg.Go(func() {
					for i := 0; next.Add(1) <= int64(b.N); i++ {
						key := benchKey(w + i*writers)
						doc, err := db.Get(b.Context(), key)
						if err == nil {
							_, err = db.Put(b.Context(), key, docstore.If(doc.Version), document)
						}
						if err != nil {
							b.Error(err)
							return
						}
					}
				})
			}
			wg.Wait()
			b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "writes/s")
		})
	}
}

func BenchmarkGet(b *testing.B) {
	db := benchStore(b)
	b.SetParallelism(32)
	b.ReportAllocs()
	b.ResetTimer()
	b.RunParallel(func(pb *testing.PB) {
		for i := 0; pb.Next(); i++ {
			if _, err := db.Get(b.Context(), benchKey(i)); err != nil {
				b.Error(err)
				return
			}
		}
	})
}

// BenchmarkDeviceAndDocument reads what a get needs.
func BenchmarkDeviceAndDocument(b *testing.B) {
	db := benchStore(b)
	for i := range benchDocuments {
		if err := db.AddDevice(b.Context(), registry.Device{ID: benchKey(i).Twin, Name: fmt.Sprint("device ", i)}); err != nil {
			b.Fatal(err)
		}
		if i == 1000 {
			break
		}
	}
	for _, readers := range []int{1, 64, 512} {
		b.Run(fmt.Sprint("readers=", readers), func(b *testing.B) {
			b.ReportAllocs()
			var next atomic.Int64
			var wg sync.WaitGroup
			for w := range readers {
				wg.Go(func() {
					for i := 0; next.Add(1) <= int64(b.N); i++ {
						if _, _, err := db.DeviceAndDocument(b.Context(), benchKey((w+i*readers)%1000)); err != nil {
							b.Error(err)
							return
						}
					}
				})
			}
			wg.Wait()
		})
	}
}
