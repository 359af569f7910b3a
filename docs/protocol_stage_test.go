package docs_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"net/http"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/twinpanel/twinpanel/hub"
	"github.com/twinpanel/twinpanel/hub/docstore"
	"github.com/twinpanel/twinpanel/hub/hubtest"
	"github.com/twinpanel/twinpanel/hub/registry"
	"github.com/twinpanel/twinpanel/twin"
)

// A stage is a hub, its devices and whoever the page lets speak to it.
type stage struct {
	t      *testing.T
	page   page
	hub    *hubtest.Hub
	disk   *disk
	log    *log
	names  *strings.Replacer // from the page's placeholders
	ids    map[string]twin.ID
	panels panels
}

// The page's devices; see its section on reading the examples.
const (
	unknownID  = "deadbeef-dead-4ead-8ead-deadbeefdead"
	lampSecret = "LAMPSECRETLAMPSECRETLAMPSE"
)

func newStage(t *testing.T, p page) *stage {
	s := &stage{t: t, page: p, disk: &disk{Store: docstore.NewMemory()}, log: new(log)}
	s.hub = hubtest.Start(t, func(c *hub.Config) {
		s.disk.Store, c.Documents = c.Documents, s.disk
		c.Logger = slog.New(slog.NewTextHandler(s.log, nil))
	})
	s.ids = map[string]twin.ID{
		"DEVICE_ID": s.hub.AddDevice("panel").ID,
		"OTHER_ID":  s.hub.AddDevice("garage").ID,
		"LOCKED_ID": s.addDevice("cellar", func(*registry.Device) {}),
		"SECRET_ID": s.addDevice("lamp", func(d *registry.Device) {
			d.Secret, d.ReadOnly = registry.HashSecret(lampSecret), []twin.Name{"desired"}
		}),
		"SHARED_ID": s.addDevice("stairs", func(d *registry.Device) { d.AllowInsecure, d.AllowMultipleConnections = true, true }),
	}
	// Of two placeholders that begin at one place the replacer takes the first.
	record, err := s.hub.Registry.Hub(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	pairs := []string{"UNKNOWN_ID", unknownID, "HUB_ID", record.ID, "THE_SECRET", lampSecret,
		"READ_ONLY_TOKEN", s.addToken("monitor", func(t *registry.Token) { t.ReadOnly = true }),
		"ONE_DEVICE_TOKEN", s.addToken("phone", func(t *registry.Token) { t.Device = s.ids["DEVICE_ID"] }),
		"TOKEN", s.hub.Token, "MUCH_SPACE", strings.Repeat(" ", 512<<10)}
	for _, name := range slices.Sorted(maps.Keys(s.ids)) {
		pairs = append(pairs, name, string(s.ids[name]))
	}
	s.names = strings.NewReplacer(pairs...)
	t.Cleanup(s.panels.stop)
	return s
}

func (s *stage) addDevice(name string, edit func(*registry.Device)) twin.ID {
	d, err := registry.NewDevice(name)
	if err == nil {
		edit(&d)
		err = s.hub.Registry.AddDevice(s.t.Context(), d)
	}
	if err != nil {
		s.t.Fatal(err)
	}
	return d.ID
}

func (s *stage) addToken(name string, edit func(*registry.Token)) string {
	t, secret, err := registry.NewToken(name)
	if err == nil {
		edit(&t)
		err = s.hub.Registry.AddToken(s.t.Context(), t)
	}
	if err != nil {
		s.t.Fatal(err)
	}
	return secret
}

// compare holds what was heard against what the page says.
func (s *stage) compare(line int, got, want string) {
	s.t.Helper()
	pattern := strings.NewReplacer(
		"ANY_UUID", "[0-9a-f-]{36}",
		"ANY_TIME", `\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d+)?Z`,
		"ANY_PEM", `-----BEGIN [A-Z ]+-----\\n[^"]+-----END [A-Z ]+-----\\n`,
	).Replace(regexp.QuoteMeta(s.names.Replace(want)))
	if !regexp.MustCompile("^" + pattern + "$").MatchString(got) {
		s.t.Errorf("%s\n got %s\nwant %s", s.page.at(line), s.shorten(got), want)
	}
}

// shorten puts the placeholders back.
func (s *stage) shorten(got string) string {
	for name, id := range s.ids {
		got = strings.ReplaceAll(got, string(id), name)
	}
	return strings.ReplaceAll(got, unknownID, "UNKNOWN_ID")
}

var (
	later    = regexp.MustCompile(`^(\d+) (ms|s|min) later$`)
	logged   = regexp.MustCompile(`^the hub logs: (.*)$`)
	openings = regexp.MustCompile(`^at (\d\d:\d\d) the panel (\w+) starts: (.*)$`)
)

// happen does what stands in brackets.
func (s *stage) happen(e step) {
	s.t.Helper()
	if m := later.FindStringSubmatch(e.words); m != nil {
		d, err := time.ParseDuration(m[1] + strings.TrimSuffix(m[2], "in"))
		if err != nil {
			s.t.Fatalf("%s: %v", s.page.at(e.line), err)
		}
		time.Sleep(d)
		synctest.Wait()
		return
	}
	if m := logged.FindStringSubmatch(e.words); m != nil {
		if got := s.log.reasons(); !slices.Contains(got, s.names.Replace(m[1])) {
			s.t.Errorf("%s: the hub's log gives the reasons %q", s.page.at(e.line), got)
		}
		return
	}
	if m := openings.FindStringSubmatch(e.words); m != nil {
		s.startPanel(e.line, m[1], m[2], m[3])
		return
	}
	switch e.words {
	case "the disk refuses the next write":
		s.disk.fail(errors.New("disk full"))
	case "the disk fails in the middle of the next write":
		s.disk.fail(&docstore.OutcomeError{Err: errors.New("input/output error")})
	case "the twin has 100 documents":
		for i := range twin.MaxDocuments {
			name := twin.Name(fmt.Sprint("n", i))
			if _, err := s.hub.Do(s.ids["OTHER_ID"], name, twin.Put, "{}"); err != nil {
				s.t.Fatalf("%s: %v", s.page.at(e.line), err)
			}
		}
	case "the device is removed":
		if err := s.hub.Registry.RemoveDevice(s.t.Context(), s.ids["SHARED_ID"]); err != nil {
			s.t.Fatalf("%s: %v", s.page.at(e.line), err)
		}
	default:
		if !s.panels.happen(e.words) {
			s.t.Fatalf("%s: nobody knows how to do this: %s", s.page.at(e.line), e.words)
		}
	}
}

// playMQTT plays a block of connections. Each begins with CONNECT; one that doesn't is
// connected as DEVICE_ID and subscribed to all its answers.
func (s *stage) playMQTT(steps []step) {
	time.Sleep(2 * time.Minute) // take-overs and log lines are counted by the minute
	s.log.reasons()
	clients := map[string]*client{}
	defer func() {
		for _, c := range clients {
			c.conn.Close()
		}
	}()
	dial := func(who string) *client {
		conn, err := s.hub.Dial(s.t.Context())
		if err != nil {
			s.t.Fatal(err)
		}
		c := &client{conn: conn}
		go c.listen()
		clients[who] = c
		return c
	}
	silent := func(before step) {
		for who, c := range clients {
			if said := c.next(); said != "nothing" {
				s.t.Errorf("%s: before this, the page leaves out: %s< %s", s.page.at(before.line), who, s.shorten(said))
			}
		}
	}
	for _, e := range steps {
		c := clients[e.who]
		if e.what == ">" {
			silent(e)
			if strings.HasPrefix(e.words, "CONNECT ") {
				c = dial(e.who)
			} else if c == nil {
				c = dial(e.who)
				s.say(c, step{e.line, e.who, ">", "CONNECT client_id=DEVICE_ID"})
				s.compare(e.line, c.next(), "CONNACK 0")
				s.say(c, step{e.line, e.who, ">", "SUBSCRIBE $SCW/twins/me/#"})
				s.compare(e.line, c.next(), "SUBACK 0")
			}
			s.say(c, e)
			continue
		}
		if e.what == "(" {
			s.happen(e)
			continue
		}
		s.compare(e.line, c.next(), e.words)
	}
	silent(step{line: steps[len(steps)-1].line + 1})
}

// say sends a packet and waits until all that follows has happened.
func (s *stage) say(c *client, e step) {
	s.t.Helper()
	p, err := parse(s.names.Replace(e.words))
	if err == nil {
		err = p.Write(c.conn)
	}
	if err != nil {
		s.t.Errorf("%s: %v", s.page.at(e.line), err)
	}
	synctest.Wait()
}

var header = regexp.MustCompile(`^([A-Z][A-Za-z-]+): ?(.*)$`)

// playREST plays a block of requests, each with its answer. The token is sent along
// unless the page shows a header for one.
func (s *stage) playREST(steps []step) {
	s.log.reasons()
	for len(steps) > 0 {
		if steps[0].what == "(" {
			s.happen(steps[0])
			steps = steps[1:]
			continue
		}
		request, n := s.request(steps)
		first := steps[0].line
		steps = steps[n:]
		answer, err := s.hub.HTTPClient().Do(request)
		if err != nil {
			s.t.Errorf("%s: %v", s.page.at(first), err)
			return
		}
		steps = steps[s.checkAnswer(first, answer, steps):]
		synctest.Wait()
	}
}

// request builds a request of the steps that it begins with, and says how many these are.
func (s *stage) request(steps []step) (*http.Request, int) {
	s.t.Helper()
	method, path, _ := strings.Cut(steps[0].words, " ")
	url := hubtest.BaseURL + s.names.Replace(path)
	if strings.HasPrefix(path, "/iot/") {
		url = "http://hub.test" + s.names.Replace(path)
	}
	headers := http.Header{}
	var content io.Reader
	n := 1
	for ; n < len(steps) && steps[n].what == ">"; n++ {
		words := s.names.Replace(steps[n].words)
		if m := header.FindStringSubmatch(words); m != nil {
			headers.Set(m[1], m[2])
		} else if start, stalls := strings.CutSuffix(words, " STALL"); stalls {
			content = io.MultiReader(strings.NewReader(start), stall{})
		} else {
			content = strings.NewReader(words)
		}
	}
	r, err := http.NewRequestWithContext(s.t.Context(), method, url, content)
	if err != nil {
		s.t.Fatalf("%s: %v", s.page.at(steps[0].line), err)
	}
	if headers.Get("X-Auth-Token") == "" && headers.Get("X-Session-Token") == "" {
		if _, shown := headers["X-Auth-Token"]; !shown {
			headers.Set("X-Auth-Token", s.hub.Token)
		}
	}
	r.Header = headers
	return r, n
}

// checkAnswer compares an answer with the steps that it begins with, and says how many these are.
func (s *stage) checkAnswer(line int, answer *http.Response, steps []step) int {
	s.t.Helper()
	defer answer.Body.Close()
	content, err := io.ReadAll(answer.Body)
	if err != nil {
		s.t.Errorf("%s: reading the answer: %v", s.page.at(line), err)
	}
	got := strings.TrimSuffix(string(content), "\n")
	n, want := 0, ""
	for ; n < len(steps) && steps[n].what == "<"; n++ {
		words := steps[n].words
		if n == 0 {
			s.compare(steps[n].line, answer.Status, words)
		} else if m := header.FindStringSubmatch(words); m != nil {
			s.compare(steps[n].line, m[1]+": "+answer.Header.Get(m[1]), words)
		} else {
			line, want = steps[n].line, words
		}
	}
	if n == 0 {
		s.t.Errorf("%s: the page has no answer to this, the hub says %s", s.page.at(line), answer.Status)
	}
	s.compare(line, got, want)
	return n
}

// stall is the rest of a body that never comes.
type stall struct{}

func (stall) Read([]byte) (int, error) {
	time.Sleep(time.Minute)
	return 0, io.EOF
}

// A disk is a store whose next write can be made to fail.
type disk struct {
	docstore.Store
	mu  sync.Mutex
	err error
}

func (d *disk) fail(err error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.err = err
}

func (d *disk) Put(ctx context.Context, key docstore.Key, cond docstore.If, data []byte) (uint32, error) {
	d.mu.Lock()
	err := d.err
	d.err = nil
	d.mu.Unlock()
	if err != nil {
		return 0, err
	}
	return d.Store.Put(ctx, key, cond, data)
}

// A log keeps the reasons that log lines give.
type log struct {
	mu    sync.Mutex
	lines bytes.Buffer
}

func (l *log) Write(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.lines.Write(b)
}

var reason = regexp.MustCompile(`reason=("(?:[^"\\]|\\.)*"|\S+)`)

// reasons takes the reasons since the last call.
func (l *log) reasons() []string {
	l.mu.Lock()
	defer l.mu.Unlock()
	defer l.lines.Reset()
	var all []string
	for _, m := range reason.FindAllStringSubmatch(l.lines.String(), -1) {
		text, err := strconv.Unquote(m[1])
		if err != nil {
			text = m[1] // a single word
		}
		all = append(all, text)
	}
	return all
}
