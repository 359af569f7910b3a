package graphite

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"sync"
	"time"
)

// Limits of a pusher. Its memory is that of a full queue and of a few batches.
const (
	maxQueue     = 16 << 20 // bytes of points that wait
	batchPoints  = 1000     // points that are sent together, at most
	batchBytes   = 1 << 20  // likewise, as they wait
	gatherTime   = time.Second
	sendTimeout  = 15 * time.Second // for one attempt, connecting included
	firstRetry   = time.Second      // doubled with each failure in a row
	longestRetry = time.Minute
	maxHalvings  = 64 // of a batch that is refused: enough to find six bad points among 1000
	closeTimeout = 3 * time.Second
	refusalPause = time.Minute // between two log lines about points that are refused
)

// Why points are dropped that nobody has seen.
var (
	errInfinite = errors.New("not a finite number")
	errTooLong  = errors.New("too many tags")
)

// carbonPort is where carbon listens for plaintext.
const carbonPort = "2003"

// A Point is a number at a time. Its texts may hold any characters, see the package's doc.
type Point struct {
	Name  string
	Path  []string // keys to the number, which become the tag json_path; none = no such tag
	Tags  map[string]string
	Value float64
	Time  time.Time // to the second
}

// Config says where to push.
type Config struct {
	// URI is tcp://HOST:2003, or http(s)://USER:TOKEN@HOST/PATH. Required.
	URI string
	// Dial opens connections; nil = as package net does, for HTTP through the proxy that the
	// environment names in HTTP_PROXY, HTTPS_PROXY and NO_PROXY.
	Dial   func(ctx context.Context, network, address string) (net.Conn, error)
	Logger *slog.Logger // nil = silent; it is never told the URI's credentials or path
}

// Validate says what is wrong. It never repeats the URI, which may hold credentials.
func (c Config) Validate() error {
	_, err := c.parse()
	return err
}

// Server is where points go, as tcp://HOST:2003 or https://HOST: the URI without what may be
// secret in it. It is empty where Validate finds something wrong.
func (c Config) Server() string {
	u, err := c.parse()
	if err != nil {
		return ""
	}
	server := url.URL{Scheme: u.Scheme, Host: u.Host}
	if u.Scheme == "tcp" {
		server.Host = carbonAddress(u)
	}
	return server.String()
}

// parse reads the URI.
func (c Config) parse() (*url.URL, error) {
	const example = "write tcp://HOST:2003 or https://USER:TOKEN@HOST/PATH"
	if c.URI == "" {
		return nil, errors.New("the URI is empty: " + example)
	}
	switch scheme, _, _ := strings.Cut(c.URI, "://"); strings.ToLower(scheme) {
	case "tcp", "http", "https":
	default:
		return nil, errors.New("the URI begins neither with tcp:// nor http:// nor https://: " + example)
	}
	u, err := url.Parse(c.URI)
	switch {
	case err != nil:
		return nil, errors.New("the URI can't be read: " + example + ", and %XX for special characters in USER and TOKEN")
	case u.Hostname() == "":
		return nil, errors.New("the URI has no host: write " + u.Scheme + "://HOST")
	case u.Port() != "" && !isPort(u.Port()):
		return nil, errors.New("the URI has a port that there is not: write one from 1 to 65535")
	case u.Scheme == "tcp" && (u.User != nil || u.RawQuery != "" || u.Fragment != "" || u.Path != "" && u.Path != "/"):
		return nil, errors.New("the URI has more than a host and a port, which is all that carbon takes: write tcp://HOST:2003")
	}
	return u, nil
}

func isPort(s string) bool {
	n, err := strconv.ParseUint(s, 10, 16)
	return err == nil && n > 0
}

// A target is where batches of encoded points go. It is used by one goroutine at a time.
type target interface {
	// encode is a point as it is sent.
	encode(s series, value float64, unix int64) []byte
	// send takes a batch or nothing of it, as far as it can know. A *refusedError says
	// that it is of no use to try again.
	send(ctx context.Context, batch [][]byte) error
	// reach tells whether somebody listens there, without sending anything to keep.
	reach(ctx context.Context) error
	close()
}

// A Pusher sends points in the background, batched and tried again. It is safe for
// concurrent use.
type Pusher struct {
	target  target
	log     *slog.Logger
	wake    chan struct{} // one slot: there are new points
	closing chan struct{} // closed by Close
	once    sync.Once
	ended   chan struct{}      // closed when nothing is sent any more
	ctx     context.Context    // of all that is sent
	cancel  context.CancelFunc // ends that

	mu       sync.Mutex
	queue    queue
	full     bool   // points have been dropped, and the queue is not yet half empty since
	closed   bool   // nobody reads the queue any more
	inFlight int    // points taken from the queue that are not yet sent or dropped
	pushed   uint64 // since the start, as the next
	dropped  uint64

	refused    int       // dropped as refused since the last line about it
	refusedLog time.Time // when that was written
}

// New checks the configuration and starts a pusher. A server that can't be reached is in the
// log from the start, but no error. Close it.
func New(c Config) (*Pusher, error) {
	u, err := c.parse()
	if err != nil {
		return nil, err
	}
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	var proxy proxyOf
	if c.Dial == nil {
		c.Dial, proxy = new(net.Dialer).DialContext, http.ProxyFromEnvironment
	}
	p := &Pusher{
		log:     c.Logger.With("host", u.Host),
		wake:    make(chan struct{}, 1),
		closing: make(chan struct{}),
		ended:   make(chan struct{}),
	}
	p.ctx, p.cancel = context.WithCancel(context.Background())
	if u.Scheme == "tcp" {
		p.target = newCarbon(u, c.Dial)
	} else {
		p.target = newIngest(u, c.Dial, proxy)
	}
	go p.run()
	return p, nil
}

// Push queues points and returns at once. Where the queue is full, the oldest points are
// dropped, counted and logged. Paths and tags must not be changed afterwards.
func (p *Pusher) Push(points []Point) {
	if p.enqueue(points) {
		p.log.Warn("time series queue is full: the oldest points are dropped", "bytes", maxQueue)
	}
	select {
	case p.wake <- struct{}{}:
	default:
	}
}

// enqueue returns whether the points have filled the queue.
func (p *Pusher) enqueue(points []Point) (full bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed {
		p.dropped += uint64(len(points))
		return false
	}
	for _, point := range points {
		p.queue.push(point)
		for p.queue.size > maxQueue {
			p.queue.pop()
			p.dropped++
			full = true
		}
	}
	full, p.full = full && !p.full, p.full || full
	return full
}

// Stats are counts of points.
type Stats struct {
	Queued  uint64 // waiting now
	Pushed  uint64 // sent since the start
	Dropped uint64 // given up since the start
}

// Stats returns the counts as they are now.
func (p *Pusher) Stats() Stats {
	p.mu.Lock()
	defer p.mu.Unlock()
	return Stats{Queued: uint64(p.queue.len() + p.inFlight), Pushed: p.pushed, Dropped: p.dropped}
}

// Close tries for a moment to send what is queued, counts the rest as dropped, and ends.
func (p *Pusher) Close() {
	p.once.Do(func() {
		close(p.closing)
		timer := time.AfterFunc(closeTimeout, p.cancel)
		<-p.ended
		timer.Stop()
		p.cancel()
	})
}
