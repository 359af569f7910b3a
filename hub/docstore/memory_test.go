package docstore_test

import (
	"bytes"
	"testing"

	"github.com/twinpanel/twinpanel/hub/docstore"
	"github.com/twinpanel/twinpanel/hub/docstore/storetest"
)

func TestMemory(t *testing.T) {
	storetest.Run(t, func(*testing.T) docstore.Store { return docstore.NewMemory() })
}

// The size of a panel's document.
var document = bytes.Repeat([]byte("x"), 300)

func BenchmarkMemory(b *testing.B) {
	m := docstore.NewMemory()
	key := docstore.Key{Twin: storetest.Panel, Name: "current"}
	b.Run("op=put", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			if _, err := m.Put(b.Context(), key, docstore.Any, document); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("op=get", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			if _, err := m.Get(b.Context(), key); err != nil {
				b.Fatal(err)
			}
		}
	})
}
