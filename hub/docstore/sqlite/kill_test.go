//go:build linux || darwin

package sqlite

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/twinpanel/twinpanel/hub/docstore"
	"github.com/twinpanel/twinpanel/hub/docstore/storetest"
	"github.com/twinpanel/twinpanel/twin"
)

const killedWriters = 4

func killKey(writer int) docstore.Key {
	return docstore.Key{Twin: storetest.Panel, Name: twin.Name(strconv.Itoa(writer))}
}

// killData is what a document of the kill test holds at a version. The sizes
// differ, so that pages are split and freed.
func killData(writer int, version uint32) []byte {
	return fmt.Appendf(nil, "%d %d %0*d", writer, version, version%5*800, 0)
}

// writeUntilKilled has a few writers, each with a document of its own, and
// prints "writer version" for each write that was acknowledged.
func writeUntilKilled(dir string) error {
	db, err := Open(dir, Options{})
	if err != nil {
		return err
	}
	db.tx.maxPages = 100 // so that kills meet checkpoints, too
	var wg sync.WaitGroup
	failed := make(chan error, killedWriters)
	for w := range killedWriters {
		wg.Go(func() {
			failed <- func() error {
				doc, err := db.Get(context.Background(), killKey(w))
				if err != nil && !errors.Is(err, twin.ErrDocumentNotFound) {
					return err
				}
				for version := doc.Version; ; {
					if version, err = db.Put(context.Background(), killKey(w), docstore.If(version), killData(w, version+1)); err != nil {
						return err
					}
					fmt.Printf("%d %d\n", w, version)
				}
			}()
		})
	}
	return <-failed
}

// TestKilledUnderLoad kills a process that writes without pause, again and
// again. What it acknowledged is there, and no version is skipped: beyond the
// last one acknowledged there can only be the one write under way.
func TestKilledUnderLoad(t *testing.T) {
	const rounds = 20
	dir := t.TempDir()
	var acknowledged [killedWriters]uint32
	total := 0
	for round := range rounds {
		cmd := child(t, "write", dir)
		out, err := cmd.StdoutPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		lines := bufio.NewScanner(out)
		killed := 10 + rand.IntN(300) // lines after which the process is killed; more are on their way
		for n := 1; lines.Scan(); n++ {
			var w int
			var version uint32
			if _, err := fmt.Sscanf(lines.Text(), "%d %d", &w, &version); err != nil {
				t.Fatalf("round %d: the writing process says %q", round, lines.Text())
			}
			if version != acknowledged[w]+1 {
				t.Errorf("round %d: writer %d was given version %d after %d", round, w, version, acknowledged[w])
			}
			acknowledged[w] = version
			total++
			if n == killed {
				if err := cmd.Process.Kill(); err != nil {
					t.Fatal(err)
				}
			}
		}
		cmd.Wait() // says that it was killed
		checkKilled(t, dir, &acknowledged)
	}
	if total < rounds*10 {
		t.Errorf("%d writes in %d rounds, want more", total, rounds)
	}
}

// checkKilled compares a folder with the versions acknowledged, and sets these to what is there.
func checkKilled(t *testing.T, dir string, acknowledged *[killedWriters]uint32) {
	t.Helper()
	db := mustOpen(t, dir) // checks every page
	for w, want := range acknowledged {
		doc, err := db.Get(t.Context(), killKey(w))
		if want == 0 && errors.Is(err, twin.ErrDocumentNotFound) {
			continue
		}
		if err != nil || doc.Version < want || doc.Version > want+1 {
			t.Errorf("document %d has version %d, %v; acknowledged was %d", w, doc.Version, err, want)
		}
		if got := string(doc.Data); got != string(killData(w, doc.Version)) {
			t.Errorf("document %d has version %d with the data %.20q", w, doc.Version, got)
		}
		acknowledged[w] = doc.Version
	}
	if err := db.Close(); err != nil {
		t.Error(err)
	}
}

// TestKilledAtFirstStart kills a process while it may be creating the database.
func TestKilledAtFirstStart(t *testing.T) {
	parent := t.TempDir()
	for round := range 10 {
		dir := filepath.Join(parent, strconv.Itoa(round))
		cmd := child(t, "hub", dir)
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		kill := time.AfterFunc(rand.N(50*time.Millisecond), func() { cmd.Process.Kill() })
		cmd.Wait() // either way is fine
		kill.Stop()
		db := mustOpen(t, dir)
		if _, err := db.Put(t.Context(), desired, docstore.Absent, []byte("{}")); err != nil {
			t.Errorf("round %d: %v", round, err)
		}
		if err := db.Close(); err != nil {
			t.Error(err)
		}
	}
}

// TestKilledAtARestore kills a process while it may be putting a backup in a database's place. The
// folder has the database from before, or all of the backup; never an empty one, or parts of both.
func TestKilledAtARestore(t *testing.T) {
	const rounds = 20
	parent := t.TempDir()
	dir, file := filepath.Join(parent, "data"), filepath.Join(parent, "backup.db")
	if err := os.Rename(mustBackup(t, 1000), file); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(killedHub(t), dir); err != nil {
		t.Fatal(err)
	}
	began := time.Now()
	if err := child(t, "restore", parent).Run(); err != nil {
		t.Fatal(err)
	}
	whole := time.Since(began)
	restored := 0
	for round := range rounds {
		// Something new since the last restore, in the WAL alone.
		db := mustOpen(t, dir)
		version, err := db.Put(t.Context(), desired, docstore.Any, []byte("{}"))
		if err == nil {
			err = os.CopyFS(filepath.Join(parent, "killed"), os.DirFS(dir))
		}
		if err = errors.Join(err, db.Close(), os.RemoveAll(dir), os.Rename(filepath.Join(parent, "killed"), dir)); err != nil {
			t.Fatal(err)
		}
		cmd := child(t, "restore", parent)
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		kill := time.AfterFunc(rand.N(whole), func() { cmd.Process.Kill() })
		cmd.Wait() // either way is fine
		kill.Stop()
		db = mustOpen(t, dir)
		switch doc := get(t, db, "desired"); doc.Version {
		case version:
		case 1000:
			restored++
		default:
			t.Errorf("round %d: version %d, want %d or 1000", round, doc.Version, version)
		}
		if err := db.Close(); err != nil {
			t.Error(err)
		}
	}
	t.Logf("%d of %d restores came before the kill", restored, rounds)
}
