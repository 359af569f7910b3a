package panel

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/twinpanel/twinpanel/sensor"
	"github.com/twinpanel/twinpanel/statemachine"
	"github.com/twinpanel/twinpanel/twin"
)

// current is the document of that name, without last_update: whoever sends it adds that.
type current struct {
	AlarmArmed   bool              `json:"alarm_armed"`
	SirenRinging bool              `json:"siren_ringing"`
	DoorOpen     bool              `json:"door_open"` // any contact is not closed
	State        string            `json:"state"`
	LeftS        *int              `json:"left_s,omitempty"` // of the delay or the ring, rounded up; absent if none runs
	Doors        map[string]string `json:"doors,omitempty"`  // closed, open or fault by name; only with several contacts
	Faults       []string          `json:"faults,omitempty"`
	// DesiredVersion is the version of desired that was taken note of last, and Local that a command at the panel rules over it.
	DesiredVersion uint32 `json:"desired_version,omitempty"`
	Local          bool   `json:"local,omitempty"`
	HeartbeatS     int    `json:"heartbeat_s"`
}

// left is what is left of the delay or the ring in seconds; nil if none runs.
func (p *Panel) left() *int {
	left, runs := p.state.Left(time.Since(p.start))
	if !runs {
		return nil
	}
	return new(int((left + time.Second - 1) / time.Second))
}

// document is what may be published now, with what is left, or nil while a contact is unknown.
func (p *Panel) document(left *int) json.RawMessage {
	if !p.state.Known() {
		return nil
	}
	c := current{
		AlarmArmed:   p.state.Armed(),
		SirenRinging: p.state.Ringing(),
		DoorOpen:     p.state.DoorOpen(),
		State:        p.state.Word(),
		LeftS:        left,
		Faults:       p.faults(),

		DesiredVersion: p.state.Saved().Seen,
		Local:          p.state.Saved().Local,
		HeartbeatS:     int(p.config.Heartbeat.Seconds()),
	}
	if len(p.config.Contacts) > 1 {
		c.Doors = p.doors()
	}
	b, err := json.Marshal(c)
	if err != nil {
		panic(err) // current has nothing that JSON lacks
	}
	return b
}

func (p *Panel) doors() map[string]string {
	doors := map[string]string{}
	for i, contact := range p.config.Contacts {
		doors[contact.Name] = p.state.Reading(i).String()
	}
	return doors
}

// faults are the words that tell what doesn't work.
func (p *Panel) faults() []string {
	var words []string
	if p.journalErr != nil || p.untrusted {
		words = append(words, faultJournal)
	}
	if p.sirenErr != nil {
		words = append(words, faultSiren)
	}
	for i, contact := range p.config.Contacts {
		if p.state.Reading(i) == statemachine.Fault {
			words = append(words, contact.Name)
		}
	}
	if p.key == sensor.Fault {
		words = append(words, faultKey)
	}
	if link := p.link.Load(); p.clock.problem != nil || link != nil && link.Early {
		words = append(words, faultClock)
	}
	if p.state.RingsUsed() {
		words = append(words, faultRingsUsed)
	}
	return words
}

// readDesired turns an answer to a get of the desired document into an input. Only a
// boolean acts, and that there is no document is known from then on; the problem says why there is no boolean. Who asks is told along, if the document says so in a text.
func readDesired(doc twin.Document, err error) input {
	unreadable := func(err error) input {
		return input{event: statemachine.Event{Kind: statemachine.DesiredUnreadable}, problem: err}
	}
	if errors.Is(err, twin.ErrDocumentNotFound) {
		return input{event: statemachine.Event{Kind: statemachine.DesiredMissing}, problem: err}
	}
	if err != nil {
		return unreadable(err)
	}
	var data map[string]json.RawMessage
	if err := json.Unmarshal(doc.Data, &data); err != nil {
		return unreadable(fmt.Errorf("data is not a JSON object: %w", err))
	}
	switch armed := bytes.TrimSpace(data["alarm_armed"]); string(armed) {
	case "true", "false":
		var by string
		json.Unmarshal(data["by"], &by) // anything but a text leaves it empty
		e := statemachine.Event{Kind: statemachine.DesiredRead, Version: doc.Version, Armed: string(armed) == "true"}
		return input{event: e, asker: NewAsker(by)}
	case "":
		return unreadable(fmt.Errorf("the key alarm_armed is missing"))
	default:
		return unreadable(fmt.Errorf("alarm_armed is neither true nor false"))
	}
}
