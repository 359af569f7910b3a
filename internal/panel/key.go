package panel

import (
	"context"
	"fmt"

	"github.com/twinpanel/twinpanel/sensor"
	"github.com/twinpanel/twinpanel/statemachine"
)

// A Key is a key switch that arms and disarms on the spot, as a command at the panel does.
//
// Only a move between closed and open commands anything: what is found at a start, or after a fault of the line, is
// noted, since nobody was seen to turn the key.
type Key struct {
	Sensor Sensor
	Type   KeyType // default momentary
}

// KeyType is what turning a key switch does to its contact.
type KeyType string

// The choices of --key-type.
const (
	// Momentary closes while the key is held. Each time it closes, armed and disarmed change places.
	Momentary KeyType = "momentary"
	// Maintained stays as it was turned: closed disarms, open arms. So a cut wire arms.
	Maintained KeyType = "maintained"
)

func (k *Key) complete() error {
	if k.Type == "" {
		k.Type = Momentary
	}
	if k.Sensor == nil {
		return fmt.Errorf("key: it has no contact")
	}
	if k.Type != Momentary && k.Type != Maintained {
		return fmt.Errorf("key type: %q is neither %q nor %q", k.Type, Momentary, Maintained)
	}
	return nil
}

// watchKey gives the loop the key's readings until ctx ends.
func (p *Panel) watchKey(ctx context.Context) {
	err := p.config.Key.Sensor.Run(ctx, func(r sensor.Reading) {
		select {
		case p.keys <- r:
		case <-ctx.Done():
		}
	})
	if err != nil {
		p.log.Error("key switch is watched no longer", "error", err)
	}
}

// turnKey takes a reading of the key switch and does what it commands.
func (p *Panel) turnKey(r sensor.Reading) {
	before := p.key
	p.key = r
	if !settled(before) || !settled(r) || before == r {
		p.log.Info("key switch read, nothing changes", "reading", r.String())
		return
	}
	armed := r == sensor.Open
	if p.config.Key.Type == Momentary {
		if r == sensor.Open {
			return
		}
		armed = !p.state.Armed()
	}
	p.log.Info("key switch turned", "reading", r.String())
	p.take(input{event: statemachine.Event{Kind: statemachine.LocalCommand, Armed: armed}, by: ByKey})
}

// settled says that a contact is what it reads.
func settled(r sensor.Reading) bool { return r == sensor.Closed || r == sensor.Open }
