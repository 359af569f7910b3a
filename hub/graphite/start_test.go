package graphite_test

import (
	"context"
	"net"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/twinpanel/twinpanel/hub/graphite"
)

// What can't be reached is in the log at the start, once, until it works.
func TestUnreachableAtTheStart(t *testing.T) {
	for _, tt := range []struct{ uri, fails string }{
		{"tcp://carbon", `level=WARN msg="pushing time series fails: trying for ever" host=carbon error="connecting: connection refused"`},
		{metrics, `level=WARN msg="pushing time series fails: trying for ever" host=graphs.example error="sending: connection refused"`},
	} {
		synctest.Test(t, func(t *testing.T) {
			l := &log{}
			network := &newCarbon().network
			if strings.HasPrefix(tt.uri, "http") {
				network = &newIngest(t).network
			}
			network.set(true)
			p := start(t, tt.uri, network, l)
			time.Sleep(time.Hour)
			if l.text() != tt.fails || len(network.dials()) != 1 {
				t.Errorf("%s: after %d attempts: got log\n%s\nwant one attempt and\n%s", tt.uri, len(network.dials()), l.text(), tt.fails)
			}
			p.Push(points(0, 1))
			time.Sleep(time.Minute)
			if l.text() != tt.fails {
				t.Errorf("%s: with a point: got log\n%s\nwant\n%s", tt.uri, l.text(), tt.fails)
			}
			network.set(false)
			time.Sleep(2 * time.Minute)
			checkStats(t, p, 0, 1, 0)
			_, works, _ := strings.Cut(l.text(), "\n")
			if !strings.HasPrefix(works, `level=INFO msg="pushing time series works again" host=`) || strings.Contains(works, "\n") {
				t.Errorf("%s: got log\n%s\nwant the end of the outage", tt.uri, works)
			}
			checkSecrets(t, l)
		})
	}
}

// A name server or a firewall that doesn't answer keeps the end of a hub no longer than points do.
func TestCloseWhileNobodyAnswersAtTheStart(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := &log{}
		p, err := graphite.New(graphite.Config{URI: "tcp://carbon", Logger: l.logger(),
			Dial: func(ctx context.Context, _, _ string) (net.Conn, error) {
				<-ctx.Done()
				return nil, ctx.Err()
			}})
		if err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Second)
		began := time.Now()
		p.Close()
		if took := time.Since(began); took > 0 || l.text() != "" {
			t.Errorf("took %v and logged %q, want neither", took, l.text())
		}
	})
}
