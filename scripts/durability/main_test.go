//go:build linux

package main

import (
	"strings"
	"testing"
	"time"

	"github.com/twinpanel/twinpanel/internal/cli"
)

func TestWrongFlagsAreRefused(t *testing.T) {
	tests := []struct{ args, want string }{
		{"--kills -1", "durability: --kills is -1: expected 0 to 10000\nhint: durability --help"},
		{"--power-cuts 10001", "durability: --power-cuts is 10001: expected 0 to 10000\n"},
		{"--full-disks -1", "durability: --full-disks is -1: expected 0 to 10000\n"},
		{"--broken-disks -1", "durability: --broken-disks is -1: expected 0 to 10000\n"},
		{"--seed -1", "durability: --seed is \"-1\": expected a whole number, 0 or more\n"},
		{"all", "durability: unexpected argument \"all\"\n"},
	}
	for _, tt := range tests {
		var stdout, stderr strings.Builder
		code := cli.Run(t.Context(), command(), strings.Fields(tt.args), &stdout, &stderr)
		if code != cli.ExitUsage || stdout.Len() > 0 || !strings.HasPrefix(stderr.String(), tt.want) {
			t.Errorf("%s: got code %d, stdout %q, stderr %q, want code %d and %q", tt.args, code, &stdout, &stderr, cli.ExitUsage, tt.want)
		}
	}
}

func TestFiguresAreOneLine(t *testing.T) {
	f := figures{
		scenario: "kills", rounds: 20, tally: tally{acknowledged: 1000, there: 3, notThere: 4}, commands: 50, commandsKilled: 6, startsKilled: 7,
		starts: []time.Duration{30 * time.Millisecond, 10 * time.Millisecond, 20 * time.Millisecond},
	}
	var b strings.Builder
	const want = "kills: 20; acknowledged: 1000 writes and 50 commands, 0 lost; unknown outcome: 3 writes are there, 4 are not; " +
		"also killed: 6 commands, 7 starts; start: median 20ms, longest 30ms\n"
	if err := f.print(&b); err != nil || b.String() != want {
		t.Errorf("got %q, error %v, want %q", &b, err, want)
	}
}

// TestAnswersOfREST: what counts as an acknowledgement decides what must not get lost.
func TestAnswersOfREST(t *testing.T) {
	document := `{"version":1,"data":{"put":3,"patch":3,"fill":"` + fill(3) + `"}}`
	tests := []struct {
		method string
		status int
		body   string
		want   outcome
		err    bool
	}{
		{"put", 500, `{"message":"internal error: nothing was written"}`, failed, true},
		{"put", 503, `{"message":"outcome unknown"}`, unknown, true},
		{"put", 404, `{"resource":"twin"}`, failed, true},
		{"put", 400, `{"details":[{"argument_name":"data"}]}`, failed, true},
		{"put", 400, `{"details":[{"argument_name":"version"}]}`, refused, false},
		{"put", 409, `{"message":"too many writers: nothing was written, try again"}`, failed, true},
		{"patch", 409, `{"message":"too many writers: nothing was written, try again"}`, refused, false},
		{"put", 200, `{"version":1,"da`, acknowledged, true},
		{"put", 200, document, acknowledged, false},
		{"get", 200, document, acknowledged, false},
		{"get", 404, "", acknowledged, false},
		{"delete", 204, "", acknowledged, false},
	}
	for _, tt := range tests {
		a := readREST(tt.method, tt.status, []byte(tt.body))
		if a.outcome != tt.want || (a.err != nil) != tt.err {
			t.Errorf("%s %d %s: got %+v, want outcome %d", tt.method, tt.status, tt.body, a, tt.want)
		}
	}
}
