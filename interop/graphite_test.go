package interop

import (
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	iot "github.com/scaleway/scaleway-sdk-go/api/iot/v1"

	"github.com/twinpanel/twinpanel/hub"
	"github.com/twinpanel/twinpanel/hub/hubtest"
)

// startPushing is a hub that pushes to carbon, and a client of its REST API.
func startPushing(t *testing.T, c *carbon, options ...func(*hub.Config)) (*hubtest.Hub, *iot.API) {
	t.Helper()
	h := hubtest.Start(t, append(options, func(config *hub.Config) { config.Graphite = "tcp://" + c.addr })...)
	return h, sdk(t, h, h.Token)
}

// A step is a write over REST, and the points that have to come of it by json_path.
type step struct {
	what  string
	write call
	want  map[string]float64
}

// played is when a step was done: between these seconds, both included.
type played struct{ from, to int64 }

// play does a step.
func play(t *testing.T, api *iot.API, id string, s step) played {
	t.Helper()
	from := time.Now().Unix()
	if _, err := s.write(api, id); err != nil {
		t.Fatalf("%s: %v", s.what, err)
	}
	return played{from: from, to: time.Now().Unix()}
}

// checkPoints compares what carbon has stored with what the steps should have given. In
// series, * stands for the json_path.
func checkPoints(t *testing.T, got []point, series string, steps []step, times []played) {
	t.Helper()
	for i, s := range steps {
		for path, value := range s.want {
			name := strings.Replace(series, "*", path, 1)
			at := slices.IndexFunc(got, func(p point) bool {
				return p.series == name && p.value == value && times[i].from <= p.time && p.time <= times[i].to
			})
			if at < 0 {
				t.Errorf("%s: no point of value %v in seconds %d to %d of %s", s.what, value, times[i].from, times[i].to, name)
				continue
			}
			got = slices.Delete(got, at, at+1)
		}
	}
	for _, p := range got {
		t.Errorf("a point that nothing should have given: %v", p)
	}
}

// The vendor's tutorial on time series, with a real Graphite at the other end.
func TestGraphiteTutorial(t *testing.T) {
	t.Parallel()
	c := startCarbon(t)
	h, api := startPushing(t, c)
	id := string(h.AddDevice("tutorial").ID)
	steps := []step{
		{
			what: "configuring",
			write: put("_config", nil, `{"documents":{"current":{
				"state":{"_tsdb_trigger":"on-update"},
				"data":{"_tsdb_trigger":"on-change"},
				"_tags":{"source":"graphite-tutorial"}}}}`),
		}, {
			what:  "creating the document",
			write: put("current", nil, `{"state":{"enable":false,"value":12.5,"text":"ignored"},"data":{"value":7.5,"in error":false}}`),
			want:  map[string]float64{"state.enable": 0, "state.value": 12.5, "data.value": 7.5, "data.in%20error": 0},
		}, {
			what:  "changing it",
			write: put("current", nil, `{"state":{"enable":true,"value":12.5,"text":"ignored"},"data":{"value":8.5,"in error":false}}`),
			want:  map[string]float64{"state.enable": 1, "state.value": 12.5, "data.value": 8.5},
		}, {
			what:  "patching one value",
			write: patch("current", nil, `{"data":{"value":9.5}}`),
			want:  map[string]float64{"data.value": 9.5},
		}, {
			what:  "putting the same again",
			write: put("current", nil, `{"state":{"enable":true,"value":12.5,"text":"ignored"},"data":{"value":9.5,"in error":false}}`),
			want:  map[string]float64{"state.enable": 1, "state.value": 12.5},
		},
	}
	var times []played
	for i, s := range steps {
		if i > 0 {
			// Graphite keeps one point for a series and a second.
			time.Sleep(1100 * time.Millisecond)
		}
		times = append(times, play(t, api, id, s))
	}
	h.Stop() // pushes what waits
	c.settle()

	points := c.points()
	t.Log(table(points))
	checkPoints(t, points, "twins."+id+".current;json_path=*;source=graphite-tutorial", steps, times)
}

// Keys and tags may be any text; in a series, some characters mean something.
func TestGraphiteCharacters(t *testing.T) {
	t.Parallel()
	c := startCarbon(t)
	h, api := startPushing(t, c)
	id := string(h.AddDevice("characters").ID)
	long := strings.Repeat("long-", 60)
	steps := []step{
		{
			what: "configuring",
			write: put("_config", nil, `{"documents":{"front.door~1":{"_tsdb_trigger":"on-update","_tags":{
				"place":"  house; 1st floor=\"up\" ",
				"wo ist^s":"~überall 100%"}}}}`),
		}, {
			what: "writing",
			write: put("front.door~1", nil, `{
				"küche":{"fenster links":1,"a.b":2},
				"a":{"b":3},
				"a;b=c":4,
				"{y=\"z\"}":5,
				"":{"":6},
				"line\nbreak":7,
				"no-break\u00a0space":8,
				"日本/../x":9,
				"%20":10,
				"twins.x.y 1 2":11,
				"`+long+`":12,
				"`+long+`er":13}`),
			want: map[string]float64{
				"küche.fenster%20links": 1, "küche.a%2Eb": 2,
				"a.b":                   3,
				"a%3Bb=c":               4,
				"{y=%22z%22}":           5,
				"%.%":                   6,
				"line%0Abreak":          7,
				"no-break%C2%A0space":   8,
				"日本/%2E%2E/x":           9,
				"%2520":                 10,
				"twins%2Ex%2Ey%201%202": 11,
			},
		},
	}
	var times []played
	for _, s := range steps {
		times = append(times, play(t, api, id, s))
	}
	h.Stop()
	c.settle()

	name := "twins." + id + ".front.door~1"
	place, wo := "place=%20%20house%3B%201st%20floor=%22up%22%20", "wo%20ist%5Es=%7Eüberall%20100%25"
	points := c.points()
	t.Log(table(points))
	// Different keys that begin with the same 300 bytes stay different series.
	n := len(points)
	points = slices.DeleteFunc(points, func(p point) bool { return strings.Contains(p.series, "json_path=long-") })
	if cut := n - len(points); cut != 2 {
		t.Errorf("got %d points of keys of 300 bytes, want 2", cut)
	}
	checkPoints(t, points, name+";json_path=*;"+place+";"+wo, steps, times)
}

// A carbon that is killed costs the hub's own clients nothing. Points wait for the next one,
// and those that the killed one may have read or not are sent again. What a carbon loses is what it
// had read and not yet written down, about a second's points.
func TestGraphiteKilled(t *testing.T) {
	t.Parallel()
	c := startCarbon(t)
	var log output
	h, api := startPushing(t, c, func(config *hub.Config) { config.Logger = slog.New(slog.NewTextHandler(&log, nil)) })
	id := string(h.AddDevice("killed").ID)
	series := "twins." + id + ".current;json_path=*"
	var steps []step
	var times []played
	var longest time.Duration
	write := func(key string) string {
		t.Helper()
		s := step{
			what:  "writing " + key,
			write: put("current", nil, `{"`+key+`":1}`),
			want:  map[string]float64{key: 1},
		}
		start := time.Now()
		times = append(times, play(t, api, id, s))
		longest = max(longest, time.Since(start))
		steps = append(steps, s)
		return strings.Replace(series, "*", key, 1)
	}
	configure := put("_config", nil, `{"documents":{"current":{"_tsdb_trigger":"on-update"}}}`)
	if _, err := configure(api, id); err != nil {
		t.Fatal(err)
	}

	c.await(write("before"))

	// Nothing is written while carbon is away.
	c.kill()
	c.start()
	c.await(write("after-unnoticed-restart"))

	// The hub's kernel hands over a point, and carbon ends without having read it.
	c.signal(syscall.SIGSTOP)
	write("unread")
	time.Sleep(2 * time.Second) // no answer tells when points have been sent: a second after they were written
	c.kill()

	// Pushing fails for a while.
	for i := range 5 {
		write(fmt.Sprint("down-", i))
	}
	c.poll("the hub to notice", func() bool { return strings.Contains(log.String(), "pushing time series fails") })
	write("noticed")
	c.start()
	c.await(strings.Replace(series, "*", "noticed", 1))
	c.await(write("after"))
	h.Stop()
	c.settle()

	points := c.points()
	t.Log(table(points))
	t.Logf("the longest of %d writes took %v", len(steps), longest)
	t.Logf("the hub's log:\n%s", log.String())
	checkPoints(t, points, series, steps, times)
	if !strings.Contains(log.String(), "pushing time series works again") {
		t.Error("the hub doesn't say when pushing works again")
	}
}
