package blackbox

import (
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"

	"github.com/twinpanel/twinpanel/internal/durable"
	"github.com/twinpanel/twinpanel/statemachine/transcript"
)

// Check says why the log in a state folder cannot be read; nil also if there is none. Lines that a power cut has torn are no
// reason: the next start mends that.
func Check(dir string) error {
	for _, name := range []string{OldName, Name} {
		path := filepath.Join(dir, name)
		text, err := durable.Read(path, largest)
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return err
		}
		if _, err := transcript.Play(string(text)); errors.Is(err, transcript.ErrNewer) {
			return fmt.Errorf("%s: %w", path, err)
		}
		if clean, lost := transcript.Clean(string(text)); clean == "" && lost > 0 {
			return fmt.Errorf("%s: nothing in it is a line of a black box", path)
		}
	}
	return nil
}
