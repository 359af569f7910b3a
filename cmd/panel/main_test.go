package main

import (
	"flag"
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/twinpanel/twinpanel/internal/cli/clitest"
	"github.com/twinpanel/twinpanel/statemachine/transcript"
)

var update = flag.Bool("update", false, "write what the commands print into the scripts that compare it")

func TestMain(m *testing.M) {
	clitest.Main(m, map[string]func(){"panel": main})
}

// TestCommands runs the scripts in testdata. Beside the commands of testscript they have
//
//	fails CODE panel [arg...]      run a program that has to end with this exit code
//	start [flag...]                start a panel in the background, with a simulated house and no hub
//	end TERM|INT|KILL              send this signal to it and wait; prints what it printed
//	house [open|close|break|mend]  move the house's door, if told to; prints the house
//	await PATTERN house|log|FILE   wait until the house, a file or a further line of the panel's log matches
//	occupy                         listen on a port; sets $TAKEN to its address
//	is-a-story FILE                play a transcript as the tests of package statemachine do: it must be the same
//	tear FILE                      cut ten bytes off, and put other bytes there, as a power cut may do
func TestCommands(t *testing.T) {
	t.Parallel()
	testscript.Run(t, testscript.Params{
		Dir:           "testdata",
		WorkdirRoot:   newFolder(t),
		UpdateScripts: *update,
		Setup: func(e *testscript.Env) error {
			e.Values[state{}] = new(state)
			e.Setenv("ID", deviceID)
			return clitest.Setup(e)
		},
		Cmds: map[string]func(*testscript.TestScript, bool, []string){
			"fails":  clitest.Fails,
			"start":  cmdStart,
			"end":    cmdEnd,
			"house":  cmdHouse,
			"await":  cmdAwait,
			"occupy": clitest.Occupy,

			"is-a-story": cmdIsAStory,
			"tear":       cmdTear,
		},
	})
}

// state is what the commands of one script share.
type state struct{ panel *process }

func stateOf(ts *testscript.TestScript) *state { return ts.Value(state{}).(*state) }

// running is the panel that start has started.
func running(ts *testscript.TestScript) *process {
	p := stateOf(ts).panel
	if p == nil {
		ts.Fatalf("no panel runs: start one first")
	}
	return p
}

func cmdStart(ts *testscript.TestScript, neg bool, args []string) {
	p, err := startPanel(ts.MkAbs("."), args...)
	if neg || err != nil {
		ts.Fatalf("start: got error %v, negation %t", err, neg)
	}
	stateOf(ts).panel = p
	ts.Defer(func() {
		if stateOf(ts).panel == p { // the script failed before it stopped the panel
			_, _ = p.Stop(os.Kill)
			ts.Logf("log of the panel:\n%s", &p.Log)
		}
	})
}

func cmdEnd(ts *testscript.TestScript, neg bool, args []string) {
	if len(args) != 1 || clitest.Signals[args[0]] == nil {
		ts.Fatalf("usage: end TERM|INT|KILL")
	}
	p := running(ts)
	stdout, err := p.Stop(clitest.Signals[args[0]])
	stateOf(ts).panel = nil
	fmt.Fprint(ts.Stdout(), stdout)
	fmt.Fprint(ts.Stderr(), &p.Log)
	if (err != nil) != neg {
		ts.Fatalf("panel ended with %v", err)
	}
}

func cmdHouse(ts *testscript.TestScript, neg bool, args []string) {
	bodies := map[string]string{"open": `{"open":true}`, "close": `{"open":false}`, "break": `{"fault":true}`, "mend": `{"fault":false}`}
	if neg || len(args) > 1 || len(args) == 1 && bodies[args[0]] == "" {
		ts.Fatalf("usage: house [open|close|break|mend]")
	}
	if len(args) == 1 {
		_, err := running(ts).door(bodies[args[0]])
		ts.Check(err)
	}
	seen, err := running(ts).look()
	ts.Check(err)
	fmt.Fprint(ts.Stdout(), seen)
}

func cmdAwait(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 2 {
		ts.Fatalf("usage: await PATTERN house|log|FILE")
	}
	var err error
	switch args[1] {
	case "log":
		err = running(ts).awaitLog(args[0])
	case "house":
		_, err = await(args[0], running(ts).look)
	default:
		_, err = await(args[0], func() (string, error) {
			b, err := os.ReadFile(ts.MkAbs(args[1]))
			return string(b), err
		})
	}
	ts.Check(err)
}

func cmdIsAStory(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 1 {
		ts.Fatalf("usage: is-a-story FILE")
	}
	want := ts.ReadFile(args[0])
	got, err := transcript.Play(want)
	if err != nil || got != want {
		ts.Fatalf("%s: the rules make something else of it: %v\n%s\nand it was:\n%s", args[0], err, got, want)
	}
}

func cmdTear(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 1 {
		ts.Fatalf("usage: tear FILE")
	}
	text := ts.ReadFile(args[0])
	ts.Check(os.WriteFile(ts.MkAbs(args[0]), []byte(text[:len(text)-10]+strings.Repeat("\x00", 10)), 0o600))
}
