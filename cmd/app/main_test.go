package main

import (
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"io"
	"net/http"
	"net/netip"
	"os"
	"os/exec"
	"strings"
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
//	start [flag...]                   start an app in the background, of a hub that isn't there; sets $URL
//	end SIGNAL                        send TERM or INT to it, and wait; prints what it printed
//	ask METHOD PATH [BODY]            call $URL/PATH, trusting ./certificate/authority.crt; prints status and body
//	occupy                            listen on a port; sets $TAKEN to its address
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
			"start":     cmdStart,
			"end":       cmdEnd,
			"ask":       cmdAsk,
			"occupy":    clitest.Occupy,
		},
	})
}

type stateKey struct{}

// state is what the commands of one script share.
type state struct {
	household *app.Household
	app       *clitest.Program
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

func cmdStart(ts *testscript.TestScript, neg bool, args []string) {
	s := ts.Value(stateKey{}).(*state)
	command := exec.Command("app", append([]string{"--api", "http://127.0.0.1:1", "--device-id", "78877cfe-8c33-4343-981d-6e4efaea6373", "--data", "data", "--listen", "127.0.0.1:0"}, args...)...)
	command.Dir = ts.MkAbs(".")
	command.Env = append(os.Environ(), tokenVariable+"="+ts.Getenv(tokenVariable))
	p, err := clitest.Start(command, "app at ")
	if neg || err != nil {
		ts.Fatalf("start: got error %v, negation %t", err, neg)
	}
	s.app = p
	ts.Defer(func() {
		if s.app == p { // the script failed before it stopped the app
			_, _ = p.Stop(os.Kill)
		}
	})
	ts.Setenv("URL", strings.TrimPrefix(strings.TrimSpace(p.Head), "app at "))
}

func cmdEnd(ts *testscript.TestScript, neg bool, args []string) {
	s := ts.Value(stateKey{}).(*state)
	if neg || len(args) != 1 || s.app == nil || clitest.Signals[args[0]] == nil {
		ts.Fatalf("usage: end TERM|INT, after start")
	}
	stdout, err := s.app.Stop(clitest.Signals[args[0]])
	if err != nil {
		ts.Fatalf("app ended with %v\n%s%s", err, stdout, &s.app.Log)
	}
	fmt.Fprint(ts.Stdout(), stdout)
	fmt.Fprint(ts.Stderr(), &s.app.Log)
	s.app = nil
}

func cmdAsk(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 || len(args) > 3 {
		ts.Fatalf("usage: ask METHOD PATH [BODY], after start")
	}
	transport := &http.Transport{ForceAttemptHTTP2: true}
	defer transport.CloseIdleConnections()
	if authority, err := os.ReadFile(ts.MkAbs("certificate/authority.crt")); err == nil {
		transport.TLSClientConfig = &tls.Config{RootCAs: x509.NewCertPool()}
		transport.TLSClientConfig.RootCAs.AppendCertsFromPEM(authority)
	}
	r, err := http.NewRequest(args[0], ts.Getenv("URL")+args[1], strings.NewReader(strings.Join(args[2:], "")))
	ts.Check(err)
	r.Header.Set("Content-Type", "application/json")
	answer, err := (&http.Client{Transport: transport}).Do(r)
	ts.Check(err)
	defer answer.Body.Close()
	body, err := io.ReadAll(answer.Body)
	ts.Check(err)
	fmt.Fprintf(ts.Stdout(), "%s %d %s\n%s", answer.Proto, answer.StatusCode, strings.TrimSpace(string(body)), answer.Header.Get("Set-Cookie"))
}
