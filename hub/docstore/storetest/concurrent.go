package storetest

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"runtime"
	"sync"
	"testing"

	"github.com/twinpanel/twinpanel/hub/docstore"
	"github.com/twinpanel/twinpanel/twin"
)

const (
	workers = 8
	rounds  = 25
)

// testWritersTakeTurns counts in a document as a patch does: get, change, put
// with the exact version, again if somebody was faster. No count may be lost.
func testWritersTakeTurns(t *testing.T, s docstore.Store) {
	k := key("current")
	put(t, s, k, string(make([]byte, 8)))
	count := func() error {
		for {
			doc, err := s.Get(t.Context(), k)
			if err != nil {
				return err
			}
			next := binary.BigEndian.AppendUint64(nil, binary.BigEndian.Uint64(doc.Data)+1)
			version, err := s.Put(t.Context(), k, docstore.If(doc.Version), next)
			if mismatch, ok := errors.AsType[*twin.VersionError](err); ok && mismatch.Actual > doc.Version {
				continue
			}
			if err == nil && version != doc.Version+1 {
				err = fmt.Errorf("version %d after %d", version, doc.Version)
			}
			return err
		}
	}
	var wg sync.WaitGroup
	for range workers {
		wg.Go(func() {
			for range rounds {
				if err := count(); err != nil {
					t.Error(err)
					return
				}
			}
		})
	}
	wg.Wait()
	check(t, s, k, workers*rounds+1, string(binary.BigEndian.AppendUint64(nil, workers*rounds)))
}

// testOneWinsAVersion lets many writers want the same version at once.
func testOneWinsAVersion(t *testing.T, s docstore.Store) {
	for round := range uint32(rounds) {
		won := make(chan int, workers)
		var wg sync.WaitGroup
		for w := range workers {
			wg.Go(func() {
				version, err := s.Put(t.Context(), key("desired"), docstore.If(round), []byte{byte(w)})
				if err == nil && version == round+1 {
					won <- w
					return
				}
				checkMismatch(t, "losing writer", err, &twin.VersionError{Expected: round, Actual: round + 1})
			})
		}
		wg.Wait()
		if len(won) != 1 {
			t.Fatalf("%d writers won version %d, want 1", len(won), round+1)
		}
		check(t, s, key("desired"), round+1, string([]byte{byte(<-won)}))
	}
}

// testReadersSeeWholeDocuments reads while documents of different sizes are written. A
// reader must see version and data of one write, and never go back.
func testReadersSeeWholeDocuments(t *testing.T, s docstore.Store) {
	document := func(version uint32) []byte {
		return bytes.Repeat([]byte{byte(version)}, int(version%7)*1000+1)
	}
	const versions = 50
	k := key("current")
	put(t, s, k, string(document(1)))
	written := make(chan struct{})
	var wg sync.WaitGroup
	for range 2 {
		wg.Go(func() {
			last := uint32(0)
			for done := false; !done; {
				select {
				case <-written:
					done = true
				default:
				}
				doc, err := s.Get(t.Context(), k)
				if err != nil || doc.Version < last || !bytes.Equal(doc.Data, document(doc.Version)) {
					t.Errorf("after version %d: version %d with %d bytes, %v", last, doc.Version, len(doc.Data), err)
					return
				}
				last = doc.Version
				runtime.Gosched() // leave time for the writer, as a network would
			}
			if last != versions {
				t.Errorf("after the last write a reader saw version %d, want %d", last, versions)
			}
		})
	}
	for v := uint32(2); v <= versions; v++ {
		if _, err := s.Put(t.Context(), k, docstore.If(v-1), document(v)); err != nil {
			t.Error(err)
			break
		}
	}
	close(written)
	wg.Wait()
}
