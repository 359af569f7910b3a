package conformance

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/twinpanel/twinpanel/twin"
)

// A fault is one thing that a reference twin does wrong.
type fault string

// A reference is a twin in a map that follows every rule, but for its fault.
type reference struct {
	fault fault

	mu        sync.Mutex
	documents map[twin.Name]twin.Document
	deleted   map[twin.Name]uint32 // versions at the time
	writes    uint32
	changed   func(name twin.Name, version uint32, by *endpointConn) // nil = nobody cares
}

var (
	_ Twin    = (*reference)(nil)
	_ Manager = (*reference)(nil)
	_ Sender  = (*reference)(nil)
)

func newReference(f fault) *reference {
	return &reference{fault: f, documents: map[twin.Name]twin.Document{}, deleted: map[twin.Name]uint32{}}
}

// is reports whether this is the twin's fault.
func (r *reference) is(f fault) bool { return r.fault == f }

// race lets other writers in between reading and writing, if that is the fault.
func (r *reference) race(f fault) {
	if r.is(f) {
		r.mu.Unlock()
		time.Sleep(time.Millisecond) // in a synctest bubble
		r.mu.Lock()
	}
}

func (r *reference) name(s twin.Name) (twin.Name, error) {
	switch {
	case r.is("names are not checked"), r.is("names can be too long") && len(s) > twin.MaxNameLen, r.is("names can be dots") && strings.Trim(string(s), ".") == "":
		return s, nil
	case r.is("names lose their case"):
		s = twin.Name(strings.ToLower(string(s)))
	case r.is("names are shorter") && len(s) == twin.MaxNameLen:
		return "", &twin.InvalidError{Argument: "document_name", Reason: "constraint"}
	case r.is("names have no tilde") && strings.Contains(string(s), "~"):
		return "", &twin.InvalidError{Argument: "document_name", Reason: "format"}
	case r.is("names can't begin with _") && s[0] == '_' && s != twin.ConfigName:
		return "", &twin.InvalidError{Argument: "document_name", Reason: "format"}
	case r.is("_config is refused") && s == twin.ConfigName:
		return "", twin.ErrPermissionDenied
	}
	return twin.ParseName(string(s))
}

func (r *reference) Get(_ context.Context, name twin.Name) (twin.Document, error) {
	name, err := r.name(name)
	if err != nil {
		return twin.Document{}, err
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	doc, ok := r.documents[name]
	if !ok {
		if r.is("missing documents are empty") {
			return twin.Document{Version: 1, Data: []byte("{}")}, nil
		}
		return twin.Document{}, twin.ErrDocumentNotFound
	}
	if r.is("a get raises the version") {
		doc.Version++
		r.documents[name] = doc
	}
	return doc, nil
}

func (r *reference) Put(ctx context.Context, name twin.Name, u twin.Update) (twin.Document, error) {
	return r.Send(ctx, twin.Put, name, u.Encode())
}

func (r *reference) Patch(ctx context.Context, name twin.Name, u twin.Update) (twin.Document, error) {
	return r.Send(ctx, twin.Patch, name, u.Encode())
}

func (r *reference) Send(_ context.Context, m twin.Method, name twin.Name, body []byte) (twin.Document, error) {
	return r.send(nil, m, name, body)
}

// send is Send by a connection; nil = another way.
func (r *reference) send(by *endpointConn, m twin.Method, name twin.Name, body []byte) (twin.Document, error) {
	doc, err := r.write(m, name, body)
	if err == nil && r.changed != nil {
		r.changed(name, doc.Version, by)
	}
	return doc, err
}

func (r *reference) write(m twin.Method, name twin.Name, body []byte) (twin.Document, error) {
	name, err := r.name(name)
	if err != nil {
		return twin.Document{}, err
	}
	u, err := r.parse(m, body)
	if err != nil {
		return twin.Document{}, err
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	old, exists := r.documents[name]
	if m == twin.Patch && !exists && !r.is("a patch creates documents") {
		if u.Version != 0 && r.is("a patch with a version of a missing document is a mismatch") {
			return twin.Document{}, &twin.VersionError{Expected: u.Version}
		}
		return twin.Document{}, twin.ErrDocumentNotFound
	}
	if err := r.checkVersion(m, u.Version, old.Version); err != nil {
		if r.is("a refused write is written") {
			r.documents[name] = twin.Document{Version: old.Version, Data: u.Data}
		}
		return twin.Document{}, err
	}
	full := len(r.documents) >= twin.MaxDocuments
	switch {
	case r.is("there can be 101 documents"):
		full = len(r.documents) > twin.MaxDocuments
	case r.is("there can be 99 documents"):
		full = len(r.documents) >= twin.MaxDocuments-1
	case r.is("deleted documents count"):
		full = len(r.documents)+len(r.deleted) >= twin.MaxDocuments
	case r.is("a full twin takes no writes"):
		exists = false
	}
	if full && !exists {
		return twin.Document{}, twin.ErrTooManyDocuments
	}
	r.race("a version is checked, then written")
	data := u.Data
	if m == twin.Patch || r.is("a put merges") && exists {
		base := cmpData(old.Data)
		r.race("a patch is read, then written")
		if data, err = r.merge(base, u.Data); err != nil {
			return twin.Document{}, err
		}
	}
	if name == twin.ConfigName {
		if err := r.checkConfig(m, data); err != nil {
			return twin.Document{}, err
		}
	}
	if r.is("a put drops nulls") || m == twin.Patch && r.is("a patch drops stored nulls") {
		data, _ = twin.Merge([]byte("{}"), data)
	}
	doc := twin.Document{Version: r.next(name, old, data), Data: r.spoil(data)}
	r.documents[name] = doc
	switch {
	case r.is("a write answers the old document") && exists:
		return old, nil
	case r.is("a patch answers the patch") && m == twin.Patch:
		return twin.Document{Version: doc.Version, Data: u.Data}, nil
	}
	return doc, nil
}

// next is the version of a document that is written.
func (r *reference) next(name twin.Name, old twin.Document, data []byte) uint32 {
	r.writes++
	switch {
	case r.is("versions start at 0") && old.Data == nil:
		return 0
	case r.is("versions start at 2"):
		return max(old.Version, 1) + 1
	case r.is("versions rise by two"):
		return old.Version + 2 - old.Version%2
	case r.is("the version stays when nothing changes") && string(old.Data) == string(data):
		return old.Version
	case r.is("documents share a version"):
		return r.writes
	case r.is("a delete keeps the version"):
		return max(old.Version, r.deleted[name]) + 1
	}
	return old.Version + 1
}

func (r *reference) checkVersion(m twin.Method, asked, actual uint32) error {
	switch {
	case r.is("versions are not checked"),
		r.is("a patch's version is not checked") && m == twin.Patch,
		r.is("a version from the future is accepted") && asked > actual,
		r.is("the version before is accepted") && asked+1 == actual,
		r.is("a version of a missing document is accepted") && actual == 0:
		return nil
	case r.is("a version of a missing document is not found") && asked != 0 && actual == 0:
		return twin.ErrDocumentNotFound
	case r.is("version 0 means no document") && asked == 0 && actual != 0:
		return &twin.VersionError{Expected: asked, Actual: actual}
	}
	err := twin.CheckVersion(asked, actual)
	if err != nil && r.is("a mismatch swaps the versions") {
		return &twin.VersionError{Expected: actual, Actual: asked}
	}
	if err != nil && r.is("a mismatch is no mismatch") {
		return &twin.InvalidError{Argument: "version", Reason: "constraint"}
	}
	return err
}

// parse reads a body.
func (r *reference) parse(m twin.Method, body []byte) (twin.Update, error) {
	parse := twin.ParsePut
	if m == twin.Patch && !r.is("null inside an array is accepted") {
		parse = twin.ParsePatch
	}
	u, err := parse(body)
	if err == nil {
		switch {
		case r.is("a document has a byte less") && len(u.Data) == twin.MaxDataSize,
			r.is("a document has a level less") && strings.Count(string(u.Data), `{`) == twin.MaxDepth,
			r.is("absent data is refused") && !bytes.Contains(body, []byte(`"data":{`)) && !bytes.Contains(body, []byte("\n")),
			r.is("null for a version is refused") && bytes.Contains(body, []byte(`"version":null`)),
			r.is("what REST answered is refused") && bytes.Contains(body, []byte("twin_id")),
			r.is("keys can't begin with _") && bytes.Contains(body, []byte(`"_a"`)),
			r.is("keys have no dots") && bytes.Contains(body, []byte(`"b.c"`)),
			r.is("what is configured must be numbers") && bytes.Contains(body, []byte(`"ignored"`)),
			r.is("white space is refused") && bytes.Contains(body, []byte("\t\"")):
			return u, &twin.InvalidError{Argument: "data", Reason: "constraint"}
		}
		return u, nil
	}
	invalid, _ := errors.AsType[*twin.InvalidError](err)
	if r.is("refusals name the wrong argument") {
		return u, &twin.InvalidError{Argument: "unknown", Reason: "unknown"}
	}
	tolerated := map[fault]bool{
		"null inside arrays inside arrays is accepted": strings.Contains(invalid.Help, "null inside") && strings.Count(invalid.Place, "[")+strings.Count(invalid.Place, ".") > 2,
		"duplicate keys are accepted":                  strings.Contains(invalid.Help, "duplicate"),
		"half characters are accepted":                 strings.Contains(invalid.Help, "surrogate"),
		"data can be an array":                         strings.Contains(invalid.Help, "not an object: write"),
		"a document has a byte more":                   strings.Contains(invalid.Help, "larger"),
		"a document has a level more":                  strings.Contains(invalid.Help, "deeper"),
		"content beside data is dropped":               strings.Contains(invalid.Help, "unknown key"),
		"any version is accepted":                      invalid.Argument == "version",
		"any body is accepted":                         invalid.Argument == "body" && !strings.Contains(invalid.Help, "unknown key"),
	}
	if !tolerated[r.fault] {
		return u, err
	}
	var loose struct{ Data json.RawMessage }
	_ = json.Unmarshal(body, &loose)
	return twin.Update{Data: cmpData(loose.Data)}, nil
}

func (r *reference) List(context.Context) ([]twin.Name, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	names := slices.Sorted(maps.Keys(r.documents))
	switch r.fault {
	case "a list has what was deleted":
		names = append(names, slices.Collect(maps.Keys(r.deleted))...)
	case "a list leaves out _config":
		names = slices.DeleteFunc(names, func(n twin.Name) bool { return n == twin.ConfigName })
	case "a list has one document":
		names = names[:min(1, len(names))]
	case "a list always has _config":
		names = append(names, twin.ConfigName)
	}
	return names, nil
}

func (r *reference) Delete(_ context.Context, name twin.Name) error {
	if _, err := r.name(name); err != nil {
		return err
	}
	err := r.remove(name)
	if err == nil && r.changed != nil {
		r.changed(name, 0, nil)
	}
	return err
}

func (r *reference) remove(name twin.Name) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	doc, ok := r.documents[name]
	switch {
	case !ok && r.is("a delete of nothing is accepted"), r.is("a delete does nothing"), name == twin.ConfigName && r.is("_config stays"):
		return nil
	case !ok:
		return twin.ErrDocumentNotFound
	case r.is("a delete empties"):
		r.documents[name] = twin.Document{Version: doc.Version + 1, Data: []byte("{}")}
		return nil
	case r.is("a delete deletes all"):
		clear(r.documents)
	}
	r.deleted[name] = doc.Version
	delete(r.documents, name)
	return nil
}

func (r *reference) DeleteAll(context.Context) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if len(r.documents) == 0 && r.is("delete all of nothing is refused") {
		return twin.ErrDocumentNotFound
	}
	for name, doc := range r.documents {
		if name == twin.ConfigName && r.is("delete all leaves _config") {
			continue
		}
		r.deleted[name] = doc.Version
		delete(r.documents, name)
	}
	return nil
}

// object decodes an object; numbers keep their digits.
func object(data []byte) map[string]any {
	o, _ := values(data).(map[string]any)
	return o
}

func cmpData(data []byte) []byte {
	if len(data) == 0 || string(data) == "null" {
		return []byte("{}")
	}
	return data
}
