package panels

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
)

// A Report is a line of what a generator says: first that its panels are connected, then its result.
type Report struct {
	Ready  bool    `json:",omitempty"`
	Result *Result `json:",omitempty"`
}

// Serve is a generator as a process. It reads a [Job] from in, a line of JSON, and writes a [Report] when its panels are
// connected. At the next line it does the job, and reports the result. Then it stays connected until in ends. It is all right
// for in to end before there is anything to do.
func Serve(ctx context.Context, in io.Reader, out io.Writer) error {
	lines := bufio.NewScanner(in)
	if !lines.Scan() {
		return errors.Join(errors.New("there is no job to do"), lines.Err())
	}
	var j Job
	if err := json.Unmarshal(lines.Bytes(), &j); err != nil {
		return fmt.Errorf("reading a job: %w", err)
	}
	f, err := Connect(ctx, j)
	if err != nil {
		return err
	}
	defer f.Close()
	say := json.NewEncoder(out)
	if err := say.Encode(Report{Ready: true}); err != nil {
		return err
	}
	if !lines.Scan() {
		return lines.Err()
	}
	r, err := f.Run()
	if err != nil {
		return err
	}
	if err := say.Encode(Report{Result: &r}); err != nil {
		return err
	}
	lines.Scan()
	return lines.Err()
}
