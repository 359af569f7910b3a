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

	url, token string
}

var (
	_ Twin    = (*RESTTwin)(nil)
	_ Manager = (*RESTTwin)(nil)
	_ Sender  = (*RESTTwin)(nil)
)

// REST returns the twin of a device. apiURL is the specification's IOT_API, such as
// http://127.0.0.1:8081/iot/v1/regions/fr-par; token is the secret key.
func REST(apiURL, token string, id twin.ID) *RESTTwin {
	return &RESTTwin{url: strings.TrimSuffix(apiURL, "/") + "/twins/" + string(id), token: token}
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
	answer, err := r.request(ctx, http.MethodGet, r.url, twin.Update{}, nil)
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
	_, err := r.request(ctx, http.MethodDelete, r.documentURL(name), twin.Update{}, nil)
	return err
}

// DeleteAll implements [Manager].
func (r *RESTTwin) DeleteAll(ctx context.Context) error {
	_, err := r.request(ctx, http.MethodDelete, r.url, twin.Update{}, nil)
	return err
}

// documentURL is the address of a document. The names . and .. are escaped,
// since everything on the way would take them for steps in the path.
func (r *RESTTwin) documentURL(name twin.Name) string {
	escaped := url.PathEscape(string(name))
	if name == "." || name == ".." {
		escaped = strings.ReplaceAll(string(name), ".", "%2E")
	}
	return r.url + "/documents/" + escaped
}

// document makes a request that a document answers.
func (r *RESTTwin) document(ctx context.Context, method string, name twin.Name, u twin.Update, body []byte) (twin.Document, error) {
	answer, err := r.request(ctx, method, r.documentURL(name), u, body)
	if err != nil {
		return twin.Document{}, err
	}
	var names struct {
		Twin     string    `json:"twin_id"`
		Document twin.Name `json:"document_name"`
	}
	if err := json.Unmarshal(answer, &names); err != nil {
		return twin.Document{}, fmt.Errorf("reading document: %w", err)
	}
	if names.Document != name || !strings.HasSuffix(r.url, "/"+names.Twin) {
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
func (r *RESTTwin) request(ctx context.Context, method, address string, u twin.Update, body []byte) ([]byte, error) {
	ctx, cancel := context.WithTimeout(ctx, restTimeout)
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, method, address, bytes.NewReader(body))
	if err != nil {
		return nil, err
	}
	request.Header.Set("X-Auth-Token", r.token)
	response, err := cmp.Or(r.Client, http.DefaultClient).Do(request)
	if err != nil {
		return nil, err
	}
	defer response.Body.Close()
	answer, err := io.ReadAll(io.LimitReader(response.Body, restMaxAnswer))
	if err != nil {
		return nil, fmt.Errorf("reading answer: %w", err)
	}
	if response.StatusCode/100 != 2 {
		return nil, restError(response, answer, u)
	}
	return answer, nil
}

// restError maps an error body of the vendor's API to an error of package twin.
func restError(response *http.Response, body []byte, u twin.Update) error {
	var answer struct {
		Type     string `json:"type"`
		Resource string `json:"resource"`
		Details  []struct {
			Argument string `json:"argument_name"`
			Reason   string `json:"reason"`
			Help     string `json:"help_message"`
		} `json:"details"`
	}
	other := &twin.RemoteError{Text: response.Status + ": " + brief(string(body))}
	if response.StatusCode/100 != 4 {
		// No refusal, so not as one: the hub may or may not have done what it was asked.
		return fmt.Errorf("hub failed with %v", other)
	}
	if json.Unmarshal(body, &answer) != nil {
		return other
	}
	switch answer.Type {
	case "not_found":
		// What a document is called here is known of this project's hub only; these two are not.
		if answer.Resource == "twin" || answer.Resource == "device" {
			return other
		}
		return twin.ErrDocumentNotFound
	case "permissions_denied":
		return twin.ErrPermissionDenied
	case "quotas_exceeded":
		return twin.ErrTooManyDocuments
	case "invalid_arguments":
		if len(answer.Details) == 0 {
			return other
		}
		d := answer.Details[0]
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
