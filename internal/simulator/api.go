package simulator

import (
	"embed"
	"encoding/json"
	"errors"
	"io"
	"net/http"
)

// Limits of the page and its API.
const (
	maxBody    = 1 << 10 // bytes
	maxStreams = 32
)

//go:embed page
var page embed.FS

// Handler returns the page and the API of the house:
//
//	GET /                          the page
//	GET /api/house                 {"door_open":false,"siren_on":false}
//	PUT /api/house/door            the front door: {"open":true}, {"open":false}, {"fault":true} or {"fault":false}
//	PUT /api/house/doors/{name}    any door
//	GET /api/house/events          server-sent events: all there is to show, now and after each change
//
// A PUT answers like GET /api/house. "open" moves the door and repairs its contact,
// "fault" breaks or repairs the contact and leaves the door as it is. door_open is true
// while any door is open; a house with a broken contact has "fault":true as well, and one
// with several doors has an object "doors" by name. Errors are {"error":"…"}.
//
// Paths in the page are relative, so that the house can live under a prefix. Requests
// that another site makes a browser send are refused, except for reading.
func (h *House) Handler() http.Handler {
	mux := http.NewServeMux()
	for path, name := range map[string]string{"/{$}": "index.html", "/house.css": "house.css", "/house.js": "house.js"} {
		mux.HandleFunc("GET "+path, func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Cache-Control", "no-cache")
			http.ServeFileFS(w, r, page, "page/"+name)
		})
	}
	mux.HandleFunc("GET /api/house", func(w http.ResponseWriter, r *http.Request) {
		answer(w, http.StatusOK, h.look())
	})
	mux.HandleFunc("PUT /api/house/door", func(w http.ResponseWriter, r *http.Request) {
		h.putDoor(w, r, h.names[0])
	})
	mux.HandleFunc("PUT /api/house/doors/{name}", func(w http.ResponseWriter, r *http.Request) {
		h.putDoor(w, r, r.PathValue("name"))
	})
	mux.HandleFunc("GET /api/house/events", h.stream)
	return http.NewCrossOriginProtection().Handler(withPolicy(mux))
}

// withPolicy lets the page load nothing from elsewhere and run nothing but its own files.
// Pages of the same origin may frame it.
func withPolicy(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Security-Policy", "default-src 'none'; script-src 'self'; style-src 'self'; "+
			"img-src 'self' data:; connect-src 'self'; frame-ancestors 'self'; base-uri 'none'; form-action 'none'")
		w.Header().Set("X-Content-Type-Options", "nosniff")
		w.Header().Set("Referrer-Policy", "no-referrer")
		next.ServeHTTP(w, r)
	})
}

// A view is what GET /api/house tells.
type view struct {
	DoorOpen bool                `json:"door_open"`
	SirenOn  bool                `json:"siren_on"`
	Fault    bool                `json:"fault,omitempty"`
	Doors    map[string]doorView `json:"doors,omitempty"` // only with several
}

type doorView struct {
	Open  bool `json:"open"`
	Fault bool `json:"fault,omitempty"`
}

func (h *House) look() view {
	h.mu.Lock()
	defer h.mu.Unlock()
	v := h.lookAll()
	if len(v.Doors) == 1 {
		v.Doors = nil
	}
	return v
}

// lookAll returns the house with its doors, be it only one. h.mu is held.
func (h *House) lookAll() view {
	v := view{SirenOn: h.sirenOn(), Doors: map[string]doorView{}}
	for name, d := range h.doors {
		v.DoorOpen = v.DoorOpen || d.open
		v.Fault = v.Fault || d.fault
		v.Doors[name] = doorView{d.open, d.fault}
	}
	return v
}

func (h *House) putDoor(w http.ResponseWriter, r *http.Request, name string) {
	var wish struct {
		Open  *bool `json:"open"`
		Fault *bool `json:"fault"`
	}
	body := http.MaxBytesReader(w, r.Body, maxBody)
	if err := decode(body, &wish); err != nil {
		status := http.StatusBadRequest
		if _, tooLarge := errors.AsType[*http.MaxBytesError](err); tooLarge {
			status = http.StatusRequestEntityTooLarge
		}
		refuse(w, status, "body is not understood: "+err.Error())
		return
	}
	var err error
	switch {
	case (wish.Open == nil) == (wish.Fault == nil):
		refuse(w, http.StatusBadRequest, `want either {"open":true|false} or {"fault":true|false}`)
		return
	case wish.Open != nil:
		err = h.MoveDoor(name, *wish.Open)
	default:
		err = h.BreakDoor(name, *wish.Fault)
	}
	if err != nil {
		refuse(w, http.StatusNotFound, err.Error())
		return
	}
	answer(w, http.StatusOK, h.look())
}

// decode reads one JSON object without unknown keys, and nothing after it.
func decode(r io.Reader, v any) error {
	d := json.NewDecoder(r)
	d.DisallowUnknownFields()
	if err := d.Decode(v); err != nil {
		if errors.Is(err, io.EOF) {
			return errors.New("it is empty")
		}
		return err
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return errors.New("something follows the JSON object")
	}
	return nil
}

func answer(w http.ResponseWriter, status int, v any) {
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Cache-Control", "no-store")
	w.WriteHeader(status)
	json.NewEncoder(w).Encode(v) // an error is the viewer's, who is gone
}

func refuse(w http.ResponseWriter, status int, text string) {
	answer(w, status, map[string]string{"error": text})
}
