package board

import (
	"os"
	"time"
	"unsafe"

	"periph.io/x/conn/v3/gpio"
	"periph.io/x/host/v3/gpioioctl"
)

// consumer is what the kernel shows as the user of a line that this package requested itself.
const consumer = "panel"

// Flags of a line request, from the kernel's <linux/gpio.h>.
const (
	flagInput    = 1 << 2
	flagOutput   = 1 << 3
	flagEdges    = 1<<4 | 1<<5 // rising and falling
	flagPullUp   = 1 << 8
	flagPullDown = 1 << 9

	attrOutputValues = 2
)

// The kernel's structures of the same names, for one line. Their layout is the same on every
// architecture.
type (
	lineAttribute struct {
		id, _ uint32
		value uint64
	}
	lineConfig struct {
		flags    uint64
		numAttrs uint32
		_        [5]uint32
		attrs    [10]struct {
			lineAttribute
			mask uint64
		}
	}
	lineRequest struct {
		offsets         [64]uint32
		consumer        [32]byte
		config          lineConfig
		numLines        uint32
		eventBufferSize uint32
		_               [5]uint32
		fd              int32
	}
	lineInfo struct {
		name, consumer   [32]byte
		offset, numAttrs uint32
		flags            uint64
		attrs            [10]lineAttribute
		_                [4]uint32
	}
	lineValues struct{ bits, mask uint64 }
)

// The calls of the character device, version 2: Linux 5.10.
var (
	getLineInfo   = iowr(0x05, unsafe.Sizeof(lineInfo{}))
	getLine       = iowr(0x07, unsafe.Sizeof(lineRequest{}))
	getLineValues = iowr(0x0e, unsafe.Sizeof(lineValues{}))
	setLineValues = iowr(0x0f, unsafe.Sizeof(lineValues{}))
)

// iowr is the number of a call that reads and writes size bytes.
func iowr(number, size uintptr) uintptr { return 3<<30 | size<<16 | 0xb4<<8 | number }

// eventSize is the length of what the kernel writes for an edge, and eventQueue how many of them it keeps.
const (
	eventSize  = 48
	eventQueue = 16
)

// A request is one line as the kernel granted it. It has the methods of periph's LineSet, which takes neither a line
// without a name nor the level that an output begins with. Its errors are the kernel's.
type request struct {
	file *os.File
}

// requestLine asks the kernel for a line. An output is driven to the level high from the first moment. The device node
// cannot be another chip's by now: the library has the chip open, and as long as anybody has, its number is taken.
func requestLine(chip *gpioioctl.GPIOChip, offset int, flags uint64, high bool) (*request, error) {
	device, err := os.Open(chip.Path())
	if err != nil {
		return nil, err
	}
	defer device.Close()
	r := lineRequest{numLines: 1}
	r.offsets[0] = uint32(offset)
	copy(r.consumer[:], consumer)
	r.config.flags = flags
	if high {
		r.config.numAttrs = 1
		r.config.attrs[0].id = attrOutputValues
		r.config.attrs[0].value = 1 // bit 0 is the request's only line
		r.config.attrs[0].mask = 1
	}
	if err := ioctl(device, getLine, unsafe.Pointer(&r)); err != nil {
		return nil, err
	}
	file, err := lineFile(r.fd)
	if err != nil {
		return nil, err
	}
	return &request{file}, nil
}

// consumerOf says who uses a line now. Empty = nobody, or nobody knows.
func consumerOf(chip *gpioioctl.GPIOChip, offset int) string {
	line, err := lineOf(chip, offset)
	if err != nil {
		return ""
	}
	return line.By
}

// Read returns the level as bit 0.
func (r *request) Read(gpio.GPIOValue) (gpio.GPIOValue, error) {
	v := lineValues{mask: 1}
	if err := ioctl(r.file, getLineValues, unsafe.Pointer(&v)); err != nil {
		return 0, err
	}
	return gpio.GPIOValue(v.bits & 1), nil
}

// set drives the line.
func (r *request) set(high bool) error {
	v := lineValues{mask: 1}
	if high {
		v.bits = 1
	}
	return ioctl(r.file, setLineValues, unsafe.Pointer(&v))
}

// WaitForEdge waits for edges and takes all that there are. It tells nothing of them but that they came.
func (r *request) WaitForEdge(timeout time.Duration) (int, gpio.Edge, error) {
	if err := r.file.SetReadDeadline(time.Now().Add(timeout)); err != nil {
		return 0, gpio.NoEdge, err
	}
	var events [eventQueue * eventSize]byte
	_, err := r.file.Read(events[:])
	return 0, gpio.NoEdge, err
}

// Close releases the line.
func (r *request) Close() error { return r.file.Close() }
