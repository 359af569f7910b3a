package blackbox

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/twinpanel/twinpanel/statemachine/transcript"
)

func TestCheck(t *testing.T) {
	good := "# a remark\n" + transcript.DefaultHouse().String() + "\n"
	for _, tt := range []struct {
		name  string
		files map[string]string // nil content = a folder
		want  string            // part of the error; "" = fine
	}{
		{"garbage", map[string]string{Name: "\x00\x00\x00\n\xff\n"}, Name + ": nothing in it is a line of a black box"},
		{"an older file that is garbage", map[string]string{Name: good, OldName: "\x00\x00"}, OldName + ": nothing in it is a line of a black box"},
		{"of a newer panel", map[string]string{Name: "# twinpanel transcript, format 999\n" + good}, "newer"},
		{"a folder", map[string]string{Name + "/x": ""}, "is a directory"},
		{"torn", map[string]string{Name: good + "1s conta"}, ""},
		{"whole", map[string]string{Name: good}, ""},
		{"none", nil, ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			dir := t.TempDir()
			for name, text := range tt.files {
				path := filepath.Join(dir, name)
				if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
					t.Fatal(err)
				}
				if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
					t.Fatal(err)
				}
			}
			err := Check(dir)
			if tt.want == "" && err != nil || tt.want != "" && (err == nil || !strings.Contains(err.Error(), tt.want)) {
				t.Errorf("got %v, want %q", err, tt.want)
			}
		})
	}
}
