package panel

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/twinpanel/twinpanel/internal/durable"
	"github.com/twinpanel/twinpanel/statemachine"
)

// journalName is the journal's file in the state folder.
//
// The file is two lines of text. The first names the format, its version, and the
// checksum (CRC-32C, hexadecimal) of the second, which is a record as JSON:
//
//	twinpanel-journal 1 eac42690
//	{"armed":true,"local":false,"desired_seen":7,"entering":false,"rings":1,"charged_ms":20000,"wait_closed":["back"]}
//
// and prepaid_ms while there is such a charge.
// It is replaced as a whole, so a power cut leaves the old one or the new one. Losing it
// means starting as a new installation: disarmed. An older copy must never come back, for it
// would bring back an older state; so there is no second generation.
const journalName = "journal"

const (
	journalMagic   = "twinpanel-journal"
	journalVersion = 1

	maxJournal = 64 << 10 // bytes; what is larger is no journal
)

// A record is what version 1 of the journal holds.
type record struct {
	Armed       bool     `json:"armed"`
	Local       bool     `json:"local"`
	DesiredSeen uint32   `json:"desired_seen"`
	Entering    bool     `json:"entering"`
	Rings       int      `json:"rings"`
	ChargedMS   int64    `json:"charged_ms"`
	PrepaidMS   int64    `json:"prepaid_ms,omitempty"`
	WaitClosed  []string `json:"wait_closed"` // names of contacts, or everyContact
}

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// everyContact in WaitClosed stands for all contacts there are: armed while no panel ran.
const everyContact = "*"

func newRecord(s statemachine.Saved, contacts []string) record {
	r := record{
		Armed: s.Armed, Local: s.Local, DesiredSeen: s.Seen, Entering: s.Entering,
		Rings: s.Rings, ChargedMS: s.Charged.Milliseconds(), PrepaidMS: s.Prepaid.Milliseconds(), WaitClosed: []string{},
	}
	for i, name := range contacts {
		if s.Waits[i] {
			r.WaitClosed = append(r.WaitClosed, name)
		}
	}
	return r
}

// saved is the record for the panel's present contacts. Those that are gone are forgotten.
func (r record) saved(contacts []string) statemachine.Saved {
	s := statemachine.Saved{
		Armed: r.Armed, Local: r.Local, Seen: r.DesiredSeen, Entering: r.Entering,
		Rings: r.Rings, Charged: time.Duration(r.ChargedMS) * time.Millisecond, Prepaid: time.Duration(r.PrepaidMS) * time.Millisecond,
	}
	for i, name := range contacts {
		s.Waits[i] = slices.Contains(r.WaitClosed, name) || slices.Contains(r.WaitClosed, everyContact)
	}
	return s
}

// format makes the journal's content.
func (r record) format() []byte {
	body, err := json.Marshal(r)
	if err != nil {
		panic(err) // a record has nothing that JSON lacks
	}
	return fmt.Appendf(nil, "%s %d %08x\n%s\n", journalMagic, journalVersion, crc32.Checksum(body, castagnoli), body)
}

// parseRecord reads the journal's content back.
func parseRecord(b []byte) (record, error) {
	if len(b) == 0 {
		return record{}, errors.New("the file is empty")
	}
	head, rest, _ := bytes.Cut(b, []byte("\n"))
	var version int
	if _, err := fmt.Sscanf(string(head), journalMagic+" %d ", &version); err != nil {
		return record{}, errors.New("its first line is not that of a journal")
	}
	if version > journalVersion {
		return record{}, fmt.Errorf("its format is %d, of a newer panel; this one knows no later than %d", version, journalVersion)
	}
	body, whole := bytes.CutSuffix(rest, []byte("\n"))
	want := fmt.Appendf(nil, "%s %d %08x", journalMagic, journalVersion, crc32.Checksum(body, castagnoli))
	if !whole || !bytes.Equal(head, want) {
		return record{}, errors.New("its checksum does not fit: it was cut short or changed")
	}
	var r record
	d := json.NewDecoder(bytes.NewReader(body))
	d.DisallowUnknownFields()
	if err := d.Decode(&r); err != nil {
		return record{}, fmt.Errorf("its content is not understood: %w", err)
	}
	return r, nil
}

// readJournal reads the journal in a state folder. No file is a new installation, and no error.
func readJournal(dir string) (record, error) {
	path := filepath.Join(dir, journalName)
	b, err := durable.Read(path, maxJournal)
	if errors.Is(err, fs.ErrNotExist) {
		return record{}, nil
	}
	if err != nil {
		return record{}, err
	}
	r, err := parseRecord(b)
	if err != nil {
		return record{}, fmt.Errorf("%s: %w", path, err)
	}
	return r, nil
}

// keepUnreadable copies a journal that is not understood aside, since the next write replaces it.
func keepUnreadable(dir string) error {
	path := filepath.Join(dir, journalName)
	b, err := durable.Read(path, maxJournal)
	if err != nil {
		return err
	}
	return durable.Replace(path+".unreadable", b, 0o600)
}

// A journal holds the state folder for this process and writes records there, one after the other in a goroutine of
// its own. The latest wins: a record that waits is replaced by the next.
type journal struct {
	dir     string
	names   []string
	write   func(data []byte) error // replace, but for tests
	pending chan entry              // one slot
	results chan result

	lock io.Closer // of the folder; nil = not held
}

// An entry is a record to write, with its number.
type entry struct {
	n     int
	saved statemachine.Saved
}

// A result says that entry n and all before it are written, or why n is not.
type result struct {
	n   int
	err error
}

func newJournal(dir string, names []string) *journal {
	j := &journal{dir: dir, names: names, pending: make(chan entry, 1), results: make(chan result, 1)}
	j.write = j.replace
	return j
}

// take makes the folder if need be and keeps other processes away from it.
func (j *journal) take() error {
	if err := os.MkdirAll(j.dir, 0o700); err != nil {
		return err
	}
	lock, err := durable.Lock(j.dir)
	if err != nil {
		return err
	}
	j.release() // of a folder that is gone
	j.lock = lock
	return nil
}

// release gives the folder to whoever comes next.
func (j *journal) release() error {
	if j.lock == nil {
		return nil
	}
	lock := j.lock
	j.lock = nil
	return lock.Close()
}

// replace writes the journal. If somebody has removed the folder, it makes it anew.
func (j *journal) replace(data []byte) error {
	path := filepath.Join(j.dir, journalName)
	err := durable.Replace(path, data, 0o600)
	if !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	if err := j.take(); err != nil {
		return err
	}
	return durable.Replace(path, data, 0o600)
}

// save hands over a record and does not wait. Only the loop calls it.
func (j *journal) save(e entry) {
	select {
	case <-j.pending:
	default:
	}
	j.pending <- e
}

// run writes what is saved until pending is closed, and then closes results.
func (j *journal) run() {
	defer close(j.results)
	for e := range j.pending {
		j.results <- result{e.n, j.write(newRecord(e.saved, j.names).format())}
	}
}
