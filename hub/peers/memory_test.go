package peers_test

import (
	"testing"

	"github.com/twinpanel/twinpanel/hub/peers"
	"github.com/twinpanel/twinpanel/hub/peers/peerstest"
	"github.com/twinpanel/twinpanel/hub/registry"
)

func TestMemory(t *testing.T) {
	peerstest.Run(t, func(*testing.T) (a, b peerstest.Hub) {
		devices := registry.NewMemory()
		all := peers.NewMemory(devices)
		return peerstest.Hub{Link: all.Link(), Registry: devices}, peerstest.Hub{Link: all.Link(), Registry: devices}
	})
}
