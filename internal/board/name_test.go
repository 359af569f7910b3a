package board

import (
	"strings"
	"testing"
)

// Two computers, as their kernels describe them, shortened.
var (
	pi5 = []chipLines{
		{label: "pinctrl-rp1", lines: []string{"ID_SDA", "ID_SCL", "GPIO2", "GPIO3", "GPIO4", "GPIO17", "GPIO18", "GPIO27", "-", "-"}},
		{label: "gpio-brcmstb@107d508500", lines: []string{"2712_WAKE", ""}},
		{label: "gpio-brcmstb@107d517c00", lines: []string{"PWR_GPIO", "gpiochip12-2712_WAKE"}},
	}
	nameless = []chipLines{{label: "INT33FC:00", lines: []string{"", "", ""}}, {label: "INT33FC", lines: []string{""}}}
)

func TestFindLine(t *testing.T) {
	tests := []struct {
		name       string
		chips      []chipLines
		line       string
		chip, want int
		err        string // part of the error; "" = found
	}{
		{"empty", pi5, "", 0, 0, "give one such as GPIO17"},
		{"space", pi5, " GPIO17", 0, 0, "has a space"},
		{"no chip before the colon", pi5, ":17", 0, 0, "want the label of a chip"},
		{"no number", pi5, "pinctrl-rp1:", 0, 0, "want the label of a chip"},
		{"negative number", pi5, "pinctrl-rp1:-1", 0, 0, "want the label of a chip"},
		{"signed number", pi5, "pinctrl-rp1:+1", 0, 0, "want the label of a chip"},
		{"word as number", pi5, "pinctrl-rp1:GPIO17", 0, 0, "want the label of a chip"},
		{"huge number", pi5, "pinctrl-rp1:99999999999999999999", 0, 0, "want the label of a chip"},
		{"number beyond the chip", pi5, "pinctrl-rp1:10", 0, 0, "chip pinctrl-rp1 has 10 lines"},
		{"unknown chip", pi5, "pinctrl-bcm2711:17", 0, 0, "the labels are pinctrl-rp1, gpio-brcmstb@107d508500"},
		{"chip number", pi5, "gpiochip0:17", 0, 0, "no GPIO chip has a label that begins with gpiochip0"},
		{"two chips", pi5, "gpio-brcmstb:0", 0, 0, "write more of the one you mean: gpio-brcmstb@107d508500, gpio-brcmstb@107d517c00"},
		{"unknown name", pi5, "GPIO99", 0, 0, "no line of this computer is called GPIO99; did you mean GPIO2, GPIO3, GPIO4, GPIO17, GPIO18?"},
		{"number alone", pi5, "17", 0, 0, "did you mean GPIO17"},
		{"lower case", pi5, "gpio27", 0, 0, "did you mean GPIO27, GPIO2,"},
		{"nothing alike", pi5, "zzz", 0, 0, "gpioinfo lists them"},
		{"no names at all", nameless, "GPIO17", 0, 0, "gpioinfo lists them"},
		{"no chips", nil, "GPIO17", 0, 0, "no line of this computer is called GPIO17"},

		{"by name", pi5, "GPIO17", 0, 5, ""},
		{"by name on another chip", pi5, "PWR_GPIO", 2, 0, ""},
		{"by label and offset", pi5, "pinctrl-rp1:5", 0, 5, ""},
		{"by the label's beginning", pi5, "pinctrl-:9", 0, 9, ""},
		{"by label of a line without name", pi5, "gpio-brcmstb@107d508500:1", 1, 1, ""},
		{"a whole label beats beginnings", nameless, "INT33FC:0", 1, 0, ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			n, err := parseName(tt.line)
			var chip, line int
			if err == nil {
				chip, line, err = n.find(tt.chips)
			}
			if tt.err != "" {
				if err == nil || !strings.Contains(err.Error(), tt.err) {
					t.Errorf("line %q: %v; want an error with %q", tt.line, err, tt.err)
				}
				return
			}
			if err != nil || chip != tt.chip || line != tt.want {
				t.Errorf("line %q: chip %d, line %d, %v; want chip %d, line %d", tt.line, chip, line, err, tt.chip, tt.want)
			}
		})
	}
}

func FuzzParseName(f *testing.F) {
	for _, s := range []string{"", "GPIO17", "pinctrl-bcm2711:17", "a:b:3", ":", "x:-1"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		n, err := parseName(s)
		if err != nil {
			return
		}
		if n.text != s || n.offset < 0 || n.offset > maxOffset {
			t.Errorf("parseName(%q) = %+v", s, n)
		}
		chip, line, err := n.find(pi5)
		if err == nil && (chip >= len(pi5) || line >= len(pi5[chip].lines)) {
			t.Errorf("find(%q) = chip %d, line %d, which are not there", s, chip, line)
		}
	})
}
