// Package disk is a disk whose power can be cut: a block device in memory that knows what was flushed to it and what
// only its cache holds. A virtual machine reaches it by NBD, the network block device protocol.
//
// Killing a virtual machine alone cuts no disk's power: what the guest wrote is then in the host's cache, flushed or not.
// Here a write counts as kept only when a flush followed, or when it was a forced one (FUA). Of the others, a cut keeps some and
// loses some, sector by sector, as a disk with a cache does that writes in the order it likes.
package disk

import (
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"sync"
)

// sector is what a disk writes as a whole or not at all, in bytes.
const sector = 512

// A Disk is a disk in memory. Its methods can be called from several goroutines.
type Disk struct {
	mu     sync.Mutex
	now    []byte  // what a read sees
	kept   []byte  // what a cut can't take
	cached []write // since the last flush, in order
}

type write struct {
	offset int
	data   []byte
}

// New is a disk that begins as image, which it takes over.
func New(image []byte) *Disk {
	return &Disk{now: image, kept: append([]byte(nil), image...)}
}

// Cut cuts the power: of what was not flushed, each sector is on the disk with the given chance, from 0 to 1. It returns how many
// sectors were lost. Nothing may be using the disk any more.
func (d *Disk) Cut(chance float64, random *rand.Rand) (lost int) {
	d.mu.Lock()
	defer d.mu.Unlock()
	for _, w := range d.cached {
		for at := 0; at < len(w.data); at += sector {
			if random.Float64() < chance {
				copy(d.kept[w.offset+at:], w.data[at:min(at+sector, len(w.data))])
			} else {
				lost++
			}
		}
	}
	d.cached = nil
	copy(d.now, d.kept)
	return lost
}

// WriteFile writes what the disk holds to a file.
func (d *Disk) WriteFile(name string) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	return os.WriteFile(name, d.now, 0o600)
}

// ReadAt reads as [io.ReaderAt] says.
func (d *Disk) ReadAt(p []byte, offset int64) (int, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if offset < 0 || offset > int64(len(d.now)) {
		return 0, fmt.Errorf("reading at %d: the disk has %d bytes", offset, len(d.now))
	}
	n := copy(p, d.now[offset:])
	if n < len(p) {
		return n, io.EOF
	}
	return n, nil
}

// writeAt writes; forced = past the cache.
func (d *Disk) writeAt(p []byte, offset uint64, forced bool) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if size := uint64(len(d.now)); offset > size || uint64(len(p)) > size-offset {
		return fmt.Errorf("writing %d bytes at %d: the disk has %d", len(p), offset, size)
	}
	copy(d.now[offset:], p)
	if forced {
		// What the cache holds of the same place is older and must not come over it later.
		d.flush()
		copy(d.kept[offset:], p)
		return nil
	}
	d.cached = append(d.cached, write{int(offset), append([]byte(nil), p...)})
	return nil
}

// Flush puts all that was written so far where no cut can take it.
func (d *Disk) Flush() {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.flush()
}

func (d *Disk) flush() {
	for _, w := range d.cached {
		copy(d.kept[w.offset:], w.data)
	}
	d.cached = nil
}
