//go:build linux

package vm

import (
	"context"
	"debug/elf"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"

	"golang.org/x/sys/unix"
)

// A Kernel is Debian 12's kernel for one architecture, with the modules irq_sim and gpio-sim built for it.
type Kernel struct {
	Arch    string // as Go calls it: amd64 or arm64
	Release string // as uname -r says: 6.1.0-56-amd64
	Image   string // file to boot
	Modules string // folder with all its modules, also those that were built for it
}

// Architectures are those that there is a kernel for.
var Architectures = []string{"amd64", "arm64"}

// FindKernel returns the kernel for arch that is in the folder cache; empty = one in the user's cache. When there is none, it
// fetches Debian's newest and builds the modules, which takes about a minute; it says so on log. The same cache can be used by
// several processes.
func FindKernel(ctx context.Context, cache, arch string, log io.Writer) (*Kernel, error) {
	if !slices.Contains(Architectures, arch) {
		return nil, fmt.Errorf("there is no kernel for %q: expected %s", arch, strings.Join(Architectures, " or "))
	}
	if cache == "" {
		dir, err := os.UserCacheDir()
		if err != nil {
			return nil, fmt.Errorf("no folder for kernels is named: %w", err)
		}
		cache = filepath.Join(dir, "twinpanel-gpio-vm")
	}
	if err := os.MkdirAll(cache, 0o755); err != nil {
		return nil, err
	}
	lock, err := os.Open(cache)
	if err != nil {
		return nil, err
	}
	defer lock.Close()
	if err := unix.Flock(int(lock.Fd()), unix.LOCK_EX); err != nil { // waits
		return nil, os.NewSyscallError("flock "+cache, err)
	}
	found, err := filepath.Glob(filepath.Join(cache, "linux-*-"+arch+"_*_"+recipe))
	if err != nil {
		return nil, err
	}
	if len(found) == 0 {
		dir, err := fetchKernel(ctx, cache, arch, log)
		if err != nil {
			return nil, fmt.Errorf("fetching a kernel for %s: %w", arch, err)
		}
		found = []string{dir}
	}
	dir, err := filepath.Abs(found[0])
	if err != nil {
		return nil, err
	}
	release, _, _ := strings.Cut(strings.TrimPrefix(filepath.Base(dir), "linux-"), "_")
	k := &Kernel{
		Arch: arch, Release: release, Image: filepath.Join(dir, "vmlinuz"), Modules: filepath.Join(dir, "modules"),
	}
	if arch == "amd64" {
		k.Image, err = uncompressed(k.Image)
	}
	return k, err
}

// fetchKernel makes a kernel's folder in the cache and returns its path. The folder has the package's version in its
// name, and that of the recipe, and is there with all it should have or not at all.
func fetchKernel(ctx context.Context, cache, arch string, log io.Writer) (string, error) {
	work, err := os.MkdirTemp(cache, "work-")
	if err != nil {
		return "", err
	}
	defer os.RemoveAll(work)
	fmt.Fprintf(log, "fetching the newest kernel for %s\n", arch)
	packages, err := newApt(ctx, work)
	if err != nil {
		return "", err
	}
	image, version, err := packages.depends(ctx, "linux-image-"+arch+":"+arch)
	if err != nil {
		return "", err
	}
	release := strings.TrimPrefix(image, "linux-image-")
	root := filepath.Join(work, "root")
	if err := packages.unpack(ctx, root,
		image+":"+arch+"="+version,
		"linux-headers-"+release+":"+arch+"="+version,
		"linux-headers-"+strings.TrimSuffix(release, arch)+"common="+version,
		"linux-kbuild-6.1:"+runtime.GOARCH+"="+version,
	); err != nil {
		return "", err
	}
	source, err := simulatorSource(ctx, cache, packages, version, log)
	if err != nil {
		return "", err
	}
	fmt.Fprintf(log, "building gpio-sim for %s %s\n", release, version)
	made := filepath.Join(work, "made")
	modules := filepath.Join(made, "modules")
	err = errors.Join(
		os.Mkdir(made, 0o755),
		os.Rename(filepath.Join(root, "boot/vmlinuz-"+release), filepath.Join(made, "vmlinuz")),
		os.Rename(filepath.Join(root, "lib/modules", release), modules),
		os.Remove(filepath.Join(modules, "build")), // links to headers, which are not kept
		os.Remove(filepath.Join(modules, "source")),
	)
	if err != nil {
		return "", err
	}
	if err := buildSimulator(ctx, root, release, arch, source, filepath.Join(modules, "extra")); err != nil {
		return "", err
	}
	dir := filepath.Join(cache, "linux-"+release+"_"+version+"_"+recipe)
	return dir, os.Rename(made, dir)
}

// simulatorSource returns a folder of the cache with those files of the kernel's source that make its GPIO simulator.
func simulatorSource(ctx context.Context, cache string, packages *apt, version string, log io.Writer) (string, error) {
	dir := filepath.Join(cache, "gpio-sim_"+version)
	if _, err := os.Stat(dir); err == nil {
		return dir, nil
	}
	fmt.Fprintln(log, "fetching the kernel's source")
	root := packages.path("source")
	if err := packages.unpack(ctx, root, "linux-source-6.1="+version); err != nil {
		return "", err
	}
	args := []string{"-C", root, "--strip-components=3", "-xJf", filepath.Join(root, "usr/src/linux-source-6.1.tar.xz")}
	for _, name := range []string{"drivers/gpio/gpio-sim.c", "drivers/gpio/gpiolib.h", "kernel/irq/irq_sim.c"} {
		args = append(args, "linux-source-6.1/"+name)
	}
	if _, err := output(exec.CommandContext(ctx, "tar", args...)); err != nil {
		return "", err
	}
	if err := os.RemoveAll(filepath.Join(root, "usr")); err != nil {
		return "", err
	}
	return dir, os.Rename(root, dir)
}

// simulatorEdits make modules of Debian's source, whose kernel has the simulator switched off.
var simulatorEdits = []struct{ file, old, new string }{
	// irq_sim.c expects to be a part of the kernel.
	{"irq_sim.c", "#include <linux/slab.h>", "#include <linux/slab.h>\n#include <linux/module.h>\nMODULE_LICENSE(\"GPL\");"},
	{"irq_sim.c", "handle_simple_irq(irq_to_desc(irqnum))", "generic_handle_irq_safe(irqnum)"},
	// When a chip goes while a program waits for edges of it, this kernel frees interrupts that are in use, and at times dies
	// of it a little later. Here they stay.
	{"gpio-sim.c", "devm_irq_domain_create_sim(dev, swnode, num_lines)", "irq_domain_create_sim(swnode, num_lines)"},
	{"gpio-sim.c", "ret = devm_add_action_or_reset(dev, gpio_sim_dispose_mappings, chip);", "(void)gpio_sim_dispose_mappings;\n\tret = 0;"},
}

// recipe is the number of these edits: a kernel that was built with others is built anew.
const recipe = "2"

// buildSimulator builds irq_sim.ko and gpio-sim.ko and puts them in the folder to.
func buildSimulator(ctx context.Context, root, release, arch, source, to string) error {
	build := filepath.Join(root, "build")
	if err := os.CopyFS(build, os.DirFS(source)); err != nil {
		return err
	}
	for _, e := range simulatorEdits {
		file := filepath.Join(build, e.file)
		text, err := os.ReadFile(file)
		if err != nil {
			return err
		}
		if strings.Count(string(text), e.old) != 1 {
			return fmt.Errorf("%s has not once %q, which is to be replaced: it has changed", e.file, e.old)
		}
		if err := os.WriteFile(file, []byte(strings.Replace(string(text), e.old, e.new, 1)), 0o644); err != nil {
			return err
		}
	}
	headers := filepath.Join(root, "usr/src/linux-headers-"+release)
	common := filepath.Join(root, "usr/src/linux-headers-"+strings.TrimSuffix(release, arch)+"common")
	err := errors.Join(
		os.WriteFile(filepath.Join(build, "Kbuild"), []byte("obj-m := irq_sim.o gpio-sim.o\n"), 0o644),
		// The package's own names the place where it would be installed.
		os.WriteFile(filepath.Join(headers, "Makefile"), []byte("include "+common+"/Makefile\n"), 0o644),
	)
	if err != nil {
		return err
	}
	args := []string{"-C", headers, "M=" + build, "modules"}
	if arch != runtime.GOARCH {
		args = append(args, "CROSS_COMPILE="+map[string]string{"amd64": "x86_64", "arm64": "aarch64"}[arch]+"-linux-gnu-")
	}
	if _, err := output(exec.CommandContext(ctx, "make", args...)); err != nil {
		return err
	}
	err = os.Mkdir(to, 0o755)
	for _, name := range []string{"irq_sim.ko", "gpio-sim.ko"} {
		err = errors.Join(err, os.Rename(filepath.Join(build, name), filepath.Join(to, name)))
	}
	return err
}

// ModuleFiles returns the files of modules and of those that they depend on, in the order of loading. What is built into
// the kernel has no file and must not be named.
func (k *Kernel) ModuleFiles(names ...string) ([]string, error) {
	all := map[string]string{} // path by name
	err := filepath.WalkDir(k.Modules, func(path string, entry fs.DirEntry, err error) error {
		if name, ok := strings.CutSuffix(filepath.Base(path), ".ko"); ok {
			all[moduleName(name)] = path
		}
		return err
	})
	if err != nil {
		return nil, err
	}
	var files []string
	var add func(name string) error
	add = func(name string) error {
		path := all[moduleName(name)]
		if path == "" {
			return fmt.Errorf("kernel %s has no module %s", k.Release, name)
		}
		if slices.Contains(files, path) {
			return nil
		}
		depends, err := moduleDepends(path)
		if err != nil {
			return fmt.Errorf("reading module %s: %w", name, err)
		}
		for _, d := range depends {
			if err := add(d); err != nil {
				return err
			}
		}
		files = append(files, path)
		return nil
	}
	for _, name := range names {
		if err := add(name); err != nil {
			return nil, err
		}
	}
	return files, nil
}

// moduleName is one spelling for a name that the kernel spells in two ways.
func moduleName(name string) string { return strings.ReplaceAll(name, "-", "_") }

// moduleDepends returns what a module says of itself under "depends".
func moduleDepends(path string) ([]string, error) {
	module, err := elf.Open(path)
	if err != nil {
		return nil, err
	}
	defer module.Close()
	section := module.Section(".modinfo")
	if section == nil {
		return nil, errors.New("no section .modinfo")
	}
	info, err := section.Data()
	if err != nil {
		return nil, err
	}
	for field := range strings.SplitSeq(string(info), "\x00") {
		if names, ok := strings.CutPrefix(field, "depends="); ok {
			return strings.FieldsFunc(names, func(r rune) bool { return r == ',' }), nil
		}
	}
	return nil, nil
}
