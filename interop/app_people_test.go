package interop

import (
	"context"
	"fmt"
	"strings"
	"testing"

	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/cdproto/network"
	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"

	"github.com/twinpanel/twinpanel/hub/hubtest"
)

const passphrase = "correct horse battery staple"

// signIn fills in the form.
func (p *tab) signIn(passphrase, name string) {
	p.t.Helper()
	p.await("the form", `document.getElementById('signin').checkVisibility() && !document.getElementById('signin-go').disabled`)
	p.fill("passphrase", passphrase)
	if name != "" {
		p.fill("phone-new", name)
	}
	p.click("signin-go")
}

// A phone gets in with the passphrase alone, stays in, and when it is out it sees nothing.
func testAppPassphrase(t *testing.T, browser context.Context) {
	h := newHousehold(t)
	run(t, "app", passphrase+"\n", "passphrase", "--data", h.file("app"))
	h.startAll()
	p := openTab(t, browser, h.url())
	p.expect("Failed to load resource") // refused sign-ins
	p.sees(false)
	for range 5 {
		p.signIn("correct horse battery stable", "Anna")
		p.text("signin-said", "Not signed in: the passphrase is wrong.")
		evaluate[chromedp.Void](p, `document.getElementById('signin-said').textContent = ''`)
	}
	p.signIn(passphrase, "")
	p.text("signin-said", "Not signed in: too many attempts. Wait 0:0")
	p.await("a wait", `document.getElementById('signin-go').disabled`)
	p.signIn(passphrase, "")
	p.row("disarmed", "Disarmed")
	p.sees(true)

	cookies, err := chromedp.Call(p.ctx, network.GetCookies, network.GetCookiesParams{})
	if err != nil {
		t.Fatal(err)
	}
	if len(cookies.Cookies) != 1 {
		t.Fatalf("the phone has %d cookies", len(cookies.Cookies))
	}
	if c := cookies.Cookies[0]; !c.HTTPOnly || c.SameSite != network.CookieSameSiteStrict || c.Path != "/" || c.Session {
		t.Errorf("the cookie is %+v", c)
	}

	p.hasNetwork(true)
	h.app.kill()
	p.row("app_away", "The app can’t be reached")
	h.startApp()
	p.row("disarmed", "Disarmed") // the same session
	p.do(chromedp.Reload())
	p.row("disarmed", "Disarmed")

	tom := openTab(t, browser, h.url())
	tom.expect("Failed to load resource")
	tom.signIn(passphrase, "Tom")
	tom.row("disarmed")
	tom.do(chromedp.Click(chromedp.CSS("#phone summary")))
	tom.text("phones-list", "Anna")
	tom.do(chromedp.Click(chromedp.CSS("#phones-list button")))
	tom.text("phone-said", "Anna is signed out.")
	tom.click("language")
	tom.await("no old news in French", `document.documentElement.lang === 'fr' && document.getElementById('phone-said').textContent === ''`)
	tom.click("language")
	tom.await("English", `document.documentElement.lang === 'en'`)
	p.text("signin-said", "This phone is signed out.")
	p.sees(false)
	tom.click("signout")
	tom.text("signin-said", "This phone is signed out.")
	tom.sees(false)
}

// sees checks what a phone gets to see: all, or nothing but the form.
func (p *tab) sees(all bool) {
	p.t.Helper()
	ctx, cancel := context.WithTimeout(p.ctx, browserTimeout)
	defer cancel()
	requests := []string{`fetch('api/stream')`, `fetch('api/phones')`}
	if !all {
		requests = append(requests, `fetch('api/wish', {method: 'POST', body: '{"armed":true}'})`)
	}
	for _, request := range requests {
		status, err := chromedp.Run(ctx, chromedp.Evaluate[int](request+`.then(answer => { answer.body.cancel(); return answer.status; })`, chromedp.EvalAwaitPromise))
		if err != nil {
			p.t.Fatal(err)
		}
		if want := map[bool]int{false: 401, true: 200}[all]; status != want {
			p.t.Errorf("%s: got %d, want %d", request, status, want)
		}
	}
	if shown := evaluate[bool](p, `document.getElementById('alarm').checkVisibility()`); shown != all {
		p.t.Errorf("the alarm is shown: %t", shown)
	}
}

// A French phone speaks French. What is chosen on a phone counts more, and is remembered.
func testAppFrench(t *testing.T, browser context.Context) {
	h := newHousehold(t)
	h.startAll()
	p := openTab(t, browser, "about:blank")
	p.speaks("fr-FR,en")
	p.do(chromedp.Navigate(h.url()))
	p.row("disarmed", "Désarmée", "Porte fermée.")
	p.language("fr", "Armer")
	p.click("arm")
	p.row("armed", "Armée")
	h.door(true)
	p.row("ringing", "ALARME – porte ouverte à ")
	p.await("the end of the ring, as the French write times", `/La sirène s’arrête d’elle-même à \d\d:\d\d\./.test(document.getElementById('alert').textContent)`)
	p.click("disarm")
	p.row("disarmed", "Désarmée", "Porte ouverte.")
	p.await("times of the day", `/^\d\d:\d\d:\d\d$/.test(document.querySelector('#events-list time').textContent)`)
	p.text("events-list", "Sirène arrêtée")

	p.click("language")
	p.language("en", "Arm")
	p.row("disarmed", "Disarmed", "Door open.")
	p.do(chromedp.Reload())
	p.row("disarmed", "Disarmed")
	p.language("en", "Arm")
	p.click("language")
	p.language("fr", "Armer")
	p.speaks("en-US")
	p.do(chromedp.Reload())
	p.row("disarmed", "Désarmée")
	p.language("fr", "Armer")
}

// speaks sets the languages of the phone.
func (p *tab) speaks(languages string) {
	p.t.Helper()
	agent := evaluate[string](p, `navigator.userAgent`)
	if _, err := chromedp.Call(p.ctx, emulation.SetUserAgentOverride, emulation.SetUserAgentOverrideParams{UserAgent: agent, AcceptLanguage: languages}); err != nil {
		p.t.Fatal(err)
	}
}

// language waits until the page is in a language, in which the button arm says this.
func (p *tab) language(is, arm string) {
	p.t.Helper()
	p.await("the language "+is, fmt.Sprintf(`document.documentElement.lang === %q && document.getElementById('arm').textContent === %q`, is, arm))
}

// hostile would be run if anything were read as HTML.
const hostile = `<img src=x onerror=alert(1)></script><script>alert(2)</script>`

// Whatever a name or a value is, it is text.
func testAppHostile(t *testing.T, browser context.Context) {
	own := hubtest.Start(t)
	s := newStage(t, own, 0)
	s.lives(fmt.Sprintf(`{"alarm_armed":false,"siren_ringing":false,"door_open":true,"heartbeat_s":300,"faults":["<b>fault</b>",7],
		"doors":{%[1]q:"open","__proto__":"closed","constructor":{"open":true},"{door}":"open"},"last_update":"<b>today</b>","state":"<i>"}`, hostile))
	s.put("events", fmt.Sprintf(`{"events":[{"time":"2026-11-21T21:00:00Z","what":%[1]q,"contact":%[1]q,"why":%[1]q},7,{"time":"soon","what":"armed","by":%[1]q,"why":"desired 1"}]}`, hostile))
	s.put("desired", fmt.Sprintf(`{"alarm_armed":true,"by":%q}`, hostile))
	p := openTab(t, browser, s.url)
	p.await("whose wish it is", fmt.Sprintf(`document.getElementById('status').textContent.includes(%q)`, "Asked for by "+hostile))
	p.text("doors-list", hostile)
	p.text("doors-list", "{door}")
	p.text("faults-list", "<b>fault</b>")
	p.text("events-list", hostile)
	p.name(hostile[:28])
	p.text("phone-short", hostile[:28])
	p.click("language")
	p.await("the same in French", fmt.Sprintf(`document.getElementById('status').textContent.includes(%q)`, "Demandé par "+hostile))
	if found := evaluate[int](p, `document.querySelectorAll('main img, main script, main b, main i:not([class])').length`); found != 0 {
		t.Errorf("%d elements were made of text", found)
	}
	p.click("disarm") // by a phone of that name
	p.text("said", "")
	p.row("disarmed")
	if by := string(own.MustGet(s.device, "desired").Data); !strings.Contains(by, "onerror") {
		t.Errorf("desired is %s", by)
	}
}

// All can be done with the keyboard, and one sees where one is.
func testAppKeyboard(t *testing.T, browser context.Context) {
	h := newHousehold(t)
	h.startAll()
	p := openTab(t, browser, h.url())
	p.row("disarmed")
	p.tabTo("arm")
	p.focusShows()
	p.do(chromedp.KeyEvent(kb.Enter))
	p.row("armed")
	h.door(true)
	p.row("ringing")
	p.await("the focus on no button", `document.activeElement.id === 'dock'`)
	p.focusShows()
	p.do(chromedp.KeyEvent(kb.Enter)) // does nothing
	p.row("ringing")
	p.do(chromedp.KeyEvent(kb.Tab))
	p.await("the focus on disarm", `document.activeElement.id === 'disarm'`)
	p.focusShows()
	p.do(chromedp.KeyEvent(kb.Enter))
	p.row("disarmed")
	p.await("the focus where it was", `document.activeElement.id === 'disarm'`)
}

// focusShows checks that the element with the focus has an outline.
func (p *tab) focusShows() {
	p.t.Helper()
	const outline = `(s => s.outlineStyle !== 'none' && parseFloat(s.outlineWidth) >= 2)(getComputedStyle(document.activeElement))`
	if !evaluate[bool](p, outline) {
		p.t.Errorf("nobody sees that #%s has the focus", evaluate[string](p, `document.activeElement.id`))
	}
}
