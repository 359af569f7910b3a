//go:build linux

package main

import (
	"fmt"
	"io"
	"math"
	"text/tabwriter"
	"time"

	"github.com/twinpanel/twinpanel/scripts/load/panels"
)

const (
	million       = 1_000_000
	hubPlaces     = 20_000 // connections that a hub takes, hub's maxMQTTConns
	month         = 365.25 * 24 * time.Hour / 12
	messagesOfAsk = 2 // a request and its answer, each within the 4 kB of one unit of the vendor's bill
)

// A habit is what a panel does, in requests a second.
type habit struct{ gets, patches float64 }

// Habits of panels, see package panels.
var (
	polling = habit{gets: 1 / panels.Poll.Seconds(), patches: 1 / panels.Heartbeat.Seconds()}
	noticed = habit{gets: 1 / panels.NoticedPoll.Seconds(), patches: 1 / panels.Heartbeat.Seconds()}
)

// A price is what one of everything takes: processor time in nanoseconds, memory in bytes.
type price struct {
	getHub, getDatabase, patchHub, patchDatabase float64
	connection                                   float64 // memory
	patches                                      float64 // a second that one database takes
}

// A need is what many panels take.
type need struct {
	requests        float64 // a second
	writes          float64 // of them
	hubCPU, dbCPU   float64 // processors, busy all the time
	memory          float64 // of all hubs, in bytes
	hubs, databases int     // how many
	messages        float64 // a month
}

// needOf is that of n panels with a habit.
func needOf(n float64, h habit, p price) need {
	gets, patches := n*h.gets, n*h.patches
	return need{
		requests:  gets + patches,
		writes:    patches,
		hubCPU:    (gets*p.getHub + patches*p.patchHub) / 1e9,
		dbCPU:     (gets*p.getDatabase + patches*p.patchDatabase) / 1e9,
		memory:    n * p.connection,
		hubs:      int(math.Ceil(n / hubPlaces)),
		databases: int(math.Ceil(patches / p.patches)),
		messages:  messagesOfAsk * (gets + patches) * month.Seconds(),
	}
}

// printMillion writes what a million panels need, if all was measured that it takes to know.
func (s *stage) printMillion(w io.Writer) error {
	if s.shared == nil || s.idle == nil {
		_, err := io.WriteString(w, "\nwhat a million panels need is computed from the rows memory and cpu\n")
		return err
	}
	gets, patches := s.shared[panels.Gets], s.shared[panels.Patches]
	p := price{
		getHub: gets.hub.median(), getDatabase: gets.database.median(), patchHub: patches.hub.median(), patchDatabase: patches.database.median(),
		connection: s.idle.median(), patches: patches.rate.median(),
	}
	a, b := needOf(million, polling, p), needOf(million, noticed, p)
	fmt.Fprintf(w, "\nwhat a million panels need, from the rows memory (TLS) and cpu (PostgreSQL, one hub):\n\n")
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintf(t, "\tlook every %v\ttold of changes\t\n", panels.Poll)
	for _, line := range []struct {
		what string
		show func(float64) string
		a, b float64
	}{
		{"requests a second", asNumber, a.requests, b.requests},
		{"of them durable writes", asNumber, a.writes, b.writes},
		{"processors for hubs", asNumber, a.hubCPU, b.hubCPU},
		{"processors for PostgreSQL", asNumber, a.dbCPU, b.dbCPU},
		{"hubs", asNumber, float64(a.hubs), float64(b.hubs)},
		{"memory of hubs", asMega, a.memory, b.memory},
		{"databases as fast as this one", asNumber, float64(a.databases), float64(b.databases)},
		{"messages a month, in 10^9", asNumber, a.messages / 1e9, b.messages / 1e9},
		{"messages of a panel a month", asNumber, a.messages / million, b.messages / million},
	} {
		fmt.Fprintf(t, "%s\t%s\t%s\t\n", line.what, line.show(line.a), line.show(line.b))
	}
	if err := t.Flush(); err != nil {
		return err
	}
	_, err := fmt.Fprintf(w, `
Each panel says that it lives every %v. Processors are of this kind, busy all the time: plan twice as many. Messages are counted as
Scaleway's IoT Hub bills them: each MQTT packet, both ways, up to 4 kB; the price of one was not to be found. That hub tells
of no changes, so only the first column is its.
`, panels.Heartbeat)
	return err
}
