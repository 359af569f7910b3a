package app

import (
	"errors"
	"io"
	"mime"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

func TestReceiverRefusesAddresses(t *testing.T) {
	for _, address := range []string{"", "sesame", "ntfy.sh/sesame", "ftp://ntfy.sh/sesame", "https:///sesame", "https://:80/sesame", "http://ntfy.sh/sesame", "http://localhost.example/sesame", "https://ntfy.sh/%sesame"} {
		_, err := NewWebhook(WebhookOptions{URL: address})
		if err == nil || !strings.HasPrefix(err.Error(), "--notify-url ") || strings.Contains(err.Error(), "sesame") {
			t.Errorf("%q: got error %v", address, err)
		}
		if _, err := NewPinger(PingOptions{URL: address}); err == nil || !strings.HasPrefix(err.Error(), "--ping-url ") || strings.Contains(err.Error(), "sesame") {
			t.Errorf("%q: got error %v of a pinger", address, err)
		}
	}
	for _, o := range []WebhookOptions{{URL: "http://ntfy.lan/t", Insecure: true}, {URL: "http://127.0.0.1/t"}, {URL: "http://[::1]:8080/t"}, {URL: "https://anna:sesame@ntfy.sh/t"}, {URL: "https://ntfy.sh/t?auth=x", Token: "tk_1"}} {
		if _, err := NewWebhook(o); err != nil {
			t.Errorf("%+v: %v", o, err)
		}
	}
	for _, o := range []WebhookOptions{{URL: "https://anna:sesame@ntfy.sh/t", Token: "tk_1"}, {URL: "https://ntfy.sh/t", Token: "tk\nX: y"}} {
		if _, err := NewWebhook(o); err == nil {
			t.Errorf("%+v: no error", o)
		}
	}
}

// received is a request that a receiver got.
type received struct {
	header http.Header
	body   string
	path   string
}

// receive serves a receiver on loopback that answers with what answer says, and returns what it gets.
func receive(t *testing.T, answer http.HandlerFunc) (address string, requests <-chan received) {
	t.Helper()
	got := make(chan received, 10)
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		got <- received{r.Header, string(body), r.Method + " " + r.URL.String()}
		answer(w, r)
	}))
	t.Cleanup(s.Close)
	return s.URL, got
}

func TestWebhookSpeaksAsNtfyReads(t *testing.T) {
	address, requests := receive(t, func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, "{}") })
	w, err := NewWebhook(WebhookOptions{URL: address + "/topic", Token: "tk_1"})
	if err != nil {
		t.Fatal(err)
	}
	for _, title := range []string{
		"ALARM", "C’est réglé : « entrée »", strings.Repeat("é", maxText), "=?utf-8?b?CgpYOiB5?=", "front\r\nAuthorization: Basic x\r\n\r\nbody", `"; rm -rf / #`,
	} {
		n := Notice{Kind: KindRinging, Urgent: true, Title: title, Text: "La sirène sonne.\nX: y", Click: "https://alarm.example.org/"}
		said, err := w.Deliver(t.Context(), n)
		if err != nil || said != "200 OK: {}" {
			t.Fatalf("%q: got %q, %v", title, said, err)
		}
		r := <-requests
		got, err := new(mime.WordDecoder).DecodeHeader(r.header.Get("Title"))
		if want := strings.ReplaceAll(clean(title), "=?", "= ?"); err != nil || got != want {
			t.Errorf("title: got %q, %v, want %q", got, err, want)
		}
		for key, want := range map[string]string{"Priority": "urgent", "Tags": "rotating_light", "Click": n.Click, "Authorization": "Bearer tk_1", "Content-Type": "text/plain; charset=utf-8", "X": ""} {
			if got := strings.Join(r.header[key], "|"); got != want {
				t.Errorf("%s: got %q, want %q", key, got, want)
			}
		}
		if r.body != n.Text || r.path != "POST /topic" {
			t.Errorf("got %q to %s", r.body, r.path)
		}
	}
	withUser, err := NewWebhook(WebhookOptions{URL: strings.Replace(address, "http://", "http://anna:sesame@", 1)})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := withUser.Deliver(t.Context(), Notice{Kind: KindFault, Title: "t"}); err != nil {
		t.Fatal(err)
	}
	r := <-requests
	if user, password, ok := (&http.Request{Header: r.header}).BasicAuth(); !ok || user != "anna" || password != "sesame" {
		t.Errorf("user %q, password %q", user, password)
	}
	if got := r.header.Get("Priority"); got != "default" {
		t.Errorf("a fault has priority %q", got)
	}
}

func TestWebhookRefusals(t *testing.T) {
	other, strangers := receive(t, func(http.ResponseWriter, *http.Request) {})
	for _, tt := range []struct {
		name   string
		answer http.HandlerFunc
		want   DeliveryError // its text is what ours has
	}{
		{"wrong token", status(401), DeliveryError{"check the token", 0, true}},
		{"no such topic", status(404), DeliveryError{"404 Not Found; check the address", 0, true}},
		{"too fast", func(w http.ResponseWriter, _ *http.Request) { w.Header().Set("Retry-After", "7"); w.WriteHeader(429) }, DeliveryError{"429", 7 * time.Second, false}},
		{"too slow", status(408), DeliveryError{"408", 0, false}},
		{"out of order", status(503), DeliveryError{"503", 0, false}},
		{"elsewhere", func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, other, http.StatusTemporaryRedirect) }, DeliveryError{"give the address itself", 0, true}},
		{"no HTTP", func(w http.ResponseWriter, _ *http.Request) {
			c, _, _ := http.NewResponseController(w).Hijack()
			io.WriteString(c, "SSH-2.0-x\r\n")
			c.Close()
		}, DeliveryError{"can't be reached", 0, false}},
		{"without end", func(w http.ResponseWriter, _ *http.Request) {
			w.WriteHeader(500)
			for {
				if _, err := w.Write(make([]byte, 1<<16)); err != nil {
					return
				}
			}
		}, DeliveryError{"500", 0, false}},
	} {
		address, _ := receive(t, tt.answer)
		w, err := NewWebhook(WebhookOptions{URL: address + "/sesame", Token: "tk_1"})
		if err != nil {
			t.Fatal(err)
		}
		_, err = w.Deliver(t.Context(), Notice{Kind: KindTest})
		e, ok := errors.AsType[*DeliveryError](err)
		if !ok || !strings.Contains(e.Text, tt.want.Text) || e.Wait != tt.want.Wait || e.Yours != tt.want.Yours || strings.Contains(e.Text, "sesame") || len(e.Text) > 1000 {
			t.Errorf("%s: got %+v", tt.name, err)
		}
	}
	select {
	case r := <-strangers:
		t.Errorf("a redirect was followed: %+v", r)
	default:
	}
}

func status(code int) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(code) }
}

func TestWebhookThatHangs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, err := NewWebhook(WebhookOptions{URL: "https://ntfy.example/sesame", Transport: roundTrip(func(r *http.Request) (*http.Response, error) {
			<-r.Context().Done()
			return nil, r.Context().Err()
		})})
		if err != nil {
			t.Fatal(err)
		}
		begun := time.Now()
		_, err = w.Deliver(t.Context(), Notice{})
		if took := time.Since(begun); took != noticeTimeout || err == nil || err.Error() != "no whole answer of --notify-url in 15s" {
			t.Errorf("after %v: %v", took, err)
		}
	})
}

// Pings go on while the watcher turns, whatever they are answered, and stop with it.
func TestPings(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var pings atomic.Int64
		p, err := NewPinger(PingOptions{URL: "https://ping.example/uuid", Transport: roundTrip(func(r *http.Request) (*http.Response, error) {
			pings.Add(1)
			if r.Method != http.MethodGet || r.URL.Path != "/uuid" {
				t.Errorf("got %s %s", r.Method, r.URL)
			}
			return nil, errors.New("no network")
		})})
		if err != nil {
			t.Fatal(err)
		}
		go p.Run(t.Context())
		time.Sleep(time.Hour)
		if n := pings.Load(); n != 0 {
			t.Errorf("%d pings of a watcher that never turned", n)
		}
		for range 3600 {
			p.Turn()
			time.Sleep(time.Second)
		}
		if n := pings.Load(); n < 59 || n > 61 {
			t.Errorf("%d pings in an hour, want one a minute", n)
		}
		time.Sleep(pingLate)
		before := pings.Load()
		time.Sleep(time.Hour)
		if n := pings.Load(); n != before {
			t.Errorf("%d pings after the watcher stood still", n-before)
		}
	})
}
