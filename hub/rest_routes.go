package hub

import (
	"context"
	"net/http"

	"github.com/twinpanel/twinpanel/hub/registry"
	"github.com/twinpanel/twinpanel/twin"
)

// A restRoute is one call of the API. Who has GET has HEAD.
type restRoute struct {
	method   string
	path     string // below /iot/v1/regions/{region}; it names one thing by its id at most
	resource string // what the call is about, in the vendor's words
	scope    restScope
	call     func(ctx context.Context, r restRequest) (answer any, err error) // an answer of nil is 204
}

// A restScope says which tokens open a route. Those that only read open those of GET alone.
type restScope string

const (
	forAll restScope = "all"        // tokens that open everything
	forOne restScope = "one device" // also those for one device, where it is the one in the path
)

// restRoutes are all calls of the API.
func (h *Hub) restRoutes() []restRoute {
	return []restRoute{
		{"GET", "/twins/{twin_id}", "twin", forOne, h.restListDocuments},
		{"DELETE", "/twins/{twin_id}", "twin", forOne, h.restDeleteDocuments},
		{"GET", "/twins/{twin_id}/documents/{document_name}", "twin_document", forOne, h.restDocument(twin.Get)},
		{"PUT", "/twins/{twin_id}/documents/{document_name}", "twin_document", forOne, h.restDocument(twin.Put)},
		{"PATCH", "/twins/{twin_id}/documents/{document_name}", "twin_document", forOne, h.restDocument(twin.Patch)},
		{"DELETE", "/twins/{twin_id}/documents/{document_name}", "twin_document", forOne, h.restDeleteDocument},
	}
}

// A restRequest is a request of somebody who may make it.
type restRequest struct {
	token    registry.Token
	id       twin.ID   // the UUID in the path: of a twin, which is its device's; empty = there is none
	document twin.Name // the name in the path; empty = there is none
	body     []byte
}

// request reads the path, and holds the token's scope against it. A token for one device gets the
// same refusal for every other, whether there is such a device or not.
func (route restRoute) request(token registry.Token, r *http.Request) (request restRequest, err error) {
	request.token = token
	if text := r.PathValue("twin_id"); text != "" {
		if request.id, err = twin.ParseID(text); err != nil {
			return request, err
		}
	}
	denied := &permissionError{action: "write", resource: route.resource}
	if route.method == http.MethodGet {
		denied.action = "read"
	}
	if token.ReadOnly && denied.action == "write" || token.Device != "" && token.Device != request.id {
		return request, denied
	}
	if text := r.PathValue("document_name"); text != "" {
		request.document, err = twin.ParseName(text)
	}
	return request, err
}
