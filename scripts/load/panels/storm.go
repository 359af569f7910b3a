package panels

import (
	"context"
	"errors"
	"math/rand/v2"
	"sync/atomic"
	"time"
)

// retryPause is how long a panel waits after a connection that failed, up to as much again. It is far less than real
// panels wait, a second and more each time: this is as many at once as there can be.
const retryPause = 100 * time.Millisecond

// answerTime is that of package twinclient. It is needed: a broker loses what is asked before the responder behind it has
// come back, too.
const answerTime = 5 * time.Second

// comeBack waits until a panel's server is gone and counts how long it takes from there until the panel has connected to
// the next one and read its document.
func (f *Fleet) comeBack(i int, h *Histogram, attempts *atomic.Int64) error {
	old := f.panels[i]
	_, _, err := old.next()
	if err == nil {
		return errors.New("got a packet in place of the server's end")
	}
	lost := time.Now()
	old.drop()
	for {
		if f.ctx.Err() != nil {
			return errors.Join(errors.New("not served again"), err)
		}
		attempts.Add(1)
		ctx, cancel := context.WithTimeout(f.ctx, f.answerTime)
		var p *panel
		p, err = f.connect(ctx, i)
		cancel()
		if err == nil {
			p.packets += old.packets
			f.panels[i] = p
			h.Add(time.Since(lost))
			return nil
		}
		if errors.Is(err, errAnswer) {
			return err
		}
		if err := sleep(f.ctx, retryPause+rand.N(retryPause)); err != nil {
			return err
		}
	}
}
