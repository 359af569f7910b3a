package panels

import "time"

// A Kind says what the panels of a job do.
type Kind string

// The kinds.
const (
	Gets    Kind = "gets"    // read "desired", each panel one request at a time
	Patches Kind = "patches" // change "current", likewise
	Idle    Kind = "idle"    // nothing
	Polls   Kind = "polls"   // live as panels do, and look at "desired" every 2 s
	Notices Kind = "notices" // live as panels do at a hub that tells of changes
	Storm   Kind = "storm"   // wait for the end of the server, then connect anew and read "desired", all at once
)

// A Job is what a generator is to do.
type Job struct {
	Kind    Kind
	Servers []string      // host:port; panels are dealt out to them one by one
	TLS     bool          // with whatever certificate the server shows: it is on this computer
	First   int           // number of the first panel
	Panels  int           //
	ByID    bool          // panels use their id in topics, as a broker needs it, and not "me"
	QoS     byte          // of requests, and asked for answers
	Rate    float64       // requests a second of all panels together; 0 = as fast as answers come
	Time    time.Duration // how long
	Hostile int           // hostile clients beside them, with the numbers after theirs
}

// A Result is what came of a job.
type Result struct {
	Requests      int64         // answered in time
	Time          time.Duration // of the job
	P50, P99, Max time.Duration // from the moment a request was due to its answer
	Packets       int64         // of MQTT, sent and received, in Time
	Hostile       int64         // connections of hostile clients
	Attempts      int64         // of a storm: connections that were tried
}
