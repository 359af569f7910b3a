package app

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"slices"
	"strings"
	"time"
)

// Limits of a server. Whoever serves its handler bounds connections and headers.
const (
	maxBody  = 4 << 10          // bytes of a request
	wishTime = 15 * time.Second // for a wish to reach the hub, before its phone is told that nobody knows
)

// A House is what a server shows, and where wishes go: a [Watcher].
type House interface {
	// View is what is known now.
	View() View
	// Join tells that somebody looks, until leave. changed has one slot: it holds a token when the view has changed.
	Join() (changed <-chan struct{}, leave func())
	// Wish asks the panel to arm or to disarm. by is the name of a phone, or empty. Nil: the hub has it. The end of ctx
	// ends the wait alone.
	Wish(ctx context.Context, armed bool, by string) error
}

// ServerConfig is what a server needs.
type ServerConfig struct {
	House     House
	Household *Household // who may look and ask; nil, or without a passphrase: whoever uses this computer
	// Names are the hosts, without port, that browsers may ask for beside those that mean this computer: one that a
	// page of somebody else leads here under its own name is refused. "*" = any.
	Names  []string
	Framed bool         // pages of the same origin may show the app in a frame
	Secure bool         // browsers come over TLS, whether it ends here or before
	Logger *slog.Logger // nil = silent
}

// A Server is the app's page and its API. Paths are relative, so that it can live under any prefix:
//
//	GET    /                 the page
//	GET    /api/stream       server-sent events: a View at once, after each change and at least every 15 s
//	POST   /api/wish         {"armed":true}, with "name" if nobody signs in here: {"wish":{…}}
//	GET    /api/session      {"signed_in":true,"passphrase":true,"name":"Anna","id":"…"}; passphrase tells whether one is needed
//	POST   /api/session      {"passphrase":"…","name":"Anna"} signs in; this and the next two answer like the last
//	PATCH  /api/session      {"name":"Anna"}
//	DELETE /api/session
//	GET    /api/phones       {"phones":[{"id":"…","name":"Anna","since":"…","seen":"…","this":true}]}
//	DELETE /api/phones/{id}  signs one out, and answers with those that are left
//
// What is refused is answered {"error":"code","text":"…"}, where a wait helps with "wait_s". The page and a phone's own session are for
// everybody, all else for phones that are signed in.
type Server struct {
	house     House
	household *Household
	names     []string
	secure    bool
	framing   string // who may frame the page, in the words of a Content-Security-Policy
	log       *slog.Logger
	streams   streams
}

// NewServer returns a server that is ready to serve.
func NewServer(c ServerConfig) (*Server, error) {
	if c.House == nil {
		return nil, errors.New("a server needs a house")
	}
	s := &Server{
		house:     c.House,
		household: c.Household,
		names:     c.Names,
		secure:    c.Secure,
		framing:   "'none'",
		log:       cmp.Or(c.Logger, slog.New(slog.DiscardHandler)),
	}
	if c.Framed {
		s.framing = "'self'"
	}
	return s, nil
}

// Handler returns the page and the API. Streams end with the context of their request.
func (s *Server) Handler() http.Handler {
	mux := http.NewServeMux()
	mux.Handle("/", servePage())
	mux.HandleFunc("/api/", func(w http.ResponseWriter, _ *http.Request) {
		refuse(w, refusal{http.StatusNotFound, "bad_request", "there is nothing of this name, or nothing for this method", 0})
	})
	mux.HandleFunc("GET /api/stream", s.signedIn(s.getStream))
	mux.HandleFunc("POST /api/wish", s.signedIn(s.postWish))
	mux.HandleFunc("GET /api/session", s.getSession)
	mux.HandleFunc("POST /api/session", s.postSession)
	mux.HandleFunc("PATCH /api/session", s.signedIn(s.patchSession))
	mux.HandleFunc("DELETE /api/session", s.signedIn(s.deleteSession))
	mux.HandleFunc("GET /api/phones", s.signedIn(s.getPhones))
	mux.HandleFunc("DELETE /api/phones/{id}", s.signedIn(s.deletePhone))
	return s.withPolicy(s.forUs(s.sameOrigin(mux)))
}

// withPolicy lets the page load nothing from elsewhere and run nothing but its own files.
func (s *Server) withPolicy(next http.Handler) http.Handler {
	policy := "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; manifest-src 'self'; " +
		"worker-src 'self'; frame-ancestors " + s.framing + "; base-uri 'none'; form-action 'none'"
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h := w.Header()
		h.Set("Content-Security-Policy", policy)
		h.Set("X-Content-Type-Options", "nosniff")
		h.Set("Referrer-Policy", "no-referrer")
		h.Set("Cross-Origin-Resource-Policy", "same-origin")
		h.Set("Cross-Origin-Opener-Policy", "same-origin")
		h.Set("Permissions-Policy", "camera=(), geolocation=(), microphone=(), payment=(), usb=()")
		// A name that was given is the app's alone. At another one, that of this computer, a browser would
		// then refuse plain text to whatever else runs here, on any port.
		if s.secure && slices.Contains(s.names, hostname(r.Host)) {
			h.Set("Strict-Transport-Security", "max-age=31536000")
		}
		next.ServeHTTP(w, r)
	})
}

// forUs refuses requests that came here under a name that isn't ours, and without a passphrase all that may
// come from another computer.
func (s *Server) forUs(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		host := hostname(r.Host)
		known := isLoopback(host) || slices.Contains(s.names, host) || slices.Contains(s.names, "*")
		switch {
		case !known:
			refuse(w, refusal{http.StatusForbidden, "forbidden", fmt.Sprintf("this app isn't known as %.100q; app --help tells of --origin", host), 0})
		case s.open() && !(isLoopback(host) && fromHere(r)):
			refuse(w, refusal{http.StatusForbidden, "forbidden", "without a passphrase this app is for the computer that it runs on; app passphrase sets one", 0})
		default:
			next.ServeHTTP(w, r)
		}
	})
}

// sameOrigin refuses what a page of another site makes a browser send. To load the page itself is harmless.
func (s *Server) sameOrigin(next http.Handler) http.Handler {
	protection := http.NewCrossOriginProtection()
	for _, name := range s.names {
		if s.secure && name != "*" {
			// For browsers without Sec-Fetch-Site behind a proxy that asks for another host than it was asked for. The
			// error is about a name that no browser asks for.
			_ = protection.AddTrustedOrigin("https://" + name)
		}
	}
	foreign := func(w http.ResponseWriter, _ *http.Request) {
		refuse(w, refusal{http.StatusForbidden, "forbidden", "a page of another site asked for this", 0})
	}
	protection.SetDenyHandler(http.HandlerFunc(foreign))
	next = protection.Handler(next)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch r.Header.Get("Sec-Fetch-Site") {
		case "", "same-origin", "none":
		default:
			if strings.HasPrefix(r.URL.Path, "/api/") {
				foreign(w, r)
				return
			}
		}
		next.ServeHTTP(w, r)
	})
}

// errNoAnswer is about a wish that goes on.
var errNoAnswer = &HubError{Why: WhySlow, Text: "the hub hasn't answered yet: the wish may still be done, or not"}

// postWish hands a wish on. It goes on also when the phone is gone meanwhile: the tap was meant.
func (s *Server) postWish(w http.ResponseWriter, r *http.Request, phone Phone) {
	var body struct {
		Armed *bool  `json:"armed"`
		Name  string `json:"name"`
	}
	err := readBody(w, r, &body)
	if err == nil && body.Armed == nil {
		err = badRequestf(`want {"armed":true} or {"armed":false}`)
	}
	if err != nil {
		refuse(w, refusalOf(err))
		return
	}
	by := phone.Name
	if phone.ID == "" && body.Name != "" {
		by, _ = CleanName(body.Name) // what can't be a name is none: a siren doesn't wait for one
	}
	ctx, cancel := context.WithTimeoutCause(context.WithoutCancel(r.Context()), wishTime, errNoAnswer)
	defer cancel()
	if err := s.house.Wish(ctx, *body.Armed, by); err != nil {
		s.log.Warn("wish failed", "armed", *body.Armed, "by", by, "error", err)
		refuse(w, refusalOf(err))
		return
	}
	s.log.Info("wish", "armed", *body.Armed, "by", by)
	answer(w, http.StatusOK, map[string]*Wish{"wish": s.house.View().Wish})
}

// hostname is the host of a header Host, without port and brackets, in small letters.
func hostname(host string) string {
	if h, _, err := net.SplitHostPort(host); err == nil {
		host = h
	}
	return strings.ToLower(strings.TrimSuffix(strings.Trim(host, "[]"), "."))
}

// isLoopback tells whether a host means the computer that asks.
func isLoopback(host string) bool {
	ip, err := netip.ParseAddr(host)
	return host == "localhost" || strings.HasSuffix(host, ".localhost") || err == nil && ip.Unmap().IsLoopback()
}

// fromHere tells whether a request comes from this computer, and not over a proxy that runs on it.
func fromHere(r *http.Request) bool {
	for header := range r.Header {
		if header == "Forwarded" || header == "Via" || header == "X-Real-Ip" || strings.HasPrefix(header, "X-Forwarded-") {
			return false
		}
	}
	return peer(r).IsLoopback()
}

// peer is the address of who opened the connection; the zero Addr if that isn't known.
func peer(r *http.Request) netip.Addr {
	at, _ := netip.ParseAddrPort(r.RemoteAddr)
	return at.Addr().Unmap()
}

// client is the address of who asks, as far as it is known: a proxy on this computer is believed who has asked it, for which it puts
// an address at the end of what others may have written.
func client(r *http.Request) netip.Addr {
	from := peer(r)
	if said := r.Header.Values("X-Forwarded-For"); from.IsLoopback() && len(said) > 0 {
		list := strings.Split(said[len(said)-1], ",")
		if last, err := netip.ParseAddr(strings.TrimSpace(list[len(list)-1])); err == nil {
			return last.Unmap()
		}
	}
	return from
}
