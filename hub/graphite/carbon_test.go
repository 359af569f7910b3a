package graphite_test

import (
	"fmt"
	"math"
	"net"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/twinpanel/twinpanel/hub/graphite"
)

func TestCarbonGetsLines(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, l := newCarbon(), &log{}
		p := start(t, "tcp://carbon", &c.network, l)
		p.Push([]graphite.Point{
			{Name: "twins.x.current", Path: []string{"data", "in error"}, Tags: map[string]string{"source": "a b"}, Value: 0, Time: time.Unix(1700000000, 999)},
			{Name: "twins.x.current", Path: []string{"state", "value"}, Value: 12.5, Time: time.Unix(1700000000, 0)},
		})
		p.Push([]graphite.Point{{Name: "n", Value: -1e300, Time: time.Unix(1700000001, 0)}})
		time.Sleep(999 * time.Millisecond)
		checkEqual(t, "before a second is over", c.got(), nil)
		checkStats(t, p, 3, 0, 0)
		time.Sleep(2 * time.Millisecond)
		checkEqual(t, "after a second", c.got(), []string{
			"twins.x.current;json_path=data.in%20error;source=a%20b 0 1700000000",
			"twins.x.current;json_path=state.value 12.5 1700000000",
			"n -1e+300 1700000001",
		})
		checkEqual(t, "dials", c.dials(), []string{"tcp carbon:2003"})
		checkStats(t, p, 0, 3, 0)
		if l.text() != "" {
			t.Errorf("logged %s", l.text())
		}
	})
}

func TestAFullBatchDoesNotWait(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCarbon()
		p := start(t, "tcp://carbon:2103", &c.network, &log{})
		p.Push(points(0, 2500))
		synctest.Wait()
		checkEqual(t, "at once", lineNames(c.got()), names(0, 2000))
		time.Sleep(time.Second)
		synctest.Wait()
		checkEqual(t, "after a second", lineNames(c.got()), names(2000, 500))
		checkEqual(t, "dials", c.dials(), []string{"tcp carbon:2103"})
	})
}

func TestPointsThatNothingCanBeMadeOf(t *testing.T) {
	tags := map[string]string{}
	for i := range 50 {
		tags[fmt.Sprintf("%d", i)+strings.Repeat("t", 170)] = strings.Repeat("v", 180)
	}
	tests := []struct {
		name string
		bad  graphite.Point
		want string
	}{
		{"not a number", graphite.Point{Name: "a", Value: math.NaN()}, "not a finite number"},
		{"infinite", graphite.Point{Name: "a", Value: math.Inf(-1)}, "not a finite number"},
		{"a line that carbon doesn't take", graphite.Point{Name: "a", Tags: tags}, "too many tags"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				c, l := newCarbon(), &log{}
				p := start(t, "tcp://carbon", &c.network, l)
				for range 3 { // alone in a batch, and among others
					p.Push([]graphite.Point{tt.bad})
					time.Sleep(2 * time.Second)
					p.Push([]graphite.Point{tt.bad, {Name: "b", Value: 1, Time: time.Now()}, tt.bad})
					time.Sleep(2 * time.Second)
				}
				checkEqual(t, "lines", lineNames(c.got()), []string{"b", "b", "b"})
				checkStats(t, p, 0, 3, 9)
				want := fmt.Sprintf(`level=WARN msg="time series points dropped: they are refused" host=carbon count=1 error=%q`, tt.want)
				if l.text() != want {
					t.Errorf("log: got\n%s\nwant\n%s", l.text(), want)
				}
			})
		})
	}
}

func TestOutageOfAnHour(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, l := newCarbon(), &log{}
		p := start(t, "tcp://carbon", &c.network, l)
		c.set(true)
		began := time.Now()
		for i := range 60 {
			p.Push(points(i, 1))
			time.Sleep(time.Minute)
		}
		checkStats(t, p, 60, 0, 0)
		dials := len(c.dials())
		if dials < 60 || dials > 130 {
			t.Errorf("tried %d times in an hour, want about one attempt every 45 s", dials)
		}
		c.set(false)
		time.Sleep(time.Minute + time.Second)
		lines := c.got()
		checkEqual(t, "after the outage", lineNames(lines), names(0, 60))
		for i, line := range lines {
			if want := fmt.Sprintf("p%d %d %d", i, i, began.Add(time.Duration(i)*time.Minute).Unix()); line != want {
				t.Errorf("line %d is %q, want %q", i, line, want)
			}
		}
		checkStats(t, p, 0, 60, 0)
		log := strings.Split(l.text(), "\n")
		if len(log) != 2 ||
			log[0] != `level=WARN msg="pushing time series fails: trying for ever" host=carbon error="connecting: connection refused"` ||
			!strings.HasPrefix(log[1], `level=INFO msg="pushing time series works again" host=carbon after=1h0m`) || !strings.HasSuffix(log[1], " dropped=0") {
			t.Errorf("log is\n%s", l.text())
		}
	})
}

// Nobody acknowledges what is written to carbon, so what it may have missed is sent again.
func TestCarbonHangsUpBetweenBatches(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, l := newCarbon(), &log{}
		p := start(t, "tcp://carbon", &c.network, l)
		p.Push(points(0, 2))
		time.Sleep(2 * time.Second)
		p.Push(points(2, 2))
		time.Sleep(2 * time.Second)
		checkEqual(t, "first connection", lineNames(c.got()), names(0, 4))
		c.set(true)
		c.set(false)
		p.Push(points(4, 1))
		time.Sleep(2 * time.Second)
		checkEqual(t, "second connection", lineNames(c.got()), names(2, 3))
		checkEqual(t, "dials", c.dials(), []string{"tcp carbon:2003", "tcp carbon:2003"})
		checkStats(t, p, 0, 5, 0)
		if l.text() != "" {
			t.Errorf("logged %s", l.text())
		}
	})
}

func TestCarbonStopsReading(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, l := newCarbon(), &log{}
		c.serve = func(serve func(net.Conn)) func(net.Conn) {
			first := true
			return func(conn net.Conn) {
				if first { // takes half of a line, and no more
					first = false
					_, _ = conn.Read(make([]byte, 3))
					return
				}
				serve(conn)
			}
		}(c.serve)
		p := start(t, "tcp://carbon", &c.network, l)
		p.Push(points(0, 3))
		time.Sleep(15 * time.Second)
		checkStats(t, p, 3, 0, 0)
		time.Sleep(5 * time.Second)
		checkEqual(t, "lines", lineNames(c.got()), names(0, 3))
		checkStats(t, p, 0, 3, 0)
		if !strings.Contains(l.text(), `error="writing: `) {
			t.Errorf("log is\n%s", l.text())
		}
	})
}

func TestAFloodDropsTheOldest(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, l := newCarbon(), &log{}
		p := start(t, "tcp://carbon", &c.network, l)
		c.set(true)
		began := time.Now()
		const flood = 250_000
		for i := range flood / 500 {
			p.Push(points(i*500, 500))
		}
		if took := time.Since(began); took != 0 {
			t.Errorf("pushing took %v", took)
		}
		s := p.Stats()
		// A point takes some 200 bytes, and the queue 16 MiB.
		if s.Queued < 80_000 || s.Queued > 16<<20/192 || s.Queued+s.Dropped != flood {
			t.Errorf("stats are %+v", s)
		}
		time.Sleep(time.Minute)
		c.set(false)
		time.Sleep(2 * time.Minute)
		got := lineNames(c.got())
		// One batch was in flight when the flood came, and is the oldest of all.
		left := int(s.Queued) - 1000
		checkEqual(t, "what is left of the flood", got, append(names(0, 1000), names(flood-left, left)...))
		checkStats(t, p, 0, s.Queued, s.Dropped)
		log := strings.Split(l.text(), "\n")
		want := []string{
			`level=WARN msg="time series queue is full: the oldest points are dropped" host=carbon bytes=16777216`,
			`level=WARN msg="pushing time series fails: trying for ever" host=carbon error="connecting: connection refused"`,
			`level=INFO msg="pushing time series works again" host=carbon after=`,
			`level=INFO msg="time series queue has room again" host=carbon dropped_since_start=` + fmt.Sprint(s.Dropped),
		}
		for i, line := range want {
			if i >= len(log) || !slices.ContainsFunc(log, func(s string) bool { return strings.HasPrefix(s, line) }) {
				t.Errorf("log has no line %s", line)
			}
		}
		if len(log) != len(want) {
			t.Errorf("log is\n%s", l.text())
		}
	})
}

func TestCloseSendsWhatIsQueued(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, l := newCarbon(), &log{}
		p := start(t, "tcp://carbon", &c.network, l)
		p.Push(points(0, 2500))
		began := time.Now()
		p.Close()
		p.Close()
		synctest.Wait()
		checkEqual(t, "lines", lineNames(c.got()), names(0, 2500))
		checkStats(t, p, 0, 2500, 0)
		if took := time.Since(began); took != 0 || l.text() != "" {
			t.Errorf("closing took %v, log is %s", took, l.text())
		}
		p.Push(points(0, 1))
		checkStats(t, p, 0, 2500, 1)
	})
}

func TestCloseDoesNotWaitForATarget(t *testing.T) {
	tests := []struct {
		name string
		set  func(*carbon)
		took time.Duration
	}{
		{"that is down", func(c *carbon) { c.set(true) }, 0},
		{"that doesn't read", func(c *carbon) { c.serve = func(net.Conn) {} }, 3 * time.Second},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				c, l := newCarbon(), &log{}
				tt.set(c)
				p := start(t, "tcp://carbon", &c.network, l)
				p.Push(points(0, 1500))
				synctest.Wait()
				began := time.Now()
				p.Close()
				if took := time.Since(began); took != tt.took {
					t.Errorf("closing took %v, want %v", took, tt.took)
				}
				checkStats(t, p, 0, 0, 1500)
				if want := `level=WARN msg="time series points dropped at the end" host=carbon count=1500 refused_before=0`; !strings.HasSuffix(l.text(), want) {
					t.Errorf("log is\n%s\nwant at its end\n%s", l.text(), want)
				}
			})
		})
	}
}
