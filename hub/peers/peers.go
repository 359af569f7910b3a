// Package peers is what hubs that share a store tell each other, so that they are one hub to
// their clients: which connections of a device are old, which documents have changed, and who
// is connected where.
//
// Nothing here is needed for what is stored to be right: a connection that is old is also
// refused at its next request, by the epoch in the registry. Peers make it quick.
package peers

import (
	"context"

	"github.com/twinpanel/twinpanel/hub/docstore"
	"github.com/twinpanel/twinpanel/twin"
)

// A Link joins one hub with the others on its store. It is safe for concurrent use.
type Link interface {
	// Raise makes the connections that a device has so far old ones, on all hubs: it returns an
	// epoch higher than any before, which the registry has when Raise returns (see
	// [registry.Device.Epoch]), and tells the others. The error is [registry.ErrNoDevice], or
	// one of the store's.
	Raise(ctx context.Context, id twin.ID) (epoch int64, err error)
	// Changed tells the others that a document has changed or is gone. It doesn't wait.
	Changed(key docstore.Key)
	// HubChanged tells the others that the hub's record has changed. It doesn't wait.
	HubChanged()
	// Connected notes whether this hub has connections of a device. It doesn't wait, so others
	// may know a moment later.
	Connected(id twin.ID, connected bool)
	// Epochs returns the present epochs of those devices that are there.
	Epochs(ctx context.Context, ids []twin.ID) (map[twin.ID]int64, error)
	// Elsewhere returns those of the devices that other hubs have connections of; nil = of all devices.
	Elsewhere(ctx context.Context, ids []twin.ID) (map[twin.ID]bool, error)
	// Listen hands over what the others tell, one after the other, until ctx ends. It is called once, and
	// begins with [News.Missed].
	Listen(ctx context.Context, heard func(News))
}

// News is what a hub hears of others.
type News struct {
	Raised  map[twin.ID]int64 // devices, with their epochs: connections with lower ones are old
	Changed []docstore.Key    // documents that have changed or are gone
	Hub     bool              // the hub's record has changed
	Missed  bool              // for a while nothing could be heard: anything may have happened
}
