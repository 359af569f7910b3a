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

func TestAWishToArmIsWithdrawn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h, w := living(t)
		w.wish(true, "Anna")
		time.Sleep(Withdraw - time.Second)
		if v := w.View(); v.Wish.LeftMS == nil || *v.Wish.LeftMS != 1000 {
			t.Errorf("shows %s", asJSON(v.Wish))
		}
		if n := len(h.puts()); n != 1 {
			t.Errorf("%d puts", n)
		}
		time.Sleep(2 * time.Second)
		w.wantWish(true, "Anna", Withdrawn)
		w.want(Disarmed)
		if q := h.seen("PUT", desiredName)[1]; string(q.update.Data) != withdrawn || q.update.Version != 1 {
			t.Errorf("put %s over version %d", q.update.Data, q.update.Version)
		}
		time.Sleep(10 * time.Minute)
		if n := len(h.puts()); n != 2 {
			t.Errorf("%d puts", n)
		}
	})
}

func TestAWishIsWithdrawnWhenTheHubIsBack(t *testing.T) {
	const written = "the answer is lost"
	for _, tt := range []struct {
		name  string
		fault func(request) (*http.Response, error)
		back  time.Duration // of the hub, after the wish's time
	}{
		{"all requests are refused", refused, time.Hour},
		{"the hub hangs", hangs, 10 * time.Minute},
		{"puts fail", only("PUT", desiredName, refused), time.Minute},
		{"puts are denied", only("PUT", desiredName, func(request) (*http.Response, error) {
			return answerWith(403, `{"type":"permissions_denied"}`), nil
		}), 5 * time.Minute},
		{written, only("PUT", desiredName, nil), 0},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				h, w := living(t)
				w.wish(true, "Anna")
				time.Sleep(time.Minute)
				if tt.name == written {
					h.mu.Lock()
					h.after = func(q request) {
						if q.method == http.MethodPut {
							<-q.r.Context().Done()
						}
					}
					h.mu.Unlock()
				} else {
					h.fault(tt.fault)
				}
				time.Sleep(time.Minute + tt.back)
				h.put(currentName, taken(0, false)) // a sign of life
				tries := len(h.puts())
				if most := 2 + int(tt.back/withdrawAgain); tries > most {
					t.Errorf("tried %d times, want %d at the most", tries, most)
				}
				h.fault(nil)
				time.Sleep(lookedBackoff*6/5 + withdrawAgain)
				w.wantWish(true, "Anna", Withdrawn)
				if got := h.get(desiredName); got != withdrawn {
					t.Errorf("desired is %s", got)
				}
				if n := len(h.puts()); n > max(tries, 1)+1 {
					t.Errorf("withdrawn %d times", n-1)
				}
			})
		})
	}
}

// TestAWithdrawalNeverReplacesWhatIsNewer: each of these comes at the moment when a wish would be withdrawn.
func TestAWithdrawalNeverReplacesWhatIsNewer(t *testing.T) {
	for _, tt := range []struct {
		name    string
		meet    func(h *fakeHub) // comes while the withdrawal is on its way
		armed   bool
		by      string
		outcome Outcome
		desired string // afterwards
	}{
		{"somebody asks again, elsewhere", func(h *fakeHub) { h.put(desiredName, wishWith(true, "Ben")) }, true, "Ben", Waiting, wishWith(true, "Ben")},
		{"somebody disarms, elsewhere", func(h *fakeHub) { h.put(desiredName, `{"alarm_armed":false}`) }, false, "", Done, `{"alarm_armed":false}`},
		{"another app withdraws", func(h *fakeHub) { h.put(desiredName, withdrawn) }, true, "Anna", Withdrawn, withdrawn},
		{"the document is made anew", func(h *fakeHub) {
			h.delete(desiredName)
			h.put(desiredName, wishWith(false, "Ben"))
		}, false, "Ben", Done, wishWith(false, "Ben")},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				h, w := living(t)
				h.put(desiredName, "{}") // so that versions go down
				w.wish(true, "Anna")
				h.fault(only("PUT", desiredName, func(request) (*http.Response, error) {
					h.fault(nil)
					tt.meet(h)
					return nil, nil
				}))
				time.Sleep(Withdraw + 10*time.Second)
				if n := len(h.puts()); n != 2 {
					t.Fatalf("%d puts: the withdrawal didn't come at that moment", n)
				}
				if got := h.get(desiredName); got != tt.desired {
					t.Errorf("desired is %s, want %s", got, tt.desired)
				}
				w.wantWish(tt.armed, tt.by, tt.outcome)
			})
		})
	}
}

// TestAWishThatWasTakenIsNotWithdrawn, whenever the panel took it and whatever it did afterwards.
func TestAWishThatWasTakenIsNotWithdrawn(t *testing.T) {
	old := func(armed bool) string { return says(fmt.Sprintf("alarm_armed=%t", armed), "heartbeat_s=300") }
	for _, tt := range []struct {
		name string
		play func(h *fakeHub, w *watched)
		want Outcome
	}{
		{"at the last moment", func(h *fakeHub, w *watched) {
			time.Sleep(Withdraw - time.Millisecond)
			h.put(currentName, taken(1, true))
		}, Done},
		{"while the hub was away for us", func(h *fakeHub, w *watched) {
			time.Sleep(time.Minute)
			h.fault(refused)
			time.Sleep(time.Hour)
			h.put(currentName, taken(1, true))
			h.fault(nil)
		}, Done},
		{"while we tried to withdraw", func(h *fakeHub, w *watched) {
			h.fault(only("PUT", desiredName, refused))
			time.Sleep(Withdraw + time.Second)
			h.put(currentName, taken(1, true))
			h.fault(nil)
		}, Done},
		{"and then somebody at the panel disarmed", func(h *fakeHub, w *watched) {
			time.Sleep(time.Minute)
			h.put(currentName, says("alarm_armed=false", "local=true", "desired_version=1"))
		}, Overruled},
		{"by an older panel, where then somebody disarmed", func(h *fakeHub, w *watched) {
			time.Sleep(time.Minute)
			h.put(currentName, old(true))
			time.Sleep(10 * time.Second)
			h.put(currentName, old(false))
		}, Overruled},
		{"by an older panel that is away then", func(h *fakeHub, w *watched) {
			time.Sleep(time.Minute)
			h.put(currentName, old(true))
			time.Sleep(time.Second)
			h.fault(refused)
			time.Sleep(time.Minute)
			h.put(currentName, old(false))
			h.fault(nil)
		}, Overruled},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				h, w := living(t)
				w.wish(true, "Anna")
				tt.play(h, w)
				time.Sleep(5 * time.Minute)
				w.wantWish(true, "Anna", tt.want)
				if got := h.get(desiredName); got != wishWith(true, "Anna") {
					t.Errorf("desired is %s", got)
				}
			})
		})
	}
}

func TestWithdrawalAfterARestartOfTheApp(t *testing.T) {
	for _, tt := range []struct {
		name, desired, current, after string
	}{
		{"a waiting wish of an app", wishWith(true, "Anna"), taken(0, false), withdrawn},
		{"to a panel that was never seen", wishWith(true, "Anna"), "", withdrawn},
		{"a wish that was taken", wishWith(true, "Anna"), taken(1, true), wishWith(true, "Anna")},
		{"a wish that was taken, and overruled", wishWith(true, "Anna"), says("local=true", "desired_version=1"), wishWith(true, "Anna")},
		{"a wish of nobody", `{"alarm_armed":true}`, taken(0, false), `{"alarm_armed":true}`},
		{"a wish to disarm", wishWith(false, "Anna"), taken(0, true), wishWith(false, "Anna")},
		{"a panel that makes no sense", wishWith(true, "Anna"), `{"alarm_armed":1}`, wishWith(true, "Anna")},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				h := newFakeHub()
				h.put(desiredName, tt.desired)
				if tt.current != "" {
					h.put(currentName, tt.current)
				}
				w := watch(t, h, 0)
				time.Sleep(Withdraw - time.Second)
				if got := h.get(desiredName); got != tt.desired {
					t.Errorf("before its time, desired is %s", got)
				}
				time.Sleep(time.Minute)
				if got := h.get(desiredName); got != tt.after {
					t.Errorf("desired is %s, want %s", got, tt.after)
				}
				w.stop()
			})
		})
	}
}

// TestANamelessWishIsWithdrawn as long as the app knows that it is its own.
func TestANamelessWishIsWithdrawn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h, w := living(t)
		w.wish(true, "")
		time.Sleep(Withdraw + time.Second)
		w.wantWish(true, "", Withdrawn)
		if got := h.get(desiredName); got != `{"alarm_armed":false,"withdrawn":true}` {
			t.Errorf("desired is %s", got)
		}
	})
}
