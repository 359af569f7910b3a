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
	ctx, cancel := context.WithTimeout(ctx, requestTimeout)
	defer cancel()
	key := docstore.Key{Twin: id, Name: name}
	old, err := h.look(ctx, from, key, m)
	if err != nil {
		return twin.Document{}, err
	}
	switch m {
	case twin.Get:
		if old.Version == 0 {
			return twin.Document{}, twin.ErrDocumentNotFound
		}
		return twin.Document{Version: old.Version, Data: old.Data}, nil
	case twin.Put:
		return h.put(ctx, from, key, payload)
	case twin.Patch:
		return h.patch(ctx, from, key, &old, payload)
	}
	return twin.Document{}, fmt.Errorf("unknown method %q", m)
}

// A Store is documents and devices in one place, which reads both at once where a request would have to ask twice. A document
// at version 0 is not there; without the device, the error is [registry.ErrNoDevice].
type Store interface {
	docstore.Store
	registry.Registry
	DeviceAndDocument(ctx context.Context, key docstore.Key) (registry.Device, docstore.Document, error)
}

// storeOf returns nil where devices and documents have to be read one by one.
func storeOf(documents docstore.Store, devices registry.Registry) Store {
	if both, ok := documents.(Store); ok && registry.Registry(both) == devices {
		return both
	}
	return nil
}

// look reads what a request needs to know: the device, which must be allowed to ask for this, and unless it is for a
// put, the document as it is now, with version 0 if there is none.
func (h *Hub) look(ctx context.Context, from *session, key docstore.Key, m twin.Method) (doc docstore.Document, err error) {
	var d registry.Device
	atOnce := h.both != nil && m != twin.Put
	if atOnce {
		d, doc, err = h.both.DeviceAndDocument(ctx, key)
	} else {
		d, err = h.registry.Device(ctx, key.Twin)
	}
	if err != nil {
		return doc, fmt.Errorf("reading device: %w", err)
	}
	if err := from.mayAsk(d); err != nil {
		return doc, err
	}
	if from != nil && m != twin.Get && slices.Contains(d.ReadOnly, key.Name) {
		from.log(slog.LevelWarn, "write denied: the device may not write this document", "document", key.Name, "method", m)
		return doc, twin.ErrPermissionDenied
	}
	if !atOnce && m != twin.Put {
		doc, err = h.documents.Get(ctx, key)
		if errors.Is(err, twin.ErrDocumentNotFound) {
			return docstore.Document{}, nil
		}
	}
	return doc, err
}

// device reads the device that a request is for. There is a twin as long as its device is registered,
// so a device removed a moment ago can do nothing more on a connection it still has, nor can
// one whose credential was taken back, or that has connected to another hub meanwhile.
func (h *Hub) device(ctx context.Context, from *session, id twin.ID) (registry.Device, error) {
	d, err := h.registry.Device(ctx, id)
	if err != nil {
		return d, fmt.Errorf("reading device: %w", err)
	}
	return d, from.mayAsk(d)
}

// mayAsk is [session.holds] for a request; one that came on no MQTT connection, nil, may.
func (s *session) mayAsk(d registry.Device) error {
	if s == nil {
		return nil
	}
	return s.holds(d)
}

// list returns the names of a twin's documents, _config among them. from is as for do.
func (h *Hub) list(ctx context.Context, from *session, id twin.ID) ([]twin.Name, error) {
	ctx, cancel := context.WithTimeout(ctx, requestTimeout)
	defer cancel()
	if _, err := h.device(ctx, from, id); err != nil {
		return nil, err
	}
	return h.documents.List(ctx, id)
}

// delete removes a document; put again later, it starts at version 1.
func (h *Hub) delete(ctx context.Context, id twin.ID, name twin.Name) error {
	ctx, cancel := context.WithTimeout(ctx, requestTimeout)
	defer cancel()
	if _, err := h.device(ctx, nil, id); err != nil {
		return err
	}
	key := docstore.Key{Twin: id, Name: name}
	err := h.documents.Delete(ctx, key, docstore.Any)
	if err == nil || isUnknown(err) {
		h.changed(key, nil)
	}
	return err
}

// deleteAll removes all documents of a twin.
func (h *Hub) deleteAll(ctx context.Context, id twin.ID) error {
	ctx, cancel := context.WithTimeout(ctx, requestTimeout)
	defer cancel()
	if _, err := h.device(ctx, nil, id); err != nil {
		return err
	}
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

// patch is merge, and put with the exact version. When another writer was
// faster, a patch without a version looks at device and document again, and starts anew: its
// writer asked for no more than that its own keys end up as he said. Somebody's write succeeds in
// each round, and ctx bounds the number of rounds: beyond it the error is errOvertaken.
func (h *Hub) patch(ctx context.Context, from *session, key docstore.Key, old *docstore.Document, payload []byte) (twin.Document, error) {
	update, err := twin.ParsePatch(payload)
	if err != nil {
		return twin.Document{}, err
	}
	for overtaken := false; ; overtaken = true {
		doc, err := h.patchOnce(ctx, from, key, old, update)
		_, stale := errors.AsType[*twin.VersionError](err)
		late := errors.Is(err, context.DeadlineExceeded) && !isUnknown(err)
		switch again := stale && update.Version == 0; {
		case again && ctx.Err() == nil:
			old = nil
			continue
		case again, overtaken && late:
			return twin.Document{}, fmt.Errorf("%w: %w", errOvertaken, context.DeadlineExceeded)
		}
		return doc, err
	}
}

// patchOnce patches a document as it was when the request looked; nil = it has to look again. It fails with a [*twin.VersionError]
// when the document has, or gets meanwhile, another version than the patch is for.
func (h *Hub) patchOnce(ctx context.Context, from *session, key docstore.Key, old *docstore.Document, update twin.Update) (twin.Document, error) {
	if old == nil {
		doc, err := h.look(ctx, from, key, twin.Patch)
		if err != nil {
			return twin.Document{}, err
		}
		old = &doc
	}
	if old.Version == 0 {
		return twin.Document{}, twin.ErrDocumentNotFound
	}
	if err := twin.CheckVersion(update.Version, old.Version); err != nil {
		return twin.Document{}, err
	}
	merged, err := twin.Merge(old.Data, update.Data)
	if err != nil {
		return twin.Document{}, err
	}
	return h.write(ctx, write{key: key, cond: docstore.If(old.Version), data: merged, sent: update.Data, old: old, from: from})
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
