package interop

import (
	"bytes"
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"
)

// carbonTimeout bounds what carbon may take to start, to write down a point and to end.
const carbonTimeout = 20 * time.Second

// A carbon is Debian's carbon-cache as a child process, with the settings that Debian ships
// but for these: it stores a point for each second, accepts any number of new series, and
// writes down what is oldest first.
type carbon struct {
	t    *testing.T
	dir  string
	addr string // of the plaintext receiver
	log  output // over all of its starts

	process *exec.Cmd
	ended   chan error // of process
	markers int
}

// startCarbon starts carbon, which ends with the test.
func startCarbon(t *testing.T) *carbon {
	t.Helper()
	tool(t, "carbon-cache", "graphite-carbon")
	tool(t, "whisper-fetch", "python3-whisper")
	c := &carbon{t: t, dir: t.TempDir(), addr: freeAddr(t)}
	_, port, err := net.SplitHostPort(c.addr)
	if err != nil {
		t.Fatal(err)
	}
	// Tags are part of each series. ENABLE_TAGS is about telling graphite-web of them.
	c.writeFile("carbon.conf", `[cache]
STORAGE_DIR = `+c.dir+`
CARBON_METRIC_INTERVAL = 0
MAX_CREATES_PER_MINUTE = inf
MIN_TIMESTAMP_RESOLUTION = 1
CACHE_WRITE_STRATEGY = timesorted
ENABLE_TAGS = False
LOG_CREATES = True
LINE_RECEIVER_INTERFACE = 127.0.0.1
LINE_RECEIVER_PORT = `+port+`
PICKLE_RECEIVER_PORT = 0
CACHE_QUERY_INTERFACE = 127.0.0.1
CACHE_QUERY_PORT = 0
`)
	c.writeFile("storage-schemas.conf", `[all]
pattern = .*
retentions = 1s:10m
`)
	c.start()
	t.Cleanup(func() {
		c.kill()
		if t.Failed() {
			t.Logf("carbon's log:\n%s", c.log.String())
		}
	})
	return c
}

func (c *carbon) writeFile(name, text string) {
	c.t.Helper()
	if err := os.WriteFile(filepath.Join(c.dir, name), []byte(text), 0o644); err != nil {
		c.t.Fatal(err)
	}
}

// start returns when carbon accepts connections.
func (c *carbon) start() {
	c.t.Helper()
	c.process = exec.Command("carbon-cache", "--config", filepath.Join(c.dir, "carbon.conf"), "--nodaemon", "--debug", "start")
	c.process.Env = append(os.Environ(), "GRAPHITE_ROOT="+c.dir, "PYTHONUTF8=1")
	c.process.Stdout, c.process.Stderr = &c.log, &c.log
	if err := c.process.Start(); err != nil {
		c.t.Fatal(err)
	}
	ended := make(chan error, 1)
	c.ended = ended
	process := c.process
	go func() { ended <- process.Wait() }()
	c.poll("carbon to listen", func() bool {
		conn, err := net.Dial("tcp", c.addr)
		if err == nil {
			conn.Close()
		}
		return err == nil
	})
}

func (c *carbon) signal(s syscall.Signal) {
	c.t.Helper()
	if err := c.process.Process.Signal(s); err != nil {
		c.t.Errorf("signal %v to carbon: %v", s, err)
	}
}

// kill leaves carbon no time to write anything down.
func (c *carbon) kill() {
	c.t.Helper()
	if c.process == nil {
		return
	}
	c.signal(syscall.SIGKILL)
	select {
	case <-c.ended:
	case <-time.After(carbonTimeout):
		c.t.Errorf("carbon doesn't end when it is killed")
	}
	c.process = nil
}

// settle returns when carbon has written down what it was told before.
func (c *carbon) settle() {
	c.t.Helper()
	c.markers++
	marker := fmt.Sprintf("marker.%d", c.markers)
	conn, err := net.Dial("tcp", c.addr)
	if err != nil {
		c.t.Fatal(err)
	}
	defer conn.Close()
	// A second later than all others, it is what carbon writes down last.
	if _, err := fmt.Fprintf(conn, "%s 1 %d\n", marker, time.Now().Unix()+1); err != nil {
		c.t.Fatal(err)
	}
	c.await(marker)
}

// await returns when carbon has written down a point of a series.
func (c *carbon) await(series string) {
	c.t.Helper()
	c.poll("a point of "+series, func() bool {
		_, err := os.Stat(c.file(series))
		return err == nil && len(c.fetch(series)) > 0
	})
}

// poll asks every now and then: carbon tells nobody when it is done.
func (c *carbon) poll(what string, done func() bool) {
	c.t.Helper()
	for deadline := time.Now().Add(carbonTimeout); !done(); time.Sleep(50 * time.Millisecond) {
		if time.Now().After(deadline) {
			c.t.Fatalf("waited %v for %s", carbonTimeout, what)
		}
	}
}

// A point is one that carbon has stored.
type point struct {
	series string // NAME;TAG=VALUE..., tags in their order
	time   int64  // Unix seconds
	value  float64
}

func (p point) String() string {
	return fmt.Sprintf("%s  %5v  %s", time.Unix(p.time, 0).UTC().Format(time.TimeOnly), p.value, p.series)
}

// table is points, one a line.
func table(points []point) string {
	var b strings.Builder
	fmt.Fprintf(&b, "%d points, as whisper has them:\n%-8s  %5s  series\n", len(points), "UTC", "value")
	for _, p := range points {
		fmt.Fprintln(&b, p)
	}
	return b.String()
}

// created is carbon's log line about a new series.
var created = regexp.MustCompile(`(?m) :: \[creates\] creating database metric (.*) \(archive=`)

// points are all that carbon has stored, by time and series.
func (c *carbon) points() []point {
	c.t.Helper()
	var points []point
	var files []string
	for _, m := range created.FindAllStringSubmatch(c.log.String(), -1) {
		series := m[1]
		files = append(files, c.file(series))
		if !strings.HasPrefix(series, "marker.") {
			points = append(points, c.fetch(series)...)
		}
	}
	c.checkFiles(files)
	slices.SortFunc(points, func(a, b point) int {
		return cmp.Or(cmp.Compare(a.time, b.time), strings.Compare(a.series, b.series))
	})
	return points
}

// checkFiles fails when carbon has stored a series that its log doesn't name.
func (c *carbon) checkFiles(known []string) {
	c.t.Helper()
	err := filepath.WalkDir(filepath.Join(c.dir, "whisper"), func(path string, d fs.DirEntry, err error) error {
		if err == nil && !d.IsDir() && !slices.Contains(known, path) {
			c.t.Errorf("carbon has stored a series in %s that its log doesn't tell of", path)
		}
		return err
	})
	if err != nil {
		c.t.Error(err)
	}
}

// fetch reads the points of a series back with whisper's own tool.
func (c *carbon) fetch(series string) []point {
	c.t.Helper()
	// whisper leaves out the second that the period starts with.
	from := fmt.Sprintf("--from=%d", time.Now().Add(-5*time.Minute).Unix())
	until := fmt.Sprintf("--until=%d", time.Now().Add(time.Minute).Unix())
	out, err := exec.Command("whisper-fetch", "--json", from, until, c.file(series)).Output()
	if err != nil {
		c.t.Fatalf("whisper-fetch of %s: %v\n%s", series, err, out)
	}
	var fetched struct {
		Start, Step int64
		Values      []*float64
	}
	if err := json.Unmarshal(out, &fetched); err != nil {
		c.t.Fatalf("whisper-fetch of %s: %v\n%s", series, err, out)
	}
	var points []point
	for i, v := range fetched.Values {
		if v != nil {
			points = append(points, point{series: series, time: fetched.Start + int64(i)*fetched.Step, value: *v})
		}
	}
	return points
}

// file is where carbon keeps a series: one with tags under its hash.
func (c *carbon) file(series string) string {
	path := strings.ReplaceAll(series, ".", string(filepath.Separator))
	if strings.Contains(series, ";") {
		sum := sha256.Sum256([]byte(series))
		hash := hex.EncodeToString(sum[:])
		path = filepath.Join("_tagged", hash[:3], hash[3:6], hash)
	}
	return filepath.Join(c.dir, "whisper", path+".wsp")
}

// An output is what a program has said.
type output struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (l *output) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(p)
}

func (l *output) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.String()
}

// freeAddr is an address on loopback that nobody listens on, another one with each call. Nor does the system give it to anybody who
// asks for any, as hubs and connections beside this test do: a program may take its time to listen there, and may be started again.
func freeAddr(t *testing.T) string {
	t.Helper()
	const first, n = 20_000, 10_000 // Linux gives ports from 32768 on
	for range 100 {
		l, err := net.Listen("tcp", fmt.Sprint("127.0.0.1:", first+(somePort+portsGiven.Add(1))%n))
		if err == nil {
			l.Close()
			return l.Addr().String()
		}
	}
	t.Fatal("no free port found")
	return ""
}

var (
	somePort   = rand.Uint32N(10_000)
	portsGiven atomic.Uint32
)

// tool looks for a program that the test needs, in a package of Debian. In CI it has to be there.
func tool(t *testing.T, name, debian string) string {
	t.Helper()
	path, err := exec.LookPath(name)
	switch {
	case err == nil:
		return path
	case os.Getenv("CI") != "":
		t.Fatalf("%v: install Debian's package %s", err, debian)
	default:
		t.Skipf("%v: install Debian's package %s", err, debian)
	}
	return ""
}
