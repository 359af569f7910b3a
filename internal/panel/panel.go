package panel

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/twinpanel/twinpanel/internal/durable"
	"github.com/twinpanel/twinpanel/sensor"
	"github.com/twinpanel/twinpanel/statemachine"
	"github.com/twinpanel/twinpanel/twin"
)

// Errors of a panel's questions.
var (
	ErrUnknown = errors.New("a contact has not been read yet") // nothing may be told before
	ErrStopped = errors.New("the panel has stopped")
)

// A Panel is one alarm panel. Make it with [New], then call Run; the other methods are for
// other goroutines while it runs.
type Panel struct {
	config  Config
	log     *slog.Logger
	lock    io.Closer
	journal *journal

	inputs    chan input
	questions chan chan answer
	ended     chan struct{}         // closed when Run returns
	link      atomic.Pointer[error] // nil = never heard of; a nil error = up

	loop // owned by Run's goroutine
}

// An input is an event and, for DesiredUnreadable, the reason.
type input struct {
	event   statemachine.Event
	problem error
}

// An answer is what the loop tells: the document to publish (nil if a contact is unknown) and the status.
type answer struct {
	document json.RawMessage
	status   Status
}

// New checks the configuration, takes the state folder for this process and reads the journal.
// A wrong setting is an error. A failing disk is not: it is a fault that is told, and the panel guards.
func New(c Config) (*Panel, error) {
	if err := c.complete(); err != nil {
		return nil, err
	}
	p := &Panel{
		config:    c,
		log:       c.Logger,
		inputs:    make(chan input),
		questions: make(chan chan answer),
		ended:     make(chan struct{}),
	}
	if err := p.takeFolder(); err != nil {
		return nil, err
	}
	p.journal = newJournal(c.StateDir, c.contactNames())
	r, err := readJournal(c.StateDir)
	if err != nil {
		p.log.Error("journal is unreadable", "error", err, "starting_as", c.OnCorrupt)
		if err := keepUnreadable(c.StateDir); err != nil {
			p.log.Warn("no copy of the unreadable journal could be kept", "error", err)
		}
		p.untrusted = true
		r = record{Armed: c.OnCorrupt == StartArmed}
	}
	p.state = statemachine.Restore(c.Rules, r.saved(c.contactNames()))
	return p, nil
}

// takeFolder makes the state folder, locks it, and finds out whether it can be written.
func (p *Panel) takeFolder() error {
	dir := p.config.StateDir
	err := os.MkdirAll(dir, 0o700)
	if err == nil {
		p.lock, err = durable.Lock(dir)
		if errors.Is(err, durable.ErrLocked) {
			return fmt.Errorf("state folder: %w", err)
		}
	}
	if err == nil {
		probe := filepath.Join(dir, "probe")
		err = durable.Replace(probe, []byte("written to find out whether this folder can be written\n"), 0o600)
		os.Remove(probe)
	}
	if err == nil {
		return nil
	}
	for _, setting := range []error{fs.ErrPermission, syscall.ENOTDIR, syscall.ELOOP, syscall.ENAMETOOLONG} {
		if errors.Is(err, setting) {
			p.Close()
			return &folderError{dir, err}
		}
	}
	p.log.Error("state folder cannot be written; guarding goes on, but a power cut may lose what is armed now", "error", err)
	p.journalErr = err
	return nil
}

// A folderError is a state folder that this user or path can never use.
type folderError struct {
	dir string
	err error
}

func (e *folderError) Error() string { return fmt.Sprintf("state folder: %v", e.err) }
func (e *folderError) Unwrap() error { return e.err }
func (e *folderError) Hint() string {
	return fmt.Sprintf("the panel keeps there whether it is armed: make %s writable for this user, or choose another with --state-dir", e.dir)
}

// Close gives the state folder back. Run does it too.
func (p *Panel) Close() error {
	if p.lock == nil {
		return nil
	}
	lock := p.lock
	p.lock = nil
	return lock.Close()
}

// Run guards until ctx ends, then turns the siren off, waits for the journal and the contacts, and
// returns nil. It can be called once.
func (p *Panel) Run(ctx context.Context) error {
	defer p.Close()
	defer close(p.ended)
	var tasks sync.WaitGroup
	defer tasks.Wait()
	tasksCtx, cancel := context.WithCancel(context.WithoutCancel(ctx))
	defer cancel()

	p.begin()
	go p.journal.run() // ends when pending is closed and the disk has answered
	for i, contact := range p.config.Contacts {
		tasks.Go(func() {
			err := contact.Sensor.Run(tasksCtx, func(r sensor.Reading) {
				p.send(tasksCtx, input{event: statemachine.Event{
					Kind: statemachine.ContactRead, Contact: i, Reading: statemachine.Reading(r),
				}})
			})
			if err != nil {
				p.log.Error("contact is watched no longer", "contact", contact.Name, "error", err)
			}
		})
	}
	for p.turn(ctx) {
	}

	if err := p.config.Siren.Close(); err != nil {
		p.log.Error("siren could not be turned off", "error", err)
	}
	p.finishJournal()
	p.log.Info("stopped", "state", p.state.Word())
	return nil
}

// finishJournal waits for the last write, but not for ever for a disk that hangs.
func (p *Panel) finishJournal() {
	close(p.journal.pending)
	patience := time.NewTimer(journalSlow)
	defer patience.Stop()
	for {
		select {
		case r, more := <-p.journal.results:
			if !more {
				return
			}
			p.written(r)
		case <-patience.C:
			p.journalSays(errJournalSlow)
			return
		}
	}
}

// send gives the loop an input, or gives up when ctx or the panel has ended.
func (p *Panel) send(ctx context.Context, in input) error {
	select {
	case p.inputs <- in:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	case <-p.ended:
		return ErrStopped
	}
}

// Desired takes the answer to a get of the desired document: the document, or why there is none.
// Before Run it waits for Run; after Run it does nothing.
func (p *Panel) Desired(doc twin.Document, err error) {
	event, problem := readDesired(doc, err)
	p.send(context.Background(), input{event, problem})
}

// Command arms or disarms at the panel itself. It returns when the journal holds it, or has failed, which the
// status says in its faults.
func (p *Panel) Command(ctx context.Context, armed bool) (Status, error) {
	err := p.send(ctx, input{event: statemachine.Event{Kind: statemachine.LocalCommand, Armed: armed}})
	if err != nil {
		return Status{}, err
	}
	return p.Status(ctx)
}

// Link takes note of the connection to the hub, for the status.
func (p *Panel) Link(up bool, err error) {
	if !up && err == nil {
		err = errors.New("not connected")
	}
	if up {
		err = nil
	}
	p.link.Store(&err)
}

// Document is the current document without last_update. It waits until all that it says is in the
// journal or the journal has failed. Before every contact was read the error is [ErrUnknown].
func (p *Panel) Document(ctx context.Context) (json.RawMessage, error) {
	a, err := p.ask(ctx)
	if err == nil && a.document == nil {
		err = ErrUnknown
	}
	return a.document, err
}

// Status is the state for somebody at the panel. It waits as Document does, but tells unknown contacts.
func (p *Panel) Status(ctx context.Context) (Status, error) {
	a, err := p.ask(ctx)
	return a.status, err
}

func (p *Panel) ask(ctx context.Context) (answer, error) {
	reply := make(chan answer, 1)
	select {
	case p.questions <- reply:
		return <-reply, nil
	case <-ctx.Done():
		return answer{}, ctx.Err()
	case <-p.ended:
		return answer{}, ErrStopped
	}
}
