//go:build unix

package sqlite

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/holdfast-backup/holdfast/agent/source"
	"github.com/holdfast-backup/holdfast/vault/dump"
	"github.com/holdfast-backup/holdfast/wire/fault"
)

// What is dumped twice is the same, and holds what it says.
func TestDump(t *testing.T) {
	t.Parallel()
	for _, wal := range []bool{false, true} {
		d := fill(t, wal)
		text, tables := dumped(t, d)
		again, _ := dumped(t, d)
		same(t, again, text)
		rows := map[string]int64{}
		for _, x := range tables {
			rows[x.Name] = x.Rows
		}
		if rows["customers"] != 300 || rows["orders"] != 500 || rows[`Odd "Items"; -- (1)`] != 3 || rows["empty"] != 0 {
			t.Errorf("%v", rows)
		}
		for _, setting := range []string{"page_size=8192", "auto_vacuum=2", "user_version=42", "application_id=1234567", "encoding='UTF-8'"} {
			if !strings.Contains(text, "PRAGMA "+setting+";\n") {
				t.Errorf("%s is not in the dump", setting)
			}
		}
		if strings.Contains(text, "journal_mode=wal") != wal {
			t.Errorf("the write-ahead log: %v", !wal)
		}
		if dump.Sniff([]byte(text)) != dump.SQLiteSQL {
			t.Error("the dump is not recognised")
		}
	}
}

// Dump and portable export are of the moment at which the session began, whatever is written meanwhile.
func TestOneMoment(t *testing.T) {
	t.Parallel()
	d := fill(t, true)
	want, _ := dumped(t, d)
	s, err := d.Begin(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	sh(t, d.path, "DELETE FROM orders; INSERT INTO log VALUES ('later'); CREATE TABLE later (a);")
	got, _ := dumpedIn(t, s)
	same(t, got, want)
	sh(t, d.path, "DROP TABLE log;")
	var f struct {
		Tables []struct {
			Name string
			Rows [][]any
		}
	}
	if err := json.Unmarshal([]byte(exportedIn(t, s)), &f); err != nil {
		t.Fatal(err)
	}
	rows := ""
	for _, x := range f.Tables {
		rows += fmt.Sprintf("%s=%d ", x.Name, len(x.Rows))
	}
	if want := `Odd "Items"; -- (1)=3 customers=300 docs=2 empty=0 log=0 orders=500 places=1 `; rows != want {
		t.Errorf("the export has %s, want %s", rows, want)
	}
	again, _ := dumpedIn(t, s)
	same(t, again, want)
}

// Somebody moves money all the time; in no dump is more or less of it.
func TestDumpBesideWriter(t *testing.T) {
	t.Parallel()
	for _, mode := range []string{"WAL", "DELETE"} {
		t.Run(mode, func(t *testing.T) {
			t.Parallel()
			d := opened(t, filepath.Join(t.TempDir(), "bank.db"))
			sh(t, d.path, "PRAGMA journal_mode="+mode+"; CREATE TABLE a (id INTEGER PRIMARY KEY, n INT); CREATE TABLE z (id INTEGER PRIMARY KEY, n INT); CREATE TABLE times (n INT); INSERT INTO times VALUES (0);"+
				"WITH RECURSIVE s(g) AS (SELECT 1 UNION ALL SELECT g + 1 FROM s LIMIT 2000) INSERT INTO a SELECT g, 100 FROM s; INSERT INTO z SELECT * FROM a;")
			u := use(t, d.path)
			stop, done := make(chan struct{}), make(chan struct{})
			var once sync.Once
			end := func() { once.Do(func() { close(stop); <-done }) }
			defer end()
			wrote := make(chan struct{}, 1)
			go func() {
				defer close(done)
				for {
					select {
					case <-stop:
						return
					default:
						u.do("BEGIN IMMEDIATE; UPDATE a SET n = n - 1 WHERE id = 1 + abs(random()) % 2000; UPDATE times SET n = n + 1; UPDATE z SET n = n + 1 WHERE id = 1 + abs(random()) % 2000; COMMIT;")
						select {
						case wrote <- struct{}{}:
						default:
						}
					}
				}
			}()
			for range 4 {
				<-wrote
				text, tables := dumped(t, d)
				copied := filepath.Join(t.TempDir(), "copy.db")
				if err := restore(d, text, source.Restore{As: copied, Want: tables}); err != nil {
					t.Fatal(err)
				}
				if sum := sh(t, copied, "SELECT (SELECT sum(n) FROM a) + (SELECT sum(n) FROM z);"); sum != "400000" {
					t.Errorf("the dump has %s", sum)
				}
				if wrong := sh(t, copied, "SELECT 200000 - (SELECT sum(n) FROM a) - n FROM times;"); wrong != "0" {
					t.Errorf("%s transactions are in the dump by half", wrong)
				}
			}
			end()
		})
	}
}

// What cannot be dumped is said, not left out.
func TestDumpFails(t *testing.T) {
	t.Parallel()
	d := fill(t, false)
	sh(t, d.path, "INSERT INTO log VALUES ('a' || char(0) || 'b');")
	s, err := d.Begin(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := s.Dump(t.Context()); !errors.Is(err, fault.Invalid) || !strings.Contains(err.Error(), `table log has in what texts with zero bytes`) {
		t.Errorf("a zero byte: %v", err)
	}
	r, err := s.Portable(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := io.ReadAll(r); !errors.Is(err, fault.Invalid) || !strings.Contains(err.Error(), "zero bytes") {
		t.Errorf("a zero byte, exported: %v", err)
	}
	r.Close()
	s.Close()
	if _, err := s.Dump(t.Context()); err == nil {
		t.Error("a session that was closed dumps")
	}
	sh(t, d.path, "DELETE FROM log; INSERT INTO log VALUES (CAST(x'ff' AS TEXT));")
	if s, err = d.Begin(t.Context()); err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	if r, err = s.Portable(t.Context()); err != nil {
		t.Fatal(err)
	}
	if _, err := io.ReadAll(r); !errors.Is(err, fault.Invalid) || !strings.Contains(err.Error(), "row 1 of the table log has in what bytes that are no text") {
		t.Errorf("no UTF-8: %v", err)
	}
	r.Close()

	// A page in the middle is not what it was.
	d = fill(t, false)
	f, err := os.OpenFile(d.path, os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	for page := int64(3); page < 20; page++ {
		if _, err := f.WriteAt([]byte(strings.Repeat("garbage ", 100)), page*8192); err != nil {
			t.Fatal(err)
		}
	}
	s, err = d.Begin(t.Context())
	if err == nil {
		defer s.Close()
		var r source.Dump
		if r, err = s.Dump(t.Context()); err == nil {
			_, err = io.Copy(io.Discard, r)
		}
	}
	if !errors.Is(err, fault.Unavailable) {
		t.Errorf("damage: %v", err)
	}
}

// Whoever does not want the rest ends it.
func TestDumpIsEnded(t *testing.T) {
	t.Parallel()
	d := fill(t, true)
	begin := func(ctx context.Context) source.Session {
		t.Helper()
		s, err := d.Begin(ctx)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { s.Close() })
		return s
	}
	s := begin(t.Context())
	r, err := s.Dump(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := r.Read(make([]byte, 10)); err != nil {
		t.Error(err)
	}
	r.Close()
	if _, err := r.Read(make([]byte, 10)); err == nil || err == io.EOF {
		t.Errorf("after Close: %v", err)
	}
	if _, err := s.Portable(t.Context()); err == nil {
		t.Error("the session goes on")
	}
	ctx, cancel := context.WithCancel(t.Context())
	s = begin(t.Context())
	if r, err = s.Dump(ctx); err != nil {
		t.Fatal(err)
	}
	cancel()
	if _, err := io.Copy(io.Discard, r); !errors.Is(err, context.Canceled) {
		t.Errorf("cancelled: %v", err)
	}
	s = begin(t.Context())
	p, err := s.Portable(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := p.Read(make([]byte, 10)); err != nil {
		t.Error(err)
	}
	p.Close()
	if _, err := p.Read(make([]byte, 10)); err == nil || err == io.EOF {
		t.Errorf("after Close: %v", err)
	}
	// The program is killed.
	s = begin(t.Context())
	if r, err = s.Dump(t.Context()); err != nil {
		t.Fatal(err)
	}
	s.(*session).cmd.Process.Kill()
	if _, err := io.Copy(io.Discard, r); !errors.Is(err, fault.Unavailable) || !strings.Contains(err.Error(), "killed") {
		t.Errorf("killed: %v", err)
	}
}
