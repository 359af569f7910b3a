// Package job is what a machine is told to do, and how it says that it is done: what package vm and the guest share.
package job

// Path is the file of a guest that has its job, as JSON.
const Path = "/job.json"

// Exit begins the last line of a guest's console; the exit code of the job follows. Without this line the job has not ended.
const Exit = "gpio-vm: exit "

// Addresses of a guest with a network.
const (
	Address = "10.0.2.15"
	Host    = "10.0.2.2" // the computer that the machine runs on
)

// A Job is what a guest does, in this order. When something fails, the exit code is 1; a program that fails does not keep
// the others from running.
type Job struct {
	Modules []string  // files of kernel modules
	Network bool      // give eth0 its address
	Mounts  []Mount   // beside /proc, /sys, /dev, /tmp and /run
	Run     []Program // one after the other
}

// A Mount is a file system that the guest mounts.
type Mount struct {
	Device, Path, Type string
	Options            string // of the file system's own: data=ordered
}

// A Program is one that the guest runs, as root.
type Program struct {
	Args []string // the first is its file
	Env  []string // beside PATH and HOME
	Dir  string   // empty = /
}
