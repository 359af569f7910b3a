package interop

import (
	"context"
	"fmt"
	"sync"
	"testing"

	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"
)

// The app's page in a real browser, with the real hub and panel. Most of the time is spent waiting for what the panel or the app
// owes within seconds, so the tests do so at once.
func TestApp(t *testing.T) {
	browser := startBrowser(t)
	for _, c := range []struct {
		name string
		test func(*testing.T, context.Context)
	}{
		{"an evening", testAppEvening},
		{"the panel is killed", testAppPanelKilled},
		{"the panel is killed in an entry delay", testAppPanelSmashed},
		{"the hub is killed", testAppHubKilled},
		{"the phone is offline", testAppPhoneOffline},
		{"the computer of the page has slept", testAppSlept},
		{"the page without a connection", testAppShell},
		{"a passphrase", testAppPassphrase},
		{"two phones", testAppTwoPhones},
		{"a wish that the hub doesn't take", testAppRefusedWish},
		{"no extension of this hub", testAppVendorShape},
		{"French", testAppFrench},
		{"hostile names", testAppHostile},
		{"without a mouse", testAppKeyboard},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			c.test(t, browser)
		})
	}
}

// openApp opens the page on a phone that has a name there, if it is given one.
func (h *household) openApp(browser context.Context, name string) *tab {
	h.t.Helper()
	p := openTab(h.t, browser, h.url())
	p.show(phone, "light")
	if name != "" {
		p.await("this phone's part", `document.body.dataset.page === 'alarm'`)
		p.name(name)
	}
	return p
}

func (h *household) url() string { return "http://" + h.page + "/" }

// name gives the phone a name.
func (p *tab) name(name string) {
	p.t.Helper()
	evaluate[chromedp.Void](p, `document.getElementById('phone').open = true`)
	p.fill("phone-name", name)
	p.do(chromedp.KeyEvent(kb.Enter))
	p.text("phone-said", "Saved.")
	evaluate[chromedp.Void](p, `document.getElementById('phone').open = false`)
}

// row waits until the page shows a row of the state table, and says this.
func (p *tab) row(row string, says ...string) {
	p.t.Helper()
	p.await("the row "+row, fmt.Sprintf(`document.body.dataset.row === %q`, row))
	for _, text := range says {
		p.await(fmt.Sprintf("%q", text), fmt.Sprintf(`(document.getElementById('status').textContent + document.getElementById('alert').textContent).includes(%q)`, text))
	}
}

// pressed waits until a button of the switch says that it is on, and the other that it isn't.
func (p *tab) pressed(id string) {
	p.t.Helper()
	other := map[string]string{"arm": "disarm", "disarm": "arm"}[id]
	p.await(id+" on", fmt.Sprintf(`document.getElementById(%q).ariaPressed === 'true' && document.getElementById(%q).ariaPressed === 'false'`, id, other))
}

// never is what the page must not say now.
func (p *tab) never(texts ...string) {
	p.t.Helper()
	for _, text := range texts {
		if evaluate[bool](p, fmt.Sprintf(`document.querySelector('.state').innerText.includes(%q)`, text)) {
			p.t.Errorf("the page says %q", text)
		}
	}
}

// Arm, open, ring, disarm: each with one tap, and the events say whose it was.
func testAppEvening(t *testing.T, browser context.Context) {
	h := newHousehold(t)
	h.startAll()
	p := h.openApp(browser, "Anna")
	p.row("disarmed", "Disarmed", "Door closed.")
	p.pressed("disarm")
	p.click("arm")
	p.row("armed", "Armed", "Door closed.")
	p.pressed("arm")

	h.door(true)
	p.row("ringing", "ALARM – door opened ")
	if role := evaluate[string](p, `document.getElementById('alert').getAttribute('role') + ' ' + document.querySelectorAll('[role=alert]').length`); role != "alert 1" {
		t.Errorf("the alarm is in an element with the role %s", role)
	}
	if polite := evaluate[string](p, `document.getElementById('status').innerText.trim()`); polite != "" {
		t.Errorf("beside the alert the page says politely: %s", polite)
	}
	if !h.siren() {
		t.Error("the page shows an alarm while the siren is silent")
	}
	p.click("disarm")
	p.row("disarmed", "Disarmed", "Door open.")
	if h.siren() {
		t.Error("the page says disarmed while the siren sounds")
	}
	p.text("events-list", "Siren stopped")
	for _, what := range []string{"Siren stopped", "Disarmed", "Armed"} {
		p.await(what+" by Anna", fmt.Sprintf(`[...document.querySelectorAll('#events-list li')].some(e =>
			e.querySelector('.what').textContent === %q && e.querySelector('.why')?.textContent === 'by Anna')`, what))
	}
	var desired struct {
		Armed bool   `json:"alarm_armed"`
		By    string `json:"by"`
	}
	if h.document("desired", &desired); desired.Armed || desired.By != "Anna" {
		t.Errorf("desired is %+v", desired)
	}
}

// Two phones that tap against each other, twice at a time, come to one end, and it is the house's.
func testAppTwoPhones(t *testing.T, browser context.Context) {
	h := newHousehold(t)
	h.startAll()
	anna, tom := h.openApp(browser, "Anna"), h.openApp(browser, "Tom")
	anna.row("disarmed")
	tom.row("disarmed")
	const taps = `(async () => {
		for (const id of [%s]) {
			document.getElementById(id).click();
			document.getElementById(id).click();
			await new Promise(done => setTimeout(done, 20));
		}
	})()`
	var tapping sync.WaitGroup
	tapping.Go(func() { anna.finish(fmt.Sprintf(taps, `'arm', 'disarm', 'arm', 'disarm'`)) })
	tapping.Go(func() { tom.finish(fmt.Sprintf(taps, `'disarm', 'arm', 'disarm', 'arm'`)) })
	tapping.Wait()

	const settled = `['armed', 'disarmed'].includes(document.body.dataset.row) && !document.querySelector('.switch .asked')
		&& document.getElementById('said').textContent === ''`
	same := func() (string, bool) {
		anna.await("an end on Anna's phone", settled)
		tom.await("an end on Tom's phone", settled)
		const looks = `document.querySelector('.state .words').innerText.replaceAll(/\d+ s/g, '') + document.querySelector('.switch [aria-pressed=true]').id`
		a, b := evaluate[string](anna, looks), evaluate[string](tom, looks)
		return a + "\nand\n" + b, a == b
	}
	both, ok := same()
	for range 20 { // one may have been told before the other
		if ok {
			break
		}
		both, ok = same()
	}
	if !ok {
		t.Errorf("the phones differ:\n%s", both)
	}
	var desired, current struct {
		Armed bool `json:"alarm_armed"`
	}
	h.document("desired", &desired)
	h.document("current", &current)
	shown := evaluate[string](anna, `document.body.dataset.row`) == "armed"
	if desired != current || current.Armed != shown {
		t.Errorf("desired is %t, current %t, and the phones show %t", desired.Armed, current.Armed, shown)
	}
}

// finish runs a script until its promise is kept.
func (p *tab) finish(script string) {
	ctx, cancel := context.WithTimeout(p.ctx, browserTimeout)
	defer cancel()
	if err := chromedp.Do(ctx, chromedp.Evaluate[chromedp.Void](script, chromedp.EvalAwaitPromise)); err != nil {
		p.t.Errorf("in the page: %v", err)
	}
}
