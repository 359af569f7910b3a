//go:build linux

package vm

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
)

// apt fetches Debian's packages of any architecture from the sources that this computer has, with lists of its own: it
// changes nothing on this computer and needs no root.
type apt struct {
	dir string // for the lists and for apt's configuration
}

// aptArchitectures are those of all kernels, and of this computer, whose kbuild tools build their modules.
var aptArchitectures = []string{"amd64", "arm64"}

// newApt reads the lists of the packages that there are now.
func newApt(ctx context.Context, dir string) (*apt, error) {
	a := &apt{dir}
	var config strings.Builder
	fmt.Fprintf(&config, "APT::Architecture %q;\nAPT::Architectures { ", runtime.GOARCH)
	for _, arch := range aptArchitectures {
		fmt.Fprintf(&config, "%q; ", arch)
	}
	fmt.Fprintf(&config, `};
Dir::State::lists %q;
Dir::State::status %q;
Dir::Cache %q;
Acquire::Languages "none";
APT::Sandbox::User "root";
`, a.path("lists"), a.path("status"), a.path("cache"))
	err := errors.Join(
		os.MkdirAll(a.path("lists/partial"), 0o755),
		os.MkdirAll(a.path("cache/archives/partial"), 0o755),
		os.WriteFile(a.path("status"), nil, 0o644), // nothing is installed
		os.WriteFile(a.path("apt.conf"), []byte(config.String()), 0o644),
	)
	if err != nil {
		return nil, err
	}
	_, err = a.run(ctx, dir, "apt-get", "update", "-q")
	return a, err
}

func (a *apt) path(name string) string { return filepath.Join(a.dir, name) }

// run runs a command of apt's in dir and returns what it prints.
func (a *apt) run(ctx context.Context, dir string, args ...string) (string, error) {
	command := exec.CommandContext(ctx, args[0], args[1:]...)
	command.Dir = dir
	command.Env = append(os.Environ(), "APT_CONFIG="+a.path("apt.conf"), "LC_ALL=C")
	return output(command)
}

// depends returns the one package, with its version, that the newest version of a package depends on.
func (a *apt) depends(ctx context.Context, name string) (dependency, version string, err error) {
	out, err := a.run(ctx, a.dir, "apt-cache", "show", "--no-all-versions", name)
	if err != nil {
		return "", "", err
	}
	for line := range strings.Lines(out) {
		if value, ok := strings.CutPrefix(line, "Depends: "); ok {
			if _, err := fmt.Sscanf(value, "%s (= %s", &dependency, &version); err != nil {
				return "", "", fmt.Errorf("package %s depends on %q; want one package of one version", name, strings.TrimSpace(value))
			}
			return dependency, strings.TrimSuffix(version, ")"), nil
		}
	}
	return "", "", fmt.Errorf("package %s depends on nothing", name)
}

// unpack downloads packages, each given as NAME:ARCHITECTURE=VERSION, and unpacks them in root.
func (a *apt) unpack(ctx context.Context, root string, packages ...string) error {
	dir, err := os.MkdirTemp(a.dir, "download-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	if _, err := a.run(ctx, dir, append([]string{"apt-get", "download", "-q"}, packages...)...); err != nil {
		return err
	}
	files, err := filepath.Glob(filepath.Join(dir, "*.deb"))
	if err != nil {
		return err
	}
	for _, file := range files {
		if _, err := output(exec.CommandContext(ctx, "dpkg-deb", "-x", file, root)); err != nil {
			return err
		}
	}
	return nil
}

// output runs a command and returns what it prints. The error of one that fails has what it said.
func output(command *exec.Cmd) (string, error) {
	var stdout, stderr bytes.Buffer
	command.Stdout, command.Stderr = &stdout, &stderr
	if err := command.Run(); err != nil {
		return "", fmt.Errorf("%s: %w\n%s%s", command, err, &stdout, &stderr)
	}
	return stdout.String(), nil
}
