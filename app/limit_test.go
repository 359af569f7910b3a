package app

import (
	"encoding/binary"
	"errors"
	"net/netip"
	"testing"
	"time"

	"github.com/twinpanel/twinpanel/internal/netgroup"
)

// waitOf is how long an attempt was told to wait; 0: it may be tried.
func waitOf(err error) time.Duration {
	if many, ok := errors.AsType[*TooManyError](err); ok {
		return many.Wait
	}
	return 0
}

func TestAttemptsOfAnAddressWaitLongerEachTime(t *testing.T) {
	var a attempts
	now := time.Now()
	from, other := netip.MustParseAddr("2001:db8::1"), netip.MustParseAddr("2001:db8:0:1::1")
	for i := range 5 {
		if err := a.begin(from, now); err != nil {
			t.Fatalf("attempt %d of 5 free ones: %v", i+1, err)
		}
	}
	for _, want := range []time.Duration{5, 10, 20, 40, 80, 160, 320, 640, 900, 900, 900} {
		want *= time.Second
		neighbour := from.Next()
		if got := waitOf(a.begin(neighbour, now)); got != want {
			t.Fatalf("got wait %v, want %v", got, want)
		}
		now = now.Add(want - 1)
		if got := waitOf(a.begin(from, now)); got != 1 {
			t.Fatalf("a nanosecond before %v are over: got wait %v", want, got)
		}
		if got := waitOf(a.begin(other, now)); got != 0 {
			t.Fatalf("another address has to wait %v", got)
		}
		a.right(other)
		now = now.Add(1)
		if got := waitOf(a.begin(from, now)); got != 0 {
			t.Fatalf("after %v: got wait %v", want, got)
		}
	}
	now = now.Add(forgetAfter)
	for i := range 5 {
		if err := a.begin(from, now); err != nil {
			t.Errorf("a day later, attempt %d: %v", i+1, err)
		}
	}
}

func TestAttemptsAreForgivenByARightOne(t *testing.T) {
	var a attempts
	now := time.Now()
	from := netip.MustParseAddr("192.0.2.1")
	for range 1000 { // also of all addresses together
		if err := a.begin(from, now); err != nil {
			t.Fatal(err)
		}
		a.right(from)
	}
}

// addresses returns the nth of many.
func address(n int) netip.Addr {
	var b [4]byte
	binary.BigEndian.PutUint32(b[:], 10<<24+uint32(n))
	return netip.AddrFrom4(b)
}

func TestAttemptsOfAllAddressesAreLimited(t *testing.T) {
	var a attempts
	start := time.Now()
	tried := 0
	for second := range 24 * 3600 {
		now := start.Add(time.Duration(second) * time.Second)
		err := a.begin(address(second), now)
		if err == nil {
			tried++
		} else if got := waitOf(err); got <= 0 || got > time.Minute {
			t.Fatalf("after %d s: got wait %v, want a minute at most", second, got)
		}
	}
	if want := 60 + 24*60; tried < want-2 || tried > want {
		t.Errorf("a new address each second could try %d in a day, want 60 and one each minute: %d", tried, want)
	}
	quiet := start.Add(25*time.Hour + time.Second)
	for i := range 60 {
		if err := a.begin(address(i), quiet); err != nil {
			t.Fatalf("after an hour of silence, attempt %d: %v", i+1, err)
		}
	}
	if got := waitOf(a.begin(address(60), quiet)); got <= 0 || got > time.Minute {
		t.Errorf("attempt 61 of an hour: got wait %v", got)
	}
}

func TestAttemptsForgetTheAddressThatWasQuietForLongest(t *testing.T) {
	var a attempts
	now := time.Now()
	stubborn := netip.MustParseAddr("192.0.2.1")
	for range 6 {
		a.begin(stubborn, now)
	}
	for n := range maxAddresses + 100 {
		now = now.Add(2 * attemptsEvery)
		if err := a.begin(address(n), now); err != nil {
			t.Fatal(err)
		}
		if n%15 == 0 {
			if err := a.begin(stubborn, now); err != nil {
				t.Fatal(err)
			}
		}
		if got := len(a.addresses); got > maxAddresses {
			t.Fatalf("%d addresses are remembered, want %d at most", got, maxAddresses)
		}
	}
	if a.addresses[netgroup.Of(stubborn)] == nil {
		t.Error("the address that tries again and again is forgotten")
	}
	if a.addresses[netgroup.Of(address(0))] != nil {
		t.Error("an address that was quiet for longest is remembered")
	}
}
