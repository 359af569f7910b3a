package panels

import (
	"bytes"
	"fmt"

	"github.com/twinpanel/twinpanel/twin"
)

// The two documents of a panel.
const (
	DesiredName = "desired"
	CurrentName = "current"
)

// ID is the device id of a panel.
func ID(number int) twin.ID {
	return twin.ID(fmt.Sprintf("7eb3a1ce-0000-4000-8000-%012d", number))
}

// Desired is the data that a panel's document "desired" has from the beginning. No two panels have the same.
func Desired(number int) []byte {
	return fmt.Appendf(nil, `{"alarm_armed":true,"panel":%d}`, number)
}

// Current is the data of a panel's document "current" whose door is closed, after so many heartbeats.
func Current(number, beat int) []byte { return currentData(number, beat, false) }

// currentData is the data of a panel's document "current", some 300 bytes, after so many heartbeats.
func currentData(number, beat int, doorOpen bool) []byte {
	return fmt.Appendf(nil, `{"last_update":%d,"panel":%d,"alarm_armed":true,"siren_ringing":false,"door_open":%t,"state":"armed","heartbeat_s":30,"note":"%s"}`,
		beat, number, doorOpen, note)
}

// change is what a patch sends for a heartbeat.
func change(beat int, doorOpen bool) []byte {
	return fmt.Appendf(nil, `{"data":{"last_update":%d,"door_open":%t}}`, beat, doorOpen)
}

// note makes a document as long as one with several doors and faults is.
var note = bytes.Repeat([]byte("front door, back door, cellar; "), 5)

// answer is what a hub answers a request with that it has done.
func answer(version int, data []byte) []byte {
	return fmt.Appendf(nil, `{"version":%d,"data":%s}`, version, data)
}

// DesiredAnswer is the answer to a get of a panel's document "desired" that nobody has changed.
func DesiredAnswer(number int) []byte { return answer(1, Desired(number)) }

// A request is a method on one of a panel's documents. The topics are those of the request and its good answer.
type request struct{ topic, answer string }

// requestOf makes a request; self is [twin.Me] or the panel's id.
func requestOf(self, document string, method twin.Method) request {
	t := twin.Topic{Twin: self, Document: document, Method: method}
	return request{t.String(), t.Response(twin.Success).String()}
}
