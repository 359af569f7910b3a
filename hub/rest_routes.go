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
	forOne restScope = "one device" // also those for one device, which is the one in the path if that has any
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

		{"GET", "/devices", "device", forOne, h.restListDevices},
		{"POST", "/devices", "device", forAll, h.restCreateDevice},
		{"GET", "/devices/{device_id}", "device", forOne, h.restGetDevice},
		{"PATCH", "/devices/{device_id}", "device", forAll, h.restUpdateDevice},
		{"DELETE", "/devices/{device_id}", "device", forAll, h.restDeleteDevice},
		{"POST", "/devices/{device_id}/enable", "device", forAll, h.restEnableDevice(true)},
		{"POST", "/devices/{device_id}/disable", "device", forAll, h.restEnableDevice(false)},
		{"POST", "/devices/{device_id}/renew-certificate", "device", forAll, h.restRenewCertificate},
		{"GET", "/devices/{device_id}/certificate", "device", forOne, h.restGetCertificate},
		{"PUT", "/devices/{device_id}/certificate", "device", forAll, h.restSetCertificate},

		{"GET", "/hubs", "hub", forAll, h.restListHubs},
		{"POST", "/hubs", "hub", forAll, h.restOnlyHub},
		{"GET", "/hubs/{hub_id}", "hub", forAll, h.restGetHub},
		{"PATCH", "/hubs/{hub_id}", "hub", forAll, h.restUpdateHub},
		{"DELETE", "/hubs/{hub_id}", "hub", forAll, h.restOnlyHub},
		{"POST", "/hubs/{hub_id}/enable", "hub", forAll, h.restOnlyHub},
		{"POST", "/hubs/{hub_id}/disable", "hub", forAll, h.restOnlyHub},
		{"GET", "/hubs/{hub_id}/ca", "hub", forAll, h.restGetAuthority},
		{"POST", "/hubs/{hub_id}/ca", "hub", forAll, h.restSetAuthority},
	}
}

// A restRequest is a request of somebody who may make it.
type restRequest struct {
	token    registry.Token
	id       twin.ID   // the UUID in the path: of a device, which is its twin's, or a hub; empty = there is none
	document twin.Name // the name in the path; empty = there is none
	query    string    // raw
	body     []byte
}

// request reads the path, and holds the token's scope against it. A token for one device gets the
// same refusal for every other, whether there is such a device or not.
func (route restRoute) request(token registry.Token, r *http.Request) (request restRequest, err error) {
	request.token, request.query = token, r.URL.RawQuery
	for _, name := range []string{"twin_id", "device_id", "hub_id"} {
		if text := r.PathValue(name); text != "" {
			if request.id, err = restID(name, text); err != nil {
				return request, err
			}
		}
	}
	if err := route.permit(token, request.id); err != nil {
		return request, err
	}
	if text := r.PathValue("document_name"); text != "" {
		request.document, err = twin.ParseName(text)
	}
	return request, err
}

func (route restRoute) permit(token registry.Token, id twin.ID) error {
	reads := route.method == http.MethodGet
	switch {
	case token.ReadOnly && !reads:
	case token.Device != "" && (route.scope == forAll || id != "" && id != token.Device):
	default:
		return nil
	}
	denied := &permissionError{action: "write", resource: route.resource}
	if reads {
		denied.action = "read"
	}
	return denied
}

// notUUID is the help where an id is none.
const notUUID = "not a UUID: write an id as in 01234567-89ab-cdef-0123-456789abcdef"

// restID reads an id. The error is about the argument of this name.
func restID(argument, text string) (twin.ID, error) {
	id, err := twin.ParseID(text)
	if err != nil && argument != "twin_id" {
		err = &twin.InvalidError{Argument: argument, Reason: "format", Help: notUUID}
	}
	return id, err
}
