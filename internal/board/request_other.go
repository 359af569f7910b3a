//go:build !linux

package board

import (
	"errors"
	"os"
	"unsafe"
)

// No chip is found here, so nobody gets this far.

func lineFile(int32) (*os.File, error) { return nil, errors.ErrUnsupported }

func ioctl(*os.File, uintptr, unsafe.Pointer) error { return errors.ErrUnsupported }
