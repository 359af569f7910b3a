// Package apptest shows the app's page without a hub and a panel: each scene under a path of its own, always at the same time
// of day, so that pictures of it can be compared.
//
// All but the view is the app's own server. Nothing that is asked for changes a scene.
package apptest

import (
	"context"
	"fmt"
	"html/template"
	"net/http"
	"net/netip"
	"strings"
	"sync/atomic"

	"github.com/twinpanel/twinpanel/app"
)

// Passphrase is what the scenes want to be told, except Open.
const Passphrase = "fkwz-mqtb-xrdn-hgcp"

// Scenes that are none of a view's.
const (
	Offline   = "offline"    // a view comes, and then nothing answers any more
	SignedOut = "signed-out" // a passphrase is asked for
	Open      = "open"       // the app has no passphrase
)

// Handler serves /NAME/ for each scene, and a list of them at /. Browsers are signed in, as Anna. The household's files are
// in dir.
func Handler(dir string) (http.Handler, error) {
	household, err := app.OpenHousehold(dir, nil)
	if err != nil {
		return nil, err
	}
	if err := household.SetPassphrase(Passphrase); err != nil {
		return nil, err
	}
	here := netip.IPv6Loopback()
	if _, _, err := household.SignIn(here, Passphrase, "Tom"); err != nil {
		return nil, err
	}
	secret, _, err := household.SignIn(here, Passphrase, "Anna")
	if err != nil {
		return nil, err
	}
	as := func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			r.Header.Set("Cookie", "twinpanel="+secret)
			next.ServeHTTP(w, r)
		})
	}

	mux := http.NewServeMux()
	var names []string
	add := func(name string, s Scene, household *app.Household, wrap func(http.Handler) http.Handler) {
		server, newErr := app.NewServer(app.ServerConfig{House: house{s}, Household: household, Framed: true})
		if newErr != nil {
			err = newErr
			return
		}
		names = append(names, name)
		mux.Handle("/"+name+"/", http.StripPrefix("/"+name, stopClock(wrap(server.Handler()))))
	}
	for _, s := range Scenes() {
		add(s.Name, s, household, as)
		if s.Name == "armed" {
			add(Offline, s, household, func(next http.Handler) http.Handler { return breakOff(as(next)) })
			add(SignedOut, s, household, func(next http.Handler) http.Handler { return next })
			add(Open, s, nil, func(next http.Handler) http.Handler { return next })
		}
	}
	mux.HandleFunc("GET /{$}", func(w http.ResponseWriter, _ *http.Request) { list.Execute(w, names) })
	return mux, err
}

var list = template.Must(template.New("").Parse(`<!doctype html><title>Scenes</title>{{range .}}<p><a href="{{.}}/">{{.}}</a>{{end}}`))

// stopClock answers at the time of the scenes, by which the page goes.
func stopClock(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Date", Now.Format(http.TimeFormat))
		next.ServeHTTP(w, r)
	})
}

// breakOff ends the first stream after the page was loaded, and answers nothing from then on.
func breakOff(next http.Handler) http.Handler {
	var gone atomic.Bool
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch {
		case r.URL.Path == "/":
			gone.Store(false)
		case gone.Load() && strings.HasPrefix(r.URL.Path, "/api/"):
			panic(http.ErrAbortHandler)
		case r.URL.Path == "/api/stream":
			ctx, cancel := context.WithCancel(r.Context())
			defer cancel()
			gone.Store(true)
			w, r = &once{w, cancel}, r.WithContext(ctx)
		}
		next.ServeHTTP(w, r)
	})
}

// once ends a stream when it has sent something.
type once struct {
	http.ResponseWriter
	end context.CancelFunc
}

func (o *once) Unwrap() http.ResponseWriter { return o.ResponseWriter }

func (o *once) Write(b []byte) (int, error) {
	defer o.end()
	return o.ResponseWriter.Write(b)
}

// house is one that stays as it is.
type house struct{ scene Scene }

func (h house) View() app.View { return h.scene.View }

func (h house) Join() (changed <-chan struct{}, leave func()) { return nil, func() {} }

func (h house) Wish(context.Context, bool, string) error {
	if hub := h.scene.View.Hub; hub != nil {
		return &app.HubError{Why: hub.Why, Text: fmt.Sprintf("the hub can't be reached: %s", hub.Text)}
	}
	return nil
}
