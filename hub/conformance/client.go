package conformance

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"reflect"
	"runtime"
	"sync"

	"github.com/twinpanel/twinpanel/twin"
)

// A reporter is the part of testing.T that a check needs.
type reporter interface {
	Helper()
	Logf(format string, args ...any)
	Errorf(format string, args ...any)
	Fatalf(format string, args ...any)
}

// record makes a check whose failures fail nothing, and returns them.
func record(logf func(format string, args ...any), run func(reporter)) []string {
	r := &recorder{logf: logf}
	done := make(chan struct{})
	go func() {
		defer close(done)
		run(r)
	}()
	<-done
	return r.failures
}

// A recorder keeps failures.
type recorder struct {
	logf     func(format string, args ...any)
	mu       sync.Mutex
	failures []string
}

func (r *recorder) Helper() {}

func (r *recorder) Logf(format string, args ...any) { r.logf(format, args...) }

func (r *recorder) Errorf(format string, args ...any) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.failures = append(r.failures, fmt.Sprintf(format, args...))
}

func (r *recorder) Fatalf(format string, args ...any) {
	r.Errorf(format, args...)
	runtime.Goexit()
}

// A client is a twin in the hands of one check.
type client struct {
	Twin
	reporter
	ctx    context.Context
	prefix string // of the check's document names
	names  map[twin.Name]bool
	talks  []*talk
	config *twin.Document // the twin's own _config, to be put back; nil = there is none
}

// name returns a name that only this check uses.
func (c *client) name(s string) twin.Name { return c.own(twin.Name(c.prefix + s)) }

// own has a document deleted after the check.
func (c *client) own(name twin.Name) twin.Name {
	c.names[name] = true
	return name
}

// update is the update to data, a JSON object, of a version (0 = any).
func update(version uint32, data string) twin.Update {
	return twin.Update{Version: version, Data: json.RawMessage(data)}
}

// put puts a document, which must be accepted.
func (c *client) put(name twin.Name, version uint32, data string) twin.Document {
	c.Helper()
	doc, err := c.Put(c.ctx, name, update(version, data))
	if err != nil {
		c.Fatalf("put of %s with version %d is refused: %v", brief(data), version, err)
	}
	return doc
}

// patch patches a document, which must be accepted.
func (c *client) patch(name twin.Name, version uint32, data string) twin.Document {
	c.Helper()
	doc, err := c.Patch(c.ctx, name, update(version, data))
	if err != nil {
		c.Fatalf("patch of %s with version %d is refused: %v", brief(data), version, err)
	}
	return doc
}

// get reads a document, which must be there.
func (c *client) get(name twin.Name) twin.Document {
	c.Helper()
	doc, err := c.Get(c.ctx, name)
	if err != nil {
		c.Fatalf("get: %v", err)
	}
	return doc
}

// want compares a document with a version and with data, whatever the order of keys.
func (c *client) want(doc twin.Document, version uint32, data string) {
	c.Helper()
	if doc.Version != version {
		c.Errorf("version is %d, want %d", doc.Version, version)
	}
	if !reflect.DeepEqual(values(doc.Data), values([]byte(data))) {
		c.Errorf("data is %s, want %s", brief(string(doc.Data)), brief(data))
	}
}

// stored compares what is stored now with a version and with data.
func (c *client) stored(name twin.Name, version uint32, data string) {
	c.Helper()
	c.want(c.get(name), version, data)
}

// absent fails if there is such a document. What a get of none answers is each
// hub's choice: the error, or an empty document.
func (c *client) absent(name twin.Name) {
	c.Helper()
	doc, err := c.Get(c.ctx, name)
	if err != nil || string(doc.Data) != "{}" {
		c.notFound(doc, err)
	}
}

// notFound fails unless a request was refused because there is no such document.
func (c *client) notFound(doc twin.Document, err error) {
	c.Helper()
	if !errors.Is(err, twin.ErrDocumentNotFound) {
		c.Errorf("got %s, want the error %q", outcome(doc, err), twin.ErrDocumentNotFound)
	}
}

// mismatch fails unless a write was refused for its version.
func (c *client) mismatch(doc twin.Document, err error) *twin.VersionError {
	c.Helper()
	version, ok := errors.AsType[*twin.VersionError](err)
	if !ok {
		c.Fatalf("got %s, want a version mismatch", outcome(doc, err))
	}
	return version
}

// invalid fails unless a request was refused because of one of its arguments.
// Over MQTT a refusal is a text, which doesn't say so in one word.
func (c *client) invalid(argument string, doc twin.Document, err error) {
	c.Helper()
	if invalid, ok := errors.AsType[*twin.InvalidError](err); ok {
		if invalid.Argument != argument {
			c.Errorf("refused for its %s, want %s: %v", invalid.Argument, argument, err)
		}
		return
	}
	if _, ok := errors.AsType[*twin.RemoteError](err); !ok {
		c.Errorf("got %s, want a refusal of the argument %s", outcome(doc, err), argument)
	}
}

// send sends a body as it stands.
func (c *client) send(m twin.Method, name twin.Name, body string) (twin.Document, error) {
	return c.Twin.(Sender).Send(c.ctx, m, name, []byte(body))
}

// manager lists and deletes.
func (c *client) manager() Manager { return c.Twin.(Manager) }

// values decodes JSON; numbers keep their digits.
func values(data []byte) any {
	d := json.NewDecoder(bytes.NewReader(data))
	d.UseNumber()
	var v any
	if err := d.Decode(&v); err != nil {
		return err.Error()
	}
	return v
}

// outcome says what a request came to.
func outcome(doc twin.Document, err error) string {
	if err != nil {
		return fmt.Sprintf("the error %q", brief(err.Error()))
	}
	return fmt.Sprintf("version %d, data %s", doc.Version, brief(string(doc.Data)))
}

// brief is a text short enough for a failure.
func brief(s string) string {
	const limit = 300
	if len(s) <= limit {
		return s
	}
	return fmt.Sprintf("%s… (%d bytes)", s[:limit], len(s))
}
