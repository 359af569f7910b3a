package interop

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"
	iot "github.com/scaleway/scaleway-sdk-go/api/iot/v1"

	"github.com/twinpanel/twinpanel/hub/hubtest"
	"github.com/twinpanel/twinpanel/hub/registry"
	"github.com/twinpanel/twinpanel/twin"
)

// The topics of the specification's walk-through. The document's name is spelled as there.
const (
	putTopic     = "$SCW/twins/me/concurency/put"
	successTopic = putTopic + "/response/success"
	errorTopic   = putTopic + "/response/error"
	changedTopic = "$SCW/twins/me/concurency/changed"
)

// The console in a real browser. One browser for all: starting it takes longest.
func TestConsole(t *testing.T) {
	browser := startBrowser(t)
	for _, c := range []struct {
		name string
		test func(*testing.T, context.Context)
	}{
		{"an unknown device", testConsoleUnknownDevice},
		{"no device's id", testConsoleNoID},
		{"a secret", testConsoleSecret},
		{"the specification's walk-through", testConsoleWalkThrough},
		{"without a mouse", testConsoleKeyboard},
		{"in a small window", testConsoleSmallWindow},
		{"a request that writes the configuration", testConsoleConfig},
		{"a topic that is no request", testConsoleNoRequest},
		{"somebody else's document", testConsoleForeignDocument},
		{"the hub restarts", testConsoleRestart},
	} {
		t.Run(c.name, func(t *testing.T) { c.test(t, browser) })
	}
}

// consoleURL is where the hub has its page.
func consoleURL(h *hubtest.Hub) string {
	return strings.TrimSuffix(strings.Replace(h.WS(), "ws://", "http://", 1), "/mqtt") + "/console"
}

// rest makes a call over REST; the test ends when it fails.
func rest(t *testing.T, api *iot.API, id string, c call) string {
	t.Helper()
	answer, err := c(api, id)
	if err != nil {
		t.Fatal(err)
	}
	return answer
}

// state waits until the page says this of its connection.
func (p *tab) state(text string) {
	p.t.Helper()
	p.text("state", text)
}

// text waits until an element contains a text.
func (p *tab) text(id, text string) {
	p.t.Helper()
	p.await(fmt.Sprintf("%q in #%s", text, id), fmt.Sprintf(`document.getElementById(%q).textContent.includes(%q)`, id, text))
}

// publish sends a message from the page's form.
func (p *tab) publish(topic, payload string) {
	p.t.Helper()
	p.fill("topic", topic)
	p.fill("payload", payload)
	p.click("publish")
}

// received waits for the n-th message that the page shows on a topic, and compares its
// payload, as JSON.
func (p *tab) received(topic string, n int, want string) {
	p.t.Helper()
	list := fmt.Sprintf(`document.querySelectorAll('#log [data-direction="in"][data-topic="%s"]')`, topic)
	p.await(fmt.Sprintf("message %d on %s", n, topic), fmt.Sprintf(`%s.length >= %d`, list, n))
	got := evaluate[string](p, fmt.Sprintf(`%s[%d].querySelector('pre').textContent`, list, n-1))
	if !sameJSON(got, want) {
		p.t.Errorf("message %d on %s: got %s, want %s", n, topic, got, want)
	}
}

// sameJSON tells whether two texts are the same JSON.
func sameJSON(a, b string) bool {
	var x, y any
	return json.Unmarshal([]byte(a), &x) == nil && json.Unmarshal([]byte(b), &y) == nil && fmt.Sprint(x) == fmt.Sprint(y)
}

// checkWidth fails when a page in a narrow window has to be moved sideways, or something in it
// is wider than what it stands in.
func (p *tab) checkWidth(w window) {
	p.t.Helper()
	p.show(w, "light")
	if got := evaluate[int64](p, `document.documentElement.scrollWidth`); got > w.width {
		p.t.Errorf("in a window of %d pixels the page is %d wide", w.width, got)
	}
	const tooWide = `[...document.querySelectorAll('main *')]
		.filter(e => e.clientWidth > 0 && e.scrollWidth > e.clientWidth && !['INPUT', 'TEXTAREA'].includes(e.tagName))
		.map(e => e.tagName + ' ' + e.textContent)`
	for _, e := range evaluate[[]string](p, tooWide) {
		p.t.Errorf("in a window of %d pixels this is wider than its place: %s", w.width, e)
	}
}

// "Enabling concurrency" of the specification, with the page in the place of the vendor's
// web client.
func testConsoleWalkThrough(t *testing.T, browser context.Context) {
	h := hubtest.Start(t)
	id := string(h.AddDevice("panel").ID)
	api := sdk(t, h, h.Token)
	rest(t, api, id, put("concurency", nil, `{"test_value":"initial"}`))
	rest(t, api, id, put("concurency", new(uint32(1)), `{"test_value":"first actor"}`))

	p := openTab(t, browser, consoleURL(h))
	p.checkWidth(narrow)
	p.show(laptop, "light")
	p.fill("device", id)
	p.click("connect")
	p.state("Connected as " + id)
	p.fill("filter", "$SCW/twins/me/#")
	p.click("subscribe")

	p.publish(putTopic, `{"version": 1,"data": {"test_value": "MQTT actor"}}`)
	p.received(errorTopic, 1, `{"error":"document version mismatch","twin_id":"`+id+`","document_name":"concurency","expected_version":1,"actual_version":2}`)
	p.publish(putTopic, `{"version": 2,"data": {"test_value": "MQTT actor"}}`)
	p.received(successTopic, 1, `{"version":3,"data":{"test_value":"MQTT actor"}}`)
	if got, want := rest(t, api, id, get("concurency")), id+` concurency 3 {"test_value":"MQTT actor"}`; got != want {
		t.Errorf("over REST: got %s, want %s", got, want)
	}
	p.screenshots("console")
	p.show(laptop, "light")

	p.publish(putTopic, `{"data": {test_value}}`)
	p.text("log", "not JSON")

	p.fill("filter", changedTopic)
	p.click("subscribe")
	p.received(changedTopic, 1, `{"version":3}`)
	rest(t, api, id, put("concurency", nil, `{"test_value":"phone"}`))
	p.received(changedTopic, 2, `{"version":4}`)
	p.checkWidth(narrow)
}

func testConsoleUnknownDevice(t *testing.T, browser context.Context) {
	h := hubtest.Start(t)
	p := openTab(t, browser, consoleURL(h))
	p.fill("device", unknownID)
	p.click("connect")
	p.state("The hub refused this device.")
	p.text("hint", "hub device list")
	p.screenshots("console-unknown-device")
	p.checkWidth(narrow)
}

func testConsoleNoID(t *testing.T, browser context.Context) {
	h := hubtest.Start(t)
	p := openTab(t, browser, consoleURL(h))
	p.fill("device", "panel")
	p.click("connect")
	p.text("device-error", "This is no device id.")
	p.text("state", "Not connected.")
}

// A device that has a secret and may not do without: the wrong one is refused, the right one opens it.
func testConsoleSecret(t *testing.T, browser context.Context) {
	h := hubtest.Start(t)
	d, err := registry.NewDevice("panel")
	if err != nil {
		t.Fatal(err)
	}
	secret := registry.NewSecret()
	d.Secret = registry.HashSecret(secret)
	if err := h.Registry.AddDevice(t.Context(), d); err != nil {
		t.Fatal(err)
	}
	p := openTab(t, browser, consoleURL(h))
	p.fill("device", string(d.ID))
	for _, wrong := range []string{"", "x" + secret} {
		p.fill("secret", wrong)
		p.click("connect")
		p.state("The hub refused this device.")
	}
	p.text("hint", "secret")
	p.fill("secret", secret)
	p.click("connect")
	p.state("Connected as " + string(d.ID))
	p.checkWidth(narrow)
}

// What a mouse can do, the keyboard can.
func testConsoleKeyboard(t *testing.T, browser context.Context) {
	h := hubtest.Start(t)
	id := string(h.AddDevice("panel").ID)
	p := openTab(t, browser, consoleURL(h))
	p.tabTo("device")
	p.do(chromedp.KeyEvent(id + kb.Enter))
	p.state("Connected as " + id)
	p.tabTo("subscribe")
	p.do(chromedp.KeyEvent(kb.Enter))
	p.tabTo("topic")
	p.do(chromedp.KeyEvent("$SCW/twins/me/desired/put"))
	p.tabTo("payload")
	p.do(chromedp.KeyEvent(`{"data":{"alarm_armed":true}}`))
	p.tabTo("publish")
	p.do(chromedp.KeyEvent(kb.Enter))
	p.received("$SCW/twins/me/desired/put/response/success", 1, `{"version":1,"data":{"alarm_armed":true}}`)
}

// Where a page is tried out most, beside an editor, the button is in sight, and so is what
// came last.
func testConsoleSmallWindow(t *testing.T, browser context.Context) {
	h := hubtest.Start(t)
	id := string(h.AddDevice("panel").ID)
	url := consoleURL(h)
	p := openTab(t, browser, url+"#"+id)
	host := strings.TrimSuffix(strings.TrimPrefix(url, "http://"), "/console")
	if got, want := evaluate[string](p, `document.title`), "Console · "+host; got != want {
		t.Errorf("title: got %q, want %q", got, want)
	}
	p.show(small, "light")
	p.state("Connected as")
	p.click("subscribe")
	p.text("list", "Unsubscribe")
	if got := evaluate[float64](p, `document.getElementById('publish').getBoundingClientRect().bottom`); got > float64(small.height) {
		t.Errorf("the button Publish ends at %v, below the window of %d", got, small.height)
	}
	for n := range 6 {
		p.publish("$SCW/twins/me/desired/get", "")
		p.received("$SCW/twins/me/desired/get/response/error", n+1, `{"error":"document not found"}`)
	}
	for _, w := range []window{small, laptop, narrow, {1000, 500}, laptop, small} {
		p.show(w, "light")
		p.await(fmt.Sprintf("the end of the log at %dx%d", w.width, w.height),
			`(box => box.scrollHeight - box.scrollTop - box.clientHeight < 2)(document.getElementById('log'))`)
	}
	p.screenshots("console-small-window")
}

func testConsoleConfig(t *testing.T, browser context.Context) {
	h := hubtest.Start(t)
	id := h.AddDevice("panel").ID
	p := openTab(t, browser, consoleURL(h)+"#"+string(id))
	p.state("Connected as")
	p.click("subscribe")
	p.text("list", "Unsubscribe")
	p.fill("document", " config")
	p.do(chromedp.Focus(chromedp.ID("topic")))
	without := p.picture("document")
	p.fill("document", "_config")
	p.do(chromedp.Focus(chromedp.ID("topic")))
	if bytes.Equal(p.picture("document"), without) {
		t.Error("the field does not show the underscore of _config")
	}
	p.do(chromedp.Click(`[data-fill="put"]`))
	p.click("publish")
	p.received("$SCW/twins/me/_config/put/response/success", 1, `{"version":1,"data":{"documents":{"current":{"_tsdb_trigger":"on-change"}}}}`)
}

func testConsoleNoRequest(t *testing.T, browser context.Context) {
	h := hubtest.Start(t)
	p := openTab(t, browser, consoleURL(h)+"#"+string(h.AddDevice("panel").ID))
	p.state("Connected as")
	p.publish("$SCW/twins/me/desired/get", "")
	p.text("unheard", "Nothing is subscribed")
	p.click("subscribe")
	p.text("list", "Unsubscribe")
	p.publish("$SCW/twins/me/desired/putt", `{"data": {}}`)
	p.text("unheard", "No answer will come")
	p.screenshots("console-no-request")
	p.checkWidth(narrow)
	p.publish("$SCW/twins/me/desired/put", `{"data": {}}`)
	p.await("no note", `document.getElementById('unheard').textContent === ''`)
}

func testConsoleRestart(t *testing.T, browser context.Context) {
	h := hubtest.Start(t)
	id := string(h.AddDevice("panel").ID)
	p := openTab(t, browser, consoleURL(h)+"#"+id)
	p.state("Connected as " + id)
	p.fill("filter", "$SCW/twins/me/desired/get/#")
	p.click("subscribe")
	p.text("list", "$SCW/twins/me/desired/get/#")

	h.Stop()
	p.state("The connection is lost.")
	p.screenshots("console-lost")
	p.expect("WebSocket connection to") // Chromium's own words about one that fails
	p.click("connect")
	p.state("No connection to ws://")

	h.Restart()
	p.click("connect")
	p.state("Connected as " + id)
	p.publish("$SCW/twins/me/desired/get", "")
	p.received("$SCW/twins/me/desired/get/response/error", 1, `{"error":"document not found"}`)
}

// What others have written is text, whatever it looks like, and doesn't grow on the page
// beyond what it holds.
func testConsoleForeignDocument(t *testing.T, browser context.Context) {
	h := hubtest.Start(t)
	d := h.AddDevice("panel")
	h.MustPut(d.ID, "html", `{"a":"<img src=x onerror=alert(1)><script>alert(2)</script>"}`)
	h.MustPut(d.ID, "long", `{"a":`+strings.Repeat("[", 30)+strings.Repeat("1,", 100_000)+"1"+strings.Repeat("]", 30)+`}`)
	p := openTab(t, browser, consoleURL(h)+"#"+string(d.ID))
	p.state("Connected as")
	p.click("subscribe")
	for _, name := range []twin.Name{"html", "long"} {
		p.publish("$SCW/twins/me/"+string(name)+"/get", "")
		p.received("$SCW/twins/me/"+string(name)+"/get/response/success", 1, string(h.MustGet(d.ID, name).Encode()))
	}
	if n := evaluate[int](p, `document.querySelectorAll('#log img, #log script').length`); n != 0 {
		t.Errorf("the document became %d elements of the page", n)
	}
	if n := evaluate[int](p, `document.getElementById('log').textContent.length`); n > 300_000 {
		t.Errorf("the page shows %d characters, want no more than the 200,000 that came", n)
	}
}
