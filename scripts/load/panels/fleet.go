package panels

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"github.com/twinpanel/twinpanel/twin"
)

// connecting is how many panels connect at the same time: few enough for a server that limits strangers.
const connecting = 100

// patience bounds how much longer a job takes than it should.
const patience = 2 * time.Minute

// A Fleet is the panels of a job, connected.
type Fleet struct {
	job    Job
	ctx    context.Context // of all connections
	cancel context.CancelFunc
	panels []*panel

	answerTime time.Duration // how long a panel that comes back waits until it is served, before it connects anew
}

// Connect connects all panels of a job, and prepares them for what they do.
func Connect(ctx context.Context, j Job) (*Fleet, error) {
	f := &Fleet{job: j, panels: make([]*panel, j.Panels), answerTime: answerTime}
	f.ctx, f.cancel = context.WithTimeoutCause(ctx, j.Time+patience, fmt.Errorf("not done %v after it should be", patience))
	numbers := make(chan int)
	connect := func() (err error) {
		for i := range numbers {
			if err == nil {
				f.panels[i], err = f.connect(f.ctx, i)
			}
		}
		return err
	}
	go func() {
		defer close(numbers)
		for i := range f.panels {
			numbers <- i
		}
	}()
	if err := all(min(connecting, j.Panels), func(int) error { return connect() }); err != nil {
		f.Close()
		return nil, err
	}
	return f, nil
}

// all runs n functions at the same time and returns the first error by number.
func all(n int, run func(i int) error) error {
	errs := make([]error, n)
	var wg sync.WaitGroup
	for i := range n {
		wg.Go(func() { errs[i] = run(i) })
	}
	wg.Wait()
	for _, err := range errs {
		if err != nil {
			return err
		}
	}
	return nil
}

// connect connects a panel, and lets it do once what it is going to do. It takes no longer than ctx, which has a deadline.
func (f *Fleet) connect(ctx context.Context, i int) (*panel, error) {
	conn, err := f.dial(ctx, i)
	if err != nil {
		return nil, err
	}
	by, _ := ctx.Deadline()
	conn.SetDeadline(by)
	self := twin.Me
	if f.job.ByID {
		self = string(ID(f.job.First + i))
	}
	p, err := newPanel(f.ctx, conn, f.job.First+i, self, f.job.QoS)
	if err == nil {
		if err = f.prepare(p); err != nil {
			p.drop()
		}
	}
	if err != nil {
		return nil, fmt.Errorf("panel %d: %w", f.job.First+i, err)
	}
	conn.SetDeadline(time.Time{})
	return p, nil
}

func (f *Fleet) prepare(p *panel) error {
	switch f.job.Kind {
	case Gets, Storm:
		return p.get()
	case Patches:
		return p.put()
	case Polls:
		return errors.Join(p.get(), p.put())
	case Notices:
		return errors.Join(p.watch(), p.get(), p.put())
	}
	return nil
}

// dial opens a connection for a panel, from one of several addresses of this computer: one alone has ports for a few ten
// thousand connections, of which those of the last minute still take theirs.
func (f *Fleet) dial(ctx context.Context, i int) (net.Conn, error) {
	server := f.job.Servers[i%len(f.job.Servers)]
	d := net.Dialer{LocalAddr: &net.TCPAddr{IP: net.IPv4(127, 0, 0, byte(2+i%32))}, KeepAlive: -1}
	conn, err := d.DialContext(ctx, "tcp", server)
	if err != nil || !f.job.TLS {
		return conn, err
	}
	secure := tls.Client(conn, &tls.Config{InsecureSkipVerify: true})
	if err := secure.HandshakeContext(ctx); err != nil {
		conn.Close()
		return nil, err
	}
	return secure, nil
}

// Run does the job, once.
func (f *Fleet) Run() (Result, error) {
	harassing, calm := context.WithCancel(f.ctx)
	var harassers sync.WaitGroup
	defer harassers.Wait()
	defer calm()
	var hostile atomic.Int64
	for i := range f.job.Hostile {
		dial := func() (net.Conn, error) { return f.dial(f.ctx, i) }
		harassers.Go(func() { harass(harassing, dial, f.job.First+f.job.Panels+i, &hostile) })
	}

	var h Histogram
	var late, attempts atomic.Int64
	before, start := f.packets(), time.Now()
	err := all(len(f.panels), func(i int) error {
		err := f.run(i, start, &h, &late, &attempts)
		if err != nil {
			err = fmt.Errorf("panel %d: %w", f.job.First+i, err)
		}
		return err
	})
	return Result{
		Requests: h.Count() - late.Load(), Time: time.Since(start), P50: h.Quantile(0.5), P99: h.Quantile(0.99), Max: h.Quantile(1),
		Packets: f.packets() - before, Hostile: hostile.Load(), Attempts: attempts.Load(),
	}, err
}

// run does the job of one panel.
func (f *Fleet) run(i int, start time.Time, h *Histogram, late, attempts *atomic.Int64) error {
	p, end := f.panels[i], start.Add(f.job.Time)
	switch f.job.Kind {
	case Gets:
		return f.pace(i, start).keep(f.ctx, p.get, p.flush, h, late)
	case Patches:
		return f.pace(i, start).keep(f.ctx, p.patch, p.flush, h, late)
	case Polls:
		return p.live(f.ctx, Poll, end, h)
	case Notices:
		return p.live(f.ctx, NoticedPoll, end, h)
	case Storm:
		return f.comeBack(i, h, attempts)
	}
	return sleep(f.ctx, f.job.Time)
}

// pace is that of one panel: all have the same, one after the other.
func (f *Fleet) pace(i int, start time.Time) pace {
	p := pace{start: start, end: start.Add(f.job.Time)}
	if f.job.Rate > 0 {
		p.interval = time.Duration(float64(len(f.panels)) / f.job.Rate * float64(time.Second))
		p.offset = p.interval * time.Duration(i) / time.Duration(len(f.panels))
	}
	return p
}

// packets is how many all panels have sent and received. None may be at work.
func (f *Fleet) packets() (n int64) {
	for _, p := range f.panels {
		n += p.packets
	}
	return n
}

// Close ends all connections.
func (f *Fleet) Close() {
	defer f.cancel()
	for _, p := range f.panels {
		if p != nil {
			p.close()
		}
	}
}
