// Package agent joins a panel to its hub: what is read from the desired document goes to the
// panel, and the panel's documents current and events go to the hub. The panel guards with or without it.
package agent

import (
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"sync"
	"time"

	"github.com/twinpanel/twinpanel/internal/blackbox"
	"github.com/twinpanel/twinpanel/internal/panel"
	"github.com/twinpanel/twinpanel/statemachine/transcript"
	"github.com/twinpanel/twinpanel/twin"
	"github.com/twinpanel/twinpanel/twinclient"
)

// The documents of the twin, as the specification names them. Each has one writer.
const (
	Desired twin.Name = "desired" // written by the app
	Current twin.Name = "current" // written by the panel
	Events  twin.Name = "events"  // written by the panel: its last transitions
)

// Config is what an agent needs.
type Config struct {
	Panel     panel.Config // Changed, Record, Flush, Finish, Heartbeat and Logger are set from here
	Hub       twinclient.Options
	Poll      time.Duration // pause between two reads of desired where the hub doesn't tell of changes; 0 = 2 s
	Heartbeat time.Duration // longest pause between two writes of current; 0 = 30 s
	Control   bool          // answer on the control socket in the panel's state folder
	Logger    *slog.Logger  // nil = silent
}

// An Agent is a panel with its link to the hub.
type Agent struct {
	Panel   *panel.Panel
	box     *blackbox.Box
	sync    *twinclient.Sync
	control bool
	log     *slog.Logger
}

// New checks the configuration and takes the panel's state folder. [Agent.Run], or Panel.Close, gives it back.
func New(c Config) (*Agent, error) {
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	if c.Heartbeat == 0 {
		c.Heartbeat = twinclient.DefaultHeartbeat
	}
	a := &Agent{control: c.Control, log: c.Logger}
	sync, err := twinclient.NewSync(twinclient.SyncConfig{
		Connect:   c.Hub,
		Watch:     Desired,
		Publish:   Current,
		Poll:      c.Poll,
		Heartbeat: c.Heartbeat,
		Document:  func(ctx context.Context) (json.RawMessage, error) { return a.Panel.Document(ctx) },
		Further: []twinclient.Publication{{Name: Events, Document: func(ctx context.Context) (json.RawMessage, error) {
			return a.Panel.Events(ctx)
		}}},
		Watched:   func(doc twin.Document, err error) { a.Panel.Desired(doc, err) },
		Connected: func(_ bool, err error) { a.Panel.Link(link(err)) },
		Logger:    c.Logger,
	})
	if err != nil {
		return nil, err
	}
	a.sync = sync
	c.Panel.Changed = sync.Changed
	c.Panel.Heartbeat = c.Heartbeat
	c.Panel.Logger = c.Logger
	a.box = blackbox.New(blackbox.Config{
		Dir:    c.Panel.StateDir,
		House:  house(c.Panel),
		Past:   func(ts []panel.Transition) { a.Panel.Past(ts) },
		Logger: c.Logger,
	})
	c.Panel.Record, c.Panel.Flush, c.Panel.Finish = a.box.Record, a.box.Flush, a.box.Close
	a.Panel, err = panel.New(c.Panel)
	return a, err
}

// house is what a transcript says of a panel's configuration.
func house(c panel.Config) transcript.House {
	h := transcript.House{Rules: c.Rules}
	for _, contact := range c.Contacts {
		h.Contacts = append(h.Contacts, contact.Name)
	}
	h.Rules.Contacts = len(h.Contacts)
	return h
}

// link is a connection, or why there is none.
func link(err error) panel.Link {
	l := panel.Link{Err: err}
	if trust, ok := errors.AsType[*twinclient.TrustError](err); ok {
		l.Next, l.Early = trust.Next, trust.Early
	}
	return l
}

// Run guards, keeps in step with the hub and answers commands until ctx ends. The siren is off when it returns.
func (a *Agent) Run(ctx context.Context) error {
	var tasks sync.WaitGroup
	defer tasks.Wait()
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	go a.box.Run() // ends with the panel's Finish, if the disk doesn't hang
	tasks.Go(func() { a.sync.Run(ctx) })
	if a.control {
		tasks.Go(func() { a.Panel.ServeControl(ctx) })
	}
	return a.Panel.Run(ctx)
}
