//go:build linux

package main

import (
	"context"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"os"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
)

// A registrar adds and removes devices and tokens and makes backups by the hub's commands, one after the other, and
// knows what has to be there. Each name is added once.
type registrar struct {
	last    int
	present map[string]bool // "token NAME" and "device NAME" whose last command was acknowledged; false = removed
	unsure  string          // whose last command was killed or failed; empty = none
	backups []*backup

	acknowledged, killed int

	mayFail atomic.Bool // since the disk has trouble
	cut     atomic.Bool // see [load]
	ending  atomic.Bool
	kill    context.CancelFunc // kills the command under way
	wg      sync.WaitGroup
	err     error // what must not be
}

func newRegistrar() *registrar { return &registrar{present: map[string]bool{}} }

// start runs commands until the registrar is ended, or one of them fails where that may be.
func (r *registrar) start(h *hub, b *book, random *rand.Rand) {
	ctx, kill := context.WithCancel(context.Background())
	r.kill = kill
	r.ending.Store(false)
	r.mayFail.Store(false)
	r.cut.Store(false)
	own := rand.New(rand.NewPCG(random.Uint64(), random.Uint64()))
	r.wg.Go(func() {
		for !r.ending.Load() && r.err == nil && r.unsure == "" {
			if own.IntN(5) == 0 {
				r.backUp(ctx, h, b)
			} else {
				r.step(ctx, h, own)
			}
		}
	})
}

// end waits for the command under way, which it may kill.
func (r *registrar) end(kill bool) error {
	r.ending.Store(true)
	if kill {
		r.kill()
	}
	r.wg.Wait()
	r.kill()
	return r.err
}

// backUp makes a backup. One that fails with a disk leaves nothing to be unsure of.
func (r *registrar) backUp(ctx context.Context, h *hub, b *book) {
	r.last++
	made, err := backUp(ctx, h, b, r.there(), r.last)
	if made != nil {
		made.made = err == nil && !r.cut.Load()
		r.backups = append(r.backups, made)
	}
	switch {
	case r.cut.Load():
	case err == nil:
		r.acknowledged++
	case ctx.Err() != nil:
		r.killed++
	case !r.mayFail.Load():
		r.err = err
	}
}

// step adds a device or token, or removes one.
func (r *registrar) step(ctx context.Context, h *hub, random *rand.Rand) {
	r.last++
	kind := [...]string{"token", "device"}[random.IntN(2)]
	name := fmt.Sprintf("extra-%d", r.last)
	args := []string{kind, "add", name}
	if there := r.there(); len(there) > 0 && random.IntN(3) == 0 {
		kind, name, _ = strings.Cut(there[random.IntN(len(there))], " ")
		args = []string{kind, map[string]string{"token": "revoke", "device": "remove"}[kind], name}
	}
	_, err := h.command(ctx, args...)
	what := kind + " " + name
	switch {
	case r.cut.Load():
		r.unsure = what
	case err == nil:
		r.acknowledged++
		r.present[what] = args[1] == "add"
	case ctx.Err() != nil:
		r.killed++
		r.unsure = what
	case r.mayFail.Load():
		r.unsure = what
	default:
		r.err = err
	}
}

// there are all that have to be there, in byte order.
func (r *registrar) there() (all []string) {
	for what, present := range r.present {
		if present {
			all = append(all, what)
		}
	}
	slices.Sort(all)
	return all
}

// settle holds what is registered against what has to be.
func (r *registrar) settle(ctx context.Context, h *hub) error {
	found := map[string]bool{}
	for _, kind := range []string{"token", "device"} {
		out, err := h.command(ctx, kind, "list")
		if err != nil {
			return err
		}
		for line := range strings.Lines(out) {
			var one struct{ Name string }
			if err := json.Unmarshal([]byte(line), &one); err != nil {
				return fmt.Errorf("reading hub %s list: %w: %s", kind, err, line)
			}
			found[kind+" "+one.Name] = true
		}
	}
	for _, b := range r.backups {
		if err := b.check(); err != nil {
			return err
		}
	}
	r.backups = nil
	if err := os.RemoveAll(backupFolder(h)); err != nil { // with what killed ones have left
		return err
	}
	if r.unsure != "" {
		r.present[r.unsure], r.unsure = found[r.unsure], ""
	}
	for what, present := range r.present {
		if found[what] != present {
			return fmt.Errorf("%s: that it is there is %t; acknowledged was %t", what, found[what], present)
		}
	}
	return nil
}
