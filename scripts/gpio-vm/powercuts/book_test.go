//go:build linux

package main

import (
	"errors"
	"fmt"
	"hash/crc32"
	"strings"
	"testing"
	"time"

	"github.com/twinpanel/twinpanel/internal/panel"
	"github.com/twinpanel/twinpanel/scripts/gpio-vm/powercuts/report"
)

// text is a journal's content.
func text(body string) []byte {
	return fmt.Appendf(nil, "twinpanel-journal 1 %08x\n%s\n", crc32.Checksum([]byte(body), crc32.MakeTable(crc32.Castagnoli)), body)
}

// armedWith is the journal of an armed panel.
func armedWith(rings, charged, prepaid int) []byte {
	return text(fmt.Sprintf(`{"armed":true,"local":false,"desired_seen":1,"entering":false,"rings":%d,"charged_ms":%d,"prepaid_ms":%d,"wait_closed":[]}`, rings, charged, prepaid))
}

var disarmed = text(`{"armed":false,"local":false,"desired_seen":2,"entering":false,"rings":0,"charged_ms":0,"wait_closed":[]}`)

// What a book is told.
type (
	asked   ask
	cut     struct{}
	settled struct{ armed bool }
)

func found(journal []byte) report.Report {
	return report.Report{Kind: report.Found, Journal: journal}
}

func started(armed bool) report.Report {
	return report.Report{Kind: report.Started, Status: &panel.Status{Armed: armed}}
}

func ringing(s time.Duration) report.Report {
	return report.Report{Kind: report.Sample, Siren: true, Sounded: s}
}

func says(armed bool) current { return current{AlarmArmed: armed} }

func TestBook(t *testing.T) {
	arm, disarm := asked{armed: true, version: 1}, asked{armed: false, version: 2}
	armed := []any{found(nil), started(false), arm, says(true), settled{true}}
	then := func(more ...any) []any { return append(armed[:len(armed):len(armed)], more...) }
	unreadable := found(armedWith(0, 0, 0))
	unreadable.Unreadable = true
	unexplained := found(armedWith(0, 0, 0))
	unexplained.BlackBox = "it is empty"
	broken := started(true)
	broken.Status.Faults = []string{"journal"}
	resumed := started(true)
	resumed.Status.Ringing = true
	usedUp := started(true)
	usedUp.Status.Faults = []string{"rings_used"}
	spent := then(ringing(60*time.Second), cut{}, found(armedWith(2, 30000, 0)), usedUp)
	besieged := func(more ...any) []any { return append(spent[:len(spent):len(spent)], more...) }
	tests := []struct {
		name string
		told []any
		want string // of the violation at the end; empty = none
	}{
		{"forgets that it is armed", then(cut{}, found(disarmed)), "disarmed, which must be armed"},
		{"forgets it, though disarming was asked for long before", then(disarm, says(false), settled{false}, asked{armed: true}, says(true), cut{}, found(disarmed)), "which must be armed"},
		{"is another than its journal", then(disarm, cut{}, found(armedWith(0, 0, 0)), started(false)), "its journal says armed"},
		{"loses the journal", then(cut{}, found(nil)), "the journal is gone"},
		{"has half a journal", then(cut{}, found(armedWith(0, 0, 0)[:40])), "checksum"},
		{"has a journal of zeros", then(cut{}, found(make([]byte, 100))), "checksum"},
		{"could not read its journal", then(cut{}, unreadable), "journal.unreadable"},
		{"has no black box", then(cut{}, unexplained), "it is empty"},
		{"cannot write its journal", then(cut{}, found(armedWith(0, 0, 0)), broken), "fault of the journal"},
		{"disarms by itself", then(says(false)), "must be armed"},
		{"arms by itself after a start", []any{found(nil), started(false), says(true)}, "must be disarmed"},
		{"rings though it is disarmed", []any{found(nil), started(false), ringing(time.Second)}, "the panel is disarmed"},
		{"rings at once at the next start", then(disarm, says(false), settled{false}, cut{}, found(disarmed), ringing(0)), "disarmed"},
		{"rings uncharged", then(ringing(12*time.Second), cut{}, found(armedWith(1, 10000, 0))), "10s charged"},
		{"rings uncharged, over two starts", then(ringing(9*time.Second), cut{}, found(armedWith(1, 10000, 0)), ringing(9*time.Second), cut{}, found(armedWith(1, 10000, 0))), "10s charged"},
		{"takes a charge back", then(ringing(5*time.Second), cut{}, found(armedWith(1, 20000, 0)), cut{}, found(armedWith(1, 10000, 0))), "it was 20s before"},
		{"rings longer than is allowed", then(ringing(40*time.Second), cut{}, found(armedWith(2, 30000, 0)), ringing(25*time.Second)), "1m0s are allowed"},
		{"rings a little longer than is allowed", then(ringing(30*time.Second), cut{}, found(armedWith(1, 30000, 0)), ringing(31*time.Second+time.Millisecond)), "1m0s are allowed"},
		{"has no ring left and rings", besieged(cut{}, found(armedWith(2, 0, 0)), ringing(0)), "rings are used up"},
		{"has no ring left and has rung unseen", besieged(cut{}, report.Report{Kind: report.Found, Journal: armedWith(2, 0, 0), Sounded: time.Millisecond}), "rings are used up"},
		{"has no ring left and is disarmed", besieged(cut{}, found(disarmed)), "must be armed"},
		{"forgets that it rang", then(ringing(5*time.Second), cut{}, found(armedWith(1, 10000, 0)), started(true)), "forgotten"},

		{"stays armed", then(cut{}, found(armedWith(0, 0, 0)), started(true), says(true)), ""},
		{"was asked and did it", then(disarm, cut{}, found(disarmed), started(false)), ""},
		{"was asked and had no time", then(disarm, cut{}, found(armedWith(0, 0, 0)), started(true), says(true), says(false)), ""},
		{"said so before it was asked", then(disarm, says(true), says(false)), ""},
		{"warns of its journal", then(current{AlarmArmed: false, Faults: []string{"journal"}}), ""},
		{"goes on ringing", then(ringing(9*time.Second), cut{}, found(armedWith(1, 10000, 0)), resumed), ""},
		{"charged ahead what sounded", then(ringing(9*time.Second), cut{}, found(armedWith(0, 0, 10000)), started(true)), ""},
		{"rings as long as is allowed", then(ringing(30*time.Second), cut{}, found(armedWith(1, 30000, 0)), ringing(31*time.Second)), ""},
		{"has no ring left and stays silent", besieged(cut{}, found(armedWith(2, 0, 0)), usedUp), ""},
		{"has no ring left, and is armed again", besieged(cut{}, found(armedWith(2, 0, 0)), usedUp, disarm, says(false), settled{false}, asked{armed: true}, says(true), settled{true}, ringing(time.Second)), ""},
		{"rings in another period", then(ringing(40*time.Second), disarm, says(false), settled{false}, asked{armed: true}, says(true), settled{true}, ringing(70*time.Second)), ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			b := newBook()
			for i, told := range tt.told {
				err := b.hold(told)
				if last := i == len(tt.told)-1; err != nil && (!last || tt.want == "") {
					t.Fatalf("at %+v: %v", told, err)
				} else if last && tt.want != "" {
					v, ok := errors.AsType[*violation](err)
					if !ok || !strings.Contains(v.what, tt.want) {
						t.Fatalf("at the end: %v; want a violation with %q", err, tt.want)
					}
				}
			}
		})
	}
}

// hold tells the book one thing.
func (b *book) hold(told any) error {
	switch told := told.(type) {
	case asked:
		b.ask(ask(told))
	case current:
		return b.hear(told)
	case report.Report:
		return b.report(told)
	case cut:
		b.cut()
	case settled:
		r := report.Report{Kind: report.Answer, Sounded: b.latest, Status: &panel.Status{Armed: told.armed}}
		if err := b.report(r); err != nil {
			return err
		}
		b.settle(r)
	}
	return nil
}

func TestMachineInTrouble(t *testing.T) {
	err := newBook().report(report.Report{Kind: report.Broken, Err: "the panel has ended: exit status 1"})
	if _, ok := errors.AsType[*violation](err); err == nil || ok {
		t.Errorf("got %v, want an error that is no violation: the machine doesn't work", err)
	}
}
