package hub_test

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/twinpanel/twinpanel/hub/registry"
	"github.com/twinpanel/twinpanel/twin"
)

// names are the devices of a list, in its order.
func (h deviceHub) names(t *testing.T, query string) (names []string, total int) {
	t.Helper()
	answer := call(h.rest, "GET", devices+query, "")
	text, err := io.ReadAll(answer.Body)
	if err != nil || answer.StatusCode != 200 {
		t.Fatalf("%s: got %d %s, %v", query, answer.StatusCode, text, err)
	}
	var list struct {
		Total   int `json:"total_count"`
		Devices []struct {
			Name string `json:"name"`
		} `json:"devices"`
	}
	if err := json.Unmarshal(text, &list); err != nil || list.Devices == nil {
		t.Fatalf("%s: got %s, %v; want an array of devices", query, text, err)
	}
	for _, d := range list.Devices {
		names = append(names, d.Name)
	}
	return names, list.Total
}

func TestRESTListDevices(t *testing.T) {
	h := newDeviceHub(t)
	day := func(n int) time.Time { return time.Date(2026, 2, n, 0, 0, 0, 0, time.UTC) }
	for i, d := range []registry.Device{
		{Name: "b", Created: day(1), Updated: day(9)},
		{Name: "c", Created: day(3), AllowInsecure: true},
		{Name: "a", Created: day(2), Disabled: true, Updated: day(8)},
	} {
		d.ID = twin.ID(fmt.Sprintf("cccccccc-0000-4000-8000-%012d", i))
		if err := h.registry.AddDevice(context.Background(), d); err != nil {
			t.Fatal(err)
		}
	}
	// The panel is insecure, and from January.
	tests := []struct {
		query string
		want  string
		total int
	}{
		{"", "a b c panel", 4},
		{"?order_by=name_asc&status=unknown", "a b c panel", 4}, // as the vendor's Go SDK asks
		{"?order_by=&page=&page_size=&status=&hub_id=&name=&allow_insecure=", "a b c panel", 4},
		{"?unknown=1", "a b c panel", 4},
		{"?order_by=name_desc", "panel c b a", 4},
		{"?order_by=status_asc", "a b c panel", 4},
		{"?order_by=status_desc", "b c panel a", 4},
		{"?order_by=hub_id_asc", "a b c panel", 4},
		{"?order_by=hub_id_desc", "a b c panel", 4},
		{"?order_by=created_at_asc", "panel b a c", 4},
		{"?order_by=created_at_desc", "c a b panel", 4},
		{"?order_by=updated_at_asc", "panel c a b", 4},
		{"?order_by=updated_at_desc", "b a c panel", 4},
		{"?order_by=allow_insecure_asc", "a b c panel", 4},
		{"?order_by=allow_insecure_desc", "c panel a b", 4},
		{"?name=c", "c", 1},
		{"?name=C", "", 0},
		{"?name=nobody", "", 0},
		{"?hub_id=" + hubID, "a b c panel", 4},
		{"?hub_id=" + strings.ToUpper(hubID), "a b c panel", 4},
		{"?hub_id=" + otherHubID, "", 0},
		{"?allow_insecure=true", "c panel", 2},
		{"?allow_insecure=false", "a b", 2},
		{"?status=enabled", "b c panel", 3},
		{"?status=disabled", "a", 1},
		{"?status=error", "", 0},
		{"?status=enabled&allow_insecure=false", "b", 1},
		{"?page_size=3", "a b c", 4},
		{"?page_size=3&page=1", "a b c", 4},
		{"?page_size=3&page=2", "panel", 4},
		{"?page_size=3&page=3", "", 4},
		{"?page_size=100&page=2147483647", "", 4},
		{"?page_size=1&page=2&order_by=name_desc&status=enabled", "c", 3},
	}
	for _, tt := range tests {
		got, total := h.names(t, tt.query)
		if strings.Join(got, " ") != tt.want || total != tt.total {
			t.Errorf("%q: got %q of %d, want %q of %d", tt.query, got, total, tt.want, tt.total)
		}
	}
}

// Every device is on exactly one page, whatever the order.
func TestRESTListHasEachDeviceOnce(t *testing.T) {
	h := newDeviceHub(t)
	for i := range 123 {
		d := registry.Device{ID: twin.ID(fmt.Sprintf("cccccccc-0000-4000-8000-%012d", i)), Name: fmt.Sprintf("d%03d", i), AllowInsecure: i%2 == 0, Disabled: i%3 == 0}
		if err := h.registry.AddDevice(t.Context(), d); err != nil {
			t.Fatal(err)
		}
	}
	for _, order := range []string{"", "name_desc", "status_asc", "hub_id_desc", "created_at_asc", "allow_insecure_desc"} {
		var all []string
		for page := 1; page <= 3; page++ {
			names, total := h.names(t, fmt.Sprintf("?order_by=%s&page=%d", order, page))
			if want := min(50, 124-(page-1)*50); len(names) != want || total != 124 {
				t.Errorf("order %s, page %d: got %d of %d, want %d of 124", order, page, len(names), total, want)
			}
			all = append(all, names...)
		}
		slices.Sort(all)
		if len(slices.Compact(all)) != 124 {
			t.Errorf("order %s: the pages do not have each device once", order)
		}
	}
}
