package interop

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/cdproto/page"
	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"
)

// pollEvery is how often a test looks whether what it waits for is there. Each frame would be more often, but then the page
// would have to be drawn for each.
const pollEvery = 50 * time.Millisecond

// browserTimeout bounds everything that a test waits for in a page.
const browserTimeout = time.Minute

// startBrowser starts Chromium, which ends with the test. The context is for tabs.
func startBrowser(t *testing.T) context.Context {
	t.Helper()
	options := append(chromedp.DefaultExecAllocatorOptions[:], chromedp.ExecPath(tool(t, "chromium", "chromium")))
	ctx, cancel := chromedp.NewExecAllocator(context.Background(), options...)
	t.Cleanup(cancel)
	ctx, cancel = chromedp.NewContext(ctx)
	t.Cleanup(cancel)
	if err := chromedp.Do(ctx); err != nil {
		t.Fatalf("starting Chromium: %v", err)
	}
	return ctx
}

// A tab is a page in the browser. The test fails when the page opens a dialog, or writes an error or a
// warning into the browser's console, as it does when its own policy forbids something.
type tab struct {
	t   *testing.T
	ctx context.Context

	still bool // nothing should move

	mu      sync.Mutex
	ignored string // what an expected message contains
}

// openTab opens a page in a tab that shares nothing with others.
func openTab(t *testing.T, browser context.Context, url string) *tab {
	t.Helper()
	ctx, cancel := chromedp.NewContext(browser, chromedp.WithNewBrowserContext())
	p := &tab{t: t, ctx: ctx}
	messages := chromedp.Console(ctx)
	var reading sync.WaitGroup
	reading.Go(func() {
		for m, err := range messages {
			if err != nil {
				return // the tab is closed
			}
			p.judge(m)
		}
	})
	dialogs := chromedp.Events(ctx, page.JavascriptDialogOpening)
	reading.Go(func() {
		for d, err := range dialogs {
			if err != nil {
				return
			}
			t.Errorf("the page opens a dialog: %s", d.Message)
			cancel()
		}
	})
	t.Cleanup(func() {
		cancel()
		reading.Wait()
	})
	p.do(chromedp.Navigate(url))
	return p
}

func (p *tab) judge(m chromedp.ConsoleMessage) {
	switch m.Type {
	case chromedp.ConsoleError, chromedp.ConsoleWarning, chromedp.ConsoleException:
	default:
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.ignored == "" || !strings.Contains(m.Text, p.ignored) {
		p.t.Errorf("the browser's console: %v (%s)", m, m.URL)
	}
}

// expect says that from now on a message with this text is in order.
func (p *tab) expect(text string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.ignored = text
}

func (p *tab) do(actions ...chromedp.Action[chromedp.Void]) {
	p.t.Helper()
	ctx, cancel := context.WithTimeout(p.ctx, browserTimeout)
	defer cancel()
	if err := chromedp.Do(ctx, actions...); err != nil {
		p.t.Fatalf("in the page: %v", err)
	}
}

// evaluate returns the value of a JavaScript expression.
func evaluate[T any](p *tab, expression string) T {
	p.t.Helper()
	ctx, cancel := context.WithTimeout(p.ctx, browserTimeout)
	defer cancel()
	v, err := chromedp.Run(ctx, chromedp.Evaluate[T](expression))
	if err != nil {
		p.t.Fatalf("in the page: %s: %v", expression, err)
	}
	return v
}

// await waits until a JavaScript expression is true, and says how the page looks when it
// never is.
func (p *tab) await(what, expression string) {
	p.t.Helper()
	ctx, cancel := context.WithTimeout(p.ctx, browserTimeout)
	defer cancel()
	if _, err := chromedp.Run(ctx, chromedp.Poll[bool](expression, chromedp.WithPollingInterval(pollEvery), chromedp.WithPollingTimeout(browserTimeout))); err != nil {
		p.t.Fatalf("waiting for %s: %v; the page:\n%s", what, err, evaluate[string](p, `document.body.innerText`))
	}
}

// fill types into a field, in place of what is there.
func (p *tab) fill(id, text string) {
	p.t.Helper()
	p.do(chromedp.Focus(chromedp.ID(id)))
	evaluate[chromedp.Void](p, `document.activeElement.select()`)
	p.do(chromedp.KeyEvent(cmp.Or(text, kb.Backspace)))
}

func (p *tab) click(id string) {
	p.t.Helper()
	p.do(chromedp.Click(chromedp.ID(id)))
}

// tabTo presses the tab key until an element has the focus.
func (p *tab) tabTo(id string) {
	p.t.Helper()
	for range 30 {
		p.do(chromedp.KeyEvent(kb.Tab))
		if evaluate[string](p, `document.activeElement.id`) == id {
			return
		}
	}
	p.t.Fatalf("the tab key never leads to #%s", id)
}

// A window is a size in pixels.
type window struct{ width, height int64 }

var (
	laptop = window{1280, 800}
	small  = window{1000, 700}
	phone  = window{390, 844}
	narrow = window{320, 568} // the smallest of phones
)

// show sets the window of the page and its colours.
func (p *tab) show(w window, colours string) {
	p.t.Helper()
	features := []*emulation.MediaFeature{{Name: "prefers-color-scheme", Value: colours}}
	if p.still {
		features = append(features, &emulation.MediaFeature{Name: "prefers-reduced-motion", Value: "reduce"})
	}
	p.do(chromedp.EmulateViewport(w.width, w.height), chromedp.Func(func(ctx context.Context, target *chromedp.Target) error {
		_, err := cdp.Call(ctx, target, emulation.SetEmulatedMedia, emulation.SetEmulatedMediaParams{Features: features})
		return err
	}))
}

// picture is how an element looks.
func (p *tab) picture(id string) []byte {
	p.t.Helper()
	ctx, cancel := context.WithTimeout(p.ctx, browserTimeout)
	defer cancel()
	image, err := chromedp.Run(ctx, chromedp.Screenshot(chromedp.ID(id)))
	if err != nil {
		p.t.Fatalf("picture of #%s: %v", id, err)
	}
	return image
}

// screenshots saves the page in narrow and wide, dark and light, for somebody to look at, if
// there is a folder for it.
func (p *tab) screenshots(name string) {
	p.t.Helper()
	if artifacts() == "" {
		return
	}
	for _, w := range []window{laptop, small, phone} {
		for _, colours := range []string{"light", "dark"} {
			p.show(w, colours)
			evaluate[chromedp.Void](p, `scrollTo(0, 0)`)
			p.save(fmt.Sprintf("%s-%d-%s.png", name, w.width, colours), chromedp.FullScreenshot(100))
		}
	}
}

// artifacts is the folder for what somebody may want to look at after the tests; empty = none is wanted.
func artifacts() string { return os.Getenv("ARTIFACTS") }

// save saves a picture among the artifacts, if they are wanted.
func (p *tab) save(name string, picture chromedp.Action[[]byte]) {
	p.t.Helper()
	if artifacts() == "" {
		return
	}
	ctx, cancel := context.WithTimeout(p.ctx, browserTimeout)
	defer cancel()
	image, err := chromedp.Run(ctx, picture)
	if err != nil {
		p.t.Fatalf("screenshot: %v", err)
	}
	file := filepath.Join(artifacts(), name)
	if err := errors.Join(os.MkdirAll(filepath.Dir(file), 0o755), os.WriteFile(file, image, 0o644)); err != nil {
		p.t.Fatal(err)
	}
}
