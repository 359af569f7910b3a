package panel

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"time"
)

// socketName is the control socket's file in the state folder: HTTP for the panel's user and root. GET /status,
// POST /arm, POST /disarm, POST /siren-test, POST /flush; each answers a [Status].
const socketName = "panel.sock"

// MaxStateDir is how long the path of a state folder can be, in bytes, for its socket to be reached: 103 bytes are
// what every Unix takes for the path of a socket.
const MaxStateDir = 103 - len("/"+socketName)

// Status is the panel's state for somebody at the panel.
type Status struct {
	Armed   bool              `json:"alarm_armed"`
	Ringing bool              `json:"siren_ringing"`
	State   string            `json:"state"`
	Doors   map[string]string `json:"doors"`              // unknown, closed, open or fault, by name
	Faults  []string          `json:"faults,omitempty"`   // as in the current document
	Hub     string            `json:"hub"`                // "connected", or why not
	HubNext string            `json:"hub_next,omitempty"` // what to do about that, where it is known; the end of Hub says so, too
	// HubAnswered is how long ago the hub has answered a question for desired, in milliseconds; absent = not since the start.
	HubAnswered *int64 `json:"hub_answered_ms,omitempty"`
}

func (p *Panel) status() Status {
	hub, next := "not connected yet", ""
	if link := p.link.Load(); link != nil && link.Err == nil {
		hub = "connected"
	} else if link != nil {
		hub, next = link.Err.Error(), link.Next
	}
	s := Status{
		Armed:   p.state.Armed(),
		Ringing: p.state.Ringing(),
		State:   p.state.Word(),
		Doors:   p.doors(),
		Faults:  p.faults(),
		Hub:     hub,
		HubNext: next,
	}
	if at := p.answered.Load(); at != nil {
		s.HubAnswered = new(time.Since(*at).Milliseconds())
	}
	return s
}

// controlRetry is how often the control socket is looked at, and tried again when it could not be made.
const controlRetry = 5 * time.Second

// ServeControl answers on the control socket until ctx ends. While the socket cannot be made, or when somebody has removed
// it, it is made anew; the panel guards all the same.
func (p *Panel) ServeControl(ctx context.Context) {
	reason := ""
	for ctx.Err() == nil {
		err := p.serveControl(ctx)
		if err != nil && err.Error() != reason {
			reason = err.Error()
			p.log.Error("commands at the panel are not possible now", "error", err)
		} else if err == nil {
			reason = ""
		}
		if errors.Is(err, fs.ErrNotExist) {
			select {
			case p.folderLost <- struct{}{}: // the journal makes it anew
			default:
			}
		}
		select {
		case <-ctx.Done():
		case <-time.After(controlRetry):
		}
	}
}

// serveControl makes the socket and answers on it until ctx ends or the socket's file is gone, which is no error.
func (p *Panel) serveControl(ctx context.Context) error {
	path := filepath.Join(p.config.StateDir, socketName)
	// The folder is locked, so a socket that is there belongs to nobody.
	if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("control socket: %w", err)
	}
	l, err := net.Listen("unix", path)
	if err != nil {
		if _, missing := os.Stat(p.config.StateDir); missing != nil {
			err = missing
		}
		return fmt.Errorf("control socket: %w", err)
	}
	// The file stays: by the time it would be removed, the folder and the file in it may be the next panel's.
	l.(*net.UnixListener).SetUnlinkOnClose(false)
	if err := os.Chmod(path, 0o600); err != nil {
		return fmt.Errorf("control socket: %w", errors.Join(err, l.Close()))
	}

	server := &http.Server{Handler: p.control(), ReadTimeout: 5 * time.Second}
	served := make(chan error, 1)
	go func() { served <- server.Serve(l) }()
	look := time.NewTicker(controlRetry)
	defer look.Stop()
	for {
		select {
		case err := <-served:
			return fmt.Errorf("control socket: %w", err)
		case <-look.C:
			if _, err := os.Stat(path); !errors.Is(err, fs.ErrNotExist) {
				continue
			}
		case <-ctx.Done():
		}
		server.Close()
		<-served
		return nil
	}
}

func (p *Panel) control() http.Handler {
	mux := http.NewServeMux()
	answer := func(ask func(context.Context) (Status, error)) http.HandlerFunc {
		return func(w http.ResponseWriter, r *http.Request) {
			s, err := ask(r.Context())
			if err != nil {
				code := http.StatusServiceUnavailable
				if errors.Is(err, errTestArmed) || errors.Is(err, errTestRunning) || errors.Is(err, errTestCut) {
					code = http.StatusConflict
				}
				http.Error(w, err.Error(), code)
				return
			}
			w.Header().Set("Content-Type", "application/json")
			json.NewEncoder(w).Encode(s)
		}
	}
	command := func(armed bool) func(context.Context) (Status, error) {
		return func(ctx context.Context) (Status, error) { return p.Command(ctx, armed) }
	}
	mux.HandleFunc("GET /status", answer(p.Status))
	mux.HandleFunc("POST /arm", answer(command(true)))
	mux.HandleFunc("POST /disarm", answer(command(false)))
	mux.HandleFunc("POST /siren-test", answer(p.TestSiren))
	mux.HandleFunc("POST /flush", answer(func(ctx context.Context) (Status, error) {
		if err := p.config.Flush(ctx); err != nil {
			return Status{}, err
		}
		return p.Status(ctx)
	}))
	return mux
}
