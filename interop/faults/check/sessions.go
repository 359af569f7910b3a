package check

import (
	"cmp"
	"fmt"
	"math"
	"slices"
	"sort"

	"github.com/twinpanel/twinpanel/interop/faults/history"
)

// Sessions are the connections of devices, by their numbers, and what was asked on them.
type sessions map[uint64]*session

type session struct {
	connect  *history.Event
	closed   int64 // when its client found it over; never = not before the end of the history
	requests []*history.Event
	noticed  []*history.Event // gets that notices led to
}

func (s sessions) of(conn uint64) *session {
	if s[conn] == nil {
		s[conn] = &session{closed: never}
	}
	return s[conn]
}

// add takes an event over that may belong to a device's connection.
func (s sessions) add(e *history.Event, f *Figures) {
	switch {
	case e.Device == "" || e.Conn == 0:
		if e.Kind == history.Connect {
			f.NotConnected++
		}
	case e.Kind == history.Connect:
		f.Connects++
		s.of(e.Conn).connect = e
	case e.Kind == history.Closed:
		s.of(e.Conn).closed = e.Call
	case e.Noticed:
		s.of(e.Conn).noticed = append(s.of(e.Conn).noticed, e)
		fallthrough
	default:
		s.of(e.Conn).requests = append(s.of(e.Conn).requests, e)
	}
}

// byDevice are the connections that came about.
func (s sessions) byDevice() map[string][]*session {
	all := map[string][]*session{}
	for _, x := range s {
		if x.connect != nil {
			all[x.connect.Device] = append(all[x.connect.Device], x)
		}
	}
	return all
}

// check holds connections against each other and against the documents.
func (s sessions) check(documents map[string]*document, noticeTime, end int64) (found []Violation) {
	for device, all := range s.byDevice() {
		newer := newerSessions(all)
		for _, x := range all {
			for _, e := range x.requests {
				_, answered := version(e)
				if n := newer.at(e.Call); answered && n.begun > x.connect.Return {
					found = append(found, Violation{Old, device, describe(e) + "; the newer one: " + describe(n.by)})
				}
			}
			if v, ok := x.untold(documents, min(x.closed, end)-noticeTime); ok {
				found = append(found, v)
			}
		}
	}
	slices.SortFunc(found, func(a, b Violation) int {
		return cmp.Or(cmp.Compare(a.Where, b.Where), cmp.Compare(a.Detail, b.Detail))
	})
	return found
}

// A newest is the connection, of those that had come about at a time, that was begun last.
type newest struct {
	from  int64 // that time
	begun int64
	by    *history.Event
}

type newestList []newest

func newerSessions(all []*session) newestList {
	all = slices.Clone(all)
	slices.SortFunc(all, func(a, b *session) int { return cmp.Compare(a.connect.Return, b.connect.Return) })
	var list newestList
	last := newest{begun: math.MinInt64}
	for _, x := range all {
		if x.connect.Call > last.begun {
			last = newest{x.connect.Return, x.connect.Call, x.connect}
			list = append(list, last)
		}
	}
	return list
}

// at is the newest of those that had come about before t.
func (l newestList) at(t int64) newest {
	i := sort.Search(len(l), func(i int) bool { return l[i].from >= t })
	if i == 0 {
		return newest{begun: math.MinInt64}
	}
	return l[i-1]
}

// untold tells whether the client of a connection that asked for notices was not told what was known at a time, although the
// connection lasted for long enough after it.
func (x *session) untold(documents map[string]*document, until int64) (Violation, bool) {
	d := documents[x.connect.Watches]
	if d == nil || x.connect.Return > until {
		return Violation{}, false
	}
	last := d.knownAt(until)
	if last == nil {
		return Violation{}, false
	}
	told := int64(-1)
	for _, e := range x.noticed {
		if v, ok := version(e); ok {
			told = max(told, int64(v))
		}
	}
	if told >= int64(last.Version) {
		return Violation{}, false
	}
	return Violation{Told, x.connect.Watches, fmt.Sprintf("%s; told of version %d at last; but: %s", describe(x.connect), told, describe(last))}, true
}

// knownAt is the answer with the highest version of those that had come before t; nil = none has.
func (d *document) knownAt(t int64) *history.Event {
	i := sort.Search(len(d.rising), func(i int) bool { return d.rising[i].Return >= t })
	if i == 0 {
		return nil
	}
	return d.rising[i-1]
}

// late counts writes of a document that were done after a newer connection of their device had come about: the write of
// the version before was called after that.
func (s sessions) late(d *document) (n int) {
	newer := map[string]newestList{}
	for v, now := range d.states {
		w, before := d.writes[now.data.Last], d.states[v-1]
		if w.Device == "" || w.Outcome != history.Unknown || before.by == nil {
			continue
		}
		list, ok := newer[w.Device]
		if !ok {
			list = newerSessions(s.byDevice()[w.Device])
			newer[w.Device] = list
		}
		x := s[w.Conn]
		if x != nil && x.connect != nil && list.at(d.writes[before.data.Last].Call).begun > x.connect.Return {
			n++
		}
	}
	return n
}
