//go:build linux

package vm

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"runtime"
)

// A Program is a program or a test of this module that is to be built for a machine.
type Program struct {
	Package string // import path, or a path such as ./cmd/panel
	Test    bool   // build its tests
	Tags    string
	Race    bool   // with the race detector; only for this computer's architecture
	Overlay string // file that says which source files are to be replaced, as "go help build" describes it; empty = none
	GOARM   string // 6 or 7: for a computer of 32 bits; empty = for the machine's architecture
}

// Build builds a program that needs no library, and writes it to a file.
func Build(ctx context.Context, arch string, p Program, name string) error {
	args := []string{"build"}
	if p.Test {
		args = []string{"test", "-c"}
	}
	tags := p.Tags
	if p.Race {
		tags += ",netgo,osusergo" // what a static program with cgo would need a library for
	}
	args = append(args, "-o", name, "-trimpath", "-tags", tags)
	env := append(os.Environ(), "GOOS=linux", "GOARCH="+arch, "CGO_ENABLED=0")
	if p.GOARM != "" {
		env = append(env, "GOARCH=arm", "GOARM="+p.GOARM)
	}
	if p.Overlay != "" {
		args = append(args, "-overlay", p.Overlay)
	}
	if p.Race {
		if arch != runtime.GOARCH {
			return fmt.Errorf("building %s: the race detector can be had for %s only", p.Package, runtime.GOARCH)
		}
		args = append(args, "-race", "-ldflags", "-linkmode external -extldflags -static")
		env = append(env, "CGO_ENABLED=1")
	}
	command := exec.CommandContext(ctx, "go", append(args, p.Package)...)
	command.Env = env
	_, err := output(command)
	return err
}
