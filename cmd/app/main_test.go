package main

import (
	"net/netip"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/twinpanel/twinpanel/app"
	"github.com/twinpanel/twinpanel/internal/cli/clitest"
)

func TestMain(m *testing.M) {
	clitest.Main(m, map[string]func(){"app": main})
}

// TestCommands runs the scripts in testdata. Beside the commands of testscript they have
//
//	fails CODE app [arg...]           run a program that has to end with this exit code
//	sign-in NAME PASSPHRASE           sign a phone in to the household in ./data, which stays open, as in an app that runs
//	signed-in NAME                    look whether that phone still is
func TestCommands(t *testing.T) {
	testscript.Run(t, testscript.Params{
		Dir: "testdata",
		Setup: func(e *testscript.Env) error {
			e.Values[stateKey{}] = &state{secrets: map[string]string{}}
			return clitest.Setup(e)
		},
		Cmds: map[string]func(*testscript.TestScript, bool, []string){
			"fails":     clitest.Fails,
			"sign-in":   cmdSignIn,
			"signed-in": cmdSignedIn,
		},
	})
}

type stateKey struct{}

// state is what the commands of one script share.
type state struct {
	household *app.Household
	secrets   map[string]string // of phones, by the name that they signed in with
}

func cmdSignIn(ts *testscript.TestScript, neg bool, args []string) {
	s := ts.Value(stateKey{}).(*state)
	if s.household == nil {
		household, err := app.OpenHousehold(ts.MkAbs("data"), nil)
		ts.Check(err)
		ts.Defer(household.Close)
		s.household = household
	}
	secret, _, err := s.household.SignIn(netip.IPv6Loopback(), args[1], args[0])
	if neg != (err != nil) {
		ts.Fatalf("signing in: got error %v, negation %t", err, neg)
	}
	s.secrets[args[0]] = secret
}

func cmdSignedIn(ts *testscript.TestScript, neg bool, args []string) {
	s := ts.Value(stateKey{}).(*state)
	if _, in := s.household.Phone(s.secrets[args[0]]); in == neg {
		ts.Fatalf("signed in: %t", in)
	}
}
