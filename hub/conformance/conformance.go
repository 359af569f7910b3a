// Package conformance is one suite of what twins do, for anything that claims
// to be twins: a store behind a function, the hub over REST, the hub over MQTT,
// or a live hub, also one of another maker.
//
// A [Twin] is one twin as a client sees it. [Run] holds it to every rule of
// the specification and to each choice that this project made where the
// specification is silent. [Report.Live] runs against a hub that others use as well:
// it writes under names of its own, removes what it wrote, leaves out what
// needs a twin for itself, and only reports where the hub chose differently,
// with what was said and answered, to the letter.
//
// A [RESTTwin] is also held to the answers of the REST API, and a [WireTwin] to the packets
// of MQTT. An [MQTTTwin] goes through package twinclient, which refuses at home what no hub
// would accept.
//
// Sources: the Cloud Twins reference, "Using IoT Cloud Twins", and
// docs/protocol.md for the choices.
package conformance

import (
	"context"
	"crypto/rand"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/twinpanel/twinpanel/twin"
)

// A Twin is one twin as one client sees it. It is safe for concurrent use.
//
// Names and updates go out as they are: that a bad one is refused is part of
// what is checked. Errors are those of package twin; a refusal for which the
// transport has no more than a text is a [*twin.RemoteError].
type Twin interface {
	Get(ctx context.Context, name twin.Name) (twin.Document, error)
	Put(ctx context.Context, name twin.Name, u twin.Update) (twin.Document, error)
	Patch(ctx context.Context, name twin.Name, u twin.Update) (twin.Document, error)
}

// A Manager is a Twin whose transport can list and delete. MQTT can't.
type Manager interface {
	List(ctx context.Context) ([]twin.Name, error)
	Delete(ctx context.Context, name twin.Name) error
	DeleteAll(ctx context.Context) error
}

// A Sender is a Twin that can send any text as the body of a put or patch.
type Sender interface {
	Send(ctx context.Context, m twin.Method, name twin.Name, body []byte) (twin.Document, error)
}

// Run holds twins to every rule. Each check calls open for a twin that has no
// documents, and that nobody else writes.
func Run(t *testing.T, open func(*testing.T) Twin) {
	for _, check := range checks() {
		t.Run(check.name, func(t *testing.T) {
			tw := open(t)
			if why := check.leftOut(tw, false); why != "" {
				t.Log("left out: " + why)
				return
			}
			said := new(trace)
			ctx, cancel := context.WithTimeout(withTrace(t.Context(), said), checkTimeout)
			defer cancel()
			defer func() {
				if t.Failed() {
					t.Log("said and answered:\n" + strings.Join(said.take(), "\n"))
				}
			}()
			check.do(ctx, t, tw)
		})
	}
}

// Limits of a check's time, over a slow network too.
const (
	checkTimeout = time.Minute
	cleanTimeout = 30 * time.Second // for leaving the twin as it was
)

// A check is one rule.
type check struct {
	name   string
	ours   bool  // the specification doesn't say so: it is this project's choice
	alone  bool  // needs a twin for itself
	config bool  // writes _config, of which a twin has one only: it is put back
	needs  *need // more than a Twin; nil = nothing more
	run    func(*client)
}

// checks are all rules, the simple ones first.
func checks() []check {
	return slices.Concat(documentChecks, versionChecks, patchChecks, dataChecks, bodyChecks, configChecks, limitChecks, concurrencyChecks,
		restChecks, restRefusalChecks, connectionChecks, requestChecks, requestRefusalChecks, noticeChecks)
}

// A Rule is what one check holds twins to, in words.
type Rule struct {
	Name string // the subtest's, too
	Ours bool   // a choice of this project, where the specification is silent
}

// Rules are all of them, in the order of the checks.
func Rules() []Rule {
	var all []Rule
	for _, c := range checks() {
		all = append(all, Rule{c.name, c.ours})
	}
	return all
}

// leftOut says why a check cannot be made.
func (c check) leftOut(tw Twin, live bool) string {
	switch {
	case c.alone && live:
		return "it needs a twin for itself"
	case c.needs != nil && !c.needs.met(tw):
		return "it needs " + c.needs.what
	case c.config && live && !manages.met(tw):
		return "it could not put _config back"
	}
	return ""
}

// A need is what a check needs of a twin.
type need struct {
	what string // with the variable of TestLive that gives it
	met  func(Twin) bool
}

var (
	manages      = &need{"lists and deletes, which REST has", func(tw Twin) bool { _, ok := tw.(Manager); return ok }}
	sends        = &need{"a way to send any body, which REST and MQTT have", func(tw Twin) bool { _, ok := tw.(Sender); return ok }}
	asksREST     = &need{"REST: set TWIN_API", func(tw Twin) bool { _, ok := tw.(*RESTTwin); return ok }}
	hasReadOnly  = &need{"a token that only reads: set TWIN_READ_TOKEN", func(tw Twin) bool { r, ok := tw.(*RESTTwin); return ok && r.ReadOnly != "" }}
	speaksMQTT   = &need{"MQTT: set TWIN_MQTT or TWIN_WS", func(tw Twin) bool { _, ok := tw.(*WireTwin); return ok }}
	hasBystander = &need{"MQTT and a second device: set TWIN_BYSTANDER, and TWIN_MQTT or TWIN_WS", func(tw Twin) bool {
		w, ok := tw.(*WireTwin)
		return ok && w.Bystander != ""
	}}
)

// do makes the check and leaves the twin as it was.
func (c check) do(ctx context.Context, r reporter, tw Twin) {
	prefix := "conformance-" + strings.ToLower(rand.Text()[:10]) + "-"
	client := &client{Twin: tw, reporter: r, ctx: ctx, prefix: prefix, names: make(map[twin.Name]bool)}
	traceOf(ctx).hide(prefix, "")
	defer func() {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(withTrace(ctx, nil)), cleanTimeout)
		defer cancel()
		client.ctx = ctx
		client.clean()
	}()
	if c.config {
		client.keepConfig()
	}
	c.run(client)
}

// keepConfig remembers the twin's own _config.
func (c *client) keepConfig() {
	ctx := withTrace(c.ctx, nil)
	doc, err := c.Get(ctx, twin.ConfigName)
	if manager, ok := c.Twin.(Manager); ok && err == nil {
		// What a get of none answers is each hub's choice, but a list has what is there.
		var names []twin.Name
		if names, err = manager.List(ctx); err == nil && !slices.Contains(names, twin.ConfigName) {
			err = twin.ErrDocumentNotFound
		}
	}
	switch {
	case err == nil:
		c.config = &doc
	case errors.Is(err, twin.ErrDocumentNotFound):
		c.own(twin.ConfigName)
	default:
		c.Fatalf("reading _config, which would have to be put back: %v", err)
	}
}

// clean deletes the documents of a check and puts _config back. A check that the twin fails
// may have left any of them undone, so only errors of the cleaning itself are told.
func (c *client) clean() {
	for _, t := range c.talks {
		t.conn.leave()
	}
	if c.config != nil {
		if _, err := c.Put(c.ctx, twin.ConfigName, twin.Update{Data: c.config.Data}); err != nil {
			c.Errorf("putting _config back: %v; it was %s", err, c.config.Data)
		}
	}
	manager, ok := c.Twin.(Manager)
	if !ok {
		return
	}
	for name := range c.names {
		err := manager.Delete(c.ctx, name)
		if _, bad := errors.AsType[*twin.InvalidError](err); err != nil && !bad && !errors.Is(err, twin.ErrDocumentNotFound) {
			c.Logf("deleting %s: %v", name, err)
		}
	}
}
