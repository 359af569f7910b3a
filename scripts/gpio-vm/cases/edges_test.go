//go:build gpiovm

package cases

import (
	"runtime"
	"slices"
	"sync"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// TestManyEdges moves a contact a hundred times, as fast as the machine can. The kernel keeps at most 16 edges for a
// program that is not fast enough; the level that is read in the end must be right.
func TestManyEdges(t *testing.T) {
	b := newBench(t)
	r := b.start()
	r.is("disarmed; door open")
	for i := range 10 {
		high := i%2 == 1
		start := time.Now()
		b.must(b.Burst(front, 100, high))
		t.Logf("100 edges in %v, the last one to high: %v", time.Since(start).Round(time.Microsecond), high)
		if high {
			r.is("disarmed; door open")
		} else {
			r.is("disarmed; door closed")
		}
	}
	r.stop(syscall.SIGTERM)
}

// TestPulses opens the door of an armed panel for a moment: whether it saw that, the siren tells. Under emulation, on a busy
// computer, a machine's processors stand still at times: a pulse that was too long for that reason, or that the panel
// slept through, is tried again.
func TestPulses(t *testing.T) {
	for _, tt := range []struct {
		name            string
		debounce, pulse time.Duration
		rings           bool
	}{
		{"shorter than a debounce of 20 ms", 20 * time.Millisecond, 2 * time.Millisecond, false},
		{"shorter than the usual debounce", 200 * time.Millisecond, 100 * time.Millisecond, false},
		{"shorter than the longest debounce", 300 * time.Millisecond, 200 * time.Millisecond, false},
		{"of 400 ms", 200 * time.Millisecond, 400 * time.Millisecond, true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			b := newBench(t)
			r := b.start("--debounce", tt.debounce.String())
			r.is("disarmed; door open")
			b.move(front, false)
			r.is("disarmed; door closed")
			r.tell("arm")
			for done, tries := 0, 0; done < 3; tries++ {
				if tries == 100 {
					t.Fatal("this computer is too busy: the machine has stood still again and again")
				}
				var lasted time.Duration
				stall := longestStall(func() {
					start := time.Now()
					b.move(front, true)
					time.Sleep(tt.pulse)
					b.move(front, false)
					lasted = time.Since(start)
					time.Sleep(500 * time.Millisecond) // the panel has judged by then
				})
				rang := b.status() != "armed; door closed"
				const sample = 50 * time.Millisecond
				if spare := tt.pulse - tt.debounce - sample; !tt.rings && lasted >= tt.debounce || tt.rings && stall >= spare {
					t.Logf("once more: the pulse lasted %v, and the machine stood still for %v", lasted, stall)
				} else if done++; rang != tt.rings {
					t.Errorf("rings after a pulse of %v: %v; want %v", lasted, rang, tt.rings)
				}
				if rang {
					r.tell("disarm")
					r.tell("arm")
					r.is("armed; door closed")
				}
			}
			r.stop(syscall.SIGTERM)
		})
	}
}

// longestStall does something and returns for how long, at most, one of the machine's processors has run nothing meanwhile.
func longestStall(do func()) time.Duration {
	done := make(chan struct{})
	longest := make([]time.Duration, runtime.NumCPU())
	var watching sync.WaitGroup
	for cpu := range longest {
		watching.Go(func() {
			runtime.LockOSThread() // never unlocked: the thread ends with this function
			var set unix.CPUSet
			set.Set(cpu)
			if err := unix.SchedSetaffinity(0, &set); err != nil {
				panic(err) // a machine without one of its processors
			}
			const tick = 10 * time.Millisecond
			for last := time.Now(); ; {
				select {
				case <-done:
					return
				case <-time.After(tick):
				}
				now := time.Now()
				longest[cpu] = max(longest[cpu], now.Sub(last)-tick)
				last = now
			}
		})
	}
	do()
	close(done)
	watching.Wait()
	return slices.Max(longest)
}
