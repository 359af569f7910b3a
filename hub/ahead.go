package hub

import "time"

// How fast a client may send ahead of its answers. Who waits for each answer is as fast as the hub.
const (
	aheadPace   = time.Millisecond // for each request
	aheadAtOnce = 100              // requests that need not wait
)

// ahead slows a client down that sends ahead of its answers for long. Without that a few of them keep all processors busy, and Go
// looks at the network but every 10 ms while they are: everybody would wait for that.
type ahead struct {
	due time.Time // when all requests so far would be done at aheadPace
}

// wait is called for each request that the next one has followed already.
func (a *ahead) wait() {
	now := time.Now()
	if a.due.Before(now) {
		a.due = now
	}
	a.due = a.due.Add(aheadPace)
	time.Sleep(a.due.Sub(now) - aheadAtOnce*aheadPace)
}
