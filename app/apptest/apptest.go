// Package apptest shows the app's page without a hub and a panel: each scene under a path of its own, always at the same time
// of day, so that pictures of it can be compared.
//
// The page's requests are answered as far as a scene needs it. Nothing that is asked for changes a scene.
package apptest

import (
	"encoding/json"
	"fmt"
	"html/template"
	"net/http"
	"strings"
	"sync/atomic"
	"time"

	"github.com/twinpanel/twinpanel/app"
)

// Scenes that are none of a view's: the page judges by itself.
const (
	Offline   = "offline"    // a view comes, and then nothing answers any more
	SignedOut = "signed-out" // a passphrase is asked for
	Open      = "open"       // the app has no passphrase
)

const pulse = 10 * time.Second // a stream sends its view again

// Handler serves /NAME/ for each scene, and a list of them at /.
func Handler() http.Handler {
	mux := http.NewServeMux()
	names := []string{Offline, SignedOut, Open}
	for _, s := range Scenes() {
		names = append(names, s.Name)
		mux.Handle("/"+s.Name+"/", http.StripPrefix("/"+s.Name, scene(s, session{SignedIn: true, Passphrase: true, Name: "Anna", ID: "1"})))
	}
	armed := Scenes()[0]
	for _, s := range Scenes() {
		if s.View.Row == app.Armed {
			armed = s
		}
	}
	mux.Handle("/"+Offline+"/", http.StripPrefix("/"+Offline, offline(armed)))
	mux.Handle("/"+SignedOut+"/", http.StripPrefix("/"+SignedOut, scene(armed, session{Passphrase: true})))
	mux.Handle("/"+Open+"/", http.StripPrefix("/"+Open, scene(armed, session{SignedIn: true})))
	mux.HandleFunc("GET /{$}", func(w http.ResponseWriter, r *http.Request) { index.Execute(w, names) })
	return mux
}

var index = template.Must(template.New("").Parse(`<!doctype html><title>Scenes</title>{{range .}}<p><a href="{{.}}/">{{.}}</a>{{end}}`))

type session struct {
	SignedIn   bool   `json:"signed_in"`
	Passphrase bool   `json:"passphrase"`
	Name       string `json:"name,omitempty"`
	ID         string `json:"id,omitempty"`
}

type phone struct {
	ID    string    `json:"id"`
	Name  string    `json:"name"`
	Since time.Time `json:"since"`
	Seen  time.Time `json:"seen"`
	This  bool      `json:"this"`
}

// scene answers as an app with this view would.
func scene(s Scene, who session) http.Handler {
	mux := http.NewServeMux()
	mux.Handle("GET /", app.Page())
	mux.HandleFunc("GET /api/stream", func(w http.ResponseWriter, r *http.Request) { stream(w, r, s.View) })
	mux.HandleFunc("GET /api/session", func(w http.ResponseWriter, r *http.Request) { answer(w, http.StatusOK, who) })
	mux.HandleFunc("PATCH /api/session", func(w http.ResponseWriter, r *http.Request) { answer(w, http.StatusOK, who) })
	mux.HandleFunc("DELETE /api/session", func(w http.ResponseWriter, r *http.Request) { answer(w, http.StatusOK, who) })
	mux.HandleFunc("POST /api/session", func(w http.ResponseWriter, r *http.Request) {
		answer(w, http.StatusTooManyRequests, map[string]any{"error": "too_many", "text": "too many attempts", "wait_s": 25})
	})
	mux.HandleFunc("GET /api/phones", func(w http.ResponseWriter, r *http.Request) {
		answer(w, http.StatusOK, map[string]any{"phones": []phone{
			{ID: "1", Name: "Anna", Since: ago(24 * time.Hour), Seen: Now, This: true},
			{ID: "2", Name: "Tom", Since: ago(240 * time.Hour), Seen: ago(3 * time.Hour)},
		}})
	})
	mux.HandleFunc("DELETE /api/phones/{id}", func(w http.ResponseWriter, r *http.Request) { answer(w, http.StatusOK, struct{}{}) })
	mux.HandleFunc("POST /api/wish", func(w http.ResponseWriter, r *http.Request) {
		var asked struct {
			Armed bool `json:"armed"`
		}
		switch err := json.NewDecoder(http.MaxBytesReader(w, r.Body, 1<<10)).Decode(&asked); {
		case err != nil:
			answer(w, http.StatusBadRequest, map[string]any{"error": "bad_request", "text": err.Error()})
		case s.View.Hub != nil:
			answer(w, http.StatusBadGateway, map[string]any{"error": "hub_away", "text": s.View.Hub.Text})
		default:
			answer(w, http.StatusOK, map[string]any{"wish": app.Wish{Armed: asked.Armed, By: who.Name, At: Now, Outcome: app.Waiting}})
		}
	})
	return mux
}

// offline tells a page its view once after it was loaded.
func offline(s Scene) http.Handler {
	alive := scene(s, session{SignedIn: true, Passphrase: true, Name: "Anna", ID: "1"})
	var told atomic.Bool
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch {
		case r.URL.Path == "/":
			told.Store(false)
			alive.ServeHTTP(w, r)
		case r.URL.Path == "/api/stream" && !told.Swap(true):
			stamp(w, "text/event-stream")
			write(w, s.View)
		case strings.HasPrefix(r.URL.Path, "/api/") && told.Load():
			http.Error(w, "gone", http.StatusBadGateway)
		default:
			alive.ServeHTTP(w, r)
		}
	})
}

func stream(w http.ResponseWriter, r *http.Request, v app.View) {
	stamp(w, "text/event-stream")
	control := http.NewResponseController(w)
	for {
		if write(w, v) != nil || control.Flush() != nil {
			return
		}
		select {
		case <-time.After(pulse):
		case <-r.Context().Done():
			return
		}
	}
}

func write(w http.ResponseWriter, v app.View) error {
	b, err := json.Marshal(v)
	if err == nil {
		_, err = fmt.Fprintf(w, "data: %s\n\n", b)
	}
	return err
}

func answer(w http.ResponseWriter, status int, v any) {
	stamp(w, "application/json")
	w.WriteHeader(status)
	json.NewEncoder(w).Encode(v)
}

// stamp sets the time that the page goes by.
func stamp(w http.ResponseWriter, contentType string) {
	w.Header().Set("Content-Type", contentType)
	w.Header().Set("Cache-Control", "no-store")
	w.Header().Set("Date", Now.Format(http.TimeFormat))
}
