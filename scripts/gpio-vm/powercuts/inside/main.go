//go:build linux

// Inside runs a panel in the machine whose power is cut, reports what it finds and does what it is asked (package report).
//
//	inside CONTROL STATE-DIR FLAGS-OF-THE-PANEL… open|closed
//
// CONTROL is the address where asks come from, and the last word says how the door is.
package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"github.com/twinpanel/twinpanel/internal/blackbox"
	"github.com/twinpanel/twinpanel/internal/gpiosim"
	"github.com/twinpanel/twinpanel/internal/panel"
	"github.com/twinpanel/twinpanel/scripts/gpio-vm/network"
	"github.com/twinpanel/twinpanel/scripts/gpio-vm/powercuts/report"
)

const program = "/bin/panel"

// patience bounds what the panel takes to answer.
const patience = 30 * time.Second

func main() {
	n := len(os.Args)
	if n < 4 {
		fmt.Fprintln(os.Stderr, "inside: this is a part of scripts/gpio-vm/powercuts")
		os.Exit(2)
	}
	m := machine{dir: os.Args[2], flags: append([]string{"--state-dir", os.Args[2]}, os.Args[3:n-1]...)}
	if err := m.run(os.Args[1], os.Args[n-1] == report.Open); err != nil {
		m.say(report.Report{Kind: report.Broken, Err: err.Error()})
		os.Exit(1)
	}
}

// A machine is a house with a panel.
type machine struct {
	dir   string // the panel's state folder
	flags []string
	chip  *gpiosim.Chip
	siren *siren

	saying sync.Mutex
}

// Lines of the chip.
const (
	door gpiosim.Line = iota
	relay
)

func (m *machine) run(control string, open bool) (err error) {
	if m.chip, err = gpiosim.New("pinctrl-sim", "GPIO17", "GPIO27"); err != nil {
		return err
	}
	m.siren = &siren{chip: m.chip}
	go m.siren.watch(func() { m.say(report.Report{Kind: report.Sample}) })
	m.say(m.found())
	if err := m.start(); err != nil {
		return err
	}
	if err := m.bias(open); err != nil {
		return err
	}
	started, err := m.look()
	if err != nil {
		return err
	}
	started.Kind = report.Started
	m.say(started)

	if err := network.Up(); err != nil {
		return err
	}
	conn, err := net.DialTimeout("tcp", control, patience)
	if err != nil {
		return err
	}
	defer conn.Close()
	lines := bufio.NewScanner(conn)
	for lines.Scan() {
		var id int
		var word string
		if _, err := fmt.Sscan(lines.Text(), &id, &word); err != nil {
			return fmt.Errorf("reading %q: %w", lines.Text(), err)
		}
		answer, err := m.do(word)
		if err != nil {
			return fmt.Errorf("%s: %w", word, err)
		}
		answer.Kind, answer.ID = report.Answer, id
		m.say(answer)
	}
	return lines.Err()
}

// say writes a report on the console, with the siren as it is now.
func (m *machine) say(r report.Report) {
	if m.siren != nil {
		r.Siren, r.Sounded = m.siren.now()
	}
	text, err := json.Marshal(r)
	if err != nil {
		panic(err) // a report has nothing that JSON lacks
	}
	m.print(report.Prefix + string(text))
}

func (m *machine) print(line string) {
	m.saying.Lock()
	defer m.saying.Unlock()
	fmt.Println(line)
}

// found is what is on the disk before anybody touches it.
func (m *machine) found() report.Report {
	r := report.Report{Kind: report.Found}
	var err error
	if r.Journal, err = m.journal(); err != nil {
		r.Err = err.Error()
	}
	_, err = os.Stat(filepath.Join(m.dir, "journal.unreadable"))
	r.Unreadable = !errors.Is(err, fs.ErrNotExist)
	if _, err := os.Stat(filepath.Join(m.dir, blackbox.Name)); errors.Is(err, fs.ErrNotExist) {
		r.BlackBox = err.Error()
	} else if out, err := command("explain", "--state-dir", m.dir); err != nil {
		r.BlackBox = fmt.Sprintf("%v: %s", err, out)
	}
	return r
}

// journal reads the file; nil = there is none.
func (m *machine) journal() ([]byte, error) {
	text, err := os.ReadFile(filepath.Join(m.dir, "journal"))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	return text, err
}

// command runs the panel's program to its end.
func command(args ...string) (string, error) {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	out, err := exec.CommandContext(ctx, program, args...).CombinedOutput()
	return string(bytes.TrimSpace(out)), err
}

// start starts the panel. Its log goes to the console.
func (m *machine) start() error {
	p := exec.Command(program, m.flags...)
	log, err := p.StderrPipe()
	if err != nil {
		return err
	}
	if err := p.Start(); err != nil {
		return err
	}
	go func() {
		lines := bufio.NewScanner(log)
		for lines.Scan() {
			m.print("panel: " + lines.Text())
		}
		io.Copy(io.Discard, log) // of a line that is too long
		m.say(report.Report{Kind: report.Broken, Err: fmt.Sprintf("the panel has ended: %v", p.Wait())})
	}()
	return nil
}

// bias waits until the panel has asked for the pull of the door's contact, which a closed contact is stronger than.
func (m *machine) bias(open bool) error {
	for end := time.Now().Add(patience); ; time.Sleep(time.Millisecond) {
		pulled, err := m.chip.Pulled(door)
		if err != nil {
			return err
		}
		if pulled {
			return m.chip.Pull(door, open)
		}
		if time.Now().After(end) {
			return errors.New("the panel has not opened the line of its door")
		}
	}
}

// do does what was asked and looks at what came of it.
func (m *machine) do(word string) (report.Report, error) {
	switch word {
	case report.Arm, report.Disarm:
		if out, err := command(word, "--state-dir", m.dir); err != nil {
			return report.Report{}, fmt.Errorf("%w: %s", err, out)
		}
	case report.Open, report.Close:
		if err := m.chip.Pull(door, word == report.Open); err != nil {
			return report.Report{}, err
		}
	case report.Reset, report.PowerOff:
		key := map[string]string{report.Reset: "b", report.PowerOff: "o"}[word]
		if err := os.WriteFile("/proc/sysrq-trigger", []byte(key), 0); err != nil {
			return report.Report{}, err
		}
		select {}
	case report.Look:
	default:
		return report.Report{}, errors.New("unknown word")
	}
	return m.look()
}

// look asks a panel that knows its door.
func (m *machine) look() (report.Report, error) {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	for {
		status, err := panel.Control(m.dir).Status(ctx)
		known := err == nil && !strings.Contains(fmt.Sprint(status.Doors), "unknown")
		switch {
		case known:
			journal, err := m.journal()
			return report.Report{Status: &status, Journal: journal}, err
		case ctx.Err() != nil:
			return report.Report{}, fmt.Errorf("the panel has not said how it is: %+v, %w", status, err)
		}
		time.Sleep(20 * time.Millisecond) // it is starting
	}
}
