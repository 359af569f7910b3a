package panel

import (
	"testing"

	"github.com/twinpanel/twinpanel/internal/durable/durabletest"
)

func TestMain(m *testing.M) { durabletest.Main(m) }
