package panel

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"path/filepath"
	"strings"
)

// Control is the way to a running panel from another process: its state folder.
type Control string

// Status asks for the panel's state. When no panel runs, the error is [io/fs.ErrNotExist] or
// ECONNREFUSED.
func (c Control) Status(ctx context.Context) (Status, error) { return c.call(ctx, "GET", "/status") }

// Command arms or disarms as [Panel.Command] does.
func (c Control) Command(ctx context.Context, armed bool) (Status, error) {
	if armed {
		return c.call(ctx, "POST", "/arm")
	}
	return c.call(ctx, "POST", "/disarm")
}

// TestSiren sounds the siren as [Panel.TestSiren] does. When that is refused or cut short, the error is [ErrNotNow].
func (c Control) TestSiren(ctx context.Context) (Status, error) {
	return c.call(ctx, "POST", "/siren-test")
}

// Flush brings what the black box still has in memory to the disk.
func (c Control) Flush(ctx context.Context) error {
	_, err := c.call(ctx, "POST", "/flush")
	return err
}

func (c Control) call(ctx context.Context, method, path string) (Status, error) {
	transport := &http.Transport{
		DisableKeepAlives: true,
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			var d net.Dialer
			return d.DialContext(ctx, "unix", filepath.Join(string(c), socketName))
		},
	}
	r, err := http.NewRequestWithContext(ctx, method, "http://panel"+path, nil)
	if err != nil {
		return Status{}, err
	}
	resp, err := transport.RoundTrip(r)
	if err != nil {
		return Status{}, fmt.Errorf("asking the panel: %w", err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(io.LimitReader(resp.Body, 64<<10))
	if err != nil {
		return Status{}, fmt.Errorf("asking the panel: %w", err)
	}
	switch answer := strings.TrimSpace(string(body)); resp.StatusCode {
	case http.StatusOK:
	case http.StatusConflict:
		return Status{}, fmt.Errorf("the panel answers: %w: %s", ErrNotNow, answer)
	default:
		return Status{}, fmt.Errorf("the panel answers: %s", answer)
	}
	var s Status
	if err := json.Unmarshal(body, &s); err != nil {
		return Status{}, fmt.Errorf("asking the panel: %w", err)
	}
	return s, nil
}
