package app

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

const testPassphrase = "correct horse"

// newTestHousehold is one with a passphrase.
func newTestHousehold(t *testing.T) *Household {
	t.Helper()
	h, err := OpenHousehold(t.TempDir(), nil)
	if err == nil {
		err = h.SetPassphrase(testPassphrase)
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(h.Close)
	return h
}

// A browser keeps its cookie.
type browser struct {
	server http.Handler
	cookie *http.Cookie
}

func (b *browser) ask(method, path, body string) *httptest.ResponseRecorder {
	v := visit{method: method, path: path, body: body, header: map[string]string{}}
	if b.cookie != nil {
		v.header["Cookie"] = b.cookie.Name + "=" + b.cookie.Value
	}
	w := v.do(b.server)
	for _, c := range w.Result().Cookies() {
		b.cookie = c
		if c.MaxAge < 0 {
			b.cookie = nil
		}
	}
	return w
}

// want asks, and checks the answer against a format.
func (b *browser) want(t *testing.T, method, path, body, format string, args ...any) {
	t.Helper()
	w := b.ask(method, path, body)
	if want := fmt.Sprintf(format, args...); w.Code != http.StatusOK || strings.TrimSpace(w.Body.String()) != want {
		t.Errorf("%s %s %s: got %d %s, want %s", method, path, body, w.Code, w.Body, want)
	}
}

// id is that of the phone.
func (b *browser) id(t *testing.T) string {
	t.Helper()
	var s session
	if err := json.Unmarshal(b.ask("GET", "/api/session", "").Body.Bytes(), &s); err != nil || s.ID == "" {
		t.Fatalf("got %+v, %v", s, err)
	}
	return s.ID
}

func (b *browser) signIn(t *testing.T, name string) *browser {
	t.Helper()
	w := b.ask("POST", "/api/session", fmt.Sprintf(`{"passphrase":%q,"name":%q}`, testPassphrase, name))
	if w.Code != http.StatusOK || b.cookie == nil {
		t.Fatalf("signing in: got %d %s", w.Code, w.Body)
	}
	return b
}

func TestServerWantsASignIn(t *testing.T) {
	house := &fakeHouse{}
	h := newTestServer(t, ServerConfig{House: house, Household: newTestHousehold(t)})
	for _, cookie := range []string{"", "twinpanel=", "twinpanel=sesame", "__Host-twinpanel=sesame", "twinpanel=" + strings.Repeat("x", 4000)} {
		for _, v := range []visit{
			{method: "GET", path: "/api/stream"},
			{method: "POST", path: "/api/wish", body: `{"armed":false}`},
			{method: "POST", path: "/api/wish", body: `{`},
			{method: "PATCH", path: "/api/session", body: `{"name":"Anna"}`},
			{method: "DELETE", path: "/api/session"},
			{method: "GET", path: "/api/phones"},
			{method: "DELETE", path: "/api/phones/aaaaaaaa"},
		} {
			v.header = map[string]string{"Cookie": cookie}
			wantRefusal(t, v.do(h), http.StatusUnauthorized, "signed_out")
		}
		w := visit{method: "GET", path: "/api/session", header: map[string]string{"Cookie": cookie}}.do(h)
		if want := `{"signed_in":false,"passphrase":true}`; strings.TrimSpace(w.Body.String()) != want || len(w.Result().Cookies()) > 0 {
			t.Errorf("got %s with %v, want %s", w.Body, w.Result().Cookies(), want)
		}
	}
	if len(house.wishes) > 0 {
		t.Errorf("got wishes %v", house.wishes)
	}
	if w := (visit{method: "GET", path: "/"}).do(h); w.Code != http.StatusOK {
		t.Errorf("the page: got %d", w.Code)
	}
}

func TestServerRefusesSignIns(t *testing.T) {
	b := &browser{server: newTestServer(t, ServerConfig{Household: newTestHousehold(t)})}
	for _, tt := range []struct {
		name, body string
		status     int
		code       string
	}{
		{"nothing", `{}`, http.StatusUnauthorized, "wrong_passphrase"},
		{"another", `{"passphrase":"correct house","name":"Anna"}`, http.StatusUnauthorized, "wrong_passphrase"},
		{"capitals", `{"passphrase":"Correct Horse","name":"Anna"}`, http.StatusUnauthorized, "wrong_passphrase"},
		{"a number", `{"passphrase":7,"name":"Anna"}`, http.StatusBadRequest, "bad_request"},
		{"a name that is none", `{"passphrase":"correct horse","name":"\u202eAnna"}`, http.StatusBadRequest, "bad_request"},
		{"too long", `{"passphrase":"` + strings.Repeat("a", maxBody) + `"}`, http.StatusBadRequest, "bad_request"},
	} {
		w := b.ask("POST", "/api/session", tt.body)
		if wantRefusal(t, w, tt.status, tt.code); b.cookie != nil {
			t.Errorf("%s: got a cookie", tt.name)
		}
	}
}

// Somebody has to be told what to do.
func TestServerSaysThatThePassphraseIsBroken(t *testing.T) {
	household := newTestHousehold(t)
	anna, ben := &browser{server: newTestServer(t, ServerConfig{Household: household})}, &browser{}
	anna.signIn(t, "Anna")
	if err := os.WriteFile(household.path(passphraseName), []byte("damaged"), 0o600); err != nil {
		t.Fatal(err)
	}
	ben.server = anna.server
	w := ben.ask("POST", "/api/session", `{"passphrase":"`+testPassphrase+`"}`)
	if wantRefusal(t, w, http.StatusInternalServerError, "failed"); !strings.Contains(w.Body.String(), "set it anew with app passphrase") {
		t.Errorf("got %s", w.Body)
	}
	anna.want(t, "GET", "/api/session", "", `{"signed_in":true,"passphrase":true,"name":"Anna","id":%q}`, anna.id(t))
}

// Attempts are counted by address: here, by what the proxy on this computer says of it.
func TestServerSaysForHowLongToWait(t *testing.T) {
	h := newTestServer(t, ServerConfig{Household: newTestHousehold(t), Names: []string{"alarm.example.org"}})
	attempt := func(passphrase string, forwarded ...string) *httptest.ResponseRecorder {
		r := httptest.NewRequest("POST", "http://alarm.example.org/api/session", strings.NewReader(`{"passphrase":"`+passphrase+`","name":"Anna"}`))
		r.RemoteAddr = "127.0.0.1:50000"
		r.Header.Set("Content-Type", "application/json")
		r.Header["X-Forwarded-For"] = forwarded
		w := httptest.NewRecorder()
		h.ServeHTTP(w, r)
		return w
	}
	for i := range freeAttempts {
		wantRefusal(t, attempt("not this one", fmt.Sprintf("198.51.100.%d, 192.0.2.7", i)), http.StatusUnauthorized, "wrong_passphrase")
	}
	w := attempt(testPassphrase, "198.51.100.99", "10.0.0.1, 192.0.2.7")
	wantRefusal(t, w, http.StatusTooManyRequests, "too_many")
	if want := fmt.Sprint(int(firstWait.Seconds())); !strings.Contains(w.Body.String(), `"wait_s":`+want) || w.Header().Get("Retry-After") != want {
		t.Errorf("got %s and Retry-After %q, want %s s", w.Body, w.Header().Get("Retry-After"), want)
	}
	if w := attempt(testPassphrase, "192.0.2.7, 192.0.2.8"); w.Code != http.StatusOK {
		t.Errorf("from another address: got %d %s", w.Code, w.Body)
	}
}

// Nobody else is believed: an attacker would have as many addresses as it likes.
func TestClientAddress(t *testing.T) {
	for _, tt := range []struct {
		from, forwarded, want string
	}{
		{"192.0.2.7:50000", "198.51.100.1", "192.0.2.7"},
		{"[2001:db8::7]:50000", "198.51.100.1", "2001:db8::7"},
		{"127.0.0.1:50000", "", "127.0.0.1"},
		{"127.0.0.1:50000", "unknown", "127.0.0.1"},
		{"127.0.0.1:50000", "198.51.100.1,", "127.0.0.1"},
		{"127.0.0.1:50000", "198.51.100.1", "198.51.100.1"},
		{"[::1]:50000", "198.51.100.1, 2001:db8::1", "2001:db8::1"},
		{"127.0.0.1:50000", "::ffff:198.51.100.1", "198.51.100.1"},
	} {
		r := httptest.NewRequest("GET", "/", nil)
		r.RemoteAddr = tt.from
		r.Header.Set("X-Forwarded-For", tt.forwarded)
		if got := client(r).String(); got != tt.want {
			t.Errorf("%s for %q: got %s, want %s", tt.from, tt.forwarded, got, tt.want)
		}
	}
}

func TestServerSessions(t *testing.T) {
	house := &fakeHouse{}
	h := newTestServer(t, ServerConfig{House: house, Household: newTestHousehold(t)})
	anna, ben := &browser{server: h}, &browser{server: h}
	anna.signIn(t, "Anna")
	ben.signIn(t, "")
	anna.want(t, "GET", "/api/session", "", `{"signed_in":true,"passphrase":true,"name":"Anna","id":%q}`, anna.id(t))
	ben.want(t, "PATCH", "/api/session", `{"name":" Ben "}`, `{"signed_in":true,"passphrase":true,"name":"Ben","id":%q}`, ben.id(t))
	wantRefusal(t, ben.ask("PATCH", "/api/session", `{"name":"`+strings.Repeat("n", 41)+`"}`), http.StatusBadRequest, "bad_request")

	// A wish has the name of the phone, whatever it says.
	ben.want(t, "POST", "/api/wish", `{"armed":true,"name":"Anna"}`, `{"wish":{"armed":true,"by":"Ben","at":"0001-01-01T00:00:00Z","age_ms":0,"outcome":"waiting"}}`)

	var list struct {
		Phones []struct {
			ID, Name    string
			Since, Seen time.Time
			This        bool
		}
	}
	if err := json.Unmarshal(anna.ask("GET", "/api/phones", "").Body.Bytes(), &list); err != nil {
		t.Fatal(err)
	}
	if p := list.Phones; len(p) != 2 || p[0].ID != anna.id(t) || p[0].Name != "Anna" || !p[0].This || p[1].ID != ben.id(t) || p[1].This || p[1].Since.IsZero() || p[1].Seen.IsZero() {
		t.Errorf("got the phones %+v", p)
	}

	// Twice is as good as once, also for two who are as fast.
	for range 2 {
		if w := anna.ask("DELETE", "/api/phones/"+list.Phones[1].ID, ""); w.Code != http.StatusOK || strings.Contains(w.Body.String(), "Ben") || !strings.Contains(w.Body.String(), "Anna") {
			t.Errorf("got %d %s, want Anna alone", w.Code, w.Body)
		}
	}
	wantRefusal(t, ben.ask("POST", "/api/wish", `{"armed":false}`), http.StatusUnauthorized, "signed_out")
	anna.want(t, "DELETE", "/api/session", "", `{"signed_in":false,"passphrase":true}`)
	if anna.cookie != nil {
		t.Error("the browser keeps its cookie")
	}
	anna.signIn(t, "Anna")
	wantRefusal(t, anna.ask("DELETE", "/api/phones/"+anna.id(t), ""), http.StatusUnauthorized, "signed_out")
	if len(house.wishes) != 1 {
		t.Errorf("got wishes %v, want Ben's first", house.wishes)
	}
}

// A phone that signs in again is one phone.
func TestServerSignsInAgain(t *testing.T) {
	household := newTestHousehold(t)
	b := &browser{server: newTestServer(t, ServerConfig{Household: household})}
	before := b.signIn(t, "Anna").cookie.Value
	b.signIn(t, "Anna's")
	if p := household.Phones(); len(p) != 1 || p[0].Name != "Anna's" || b.cookie.Value == before {
		t.Errorf("got the phones %+v", p)
	}
	wantRefusal(t, b.ask("POST", "/api/session", `{"passphrase":"not this one"}`), http.StatusUnauthorized, "wrong_passphrase")
	if p := household.Phones(); len(p) != 1 {
		t.Errorf("after a wrong passphrase: got the phones %+v", p)
	}
}

func TestServerCookies(t *testing.T) {
	for _, secure := range []bool{false, true} {
		b := &browser{server: newTestServer(t, ServerConfig{Household: newTestHousehold(t), Secure: secure})}
		b.signIn(t, "Anna")
		name, attribute := "twinpanel", ""
		if secure {
			name, attribute = "__Host-twinpanel", "; Secure"
		}
		want := fmt.Sprintf("%s=%s; Path=/; Max-Age=34560000; HttpOnly%s; SameSite=Strict", name, b.cookie.Value, attribute)
		if got := b.cookie.Raw; got != want {
			t.Errorf("got the cookie %q, want %q", got, want)
		}
		b.cookie.Raw = ""
		b.id(t)
		if got := b.cookie.Raw; got != want {
			t.Errorf("when the page is opened again: got the cookie %q, want %q", got, want)
		}
		// The other name would be one that plain text can set.
		other := &browser{b.server, &http.Cookie{Name: map[bool]string{true: "twinpanel", false: "__Host-twinpanel"}[secure], Value: b.cookie.Value}}
		wantRefusal(t, other.ask("GET", "/api/phones", ""), http.StatusUnauthorized, "signed_out")
	}
}

// Where nobody signs in there is nothing to sign out of.
func TestServerWithoutSessions(t *testing.T) {
	empty, err := OpenHousehold(t.TempDir(), nil)
	if err != nil {
		t.Fatal(err)
	}
	for _, household := range []*Household{nil, empty} {
		b := &browser{server: newTestServer(t, ServerConfig{Household: household})}
		const open = `{"signed_in":true,"passphrase":false}`
		b.want(t, "GET", "/api/session", "", open)
		b.want(t, "POST", "/api/session", `{"passphrase":"any","name":"Anna"}`, open)
		b.want(t, "DELETE", "/api/session", "", open)
		b.want(t, "GET", "/api/phones", "", `{"phones":[]}`)
		b.want(t, "DELETE", "/api/phones/aaaaaaaa", "", `{"phones":[]}`)
		wantRefusal(t, b.ask("PATCH", "/api/session", `{"name":"Anna"}`), http.StatusBadRequest, "bad_request")
		if b.cookie != nil {
			t.Errorf("got a cookie, %v", b.cookie)
		}
	}
}

// With a passphrase others may come, if they ask for a name that is ours.
func TestServerNames(t *testing.T) {
	household := newTestHousehold(t)
	for _, tt := range []struct {
		name    string
		names   []string
		host    string
		allowed bool
	}{
		{"no names", nil, "alarm.example.org", false},
		{"another name", []string{"alarm.example.org"}, "attacker.example", false},
		{"a name below", []string{"alarm.example.org"}, "x.alarm.example.org", false},
		{"an address", []string{"alarm.example.org"}, "192.0.2.1", false},
		{"the name", []string{"alarm.example.org"}, "Alarm.Example.org:8443", true},
		{"what a proxy asks for", []string{"alarm.example.org"}, "127.0.0.1:8090", true},
		{"any", []string{"*"}, "raspberrypi.local:8443", true},
	} {
		w := visit{method: "GET", path: "/api/session", host: tt.host, from: "192.0.2.7"}.do(newTestServer(t, ServerConfig{Names: tt.names, Household: household}))
		if !tt.allowed {
			wantRefusal(t, w, http.StatusForbidden, "forbidden")
		} else if w.Code != http.StatusOK {
			t.Errorf("%s: got %d %s", tt.name, w.Code, w.Body)
		}
	}
}

// A browser that knows that a name is always TLS refuses plain text from it on every port, so that only goes with a name of the app's own.
func TestServerAsksForTLSWhereItIsAlone(t *testing.T) {
	household := newTestHousehold(t)
	for _, tt := range []struct {
		host   string
		secure bool
		want   string
	}{
		{"alarm.example.org", true, "max-age=31536000"},
		{"raspberrypi.local:8443", true, ""},
		{"127.0.0.1:8090", true, ""},
		{"alarm.example.org", false, ""},
	} {
		h := newTestServer(t, ServerConfig{Names: []string{"alarm.example.org", "*"}, Secure: tt.secure, Household: household})
		w := visit{method: "GET", path: "/", host: tt.host}.do(h)
		if got := w.Header().Get("Strict-Transport-Security"); got != tt.want {
			t.Errorf("%s, secure %t: got %q, want %q", tt.host, tt.secure, got, tt.want)
		}
	}
}

// A proxy may ask for another host than it was asked for, which for an old browser looks like another site.
func TestServerKnowsItsOriginBehindAProxy(t *testing.T) {
	household := newTestHousehold(t)
	for origin, want := range map[string]int{
		"https://alarm.example.org": http.StatusUnauthorized,
		"http://alarm.example.org":  http.StatusForbidden,
		"https://attacker.example":  http.StatusForbidden,
	} {
		h := newTestServer(t, ServerConfig{Names: []string{"alarm.example.org"}, Secure: true, Household: household})
		w := visit{method: "POST", path: "/api/session", body: `{"passphrase":"not this one"}`, host: "127.0.0.1:8090",
			header: map[string]string{"Sec-Fetch-Site": "", "Origin": origin}}.do(h)
		if w.Code != want {
			t.Errorf("%s: got %d %s, want %d", origin, w.Code, w.Body, want)
		}
	}
}

// signedInClient signs a browser in, in a bubble, and returns what its requests have to carry.
func signedInClient(t *testing.T, h http.Handler) (cookie string) {
	t.Helper()
	b := (&browser{server: h}).signIn(t, "Anna")
	return b.cookie.Name + "=" + b.cookie.Value
}

// What is signed out, whoever did it, sees nothing more.
func TestStreamOfAPhoneThatIsSignedOut(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		household := newTestHousehold(t)
		house := &fakeHouse{view: View{Row: Armed}}
		h := newTestServer(t, ServerConfig{House: house, Household: household})
		cookie := signedInClient(t, h)
		client, _ := serveInBubble(t, h, false)
		viewer := openStream(t, client, "Cookie", cookie)
		viewer.want(Armed, 0)
		if err := household.SignOutAll(); err != nil {
			t.Fatal(err)
		}
		house.show(View{Row: Ringing}) // which isn't for it any more
		viewer.wantEnd()
		if again := openStream(t, client, "Cookie", cookie); again.answer.StatusCode != http.StatusUnauthorized {
			t.Errorf("got %d, want to be refused", again.answer.StatusCode)
		}

		other := signedInClient(t, h)
		viewer = openStream(t, client, "Cookie", other)
		viewer.want(Ringing, 0)
		if err := household.SignOutAll(); err != nil {
			t.Fatal(err)
		}
		time.Sleep(askTime)
		viewer.wantEnd()
	})
}

// A passphrase that is set while the app runs holds at once, also for those who look already.
func TestStreamEndsWhenAPassphraseIsSet(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		household, err := OpenHousehold(t.TempDir(), nil)
		if err != nil {
			t.Fatal(err)
		}
		client, _ := serveInBubble(t, newTestServer(t, ServerConfig{Household: household}), false)
		viewer := openStream(t, client)
		viewer.want("", 0)
		if err := household.SetPassphrase(testPassphrase); err != nil {
			t.Fatal(err)
		}
		time.Sleep(askTime)
		viewer.wantEnd()
	})
}

// A phone that goes in and out of the network leaves streams behind; it must not be locked out by them.
func TestStreamsOfAPhoneAreBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		house := &fakeHouse{}
		h := newTestServer(t, ServerConfig{House: house, Household: newTestHousehold(t)})
		anna, ben := signedInClient(t, h), signedInClient(t, h)
		client, _ := serveInBubble(t, h, false)
		oldest := openStream(t, client, "Cookie", ben)
		oldest.want("", 0)
		viewers := []*eventReader{}
		for range maxPhoneStreams + 2 {
			viewers = append(viewers, openStream(t, client, "Cookie", anna))
			synctest.Wait()
		}
		for i, viewer := range viewers {
			viewer.want("", 0)
			if i < 2 {
				viewer.wantEnd()
			}
		}
		house.show(View{Row: Ringing})
		for _, viewer := range slices.Insert(viewers[2:], 0, oldest) {
			viewer.want(Ringing, 0)
		}
	})
}
