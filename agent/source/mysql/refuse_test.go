//go:build unix

package mysql

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/holdfast-backup/holdfast/agent/source"
	"github.com/holdfast-backup/holdfast/agent/source/mysql/mysqltest"
	"github.com/holdfast-backup/holdfast/vault/dump"
	"github.com/holdfast-backup/holdfast/wire/fault"
)

// Whatever is wrong with a dump, the live database stays as it is and nothing is left.
func TestBadDumps(t *testing.T) {
	t.Parallel()
	at, d := fill(t)
	good, tables := dumped(t, d)
	now := good
	cut := func(s string) string { return good[:strings.Index(good, s)] }
	for name, c := range map[string]struct {
		text string
		o    source.Restore
		says string
	}{
		"nothing":        {"", source.Restore{}, "breaks off"},
		"half":           {cut("INSERT INTO `orders`"), source.Restore{}, "breaks off"},
		"no end":         {cut("/*!40101 SET SQL_MODE=@OLD"), source.Restore{}, "breaks off"},
		"an error":       {strings.Replace(good, "INSERT INTO `tree`", "INSERT INTO `tres`", 1), source.Restore{}, "exit status 1: ERROR 1100"},
		"a second":       {good + "\nUSE `other`;\n", source.Restore{}, "more than one database"},
		"an outsider":    {strings.Replace(good, "INSERT INTO `tree`", "INSERT INTO `"+at.Name+"`.`tree`", 1), source.Restore{}, "together with its database"},
		"a grant":        {"GRANT ALL ON *.* TO x;\n" + good, source.Restore{}, "GRANT ALL"},
		"other rows":     {good, source.Restore{Want: append([]dump.Table{{Name: "tree", Rows: 4}}, tables[:len(tables)-1]...)}, "tree has 3 rows"},
		"fewer tables":   {good, source.Restore{Want: tables[1:]}, "should not be"},
		"more tables":    {good, source.Restore{Want: append([]dump.Table{{Name: "more"}}, tables...)}, "more is not there"},
		"another format": {good, source.Restore{Format: dump.PostgresSQL}, "postgres-sql"},
	} {
		err := restore(d, c.text, c.o)
		if err == nil || !strings.Contains(err.Error(), c.says) || !errors.Is(err, fault.Invalid) && name != "an error" {
			t.Errorf("%s: %v", name, err)
		}
		clean(t, at, d)
	}
	broken := errors.New("the line is dead")
	if err := d.Restore(t.Context(), io.MultiReader(strings.NewReader(good[:len(good)/2]), readerFunc(func([]byte) (int, error) { return 0, broken })), source.Restore{Format: dump.MySQLSQL}, nil); !errors.Is(err, broken) {
		t.Errorf("a broken line: %v", err)
	}
	clean(t, at, d)
	after, _ := dumped(t, d)
	same(t, after, now)
}

func TestPasswordIsWrong(t *testing.T) {
	t.Parallel()
	at, _ := fill(t)
	d := opened(t, strings.Replace(at.URL, "p%20a", "wrong", 1))
	if _, err := d.Begin(t.Context()); !errors.Is(err, fault.Unauthenticated) || strings.Contains(err.Error(), "wrong") {
		t.Errorf("a dump: %v", err)
	}
	if err := restore(d, "", source.Restore{}); !errors.Is(err, fault.Unauthenticated) {
		t.Errorf("a restore: %v", err)
	}
	for _, look := range []func() (source.Check, error){
		func() (source.Check, error) { return d.Check(t.Context()) },
		func() (source.Check, error) { return d.Preflight(t.Context(), source.Restore{}) },
	} {
		c, err := look()
		if err != nil || c.OK() || !strings.Contains(fmt.Sprint(c.Points), "check user and password") {
			t.Errorf("%v, %v", c, err)
		}
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		if _, err := d.Check(ctx); !errors.Is(err, context.Canceled) {
			t.Errorf("cancelled: %v", err)
		}
	}
}

func TestCheck(t *testing.T) {
	t.Parallel()
	at, d := fill(t)
	c, err := d.Check(t.Context())
	if err != nil || !c.OK() || c.Tables != 7 || c.Bytes < 100<<10 || !strings.Contains(c.Version, "MariaDB") || !strings.Contains(c.Tool, "mariadb-dump") {
		t.Fatalf("%+v, %v", c, err)
	}
	if text := fmt.Sprint(c.Points); !strings.Contains(text, "no transactions") || !strings.Contains(text, "loose") || !strings.Contains(text, "2 views, 3 triggers, 2 routines and 2 events") {
		t.Errorf("%s", text)
	}
	run(t, d, "DROP TABLE orders")
	if c, err = d.Check(t.Context()); err != nil || !c.OK() || !strings.Contains(fmt.Sprint(c.Points), "left out of dumps: a_buyers, z_orders") {
		t.Errorf("%+v, %v", c, err)
	}
	text, _ := dumped(t, d)
	if strings.Contains(text, "z_orders") {
		t.Error("a view that cannot be made is in the dump")
	}

	// Somebody who may read tables only would make dumps without triggers and events.
	reader := other(t, at, "SELECT, SHOW VIEW")
	for name, look := range map[string]func() (source.Check, error){
		"GRANT TRIGGER, EVENT ON": func() (source.Check, error) { return reader.Check(t.Context()) },
		"GRANT INSERT, UPDATE, DELETE, CREATE, DROP, ALTER": func() (source.Check, error) {
			return reader.Preflight(t.Context(), source.Restore{Format: dump.MySQLSQL})
		},
		"GRANT SELECT, INSERT, UPDATE, DELETE, CREATE, DROP, ALTER, INDEX, REFERENCES, LOCK TABLES, CREATE VIEW, SHOW VIEW, CREATE ROUTINE, ALTER ROUTINE, TRIGGER, EVENT ON `" + pattern(at.Name+mark) + "%`.* TO": func() (source.Check, error) {
			return reader.Preflight(t.Context(), source.Restore{Format: dump.MySQLSQL})
		},
		"text of the routine": func() (source.Check, error) { return reader.Check(t.Context()) },
	} {
		if c, err := look(); err != nil || c.OK() || !strings.Contains(fmt.Sprint(c.Points), name) {
			t.Errorf("%s: %+v, %v", name, c, err)
		}
	}
	if err := restore(reader, text, source.Restore{}); !errors.Is(err, fault.Forbidden) || !strings.Contains(err.Error(), "GRANT INSERT") {
		t.Errorf("%v", err)
	}
	clean(t, at, reader)
}

// other is the database, opened by another user, who has these rights on it.
func other(t *testing.T, at *mysqltest.Database, rights string) *Database {
	t.Helper()
	user := at.User + "b"
	at.Exec(t, "CREATE USER `"+user+"`@`127.0.0.1` IDENTIFIED BY 'x'", "GRANT "+rights+" ON "+quote(pattern(at.Name))+".* TO `"+user+"`@`127.0.0.1`", "GRANT EXECUTE ON "+quote(pattern(at.Name))+".* TO `"+user+"`@`127.0.0.1`")
	return opened(t, "mysql://"+user+":x@"+at.Server.Addr()+"/"+at.Name)
}

func TestPreflight(t *testing.T) {
	t.Parallel()
	at, d := fill(t)
	look := func(o source.Restore, ok bool, says string) {
		t.Helper()
		if o.Format == "" {
			o.Format = dump.MySQLSQL
		}
		c, err := d.Preflight(t.Context(), o)
		if err != nil || c.OK() != ok || !strings.Contains(fmt.Sprint(c.Points), says) {
			t.Errorf("%q: %+v, %v", says, c, err)
		}
	}
	look(source.Restore{}, true, "may build a database beside")
	look(source.Restore{Format: dump.SQLiteSQL}, false, "sqlite-sql")
	look(source.Restore{As: at.Name}, false, "the database itself")
	look(source.Restore{As: "mysql"}, false, "belongs to the server")
	look(source.Restore{As: at.Name + "_elsewhere"}, false, "GRANT")
	allow(t, at, at.Name+"_copy")
	look(source.Restore{As: at.Name + "_copy"}, true, "will be a new database")
	at.Exec(t, "CREATE DATABASE `"+at.Name+"_copy`")
	look(source.Restore{As: at.Name + "_copy"}, false, "already")
	if err := restore(d, "", source.Restore{As: at.Name + "_copy"}); !errors.Is(err, fault.Conflict) {
		t.Errorf("over another database: %v", err)
	}
	c, done, err := d.connect(t.Context(), at.Name)
	if err != nil {
		t.Fatal(err)
	}
	look(source.Restore{}, true, "1 other sessions")
	done()
	at.Exec(t, "CREATE TABLE `"+at.Name+"_copy`.x (c int, FOREIGN KEY (c) REFERENCES `"+at.Name+"`.tree (id))")
	look(source.Restore{}, false, at.Name+"_copy.x")
	if err := restore(d, "", source.Restore{}); !errors.Is(err, fault.Conflict) || !strings.Contains(err.Error(), "foreign keys") {
		t.Errorf("with keys from elsewhere: %v", err)
	}
	_ = c
	at.Exec(t, "DROP DATABASE `"+at.Name+"_copy`", "DROP DATABASE `"+at.Name+"`")
	look(source.Restore{}, true, "it will be made")
	if c, err := d.Check(t.Context()); err != nil || c.OK() || !strings.Contains(fmt.Sprint(c.Points), "there is no database") {
		t.Errorf("%+v, %v", c, err)
	}
	if _, err := d.Begin(t.Context()); !errors.Is(err, fault.NotFound) {
		t.Errorf("a dump of nothing: %v", err)
	}
	clean(t, at, d)
}

// Programs that fail, in whatever way.
func TestProgramsFail(t *testing.T) {
	t.Parallel()
	at, good := fill(t)
	text, _ := dumped(t, good)
	for name, c := range map[string]struct{ dump, client, says string }{
		"fails":         {"echo of no avail >&2; exit 3", "cat >/dev/null; echo of no avail >&2; exit 3", "exit status 3: of no avail"},
		"says nothing":  {"exit 4", "cat >/dev/null; exit 4", "exit status 4 and said nothing"},
		"does not read": {"exit 5", "exec <&-; sleep 0.1; exit 5", "exit status 5"},
		"says much":     {"yes | head -c 100000 >&2; echo the end >&2; exit 1", "yes | head -c 100000 >&2; echo the end >&2; exit 1", "the end"},
	} {
		d := opened(t, at.URL)
		d.o.Tools = []string{tools(t, c.dump, c.client)}
		r := begun(t, d)
		if _, err := io.Copy(io.Discard, r); !errors.Is(err, fault.Unavailable) || !strings.Contains(err.Error(), c.says) || len(err.Error()) > 10000 {
			t.Errorf("a dump that %s: %v", name, err)
		}
		clean0(t, d)
		if err := restore(d, text, source.Restore{}); !errors.Is(err, fault.Unavailable) || !strings.Contains(err.Error(), c.says) || len(err.Error()) > 10000 {
			t.Errorf("a client that %s: %v", name, err)
		}
		clean(t, at, d)
	}
	d := opened(t, at.URL)
	d.o.Tools = []string{tools(t, "echo 'CREATE TABLE `a` (a int);'", "cat >/dev/null")}
	if _, err := io.Copy(io.Discard, begun(t, d)); !errors.Is(err, fault.Unavailable) || !strings.Contains(err.Error(), "not whole") {
		t.Errorf("half a dump with success: %v", err)
	}
	if err := restore(d, text, source.Restore{}); !errors.Is(err, fault.Invalid) || !strings.Contains(err.Error(), "is not there after loading") {
		t.Errorf("a client that does nothing: %v", err)
	}
	clean(t, at, d)
	r := begun(t, good)
	r.Close()
	if _, err := r.Read(make([]byte, 1)); !errors.Is(err, fault.Conflict) {
		t.Errorf("a dump that was closed: %v", err)
	}
	clean0(t, good)
	gone := opened(t, at.URL)
	gone.o.Journal = filepath.Join(t.TempDir(), "nothing")
	for what, err := range map[string]error{"restore": restore(gone, text, source.Restore{}), "mend": func() error { _, err := gone.Mend(t.Context()); return err }(), "dump": func() error {
		s, err := gone.Begin(t.Context())
		if err == nil {
			_, err = s.Dump(t.Context())
		}
		return err
	}()} {
		if !errors.Is(err, fault.Unavailable) {
			t.Errorf("%s without a folder: %v", what, err)
		}
	}
}

// tools makes a folder with programs of these bodies.
func tools(t *testing.T, dumper, client string) string {
	t.Helper()
	dir := t.TempDir()
	for name, body := range map[string]string{"mariadb-dump": dumper, "mariadb": client} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte("#!/bin/sh\nif [ \"$1\" = --version ]; then echo MariaDB; exit; fi\n"+body+"\n"), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

// A journal that nobody can read stops everything, rather than being guessed at.
func TestJournalIsDamaged(t *testing.T) {
	t.Parallel()
	at, d := fill(t)
	text, _ := dumped(t, d)
	if err := os.WriteFile(d.journalPath(), []byte("{"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, err := range []error{restore(d, text, source.Restore{}), func() error { _, err := d.Mend(t.Context()); return err }()} {
		if !errors.Is(err, fault.Internal) || !strings.Contains(err.Error(), at.Name) {
			t.Errorf("%v", err)
		}
	}
	os.Remove(d.journalPath())
	left := filepath.Join(d.o.Journal, d.remembered()+"123"+optionsEnd)
	if err := os.WriteFile(left, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if did, err := d.Mend(t.Context()); did != "" || err != nil {
		t.Errorf("%q, %v", did, err)
	}
	clean(t, at, d)
}
