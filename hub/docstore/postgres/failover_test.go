package postgres

import (
	"errors"
	"fmt"
	"net/url"
	"strings"
	"sync"
	"testing"

	"github.com/twinpanel/twinpanel/hub/docstore"
	"github.com/twinpanel/twinpanel/internal/pgtest"
	"github.com/twinpanel/twinpanel/twin"
)

// The server is killed under writes, and its synchronous standby takes over: the hub finds it, and every write that was
// answered is there.
func TestStandbyTakesOver(t *testing.T) {
	t.Parallel()
	primary := pgtest.New(t, pgtest.Options{})
	database, err := primary.NewDatabase("hub")
	if err != nil {
		t.Fatal(err)
	}
	standby, err := primary.Standby()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := standby.Stop(); err != nil {
			t.Error(err)
		}
	})
	mustExec(t, database, "ALTER SYSTEM SET synchronous_standby_names = '*'", "SELECT pg_reload_conf()")
	awaitSetting(t, database, "synchronous_standby_names", "*")
	u, err := url.Parse(database)
	if err != nil {
		t.Fatal(err)
	}
	u.Host = fmt.Sprint("127.0.0.1:", standby.Port, ",") + u.Host // the hub asks the standby first, and doesn't take it, not even to read
	db := mustOpen(t, u.String())
	if _, err := Open(t.Context(), standby.URL("hub"), Options{}); err == nil || !strings.Contains(err.Error(), "takes no writes") {
		t.Errorf("Open of a standby: %v", err)
	}

	const (
		writers = 4
		before  = 30 // answers that each writer has before the server is killed
		after   = 30 // and from the standby
	)
	promoted := make(chan struct{})
	var ready, all sync.WaitGroup
	ready.Add(writers)
	for w := range writers {
		all.Go(func() {
			key := docstore.Key{Twin: twin.ID(fmt.Sprintf("0b6e2b2e-7a4b-4c39-9d5e-%012x", w)), Name: "current"}
			last, unknown := uint32(0), uint32(0)
			for answers, fromStandby := 0, 0; fromStandby < after; {
				taken := isClosed(promoted)
				version, err := db.Put(t.Context(), key, docstore.Any, []byte("{}"))
				if err != nil {
					if _, ok := errors.AsType[*docstore.OutcomeError](err); ok {
						unknown++
					}
					<-promoted // before that there is nothing to be had
					continue
				}
				if version <= last || version > last+1+unknown {
					t.Errorf("writer %d: version %d after %d and %d writes without an outcome", w, version, last, unknown)
				}
				last, unknown = version, 0
				if answers++; answers == before {
					ready.Done()
				}
				if taken {
					fromStandby++
				}
			}
		})
	}
	ready.Wait()
	if err := primary.Kill(); err != nil {
		t.Error(err)
	}
	if err := standby.Promote(); err != nil {
		t.Error(err)
	}
	close(promoted)
	all.Wait()
}

func isClosed(c <-chan struct{}) bool {
	select {
	case <-c:
		return true
	default:
		return false
	}
}
