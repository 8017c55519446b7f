package dump

import (
	"bytes"
	"errors"
	"fmt"
	"reflect"
	"strings"
	"testing"

	"github.com/holdfast-backup/holdfast/wire/fault"
)

const sqliteText = `PRAGMA encoding='UTF-8';
PRAGMA foreign_keys=OFF;
BEGIN TRANSACTION;
CREATE TABLE [odd ( name] (a, b TEXT DEFAULT ';' -- INSERT INTO no VALUES(1);
  , c /* ; */ );
CREATE TABLE IF NOT EXISTS 'docs_data'(id INTEGER PRIMARY KEY, block BLOB);
CREATE TABLE "a""b"(x);
INSERT INTO "a""b" VALUES('it''s; (',X'00ff');
INSERT INTO "a""b" VALUES(replace('two\nlines','\n',char(10)),-1.5);
INSERT INTO "a""b"(rowid,x) VALUES(7,'
INSERT INTO no VALUES(1);
');
INSERT INTO 'docs_data' VALUES(1,NULL);
INSERT INTO plain VALUES(1/2,3-4);
DELETE FROM sqlite_sequence;
INSERT INTO sqlite_sequence VALUES('plain',9);
CREATE TRIGGER t AFTER INSERT ON plain BEGIN
  INSERT INTO no VALUES(1);
  SELECT CASE WHEN new.x THEN ';' ELSE 2 END;
  INSERT INTO no VALUES(2) ; END;
CREATE TEMP TRIGGER u AFTER INSERT ON plain BEGIN INSERT INTO no VALUES(1);END ;
INSERT INTO plain VALUES(2);
CREATE VIEW v AS SELECT ';' FROM plain;
COMMIT;
`

var sqliteTables = []Table{{`a"b`, 3}, {"docs_data", 1}, {"odd ( name", 0}, {"plain", 2}}

func TestSQLite(t *testing.T) {
	t.Parallel()
	s := NewScanner(SQLiteSQL)
	if _, err := s.Write([]byte(sqliteText)); err != nil {
		t.Fatal(err)
	}
	if got := s.Tables(); !reflect.DeepEqual(got, sqliteTables) {
		t.Errorf("got %v", got)
	}
	if err := s.Whole(); err != nil {
		t.Error(err)
	}
	if Sniff([]byte(sqliteText)) != SQLiteSQL {
		t.Error("not recognised")
	}
}

// A command of the shell's is a statement of its own, so that whoever loads a dump can refuse it.
func TestSQLiteStatements(t *testing.T) {
	t.Parallel()
	var heads []string
	s := NewSQLiteStatements(func(st Statement) error {
		heads = append(heads, string(st.Head))
		return nil
	})
	if _, err := s.Write([]byte("PRAGMA a=1;\n.shell date; id\nSELECT '\n.quit\n';\nATTACH 'x' AS y;\n")); err != nil {
		t.Fatal(err)
	}
	if want := []string{"PRAGMA a=1", ".shell date; id", "SELECT '\n.quit\n'", "ATTACH 'x' AS y"}; !reflect.DeepEqual(heads, want) {
		t.Errorf("got %q", heads)
	}
}

// What a dump holds does not depend on where it is cut.
func FuzzSQLiteCuts(f *testing.F) {
	f.Add([]byte(sqliteText), uint16(1), uint16(7))
	f.Add([]byte("/**/--\n- /x INSERT INTO `a` VALUES('''',[);'];'\n.x ;\n"), uint16(0), uint16(2))
	f.Fuzz(func(t *testing.T, text []byte, a, b uint16) {
		read := func(cuts ...uint16) string {
			var heads strings.Builder
			s := NewSQLiteStatements(func(st Statement) error {
				fmt.Fprintf(&heads, "%q\n", st.Head)
				return nil
			})
			rest := text
			for i := 0; len(rest) > 0; i++ {
				n := min(len(rest), 1+int(cuts[i%len(cuts)]))
				if _, err := s.Write(bytes.Clone(rest[:n])); err != nil {
					t.Fatal(err)
				}
				rest = rest[n:]
			}
			fmt.Fprint(&heads, s.Tables(), s.Whole())
			return heads.String()
		}
		if whole, cut := read(65535), read(a, b); whole != cut {
			t.Errorf("whole:\n%s\ncut:\n%s", whole, cut)
		}
	})
}

func TestSQLiteBreaksOff(t *testing.T) {
	t.Parallel()
	for i, text := range []string{"", sqliteText[:len(sqliteText)/2], "INSERT INTO t VALUES('\nCOMMIT;\n", "/*\nCOMMIT;\n", "ROLLBACK; -- due to errors\n", "COMMIT;\nINSERT INTO t VALUES(", "COMMIT;\nCREATE TABLE t(a);\n"} {
		s := NewScanner(SQLiteSQL)
		if _, err := s.Write([]byte(text)); err != nil {
			t.Fatal(err)
		}
		if err := s.Whole(); !errors.Is(err, fault.Invalid) {
			t.Errorf("%d is whole: %v", i, err)
		}
	}
	s := NewScanner(SQLiteSQL)
	s.Write([]byte("COMMIT;\nPRAGMA user_version=5;\n"))
	if err := s.Whole(); err != nil {
		t.Errorf("settings behind the end: %v", err)
	}
}

func TestSQLiteMemoryIsBounded(t *testing.T) {
	t.Parallel()
	piece := bytes.Repeat([]byte("0123456789abcdef"), 4<<10)
	for _, begin := range []string{"INSERT INTO t VALUES('", "INSERT INTO t VALUES(", "SELECT '", "SELECT ", "-- ", "/* ", `SELECT "`, "CREATE TRIGGER t ", "CREATE TRIGGER t '"} {
		s := NewSQLiteStatements(func(Statement) error { return nil })
		s.Write([]byte(begin))
		for range 128 {
			s.Write(piece)
		}
		if n := cap(s.head) + cap(s.token); n > 64<<10 {
			t.Errorf("%q: %d bytes are kept", begin, n)
		}
	}
}

func TestSQLiteGivesUpWithItsReader(t *testing.T) {
	t.Parallel()
	stop := errors.New("enough")
	s := NewSQLiteStatements(func(Statement) error { return stop })
	if _, err := s.Write([]byte("SELECT 1;")); err != stop {
		t.Error(err)
	}
}

func BenchmarkSQLite(b *testing.B) {
	for name, text := range map[string]string{
		"inserts": strings.Repeat("INSERT INTO t VALUES(4711,'2024-05-06 07:08:09','some text of a row, with ünïcödé',12.34,NULL,1);\n", 200000),
		"blob":    "INSERT INTO t VALUES(X'" + strings.Repeat("0123456789abcdef", 1<<20) + "');\n",
	} {
		b.Run(name, func(b *testing.B) { scanned(b, SQLiteSQL, text) })
	}
}
