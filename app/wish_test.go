package app

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/http"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// puts are the documents that were put so far.
func (h *fakeHub) puts() (data []string) {
	for _, q := range h.seen(http.MethodPut, desiredName) {
		data = append(data, string(q.update.Data))
	}
	return data
}

// taken is current of a panel that has done this version of desired.
func taken(version int, armed bool) string {
	return says(fmt.Sprintf("alarm_armed=%t", armed), fmt.Sprintf("desired_version=%d", version), "heartbeat_s=300")
}

const withdrawn = `{"alarm_armed":false,"by":"Anna","withdrawn":true}`

// living is a watcher somebody looks at, of a disarmed panel that lives.
func living(t *testing.T) (*fakeHub, *watched) {
	t.Helper()
	h := newFakeHub()
	w := watch(t, h, 0)
	_, leave := w.Join()
	t.Cleanup(leave)
	time.Sleep(time.Second)
	h.put(currentName, taken(0, false))
	time.Sleep(time.Second)
	w.want(Disarmed)
	return h, w
}

func TestAWishThatFails(t *testing.T) {
	for _, tt := range []struct {
		name  string
		fault func(request) (*http.Response, error)
		why   string
		maybe bool
	}{
		{"the hub can't be reached", func(request) (*http.Response, error) {
			return nil, errors.New("connection reset by peer")
		}, WhyUnreachable, true},
		{"the hub hangs", hangs, WhySlow, true},
		{"the token may not write", func(request) (*http.Response, error) {
			return answerWith(403, `{"type":"permissions_denied"}`), nil
		}, WhyDenied, false},
		{"the device is gone", func(request) (*http.Response, error) { return answerWith(404, `{"type":"not_found"}`), nil }, WhyRefused, false},
		{"no hub", func(request) (*http.Response, error) { return answerWith(200, `<html>`), nil }, WhyNonsense, true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				h, w := living(t)
				h.fault(only("PUT", desiredName, tt.fault))
				h.forget()
				err := w.Wish(t.Context(), true, "Anna")
				checkTrouble(t, err, tt.why, "", tt.maybe)
				failed := time.Now()
				time.Sleep(time.Minute)
				if v := w.want(Disarmed); v.Wish != nil {
					t.Errorf("shows a wish that wasn't sent: %s", asJSON(v.Wish))
				}
				if n := len(h.puts()); n != 1 {
					t.Errorf("sent %d times", n)
				}
				if !slices.ContainsFunc(h.seen("GET", desiredName), func(q request) bool { return !q.at.Before(failed) && q.at.Sub(failed) < time.Second }) {
					t.Error("nobody looked whether it was written")
				}
			})
		})
	}
}

// TestAWishWhoseAnswerIsLost is on its way all the same, and shown as soon as that is known.
func TestAWishWhoseAnswerIsLost(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h, w := living(t)
		h.after = func(q request) {
			if q.method == http.MethodPut {
				<-q.r.Context().Done()
			}
		}
		err := w.Wish(t.Context(), true, "Anna")
		checkTrouble(t, err, WhySlow, "no whole answer", true)
		time.Sleep(time.Second)
		w.want(Arming)
		w.wantWish(true, "Anna", Waiting)
	})
}

func TestAWishIsShownUntilItIsDone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h, w := living(t)
		w.wish(true, "  Anna\x1b\u202e ")
		if got := h.puts(); !slices.Equal(got, []string{wishWith(true, "Anna")}) {
			t.Errorf("put %q", got)
		}
		w.wantWish(true, "Anna", Waiting)
		w.want(Arming)
		time.Sleep(Confirm - time.Millisecond)
		w.want(Arming)
		time.Sleep(time.Millisecond)
		w.want(NotArmed)
		h.put(currentName, taken(1, true))
		time.Sleep(DefaultPoll)
		w.want(Armed)
		w.wantWish(true, "Anna", Done)

		w.wish(false, "")
		if got := h.get(desiredName); got != `{"alarm_armed":false}` {
			t.Errorf("put %s", got)
		}
		w.want(Disarming)
		time.Sleep(Confirm)
		w.want(StillArmed)
		time.Sleep(10 * time.Minute)
		w.wantWish(false, "", Waiting) // for ever: nobody arms again by himself
		if n := len(h.puts()); n != 2 {
			t.Errorf("%d puts", n)
		}
	})
}

func wishWith(armed bool, by string) string {
	return fmt.Sprintf(`{"alarm_armed":%t,"by":%q}`, armed, by)
}

func TestAWishOfSomebodyElseIsShown(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h, w := living(t)
		h.put(desiredName, `{"alarm_armed":true}`)
		time.Sleep(desiredPace + time.Second)
		w.want(Arming)
		w.wantWish(true, "", Waiting)
		time.Sleep(10 * time.Minute)
		w.wantWish(true, "", Waiting) // it isn't ours to take back
		h.put(desiredName, wishWith(false, "Ben"))
		time.Sleep(desiredPace + time.Second)
		w.wantWish(false, "Ben", Done)
		if n := len(h.puts()); n != 0 {
			t.Errorf("%d puts", n)
		}
	})
}

func TestTapsAreSentInOrder(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h, w := living(t)
		h.fault(only("PUT", desiredName, slow(time.Second)))
		var all sync.WaitGroup
		tap := func(armed bool, by string) {
			all.Go(func() {
				if err := w.Wish(t.Context(), armed, by); err != nil {
					t.Error(err)
				}
			})
			time.Sleep(10 * time.Millisecond)
		}
		tap(true, "Anna")
		tap(true, "Anna") // joins
		tap(true, "Anna")
		tap(false, "Ben")
		tap(false, "Ben")
		tap(true, "Anna") // the first one is not this one: Ben's comes between
		all.Wait()
		want := []string{wishWith(true, "Anna"), wishWith(false, "Ben"), wishWith(true, "Anna")}
		if got := h.puts(); !slices.Equal(got, want) {
			t.Errorf("put %q, want %q", got, want)
		}
		w.wantWish(true, "Anna", Waiting)
	})
}

func TestTooManyTaps(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h, w := living(t)
		h.fault(only("PUT", desiredName, hangs))
		errs := make(chan error, 100)
		for n := range 100 {
			go func() { errs <- w.Wish(t.Context(), true, fmt.Sprint("Anna ", n)) }()
			synctest.Wait()
		}
		refused := 0
		for range 100 {
			if err := <-errs; err == ErrTooManyWishes {
				refused++
			}
		}
		if refused != 100-maxWishes-1 {
			t.Errorf("refused %d", refused)
		}
	})
}

// TestDisarmingOvertakes: a siren doesn't wait for those who want to arm, nor for each other's taps.
func TestDisarmingOvertakes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h, w := living(t)
		h.fault(only("PUT", desiredName, hangs))
		errs := map[string]chan error{}
		tap := func(armed bool, by string) {
			told := make(chan error, 1)
			errs[by] = told
			go func() { told <- w.Wish(t.Context(), armed, by) }()
			synctest.Wait()
		}
		start := time.Now()
		for n := range maxWishes + 1 {
			tap(true, fmt.Sprint("Anna ", n))
		}
		tap(false, "Ben")
		tap(true, "Carl")
		tap(false, "Dora")
		tap(true, "Emil")
		h.fault(nil)
		for _, by := range []string{"Anna 1", "Anna 8", "Ben", "Carl", "Dora", "Emil"} {
			if err := <-errs[by]; err != nil {
				t.Errorf("%s was told %v", by, err)
			}
		}
		if err := <-errs["Anna 0"]; err == nil {
			t.Error("the one that hung was told that the hub has it")
		}
		want := []string{wishWith(true, "Anna 0"), wishWith(false, "Dora"), wishWith(true, "Emil")}
		if got := h.puts(); !slices.Equal(got, want) {
			t.Errorf("put %q, want %q", got, want)
		}
		if took := time.Since(start); took > requestTimeout {
			t.Errorf("it took %v: more than the one that hung", took)
		}
	})
}

func TestAWishGoesOnWithoutItsPhone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h, w := living(t)
		h.fault(only("PUT", desiredName, slow(2*time.Second)))
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if err := w.Wish(ctx, true, "Anna"); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("got %v", err)
		}
		time.Sleep(2 * time.Second)
		w.wantWish(true, "Anna", Waiting)
		if age := w.View().Wish.AgeMS; age != 3000 {
			t.Errorf("the wish is %d ms old, want 3000 since the tap", age)
		}
	})
}

// TestAnOldAnswerIsNoNewWish: desired was read before a put, but the answer comes after it.
func TestAnOldAnswerIsNoNewWish(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h, w := living(t)
		h.put(desiredName, wishWith(false, "Ben"))
		time.Sleep(desiredPace + time.Second)
		w.wantWish(false, "Ben", Done)
		h.mu.Lock()
		h.after = func(q request) { // the hub has done it, and its answer is on its way
			if q.method == http.MethodGet && q.name == desiredName {
				time.Sleep(3 * time.Second)
			}
		}
		h.mu.Unlock()
		h.forget()
		for len(h.seen("GET", desiredName)) == 0 {
			time.Sleep(10 * time.Millisecond)
		}
		w.wish(true, "Anna")
		for range 100 {
			w.wantWish(true, "Anna", Waiting)
			time.Sleep(100 * time.Millisecond)
		}
	})
}

// TestTwoPhonesAtOnce: however their taps mix, and whatever fails, in the end there is one state.
func TestTwoPhonesAtOnce(t *testing.T) {
	for seed := range uint64(40) {
		synctest.Test(t, func(t *testing.T) {
			h, w := living(t)
			random := rand.New(rand.NewPCG(seed, 6))
			var mu sync.Mutex // of random, in faults
			h.fault(func(q request) (*http.Response, error) {
				mu.Lock()
				n, d := random.IntN(10), time.Duration(random.IntN(3000))*time.Millisecond
				mu.Unlock()
				switch {
				case n == 0:
					return hangs(q)
				case n == 1:
					return refused(q)
				case n < 5:
					return slow(d)(q)
				}
				return nil, nil
			})
			var phones sync.WaitGroup
			for _, by := range []string{"Anna", "Ben"} {
				taps := rand.New(rand.NewPCG(seed, uint64(len(by))))
				phones.Go(func() {
					for range 10 {
						time.Sleep(time.Duration(taps.IntN(4000)) * time.Millisecond)
						_ = w.Wish(t.Context(), taps.IntN(2) == 0, by)
					}
				})
			}
			phones.Wait()
			h.fault(nil)
			time.Sleep(20 * time.Second)
			d, ok := parseDesired([]byte(h.get(desiredName)))
			if !ok {
				t.Fatal("not one tap came through")
			}
			w.wantWish(d.armed, d.by, map[bool]Outcome{true: Waiting, false: Done}[d.armed])
			// The panel does it.
			h.mu.Lock()
			version := h.docs[desiredName].Version
			h.mu.Unlock()
			h.put(currentName, taken(int(version), d.armed))
			time.Sleep(time.Second)
			w.wantWish(d.armed, d.by, Done)
			w.want(map[bool]Row{true: Armed, false: Disarmed}[d.armed])
		})
	}
}
