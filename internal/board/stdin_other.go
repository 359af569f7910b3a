//go:build !linux

package board

func keepStdin() func() { return func() {} }
