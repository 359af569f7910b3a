package hub

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"net/http"
	"os"
	"time"

	"github.com/twinpanel/twinpanel/hub/docstore"
	"github.com/twinpanel/twinpanel/hub/registry"
	"github.com/twinpanel/twinpanel/twin"
)

// This file is the one place where errors become answers. What is not listed here is
// the hub's own trouble: it goes to the log, and the client learns no more
// than that nothing was written.

var (
	errEnding    = errors.New("the hub is ending: nothing was written, try again")
	errInternal  = errors.New("internal error: nothing was written")
	errOvertaken = errors.New("too many writers: nothing was written, try again")
)

// mqttError is the payload for …/response/error. It is false where the connection
// has to be closed instead: an error answer promises that nothing was written,
// which the hub doesn't know after a [*docstore.OutcomeError], and a device that was removed
// or lost what it connected with has no business here any more.
func mqttError(id twin.ID, name twin.Name, err error) (payload []byte, ok bool) {
	if isUnknown(err) || errors.Is(err, registry.ErrNoDevice) || isRefused(err) {
		return nil, false
	}
	switch {
	case errors.Is(err, errOvertaken):
		err = errOvertaken // without what happened to it in particular
	case !isRefusal(err):
		err = errInternal
	}
	return twin.EncodeError(id, name, err), true
}

// isUnknown tells whether the store doesn't know if it wrote.
func isUnknown(err error) bool {
	_, unknown := errors.AsType[*docstore.OutcomeError](err)
	return unknown
}

// isRefusal tells what is wrong with a request from what is wrong with the hub.
func isRefusal(err error) bool {
	if _, ok := errors.AsType[*twin.VersionError](err); ok {
		return true
	}
	if _, ok := errors.AsType[*twin.InvalidError](err); ok {
		return true
	}
	return errors.Is(err, twin.ErrDocumentNotFound) || errors.Is(err, twin.ErrPermissionDenied) ||
		errors.Is(err, twin.ErrTooManyDocuments) || errors.Is(err, errOvertaken)
}

// An authError says why a request's token opens nothing, in the vendor's words.
type authError struct {
	method string // "api_key" or "jwt"
	reason string // "invalid_argument" or "not_found"
}

func (e *authError) Error() string { return "authentication is denied" }

// A waitError says for how long no credential of a request's address is looked at.
type waitError struct{ wait time.Duration }

func (e *waitError) Error() string { return errGuessing.Error() }

func (e *waitError) seconds() int { return int(math.Ceil(e.wait.Seconds())) }

// A permissionError says what a request's token may not do, in the vendor's words.
type permissionError struct {
	action   string // "read" or "write"
	resource string // "twin", "twin_document", "device" or "hub"
	message  string // empty = the vendor's
}

func (e *permissionError) Error() string { return cmp.Or(e.message, "insufficient permissions") }

// A notFoundError says what of a request is not there, in the vendor's words.
type notFoundError struct {
	resource string // "hub"
	id       string
}

func (e *notFoundError) Error() string { return "resource is not found" }

// A preconditionError says what has to be done before a request can be, in the vendor's words.
type preconditionError struct {
	precondition string // "attribute_must_be_set" or "unknown_precondition"
	help         string
}

func (e *preconditionError) Error() string { return "precondition failed" }

// A bodyError says that a request's body did not arrive.
type bodyError struct{ err error }

func (e *bodyError) Error() string { return "reading body: " + e.err.Error() }
func (e *bodyError) Unwrap() error { return e.err }

// The error bodies of the vendor's API. Its SDKs make typed errors of them by type
// alone; the keys stand in the vendor's order, which is the alphabet's.
type (
	plainBody struct {
		Message string `json:"message"`
	}
	invalidBody struct {
		Details []invalidDetail `json:"details"`
		Message string          `json:"message"`
		Type    string          `json:"type"`
	}
	invalidDetail struct {
		Argument string `json:"argument_name"`
		Help     string `json:"help_message"`
		Reason   string `json:"reason"`
	}
	notFoundBody struct {
		Message    string `json:"message"`
		Resource   string `json:"resource"`
		ResourceID string `json:"resource_id"`
		Type       string `json:"type"`
	}
	authBody struct {
		Message string `json:"message"`
		Method  string `json:"method"`
		Reason  string `json:"reason"`
		Type    string `json:"type"`
	}
	waitBody struct {
		Help         string    `json:"help_message"`
		Limit        waitLimit `json:"limit"`
		Message      string    `json:"message"`
		ResetSeconds int       `json:"reset_seconds"`
		Type         string    `json:"type"`
	}
	waitLimit struct {
		Quota         int `json:"quota"`
		WindowSeconds int `json:"window_seconds"`
	}
	permissionBody struct {
		Details []permissionDetail `json:"details"`
		Message string             `json:"message"`
		Type    string             `json:"type"`
	}
	permissionDetail struct {
		Action   string `json:"action"`
		Resource string `json:"resource"`
	}
	preconditionBody struct {
		Help         string `json:"help_message"`
		Message      string `json:"message"`
		Precondition string `json:"precondition"`
		Type         string `json:"type"`
	}
	quotaBody struct {
		Details []quotaDetail `json:"details"`
		Message string        `json:"message"`
		Type    string        `json:"type"`
	}
	quotaDetail struct {
		Current  int    `json:"current"`
		Quota    int    `json:"quota"`
		Resource string `json:"resource"`
	}
)

func invalid(argument, reason, help string) invalidBody {
	return invalidBody{[]invalidDetail{{argument, help, reason}}, "invalid argument(s)", "invalid_arguments"}
}

func notFound(resource, id string) notFoundBody {
	return notFoundBody{"resource is not found", resource, id, "not_found"}
}

// restError is the status and body that answer err to request r.
func restError(r *http.Request, err error) (status int, body any) {
	if e, ok := errors.AsType[*twin.VersionError](err); ok {
		return http.StatusBadRequest, invalid("version", "constraint",
			fmt.Sprintf("expected version %d, actual version %d", e.Expected, e.Actual))
	}
	if e, ok := errors.AsType[*twin.InvalidError](err); ok {
		help := cmp.Or(e.Help, e.Reason)
		if e.Place != "" && e.Place != e.Argument {
			help = e.Place + ": " + help
		}
		return http.StatusBadRequest, invalid(e.Argument, e.Reason, help)
	}
	if e, ok := errors.AsType[*authError](err); ok {
		return http.StatusUnauthorized, authBody{e.Error(), e.method, e.reason, "denied_authentication"}
	}
	if e, ok := errors.AsType[*waitError](err); ok {
		return http.StatusTooManyRequests, waitBody{
			fmt.Sprintf("wait %d s, and correct the token of whoever shows a wrong one", e.seconds()),
			waitLimit{freeGuesses, int(freeGuesses * guessInterval / time.Second)}, e.Error(), e.seconds(), "too_many_requests"}
	}
	if e, ok := errors.AsType[*permissionError](err); ok {
		return http.StatusForbidden, permissionBody{[]permissionDetail{{e.action, e.resource}}, e.Error(), "permissions_denied"}
	}
	if e, ok := errors.AsType[*notFoundError](err); ok {
		return http.StatusNotFound, notFound(e.resource, e.id)
	}
	if e, ok := errors.AsType[*preconditionError](err); ok {
		return http.StatusPreconditionFailed, preconditionBody{e.help, e.Error(), e.precondition, "precondition_failed"}
	}
	if e, ok := errors.AsType[*http.MaxBytesError](err); ok {
		return http.StatusRequestEntityTooLarge, invalid("body", "constraint", fmt.Sprintf("longer than %d bytes", e.Limit))
	}
	if e, ok := errors.AsType[*bodyError](err); ok {
		if errors.Is(e, os.ErrDeadlineExceeded) {
			return http.StatusRequestTimeout, plainBody{"the request's body came too slowly: nothing was written"}
		}
		return http.StatusBadRequest, invalid("body", "format", "ended too early")
	}
	if isUnknown(err) {
		again := "read it again to see"
		if r.PathValue("twin_id") != "" {
			again = "get the document to see"
		}
		return http.StatusServiceUnavailable, plainBody{"outcome unknown: the write may have happened or not, " + again}
	}
	switch {
	case errors.Is(err, errEnding):
		return http.StatusServiceUnavailable, plainBody{errEnding.Error()}
	case errors.Is(err, registry.ErrNoDevice) && r.PathValue("device_id") != "":
		return http.StatusNotFound, notFound("device", r.PathValue("device_id"))
	case errors.Is(err, registry.ErrNoDevice):
		return http.StatusNotFound, notFound("twin", r.PathValue("twin_id"))
	case errors.Is(err, twin.ErrDocumentNotFound):
		return http.StatusNotFound, notFound("twin_document", r.PathValue("document_name"))
	case errors.Is(err, errOvertaken):
		return http.StatusConflict, plainBody{errOvertaken.Error()}
	case errors.Is(err, twin.ErrTooManyDocuments):
		return http.StatusForbidden, quotaBody{
			[]quotaDetail{{twin.MaxDocuments, twin.MaxDocuments, "twin_documents"}}, "quota(s) exceeded", "quotas_exceeded"}
	}
	return http.StatusInternalServerError, plainBody{errInternal.Error()}
}

// writeJSON answers with body, or with nothing if it is nil. Documents go out as they
// came in, so HTML characters are not escaped.
func writeJSON(w http.ResponseWriter, status int, body any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	if body == nil {
		return
	}
	enc := json.NewEncoder(w)
	enc.SetEscapeHTML(false)
	// The only error here is a client that has gone away.
	_ = enc.Encode(body)
}
