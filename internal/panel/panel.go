package panel

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
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

// Errors of a panel's questions. Before the first two are over nothing may be told; Changed is called then.
var (
	ErrUnknown   = errors.New("a contact has not been read yet")
	ErrUnwritten = errors.New("the journal has not been written yet")
	ErrStopped   = errors.New("the panel has stopped")
)

// A Panel is one alarm panel. Make it with [New], then call Run; the other methods are for
// other goroutines while it runs.
type Panel struct {
	config  Config
	log     *slog.Logger
	journal *journal

	inputs     chan input
	moves      chan int                  // contacts that may be about to start a ring
	keys       chan sensor.Reading       // of the key switch
	documents  chan chan answer          // asked for at any time
	histories  chan chan answer          // so is the document events
	pasts      chan []Transition         // from before the start
	statuses   chan chan Status          // asked for once the journal has had its say
	sirenTests chan chan error           // asked for by TestSiren
	folderLost chan struct{}             // the state folder has been removed
	ended      chan struct{}             // closed when Run returns
	link       atomic.Pointer[Link]      // nil = never heard of
	answered   atomic.Pointer[time.Time] // when the hub has answered last; nil = never

	loop // owned by Run's goroutine
}

// An input is an event with what the rules need not know of it.
type input struct {
	event   statemachine.Event
	problem error // why desired is unreadable
	by      By    // who gave a local command
	asker   Asker // whose desired it is
}

// An answer is the document to publish, or why there is none now.
type answer struct {
	document json.RawMessage
	err      error
}

// New turns the siren off, checks the configuration, takes the state folder for this process and reads the journal.
// A wrong setting is an error. A failing disk is not: it is a fault that is told, and the panel guards.
func New(c Config) (*Panel, error) {
	if err := c.complete(); err != nil {
		return nil, err
	}
	c.Siren.Set(false) // before anything that a bad disk can hold up; Run looks whether it obeyed
	p := &Panel{
		config:     c,
		log:        c.Logger,
		journal:    newJournal(c.StateDir, c.contactNames()),
		inputs:     make(chan input),
		moves:      make(chan int, len(c.Contacts)),
		keys:       make(chan sensor.Reading),
		documents:  make(chan chan answer),
		histories:  make(chan chan answer),
		pasts:      make(chan []Transition, 1),
		statuses:   make(chan chan Status),
		sirenTests: make(chan chan error),
		folderLost: make(chan struct{}, 1),
		ended:      make(chan struct{}),
	}
	if err := p.takeFolder(); err != nil {
		return nil, errors.Join(err, c.Siren.Close())
	}
	r, err := readJournal(c.StateDir)
	if err != nil {
		p.log.Error("journal is unreadable", "error", err, "starting_as", c.OnCorrupt)
		if err := keepUnreadable(c.StateDir); err != nil {
			p.log.Warn("no copy of the unreadable journal could be kept", "error", err)
		}
		p.untrusted = true
		r = record{Armed: c.OnCorrupt == StartArmed}
	}
	p.clock = clock{synchronised: c.Synchronised, log: p.log, journal: journalTime(c.StateDir)}
	p.state = statemachine.Restore(c.Rules, r.saved(c.contactNames()))
	p.teller = NewTeller(c.contactNames())
	return p, nil
}

// takeFolder takes the state folder and finds out whether it can be written.
func (p *Panel) takeFolder() error {
	dir := p.config.StateDir
	err := p.journal.take()
	if errors.Is(err, durable.ErrLocked) {
		return &folderError{err, "a panel runs there already: panel arm, panel disarm and panel check talk to it"}
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
			return errors.Join(&folderError{err,
				fmt.Sprintf("the panel keeps there whether it is armed: make %s writable for this user, or choose another with --state-dir", dir)},
				p.journal.release())
		}
	}
	p.log.Error("state folder cannot be written; guarding goes on, but a power cut may lose what is armed now", "error", err)
	p.journalErr = err
	return nil
}

// A folderError is a state folder that cannot be this panel's.
type folderError struct {
	err  error
	hint string
}

func (e *folderError) Error() string { return fmt.Sprintf("state folder: %v", e.err) }
func (e *folderError) Unwrap() error { return e.err }
func (e *folderError) Hint() string  { return e.hint }

// Close turns the siren off and gives the state folder back, for a panel that is not going to Run. Run does it too.
func (p *Panel) Close() error { return errors.Join(p.config.Siren.Close(), p.journal.release()) }

// Run guards until ctx ends, then turns the siren off and waits for the contacts and, if the disk doesn't hang, for the
// journal. It returns nil, or why the siren may not be off. It can be called once.
func (p *Panel) Run(ctx context.Context) error {
	defer close(p.ended)
	var tasks sync.WaitGroup
	defer tasks.Wait()
	tasksCtx, cancel := context.WithCancel(context.WithoutCancel(ctx))
	defer cancel()

	p.begin()
	go p.journal.run() // ends when pending is closed and the disk has answered
	for i, contact := range p.config.Contacts {
		tasks.Go(func() {
			err := p.watch(tasksCtx, i)
			if err != nil {
				p.log.Error("contact is watched no longer", "contact", contact.Name, "error", err)
			}
		})
	}
	if p.config.Key != nil {
		tasks.Go(func() { p.watchKey(tasksCtx) })
	}
	for p.turn(ctx) {
	}

	p.endTest(ErrStopped)
	err := p.config.Siren.Close()
	if err != nil {
		err = &sirenError{err}
	}
	p.config.Finish()
	p.finishJournal()
	p.log.Info("stopped", "state", p.state.Word())
	return err
}

// watch takes a contact's readings until ctx ends, and before that its moves, where its sensor tells of them.
func (p *Panel) watch(ctx context.Context, contact int) error {
	report := func(r sensor.Reading) {
		p.send(ctx, input{event: statemachine.Event{
			Kind: statemachine.ContactRead, Contact: contact, Reading: statemachine.Reading(r),
		}})
	}
	s := p.config.Contacts[contact].Sensor
	f, ok := s.(forewarner)
	if !ok {
		return s.Run(ctx, report)
	}
	return f.Watch(ctx, func(r sensor.Reading) {
		if r == sensor.Closed {
			return
		}
		select {
		case p.moves <- contact:
		default: // the siren waits for the journal, then
		}
	}, report)
}

// A sirenError is a siren that could not be turned off at the end.
type sirenError struct{ err error }

func (e *sirenError) Error() string { return fmt.Sprintf("turning the siren off: %v", e.err) }
func (e *sirenError) Unwrap() error { return e.err }
func (e *sirenError) Hint() string {
	return "if it sounds: panel siren-off, or cut the siren's supply; then look at its line"
}

// finishJournal waits for the last write and gives the folder back. When the disk hangs, it keeps the folder: a write
// that ends later must not meet another panel there. The end of the process gives it back.
func (p *Panel) finishJournal() {
	if p.prepaid != 0 { // this ring has not sounded, and that is known
		p.prepaid = 0
		p.save()
	}
	close(p.journal.pending)
	patience := time.NewTimer(journalSlow)
	defer patience.Stop()
	for {
		select {
		case r, more := <-p.journal.results:
			if more {
				p.written(r)
				continue
			}
			if err := p.journal.release(); err != nil {
				p.log.Warn("state folder could not be given back", "error", err)
			}
			return
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
	p.answered.Store(new(time.Now()))
	p.send(context.Background(), readDesired(doc, err))
}

// Command arms or disarms at the panel itself. It returns when the journal holds it, or has failed, which the
// status says in its faults.
func (p *Panel) Command(ctx context.Context, armed bool) (Status, error) {
	err := p.send(ctx, input{event: statemachine.Event{Kind: statemachine.LocalCommand, Armed: armed}, by: ByCommand})
	if err != nil {
		return Status{}, err
	}
	return p.Status(ctx)
}

// A Link is what is known of the connection to the hub.
type Link struct {
	Err   error  // why there is none; nil = it is up
	Next  string // what to do about that, where it is known
	Early bool   // it is because a certificate is not valid yet by this computer's clock, which is a fault of the clock
}

// Link takes note of the connection to the hub, for the status.
func (p *Panel) Link(l Link) { p.link.Store(&l) }

// Document is the current document without last_update. It does not wait: while there is something that the journal
// should hold first the error is [ErrUnwritten], and before every contact was read [ErrUnknown]. Changed is called when
// that is over.
func (p *Panel) Document(ctx context.Context) (json.RawMessage, error) {
	a, err := ask(ctx, p, p.documents)
	return a.document, errors.Join(err, a.err)
}

// Status is the state for somebody at the panel. It waits until the journal holds it or has failed.
func (p *Panel) Status(ctx context.Context) (Status, error) { return ask(ctx, p, p.statuses) }

func ask[T any](ctx context.Context, p *Panel, questions chan chan T) (answer T, err error) {
	reply := make(chan T, 1)
	select {
	case questions <- reply:
		return <-reply, nil
	case <-ctx.Done():
		return answer, ctx.Err()
	case <-p.ended:
		return answer, ErrStopped
	}
}
