// Package hub is Cloud Twins as a server: an MQTT 3.1.1 endpoint that answers
// in-band requests on the connection that asked, and the REST API. Both are
// ways into one function, [Hub.Do]. Nothing is routed between connections:
// there is no broker here.
package hub

import (
	"context"
	"log/slog"
	"net"
	"net/http"

	"github.com/twinpanel/twinpanel/hub/docstore"
	"github.com/twinpanel/twinpanel/hub/registry"
	"github.com/twinpanel/twinpanel/twin"
)

// OtherTopics says what happens to a PUBLISH outside $SCW/twins/.
type OtherTopics string

// The choices of --other-topics.
const (
	RefuseOtherTopics OtherTopics = "refuse" // close the connection
	DropOtherTopics   OtherTopics = "drop"   // acknowledge and forget
)

// Config is what a hub needs.
type Config struct {
	Documents   docstore.Store    // required
	Registry    registry.Registry // required
	Region      string            // of the REST path; default "fr-par"
	OtherTopics OtherTopics       // default RefuseOtherTopics
	Logger      *slog.Logger      // nil = silent
}

// A Hub serves twins.
type Hub struct{}

// New checks the configuration and returns a hub that serves nothing yet.
func New(c Config) (*Hub, error) { panic("not yet") }

// Do is the hub's core: method m on a document of a twin with the request's
// payload (ignored for a get). The errors are those of package twin; a
// [*docstore.OutcomeError] says that the hub cannot know whether it wrote.
func (h *Hub) Do(ctx context.Context, id twin.ID, name twin.Name, m twin.Method, payload []byte) (twin.Document, error) {
	panic("not yet")
}

// ServeMQTT accepts connections until the listener or the hub is closed; a closed
// hub is a clean end (nil).
func (h *Hub) ServeMQTT(l net.Listener) error { panic("not yet") }

// ServeConn serves one MQTT connection and returns when it has ended.
func (h *Hub) ServeConn(conn net.Conn) { panic("not yet") }

// REST is the handler of /iot/v1/regions/{region}/….
func (h *Hub) REST() http.Handler { panic("not yet") }

// Close ends all connections and waits for requests under way. It leaves store
// and registry open: they belong to the caller.
func (h *Hub) Close() error { panic("not yet") }
