//go:build linux

package main

import (
	"encoding/json"
	"os"
	"strings"
	"testing"
	"time"
)

func TestFlagsOutOfRange(t *testing.T) {
	for _, tt := range []struct {
		name   string
		config Config
		want   string // in the error; empty = valid
	}{
		{"no cut", Config{Arch: "amd64"}, "--cuts"},
		{"too many", Config{Cuts: 10_001, Arch: "amd64"}, "--cuts"},
		{"another architecture", Config{Cuts: 1, Arch: "arm"}, "--arch"},
		{"one cut", Config{Cuts: 1, Arch: "arm64"}, ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if err := tt.config.Validate(); (err == nil) != (tt.want == "") || err != nil && !strings.Contains(err.Error(), tt.want) {
				t.Errorf("got %v, want %q in it", err, tt.want)
			}
		})
	}
}

func TestJournalThatIsNotWhole(t *testing.T) {
	whole := armedWith(1, 10000, 0)
	for name, content := range map[string][]byte{
		"empty":         {},
		"one line":      []byte("twinpanel-journal 1 00000000\n"),
		"another":       []byte(strings.Replace(string(whole), "true", "TRUE", 1)),
		"more behind":   append(whole[:len(whole):len(whole)], 'x'),
		"unknown field": text(`{"armed":true,"until":7}`),
		"two records":   text(`{"armed":true}{"armed":false}`),
	} {
		if j, err := parseJournal(content); err == nil {
			t.Errorf("%s: read as %+v, want an error", name, j)
		}
	}
	if j, err := parseJournal(whole); err != nil || !j.Armed || j.charged() != 10*time.Second {
		t.Errorf("a whole one: %+v, %v", j, err)
	}
}

// The flushes that --prove leaves out are where it looks for them, each once.
func TestForgetfulPanelCanBeMade(t *testing.T) {
	overlay, err := forgetful(t.Context(), t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	b, err := os.ReadFile(overlay)
	if err != nil {
		t.Fatal(err)
	}
	var o struct{ Replace map[string]string }
	if err := json.Unmarshal(b, &o); err != nil || len(o.Replace) != 2 {
		t.Fatalf("overlay %s, %v: want two files", b, err)
	}
	for _, there := range o.Replace {
		if source, err := os.ReadFile(there); err != nil || strings.Contains(string(source), ".Sync()") {
			t.Errorf("%s still flushes, or cannot be read: %v", there, err)
		}
	}
}
