package hub

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"

	"github.com/twinpanel/twinpanel/hub/docstore"
	"github.com/twinpanel/twinpanel/hub/registry"
	"github.com/twinpanel/twinpanel/twin"
)

// maxDueNotices is how many notices may wait for one connection, each about another document: room for all
// that is looked at when news was missed, which is the documents that the client knew, those there are now
// and those that it asked about by name, and for the twin to be replaced as a whole meanwhile.
const maxDueNotices = 3*twin.MaxDocuments + maxFilters

// Why a connection that asked for notices ends: it must not go on believing that it
// hears of every change.
var (
	errLateNotices = fmt.Errorf("more than %d change notices wait for the client", maxDueNotices)
	errNoVersion   = errors.New("no change notice by the hub's own trouble: the client would miss a change")
)

// changed tells the connections of a twin's device that asked for it that a document
// has changed or is gone. The connection that made the change itself knows already: from;
// nil = none. Nobody waits for a connection here, and other devices' not for the many
// connections and filters that a device may have.
func (e *endpoint) changed(key docstore.Key, from *session) {
	for _, s := range e.sessionsOf(key.Twin) {
		if s != from {
			s.notify(key.Name)
		}
	}
}

// notices are the change notices that a session owes its client.
//
// A writer only enters the document's name. The goroutine that sends exists while there
// are names. It takes one off, then reads the version the document has at that moment.
// So one notice may stand for several changes. And since a name is entered after its
// change was committed, the last notice says what the last change made, in whatever
// order writers get here.
type notices struct {
	mu      sync.Mutex
	filters filters     // those of the session that ask for notices
	due     []twin.Name // each once
	again   bool        // everything that the filters mean is due
	told    []twin.Name // documents that the client knows of; nil where there are no other hubs
	sending bool
	sender  sync.WaitGroup
}

// watch takes the filters of a session as they are now.
func (n *notices) watch(all filters) {
	var asking filters
	for _, f := range all {
		if f.asksForNotices() {
			asking = append(asking, f)
		}
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	n.filters = asking
}

// close forgets what is due and waits for the goroutine that sends.
func (n *notices) close() {
	n.watch(nil)
	n.sender.Wait()
}

// notify enters documents for a notice, those that the client asked for.
func (s *session) notify(names ...twin.Name) {
	n := &s.notices
	n.mu.Lock()
	defer n.mu.Unlock()
	for _, name := range names {
		switch {
		case n.filters.noticeTopic(s.device, name) == "" || slices.Contains(n.due, name):
		case len(n.due) == maxDueNotices:
			s.stop(errLateNotices)
		default:
			n.due = append(n.due, name)
		}
	}
	if len(n.due) > 0 && !n.sending {
		n.sending = true
		n.sender.Go(s.sendNotices)
	}
}

// notifyAll enters everything that the client asked for: of each document there is, and of each that it
// knows of, a change may have been missed. It tells whether the client asked for anything.
func (s *session) notifyAll() bool {
	n := &s.notices
	n.mu.Lock()
	defer n.mu.Unlock()
	if len(n.filters) == 0 {
		return false
	}
	n.again = true
	if !n.sending {
		n.sending = true
		n.sender.Go(s.sendNotices)
	}
	return true
}

// next takes a name off, with the topic of its notice; an empty topic = there is none, and
// the goroutine has to end, unless everything is due again.
func (n *notices) next(own twin.ID) (name twin.Name, topic string, again bool) {
	n.mu.Lock()
	defer n.mu.Unlock()
	for len(n.due) > 0 {
		name, n.due = n.due[0], n.due[1:]
		if topic = n.filters.noticeTopic(own, name); topic != "" { // else unsubscribed meanwhile
			return name, topic, false
		}
	}
	n.due = nil
	n.again, again = false, n.again
	n.sending = again
	return "", "", again
}

// tell notes whether the client knows of a document.
func (n *notices) tell(name twin.Name, exists bool) {
	n.mu.Lock()
	defer n.mu.Unlock()
	i := slices.Index(n.told, name)
	switch {
	case exists && i < 0:
		n.told = append(n.told, name)
	case !exists && i >= 0:
		n.told = slices.Delete(n.told, i, i+1)
	}
}

// sendNotices sends what is due. Where it can't, the session ends.
func (s *session) sendNotices() {
	defer func() {
		if p := recover(); p != nil {
			s.logPanic(p)
			s.stop(errNoVersion)
		}
	}()
	for !s.isStopped() {
		name, topic, again := s.notices.next(s.device)
		var err error
		switch {
		case again:
			err = s.notifyAgain()
		case topic == "":
			return
		default:
			err = s.sendNotice(name, topic)
		}
		if err != nil {
			s.stop(err)
		}
	}
}

func (s *session) sendNotice(name twin.Name, topic string) error {
	version, err := s.version(name)
	if err == nil {
		err = s.write(appendPublish(nil, topic, fmt.Appendf(nil, `{"version":%d}`, version)))
	}
	if err != nil {
		return err
	}
	if s.endpoint.peers != nil {
		s.notices.tell(name, version > 0)
	}
	s.endpoint.metrics.Notice()
	return nil
}

// notifyAgain enters what notifyAll said.
func (s *session) notifyAgain() error {
	n := &s.notices
	n.mu.Lock()
	all, told := n.filters, slices.Clone(n.told)
	n.mu.Unlock()
	return s.notifyOf(all, told)
}

// version is the version of one of the device's documents, 0 if there is none.
func (s *session) version(name twin.Name) (uint32, error) {
	doc, err := s.endpoint.do(context.Background(), s, s.device, name, twin.Get, nil)
	if errors.Is(err, twin.ErrDocumentNotFound) {
		return 0, nil
	}
	return doc.Version, s.noticeError(err)
}

// noticeError logs the hub's own trouble and returns why the session has to end.
func (s *session) noticeError(err error) error {
	switch {
	case err == nil:
		return nil
	case errors.Is(err, registry.ErrNoDevice):
		return errRemoved
	case isRefused(err):
		return err
	}
	s.log(slog.LevelError, "change notice failed", "error", err)
	return errNoVersion
}

// asked begins the notices that filters ask for which the client has just subscribed to,
// also again: with the present version of each document that they mean. The filters
// count before a version is read, so that no change gets lost in between.
func (s *session) asked(fresh filters) error {
	if len(fresh) == 0 {
		return nil
	}
	s.notices.watch(s.filters)
	return s.notifyOf(fresh, nil)
}

// notifyOf enters each document that filters mean: those they name, those there are, and others that
// there were.
func (s *session) notifyOf(fresh filters, others []twin.Name) error {
	names := others
	for _, f := range fresh {
		if name, err := twin.ParseName(f.document()); err == nil {
			names = append(names, name)
		}
	}
	if slices.ContainsFunc(fresh, func(f filter) bool { return f.document() == "+" }) {
		all, err := s.endpoint.list(context.Background(), s, s.device)
		if err != nil {
			return s.noticeError(err)
		}
		names = append(names, all...)
	}
	// At once, so that a document that several filters mean is told once.
	s.notify(slices.DeleteFunc(names, func(name twin.Name) bool { return fresh.noticeTopic(s.device, name) == "" })...)
	return nil
}

// asksForNotices tells whether the filter ends in /changed to the letter. Others get no
// notices, so that nobody who subscribes to all answers is sent what he doesn't know.
func (f filter) asksForNotices() bool { return strings.HasSuffix(string(f), "/changed") }

// document is the level of a filter that a topic's document matches.
func (f filter) document() string {
	levels := strings.SplitN(string(f), "/", 5) // $SCW, twins, the twin, the document
	if len(levels) < 5 {
		return ""
	}
	return levels[3]
}

// noticeTopic is the topic of a notice about one of the device's documents: the form that
// the filters mean, with me where they mean both. Empty = they mean neither.
func (fs filters) noticeTopic(own twin.ID, name twin.Name) string {
	if len(fs) == 0 {
		return "" // most connections
	}
	for _, id := range []string{twin.Me, string(own)} {
		if topic := twin.NoticeTopic(id, name); fs.match(topic) {
			return topic
		}
	}
	return ""
}
