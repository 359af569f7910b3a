package app

import (
	"encoding/json"
	"io/fs"
	"net/http"
	"net/http/httptest"
	"os"
	"path"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// pageText returns the text files of the page by their names.
func pageText(t *testing.T) map[string]string {
	t.Helper()
	files := map[string]string{}
	err := fs.WalkDir(pageFiles, "page", func(name string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || path.Ext(name) == ".png" {
			return err
		}
		content, err := pageFiles.ReadFile(name)
		files[strings.TrimPrefix(name, "page/")] = string(content)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return files
}

func words(t *testing.T, language string) map[string]string {
	t.Helper()
	words := map[string]string{}
	if err := json.Unmarshal([]byte(pageText(t)["words/"+language+".json"]), &words); err != nil {
		t.Fatalf("words/%s.json: %v", language, err)
	}
	return words
}

func TestPageServesItsFilesAndNothingElse(t *testing.T) {
	get := func(path, tag string) *http.Response {
		r := httptest.NewRequest(http.MethodGet, path, nil)
		r.Header.Set("If-None-Match", tag)
		w := httptest.NewRecorder()
		servePage().ServeHTTP(w, r)
		return w.Result()
	}
	for path, want := range map[string]int{
		"/": 200, "/app.css": 200, "/app.js": 200, "/words/fr.json": 200, "/manifest.webmanifest": 200, "/icons/icon-192.png": 200,
		"/words/": 404, "/icons": 404, "/page/app.js": 404, "/api/session": 404, "/page.go": 404,
	} {
		if got := get(path, "").StatusCode; got != want {
			t.Errorf("GET %s: got %d, want %d", path, got, want)
		}
	}
	page := get("/", "")
	if got := get("/", page.Header.Get("ETag")).StatusCode; got != http.StatusNotModified {
		t.Errorf("GET / with its tag: got %d, want 304", got)
	}
	if got := get("/app.js", page.Header.Get("ETag")).StatusCode; got != http.StatusOK {
		t.Errorf("GET /app.js with the tag of another file: got %d, want 200", got)
	}
}

// A page under any prefix, that loads nothing from elsewhere and that the policy lets run.
func TestPageNeedsNothingButItself(t *testing.T) {
	files := pageText(t)
	forbidden := map[string]*regexp.Regexp{
		"an address of elsewhere":      regexp.MustCompile(`(https?:)?//[a-z0-9.-]+\.[a-z]`),
		"a path from the root":         regexp.MustCompile(`(src|href|action|fetch\(|from|register\(|url\()\s*[=(]?\s*["'\x60]/`),
		"an inline script":             regexp.MustCompile(`<script(>|[^>]*[^"]>[^<])|\son[a-z]+\s*=\s*"`),
		"an inline style":              regexp.MustCompile(`<style|\sstyle\s*=\s*"`),
		"text that is taken for HTML":  regexp.MustCompile(`innerHTML|outerHTML|insertAdjacentHTML|document\.write|DOMParser|\beval\(|new Function`),
		"a style attribute in scripts": regexp.MustCompile(`setAttribute\('style'`),
		"the phone's own clock":        regexp.MustCompile(`Date\.now|new Date\(\)`),
	}
	for name, text := range files {
		text = strings.ReplaceAll(text, "http://www.w3.org/2000/svg", "")
		for what, pattern := range forbidden {
			if name == "stream.js" && what == "the phone's own clock" {
				continue // it only tells whether the other one stood still
			}
			if found := pattern.FindString(text); found != "" {
				t.Errorf("%s has %s: %q", name, what, found)
			}
		}
	}
	references := regexp.MustCompile(`(?:src|href)="([^"#]+)"|(?:from|import) '\./([^']+)'|"src": "([^"]+)"`)
	for name, text := range files {
		for _, found := range references.FindAllStringSubmatch(text, -1) {
			target := strings.Join(found[1:], "")
			if _, err := fs.Stat(pageFiles, path.Join("page", path.Dir(name), target)); err != nil {
				t.Errorf("%s refers to %s, which is not there", name, target)
			}
		}
	}
}

func TestPageNamesEachPartOnce(t *testing.T) {
	seen := map[string]bool{}
	for _, id := range regexp.MustCompile(` id="([^"]+)"`).FindAllStringSubmatch(pageText(t)["index.html"], -1) {
		if seen[id[1]] {
			t.Errorf("index.html has the id %q twice", id[1])
		}
		seen[id[1]] = true
	}
	for name, text := range pageText(t) {
		for _, id := range regexp.MustCompile(`\bat\('([a-z-]+)'\)`).FindAllStringSubmatch(text, -1) {
			if !seen[id[1]] {
				t.Errorf("%s asks for %q, which index.html lacks", name, id[1])
			}
		}
	}
}

func TestServiceWorkerKeepsTheWholeShellAndNoData(t *testing.T) {
	text := pageText(t)["sw.js"]
	list, _, _ := strings.Cut(text[strings.Index(text, "[")+1:], "]")
	var kept []string
	for _, quoted := range regexp.MustCompile(`'([^']+)'`).FindAllStringSubmatch(list, -1) {
		kept = append(kept, quoted[1])
	}
	want := []string{"./"}
	err := fs.WalkDir(pageFiles, "page", func(name string, d fs.DirEntry, err error) error {
		if name = strings.TrimPrefix(name, "page/"); err == nil && !d.IsDir() && name != "index.html" && name != "sw.js" {
			want = append(want, name)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	slices.Sort(kept)
	slices.Sort(want)
	if !slices.Equal(kept, want) {
		t.Errorf("the service worker keeps\n%q, want\n%q", kept, want)
	}
}

var placeholder = regexp.MustCompile(`\{\w+\}`)

func TestWordsAreTheSameInBothLanguages(t *testing.T) {
	en, fr := words(t, "en"), words(t, "fr")
	for key := range fr {
		if _, ok := en[key]; !ok {
			t.Errorf("en.json lacks %q", key)
		}
	}
	for key, text := range en {
		other, ok := fr[key]
		if !ok {
			t.Errorf("fr.json lacks %q", key)
			continue
		}
		if text == "" || other == "" {
			t.Errorf("%q is empty in one of the languages", key)
		}
		a, b := placeholder.FindAllString(text, -1), placeholder.FindAllString(other, -1)
		slices.Sort(a)
		slices.Sort(b)
		if !slices.Equal(a, b) {
			t.Errorf("%q has %v in English and %v in French", key, a, b)
		}
	}
}

// Everything that a view can say, and everything the panel is known to say, has words.
func TestWordsForAllThatAViewCanSay(t *testing.T) {
	protocol, err := os.ReadFile("../docs/protocol.md")
	if err != nil {
		t.Fatal(err)
	}
	// cells are the quoted words of a cell of a table of the protocol.
	cells := func(row string) []string {
		found := regexp.MustCompile(`(?m)^\| ` + row + ` \|(.*)$`).FindSubmatch(protocol)
		if found == nil {
			t.Fatalf("docs/protocol.md has no row %s", row)
		}
		var all []string
		for _, quoted := range regexp.MustCompile("`([^`]+)`").FindAllStringSubmatch(string(found[1]), -1) {
			all = append(all, quoted[1])
		}
		return all
	}
	slug := func(s string) string {
		return strings.Trim(regexp.MustCompile(`[^a-z0-9]+`).ReplaceAllString(strings.ToLower(s), "_"), "_")
	}
	want := []string{"more.offline", "row.offline", "row.connecting"}
	for _, row := range Rows {
		want = append(want, "row."+string(row))
	}
	for _, state := range cells("`state`") {
		want = append(want, "state."+state)
	}
	for _, what := range cells("`what`") {
		want = append(want, "event."+slug(what))
	}
	for _, why := range cells("`why`") {
		switch why {
		case "desired 7":
			want = append(want, "why.desired")
		case "desired", "front open":
		default:
			want = append(want, "why."+slug(why))
		}
	}
	faults := regexp.MustCompile("(?m)^\\| `(siren|journal|clock|rings_used|key|buzzer)` \\|").FindAllStringSubmatch(string(protocol), -1)
	if len(faults) < 4 {
		t.Fatalf("docs/protocol.md: got faults %v, want at least siren, journal, clock and rings_used", faults)
	}
	for _, fault := range faults {
		want = append(want, "fault."+fault[1], "fault."+fault[1]+".do")
	}
	for _, code := range []string{"signed_out", "wrong_passphrase", "too_many", "forbidden", "bad_request", "hub_away", "hub_refused", "too_busy", "no_answer", "other"} {
		want = append(want, "error."+code)
	}
	for _, why := range []string{"unreachable", "slow", "denied", "refused", "nonsense"} {
		want = append(want, "hub."+why)
	}
	for _, why := range []string{"entry", "armed", "ringing"} {
		want = append(want, "silence."+why)
	}
	for _, is := range []string{"closed", "open", "fault", "unknown"} {
		want = append(want, "is."+is)
	}
	en := words(t, "en")
	for _, key := range want {
		if _, ok := en[key]; !ok {
			t.Errorf("no words for %s", key)
		}
	}
}

// A key that is written in the page, or where notices are composed, has words, and no words are left that nothing says.
func TestWordsAreThoseThatAreSaid(t *testing.T) {
	en := words(t, "en")
	notices, err := os.ReadFile("noticewords.go")
	if err != nil {
		t.Fatal(err)
	}
	said := string(notices)
	for _, key := range regexp.MustCompile(`"([a-z]+\.[a-z_.]*[a-z])"`).FindAllStringSubmatch(said, -1) {
		if _, ok := en[key[1]]; !ok && key[1] != "doors.open" && key[1] != "doors.unread" {
			t.Errorf("notices say %q, which has no words", key[1])
		}
	}
	for name, text := range pageText(t) {
		if ext := path.Ext(name); ext != ".js" && ext != ".html" {
			continue
		}
		said += text
		for _, key := range regexp.MustCompile(`\bt\('([a-z_.0-9]+)'|data-t="([a-z_.]+)"`).FindAllStringSubmatch(text, -1) {
			if _, ok := en[key[1]+key[2]]; !ok {
				t.Errorf("%s says %q, which has no words", name, key[1]+key[2])
			}
		}
	}
	// These are made of a word of the view and its family.
	family := regexp.MustCompile(`^(row|more|state|event|why|fault|error|hub|silence|is|left|unit|doors|faults|wish)\.`)
	for key := range en {
		if !family.MatchString(key) && !strings.Contains(said, `'`+key+`'`) && !strings.Contains(said, `"`+key+`"`) {
			t.Errorf("nothing says %q", key)
		}
	}
}
