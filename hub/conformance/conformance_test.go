package conformance

import (
	"context"
	"slices"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/twinpanel/twinpanel/twin"
)

func TestReferenceConforms(t *testing.T) {
	t.Parallel()
	for name, open := range map[string]func(*reference) Twin{"itself": asItself, "REST": overREST, "MQTT": overMQTT} {
		t.Run(name, func(t *testing.T) {
			t.Parallel() // as in TestOtherChoicesPassInLiveRuns
			Run(t, func(*testing.T) Twin { return open(newReference("")) })
		})
	}
}

// The ways to a reference.
func asItself(r *reference) Twin { return r }
func overREST(r *reference) Twin { return r.rest() }
func overMQTT(r *reference) Twin { return r.wire() }

// A suite is worth what it finds: each fault must make at least the check fail
// that is about it.
func TestSuiteFindsFaults(t *testing.T) {
	for _, tt := range faults {
		t.Run(string(tt.fault), func(t *testing.T) {
			// In a bubble the writers of a race all come as far as they can before any goes on.
			synctest.Test(t, func(t *testing.T) {
				i := slices.IndexFunc(checks(), func(c check) bool { return c.name == tt.check })
				if i < 0 {
					t.Fatalf("there is no check %q", tt.check)
				}
				c := checks()[i]
				tw := asItself(newReference(tt.fault))
				if c.leftOut(tw, false) != "" {
					tw = overREST(newReference(tt.fault))
				}
				if c.leftOut(tw, false) != "" {
					tw = overMQTT(newReference(tt.fault))
				}
				failures := record(t.Logf, func(r reporter) { c.do(t.Context(), r, tw) })
				if len(failures) == 0 {
					t.Errorf("the check %q doesn't notice", tt.check)
				}
			})
		})
	}
}

// TestChecksOfTheWireAreInTheTable: each check of a transport has a fault that it finds. For the
// others, silence is one, see TestNoCheckPassesWithoutAnswers.
func TestChecksOfTheWireAreInTheTable(t *testing.T) {
	found := map[string]bool{}
	for _, tt := range faults {
		found[tt.check] = true
	}
	for _, c := range checks() {
		if c.needs != nil && !found[c.name] {
			t.Errorf("no fault shows that the check %q finds anything", c.name)
		}
	}
}

// A hub that chose differently wherever the specification is silent passes a
// live run, which leaves everything as it was.
func TestOtherChoicesPassInLiveRuns(t *testing.T) {
	t.Parallel()
	const config = `{"documents":{"somebody-elses":{"_tsdb_trigger":"on-change"}}}`
	there := []twin.Name{twin.ConfigName, "somebody-elses"}
	ways := []struct {
		name    string
		open    func(*reference) Twin
		choices []fault
	}{
		{"itself", asItself, []fault{
			"", "the version stays when nothing changes", "missing documents are empty", "a patch creates documents",
			"a delete keeps the version", "a delete of nothing is accepted", "a version of a missing document is accepted",
			"a mismatch swaps the versions", "a put drops nulls", "a patch keeps nulls in new objects", "numbers are floats",
			"keys are sorted", "duplicate keys are accepted", "half characters are accepted", "any version is accepted",
			"content beside data is dropped", "absent data is refused", "names are shorter", "names can't begin with _",
			"null inside arrays inside arrays is accepted", "a document has a byte less", "a document has a level more",
			"_config is not checked", "_config has no nulls", "_config needs documents",
		}},
		{"REST", overREST, []fault{
			"", "REST: a document that is made is 201", "REST: a mismatch names no versions", "REST: a list has versions",
			"REST: a document is a resource", "REST: every twin exists", "REST: a refusal is 422", "REST: HEAD is unknown",
			"REST: every path is a list", "REST: every token writes", "REST: a body can have any length",
		}},
		{"MQTT", overMQTT, []fault{
			"", "MQTT: sessions are kept", "MQTT: a success has four keys", "MQTT: every twin is open", "MQTT: QoS 2 is accepted",
		}},
	}
	for _, way := range ways {
		for _, choice := range way.choices {
			t.Run(way.name+" "+string(choice), func(t *testing.T) {
				t.Parallel() // over MQTT, one check waits for the keep-alive
				hub := newReference(choice)
				for i, data := range []string{config, `{"a":1}`} {
					if _, err := hub.Put(t.Context(), there[i], update(0, data)); err != nil {
						t.Fatal(err)
					}
				}
				t.Run("live", func(t *testing.T) { new(Report).Live(t, way.name, way.open(hub)) })
				if names, err := hub.List(t.Context()); err != nil || !slices.Equal(names, there) {
					t.Errorf("after a live run the twin has %q, %v; want only what was there before", names, err)
				}
				if doc, err := hub.Get(t.Context(), twin.ConfigName); err != nil || string(doc.Data) != config {
					t.Errorf("after a live run _config is %s, %v; want %s", doc.Data, err, config)
				}
			})
		}
	}
}

// What people paste must not open a twin.
func TestReportsShowNoIDs(t *testing.T) {
	restOnly := func(r *reference) Twin {
		return struct {
			Twin
			Manager
		}{onlyTwin{r}, r.rest()}
	}
	tests := []struct {
		open  func(*reference) Twin
		fault fault
	}{
		{restOnly, ""}, {overREST, ""}, {overMQTT, ""},
		{overREST, "REST: a document that is made is 201"}, {overMQTT, "MQTT: a success has four keys"},
	}
	synctest.Test(t, func(t *testing.T) {
		for _, tt := range tests {
			var report Report
			differs := false
			for _, c := range checks() {
				tw := tt.open(newReference(tt.fault))
				if c.leftOut(tw, false) == "" {
					e := entry{way: "REST or MQTT", check: c.name, ours: c.ours}
					e.ask(t.Context(), t, c, tw)
					report.entries = append(report.entries, e)
					differs = differs || len(e.failures) > 0
				}
			}
			for line := range strings.Lines(strings.ToLower(report.String() + report.Summary())) {
				if strings.Contains(line, "abcdef00") || strings.Contains(line, "conformance-") {
					t.Errorf("the report has the line %s", line)
				}
			}
			if tt.fault != "" && !differs {
				t.Errorf("%s: the report has no difference", tt.fault)
			}
		}
	})
}

// onlyTwin hides that a twin is more than that.
type onlyTwin struct{ Twin }

func TestChecksAreLeftOutForAReason(t *testing.T) {
	rest, mqtt, plain := overREST(newReference("")), overMQTT(newReference("")), onlyTwin{newReference("")}
	for _, c := range checks() {
		if c.leftOut(rest, false) != "" && c.leftOut(mqtt, false) != "" {
			t.Errorf("%s: left out of runs that can do everything", c.name)
		}
		if why := c.leftOut(plain, false); (why != "") != (c.needs != nil) {
			t.Errorf("%s: over a plain transport: %q", c.name, why)
		}
		if why := c.leftOut(plain, true); (why != "") != (c.needs != nil || c.alone || c.config) {
			t.Errorf("%s: in a live run over a plain transport: %q", c.name, why)
		}
		if c.leftOut(rest, true) != "" && c.leftOut(mqtt, true) != "" && !c.alone {
			t.Errorf("%s: left out of live runs that can do everything", c.name)
		}
	}
}

func TestChecksHaveNamesOfTheirOwn(t *testing.T) {
	seen := map[string]bool{}
	for _, c := range checks() {
		if c.name == "" || seen[c.name] || strings.Contains(c.name, "\n") {
			t.Errorf("check %q: name is empty, or taken", c.name)
		}
		seen[c.name] = true
	}
}

// silent is a transport on which every answer gets lost.
type silent struct{}

func (silent) Get(ctx context.Context, _ twin.Name) (twin.Document, error) {
	return twin.Document{}, context.DeadlineExceeded
}

func (silent) Put(ctx context.Context, _ twin.Name, _ twin.Update) (twin.Document, error) {
	return twin.Document{}, context.DeadlineExceeded
}

func (silent) Patch(ctx context.Context, _ twin.Name, _ twin.Update) (twin.Document, error) {
	return twin.Document{}, context.DeadlineExceeded
}

func TestNoCheckPassesWithoutAnswers(t *testing.T) {
	for _, c := range checks() {
		if c.needs != nil {
			continue
		}
		if failures := record(t.Logf, func(r reporter) { c.do(t.Context(), r, silent{}) }); len(failures) == 0 {
			t.Errorf("%s: passes though nothing was answered", c.name)
		}
	}
}
