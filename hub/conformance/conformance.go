// Package conformance is one suite of what twins do, for anything that claims
// to be twins: a store behind a function, the hub over REST, the hub over MQTT,
// or a live hub, also one of another maker.
//
// A [Twin] is one twin as a client sees it. [Run] holds it to every rule of
// the specification and to each choice that this project made where the
// specification is silent. [Live] runs against a hub that others use as well:
// it writes under names of its own, removes what it wrote, leaves out what
// needs a twin for itself, and only reports where the hub chose differently.
//
// Over MQTT, package twinclient refuses at home what no hub would accept. To see
// a hub refuse, run the suite with a Twin that sends what it is given.
//
// Sources: the Cloud Twins reference, "Using IoT Cloud Twins", and
// docs/protocol.md for the choices.
package conformance

import (
	"context"
	"crypto/rand"
	"errors"
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
func Run(t *testing.T, open func(*testing.T) Twin) { runAll(t, open, false) }

// Live holds the twin of a hub in use to the rules of the specification, and
// reports where it differs from choices that are this project's own. What it
// wrote it deletes, if the twin is a [Manager].
func Live(t *testing.T, open func(*testing.T) Twin) { runAll(t, open, true) }

// checkTimeout bounds one check, over a slow network too.
const checkTimeout = time.Minute

func runAll(t *testing.T, open func(*testing.T) Twin, live bool) {
	for _, check := range checks() {
		t.Run(check.name, func(t *testing.T) {
			tw := open(t)
			if why := check.leftOut(tw, live); why != "" {
				t.Log("left out: " + why)
				return
			}
			ctx, cancel := context.WithTimeout(t.Context(), checkTimeout)
			defer cancel()
			if !live || !check.ours {
				check.do(ctx, t, tw)
				return
			}
			differences := record(t.Logf, func(r reporter) { check.do(ctx, r, tw) })
			for _, d := range differences {
				t.Log("differs from this project's choice: " + d)
			}
			if len(differences) == 0 {
				t.Log("as this project chose")
			}
		})
	}
}

// A check is one rule.
type check struct {
	name  string
	ours  bool            // no public source says so: it is this project's choice
	alone bool            // needs a twin for itself
	needs func(Twin) bool // more than a Twin; nil = nothing more
	run   func(*client)
}

// checks are all rules, the simple ones first.
func checks() []check {
	var all []check
	all = append(all, documentChecks...)
	all = append(all, versionChecks...)
	all = append(all, patchChecks...)
	all = append(all, dataChecks...)
	all = append(all, bodyChecks...)
	all = append(all, limitChecks...)
	return append(all, concurrencyChecks...)
}

// leftOut says why a check cannot be made.
func (c check) leftOut(tw Twin, live bool) string {
	switch {
	case c.alone && live:
		return "it needs a twin for itself"
	case c.needs != nil && !c.needs(tw):
		return "this transport has no way to ask for it"
	}
	return ""
}

func manages(tw Twin) bool { _, ok := tw.(Manager); return ok }

func sends(tw Twin) bool { _, ok := tw.(Sender); return ok }

// do makes the check and deletes what it wrote.
func (c check) do(ctx context.Context, r reporter, tw Twin) {
	client := &client{Twin: tw, reporter: r, ctx: ctx, prefix: "conformance-" + strings.ToLower(rand.Text()[:10]) + "-"}
	defer client.clean()
	c.run(client)
}

// clean deletes the documents of a check. A check that the twin fails may have
// left any of them undone, so only errors of the deleting itself are told.
func (c *client) clean() {
	manager, ok := c.Twin.(Manager)
	if !ok {
		return
	}
	for name := range c.names {
		err := manager.Delete(c.ctx, name)
		if _, bad := errors.AsType[*twin.InvalidError](err); err != nil && !bad && !errors.Is(err, twin.ErrDocumentNotFound) {
			c.Logf("%s is left behind: %v", name, err)
		}
	}
}
