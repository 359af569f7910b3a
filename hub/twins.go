package hub

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"time"

	"github.com/twinpanel/twinpanel/hub/docstore"
	"github.com/twinpanel/twinpanel/hub/metrics"
	"github.com/twinpanel/twinpanel/hub/registry"
	"github.com/twinpanel/twinpanel/hub/twinconfig"
	"github.com/twinpanel/twinpanel/twin"
)

// requestTimeout bounds what the store may take for one request, retries of a
// patch included.
const requestTimeout = 10 * time.Second

// Do is the hub's core: method m on a document of a twin with the request's
// payload (ignored for a get).
//
// The errors are those of package twin; [registry.ErrNoDevice] when the twin's
// device is not or no longer registered; [*docstore.OutcomeError] when the hub
// cannot know whether it wrote. After any other error nothing was written.
func (h *Hub) Do(ctx context.Context, id twin.ID, name twin.Name, m twin.Method, payload []byte) (twin.Document, error) {
	return h.do(ctx, nil, id, name, m, payload)
}

// do is [Hub.Do] for a request that came on the MQTT connection from; nil = any other way.
func (h *Hub) do(ctx context.Context, from *session, id twin.ID, name twin.Name, m twin.Method, payload []byte) (twin.Document, error) {
	door, began := metrics.REST, time.Now()
	if from != nil {
		door = metrics.MQTT
	}
	doc, err := h.doNow(ctx, from, id, name, m, payload)
	h.metrics.Request(door, string(m), outcomeOf(err), began)
	return doc, err
}

func (h *Hub) doNow(ctx context.Context, from *session, id twin.ID, name twin.Name, m twin.Method, payload []byte) (twin.Document, error) {
	ctx, cancel, d, err := h.begin(ctx, from, id)
	if err != nil {
		return twin.Document{}, err
	}
	defer cancel()
	if from != nil && m != twin.Get && slices.Contains(d.ReadOnly, name) {
		from.log(slog.LevelWarn, "write denied: the device may not write this document", "document", name, "method", m)
		return twin.Document{}, twin.ErrPermissionDenied
	}
	key := docstore.Key{Twin: id, Name: name}
	switch m {
	case twin.Get:
		return h.get(ctx, key)
	case twin.Put:
		return h.put(ctx, from, key, payload)
	case twin.Patch:
		return h.patch(ctx, from, key, payload)
	}
	return twin.Document{}, fmt.Errorf("unknown method %q", m)
}

// list returns the names of a twin's documents, _config among them. from is as for do.
func (h *Hub) list(ctx context.Context, from *session, id twin.ID) ([]twin.Name, error) {
	ctx, cancel, _, err := h.begin(ctx, from, id)
	if err != nil {
		return nil, err
	}
	defer cancel()
	return h.documents.List(ctx, id)
}

// delete removes a document; put again later, it starts at version 1.
func (h *Hub) delete(ctx context.Context, id twin.ID, name twin.Name) error {
	ctx, cancel, _, err := h.begin(ctx, nil, id)
	if err != nil {
		return err
	}
	defer cancel()
	key := docstore.Key{Twin: id, Name: name}
	err = h.documents.Delete(ctx, key, docstore.Any)
	if err == nil || isUnknown(err) {
		h.changed(key, nil)
	}
	return err
}

// deleteAll removes all documents of a twin.
func (h *Hub) deleteAll(ctx context.Context, id twin.ID) error {
	ctx, cancel, _, err := h.begin(ctx, nil, id)
	if err != nil {
		return err
	}
	defer cancel()
	names, err := h.documents.List(ctx, id)
	if err != nil {
		return err
	}
	err = h.documents.DeleteAll(ctx, id)
	if err == nil || isUnknown(err) {
		for _, name := range names {
			h.changed(docstore.Key{Twin: id, Name: name}, nil)
		}
	}
	return err
}

// begin starts every request: there is a twin as long as its device is registered,
// so a device removed a moment ago can do nothing more on a connection it still has, nor can
// one whose credential was taken back, or that has connected to another hub meanwhile.
func (h *Hub) begin(ctx context.Context, from *session, id twin.ID) (context.Context, context.CancelFunc, registry.Device, error) {
	ctx, cancel := context.WithTimeout(ctx, requestTimeout)
	d, err := h.registry.Device(ctx, id)
	if err != nil {
		err = fmt.Errorf("reading device: %w", err)
	} else if from != nil {
		err = from.holds(d)
	}
	if err != nil {
		cancel()
		return nil, nil, d, err
	}
	return ctx, cancel, d, nil
}

func (h *Hub) get(ctx context.Context, key docstore.Key) (twin.Document, error) {
	doc, err := h.documents.Get(ctx, key)
	if err != nil {
		return twin.Document{}, err
	}
	return twin.Document{Version: doc.Version, Data: doc.Data}, nil
}

func (h *Hub) put(ctx context.Context, from *session, key docstore.Key, payload []byte) (twin.Document, error) {
	update, err := twin.ParsePut(payload)
	if err != nil {
		return twin.Document{}, err
	}
	cond := docstore.Any
	if update.Version != 0 {
		cond = docstore.If(update.Version)
	}
	return h.write(ctx, write{key: key, cond: cond, data: update.Data, sent: update.Data, from: from})
}

// patch is get, merge, and put with the exact version. When another writer was
// faster, a patch without a version starts again: its writer asked for no
// more than that its own keys end up as he said. Somebody's write succeeds in
// each round, and ctx bounds the number of rounds: beyond it the error is errOvertaken.
func (h *Hub) patch(ctx context.Context, from *session, key docstore.Key, payload []byte) (twin.Document, error) {
	update, err := twin.ParsePatch(payload)
	if err != nil {
		return twin.Document{}, err
	}
	for overtaken := false; ; overtaken = true {
		doc, err := h.patchOnce(ctx, from, key, update)
		_, stale := errors.AsType[*twin.VersionError](err)
		late := errors.Is(err, context.DeadlineExceeded) && !isUnknown(err)
		switch again := stale && update.Version == 0; {
		case again && ctx.Err() == nil:
			continue
		case again, overtaken && late:
			return twin.Document{}, fmt.Errorf("%w: %w", errOvertaken, context.DeadlineExceeded)
		}
		return doc, err
	}
}

// patchOnce fails with a [*twin.VersionError] when the document has, or gets meanwhile,
// another version than the patch is for.
func (h *Hub) patchOnce(ctx context.Context, from *session, key docstore.Key, update twin.Update) (twin.Document, error) {
	old, err := h.documents.Get(ctx, key)
	if err != nil {
		return twin.Document{}, err
	}
	if err := twin.CheckVersion(update.Version, old.Version); err != nil {
		return twin.Document{}, err
	}
	merged, err := twin.Merge(old.Data, update.Data)
	if err != nil {
		return twin.Document{}, err
	}
	return h.write(ctx, write{key: key, cond: docstore.If(old.Version), data: merged, sent: update.Data, old: &old, from: from})
}

// A write is one accepted put or patch on its way into the store.
type write struct {
	key  docstore.Key
	cond docstore.If
	data json.RawMessage    // the whole document's
	sent json.RawMessage    // the request's: the same for a put, the changes for a patch
	old  *docstore.Document // what it replaces; nil where the request had no need to read that
	from *session           // the MQTT connection that asked; nil = any other way
}

// write stores a document and returns it as it is now. Every accepted put and patch,
// over REST and over MQTT, ends here.
func (h *Hub) write(ctx context.Context, w write) (twin.Document, error) {
	if w.key.Name == twin.ConfigName {
		if _, err := twinconfig.Parse(w.data); err != nil {
			return twin.Document{}, err
		}
	}
	series := h.series.begin(ctx, h.documents, w)
	defer series.end()
	version, err := h.documents.Put(ctx, w.key, w.cond, w.data)
	if err != nil {
		if isUnknown(err) { // perhaps it is news
			h.changed(w.key, nil)
		}
		return twin.Document{}, err
	}
	series.push(version)
	h.changed(w.key, w.from)
	return twin.Document{Version: version, Data: w.data}, nil
}
