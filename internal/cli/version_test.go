package cli

import (
	"runtime/debug"
	"strings"
	"testing"
)

func TestVersion(t *testing.T) {
	build := func(version string, settings ...debug.BuildSetting) *debug.BuildInfo {
		return &debug.BuildInfo{Main: debug.Module{Version: version}, Settings: settings}
	}
	revision := debug.BuildSetting{Key: "vcs.revision", Value: "0123abcd"}
	for _, tt := range []struct {
		info *debug.BuildInfo
		want string
	}{
		{build(""), "(devel)"},
		{build("(devel)", debug.BuildSetting{Key: "vcs.modified", Value: "false"}), "(devel)"},
		{build("v1.2.3"), "v1.2.3"},
		{build("v1.2.3", debug.BuildSetting{Key: "vcs", Value: "git"}, revision, debug.BuildSetting{Key: "vcs.modified", Value: "false"}), "v1.2.3 revision 0123abcd"},
		{build("v1.2.3", revision, debug.BuildSetting{Key: "vcs.modified", Value: "true"}), "v1.2.3 revision 0123abcd with changes"},
	} {
		if got := version(tt.info); got != tt.want {
			t.Errorf("got %q, want %q", got, tt.want)
		}
	}
}

func TestVersionIsPrinted(t *testing.T) {
	for _, args := range []string{"--version", "--poll-every 3s --version"} {
		var stdout, stderr strings.Builder
		code := Run(t.Context(), bell(), strings.Fields(args), &stdout, &stderr)
		if fields := strings.Fields(stdout.String()); code != ExitOK || len(fields) < 2 || fields[0] != "bell" || stderr.Len() > 0 {
			t.Errorf("%s: got code %d, stdout %q, stderr %q", args, code, &stdout, &stderr)
		}
	}
}
