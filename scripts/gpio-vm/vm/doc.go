// Package vm runs Debian 12's kernel, with the kernel's own GPIO simulator, in QEMU: for tests of what only a real kernel
// can show. It needs no hardware, no KVM and no root.
//
// [FindKernel] fetches a kernel and builds the simulator for it, once; [Initramfs] packs what the guest is to run; [Start]
// starts a machine, whose job's output comes line by line, and whose end is that of the job. [Build] compiles programs and
// tests for the guest. What runs inside first is scripts/gpio-vm/guest.
//
// A machine with a disk or a network has the modules for it loaded, and the job says what to do with them:
//
//	initramfs.Modules = slices.Concat(vm.GPIOModules, vm.DriveModules, vm.NetworkModules)
//	initramfs.Job.Mounts = []job.Mount{{Device: "/dev/vda", Path: "/data", Type: "ext4"}}
//	initramfs.Job.Network = true
package vm
