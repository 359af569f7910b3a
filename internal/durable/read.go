package durable

import (
	"errors"
	"io"
	"io/fs"
	"os"
)

// ErrNotRegular says that there is a pipe or a device where a file should be.
var ErrNotRegular = errors.New("not a regular file")

// Read returns what the file at path holds, but no more than the first most bytes. What is no regular file is an error at
// once: a pipe would keep the caller waiting.
func Read(path string, most int64) ([]byte, error) {
	info, err := os.Stat(path)
	if err != nil {
		return nil, err
	}
	if mode := info.Mode(); !mode.IsRegular() && !mode.IsDir() { // of a folder the kernel says so
		return nil, &fs.PathError{Op: "read", Path: path, Err: ErrNotRegular}
	}
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return io.ReadAll(io.LimitReader(f, most))
}
