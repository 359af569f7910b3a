package main

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"
)

// patience bounds each wait. What works takes a few seconds at most, or more on a computer with much else to do.
const patience = time.Minute

func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){"demo": main})
}

// TestCommands runs the scripts in testdata. Beside the commands of testscript they have
//
//	fails CODE demo [arg...]   run a program that has to end with this exit code
//	start NAME [flag...]       start a demo in the background; prints its explanation
//	end NAME TERM|INT          send this signal to it and wait, within bounds; prints its log
//	occupy                     listen on a port; sets $TAKEN to its address
//	empty DIR                  look whether a folder is there and empty
func TestCommands(t *testing.T) {
	testscript.Run(t, testscript.Params{
		Dir: "testdata",
		Setup: func(e *testscript.Env) error {
			e.Values[demos{}] = map[string]*process{}
			return nil
		},
		Cmds: map[string]func(*testscript.TestScript, bool, []string){
			"fails":  cmdFails,
			"start":  cmdStart,
			"end":    cmdEnd,
			"occupy": cmdOccupy,
			"empty":  cmdEmpty,
		},
	})
}

// A process is a demo that runs.
type process struct {
	*exec.Cmd
	out *bufio.Reader
	log bytes.Buffer
}

// end sends a signal and waits for the end. A demo that doesn't end by itself is killed, which is an error.
func (p *process) end(signal os.Signal) error {
	if err := p.Process.Signal(signal); err != nil {
		return err
	}
	defer time.AfterFunc(patience, func() { p.Process.Kill() }).Stop()
	_, err := io.Copy(io.Discard, p.out)
	return errors.Join(err, p.Wait())
}

// readExplanation reads what a demo prints when it starts, up to the last command in it.
func readExplanation(r *bufio.Reader) (string, error) {
	var text strings.Builder
	for {
		line, err := r.ReadString('\n')
		text.WriteString(line)
		if err != nil || strings.HasPrefix(line, "  mosquitto_rr ") {
			return text.String(), err
		}
	}
}

// demos is the key of a script's demos, by name.
type demos struct{}

func cmdFails(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 {
		ts.Fatalf("usage: fails CODE demo [arg...]")
	}
	exit, ok := errors.AsType[*exec.ExitError](ts.Exec(args[1], args[2:]...))
	if !ok || strconv.Itoa(exit.ExitCode()) != args[0] {
		ts.Fatalf("ended with %v, want exit status %s", exit, args[0])
	}
}

func cmdStart(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) == 0 {
		ts.Fatalf("usage: start NAME [flag...]")
	}
	p := &process{Cmd: exec.Command("demo", args[1:]...)}
	p.Env = append(os.Environ(), "TMPDIR="+ts.Getenv("TMPDIR"))
	p.Stderr = &p.log
	out, err := p.StdoutPipe()
	ts.Check(err)
	ts.Check(p.Start())
	running := ts.Value(demos{}).(map[string]*process)
	running[args[0]] = p
	ts.Defer(func() {
		if running[args[0]] == p { // the script failed before it ended the demo
			_ = p.end(os.Kill)
			ts.Logf("log of demo %s:\n%s", args[0], &p.log)
		}
	})
	p.out = bufio.NewReader(out)
	defer time.AfterFunc(patience, func() { p.Process.Kill() }).Stop()
	text, err := readExplanation(p.out)
	fmt.Fprint(ts.Stdout(), text)
	ts.Check(err)
}

func cmdEnd(ts *testscript.TestScript, neg bool, args []string) {
	signals := map[string]os.Signal{"TERM": syscall.SIGTERM, "INT": os.Interrupt}
	running := ts.Value(demos{}).(map[string]*process)
	if neg || len(args) != 2 || running[args[0]] == nil || signals[args[1]] == nil {
		ts.Fatalf("usage: end NAME TERM|INT, after start NAME")
	}
	p := running[args[0]]
	delete(running, args[0])
	err := p.end(signals[args[1]])
	fmt.Fprint(ts.Stderr(), p.log.String())
	ts.Check(err) // any exit code but 0 is an error
}

func cmdOccupy(ts *testscript.TestScript, _ bool, _ []string) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	ts.Check(err)
	ts.Defer(func() { l.Close() })
	ts.Setenv("TAKEN", l.Addr().String())
}

func cmdEmpty(ts *testscript.TestScript, neg bool, args []string) {
	if len(args) != 1 {
		ts.Fatalf("usage: empty DIR")
	}
	found, err := os.ReadDir(ts.MkAbs(args[0]))
	ts.Check(err)
	if (len(found) > 0) != neg {
		ts.Fatalf("%s holds %v", args[0], found)
	}
}
