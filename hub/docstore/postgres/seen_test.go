package postgres

import (
	"context"
	"testing"

	"github.com/twinpanel/twinpanel/hub/peers"
	"github.com/twinpanel/twinpanel/internal/pgtest"
)

// A hub asks by a Seen of nothing whether it can write: not on a server that has become a standby, nor without the right to.
func TestSeenOfNothingNeedsADatabaseThatTakesWrites(t *testing.T) {
	url := pgtest.URL(t)
	mustOpen(t, url)
	for name, statement := range map[string]string{
		"a standby":    "SET default_transaction_read_only = on",
		"a right less": "SET ROLE pg_read_all_data",
	} {
		t.Run(name, func(t *testing.T) {
			db := mustOpen(t, url)
			if err := db.Seen(t.Context(), nil, nil); err != nil {
				t.Fatalf("before: %v", err)
			}
			for _, conn := range db.updates.AcquireAllIdle(t.Context()) {
				if _, err := conn.Exec(t.Context(), statement); err != nil {
					t.Fatal(err)
				}
				conn.Release()
			}
			if err := db.Seen(t.Context(), nil, nil); err == nil {
				t.Error("Seen of nothing finds nothing wrong")
			}
		})
	}
}

func TestHubsThatRun(t *testing.T) {
	url := pgtest.URL(t)
	command, hub := mustOpen(t, url), mustOpen(t, url)
	hubs := func() int {
		n, err := command.Hubs(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		return n
	}
	if n := hubs(); n != 0 {
		t.Errorf("%d hubs run, want none: a command is no hub", n)
	}
	ctx, stop := context.WithCancel(t.Context())
	ended := make(chan struct{})
	go func() {
		hub.Listen(ctx, func(peers.News) {})
		close(ended)
	}()
	eventually(t, "a hub runs", func() bool { return hubs() == 1 })
	if n, err := hub.Hubs(t.Context()); n != 0 || err != nil {
		t.Errorf("the hub finds %d others, %v; want none", n, err)
	}
	stop()
	<-ended
	if err := hub.Close(); err != nil {
		t.Fatal(err)
	}
	eventually(t, "no hub runs", func() bool { return hubs() == 0 })
}
