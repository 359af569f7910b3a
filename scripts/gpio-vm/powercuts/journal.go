//go:build linux

package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"hash/crc32"
	"time"
)

// A journal is what version 1 of the panel's journal holds. It is read here by other code than the panel's, which would
// forgive its own mistakes.
type journal struct {
	Armed       bool     `json:"armed"`
	Local       bool     `json:"local"`
	DesiredSeen uint32   `json:"desired_seen"`
	Entering    bool     `json:"entering"`
	Rings       int      `json:"rings"`
	ChargedMS   int64    `json:"charged_ms"`
	PrepaidMS   int64    `json:"prepaid_ms"`
	WaitClosed  []string `json:"wait_closed"`
}

// parseJournal wants every byte to be right.
func parseJournal(text []byte) (j journal, err error) {
	head, body, _ := bytes.Cut(text, []byte("\n"))
	body, whole := bytes.CutSuffix(body, []byte("\n"))
	sum := crc32.Checksum(body, crc32.MakeTable(crc32.Castagnoli))
	if want := fmt.Sprintf("twinpanel-journal 1 %08x", sum); !whole || string(head) != want {
		return j, fmt.Errorf("the journal is %q, whose checksum does not fit", text)
	}
	d := json.NewDecoder(bytes.NewReader(body))
	d.DisallowUnknownFields()
	if err := d.Decode(&j); err != nil {
		return j, fmt.Errorf("the journal is %q: %w", text, err)
	}
	if d.More() {
		return j, errors.New("the journal has more than one record")
	}
	return j, nil
}

// charged is the ring time that was charged in this armed period, also ahead.
func (j journal) charged() time.Duration {
	over := j.Rings
	if j.ChargedMS > 0 {
		over-- // but for the last one
	}
	return time.Duration(over)*sirenLimit + time.Duration(j.ChargedMS+j.PrepaidMS)*time.Millisecond
}

// amidRing says that a ring is not over.
func (j journal) amidRing() bool {
	return j.Armed && j.ChargedMS > 0 && j.ChargedMS < sirenLimit.Milliseconds()
}
