package main

import (
	"bytes"
	"testing"

	"github.com/twinpanel/twinpanel/internal/cli"
	"github.com/twinpanel/twinpanel/internal/cli/clitest"
)

func TestEnvFileHasEachVariable(t *testing.T) {
	var help bytes.Buffer
	if code := cli.Run(t.Context(), command(), []string{"--help"}, &help, &help); code != cli.ExitOK {
		t.Fatalf("exit code %d: %s", code, &help)
	}
	clitest.CheckEnvFile(t, "../../scripts/systemd/app.env", help.String())
}
