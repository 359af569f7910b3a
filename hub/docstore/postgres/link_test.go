package postgres

import (
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/twinpanel/twinpanel/hub/docstore"
	"github.com/twinpanel/twinpanel/hub/peers"
	"github.com/twinpanel/twinpanel/hub/peers/peerstest"
	"github.com/twinpanel/twinpanel/internal/pgtest"
	"github.com/twinpanel/twinpanel/twin"
)

// testPatience is for what must happen, on a machine that has much else to do.
const testPatience = 30 * time.Second

// eventually waits until something is true.
func eventually(t *testing.T, what string, is func() bool) {
	t.Helper()
	for end := time.Now().Add(testPatience); !is(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("still not so: %s", what)
		}
	}
}

// listen hands over what a hub on the database hears, until the test ends.
func (db *DB) listen(t *testing.T) <-chan peers.News {
	t.Helper()
	heard := make(chan peers.News, 1000)
	ctx, stop := context.WithCancel(context.Background())
	var listening sync.WaitGroup
	listening.Go(func() { db.Listen(ctx, func(n peers.News) { heard <- n }) })
	t.Cleanup(func() {
		stop()
		listening.Wait()
	})
	return heard
}

// next is the next news that comes.
func next(t *testing.T, heard <-chan peers.News) peers.News {
	t.Helper()
	select {
	case n := <-heard:
		return n
	case <-time.After(testPatience):
		t.Fatal("nothing is heard")
		return peers.News{}
	}
}

func wantMissed(t *testing.T, heard <-chan peers.News) {
	t.Helper()
	if n := next(t, heard); !n.Missed {
		t.Fatalf("heard %+v, want that something was missed", n)
	}
}

func (db *DB) execute(t *testing.T, sql string, args ...any) int64 {
	t.Helper()
	tag, err := db.updates.Exec(t.Context(), sql, args...)
	if err != nil {
		t.Fatal(err)
	}
	return tag.RowsAffected()
}

// endListeners ends the connections over which hubs listen, as an administrator does.
func (db *DB) endListeners(t *testing.T) {
	t.Helper()
	if n := db.execute(t, "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE query LIKE 'LISTEN%' AND datname = current_database()"); n == 0 {
		t.Fatal("nobody listens")
	}
}

// A lockedBuffer is a log that may be read while it is written.
type lockedBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *lockedBuffer) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *lockedBuffer) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

func openLogged(t *testing.T, url string) (*DB, *lockedBuffer) {
	t.Helper()
	log := new(lockedBuffer)
	db, err := Open(t.Context(), url, Options{Logger: slog.New(slog.NewTextHandler(log, nil))})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { db.Close() })
	return db, log
}

func TestLink(t *testing.T) {
	t.Parallel()
	peerstest.Run(t, func(t *testing.T) (a, b peerstest.Hub) {
		url := pgtest.URL(t)
		one, two := mustOpen(t, url), mustOpen(t, url)
		return peerstest.Hub{Link: one, Registry: one}, peerstest.Hub{Link: two, Registry: two}
	})
}

// Many changes are few notifications.
func TestNotificationsAreGathered(t *testing.T) {
	const changes = 5000
	url := pgtest.URL(t)
	a, b := mustOpen(t, url), mustOpen(t, url)
	heard := b.listen(t)
	wantMissed(t, heard)
	for n := range changes {
		a.Changed(docstore.Key{Twin: panelID, Name: twin.Name(fmt.Sprint(n))})
	}
	notifications := 0
	for all := 0; all < changes; {
		n := next(t, heard)
		if n.Missed {
			t.Fatal("something was missed")
		}
		notifications++
		all += len(n.Changed)
	}
	if notifications > changes/50 {
		t.Errorf("%d changes made %d notifications", changes, notifications)
	}
	t.Logf("%d changes made %d notifications", changes, notifications)
}

// A connection that ends while it listens is made anew, and then anything may have been missed.
func TestListenerIsEnded(t *testing.T) {
	url := pgtest.URL(t)
	a, log := openLogged(t, url)
	b := mustOpen(t, url)
	heard := a.listen(t)
	wantMissed(t, heard)
	for range 2 {
		b.endListeners(t)
		wantMissed(t, heard)
		b.HubChanged()
		if n := next(t, heard); !n.Hub {
			t.Errorf("heard %+v, want what the other told", n)
		}
	}
	for _, want := range []string{"level=WARN msg=\"other hubs can't be heard: trying again\"", "level=INFO msg=\"other hubs can be heard again\""} {
		if n := strings.Count(log.String(), want); n != 2 {
			t.Errorf("the log says %d times %q, want 2 times:\n%s", n, want, log)
		}
	}
}

// When the server is back the hubs hear each other again, and a hub whose presence the server has lost enters it again.
func TestServerIsKilled(t *testing.T) {
	t.Parallel()
	s := pgtest.New(t, pgtest.Options{})
	url, err := s.NewDatabase("hubs")
	if err != nil {
		t.Fatal(err)
	}
	a, log := openLogged(t, url)
	b := mustOpen(t, url)
	fromB, fromA := a.listen(t), b.listen(t)
	wantMissed(t, fromA)
	wantMissed(t, fromB)
	a.Connected(panelID, true)
	eventually(t, "b knows of a's connection", func() bool {
		e, err := b.Elsewhere(t.Context(), nil)
		return err == nil && e[panelID]
	})
	if err := s.Kill(); err != nil {
		t.Fatal(err)
	}
	a.Changed(docstore.Key{Twin: panelID, Name: "desired"})
	eventually(t, "a has noticed", func() bool { return strings.Contains(log.String(), "other hubs can't be told what happens here") })
	if err := s.Restart(); err != nil {
		t.Fatal(err)
	}
	wantMissed(t, fromA) // which stands for what was told before b listened
	eventually(t, "a has told it", func() bool { return strings.Contains(log.String(), "other hubs are told again what happens here") })
	a.HubChanged()
	for !next(t, fromA).Hub {
		continue
	}
	eventually(t, "b knows of a's connection again", func() bool {
		e, err := b.Elsewhere(t.Context(), nil)
		return err == nil && e[panelID]
	})
}

// A server that knows no LISTEN is looked at again and again, which the log says once.
func TestServerWithoutListen(t *testing.T) {
	db, log := openLogged(t, pgtest.URL(t))
	db.link.listening, db.link.look = "LISTEN TO WHAT OTHERS TELL", time.Millisecond
	heard := db.listen(t)
	for range 10 {
		wantMissed(t, heard)
	}
	if n := strings.Count(log.String(), "each looks for itself"); n != 1 {
		t.Errorf("the log says so %d times:\n%s", n, log)
	}
}

// A hub that ends tells what it has not told yet.
func TestCloseTellsWhatIsUntold(t *testing.T) {
	url := pgtest.URL(t)
	b := mustOpen(t, url)
	heard := b.listen(t)
	wantMissed(t, heard)
	for range 5 {
		a := mustOpen(t, url)
		const changes = 500
		for n := range changes {
			a.Changed(docstore.Key{Twin: panelID, Name: twin.Name(fmt.Sprint(n))})
		}
		if err := a.Close(); err != nil {
			t.Fatal(err)
		}
		for all := 0; all < changes; {
			all += len(next(t, heard).Changed)
		}
	}
}

// A hub that was killed counts no more when its lease has ended. Another one removes it, and all look for what it may
// not have told. One that was only slow, and was removed, enters itself again.
func TestPresenceOfAKilledHub(t *testing.T) {
	url := pgtest.URL(t)
	a, b := mustOpen(t, url), mustOpen(t, url)
	a.link.renew = 50 * time.Millisecond
	heard := a.listen(t)
	wantMissed(t, heard)
	a.Connected(otherID, true)
	b.execute(t, insertLease, "KILLED")
	b.execute(t, insertConnections, "KILLED", []string{string(panelID)})
	eventually(t, "its device is connected", func() bool {
		e, err := a.Elsewhere(t.Context(), nil)
		return err == nil && e[panelID]
	})
	b.execute(t, "UPDATE twinpanel.hubs SET until = clock_timestamp() - interval '1 second'")
	wantMissed(t, heard)
	e, err := a.Elsewhere(t.Context(), nil)
	if err != nil || len(e) > 0 {
		t.Errorf("after its end: %v, %v; want nobody", e, err)
	}
	b.execute(t, deleteLease, a.link.sender)
	eventually(t, "a is there again", func() bool {
		e, err := b.Elsewhere(t.Context(), nil)
		return err == nil && e[otherID]
	})
	if n := b.execute(t, "SELECT FROM twinpanel.connections WHERE hub = 'KILLED'"); n != 0 {
		t.Errorf("%d of its connections are left", n)
	}
}

// A hub that has ended leaves nothing behind, nor does a command that never listened.
func TestPresenceEnds(t *testing.T) {
	url := pgtest.URL(t)
	a, b := mustOpen(t, url), mustOpen(t, url)
	ctx, stop := context.WithCancel(t.Context())
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		a.Listen(ctx, func(peers.News) {})
	}()
	a.Connected(panelID, true)
	eventually(t, "connected", func() bool {
		e, err := b.Elsewhere(t.Context(), nil)
		return err == nil && e[panelID]
	})
	stop()
	<-ended
	if err := a.Close(); err != nil {
		t.Error(err)
	}
	for _, table := range []string{"hubs", "connections"} {
		if n := b.execute(t, "SELECT FROM "+pgx.Identifier{"twinpanel", table}.Sanitize()); n != 0 {
			t.Errorf("%d rows are left in %s", n, table)
		}
	}
	eventually(t, "no connection is left", func() bool {
		return b.execute(t, "SELECT FROM pg_stat_activity WHERE query LIKE 'LISTEN%' AND datname = current_database()") == 0
	})
}
