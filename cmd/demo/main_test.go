package main

import (
	"fmt"
	"os"
	"os/exec"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/twinpanel/twinpanel/internal/cli/clitest"
)

// lastCommand is in the last line that a demo prints when it starts.
const lastCommand = "mosquitto_rr "

func TestMain(m *testing.M) {
	clitest.Main(m, map[string]func(){"demo": main})
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
			e.Values[demos{}] = map[string]*clitest.Program{}
			return clitest.Setup(e)
		},
		Cmds: map[string]func(*testscript.TestScript, bool, []string){
			"fails":  clitest.Fails,
			"start":  cmdStart,
			"end":    cmdEnd,
			"occupy": clitest.Occupy,
			"empty":  cmdEmpty,
		},
	})
}

// demos is the key of a script's demos, by name.
type demos struct{}

func cmdStart(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) == 0 {
		ts.Fatalf("usage: start NAME [flag...]")
	}
	command := exec.Command("demo", args[1:]...)
	command.Env = append(os.Environ(), "TMPDIR="+ts.Getenv("TMPDIR"))
	p, err := clitest.Start(command, lastCommand)
	ts.Check(err)
	running := ts.Value(demos{}).(map[string]*clitest.Program)
	running[args[0]] = p
	ts.Defer(func() {
		if running[args[0]] == p { // the script failed before it ended the demo
			_, _ = p.Stop(os.Kill)
			ts.Logf("log of demo %s:\n%s", args[0], &p.Log)
		}
	})
	fmt.Fprint(ts.Stdout(), p.Head)
}

func cmdEnd(ts *testscript.TestScript, neg bool, args []string) {
	running := ts.Value(demos{}).(map[string]*clitest.Program)
	if neg || len(args) != 2 || running[args[0]] == nil || clitest.Signals[args[1]] == nil {
		ts.Fatalf("usage: end NAME TERM|INT, after start NAME")
	}
	p := running[args[0]]
	delete(running, args[0])
	_, err := p.Stop(clitest.Signals[args[1]])
	fmt.Fprint(ts.Stderr(), p.Log.String())
	ts.Check(err) // any exit code but 0 is an error
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
