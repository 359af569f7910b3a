package gpiosim

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"time"
)

// traceDir is where the kernel has its recorder.
const traceDir = "/sys/kernel/tracing"

// An Act is something that was done to a line.
type Act struct {
	Time time.Duration // by the kernel's clock
	What string        // "set high", "set low", "output high", "output low", "input"
}

func (a Act) String() string { return fmt.Sprintf("%v %s", a.Time, a.What) }

// Record forgets what was recorded and records from now on what is done to all lines.
func Record() error {
	return errors.Join(
		write(filepath.Join(traceDir, "tracing_on"), "0"),
		write(filepath.Join(traceDir, "trace"), ""),
		write(filepath.Join(traceDir, "events/gpio/enable"), "1"),
		write(filepath.Join(traceDir, "tracing_on"), "1"),
	)
}

// An event of the trace: "panel-70 [001] ..... 3.141592: gpio_direction: 509 out (0)", where the number in brackets is
// an error, or "… gpio_value: 509 set 1".
var actRow = regexp.MustCompile(`\s(\d+)\.(\d{6}): gpio_(value|direction):\s+(\d+)\s+(set \d|in|out) ?(?:\((-?\d+)\))?`)

// Acts returns what was done to a line since Record, in order. Reads are left out.
func (c *Chip) Acts(l Line) ([]Act, error) {
	base, err := c.base()
	if err != nil {
		return nil, err
	}
	text, err := os.ReadFile(filepath.Join(traceDir, "trace"))
	if err != nil {
		return nil, err
	}
	var acts []Act
	for row := range strings.Lines(string(text)) {
		m := actRow.FindStringSubmatch(row)
		if m == nil || m[4] != strconv.Itoa(base+int(l)) {
			continue
		}
		seconds, _ := strconv.Atoi(m[1]) // digits, by the expression
		micros, _ := strconv.Atoi(m[2])
		what := map[string]string{"set 0": "set low", "set 1": "set high", "in": "input", "out": "output"}[m[5]]
		if n := len(acts) - 1; m[5] == "out" && n >= 0 {
			// One call sets level and direction, and is recorded as two events, the level first.
			what = strings.Replace(acts[n].What, "set", "output", 1)
			acts = acts[:n]
		}
		if m[6] != "" && m[6] != "0" {
			what += ", refused with " + m[6]
		}
		acts = append(acts, Act{time.Duration(seconds)*time.Second + time.Duration(micros)*time.Microsecond, what})
	}
	return acts, nil
}

// base is the number of the chip's first line among all lines.
func (c *Chip) base() (int, error) {
	dirs, err := filepath.Glob("/sys/class/gpio/gpiochip*")
	if err != nil {
		return 0, err
	}
	label := filepath.Base(c.config)
	for _, dir := range dirs {
		if l, err := read(filepath.Join(dir, "label")); err == nil && l == label {
			word, err := read(filepath.Join(dir, "base"))
			if err != nil {
				return 0, err
			}
			return strconv.Atoi(word)
		}
	}
	return 0, fmt.Errorf("no chip is called %s", label)
}
