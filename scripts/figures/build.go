package main

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
)

// module is the import path of this repository.
const module = "github.com/twinpanel/twinpanel"

// A target is a kind of Linux computer. The zero target is this one.
type target struct {
	name, arch, arm string
}

// targets are what hub and panel ship for.
var targets = []target{
	{"arm v6", "arm", "6"},
	{"arm v7", "arm", "7"},
	{"arm64", "arm64", ""},
	{"amd64", "amd64", ""},
}

// build puts hub and panel for this computer into dir, and tells their size for every target.
func build(ctx context.Context, dir string) (sizes table, err error) {
	if err := (target{arch: runtime.GOARCH}).build(ctx, dir); err != nil {
		return nil, err
	}
	for _, t := range targets {
		to := filepath.Join(dir, t.arch+t.arm)
		if err := t.build(ctx, to); err != nil {
			return nil, err
		}
		for _, program := range []string{"panel", "hub"} {
			file, err := os.Stat(filepath.Join(to, program))
			if err != nil {
				return nil, err
			}
			sizes = append(sizes, single("size of "+program+", "+t.name, mebibytes(file.Size()), ""))
		}
	}
	return sizes, nil
}

// build builds hub and panel as they ship.
func (t target) build(ctx context.Context, dir string) error {
	cmd := exec.CommandContext(ctx, "go", "build", "-trimpath", "-ldflags", "-s -w", "-o", dir+"/", module+"/cmd/hub", module+"/cmd/panel")
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0", "GOOS=linux", "GOARCH="+t.arch)
	if t.arm != "" {
		cmd.Env = append(cmd.Env, "GOARM="+t.arm)
	}
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("building hub and panel for %s: %w\n%s", t.arch, err, out)
	}
	return nil
}
