package app

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"time"
)

// Limits of a program that takes notices.
const (
	programTimeout = 30 * time.Second
	programPipes   = time.Second // for what it leaves behind to close its output
)

// inherited are the variables of the environment that a program is given: none of them is a secret.
var inherited = []string{"PATH", "HOME", "LANG", "TZ", "SYSTEMROOT"}

// A Program is started for each notice. It has the text on its standard input, and in its environment
//
//	TWINPANEL_KIND      one of [Kind]
//	TWINPANEL_TITLE     one line
//	TWINPANEL_PRIORITY  urgent or default
//	TWINPANEL_CLICK     URL of the page; may be empty
//
// It has no arguments, no shell is between, and of the app's environment it has PATH, HOME, LANG and TZ. Exit code 0 is a success. After 30 s it
// is killed, with all that it has started.
type Program struct{ path string }

// NewProgram looks whether there is such a program.
func NewProgram(path string) (*Program, error) {
	found, err := exec.LookPath(path)
	if err != nil {
		return nil, fmt.Errorf("--notify-command: %w; give the path of a program, without arguments: a script can have them", err)
	}
	return &Program{found}, nil
}

// Name implements [Receiver].
func (p *Program) Name() string { return "command" }

// Deliver implements [Receiver].
func (p *Program) Deliver(ctx context.Context, n Notice) (said string, err error) {
	ctx, cancel := context.WithTimeout(ctx, programTimeout)
	defer cancel()
	var output boundedText
	cmd := exec.CommandContext(ctx, p.path)
	cmd.Stdin = strings.NewReader(n.Text + "\n")
	cmd.Stdout, cmd.Stderr = &output, &output
	cmd.WaitDelay = programPipes
	for _, name := range inherited {
		if value, ok := os.LookupEnv(name); ok {
			cmd.Env = append(cmd.Env, name+"="+value)
		}
	}
	cmd.Env = append(cmd.Env, "TWINPANEL_KIND="+string(n.Kind), "TWINPANEL_TITLE="+clean(n.Title), "TWINPANEL_PRIORITY="+priority(n), "TWINPANEL_CLICK="+clean(n.Click))
	inGroup(cmd)
	err = cmd.Run()
	if errors.Is(err, exec.ErrWaitDelay) && cmd.ProcessState.Success() {
		err = nil // what it left behind is its own matter
	}
	if err != nil {
		text := fmt.Sprintf("--notify-command: %v", err)
		if errors.Is(ctx.Err(), context.DeadlineExceeded) {
			text = fmt.Sprintf("--notify-command: not done in %v, so it was killed", programTimeout)
		}
		if output.text != "" {
			text += fmt.Sprintf(". It says: %q", excerpt(strings.TrimSpace(output.text)))
		}
		return "", &DeliveryError{Text: text}
	}
	said = cmd.ProcessState.String()
	if output.text != "" {
		said += ": " + excerpt(strings.TrimSpace(output.text))
	}
	return said, nil
}

// A boundedText keeps the beginning of what is written. Only one goroutine writes: both outputs of a command are one.
type boundedText struct{ text string }

func (b *boundedText) Write(p []byte) (int, error) {
	b.text += string(p[:min(len(p), maxSaid-len(b.text))])
	return len(p), nil
}
