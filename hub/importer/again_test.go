package importer_test

import (
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/twinpanel/twinpanel/hub/docstore"
	"github.com/twinpanel/twinpanel/hub/importer"
	"github.com/twinpanel/twinpanel/hub/registry"
	"github.com/twinpanel/twinpanel/twin"
)

var errFull = errors.New("disk is full")

// full is a disk that takes so many more writes.
type full struct{ left atomic.Int64 }

func (f *full) err() error {
	if f.left.Add(-1) < 0 {
		return errFull
	}
	return nil
}

// limit makes writes of a target fail with errFull after n of them.
func limit(target importer.Target, n int) importer.Target {
	f := new(full)
	f.left.Store(int64(n))
	return importer.Target{Documents: fullStore{target.Documents, f}, Registry: fullRegistry{target.Registry, f}}
}

type fullStore struct {
	docstore.Store
	full *full
}

func (s fullStore) Set(ctx context.Context, key docstore.Key, doc docstore.Document) error {
	if err := s.full.err(); err != nil {
		return err
	}
	return s.Store.Set(ctx, key, doc)
}

type fullRegistry struct {
	registry.Registry
	full *full
}

func (r fullRegistry) AddDevice(ctx context.Context, d registry.Device) error {
	if err := r.full.err(); err != nil {
		return err
	}
	return r.Registry.AddDevice(ctx, d)
}

func (r fullRegistry) UpdateDevice(ctx context.Context, id twin.ID, change func(*registry.Device) error) (registry.Device, error) {
	if err := r.full.err(); err != nil {
		return registry.Device{}, err
	}
	return r.Registry.UpdateDevice(ctx, id, change)
}

func (r fullRegistry) UpdateHub(ctx context.Context, change func(*registry.Hub) error) (registry.Hub, error) {
	if err := r.full.err(); err != nil {
		return registry.Hub{}, err
	}
	return r.Registry.UpdateHub(ctx, change)
}

func (r fullRegistry) UpdateAuthorities(ctx context.Context, change func([]registry.Authority) ([]registry.Authority, error)) ([]registry.Authority, error) {
	if err := r.full.err(); err != nil {
		return nil, err
	}
	return r.Registry.UpdateAuthorities(ctx, change)
}

func (r fullRegistry) Seen(ctx context.Context, devices map[twin.ID]time.Time, tokens map[string]time.Time) error {
	if err := r.full.err(); err != nil {
		return err
	}
	return r.Registry.Seen(ctx, devices, tokens)
}

// An import that any of its writes ended goes on, and ends the same.
func TestImportGoesOnAfterAWriteFailed(t *testing.T) {
	bubble(t, func(t *testing.T, v *vendor) {
		furnish(t, v)
		whole := newTarget()
		v.mustRun(t, whole)
		want := content(t, whole)
		for n := 0; ; n++ {
			target := newTarget()
			report, err := v.run(t, limit(target, n))
			if err == nil {
				if n != 8 { // hub, three devices, three documents, CA
					t.Errorf("%d writes, want 8", n)
				}
				break
			}
			if !errors.Is(err, errFull) || report.Verified {
				t.Fatalf("after %d writes: got %v, verified %t", n, err, report.Verified)
			}
			v.mustRun(t, target)
			if got := content(t, target); got != want {
				t.Fatalf("after %d writes: got\n%s\nwant\n%s", n, got, want)
			}
		}
		// Once all is there, nothing is written any more.
		if report, err := v.run(t, limit(whole, 0)); err != nil || report.Complete() != nil {
			t.Errorf("an import of what is there already: %v, %v", err, report.Complete())
		}
	})
}

func TestPlanWritesNothing(t *testing.T) {
	bubble(t, func(t *testing.T, v *vendor) {
		furnish(t, v)
		source, err := importer.Open(t.Context(), v.config())
		if err != nil {
			t.Fatal(err)
		}
		target := newTarget()
		plan, err := source.Plan(t.Context(), limit(target, 0))
		if err != nil || plan.Complete() != nil || !plan.DryRun || plan.Verified {
			t.Fatalf("got %+v, %v", plan, err)
		}
		report := v.mustRun(t, target)
		if plan.Devices != report.Devices || plan.Documents != report.Documents || findings(plan) != findings(report) {
			t.Errorf("planned %+v\n%s\ndone %+v\n%s", plan, findings(plan), report, findings(report))
		}
	})
}

func TestImportIntoAnotherHubsFolder(t *testing.T) {
	bubble(t, func(t *testing.T, v *vendor) {
		furnish(t, v)
		target := newTarget()
		d, err := registry.NewDevice("lamp")
		if err != nil {
			t.Fatal(err)
		}
		if err := target.Registry.AddDevice(t.Context(), d); err != nil {
			t.Fatal(err)
		}
		source, err := importer.Open(t.Context(), v.config())
		if err != nil {
			t.Fatal(err)
		}
		_, err = source.Import(t.Context(), limit(target, 0))
		wantError(t, "import", err, "the data folder has the 1 devices of another hub", "name a new folder with --data")
		_, err = source.Plan(t.Context(), target)
		wantError(t, "dry run", err, "the data folder has the 1 devices of another hub", "name a new folder with --data")
	})
}

// What differs on both sides before an import of what was imported before.
func TestImportAgain(t *testing.T) {
	desired := docstore.Key{Twin: deviceID(1), Name: "desired"}
	set := func(t *testing.T, target importer.Target, key docstore.Key, version uint32, data string) {
		t.Helper()
		if err := target.Documents.Set(t.Context(), key, docstore.Document{Version: version, Data: []byte(data)}); err != nil {
			t.Fatal(err)
		}
	}
	for _, tt := range []struct {
		name   string
		change func(t *testing.T, v *vendor, target importer.Target)
		counts string // of the report: those that aren't 0, but for found and unchanged
		find   string // among the findings
		fails  string // Complete's error; empty = none
		stays  bool   // the target is as it was
	}{
		{
			"same version, other data", func(t *testing.T, v *vendor, target importer.Target) {
				set(t, target, desired, 7, `{"alarm_armed":false}`)
			}, `documents conflicts:1`,
			`conflict: document desired of device "panel-1" (dddddddd-0000-4000-8000-000000000001): both sides have version 7, but with other data`,
			"source and data folder contradict each other: see the line above", true,
		},
		{
			"another name here", func(t *testing.T, v *vendor, target importer.Target) { v.devices[0]["name"] = "panel-9" },
			`devices conflicts:1`, `conflict: device "panel-9" (dddddddd-0000-4000-8000-000000000001): here it has the name "panel-1"`,
			"contradict each other", true,
		},
		{
			"a device that took a name", func(t *testing.T, v *vendor, target importer.Target) {
				d, _ := v.add(4)
				d["name"] = "panel-1"
				v.devices = v.devices[1:]
			}, `devices left_behind:1`, `left behind: device "panel-1" (dddddddd-0000-4000-8000-000000000004): device dddddddd-0000-4000-8000-000000000001 here has the same name`,
			"not everything came over", true,
		},
		{
			"higher version here", func(t *testing.T, v *vendor, target importer.Target) { set(t, target, desired, 9, `{}`) },
			`documents kept:1`, `kept: document desired of device "panel-1" (dddddddd-0000-4000-8000-000000000001): version 9 here, 7 at the source`, "", true,
		},
		{
			"higher version at the source", func(t *testing.T, v *vendor, target importer.Target) { v.put(deviceID(1), "desired", 8, `{}`) },
			`documents updated:1`, "", "", false,
		},
		{
			"other order of keys", func(t *testing.T, v *vendor, target importer.Target) {
				v.put(deviceID(1), "current", 1<<32-1, `{"text":"<\u00e9>","door_open":1.50}`)
			}, "", "", "", true,
		},
		{
			"only here", func(t *testing.T, v *vendor, target importer.Target) {
				set(t, target, docstore.Key{Twin: deviceID(1), Name: "events"}, 3, `{}`)
				v.devices = v.devices[:2]
			}, "", `kept: documents of device "panel-1" (dddddddd-0000-4000-8000-000000000001): they are here, and not at the source: events`, "", true,
		},
		{
			"device changed here", func(t *testing.T, v *vendor, target importer.Target) {
				update(t, target, deviceID(3), func(d *registry.Device) { d.AllowInsecure, d.Updated = false, time.Now() })
				v.devices[2]["updated_at"] = "1999-12-31T23:00:00Z"
			}, `devices kept:1`, `kept: device "panel-3" (dddddddd-0000-4000-8000-000000000003): it was changed here later than at the source`, "", true,
		},
		{
			"device changed at the source", func(t *testing.T, v *vendor, target importer.Target) {
				update(t, target, deviceID(3), func(d *registry.Device) {
					d.ReadOnly, d.Secret = []twin.Name{"desired"}, sha256.Sum256([]byte("secret"))
				})
				v.devices[2]["updated_at"], v.devices[2]["description"] = "2030-01-01T00:00:00Z", "new"
			}, `devices updated:1`, "", "", false,
		},
		{
			"device only touched at the source", func(t *testing.T, v *vendor, target importer.Target) {
				v.devices[2]["updated_at"] = "2030-01-01T00:00:00Z"
			},
			"", "", "", true,
		},
		{
			"hub changed here", func(t *testing.T, v *vendor, target importer.Target) {
				if _, err := target.Registry.UpdateHub(t.Context(), func(h *registry.Hub) error {
					h.Name, h.Updated = "home", time.Date(2030, 1, 1, 0, 0, 0, 0, time.UTC)
					return nil
				}); err != nil {
					t.Fatal(err)
				}
			}, "", "kept: settings of the hub: they were changed here later than at the source", "", true,
		},
		{
			"hub changed at the source", func(t *testing.T, v *vendor, target importer.Target) {
				v.hubs[0]["name"], v.hubs[0]["updated_at"] = "home", "2030-01-01T00:00:00Z"
			}, "", "", "", false,
		},
	} {
		t.Run(tt.name, func(t *testing.T) {
			bubble(t, func(t *testing.T, v *vendor) {
				furnish(t, v)
				target := newTarget()
				v.mustRun(t, target)
				tt.change(t, v, target)
				before := content(t, target)
				report, err := v.run(t, target)
				if err != nil {
					t.Fatal(err)
				}
				if got := counts(report); got != tt.counts {
					t.Errorf("got counts %q, want %q", got, tt.counts)
				}
				if !strings.Contains(findings(report), tt.find) {
					t.Errorf("findings:\n%swant among them\n%s", findings(report), tt.find)
				}
				if tt.fails != "" {
					wantError(t, "complete", report.Complete(), tt.fails, "run the same command again")
				} else if err := report.Complete(); err != nil || !report.Verified {
					t.Errorf("complete: %v, verified %t\n%s", err, report.Verified, findings(report))
				}
				after := content(t, target)
				if same := after == before; same != tt.stays {
					t.Errorf("left as it was: %t, want %t\n%s\nbefore\n%s", same, tt.stays, after, before)
				}
				// And once more: what was settled stays so.
				if again, err := v.run(t, target); err != nil || content(t, target) != after || again.Devices.Updated+again.Documents.Updated+again.Devices.Added > 0 {
					t.Errorf("the import after that: %v, %+v", err, again)
				}
				d, err := target.Registry.Device(t.Context(), deviceID(3))
				if tt.name == "device changed at the source" && (err != nil || d.Description != "new" || !d.HasSecret() || len(d.ReadOnly) != 1) {
					t.Errorf("got %+v, %v; want the new description beside what was set here", d, err)
				}
			})
		})
	}
}

// Each setting of a device that changes at the source comes over.
func TestImportAgainBringsEverySetting(t *testing.T) {
	_, certificate := newCertificate(t, "panel-2", false, future)
	for name, change := range map[string]func(v *vendor, d fields){
		"description":                func(_ *vendor, d fields) { d["description"] = "new" },
		"status":                     func(_ *vendor, d fields) { d["status"] = "disabled" },
		"allow_insecure":             func(_ *vendor, d fields) { d["allow_insecure"] = false },
		"allow_multiple_connections": func(_ *vendor, d fields) { d["allow_multiple_connections"] = true },
		"has_custom_certificate":     func(_ *vendor, d fields) { d["has_custom_certificate"] = true },
		"message_filters":            func(_ *vendor, d fields) { d["message_filters"] = fields{"publish": fields{"policy": "accept"}} },
		"certificate":                func(v *vendor, _ fields) { v.certs[deviceID(3)] = certificate },
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T, v *vendor) {
				furnish(t, v)
				target, fresh := newTarget(), newTarget()
				v.mustRun(t, target)
				change(v, v.devices[2])
				v.devices[2]["updated_at"] = "2023-01-01T00:00:00Z"
				if got := counts(v.mustRun(t, target)); got != "devices updated:1" {
					t.Errorf("got %q, want an update", got)
				}
				v.mustRun(t, fresh)
				if got, want := content(t, target), content(t, fresh); got != want {
					t.Errorf("got\n%s\nwant what a new import brings:\n%s", got, want)
				}
			})
		})
	}
}

// counts are those of a report that say more than that something is there.
func counts(r importer.Report) string {
	var all []string
	for _, c := range []struct {
		what string
		importer.Count
	}{{"devices", r.Devices}, {"documents", r.Documents}} {
		for _, n := range []struct {
			name string
			n    int
		}{{"added", c.Added}, {"updated", c.Updated}, {"kept", c.Kept}, {"conflicts", c.Conflicts}, {"left_behind", c.LeftBehind}, {"changed", c.Changed}} {
			if n.n > 0 {
				all = append(all, fmt.Sprintf("%s %s:%d", c.what, n.name, n.n))
			}
		}
	}
	return strings.Join(all, " ")
}

// What changes at the source between its two readings is found, and comes over the next time.
func TestImportOfALiveHub(t *testing.T) {
	bubble(t, func(t *testing.T, v *vendor) {
		furnish(t, v)
		target := newTarget()
		lists := 0
		v.meddle = func(_ http.ResponseWriter, r *http.Request) bool {
			if r.URL.Path == region+"/devices" {
				if lists++; lists == 2 {
					v.hubs[0]["name"] = "ignored until the next import"
					v.twins[deviceID(1)]["desired"] = fmt.Sprintf(`{"twin_id":%q,"document_name":"desired","version":8,"data":{}}`, deviceID(1))
					v.devices[2]["description"] = "new"
					v.add(4)
				}
			}
			return false
		}
		report, err := v.run(t, target)
		if err != nil {
			t.Fatal(err)
		}
		wantError(t, "complete", report.Complete(), "the source changed while it was read: see the lines above, 3 of them", "run the same command again")
		if got, want := counts(report), "devices added:3 devices changed:2 documents added:3 documents changed:1"; got != want || report.Verified {
			t.Errorf("got %q, verified %t; want %q", got, report.Verified, want)
		}
		for _, want := range []string{
			`changed: device "panel-3" (dddddddd-0000-4000-8000-000000000003)` + "\n",
			`changed: device "panel-4" (dddddddd-0000-4000-8000-000000000004): it is new` + "\n",
			`changed: document desired of device "panel-1" (dddddddd-0000-4000-8000-000000000001): version 8 at the source, 7 here` + "\n",
		} {
			if !strings.Contains(findings(report), want) {
				t.Errorf("findings:\n%swant among them\n%s", findings(report), want)
			}
		}
		report = v.mustRun(t, target)
		if got, want := counts(report), "devices added:1 devices updated:1 documents updated:1"; got != want {
			t.Errorf("the next import: got %q, want %q", got, want)
		}
		if text, _ := json.Marshal(report); !strings.Contains(string(text), `"verified":true`) {
			t.Errorf("got %s", text)
		}
	})
}
