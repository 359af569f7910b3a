package board

import (
	"testing"
	"unsafe"
)

// TestRequestsAreLaidOutAsTheKernelHasThem has the numbers of its <linux/gpio.h>, which hold each structure's size.
func TestRequestsAreLaidOutAsTheKernelHasThem(t *testing.T) {
	for _, tt := range []struct {
		name      string
		got, want uintptr
	}{
		{"GPIO_V2_GET_LINEINFO_IOCTL", getLineInfo, 0xc100b405},
		{"GPIO_V2_GET_LINE_IOCTL", getLine, 0xc250b407},
		{"GPIO_V2_LINE_GET_VALUES_IOCTL", getLineValues, 0xc010b40e},
		{"GPIO_V2_LINE_SET_VALUES_IOCTL", setLineValues, 0xc010b40f},
		{"offset of a request's config", unsafe.Offsetof(lineRequest{}.config), 288},
		{"offset of a request's fd", unsafe.Offsetof(lineRequest{}.fd), 588},
		{"offset of a config's attributes", unsafe.Offsetof(lineConfig{}.attrs), 32},
		{"offset of an info's flags", unsafe.Offsetof(lineInfo{}.flags), 72},
	} {
		if tt.got != tt.want {
			t.Errorf("%s is %#x, want %#x", tt.name, tt.got, tt.want)
		}
	}
}
