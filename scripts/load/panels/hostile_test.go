package panels

import (
	"net"
	"testing"
	"testing/synctest"
	"time"
)

// A hub ends hostile clients; those that flood aside, who are served as fast as they read.
func TestHostileClientsAreEnded(t *testing.T) {
	for _, tt := range []struct {
		name string
		be   hostile
		end  time.Duration
	}{
		{"deaf", deaf, 10 * time.Second},
		{"malformed", malformed, 0},
		{"vanish", vanish, 0},
		{"silent", silent, 5 * time.Second},
	} {
		synctest.Test(t, func(t *testing.T) {
			h, _ := newHub(t)
			began := time.Now()
			tt.be(t.Context(), func() (net.Conn, error) {
				ours, theirs := net.Pipe()
				go h.ServeConn(theirs)
				return ours, nil
			}, 7)
			if took := time.Since(began); took != tt.end {
				t.Errorf("%s: ended after %v, want %v", tt.name, took, tt.end)
			}
			if err := h.Close(); err != nil {
				t.Error(err)
			}
		})
	}
}
