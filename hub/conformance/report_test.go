package conformance

import (
	"strings"
	"testing"
)

// live runs against a reference that breaks a rule or chose otherwise, and returns what failed.
func live(t *testing.T, r *Report, way string, tw Twin) (failures []string) {
	t.Helper()
	return record(t.Logf, func(to reporter) { r.live(t.Context(), to, way, tw) })
}

func TestLiveFailsForABrokenRuleAlone(t *testing.T) {
	tests := []struct {
		fault fault
		want  string // check that fails; empty = none
	}{
		{"REST: a form is refused", "REST: curl's content type, a form, is as good as any"},
		{"names have no tilde", "names take every character of the specification"},
		{"REST: a document that is made is 201", ""},
		{"", ""},
	}
	for _, tt := range tests {
		t.Run(string(tt.fault), func(t *testing.T) {
			failures := live(t, new(Report), "REST", overREST(newReference(tt.fault)))
			switch {
			case tt.want == "" && len(failures) > 0:
				t.Errorf("got %q, want nothing", failures)
			case tt.want != "" && (len(failures) != 1 || !strings.HasPrefix(failures[0], tt.want+", over REST\n") || !strings.Contains(failures[0], "\n    ! ")):
				t.Errorf("got %q, want a failure of %q that says how", failures, tt.want)
			}
		})
	}
}

func TestSummary(t *testing.T) {
	rest := newReference("REST: a document that is made is 201").rest()
	rest.ReadOnly = ""
	var report Report
	live(t, &report, "REST", rest)
	live(t, &report, "WebSocket", rest)
	got := report.Summary()
	for _, want := range []string{
		"specification and breaks 0.\n",
		"\n    a list has _config\n",
		"\nand otherwise; ! says how: 2\nREST: success is 200, or 204 without a body, over REST\n    > PUT /twins/DEVICE_ID/documents/a ",
		"\n    ! got 201 ",
		"\nLeft out, because it needs MQTT: set TWIN_MQTT or TWIN_WS: ",
		"\nLeft out, because it needs a token that only reads: set TWIN_READ_TOKEN: 1\n",
	} {
		if !strings.Contains(got, want) {
			t.Errorf("the summary lacks %q:\n%s", want, got)
		}
	}
	for _, bad := range []string{"over WebSocket", "set TWIN_API", "\n    REST: success is 200"} {
		if strings.Contains(got, bad) {
			t.Errorf("the summary has %q:\n%s", bad, got)
		}
	}
}
