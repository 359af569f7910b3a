package hub_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/twinpanel/twinpanel/hub"
	"github.com/twinpanel/twinpanel/hub/docstore"
	"github.com/twinpanel/twinpanel/hub/registry"
)

// TestSeriesOfTheTutorial is the vendor's tutorial on twins and Grafana: its configuration,
// its document, and what a put, a change, a patch of one value and the same put again push.
func TestSeriesOfTheTutorial(t *testing.T) {
	var (
		mu  sync.Mutex
		got []string
	)
	began := time.Now().Unix()
	server := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		if r.Method == http.MethodHead { // at the start
			return
		}
		user, secret, _ := r.BasicAuth()
		var points []struct {
			Name     string
			Interval int
			Value    float64
			Tags     []string
			Time     int64
		}
		if err := json.NewDecoder(r.Body).Decode(&points); err != nil || user != "12345" || secret != "glc_secret" {
			t.Errorf("got %v from user %q with %q", err, user, secret)
		}
		mu.Lock()
		defer mu.Unlock()
		for _, p := range points {
			if p.Interval != 1 || p.Time < began || p.Time > time.Now().Unix() {
				t.Errorf("interval %d, time %d of a point written between %d and now", p.Interval, p.Time, began)
			}
			got = append(got, fmt.Sprintf("%s;%s %v", p.Name, strings.Join(p.Tags, ";"), p.Value))
		}
	}))
	defer server.Close()
	h := newHub(t, docstore.NewMemory(), func(c *hub.Config) {
		c.Graphite = strings.Replace(server.URL, "http://", "http://12345:glc_secret@", 1) + "/metrics"
	})
	rest := h.REST()
	point := func(path string, value float64) string {
		return fmt.Sprintf("twins.%s.current;json_path=%s;source=graphite-tutorial %v", panelID, path, value)
	}
	story := []struct {
		name, method, document, data string
		want                         []string
	}{
		{"configure", "PUT", "_config", `{"documents":{"current":{"state":{"_tsdb_trigger":"on-update"},"data":{"_tsdb_trigger":"on-change"},"_tags":{"source":"graphite-tutorial"}}}}`, nil},
		{"create", "PUT", "current", `{"state":{"enable":false,"value":12.5,"text":"ignored"},"data":{"value":7.5,"in error":false}}`,
			[]string{point("state.enable", 0), point("state.value", 12.5), point("data.value", 7.5), point("data.in%20error", 0)}},
		{"change", "PUT", "current", `{"state":{"enable":true,"value":12.5,"text":"ignored"},"data":{"value":7.5,"in error":true}}`,
			[]string{point("state.enable", 1), point("state.value", 12.5), point("data.in%20error", 1)}},
		{"patch one value", "PATCH", "current", `{"data":{"value":8}}`, []string{point("data.value", 8)}},
		{"put the same again", "PUT", "current", `{"state":{"enable":true,"value":12.5,"text":"ignored"},"data":{"value":8,"in error":true}}`,
			[]string{point("state.enable", 1), point("state.value", 12.5)}},
		{"another document", "PUT", "desired", `{"state":{"value":1}}`, nil},
	}
	var want []string
	for _, step := range story {
		answer := call(rest, step.method, panel+"/documents/"+step.document, `{"data":`+step.data+`}`)
		if answer.StatusCode != 200 {
			t.Fatalf("%s: status %d", step.name, answer.StatusCode)
		}
		want = append(want, step.want...)
	}
	if err := h.Close(); err != nil {
		t.Fatal(err)
	}
	if !slices.Equal(got, want) {
		t.Errorf("got\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
	if s := h.SeriesStats(); s.Pushed != uint64(len(want)) || s.Queued != 0 || s.Dropped != 0 {
		t.Errorf("stats are %+v", s)
	}
}

func TestNewRefusesGraphite(t *testing.T) {
	const want = "hub: Config.Graphite: the URI begins neither with tcp:// nor http:// nor https://: write tcp://HOST:2003 or https://USER:TOKEN@HOST/PATH"
	c := hub.Config{Documents: docstore.NewMemory(), Registry: registry.NewMemory(), Graphite: "s3cret:x@host"}
	if h, err := hub.New(c); err == nil || err.Error() != want {
		t.Errorf("got %v, %v; want %s", h, err, want)
	}
}

func TestSeriesStatsWithoutADatabase(t *testing.T) {
	h := newHub(t, docstore.NewMemory())
	call(h.REST(), "PUT", document, `{"data":{"a":1}}`)
	if s := h.SeriesStats(); s.Queued+s.Pushed+s.Dropped != 0 {
		t.Errorf("got %+v", s)
	}
}

// A _config that can't be accepted is refused over REST with the place, and what was there stays.
func TestConfigRefused(t *testing.T) {
	h := newHub(t, docstore.NewMemory()).REST()
	const config = panel + "/documents/_config"
	const trigger = `unknown trigger: write "on-update", "on-change", or null to push nothing`
	checkAnswer(t, call(h, "PUT", config, `{"data":{"documents":{"current":{"state":{"_tsdb_trigger":"often"}}}}}`), 400,
		invalid("data", "format", "data.documents.current.state._tsdb_trigger: "+trigger))
	checkAnswer(t, call(h, "PUT", config, `{"data":{"documents":{"current":{}}}}`), 200,
		fmt.Sprintf(`{"twin_id":%q,"document_name":"_config","version":1,"data":{"documents":{"current":{}}}}`, panelID))
	checkAnswer(t, call(h, "PATCH", config, `{"data":{"documents":{"current":{"_tsdb_trigger":"always"}}}}`), 400,
		invalid("data", "format", "data.documents.current._tsdb_trigger: "+trigger))
	checkAnswer(t, call(h, "GET", config, ""), 200,
		fmt.Sprintf(`{"twin_id":%q,"document_name":"_config","version":1,"data":{"documents":{"current":{}}}}`, panelID))
}
