package interop

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/chromedp"
)

// figures is how often the demo is measured.
const figures = 10

// The demo's page has the app beside the house, and shows on the wire what is said. How fast it is, is only told.
func TestAppDemo(t *testing.T) {
	demo := start(t, "demo", nil, "--listen", "127.0.0.1:0", "--mqtt", "127.0.0.1:0")
	p := openTab(t, startBrowser(t), demo.said(`^Open (http://\S+/) `))
	p.show(laptop, "light")
	const (
		app   = `document.querySelector('#phone iframe').contentDocument`
		house = `document.querySelector('#house iframe').contentDocument`
	)
	row := func(row string) string { return fmt.Sprintf(`%s.body?.dataset.row === %q`, app, row) }
	siren := func(is string) string {
		return fmt.Sprintf(`%s.getElementById('house')?.dataset.siren === %q`, house, is)
	}
	click := func(frame, id string) string { return fmt.Sprintf(`%s.getElementById(%q).click()`, frame, id) }
	says := func(id, text string) string {
		return fmt.Sprintf(`document.getElementById(%q).textContent.includes(%q)`, id, text)
	}
	p.await("the app", row("disarmed"))
	p.await("the house", siren("off"))

	// took runs a script in the page until something is true at a frame of the screen, and returns how long that took.
	took := func(do, until string) time.Duration {
		t.Helper()
		const script = `new Promise((done, never) => {
			const began = performance.now();
			%s;
			const look = () => {
				const now = performance.now() - began;
				if (%s) done(now);
				else if (now > 30_000) never(new Error('it never happens'));
				else requestAnimationFrame(look);
			};
			look();
		})`
		ms, err := chromedp.Run(p.ctx, chromedp.Evaluate[float64](fmt.Sprintf(script, do, until), chromedp.EvalAwaitPromise))
		if err != nil {
			t.Fatalf("%s until %s: %v", do, until, err)
		}
		return time.Duration(ms * float64(time.Millisecond))
	}
	var armed, screen, silent []time.Duration
	for range figures {
		armed = append(armed, took(click(app, "arm"), row("armed")))
		screen = append(screen, took(click(house, "move"), row("ringing")))
		p.await("the siren", siren("on"))
		silent = append(silent, took(click(app, "disarm"), siren("off")))
		p.await("the end of it", row("disarmed"))
		p.do(chromedp.Evaluate[chromedp.Void](click(house, "move")))
		p.await("the door closed", fmt.Sprintf(`%s.getElementById('house').dataset.door === 'closed' && %s.getElementById('status').textContent.includes('Door closed.')`, house, app))
	}
	t.Logf("median of %d: tap to armed on the screen %v, door to screen %v (the panel waits 200 ms for a door to stay), tap to siren off %v",
		figures, median(armed), median(screen), median(silent))

	for _, wire := range []string{"PUT …/documents/desired", "GET …/documents/current", "current/patch"} {
		p.await(wire, says("log", wire))
	}
	for id, text := range map[string]string{"desired": `"alarm_armed": false`, "current": `"state": "disarmed"`} {
		if shown := evaluate[string](p, fmt.Sprintf(`document.getElementById('%s-name').parentElement.querySelector('pre').textContent`, id)); !strings.Contains(shown, text) {
			t.Errorf("the document %s is shown as %s", id, shown)
		}
	}
	p.do(chromedp.Evaluate[chromedp.Void](click(app, "arm")))
	p.await("armed", row("armed"))
	p.do(chromedp.Evaluate[chromedp.Void](click(house, "move")))
	p.await("ringing", row("ringing"))
	p.screenshots("app/demo")
}

func median(d []time.Duration) time.Duration {
	slices.Sort(d)
	return d[len(d)/2].Round(time.Millisecond)
}
