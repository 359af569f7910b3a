package conformance

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/twinpanel/twinpanel/twin"
)

// Limits of a REST request.
const (
	restTimeout   = 30 * time.Second // the vendor's SDKs wait as long
	restMaxAnswer = 4 << 20          // bytes
)

// A RESTTwin is a twin as its hub's REST API shows it. It is a [Manager] and a [Sender].
type RESTTwin struct {
	// Client sends the requests; http.DefaultClient if it is nil.
	Client *http.Client

	// ReadOnly is a token that may only read. Empty: the check that needs it is left out.
	ReadOnly string

	api, token string
	id         twin.ID
}

var (
	_ Twin    = (*RESTTwin)(nil)
	_ Manager = (*RESTTwin)(nil)
	_ Sender  = (*RESTTwin)(nil)
)

// REST returns the twin of a device. apiURL is the specification's IOT_API, such as
// http://127.0.0.1:8081/iot/v1/regions/fr-par; token is the secret key.
func REST(apiURL, token string, id twin.ID) *RESTTwin {
	return &RESTTwin{api: strings.TrimSuffix(apiURL, "/"), token: token, id: id}
}

// Get implements [Twin].
func (r *RESTTwin) Get(ctx context.Context, name twin.Name) (twin.Document, error) {
	return r.document(ctx, http.MethodGet, name, twin.Update{}, nil)
}

// Put implements [Twin].
func (r *RESTTwin) Put(ctx context.Context, name twin.Name, u twin.Update) (twin.Document, error) {
	return r.document(ctx, http.MethodPut, name, u, u.Encode())
}

// Patch implements [Twin].
func (r *RESTTwin) Patch(ctx context.Context, name twin.Name, u twin.Update) (twin.Document, error) {
	return r.document(ctx, http.MethodPatch, name, u, u.Encode())
}

// Send implements [Sender].
func (r *RESTTwin) Send(ctx context.Context, m twin.Method, name twin.Name, body []byte) (twin.Document, error) {
	return r.document(ctx, strings.ToUpper(string(m)), name, twin.Update{}, body)
}

// List implements [Manager].
func (r *RESTTwin) List(ctx context.Context) ([]twin.Name, error) {
	answer, err := r.request(ctx, http.MethodGet, r.path(), twin.Update{}, nil)
	if err != nil {
		return nil, err
	}
	var list struct {
		Documents []struct {
			Name twin.Name `json:"document_name"`
		} `json:"documents"`
	}
	if err := json.Unmarshal(answer, &list); err != nil {
		return nil, fmt.Errorf("reading list: %w", err)
	}
	names := make([]twin.Name, len(list.Documents))
	for i, d := range list.Documents {
		names[i] = d.Name
	}
	return names, nil
}

// Delete implements [Manager].
func (r *RESTTwin) Delete(ctx context.Context, name twin.Name) error {
	_, err := r.request(ctx, http.MethodDelete, r.documentPath(name), twin.Update{}, nil)
	return err
}

// DeleteAll implements [Manager].
func (r *RESTTwin) DeleteAll(ctx context.Context) error {
	_, err := r.request(ctx, http.MethodDelete, r.path(), twin.Update{}, nil)
	return err
}

// path is the twin's, behind the API's base.
func (r *RESTTwin) path() string { return "/twins/" + string(r.id) }

// documentPath is the path of a document. The names . and .. are escaped,
// since everything on the way would take them for steps in the path.
func (r *RESTTwin) documentPath(name twin.Name) string {
	escaped := url.PathEscape(string(name))
	if name == "." || name == ".." {
		escaped = strings.ReplaceAll(string(name), ".", "%2E")
	}
	return r.path() + "/documents/" + escaped
}

// document makes a request that a document answers.
func (r *RESTTwin) document(ctx context.Context, method string, name twin.Name, u twin.Update, body []byte) (twin.Document, error) {
	answer, err := r.request(ctx, method, r.documentPath(name), u, body)
	if err != nil {
		return twin.Document{}, err
	}
	var names struct {
		Twin     twin.ID   `json:"twin_id"`
		Document twin.Name `json:"document_name"`
	}
	if err := json.Unmarshal(answer, &names); err != nil {
		return twin.Document{}, fmt.Errorf("reading document: %w", err)
	}
	if names.Document != name || names.Twin != r.id {
		return twin.Document{}, fmt.Errorf("asked for document %s and was answered %s of twin %s", name, names.Document, names.Twin)
	}
	doc, err := twin.ParseDocument(answer)
	if err != nil {
		// Not as itself: the hub's answer is no refusal of the request.
		return twin.Document{}, fmt.Errorf("reading document: %v", err)
	}
	return doc, nil
}

// request makes a request and returns the body of a successful answer. u is the
// update that the body holds, if it holds one.
func (r *RESTTwin) request(ctx context.Context, method, path string, u twin.Update, body []byte) ([]byte, error) {
	a, err := r.ask(ctx, method, path, body)
	if err != nil {
		return nil, err
	}
	if a.status/100 != 2 {
		return nil, restError(a, u)
	}
	return a.body, nil
}

// An answer is what a REST request got.
type answer struct {
	status int
	header http.Header
	body   []byte
}

// words are the answer in one line.
func (a answer) words() string { return fmt.Sprint(a.status, " ", string(a.body)) }

// ask makes a request; path begins behind the API's base. A header "Key: value" is set,
// also the token's.
func (r *RESTTwin) ask(ctx context.Context, method, path string, body []byte, header ...string) (answer, error) {
	ctx, cancel := context.WithTimeout(ctx, restTimeout)
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, method, r.api+path, bytes.NewReader(body))
	if err != nil {
		return answer{}, err
	}
	request.Header.Set("X-Auth-Token", r.token)
	var said strings.Builder
	said.WriteString("> " + method + " " + path)
	for _, line := range header {
		key, value, _ := strings.Cut(line, ": ")
		request.Header.Set(key, value)
		said.WriteString(" (" + line + ")")
	}
	a, err := r.do(request)
	heard := a.words()
	if err != nil {
		heard = err.Error()
	}
	t := traceOf(ctx)
	r.hide(t)
	t.exchanged(strings.TrimSpace(said.String()+" "+string(body)), heard)
	return a, err
}

// hide hides what opens the twin: a device's id is all that some devices show to connect.
func (r *RESTTwin) hide(t *trace) {
	t.hide(string(r.id), "DEVICE_ID")
	t.hide(r.token, "TOKEN")
	t.hide(r.ReadOnly, "READ_TOKEN")
}

func (r *RESTTwin) do(request *http.Request) (answer, error) {
	response, err := cmp.Or(r.Client, http.DefaultClient).Do(request)
	if err != nil {
		return answer{}, err
	}
	defer response.Body.Close()
	body, err := io.ReadAll(io.LimitReader(response.Body, restMaxAnswer))
	if err != nil {
		return answer{}, fmt.Errorf("reading answer: %w", err)
	}
	return answer{response.StatusCode, response.Header, bytes.TrimSpace(body)}, nil
}

// restError maps an error body of the vendor's API to an error of package twin.
func restError(a answer, u twin.Update) error {
	var said struct {
		Type     string `json:"type"`
		Resource string `json:"resource"`
		Details  []struct {
			Argument string `json:"argument_name"`
			Reason   string `json:"reason"`
			Help     string `json:"help_message"`
		} `json:"details"`
	}
	other := &twin.RemoteError{Text: fmt.Sprintf("%d %s: %s", a.status, http.StatusText(a.status), brief(string(a.body)))}
	if a.status/100 != 4 {
		// No refusal, so not as one: the hub may or may not have done what it was asked.
		return fmt.Errorf("hub failed with %v", other)
	}
	if json.Unmarshal(a.body, &said) != nil {
		return other
	}
	switch said.Type {
	case "not_found":
		// What a document is called here is known of this project's hub only; these two are not.
		if said.Resource == "twin" || said.Resource == "device" {
			return other
		}
		return twin.ErrDocumentNotFound
	case "permissions_denied":
		return twin.ErrPermissionDenied
	case "quotas_exceeded":
		return twin.ErrTooManyDocuments
	case "invalid_arguments":
		if len(said.Details) == 0 {
			return other
		}
		d := said.Details[0]
		if d.Argument == "version" && d.Reason != "format" {
			return mismatch(u.Version, d.Help)
		}
		return &twin.InvalidError{Argument: d.Argument, Reason: d.Reason, Help: d.Help}
	}
	return other
}

// mismatch reads the versions from a help text as this project's hub writes it. Of
// another hub only the version that was sent is known.
func mismatch(sent uint32, help string) *twin.VersionError {
	var e twin.VersionError
	if _, err := fmt.Sscanf(help, "expected version %d, actual version %d", &e.Expected, &e.Actual); err != nil {
		return &twin.VersionError{Expected: sent}
	}
	return &e
}
