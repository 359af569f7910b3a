package main

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"log"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"sync"
	"time"

	"github.com/twinpanel/twinpanel/app"
	"github.com/twinpanel/twinpanel/internal/cli"
)

// Limits of the HTTP server. A stream lifts the time-outs and sets its own.
const (
	headerTimeout  = 10 * time.Second
	requestTimeout = 30 * time.Second // to read a request, and to answer it: a wish waits for the hub, a sign-in for those before it
	idleTimeout    = 2 * time.Minute
	closeTimeout   = 5 * time.Second // for requests under way at the end
	maxHeader      = 16 << 10        // bytes
	maxRequests    = 32              // at a time, of one connection with HTTP/2
)

// run serves until ctx ends, which is a clean end, or the server breaks.
func (c *Config) run(ctx context.Context, _ []string, stdout, stderr io.Writer) (err error) {
	if err := c.Validate(); err != nil {
		return err
	}
	log, stop := cli.NewLogger(stderr)
	defer stop()
	stdout, flush := cli.NoWait(stdout)
	defer flush()

	api, err := c.openAPI(log)
	if err != nil {
		return err
	}
	var config *tls.Config
	if c.Cert != "" {
		if config, err = certificateOf(c.Cert, c.KeyFile, log); err != nil {
			return err
		}
	}
	household, err := app.OpenHousehold(c.Data, log)
	if err != nil {
		return unwritable(fmt.Errorf("opening --data: %w", err))
	}
	defer household.Close()
	tryData(c.Data, log)
	l, err := c.listen(household.HasPassphrase())
	if err != nil {
		return err
	}
	defer l.Close()
	receivers, err := c.Notices.receivers(c.Insecure, log)
	if err != nil {
		return err
	}
	notifier, err := app.NewNotifier(app.NotifierConfig{Dir: c.Data, Receivers: receivers, Language: c.Notices.Language, Click: click(c.Origins), Logger: log})
	if err != nil {
		return err
	}
	pinger, err := c.Notices.pinger(c.Insecure, log)
	if err != nil {
		return err
	}
	watching := app.WatchConfig{API: api, Poll: c.Poll, Silence: c.Silence, Changed: notifier.See, Logger: log}
	if pinger != nil {
		watching.Turned = pinger.Turn
	}
	watcher := app.NewWatcher(watching)
	handler, err := c.handler(watcher, household, l.Addr(), log)
	if err != nil {
		return err
	}

	var tasks sync.WaitGroup
	defer tasks.Wait()
	watch, stopWatching := context.WithCancel(context.WithoutCancel(ctx)) // the last requests still need it
	defer stopWatching()
	tasks.Go(func() { watcher.Run(watch) })
	tasks.Go(func() { notifier.Run(ctx) })
	if pinger != nil {
		tasks.Go(func() { pinger.Run(ctx) })
	}

	fmt.Fprint(stdout, c.greeting(l.Addr(), household.HasPassphrase()))
	sees := func(context.Context) bool {
		watcher.View() // comes back, or the watchdog ends this
		return true
	}
	defer cli.Serves(ctx, sees, log)()
	return serve(ctx, newBoundedListener(l), config, handler, log)
}

// listen opens the address, unless others could come there whom nothing keeps out, or listen in.
func (c *Config) listen(passphrase bool) (net.Listener, error) {
	setOne := "set a passphrase first, with app passphrase --data " + c.Data
	switch {
	case !passphrase && len(c.Origins) > 0:
		return nil, cli.Hint(cli.Usagef("--origin without a passphrase: whoever finds the page could disarm"), "%s", setOne)
	case !passphrase:
		return cli.ListenLoopback("--listen", c.Listen, setOne+", or listen on 127.0.0.1: without one, whoever reaches the app can disarm")
	case c.Cert != "" || c.Insecure:
		return cli.Listen("--listen", c.Listen)
	}
	return cli.ListenLoopback("--listen", c.Listen,
		"speak TLS (app certificate makes what --cert and --key-file name), or listen on 127.0.0.1 behind a reverse proxy (--origin), or add --insecure if everybody on that network may read the passphrase: nothing is encrypted")
}

// handler is the page and its API at an address.
func (c *Config) handler(watcher *app.Watcher, household *app.Household, at net.Addr, log *slog.Logger) (http.Handler, error) {
	names, err := c.names()
	if err != nil {
		return nil, err
	}
	// Where phones come to this computer itself, be it beside a reverse proxy, they may call it what they like: only the
	// passphrase lets them in.
	if here, ok := at.(*net.TCPAddr); ok && !here.IP.IsLoopback() {
		names = append(names, "*")
	}
	s, err := app.NewServer(app.ServerConfig{
		House:     watcher,
		Household: household,
		Names:     names,
		Secure:    c.Cert != "" || len(c.Origins) > 0,
		Logger:    log,
	})
	if err != nil {
		return nil, err
	}
	return s.Handler(), nil
}

// greeting says where the app is.
func (c *Config) greeting(at net.Addr, passphrase bool) string {
	scheme := "http"
	if c.Cert != "" {
		scheme = "https"
	}
	text := fmt.Sprintf("app at %s://%s/\n", scheme, at)
	if !passphrase {
		text += "no passphrase is set, so it is for this computer only; to set one: app passphrase --data " + c.Data + "\n"
	}
	return text
}

// serve runs a server until ctx ends, which is a clean end, or it breaks. Streams end with ctx.
func serve(ctx context.Context, l net.Listener, config *tls.Config, handler http.Handler, logger *slog.Logger) error {
	server := &http.Server{
		Handler:           handler,
		TLSConfig:         config,
		ReadHeaderTimeout: headerTimeout,
		ReadTimeout:       requestTimeout,
		WriteTimeout:      requestTimeout,
		IdleTimeout:       idleTimeout,
		MaxHeaderBytes:    maxHeader,
		HTTP2:             &http.HTTP2Config{MaxConcurrentStreams: maxRequests, SendPingTimeout: idleTimeout / 2, PingTimeout: headerTimeout},
		BaseContext:       func(net.Listener) context.Context { return ctx },
		ErrorLog:          log.New(&httpLog{log: logger}, "", 0),
	}
	ended := make(chan error, 1)
	go func() {
		if config != nil {
			ended <- server.ServeTLS(l, "", "")
		} else {
			ended <- server.Serve(l)
		}
	}()
	select {
	case err := <-ended:
		return fmt.Errorf("accepting connections: %w", errors.Join(err, server.Close()))
	case <-ctx.Done():
	}
	logger.Info("ending", "reason", context.Cause(ctx))
	within, cancel := context.WithTimeout(context.WithoutCancel(ctx), closeTimeout)
	defer cancel()
	err := server.Shutdown(within)
	if errors.Is(err, context.DeadlineExceeded) { // theirs is the fault
		err = server.Close()
	}
	<-ended
	return err
}

// httpLogPause is how often the log hears what strangers do to connections.
const httpLogPause = 10 * time.Second

// An httpLog takes the lines of net/http's own. Most are about TLS handshakes that came to nothing: phones that don't trust the
// certificate, and whoever else finds the port.
type httpLog struct {
	log *slog.Logger

	mu   sync.Mutex
	last time.Time
}

func (l *httpLog) Write(line []byte) (int, error) {
	text := strings.TrimSpace(string(line))
	if strings.HasPrefix(text, "http: panic") {
		l.log.Error("fault in the app", "panic", text)
		return len(line), nil
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if now := time.Now(); now.Sub(l.last) >= httpLogPause {
		l.last = now
		l.log.Info("connection refused", "reason", text)
	}
	return len(line), nil
}
