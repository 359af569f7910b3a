package postgres

import (
	"fmt"
	"strconv"
	"strings"
	"sync"

	"github.com/twinpanel/twinpanel/hub/docstore"
	"github.com/twinpanel/twinpanel/hub/peers"
	"github.com/twinpanel/twinpanel/twin"
)

// Hubs tell each other what they have to tell by NOTIFY on one channel. A message is lines of text. The first one
// names who sends it, the others say one thing each:
//
//	1 7K3QX5M2ZP4LN6TB
//	r 11111111-1111-4111-8111-111111111111 17
//	c 11111111-1111-4111-8111-111111111111 desired
//	h
//	m
//
// 1 is the format, and with it comes the sender: a word that each hub makes up when it opens the store, or - where the
// sender is to hear it too. r is a device's epoch that was raised, c a document that
// has changed or is gone, h the hub's record, m that something was not told. A hub that doesn't understand a line takes it for m.
const (
	channel       = "twinpanel"
	messageFormat = "1"
	everybody     = "-" // as the sender
	raisedLine    = "r"
	changedLine   = "c"
	hubLine       = "h"
	missedLine    = "m"

	maxMessage = 7999 // bytes: PostgreSQL's limit
	maxUntold  = 10000
)

// untold is what the other hubs have to be told. Each thing is there once, however often it happened since
// the last message. Of more than maxUntold things no more is told than that something was not told.
type untold struct {
	mu      sync.Mutex
	raised  map[twin.ID]int64
	changed map[docstore.Key]struct{}
	hub     bool
	missed  bool
	gone    bool // a hub has ended: it may not have told everything, to this hub neither
}

// add changes what there is to tell.
func (u *untold) add(change func(*untold)) {
	u.mu.Lock()
	defer u.mu.Unlock()
	if u.raised == nil {
		u.raised, u.changed = make(map[twin.ID]int64), make(map[docstore.Key]struct{})
	}
	change(u)
	if len(u.raised)+len(u.changed) > maxUntold {
		clear(u.raised)
		clear(u.changed)
		u.missed = true
	}
}

// take takes off as much as there is room for in one message; empty = there is nothing to tell.
func (u *untold) take(sender string) string {
	u.mu.Lock()
	defer u.mu.Unlock()
	if u.gone {
		sender, u.missed = everybody, true
	}
	head := messageFormat + " " + sender
	if u.missed { // which says it all
		clear(u.raised)
		clear(u.changed)
		u.hub, u.missed, u.gone = false, false, false
		return head + "\n" + missedLine
	}
	text := []byte(head)
	add := func(line string) bool {
		if len(text)+1+len(line) > maxMessage {
			return false
		}
		text = append(append(text, '\n'), line...)
		return true
	}
	if u.hub {
		u.hub = !add(hubLine)
	}
	for id, epoch := range u.raised {
		if !add(fmt.Sprintf("%s %s %d", raisedLine, id, epoch)) {
			return string(text)
		}
		delete(u.raised, id)
	}
	for key := range u.changed {
		if !add(fmt.Sprintf("%s %s %s", changedLine, key.Twin, key.Name)) {
			return string(text)
		}
		delete(u.changed, key)
	}
	if len(text) == len(head) {
		return ""
	}
	return string(text)
}

// parseMessage reads a message, unless the sender is the one who reads.
func parseMessage(text, own string) (n peers.News, others bool) {
	lines := strings.Split(text, "\n")
	format, sender, _ := strings.Cut(lines[0], " ")
	switch {
	case format != messageFormat:
		return peers.News{Missed: true}, true
	case sender == own:
		return n, false
	}
	for _, line := range lines[1:] {
		if !parseLine(line, &n) {
			n.Missed = true
		}
	}
	return n, true
}

// parseLine adds what a line says. It is false for one that it doesn't understand.
func parseLine(line string, n *peers.News) bool {
	switch line {
	case hubLine:
		n.Hub = true
		return true
	case missedLine:
		n.Missed = true
		return true
	}
	fields := strings.Split(line, " ")
	if len(fields) != 3 {
		return false
	}
	id, err := twin.ParseID(fields[1])
	if err != nil {
		return false
	}
	switch fields[0] {
	case raisedLine:
		epoch, err := strconv.ParseInt(fields[2], 10, 64)
		if err != nil || epoch < 1 {
			return false
		}
		if n.Raised == nil {
			n.Raised = make(map[twin.ID]int64)
		}
		n.Raised[id] = max(n.Raised[id], epoch)
	case changedLine:
		name, err := twin.ParseName(fields[2])
		if err != nil {
			return false
		}
		n.Changed = append(n.Changed, docstore.Key{Twin: id, Name: name})
	default:
		return false
	}
	return true
}
