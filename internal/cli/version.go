package cli

import (
	"cmp"
	"fmt"
	"io"
	"runtime/debug"
)

// printVersion prints what --version asks for.
func printVersion(w io.Writer, program string) error {
	_, err := fmt.Fprintln(w, program, Version())
	return err
}

// Version is what --version says of this program.
func Version() string {
	info, ok := debug.ReadBuildInfo()
	if !ok {
		info = new(debug.BuildInfo)
	}
	return version(info)
}

// version is the version of the module, and the revision that it was built from where that is known:
// a build outside of version control doesn't know it, nor does one of a released module.
func version(info *debug.BuildInfo) string {
	text, revision, modified := cmp.Or(info.Main.Version, "(devel)"), "", ""
	for _, s := range info.Settings {
		switch {
		case s.Key == "vcs.revision":
			revision = " revision " + s.Value
		case s.Key == "vcs.modified" && s.Value == "true":
			modified = " with changes"
		}
	}
	return text + revision + modified
}
