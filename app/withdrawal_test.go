package app

import (
	"fmt"
	"net/http"
	"testing"
	"testing/synctest"
	"time"
)

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
		{"by a panel whose document is gone then", func(h *fakeHub, w *watched) {
			time.Sleep(time.Minute)
			h.put(currentName, taken(1, true))
			time.Sleep(10 * time.Second)
			h.delete(currentName)
		}, Waiting},
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

// TestAPanelThatIsArmedAnywayHasNotTakenAWish: it says itself which one it has taken.
func TestAPanelThatIsArmedAnywayHasNotTakenAWish(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h, w := living(t)
		h.set(desiredName, 6, wishOff)
		h.put(currentName, taken(6, true)) // somebody at the panel armed it
		time.Sleep(desiredPace + time.Second)
		w.wish(true, "Anna")
		time.Sleep(time.Second)
		w.wantWish(true, "Anna", Done)
		h.put(currentName, taken(6, false)) // and disarmed it
		time.Sleep(time.Second)
		w.wantWish(true, "Anna", Waiting)
		time.Sleep(Withdraw)
		w.wantWish(true, "Anna", Withdrawn)
	})
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
