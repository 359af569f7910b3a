package hub

import "github.com/twinpanel/twinpanel/hub/docstore"

// changed tells the connections of a twin's device that asked for it that a document
// has changed: it has this version now, 0 = it is deleted. The connection that made the
// change itself knows already.
func (e *endpoint) changed(key docstore.Key, version uint32, from *session) {}
