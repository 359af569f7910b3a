//go:build linux

package main

import (
	"bytes"
	"errors"
	"net/http"
	"strings"
	"testing"

	"github.com/twinpanel/twinpanel/internal/cli"
	"github.com/twinpanel/twinpanel/interop/faults/history"
	"github.com/twinpanel/twinpanel/twin"
)

func TestFlagsThatMakeNoSense(t *testing.T) {
	for _, args := range [][]string{
		{}, // no program
		{"--hub", "hub", "--hubs", "0"},
		{"--hub", "hub", "--hubs", "11"},
		{"--hub", "hub", "--panels", "0"},
		{"--hub", "hub", "--apps", "0"},
		{"--hub", "hub", "--operations", "-1"},
		{"--hub", "hub", "--rate", "-1"},
		{"--hub", "hub", "--samples", "-1"},
		{"--hub", "hub", "--store", "paper"},
		{"--hub", "hub", "--store", "data"}, // with two hubs
		{"--hub", "hub", "--time", "-1s"},
		{"--hub", "hub", "--calm", "-1s"},
	} {
		var out bytes.Buffer
		if err := command().Execute(t.Context(), args, &out, &out); !isUsage(err) {
			t.Errorf("%q: %v, want a usage error", args, err)
		}
	}
}

func isUsage(err error) bool {
	_, ok := errors.AsType[*cli.UsageError](err)
	return ok
}

func TestAnswersOverREST(t *testing.T) {
	const id twin.ID = "00000000-0000-4000-8000-000000000001"
	good := `{"twin_id":"` + string(id) + `","document_name":"shared","version":7,"data":{"of":"0/shared","put":3,"last":6,"s2":6}}`
	r := request{document: newTwinBook(id, 0).shared, kind: history.Patch, id: 6}
	for _, c := range []struct {
		name   string
		status int
		body   string
		want   history.Outcome
	}{
		{"another device's", http.StatusOK, strings.Replace(good, "0001\"", "0002\"", 1), history.Wrong},
		{"another document", http.StatusOK, strings.Replace(good, `"shared"`, `"current"`, 1), history.Wrong},
		{"another document's data", http.StatusOK, strings.Replace(good, "0/shared", "1/shared", 1), history.Wrong},
		{"no document", http.StatusOK, `{}`, history.Wrong},
		{"no JSON", http.StatusOK, `<html>`, history.Wrong},
		{"bad request", http.StatusBadRequest, `{"details":[{"argument_name":"data"}]}`, history.Wrong},
		{"mismatch", http.StatusBadRequest, `{"details":[{"argument_name":"version","help_message":"expected version 1, actual version 7"}]}`, history.Mismatch},
		{"no document there", http.StatusNotFound, `{"resource":"twin_document"}`, history.Absent},
		{"no device", http.StatusNotFound, `{"resource":"twin"}`, history.Denied},
		{"no token", http.StatusUnauthorized, `{}`, history.Denied},
		{"overtaken", http.StatusConflict, `{}`, history.Failed},
		{"trouble", http.StatusInternalServerError, `{}`, history.Failed},
		{"ending", http.StatusServiceUnavailable, `{"message":"the hub is ending: nothing was written, try again"}`, history.Failed},
		{"unknown", http.StatusServiceUnavailable, `{}`, history.Unknown},
		{"deleted", http.StatusNoContent, ``, history.OK},
		{"done", http.StatusOK, good, history.OK},
	} {
		got := r.readREST(c.status, []byte(c.body))
		if got.outcome != c.want {
			t.Errorf("%s: %+v, want %s", c.name, got, c.want)
		}
		if (c.want == history.Mismatch || c.name == "done") && got.version != 7 {
			t.Errorf("%s: version %d, want 7", c.name, got.version)
		}
	}
}

// What the two ends of the history think of a write must be the same: what is sent, merged, and read back is what the
// checker expects.
func TestUpdatesMakeWhatTheCheckerExpects(t *testing.T) {
	d := newTwinBook("00000000-0000-4000-8000-000000000001", 3).life.Load()
	want := history.Data{Of: d.of}
	var data []byte
	for id, kind := range []history.Kind{history.Put, history.Patch, history.Patch, history.Patch, history.Patch, history.Patch, history.Put, history.Patch} {
		r := request{document: d, kind: kind, id: uint32(id + 1)}
		want = want.After(kind, r.id)
		if update := r.update().Data; kind == history.Put {
			data = update
		} else if merged, err := twin.Merge(data, update); err != nil {
			t.Fatal(err)
		} else {
			data = merged
		}
		if got := r.answered(twin.Document{Version: 1, Data: data}); got.outcome != history.OK || got.data != want {
			t.Fatalf("after %s %d: %+v, want %+v", kind, r.id, got, want)
		}
	}
}

func TestSharesAddUp(t *testing.T) {
	sum := 0
	for _, s := range shares {
		sum += s.of100
	}
	if sum != 100 {
		t.Errorf("shares add up to %d", sum)
	}
}
