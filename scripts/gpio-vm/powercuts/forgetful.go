//go:build linux

package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

// flushes are the places where the panel waits for the disk, and what a panel that doesn't has there. The black box is among
// them because a flush of one file brings all names of the file system to the disk.
var flushes = []struct{ file, flush, instead string }{
	{"internal/durable/replace.go", "if err := f.Sync(); err != nil {", "if err := error(nil); err != nil {"},
	{"internal/durable/replace.go", "return d.Sync()", "return nil"},
	{"internal/blackbox/disk.go", "if err := f.Sync(); err != nil {", "if err := error(nil); err != nil {"},
}

// forgetful makes an overlay for a build of the panel that tells what is not on the disk.
func forgetful(ctx context.Context, dir string) (overlay string, err error) {
	out, err := exec.CommandContext(ctx, "go", "list", "-m", "-f", "{{.Dir}}").Output()
	if err != nil {
		return "", fmt.Errorf("looking for the module: %w", err)
	}
	root := strings.TrimSpace(string(out))
	text, replaced := map[string]string{}, map[string]string{}
	for i, f := range flushes {
		here := filepath.Join(root, f.file)
		if text[here] == "" {
			b, err := os.ReadFile(here)
			if err != nil {
				return "", err
			}
			text[here] = string(b)
			replaced[here] = filepath.Join(dir, fmt.Sprintf("forgetful-%d.go", i))
		}
		if strings.Count(text[here], f.flush) != 1 {
			return "", fmt.Errorf("%s no longer has %q once: what would be a panel that forgets?", f.file, f.flush)
		}
		text[here] = strings.Replace(text[here], f.flush, f.instead, 1)
	}
	for here, there := range replaced {
		err = errors.Join(err, os.WriteFile(there, []byte(text[here]), 0o600))
	}
	b, marshalErr := json.Marshal(map[string]any{"Replace": replaced})
	overlay = filepath.Join(dir, "overlay.json")
	return overlay, errors.Join(err, marshalErr, os.WriteFile(overlay, b, 0o600))
}
