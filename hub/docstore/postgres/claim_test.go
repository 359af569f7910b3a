package postgres

import (
	"context"
	"errors"
	"testing"

	"github.com/twinpanel/twinpanel/hub/peers"
	"github.com/twinpanel/twinpanel/internal/pgtest"
)

// wantInUse wants a claim to be refused, with a hint.
func wantInUse(t *testing.T, what string, err error) {
	t.Helper()
	hint, ok := errors.AsType[interface {
		error
		Hint() string
	}](err)
	if !errors.Is(err, ErrInUse) || !ok || hint.Hint() == "" {
		t.Errorf("%s: got %v, want %v with a hint", what, err, ErrInUse)
	}
}

func TestClaimIsForOne(t *testing.T) {
	t.Parallel()
	url := pgtest.URL(t)
	one, two := mustOpen(t, url), mustOpen(t, url)
	claim, err := one.Claim(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	_, err = two.Claim(t.Context())
	wantInUse(t, "a second claim", err)
	wantInUse(t, "a hub that starts", two.CheckUnclaimed(t.Context()))
	other, err := mustOpen(t, pgtest.URL(t)).Claim(t.Context())
	if err != nil {
		t.Errorf("of another database: %v", err)
	} else if err := other.Close(); err != nil {
		t.Error(err)
	}
	if err := claim.Check(t.Context()); err != nil {
		t.Errorf("a claim that holds: %v", err)
	}
	if err := claim.Close(); err != nil {
		t.Fatal(err)
	}
	if err := claim.Check(t.Context()); err == nil {
		t.Error("a claim that was given up still holds")
	}
	for range 2 { // which leaves no lock behind
		if err := one.CheckUnclaimed(t.Context()); err != nil {
			t.Errorf("a hub that starts after the claim was given up: %v", err)
		}
	}
	claim, err = two.Claim(t.Context())
	if err != nil {
		t.Fatalf("after the first was given up: %v", err)
	}
	// The session with the lock breaks.
	one.execute(t, "SELECT pg_terminate_backend(pid) FROM pg_locks WHERE locktype = 'advisory' AND database = (SELECT oid FROM pg_database WHERE datname = current_database())")
	if err := claim.Check(t.Context()); err == nil {
		t.Error("a claim whose session is gone still holds")
	}
	_ = claim.Close()
}

func TestClaimNeedsAllHubsToEnd(t *testing.T) {
	url := pgtest.URL(t)
	command, hub := mustOpen(t, url), mustOpen(t, url)
	claim, err := command.Claim(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(t.Context())
	ended := make(chan struct{})
	go func() {
		hub.Listen(ctx, func(peers.News) {})
		close(ended)
	}()
	eventually(t, "the claim finds the hub", func() bool { return errors.Is(claim.Check(t.Context()), ErrInUse) })
	wantInUse(t, "a hub has started", claim.Check(t.Context()))
	if err := claim.Close(); err != nil {
		t.Fatal(err)
	}
	_, err = command.Claim(t.Context())
	wantInUse(t, "a hub runs", err)
	stop()
	<-ended
	if err := hub.Close(); err != nil {
		t.Fatal(err)
	}
	claim, err = command.Claim(t.Context())
	if err != nil {
		t.Fatalf("the hub has ended: %v", err)
	}
	if err := claim.Close(); err != nil {
		t.Error(err)
	}
}
