package durable

import (
	"errors"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"testing"
)

var (
	errPowerCut = errors.New("power cut")
	errDisk     = errors.New("input/output error")
)

// absent stands for a file that is not there.
const absent = "<absent>"

// A crashDisk is a disk whose power can be cut. What was not flushed may or may not be
// there afterwards, in every combination.
type crashDisk struct {
	power int // steps until the power is cut; negative = never
	fault int // the step that fails with errDisk, counted from 1; 0 = none
	steps int // done so far

	names    map[string]*inode // as programs see them
	flushed  map[string]*inode // as flushed
	unlisted []change          // changes of names that are not flushed, oldest first
}

type inode struct{ data, flushed string }

type change func(names map[string]*inode)

func newCrashDisk(path, content string) *crashDisk {
	d := &crashDisk{power: -1, names: map[string]*inode{}, flushed: map[string]*inode{}}
	if content != absent {
		n := &inode{data: content, flushed: content}
		d.names[path], d.flushed[path] = n, n
	}
	return d
}

// step counts one operation and says how it goes.
func (d *crashDisk) step() error {
	if d.power == 0 {
		return errPowerCut
	}
	d.power--
	d.steps++
	if d.steps == d.fault {
		return errDisk
	}
	return nil
}

func (d *crashDisk) change(c change) {
	c(d.names)
	d.unlisted = append(d.unlisted, c)
}

func (d *crashDisk) remove(path string) error {
	if err := d.step(); err != nil {
		return err
	}
	if d.names[path] == nil {
		return os.ErrNotExist
	}
	d.change(func(names map[string]*inode) { delete(names, path) })
	return nil
}

func (d *crashDisk) create(path string, _ os.FileMode) (file, error) {
	if err := d.step(); err != nil {
		return nil, err
	}
	if d.names[path] != nil {
		return nil, os.ErrExist
	}
	n := &inode{}
	d.change(func(names map[string]*inode) { names[path] = n })
	return &crashFile{disk: d, inode: n}, nil
}

func (d *crashDisk) rename(from, to string) error {
	if err := d.step(); err != nil {
		return err
	}
	n := d.names[from]
	if n == nil {
		return os.ErrNotExist
	}
	d.change(func(names map[string]*inode) {
		names[to] = n
		delete(names, from)
	})
	return nil
}

func (d *crashDisk) syncDir(string) error {
	if err := d.step(); err != nil {
		return err
	}
	d.flushed, d.unlisted = maps.Clone(d.names), nil
	return nil
}

type crashFile struct {
	disk  *crashDisk
	inode *inode
}

func (f *crashFile) Write(p []byte) (int, error) {
	if err := f.disk.step(); err != nil {
		f.inode.data += string(p[:len(p)/2]) // a full disk takes what fits
		return len(p) / 2, err
	}
	f.inode.data += string(p)
	return len(p), nil
}

func (f *crashFile) Sync() error {
	if err := f.disk.step(); err != nil {
		return err
	}
	f.inode.flushed = f.inode.data
	return nil
}

func (f *crashFile) Close() error { return f.disk.step() }

// afterPowerCut lists every content that path may have when the power comes back.
func (d *crashDisk) afterPowerCut(path string) []string {
	var all []string
	for subset := range 1 << len(d.unlisted) {
		names := maps.Clone(d.flushed)
		for i, c := range d.unlisted {
			if subset&(1<<i) != 0 {
				c(names)
			}
		}
		n := names[path]
		switch {
		case n == nil:
			all = append(all, absent)
		case n.data == n.flushed:
			all = append(all, n.data)
		default:
			all = append(all, n.data, n.flushed, n.data[:len(n.data)/2])
		}
	}
	slices.Sort(all)
	return slices.Compact(all)
}

func TestReplacePowerCutAtEachStepLeavesOldOrNew(t *testing.T) {
	const path = "state/journal"
	for _, old := range []string{absent, "old", ""} {
		for power := range 20 {
			d := newCrashDisk(path, old)
			d.power = power
			err := replace(d, path, []byte("new content"), 0o600)
			want := []string{old, "new content"}
			if err == nil {
				want = []string{"new content"}
			}
			for _, got := range d.afterPowerCut(path) {
				if !slices.Contains(want, got) {
					t.Errorf("old %q, power cut after %d steps: file may hold %q; want one of %q", old, power, got, want)
				}
			}
			if power == 19 && err != nil {
				t.Errorf("19 steps were not enough: %v; the test must cut later", err)
			}
		}
	}
}

func TestReplaceDiskErrorAtEachStepLeavesOldOrNew(t *testing.T) {
	const path = "state/journal"
	whole := newCrashDisk(path, "old")
	if err := replace(whole, path, []byte("new content"), 0o600); err != nil || whole.steps < 7 {
		t.Fatalf("replace took %d steps, %v; want at least 7", whole.steps, err)
	}
	for fault := 1; fault <= whole.steps; fault++ {
		d := newCrashDisk(path, "old")
		d.fault = fault
		if err := replace(d, path, []byte("new content"), 0o600); !errors.Is(err, errDisk) {
			t.Errorf("step %d failed and Replace said %v", fault, err)
		}
		for _, got := range append(d.afterPowerCut(path), d.names[path].data) {
			if got != "old" && got != "new content" {
				t.Errorf("step %d failed: file may hold %q", fault, got)
			}
		}
		d.fault = 0
		if err := replace(d, path, []byte("third"), 0o600); err != nil {
			t.Errorf("step %d failed: the next Replace fails too: %v", fault, err)
		}
		if got := d.afterPowerCut(path); !slices.Equal(got, []string{"third"}) {
			t.Errorf("step %d failed: after the next Replace the file may hold %q; want only %q", fault, got, "third")
		}
	}
}

// The disk above must show what goes wrong with the usual shortcuts, or its verdict on
// replace means nothing.
func TestCrashDiskShowsFaultyWriters(t *testing.T) {
	const path = "state/journal"
	tests := []struct {
		name  string
		write func(d *crashDisk)
		want  string // one content that is neither old nor new
	}{
		{
			name: "file removed and written anew",
			write: func(d *crashDisk) {
				d.remove(path)
				write(d, path, []byte("new content"), 0)
			},
			want: absent,
		},
		{
			name: "renamed without a flush",
			write: func(d *crashDisk) {
				f, _ := d.create(path+".new", 0)
				f.Write([]byte("new content"))
				f.Close()
				d.rename(path+".new", path)
				d.syncDir(filepath.Dir(path))
			},
			want: "",
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			d := newCrashDisk(path, "old")
			tt.write(d)
			if got := d.afterPowerCut(path); !slices.Contains(got, tt.want) {
				t.Errorf("after a power cut: %q; want %q among them", got, tt.want)
			}
		})
	}
}
