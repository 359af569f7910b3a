//go:build gpiovm

package cases

import (
	"testing"

	"github.com/twinpanel/twinpanel/internal/gpiosim"
)

func TestHello(t *testing.T) {
	c, err := gpiosim.New("pinctrl-test", "GPIO0", "GPIO1")
	if err != nil {
		t.Fatal(err)
	}
	t.Log(c.Node())
	if err := c.Remove(); err != nil {
		t.Fatal(err)
	}
}
