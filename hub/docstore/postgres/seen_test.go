package postgres

import (
	"testing"

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
