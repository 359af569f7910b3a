package interop

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/cdproto/network"
	"github.com/chromedp/chromedp"

	"github.com/twinpanel/twinpanel/hub/hubtest"
)

// A panel that is gone is neither armed nor disarmed, and a tap says what will become of it.
func testAppPanelKilled(t *testing.T, browser context.Context) {
	h := newHousehold(t)
	h.panelFlags = []string{"--heartbeat", "5s"}
	h.startAll()
	p := h.openApp(browser, "Anna")
	p.row("disarmed")
	h.panel.kill()
	p.row("unreachable", "Panel unreachable", "Last known: disarmed, door closed.")
	p.text("age", "Last sign of life")
	p.text("said", "A tap now waits until the panel is back. An arming is taken back after two minutes.")
	if evaluate[bool](p, `document.querySelector('.switch [aria-pressed=true]') !== null`) {
		t.Error("the switch says what nobody knows")
	}
	p.click("arm")
	p.text("said", "Arming by Anna waits until the panel is back.")
	p.text("said-left", "Taken back in ")
	p.never("Armed", "Arming…")
	h.startPanel()
	p.row("armed", "Armed")
	p.text("said", "")
}

// Who smashes the panel before the siren sounds is an alarm for the app.
func testAppPanelSmashed(t *testing.T, browser context.Context) {
	notices := make(chan string, 100)
	receiver := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		notices <- fmt.Sprintf("%v\n%s", r.Header, body)
	}))
	t.Cleanup(receiver.Close)
	h := newHousehold(t)
	h.panelFlags = []string{"--entry-delay", "10s", "--heartbeat", "5s"}
	h.appFlags = []string{"--notify-url", receiver.URL}
	h.startAll()
	p := h.openApp(browser, "")
	p.row("disarmed")
	p.click("arm")
	p.row("armed")
	h.door(true)
	p.row("entry_delay", "Disarm now", "Otherwise the siren sounds.")
	p.await("a countdown", `/^0:(10|0[1-9])$/.test(document.getElementById('left-time').textContent)`)
	h.panel.kill()
	p.row("silent", "The panel fell silent", "It should have come back after the entry delay.", "Last known: entry delay, door open.")
	if said := evaluate[string](p, `document.getElementById('alert').innerText`); !strings.Contains(said, "fell silent") {
		t.Errorf("the alert says %q", said)
	}
	for late := time.After(patience); ; {
		select {
		case notice := <-notices:
			if strings.Contains(notice, "[The panel fell silent]") && strings.Contains(notice, "after the entry delay") {
				return
			}
		case <-late:
			t.Fatal("no notice of it came")
		}
	}
}

// A hub that is gone is not a panel that is gone.
func testAppHubKilled(t *testing.T, browser context.Context) {
	h := newHousehold(t)
	h.startAll()
	p := h.openApp(browser, "")
	p.row("disarmed")
	p.click("arm")
	p.row("armed")
	h.hub.kill()
	p.row("hub_away", "No connection to the hub", "It can’t be reached since", "Last known: armed, door closed.")
	p.never("Panel unreachable")
	p.text("cause", "connection refused")
	p.text("said", "A tap can’t get through while the hub is away.")
	p.expect("Failed to load resource") // the wish's
	p.click("disarm")
	p.text("said", "Disarming failed: the app can’t reach the hub.")
	p.never("Disarmed", "Disarming…")
	h.startHub()
	p.row("armed", "Armed", "Door closed.")
}

// A phone without a network says so at once, and shows nothing old as new.
func testAppPhoneOffline(t *testing.T, browser context.Context) {
	h := newHousehold(t)
	h.startAll()
	p := h.openApp(browser, "")
	p.row("disarmed")
	p.expect("Failed to load resource")
	p.offline(true)
	p.row("offline", "This phone has no connection", "Last known: disarmed, door closed.")
	if !evaluate[bool](p, `document.body.classList.contains('old')`) {
		t.Error("what is old is not grey")
	}
	p.text("said", "A tap can’t get through without a connection.")
	p.click("arm")
	p.text("said", "Arming failed: no answer from the app")
	p.offline(false)
	p.row("disarmed", "Disarmed")
	p.click("arm")
	p.row("armed", "Armed")
}

// A page whose computer has slept doesn't show what it knew before as what is: it asks anew.
func testAppSlept(t *testing.T, browser context.Context) {
	h := newHousehold(t)
	h.startAll()
	p := h.openApp(browser, "")
	p.row("disarmed")
	evaluate[bool](p, `(() => {
		const now = Date.now;
		Date.now = () => now() + 3_600_000;
		window.rows = [];
		new MutationObserver(() => rows.push(document.body.dataset.row)).observe(document.body, { attributes: true });
		return true;
	})()`)
	p.await("a page that asks anew", `rows.includes('connecting')`)
	p.row("disarmed", "Disarmed")
}

// offline cuts the page off from all networks, or ends that.
func (p *tab) offline(on bool) {
	p.t.Helper()
	p.do(chromedp.Func(func(ctx context.Context, target *chromedp.Target) error {
		_, err := chromedp.Call(ctx, network.OverrideNetworkState, network.OverrideNetworkStateParams{Offline: on, DownloadThroughput: -1, UploadThroughput: -1})
		if err != nil {
			return err
		}
		_, err = chromedp.Call(ctx, network.EmulateNetworkConditionsByRule, network.EmulateNetworkConditionsByRuleParams{
			EmulateOfflineServiceWorker: new(on),
			MatchedNetworkConditions:    []*network.Conditions{{Offline: on, DownloadThroughput: -1, UploadThroughput: -1}},
		})
		return err
	}))
}

// hasNetwork makes the browser say so, until the page is loaded again: where tests run there may be none.
func (p *tab) hasNetwork(has bool) {
	p.t.Helper()
	evaluate[bool](p, fmt.Sprintf(`Object.defineProperty(navigator, 'onLine', { configurable: true, get: () => %t }).onLine`, has))
}

// A phone keeps the page and nothing that the app says. Without the app, the page opens and says so.
func testAppShell(t *testing.T, browser context.Context) {
	h := newHousehold(t)
	h.startAll()
	p := h.openApp(browser, "")
	p.row("disarmed")
	const keptPaths = `(async () => {
		await navigator.serviceWorker.ready;
		const kept = [];
		for (const name of await caches.keys()) {
			for (const request of await (await caches.open(name)).keys()) kept.push(new URL(request.url).pathname);
		}
		return kept;
	})()`
	ctx, cancel := context.WithTimeout(p.ctx, browserTimeout)
	defer cancel()
	kept, err := chromedp.Run(ctx, chromedp.Evaluate[[]string](keptPaths, chromedp.EvalAwaitPromise))
	if err != nil {
		t.Fatal(err)
	}
	has := map[string]bool{}
	for _, path := range kept {
		if has[path] = true; strings.HasPrefix(path, "/api/") {
			t.Errorf("the phone keeps %s", path)
		}
	}
	for _, path := range []string{"/", "/app.js", "/app.css", "/words/en.json", "/words/fr.json", "/manifest.webmanifest"} {
		if !has[path] {
			t.Errorf("the phone doesn't keep %s; it keeps %v", path, kept)
		}
	}
	p.await("the service worker", `navigator.serviceWorker.controller !== null`)

	p.expect("Failed to load resource")
	p.hasNetwork(true)
	h.app.kill()
	p.row("app_away", "The app can’t be reached")
	p.do(chromedp.Reload())
	p.hasNetwork(true)
	p.row("app_away", "The app can’t be reached")
	p.hasNetwork(false)
	p.row("offline", "This phone has no connection")
	p.never("isarmed", "Armed", "door closed")
	h.startApp()
	p.row("disarmed", "Disarmed")
}

// What the hub refuses is not shown as if it were so.
func testAppRefusedWish(t *testing.T, browser context.Context) {
	for _, c := range []struct {
		name    string
		refuses func(*household)
		says    string
	}{
		{"it can't write now", func(h *household) {
			h.toApp = h.proxy(func(w http.ResponseWriter, r *http.Request) bool {
				if r.Method != http.MethodPut {
					return true
				}
				http.Error(w, "no room", http.StatusServiceUnavailable)
				return false
			})
		}, "Arming failed: the app can’t reach the hub."},
		{"the token may only read", func(h *household) { h.token = h.addToken("reader", "--read-only") }, "Arming failed: the hub refuses it."},
	} {
		t.Run(c.name, func(t *testing.T) {
			h := newHousehold(t)
			h.startPanel()
			c.refuses(h)
			h.startApp()
			p := h.openApp(browser, "")
			p.row("disarmed")
			p.expect("Failed to load resource")
			p.click("arm")
			p.text("said", c.says)
			p.pressed("disarm")
			p.row("disarmed", "Disarmed")
			p.never("Armed", "Arming…")
			if !evaluate[bool](p, `document.getElementById('again').checkVisibility()`) {
				t.Error("there is no button to try again")
			}
		})
	}
}

// proxy passes requests of the app on to the hub if pass says so, and returns its address. It answers others itself.
func (h *household) proxy(pass func(http.ResponseWriter, *http.Request) bool) string {
	forward := httputil.NewSingleHostReverseProxy(&url.URL{Scheme: "http", Host: h.rest})
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if pass(w, r) {
			forward.ServeHTTP(w, r)
		}
	}))
	h.t.Cleanup(s.Close)
	return s.Listener.Addr().String()
}

// vendorCalls are what the app may ask of a hub: what the vendor's API has.
var vendorCalls = regexp.MustCompile(`^(GET|PUT|PATCH) /iot/v1/regions/fr-par/twins/[0-9a-f-]{36}/documents/(current|desired|events)$`)

// Everything works at a hub that has the vendor's API and nothing more: no calls, headers or change notices of this project's own.
func testAppVendorShape(t *testing.T, browser context.Context) {
	own := hubtest.Start(t)
	own.DropNotices(true)
	address := func(u string) string {
		at, err := url.Parse(u)
		if err != nil {
			t.Fatal(err)
		}
		return at.Host
	}
	h := &household{t: t, dir: t.TempDir(), house: "127.0.0.1:0", page: "127.0.0.1:0", rest: address(own.REST()), mqtt: address(own.MQTT()),
		token: own.Token, device: own.AddDevice("panel").ID}
	h.panel = start(t, "panel", nil, "--hub", own.MQTT(), "--device-id", string(h.device), "--insecure", "--simulate", h.house, "--state-dir", h.file("state"))
	h.house = h.panel.said(`^house at http://([^/]+)`)
	plain := &http.Client{Transport: &http.Transport{DisableCompression: true}}
	strict := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		call := r.Method + " " + r.URL.RequestURI()
		if !vendorCalls.MatchString(call) {
			t.Errorf("the app asks the hub for what the vendor's doesn't have: %s", call)
		}
		for key := range r.Header {
			switch key {
			case "X-Auth-Token", "Content-Type", "Content-Length", "Accept", "Accept-Encoding", "User-Agent":
			default:
				t.Errorf("the app sends the header %s", key)
			}
		}
		on, err := http.NewRequestWithContext(r.Context(), r.Method, "http://"+h.rest+r.URL.RequestURI(), r.Body)
		if err != nil {
			t.Error(err)
			return
		}
		on.Header.Set("X-Auth-Token", r.Header.Get("X-Auth-Token"))
		on.ContentLength = r.ContentLength
		answer, err := plain.Do(on)
		if err != nil {
			w.WriteHeader(http.StatusBadGateway)
			return
		}
		defer answer.Body.Close()
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(answer.StatusCode)
		io.Copy(w, answer.Body)
	}))
	t.Cleanup(strict.Close)
	h.toApp = strict.Listener.Addr().String()
	h.startApp()

	p := h.openApp(browser, "Anna")
	p.row("disarmed", "Disarmed")
	p.click("arm")
	p.row("armed", "Armed", "Door closed.")
	h.door(true)
	p.row("ringing", "ALARM – door opened ")
	p.click("disarm")
	p.row("disarmed", "Disarmed", "Door open.")
	if h.siren() {
		t.Error("the page says disarmed while the siren sounds")
	}
	p.text("events-list", "by Anna")
}
