package graphite_test

import (
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"runtime"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/twinpanel/twinpanel/hub/graphite"
)

const metrics = "http://12345:s3cr%2Bet@graphs.example/graphite/metrics?k=h1dden"

// checkSecrets fails if a log has what only the server may know.
func checkSecrets(t *testing.T, l *log) {
	t.Helper()
	for _, secret := range []string{"s3cr", "12345", "h1dden", "/graphite"} {
		if strings.Contains(l.text(), secret) {
			t.Errorf("the log gives %q away:\n%s", secret, l.text())
		}
	}
}

func TestIngestGetsJSON(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		i, l := newIngest(t), &log{}
		p := start(t, metrics, &i.network, l)
		p.Push([]graphite.Point{
			{Name: "twins.x.current", Path: []string{"data", "in error"}, Tags: map[string]string{"source": "<&>"}, Value: 1, Time: time.Unix(1700000000, 999)},
			{Name: "n", Value: -1e300, Time: time.Unix(1700000001, 0)},
		})
		time.Sleep(2 * time.Second)
		want := `[{"name":"twins.x.current","interval":1,"value":1,"tags":["json_path=data.in%20error","source=\u003c\u0026\u003e"],"time":1700000000},` +
			`{"name":"n","interval":1,"value":-1e+300,"tags":[],"time":1700000001}]`
		r, body := i.request(0)
		checkEqual(t, "body", []string{body}, []string{want})
		user, token, ok := r.BasicAuth()
		if r.Method != "POST" || r.RequestURI != "/graphite/metrics?k=h1dden" || r.Host != "graphs.example" ||
			r.Header.Get("Content-Type") != "application/json" || !ok || user != "12345" || token != "s3cr+et" {
			t.Errorf("request is %s %s of %s with %v", r.Method, r.RequestURI, r.Host, r.Header)
		}
		checkEqual(t, "dials", i.dials(), []string{"tcp graphs.example:80", "tcp graphs.example:80"}) // one at the start
		checkStats(t, p, 0, 2, 0)
		if l.text() != "" {
			t.Errorf("logged %s", l.text())
		}
	})
}

func TestIngestWithoutCredentials(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		i := newIngest(t)
		p := start(t, "http://graphs.example/metrics", &i.network, &log{})
		p.Push(points(0, 1))
		p.Close()
		checkEqual(t, "accepted", i.accepted(), names(0, 1))
		if r, _ := i.request(0); r.Header["Authorization"] != nil {
			t.Error("there is an Authorization")
		}
	})
}

// What a server says of itself and not of the points is tried again until it ends.
func TestAnswersThatAreTriedAgain(t *testing.T) {
	tests := []struct {
		status int
		want   string
	}{
		{301, "the server answers 301 Moved Permanently: redirects are not followed, name the address that it leads to"},
		{307, "the server answers 307 Temporary Redirect: redirects are not followed, name the address that it leads to"},
		{401, "the server answers 401 Unauthorized: check USER and TOKEN"},
		{403, "the server answers 403 Forbidden: check USER and TOKEN"},
		{404, "the server answers 404 Not Found"},
		{408, "the server answers 408 Request Timeout"},
		{429, "the server answers 429 Too Many Requests"},
		{500, "the server answers 500 Internal Server Error"},
		{503, "the server answers 503 Service Unavailable"},
	}
	for _, tt := range tests {
		t.Run(fmt.Sprint(tt.status), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				i, l := newIngest(t), &log{}
				var bad atomic.Bool
				bad.Store(true)
				i.answer = func(w http.ResponseWriter, _ []string) {
					if bad.Load() {
						w.Header().Set("Location", "http://elsewhere.example/metrics")
						w.WriteHeader(tt.status)
					}
				}
				p := start(t, metrics, &i.network, l)
				p.Push(points(0, 3))
				time.Sleep(30 * time.Minute)
				if n := i.count(); n < 30 || n > 70 {
					t.Errorf("tried %d times in half an hour, want about one attempt every 45 s", n)
				}
				bad.Store(false)
				time.Sleep(61 * time.Second)
				checkEqual(t, "accepted", i.accepted(), names(0, 3))
				checkStats(t, p, 0, 3, 0)
				for _, d := range i.dials() {
					if d != "tcp graphs.example:80" {
						t.Errorf("dialed %s", d)
					}
				}
				log := strings.Split(l.text(), "\n")
				want := fmt.Sprintf(`level=WARN msg="pushing time series fails: trying for ever" host=graphs.example error=%q`, tt.want)
				if len(log) != 2 || log[0] != want || !strings.Contains(log[1], "works again") {
					t.Errorf("log is\n%s\nwant first\n%s", l.text(), want)
				}
				checkSecrets(t, l)
			})
		})
	}
}

// Another reason for the same outage is another line, the same one again is none.
func TestLogOfAnOutageThatChanges(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		i, l := newIngest(t), &log{}
		i.answer = func(w http.ResponseWriter, _ []string) { w.WriteHeader(http.StatusForbidden) }
		p := start(t, metrics, &i.network, l)
		i.set(true)
		p.Push(points(0, 1))
		time.Sleep(10 * time.Minute)
		i.set(false)
		time.Sleep(10 * time.Minute)
		log := strings.Split(l.text(), "\n")
		if len(log) != 2 || !strings.Contains(log[0], "connection refused") || !strings.Contains(log[1], "403 Forbidden") {
			t.Errorf("log is\n%s", l.text())
		}
		checkSecrets(t, l)
	})
}

func TestOneBadPointDoesNotTakeOthersAlong(t *testing.T) {
	for _, status := range []int{400, 422} {
		t.Run(fmt.Sprint(status), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				i, l := newIngest(t), &log{}
				bad := []string{"p0", "p333", "p999"}
				i.answer = func(w http.ResponseWriter, names []string) {
					if slices.ContainsFunc(names, func(n string) bool { return slices.Contains(bad, n) }) {
						w.WriteHeader(status)
					}
				}
				p := start(t, metrics, &i.network, l)
				p.Push(points(0, 1000))
				time.Sleep(2 * time.Second)
				good := slices.DeleteFunc(names(0, 1000), func(n string) bool { return slices.Contains(bad, n) })
				checkEqual(t, "accepted", i.accepted(), good)
				checkStats(t, p, 0, 997, 3)
				p.Close()
				want := fmt.Sprintf("level=WARN msg=\"time series points dropped: they are refused\" host=graphs.example count=1 error=\"the server answers %d %s\"\n"+
					"level=WARN msg=\"time series points dropped at the end\" host=graphs.example count=0 refused_before=2", status, http.StatusText(status))
				if l.text() != want {
					t.Errorf("log is\n%s\nwant\n%s", l.text(), want)
				}
			})
		})
	}
}

func TestAServerThatTakesLess(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		i, l := newIngest(t), &log{}
		i.answer = func(w http.ResponseWriter, names []string) {
			if len(names) > 100 {
				w.WriteHeader(http.StatusRequestEntityTooLarge)
			}
		}
		p := start(t, metrics, &i.network, l)
		p.Push(points(0, 1000))
		time.Sleep(2 * time.Second)
		checkEqual(t, "accepted", i.accepted(), names(0, 1000))
		checkStats(t, p, 0, 1000, 0)
		if l.text() != "" {
			t.Errorf("logged %s", l.text())
		}
	})
}

func TestAServerThatRefusesEverything(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		i := newIngest(t)
		i.answer = func(w http.ResponseWriter, names []string) { w.WriteHeader(http.StatusBadRequest) }
		p := start(t, metrics, &i.network, &log{})
		p.Push(points(0, 1000))
		time.Sleep(2 * time.Second)
		checkStats(t, p, 0, 0, 1000)
		if n := i.count(); n != 1+2*64 {
			t.Errorf("asked %d times, want once and twice for each of 64 halvings", n)
		}
	})
}

// A failure while a batch is in pieces loses nothing and sends nothing twice that was accepted.
func TestAnOutageBetweenPieces(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		i := newIngest(t)
		n := 0
		i.answer = func(w http.ResponseWriter, names []string) {
			n++
			switch {
			case slices.Contains(names, "p600"):
				w.WriteHeader(http.StatusBadRequest)
			case n%2 == 0:
				w.WriteHeader(http.StatusServiceUnavailable)
			}
		}
		p := start(t, metrics, &i.network, &log{})
		p.Push(points(0, 1000))
		time.Sleep(time.Hour)
		checkEqual(t, "accepted", i.accepted(), slices.DeleteFunc(names(0, 1000), func(n string) bool { return n == "p600" }))
		checkStats(t, p, 0, 999, 1)
	})
}

// A point that was refused is no longer queued, and doesn't count again when the rest is given up.
func TestRefusedPointCountsOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		i := newIngest(t)
		i.answer = func(w http.ResponseWriter, names []string) {
			if slices.Contains(names, "p0") {
				w.WriteHeader(http.StatusBadRequest)
			} else {
				w.WriteHeader(http.StatusServiceUnavailable)
			}
		}
		p := start(t, metrics, &i.network, &log{})
		p.Push(points(0, 2))
		time.Sleep(time.Minute)
		checkStats(t, p, 1, 0, 1)
		p.Close()
		checkStats(t, p, 0, 0, 2)
	})
}

func TestAServerThatHangs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		i, l := newIngest(t), &log{}
		serve := i.serve
		var hang atomic.Bool
		hang.Store(true)
		i.serve = func(conn net.Conn) {
			if hang.Load() {
				_, _ = io.Copy(io.Discard, conn)
				return
			}
			serve(conn)
		}
		p := start(t, metrics, &i.network, l)
		p.Push(points(0, 1))
		time.Sleep(time.Minute)
		checkStats(t, p, 1, 0, 0)
		hang.Store(false)
		time.Sleep(2 * time.Minute)
		checkEqual(t, "accepted", i.accepted(), names(0, 1))
		if !strings.Contains(l.text(), `error="sending: context deadline exceeded"`) {
			t.Errorf("log is\n%s", l.text())
		}
		checkSecrets(t, l)
	})
}

// The same over real sockets, with a server that closes connections between batches.
func TestIngestOverSockets(t *testing.T) {
	i := &ingest{}
	server := httptest.NewServer(i)
	defer server.Close()
	l := &log{}
	p, err := graphite.New(graphite.Config{URI: strings.Replace(server.URL, "http://", "http://u:p@", 1) + "/metrics", Logger: l.logger()})
	if err != nil {
		t.Fatal(err)
	}
	p.Push(points(0, 1000))
	for p.Stats().Queued > 0 { // a full batch doesn't wait for more
		runtime.Gosched()
	}
	server.CloseClientConnections()
	p.Push(points(1000, 500))
	p.Close()
	checkEqual(t, "accepted", i.accepted(), names(0, 1500))
	checkStats(t, p, 0, 1500, 0)
	if l.text() != "" {
		t.Errorf("logged %s", l.text())
	}
}
