package interop

import (
	"context"
	"errors"
	"fmt"
	"html/template"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/chromedp"

	"github.com/twinpanel/twinpanel/app/apptest"
	"github.com/twinpanel/twinpanel/hub/hubtest"
)

// A scene is a row of the state table, or something else that changes what the page shows.
type scene struct {
	name    string
	row     string // as the page calls it
	says    string // in the main card
	silence time.Duration
	ownHub  bool               // it is stopped
	fresh   bool               // the documents are written again before each look, for what doesn't last
	set     func(s *stage)     // before the page is opened
	then    func(*stage, *tab) // with the page open
	canned  string             // one of the app's own scenes instead: it would take too long to come by
}

// scenes are all rows of the state table.
func scenes() []scene {
	lives := func(f fact) func(*stage) {
		return func(s *stage) {
			s.put("events", lately(""))
			s.lives(f.String())
		}
	}
	asked := func(f fact, armed bool, by string) func(*stage) {
		return func(s *stage) {
			lives(f)(s)
			s.put("desired", asks(armed, by))
		}
	}
	rings := func(contact string, more fact) func(*stage) {
		return func(s *stage) {
			s.put("events", lately(contact))
			s.lives(isRinging.with(more).String())
		}
	}
	beat := fact{"heartbeat_s": 1}
	return []scene{
		{name: "checking", row: "checking", says: "Checking…", set: func(s *stage) { s.put("current", isArmed.String()) }},
		{name: "never-seen", row: "never_seen", says: "Panel never seen", set: func(s *stage) {}},
		{name: "unintelligible", row: "unintelligible", says: "The panel can’t be understood", set: func(s *stage) { s.lives(`{"temperature":21}`) }},
		{name: "hub-away", row: "hub_away", says: "Last known: armed, all doors closed.", ownHub: true, set: func(s *stage) {
			s.lives(isArmed.with(doors("closed")).String())
			s.hub.Stop()
		}},
		{name: "unreachable", row: "unreachable", says: "Last known: armed, door closed.", set: lives(isArmed.with(beat))},
		{name: "unreachable-wish", row: "unreachable", says: "Last known: disarmed", set: asked(isDisarmed.with(beat).with(doors("closed")), true, "Anna")},
		{name: "withdrawn", row: "unreachable", set: func(s *stage) {
			s.lives(isDisarmed.with(beat).String())
			s.put("desired", `{"alarm_armed":false,"by":"Anna","withdrawn":true}`)
		}},
		{name: "silent-armed", row: "silent", says: "It was armed, and has said nothing since", silence: time.Second, set: lives(isArmed.with(beat))},
		{name: "silent-entry", row: "silent", says: "It should have come back after the entry delay.", set: lives(inEntry.with(doors("open")).with(fact{"left_s": 1}))},
		{name: "silent-ringing", row: "silent", says: "It fell silent while the siren rang.", set: rings("front", doors("open").with(fact{"left_s": 1}))},
		{name: "disarmed", row: "disarmed", says: "Door closed.", set: lives(isDisarmed)},
		{name: "disarmed-open", row: "disarmed", says: "Front open", set: func(s *stage) {
			s.put("events", lately("front"))
			s.lives(isDisarmed.with(doors("open")).String())
		}},
		{name: "disarmed-local", row: "disarmed", says: "Disarmed – at the panel", set: func(s *stage) {
			s.put("desired", asks(true, "Anna"))
			s.lives(isDisarmed.with(fact{"local": true}).String())
		}},
		{name: "late", row: "armed", says: "Armed", canned: "late"},
		{name: "armed", row: "armed", says: "Armed", set: asked(isArmed, true, "Anna")},
		{name: "armed-doors", row: "armed", says: "All doors closed.", set: lives(isArmed.with(doors("closed")))},
		{name: "armed-open", row: "armed", says: "Not guarded until it closes.", set: lives(isArmed.with(doors("open")))},
		{name: "armed-local", row: "armed", says: "Armed – at the panel", set: lives(isArmed.with(fact{"local": true}))},
		{name: "exit-delay", row: "exit_delay", says: "Guards when the time is over.", fresh: true, set: lives(inExit)},
		{name: "entry-delay", row: "entry_delay", says: "Disarm now", fresh: true, set: lives(inEntry.with(doors("open")))},
		{name: "ringing", row: "ringing", says: "ALARM – Front opened", set: rings("front", doors("open"))},
		{name: "ringing-one", row: "ringing", says: "ALARM – door opened", set: rings("door", nil)},
		{name: "ringing-disarming", row: "ringing", says: "ALARM", set: func(s *stage) {
			rings("front", doors("open"))(s)
			s.put("desired", asks(false, "Anna"))
		}},
		{name: "silenced", row: "silenced", says: "Guards again once closed: front.", set: lives(silencedBy.with(doors("open")))},
		{name: "rings-used", row: "silenced", says: "Armed – will not ring again", set: lives(silencedBy.with(fact{"faults": []string{"rings_used"}}))},
		{name: "arming", row: "arming", says: "Asked for by Anna at", fresh: true, set: asked(isDisarmed, true, "Anna")},
		{name: "not-armed", row: "not_armed", says: "The panel has not confirmed.", set: asked(isDisarmed, true, "Anna")},
		{name: "disarming", row: "disarming", says: "Asked for by Tom at", fresh: true, set: asked(isArmed, false, "Tom")},
		{name: "still-armed", row: "still_armed", says: "The panel has not confirmed.", set: asked(isArmed, false, "Tom")},
		{name: "faults", row: "armed", says: "front can’t be read", set: func(s *stage) {
			s.put("events", lately("front"))
			s.lives(isArmed.with(doors("fault")).with(fact{"faults": []string{"siren", "journal", "clock", "key", "weather"}}).String())
		}},
		{name: "hostile", row: "disarmed", set: func(s *stage) {
			s.put("events", fmt.Sprintf(`{"events":[{"time":"2026-11-21T21:00:00Z","what":%[1]q,"contact":%[1]q,"why":%[1]q}]}`, hostile))
			s.lives(isDisarmed.with(fact{"doors": map[string]string{hostile: "open", strings.Repeat("long", 25): "closed"}}).String())
		}},
		{name: "offline", row: "offline", says: "This phone has no connection", set: lives(isArmed), then: func(s *stage, p *tab) {
			p.loses(s, false)
		}},
		{name: "app-away", row: "app_away", says: "The app can’t be reached", set: lives(isArmed), then: func(s *stage, p *tab) {
			p.loses(s, true)
		}},
		{name: "sign-in", set: func(s *stage) { s.setPassphrase() }},
		{name: "sign-in-wrong", set: func(s *stage) { s.setPassphrase() }, then: func(s *stage, p *tab) {
			p.expect("Failed to load resource")
			p.signIn("not the passphrase", "Anna")
			p.text("signin-said", "Not signed in")
		}},
		{name: "phones", row: "disarmed", set: func(s *stage) {
			s.setPassphrase()
			s.lives(isDisarmed.String())
		}, then: func(s *stage, p *tab) {
			p.signIn(passphrase, "Tom")
			p.row("disarmed")
			evaluate[chromedp.Void](p, `document.getElementById('phone').open = true`)
			p.text("phones-list", "Anna")
			p.do(chromedp.ScrollIntoView(chromedp.ID("phone")))
		}},
	}
}

// loses makes the page lose the app, on a phone that has a network or has none.
func (p *tab) loses(s *stage, network bool) {
	p.t.Helper()
	p.row("armed")
	p.await("the page to be kept", `navigator.serviceWorker.controller !== null`)
	p.expect("Failed to load resource")
	p.hasNetwork(network)
	s.goOffline()
}

// Each row of the state table, in both colours, large and small, in both languages: the page says what is true, everything can be
// reached, axe finds nothing that keeps people out, and nothing moves on the screens of those who don't want that. The pictures are
// for somebody to look at.
func TestAppScenes(t *testing.T) {
	axe := axeSource(t)
	browser := startBrowser(t)
	shared := hubtest.Start(t)
	handler, err := apptest.Handler(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	canned := httptest.NewServer(handler)
	t.Cleanup(canned.Close)
	all := scenes()
	t.Cleanup(func() { contactSheet(t, all) })
	for _, c := range all {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			url, s := canned.URL+"/"+c.canned+"/", (*stage)(nil)
			if c.canned == "" {
				hub := shared
				if c.ownHub {
					hub = hubtest.Start(t)
				}
				s = newStage(t, hub, c.silence)
				c.set(s)
				url = s.url
			}
			p := openTab(t, browser, "about:blank")
			p.still = true
			p.show(phone, "light")
			p.do(chromedp.Navigate(url))
			if c.then != nil {
				c.then(s, p)
			}
			settle := func() {
				if c.fresh {
					s.again()
				}
				if c.row != "" {
					p.row(c.row)
				}
			}
			settle()
			if c.says != "" {
				p.row(c.row, c.says)
			}
			evaluate[chromedp.Void](p, axe)
			for _, l := range looks {
				if evaluate[string](p, `document.documentElement.lang`) != l.language {
					p.click("language")
					p.await("the language "+l.language, fmt.Sprintf(`document.documentElement.lang === %q`, l.language))
				}
				p.show(l.window, l.colours)
				settle()
				if l.window == narrow {
					p.checkReach()
					continue
				}
				if l.axe {
					p.accessible()
				}
				p.save("app/"+l.file(c.name), chromedp.CaptureScreenshot())
			}
			if n := evaluate[int](p, `document.getAnimations().length`); n > 0 {
				t.Errorf("%d parts of the page move", n)
			}
		})
	}
}

// A look is how somebody sees the page.
type look struct {
	language string
	window   window
	colours  string
	axe      bool
}

var looks = []look{
	{"en", phone, "light", true},
	{"en", phone, "dark", false},
	{"en", laptop, "light", false},
	{"en", laptop, "dark", true},
	{"en", narrow, "light", false},
	{"fr", narrow, "light", false},
	{"fr", phone, "light", true},
}

func (l look) file(scene string) string {
	return fmt.Sprintf("%s-%s-%d-%s.png", scene, l.language, l.window.width, l.colours)
}

// axeSource is the script of axe-core, which npm has put beside the tests in JavaScript. In CI it has to be there.
func axeSource(t *testing.T) string {
	t.Helper()
	script, err := os.ReadFile(filepath.Join("js", "node_modules", "axe-core", "axe.min.js"))
	switch {
	case err == nil:
		return string(script)
	case os.Getenv("CI") != "":
		t.Fatalf("%v: run npm ci in interop/js", err)
	default:
		t.Skipf("%v: run npm ci in interop/js", err)
	}
	return ""
}

// accessible fails for whatever axe finds in the page as it looks now.
func (p *tab) accessible() {
	p.t.Helper()
	ctx, cancel := context.WithTimeout(p.ctx, browserTimeout)
	defer cancel()
	const run = `axe.run(document, {resultTypes: ['violations']}).then(found => {
		if (found.passes.length < 10) throw new Error('axe looked at next to nothing');
		return found.violations.map(v => v.id + ': ' + v.help + '\n' + v.nodes.map(n => n.html + '\n' + n.failureSummary).join('\n'));
	})`
	violations, err := chromedp.Run(ctx, chromedp.Evaluate[[]string](run, chromedp.EvalAwaitPromise))
	if err != nil {
		p.t.Fatalf("axe: %v", err)
	}
	for _, v := range violations {
		p.t.Errorf("axe: %s", v)
	}
}

// checkReach fails when something in a narrow window is too wide, or a button of the switch isn't wholly to be seen without moving the page.
func (p *tab) checkReach() {
	p.t.Helper()
	if got, want := evaluate[int](p, `document.scrollingElement.scrollWidth`), evaluate[int](p, `innerWidth`); got > want {
		p.t.Errorf("in a window of %d pixels the page is %d wide", want, got)
	}
	evaluate[chromedp.Void](p, `scrollTo(0, 0)`)
	const hidden = `['arm', 'disarm'].filter(id => {
		const e = document.getElementById(id), r = e.getBoundingClientRect();
		return e.checkVisibility() && (r.left < 0 || r.top < 0 || r.right > innerWidth || r.bottom > innerHeight || r.height < 44);
	})`
	for _, id := range evaluate[[]string](p, hidden) {
		p.t.Errorf("in a small window #%s can't be reached by a thumb", id)
	}
}

// contactSheet writes a page with all pictures.
func contactSheet(t *testing.T, all []scene) {
	if artifacts() == "" {
		return
	}
	type picture struct{ Name, File string }
	var rows [][]picture
	for _, c := range all {
		var row []picture
		for _, l := range looks {
			if l.window != narrow {
				row = append(row, picture{fmt.Sprintf("%s, %s, %s", c.name, l.language, l.colours), l.file(c.name)})
			}
		}
		rows = append(rows, row)
	}
	name := filepath.Join(artifacts(), "app", "index.html")
	file, err := os.Create(name)
	if err == nil {
		err = errors.Join(sheet.Execute(file, rows), file.Close())
	}
	if err != nil {
		t.Errorf("contact sheet: %v", err)
	}
	t.Logf("all pictures: %s", name)
}

var sheet = template.Must(template.New("").Parse(`<!doctype html><meta charset="utf-8"><title>The app, row by row</title>
<style>body{font:14px sans-serif;background:#888}tr{vertical-align:top}img{height:422px}figure{margin:8px}</style>
<table>{{range .}}<tr>{{range .}}<td><figure><a href="{{.File}}"><img src="{{.File}}" alt="{{.Name}}" loading="lazy"></a><figcaption>{{.Name}}</figcaption></figure>{{end}}{{end}}</table>
`))
