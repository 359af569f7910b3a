package app

import (
	"errors"
	"net/http"
	"time"
)

// cookieAge is for how long a browser keeps what signs it in, from the last time that the page was opened: the longest that
// browsers allow. A phone's session ends when somebody signs it out, or sets another passphrase.
const cookieAge = 400 * 24 * time.Hour

// A session is what a phone is told of itself.
type session struct {
	SignedIn   bool   `json:"signed_in"`
	Passphrase bool   `json:"passphrase"` // one is needed; without one everybody is signed in
	Name       string `json:"name,omitempty"`
	ID         string `json:"id,omitempty"`
}

// open tells whether nobody has to sign in.
func (s *Server) open() bool { return s.household == nil || !s.household.HasPassphrase() }

// phone tells whose request it is: where nobody signs in, a phone without id and name.
func (s *Server) phone(r *http.Request) (p Phone, ok bool) {
	if s.open() {
		return Phone{}, true
	}
	c, err := r.Cookie(s.cookie("", 0).Name)
	if err != nil {
		return Phone{}, false
	}
	return s.household.Phone(c.Value)
}

// signedIn is a handler for phones that are signed in.
func (s *Server) signedIn(do func(http.ResponseWriter, *http.Request, Phone)) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		if p, ok := s.phone(r); ok {
			do(w, r, p)
		} else {
			refuse(w, refusalOf(errSignedOut))
		}
	}
}

// cookie signs a browser in with a secret, or out at an age below 0. No script sees it, and no other site can make the browser
// send it. Its name makes sure of where it comes from, if there is TLS.
func (s *Server) cookie(secret string, age time.Duration) *http.Cookie {
	c := &http.Cookie{
		Name: "twinpanel", Value: secret, Path: "/", MaxAge: int(age.Seconds()),
		HttpOnly: true, SameSite: http.SameSiteStrictMode, Secure: s.secure,
	}
	if s.secure {
		c.Name = "__Host-twinpanel"
	}
	return c
}

// getSession is what the page asks first; so that is when a browser's cookie lives anew.
func (s *Server) getSession(w http.ResponseWriter, r *http.Request) {
	p, ok := s.phone(r)
	if c, err := r.Cookie(s.cookie("", 0).Name); ok && err == nil && p.ID != "" {
		http.SetCookie(w, s.cookie(c.Value, cookieAge))
	}
	s.tellSession(w, p, ok)
}

func (s *Server) tellSession(w http.ResponseWriter, p Phone, signedIn bool) {
	answer(w, http.StatusOK, session{signedIn, !s.open(), p.Name, p.ID})
}

// postSession signs a phone in. One that was signed in already starts anew.
func (s *Server) postSession(w http.ResponseWriter, r *http.Request) {
	var body struct {
		Passphrase string `json:"passphrase"`
		Name       string `json:"name"`
	}
	if err := readBody(w, r, &body); err != nil {
		refuse(w, refusalOf(err))
		return
	}
	before, was := s.phone(r)
	if s.open() {
		s.tellSession(w, before, was)
		return
	}
	secret, p, err := s.household.SignIn(client(r), body.Passphrase, body.Name)
	if err != nil {
		refuse(w, refusalOf(err))
		return
	}
	if was {
		_ = s.household.SignOut(before.ID) // it has logged the error, which is no reason to stay out
	}
	http.SetCookie(w, s.cookie(secret, cookieAge))
	s.tellSession(w, p, true)
}

// patchSession gives this phone another name.
func (s *Server) patchSession(w http.ResponseWriter, r *http.Request, p Phone) {
	var body struct {
		Name string `json:"name"`
	}
	err := readBody(w, r, &body)
	if err == nil && p.ID == "" {
		err = badRequestf("without a passphrase a phone's name comes with its wishes")
	}
	if err == nil {
		err = s.household.Rename(p.ID, body.Name)
	}
	if err != nil {
		refuse(w, refusalOf(err))
		return
	}
	p, ok := s.phone(r)
	s.tellSession(w, p, ok)
}

// deleteSession signs this phone out.
func (s *Server) deleteSession(w http.ResponseWriter, r *http.Request, p Phone) {
	if p.ID != "" {
		http.SetCookie(w, s.cookie("", -time.Second))
		if err := s.signOut(p.ID); err != nil {
			refuse(w, refusalOf(err))
			return
		}
	}
	p, ok := s.phone(r)
	s.tellSession(w, p, ok)
}

func (s *Server) getPhones(w http.ResponseWriter, _ *http.Request, this Phone) {
	type line struct {
		Phone
		This bool `json:"this"` // the one that asks
	}
	lines := []line{}
	if this.ID != "" {
		for _, p := range s.household.Phones() {
			lines = append(lines, line{p, p.ID == this.ID})
		}
	}
	answer(w, http.StatusOK, map[string][]line{"phones": lines})
}

// deletePhone signs any phone out.
func (s *Server) deletePhone(w http.ResponseWriter, r *http.Request, this Phone) {
	if this.ID != "" {
		if err := s.signOut(r.PathValue("id")); err != nil {
			refuse(w, refusalOf(err))
			return
		}
	}
	s.signedIn(s.getPhones)(w, r) // it may have been this one
}

// signOut signs a phone out. That it wasn't signed in is no error: somebody was faster.
func (s *Server) signOut(id string) error {
	if err := s.household.SignOut(id); !errors.Is(err, ErrNoPhone) {
		return err
	}
	return nil
}
