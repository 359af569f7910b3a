//go:build linux

package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/spf13/pflag"

	"github.com/twinpanel/twinpanel/hub/docstore"
	"github.com/twinpanel/twinpanel/hub/docstore/sqlite"
	"github.com/twinpanel/twinpanel/scripts/load/panels"
)

// A bareStore writes to a data folder as the hub does for patches, without MQTT, JSON and devices: get, then put with the
// exact version.
type bareStore struct {
	data    string
	writers int
	time    time.Duration
}

func (b *bareStore) flags(fs *pflag.FlagSet) {
	fs.StringVar(&b.data, "data", "", "data `folder`")
	fs.IntVar(&b.writers, "writers", 1, "writers, each with a document of its own")
	fs.DurationVar(&b.time, "time", time.Second, "how long")
}

// run prints how many writes a second were durable.
func (b *bareStore) run(ctx context.Context, _ []string, stdout, _ io.Writer) (err error) {
	db, err := sqlite.Open(b.data, sqlite.Options{})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, db.Close()) }()
	keys := make([]docstore.Key, b.writers)
	for i := range keys {
		keys[i] = docstore.Key{Twin: panels.ID(i), Name: panels.CurrentName}
		if _, err := db.Put(ctx, keys[i], docstore.Any, panels.Current(i, 0)); err != nil {
			return err
		}
	}
	var done atomic.Int64
	errs := make([]error, b.writers)
	var wg sync.WaitGroup
	end := time.Now().Add(b.time)
	for i, key := range keys {
		wg.Go(func() {
			for beat := 1; time.Now().Before(end) && errs[i] == nil; beat++ {
				if errs[i] = readModifyWrite(ctx, db, key, panels.Current(i, beat)); time.Now().Before(end) {
					done.Add(1)
				}
			}
		})
	}
	wg.Wait()
	if err := errors.Join(errs...); err != nil {
		return err
	}
	return json.NewEncoder(stdout).Encode(float64(done.Load()) / b.time.Seconds())
}

func readModifyWrite(ctx context.Context, documents docstore.Store, key docstore.Key, data []byte) error {
	doc, err := documents.Get(ctx, key)
	if err != nil {
		return err
	}
	_, err = documents.Put(ctx, key, docstore.If(doc.Version), data)
	return err
}

// runBareStore runs it as a process of its own, which fills no heap and warms no cache of this one.
func (s *stage) runBareStore(ctx context.Context, writers int) (perSecond float64, err error) {
	cmd, err := itself(ctx, "store", "--data", s.path("bare"), "--writers", fmt.Sprint(writers), "--time", s.time.String())
	if err != nil {
		return 0, err
	}
	out, err := cmd.Output()
	if err != nil {
		return 0, fmt.Errorf("writing to the bare store: %w", err)
	}
	return perSecond, json.Unmarshal(out, &perSecond)
}

// measureDisk returns how many appends of a page the disk makes durable in a second, one after the other.
func (s *stage) measureDisk() (perSecond float64, err error) {
	f, err := os.Create(s.path("append"))
	if err != nil {
		return 0, err
	}
	defer func() { err = errors.Join(err, f.Close(), os.Remove(f.Name())) }()
	page := make([]byte, 4096)
	n, start := 0, time.Now()
	for time.Since(start) < s.time {
		if _, err := f.Write(page); err != nil {
			return 0, err
		}
		if err := syscall.Fdatasync(int(f.Fd())); err != nil {
			return 0, fmt.Errorf("syncing: %w", err)
		}
		n++
	}
	return float64(n) / time.Since(start).Seconds(), nil
}
