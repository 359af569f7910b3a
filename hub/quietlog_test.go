package hub

import (
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// A client that is refused and comes back for ever leaves a few lines a minute.
func TestLogIsQuiet(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newTestServer(t, nil)
		for range 3 * 60 * 10 { // ten times a second for three minutes
			c := s.dial()
			c.send(connectPacket(string(nobodyID), 60))
			c.want("20020005 closed")
			time.Sleep(100 * time.Millisecond)
		}
		log := s.log.take()
		if refused := strings.Count(log, "connection refused"); refused != 3*linesPerSubject {
			t.Errorf("%d lines in three minutes, want %d", refused, 3*linesPerSubject)
		}
		s.Close()
		log += s.log.take()
		if want := fmt.Sprintf(`msg="log lines omitted" count=%d window=1m0s`, 600-linesPerSubject); strings.Count(log, want) != 3 {
			t.Errorf("log does not say three times %q:\n%s", want, log)
		}
	})
}

// A stranger's certificate may hold 256 KiB of text, and an HTTP header 16 KiB, which errors repeat.
func TestLogLinesAreShort(t *testing.T) {
	long := strings.Repeat("\x00long ", 50_000)
	for _, tt := range []struct {
		name   string
		attrs  []any
		stays  bool
		begins string
	}{
		{"error", []any{"reason", fmt.Errorf("refused: %s", long)}, false, `reason="refused: \x00long `},
		{"text", []any{"remote", "here", "reason", long}, false, `remote=here reason="\x00long `},
		{"fault of the hub", []any{"panic", "a", "stack", long}, true, `panic=a stack="\x00long `},
	} {
		t.Run(tt.name, func(t *testing.T) {
			var log logBuffer
			q := newQuietLog(slog.New(slog.NewTextHandler(&log, nil)))
			q.stranger(slog.LevelInfo, "192.0.2.7", "connection refused", tt.attrs...)
			got := log.take()
			if !strings.Contains(got, tt.begins) {
				t.Errorf("line is %.200q, want %q in it", got, tt.begins)
			}
			if most := 5 * maxLogValue; len(got) > most != tt.stays {
				t.Errorf("line has %d bytes, limit %d, want the whole: %t", len(got), most, tt.stays)
			}
			if s, ok := tt.attrs[len(tt.attrs)-1].(string); ok && s != long {
				t.Error("the caller's own was cut")
			}
		})
	}
}

func TestLogKeepsRoomForWarnings(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newTestServer(t, nil)
		for range 20 {
			c := s.connect(panelID)
			c.send(packet(0xe0))
			c.want("closed")
		}
		s.connect(panelID).send(publishPacket("house/door", 0, "open"))
		synctest.Wait()
		if log := s.log.take(); !strings.Contains(log, "--other-topics drop") {
			t.Errorf("log is %q", log)
		}
	})
}

func TestLogIsBoundedInAll(t *testing.T) {
	const subjects = 10_000
	tests := []struct {
		name  string
		write func(q *quietLog, subject string)
		want  int
	}{
		{"strangers", func(q *quietLog, s string) { q.stranger(slog.LevelError, s, "connection refused") }, strangerLines},
		{"info", func(q *quietLog, s string) { q.info(s, "device connected") }, infoLines},
		{"warnings", func(q *quietLog, s string) { q.warn(s, "device disconnected") }, warnLines},
		{"errors", func(q *quietLog, s string) { q.error(s, "request failed") }, errorLines},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var log logBuffer
				q := newQuietLog(slog.New(slog.NewTextHandler(&log, nil)))
				for i := range subjects {
					tt.write(q, fmt.Sprint("subject ", i))
				}
				if n := strings.Count(log.take(), "\n"); n != tt.want {
					t.Errorf("%d lines, want %d", n, tt.want)
				}
				if len(q.lines) > tt.want {
					t.Errorf("remembers %d subjects, want at most %d", len(q.lines), tt.want)
				}

				// The other budgets are untouched.
				for _, other := range tests {
					if other.name == tt.name {
						continue
					}
					other.write(q, "another")
					if n := strings.Count(log.take(), "\n"); n != 1 {
						t.Errorf("%s are silenced", other.name)
					}
				}

				time.Sleep(logWindow)
				tt.write(q, "subject")
				if got := log.take(); !strings.Contains(got, fmt.Sprint("count=", subjects-tt.want)) {
					t.Errorf("log is %q", got)
				}
			})
		})
	}
}

func TestErrorsHaveTheLargestLogBudget(t *testing.T) {
	if !(strangerLines < infoLines && infoLines < warnLines && warnLines < errorLines) {
		t.Errorf("budgets are %d, %d, %d, %d, want them to rise", strangerLines, infoLines, warnLines, errorLines)
	}
}

// What is refused before there is a device must not hide what happens to devices.
func TestStrangersDoNotSilenceDevices(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newTestServer(t, nil)
		for i := range 10 * errorLines {
			s.Hub.log.stranger(slog.LevelInfo, fmt.Sprint("address ", i), "connection refused")
		}
		s.log.take()
		s.connect(panelID)
		if log := s.log.take(); !strings.Contains(log, "device connected") {
			t.Errorf("log is %q", log)
		}
	})
}

// REST and MQTT share the limits, and Close says what both omitted.
func TestLogOfRESTAndMQTTIsOne(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newTestServer(t, nil)
		for range linesPerSubject {
			s.Hub.log.error(string(panelID), "request failed")
		}
		s.log.take()
		s.endpoint.log.error(string(panelID), "request failed")
		s.Close()
		if log := s.log.take(); !strings.Contains(log, `msg="log lines omitted" count=1 `) || strings.Contains(log, "request failed") {
			t.Errorf("log is %q, want only the count of one omitted line", log)
		}
	})
}

// An error that knows what to do about it says so in the log, too.
func TestLogHasHints(t *testing.T) {
	log := new(logBuffer)
	q := newQuietLog(slog.New(slog.NewTextHandler(log, nil)))
	q.error("", "request failed", "document", "current", "error", fmt.Errorf("writing: %w", fullError{}))
	if got := log.take(); !strings.HasSuffix(got, ` msg="request failed" document=current error="writing: disk is full" hint="make room"`+"\n") {
		t.Errorf("log is %q", got)
	}
	q.error("", "request failed", "error", errGone)
	if got := log.take(); strings.Contains(got, "hint") {
		t.Errorf("log is %q", got)
	}
}

type fullError struct{}

func (fullError) Error() string { return "disk is full" }
func (fullError) Hint() string  { return "make room" }
