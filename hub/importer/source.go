package importer

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/twinpanel/twinpanel/twin"
)

// Where the vendor's API is.
const (
	regions       = "/iot/v1/regions/"
	defaultRegion = "fr-par"
)

// Limits of a list.
const (
	pageSize    = 100       // entries asked for at once: the vendor's most
	maxList     = 256 << 20 // bytes of all pages
	minPage     = 64 << 10  // that a page counts as, so that there are no more than 4096
	minEntry    = 1 << 10   // that an entry counts as
	listings    = 3         // attempts to read a list whose pages fit together
	betweenThem = time.Second
)

// An entry of a list, or what is wrong with it.
type entry struct {
	id   string // as it came; empty = it has none
	text json.RawMessage
}

// list reads all pages of a list. While it is read, entries may come and go at the source, so that one stands on
// two pages or on none: a list that doesn't add up is read again.
func (c *client) list(ctx context.Context, path, key string, query url.Values) ([]entry, error) {
	for n := 1; ; n++ {
		all, err := c.listOnce(ctx, path, key, query, n == listings)
		if _, uneven := errors.AsType[*unevenError](err); !uneven || n == listings {
			return all, err
		}
		select {
		case <-time.After(betweenThem):
		case <-ctx.Done():
			return nil, context.Cause(ctx)
		}
	}
}

// An unevenError is about a list whose pages don't fit its total.
type unevenError struct {
	key         string
	page        int
	total, read uint64
}

func (e *unevenError) Error() string {
	return fmt.Sprintf("the source says that there are %d %s, and lists %d on %d pages", e.total, e.key, e.read, e.page)
}

// Hint is the next step.
func (e *unevenError) Hint() string {
	return "if some were made or removed right now, run the same command again; otherwise the source can't be trusted"
}

// listOnce reads all pages of a list; one that changes meanwhile does only if it may.
func (c *client) listOnce(ctx context.Context, path, key string, query url.Values, mayChange bool) (all []entry, err error) {
	known := make(map[string]bool)
	size := 0
	var first uint64 // total of the first page
	for page := 1; ; page++ {
		values := url.Values{"page": {strconv.Itoa(page)}, "page_size": {strconv.Itoa(pageSize)}}
		maps.Copy(values, query)
		body, err := c.get(ctx, path, values)
		if err != nil {
			return nil, err
		}
		total, texts, err := parsePage(path, key, body)
		if err != nil {
			return nil, err
		}
		if page == 1 {
			first = total
		}
		if size += max(len(body), minPage, minEntry*len(texts)); size > maxList {
			return nil, &Error{fmt.Errorf("the source lists %s without end: %d on %d pages", key, len(all)+len(texts), page), hintDistrust}
		}
		before := len(all)
		for _, text := range texts {
			var e struct {
				ID string `json:"id"`
			}
			_ = json.Unmarshal(text, &e) // what is no entry is found out when it is read
			if id := strings.ToLower(e.ID); id == "" || !known[id] {
				known[id] = true
				all = append(all, entry{e.ID, text})
			}
		}
		switch n := uint64(len(all)); {
		case total != first && !mayChange:
			return nil, &unevenError{key, page, total, n}
		case n == total:
			return all, nil
		case n > total || n == uint64(before):
			return nil, &unevenError{key, page, total, n}
		}
	}
}

// parsePage reads one page of a list.
func parsePage(path, key string, body []byte) (total uint64, texts []json.RawMessage, err error) {
	var page map[string]json.RawMessage
	if err = json.Unmarshal(body, &page); err == nil {
		if err = json.Unmarshal(orNull(page["total_count"]), &total); err == nil {
			err = json.Unmarshal(orNull(page[key]), &texts)
		}
	}
	if err != nil {
		return 0, nil, unreadable(path, err)
	}
	return total, texts, nil
}

func orNull(text json.RawMessage) json.RawMessage {
	if text == nil {
		return json.RawMessage("null")
	}
	return text
}

// unreadable is about an answer that is not what it should be.
func unreadable(path string, err error) error {
	return &Error{fmt.Errorf("the source's answer to GET %s can't be read: %w", path, err), hintAddress}
}

// A vendorHub is a hub as the source shows it. What may be null is left as it is.
type vendorHub struct {
	ID                           string     `json:"id"`
	Name                         string     `json:"name"`
	Enabled                      *bool      `json:"enabled"`
	DeviceCount                  uint64     `json:"device_count"`
	DisableEvents                bool       `json:"disable_events"`
	EventsTopicPrefix            string     `json:"events_topic_prefix"`
	CreatedAt                    *time.Time `json:"created_at"`
	UpdatedAt                    *time.Time `json:"updated_at"`
	ProjectID                    string     `json:"project_id"`
	OrganizationID               string     `json:"organization_id"`
	EnableDeviceAutoProvisioning bool       `json:"enable_device_auto_provisioning"`
	HasCustomCA                  bool       `json:"has_custom_ca"`
	TwinsGraphiteConfig          *struct {
		PushURI string `json:"push_uri"`
	} `json:"twins_graphite_config"`
}

// hubs are those that the token may see, as far as they can be read.
func (c *client) hubs(ctx context.Context) ([]vendorHub, error) {
	entries, err := c.list(ctx, "/hubs", "hubs", nil)
	if err != nil {
		return nil, err
	}
	all := make([]vendorHub, len(entries))
	for i, e := range entries {
		if err := json.Unmarshal(e.text, &all[i]); err != nil {
			return nil, unreadable("/hubs", err)
		}
		id, err := twin.ParseID(all[i].ID)
		if err != nil {
			return nil, unreadable("/hubs", fmt.Errorf("the hub %q has the id %q: expected a UUID", excerpt(all[i].Name), excerpt(all[i].ID)))
		}
		all[i].ID = string(id)
	}
	return all, nil
}

// devices are those of a hub, the oldest first, so that those made meanwhile come last.
func (c *client) devices(ctx context.Context, hub string) ([]entry, error) {
	return c.list(ctx, "/devices", "devices", url.Values{"hub_id": {hub}, "order_by": {"created_at_asc"}})
}

// hubCA is the authority that a hub trusts for its devices, in PEM.
func (c *client) hubCA(ctx context.Context, hub string) (string, error) {
	var answer struct {
		CA string `json:"ca_cert_pem"`
	}
	err := c.getJSON(ctx, "/hubs/"+hub+"/ca", &answer)
	return answer.CA, err
}

// certificate is a device's certificate in PEM; empty = it has none.
func (c *client) certificate(ctx context.Context, id twin.ID) (string, error) {
	var answer struct {
		Certificate string `json:"certificate_pem"`
	}
	err := c.getJSON(ctx, "/devices/"+string(id)+"/certificate", &answer)
	if isNotFound(err) {
		return "", nil
	}
	return answer.Certificate, err
}

// documentNames are the names of a twin's documents as they came, sorted, each once.
func (c *client) documentNames(ctx context.Context, id twin.ID) ([]string, error) {
	var answer struct {
		Documents []struct {
			Name string `json:"document_name"`
		} `json:"documents"`
	}
	if err := c.getJSON(ctx, "/twins/"+string(id), &answer); err != nil {
		if isNotFound(err) { // nobody ever put a document
			err = nil
		}
		return nil, err
	}
	names := make([]string, len(answer.Documents))
	for i, d := range answer.Documents {
		names[i] = d.Name
	}
	slices.Sort(names)
	return slices.Compact(names), nil
}

// document reads one document, with the hub's limits. An [*unfitError] says why it can't be had here.
func (c *client) document(ctx context.Context, id twin.ID, name twin.Name) (twin.Document, error) {
	path := "/twins/" + string(id) + "/documents/" + string(name)
	body, err := c.get(ctx, path, nil)
	if _, long := errors.AsType[*tooLongError](err); long {
		return twin.Document{}, &unfitError{err}
	}
	if err != nil {
		return twin.Document{}, err
	}
	doc, err := twin.ParseDocument(body)
	if err != nil {
		return twin.Document{}, &unfitError{err}
	}
	var about struct {
		Twin     string `json:"twin_id"`
		Document string `json:"document_name"`
	}
	if err := json.Unmarshal(body, &about); err != nil || !strings.EqualFold(about.Twin, string(id)) || about.Document != string(name) {
		return twin.Document{}, &unfitError{fmt.Errorf("the source answers with document %q of twin %q", excerpt(about.Document), excerpt(about.Twin))}
	}
	update, err := twin.ParsePut(twin.Update{Data: doc.Data}.Encode())
	if err != nil {
		return twin.Document{}, &unfitError{err}
	}
	return twin.Document{Version: doc.Version, Data: update.Data}, nil
}

// An unfitError says why something of the source can't be had here.
type unfitError struct{ error }

func (e *unfitError) Unwrap() error { return e.error }

func isUnfit(err error) bool {
	_, unfit := errors.AsType[*unfitError](err)
	return unfit
}

// getJSON reads an object into v.
func (c *client) getJSON(ctx context.Context, path string, v any) error {
	body, err := c.get(ctx, path, nil)
	if err != nil {
		return err
	}
	if text := bytes.TrimSpace(body); len(text) == 0 || text[0] != '{' {
		return unreadable(path, errors.New("it is no object"))
	}
	if err := json.Unmarshal(body, v); err != nil {
		return unreadable(path, err)
	}
	return nil
}

// names lists what a hub has of another kind, as "name" (type).
func (c *client) names(ctx context.Context, kind, hub string) ([]string, error) {
	entries, err := c.list(ctx, "/"+kind, kind, url.Values{"hub_id": {hub}})
	if err != nil {
		return nil, err
	}
	names := make([]string, len(entries))
	for i, e := range entries {
		var named struct{ Name, Type string }
		_ = json.Unmarshal(e.text, &named) // it is counted all the same
		names[i] = fmt.Sprintf("%q (%s)", excerpt(named.Name), excerpt(named.Type))
	}
	return names, nil
}
