package panel

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// SirenTestLasts is how long the siren sounds when somebody tests it.
const SirenTestLasts = time.Second

// ErrNotNow is the answer to [Control.TestSiren] while the panel is not disarmed, or tests the siren already.
var ErrNotNow = errors.New("not now")

// Why a test of the siren is refused or ends early.
var (
	errTestArmed   = errors.New("the siren is tested only while the panel is disarmed")
	errTestRunning = errors.New("the siren is being tested already")
	errTestCut     = errors.New("the test of the siren was cut short: the panel has been armed")
)

// A sirenTest is a siren that sounds because somebody wants to hear it. It is no alarm: the rules, the journal and the
// documents don't know of it.
type sirenTest struct {
	reply chan error
	err   error // how the siren took being turned on
	over  *time.Timer
}

// TestSiren sounds the siren for [SirenTestLasts] and returns when it is silent again: nil, or what is wrong with the siren. It is
// refused unless the panel is disarmed. The loop itself ends the sound, whatever becomes of the caller; arming and
// the panel's end silence it at once.
func (p *Panel) TestSiren(ctx context.Context) (Status, error) {
	outcome, err := ask(ctx, p, p.sirenTests)
	if err == nil {
		err = outcome
	}
	if err != nil {
		return Status{}, err
	}
	return p.Status(ctx)
}

// beginTest is the loop's answer to TestSiren.
func (p *Panel) beginTest(reply chan error) {
	switch {
	case p.test != nil:
		reply <- errTestRunning
	case p.state.Armed():
		reply <- fmt.Errorf("%w, and now it is %s", errTestArmed, p.state.Word())
	default:
		p.log.Info("siren is tested")
		p.setSiren(true)
		p.test = &sirenTest{reply: reply, err: p.sirenErr, over: time.NewTimer(SirenTestLasts)}
	}
}

// testOver is due when the test has lasted long enough; nil while there is none.
func (p *Panel) testOver() <-chan time.Time {
	if p.test == nil {
		return nil
	}
	return p.test.over.C
}

// endTest turns off a siren that is only being tested, and answers whoever asked for it: with what is wrong with the
// siren, or else with why it ended.
func (p *Panel) endTest(why error) {
	if p.test == nil {
		return
	}
	t := p.test
	p.test = nil
	t.over.Stop()
	p.setSiren(false)
	switch {
	case t.err != nil:
		why = t.err
	case p.sirenErr != nil:
		why = p.sirenErr
	}
	t.reply <- why
}
