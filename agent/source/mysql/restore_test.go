//go:build unix

package mysql

import (
	"errors"
	"os/exec"
	"strings"
	"testing"

	"github.com/holdfast-backup/holdfast/agent/source"
	"github.com/holdfast-backup/holdfast/agent/source/mysql/mysqltest"
	"github.com/holdfast-backup/holdfast/vault/dump"
	"github.com/holdfast-backup/holdfast/wire/fault"
)

func TestRestoreInPlace(t *testing.T) {
	t.Parallel()
	at, d := fill(t)
	before, tables := dumped(t, d)
	if got, want := rowsOf(tables), "Odd `Items`; (1)=3 customers=500 empty=0 log=3000 loose=1 orders=3000 tree=3 "; got != want {
		t.Errorf("the dump holds %q, want %q", got, want)
	}
	run(t, d, scribble...)
	if err := restore(d, before, source.Restore{Want: tables}); err != nil {
		t.Fatal(err)
	}
	after, _ := dumped(t, d)
	same(t, after, before)
	clean(t, at, d)
	if n := one[int](t, at.Admin, "SELECT count(*) FROM information_schema.key_column_usage WHERE table_schema = ? AND referenced_table_schema = ?", at.Name, at.Name); n != 3 {
		t.Errorf("%d foreign keys, want 3", n)
	}
	// It works: triggers fire, keys hold.
	run(t, d, "DELETE FROM customers WHERE id = (SELECT min(id) FROM orders o2 WHERE false) OR name LIKE 'name 7 %'")
	if n := one[int](t, at.Admin, "SELECT count(*) FROM `"+at.Name+"`.log WHERE what LIKE 'gone name 7%'"); n != 1 {
		t.Errorf("the trigger wrote %d lines", n)
	}
	if n := one[int](t, at.Admin, "SELECT count(*) FROM `"+at.Name+"`.orders"); n != 2994 {
		t.Errorf("%d orders are left", n)
	}
}

// Rows that were wanted are not needed: the dump is counted while it is read.
func TestRestoreAsCopy(t *testing.T) {
	t.Parallel()
	at, d := fill(t)
	before, _ := dumped(t, d)
	copied := at.Name + "_copy"
	allow(t, at, copied)
	var last int64
	if err := d.Restore(t.Context(), strings.NewReader(before), source.Restore{Format: dump.MySQLSQL, As: copied}, func(n int64) { last = n }); err != nil {
		t.Fatal(err)
	}
	if last != int64(len(before)) {
		t.Errorf("progress ended at %d of %d bytes", last, len(before))
	}
	clean(t, at, d)
	other := opened(t, strings.Replace(at.URL, "/"+at.Name, "/"+copied, 1))
	after, _ := dumped(t, other)
	same(t, strings.ReplaceAll(after, copied, at.Name), before)
	after, _ = dumped(t, d)
	same(t, after, before)
	if c := one[string](t, at.Admin, "SELECT default_collation_name FROM information_schema.schemata WHERE schema_name = ?", copied); c != "utf8mb4_unicode_ci" {
		t.Errorf("the copy's collation is %s", c)
	}
}

// The database is gone: it is made again, functions in views and all.
func TestRestoreOfWhatIsGone(t *testing.T) {
	t.Parallel()
	at, d := fill(t)
	before, tables := dumped(t, d)
	at.Exec(t, "DROP DATABASE `"+at.Name+"`")
	if err := restore(d, before, source.Restore{Want: tables}); err != nil {
		t.Fatal(err)
	}
	clean(t, at, d)
	after, _ := dumped(t, d)
	same(t, after, before)
}

// Dumps of several kinds of mysqldump's: with CREATE DATABASE, with rows one by one, in hexadecimal, of everything in one transaction.
func TestRestoreOfForeignDumps(t *testing.T) {
	t.Parallel()
	at, d := fill(t)
	before, tables := dumped(t, d)
	for _, args := range [][]string{
		{"--databases", at.Name}, {"--skip-extended-insert", "--complete-insert", at.Name}, {"--hex-blob", "--skip-comments", at.Name}, {"--replace", "--no-autocommit", "--skip-add-locks", at.Name}, {"--add-drop-database", "--add-drop-trigger", "--databases", at.Name},
	} {
		cmd := exec.Command("mariadb-dump", append([]string{"--no-defaults", "-uroot", "-S" + at.Server.Socket(), "--routines", "--triggers", "--events", "--order-by-primary"}, args...)...)
		text, err := cmd.Output()
		if err != nil {
			t.Fatal(err)
		}
		run(t, d, scribble...)
		if err := restore(d, string(text), source.Restore{Want: tables}); err != nil {
			t.Fatalf("%v: %v", args, err)
		}
		clean(t, at, d)
		after, _ := dumped(t, d)
		same(t, after, before)
	}
}

// Somebody else restores, who may not name the old definer: then it is theirs.
func TestRestoreByAnother(t *testing.T) {
	t.Parallel()
	at, d := fill(t)
	at.Exec(t, "USE `"+at.Name+"`; CREATE DEFINER=`nobody`@`nowhere` VIEW `"+at.Name+"`.nobodys AS SELECT 1 AS one; CREATE DEFINER=`root`@`localhost` TRIGGER `"+at.Name+"`.roots BEFORE INSERT ON `"+at.Name+"`.log FOR EACH ROW SET @a = 1;"+
		"CREATE DEFINER=`root`@`localhost` EVENT `"+at.Name+"`.rooted ON SCHEDULE EVERY 1 DAY STARTS '2030-01-01 03:00:00' DO SELECT 1")
	cmd := exec.Command("mariadb-dump", "--no-defaults", "-uroot", "-S"+at.Server.Socket(), "--routines", "--triggers", "--events", "--single-transaction", at.Name)
	text, err := cmd.Output()
	if err != nil {
		t.Fatal(err)
	}
	before := one[string](t, at.Admin, "SELECT group_concat(definer ORDER BY trigger_name) FROM information_schema.triggers WHERE trigger_schema = ?", at.Name)
	if err := restore(d, string(text), source.Restore{}); err != nil {
		t.Fatal(err)
	}
	clean(t, at, d)
	us := at.User + "@127.0.0.1"
	if got := one[string](t, at.Admin, "SELECT group_concat(DISTINCT definer) FROM (SELECT definer FROM information_schema.triggers WHERE trigger_schema = ? UNION SELECT definer FROM information_schema.views WHERE table_schema = ? UNION SELECT definer FROM information_schema.events WHERE event_schema = ?) d", at.Name, at.Name, at.Name); got != us {
		t.Errorf("defined by %s, want %s", got, us)
	}
	// Who may name anybody does.
	root := opened(t, "mysql://root@"+at.Server.Addr()+"/"+at.Name)
	if err := restore(root, string(text), source.Restore{}); err != nil {
		t.Fatal(err)
	}
	if got := one[string](t, at.Admin, "SELECT group_concat(definer ORDER BY trigger_name) FROM information_schema.triggers WHERE trigger_schema = ?", at.Name); got != before {
		t.Errorf("defined by %s, want %s", got, before)
	}
}

// What was a table is a view, and the other way about.
func TestRestoreAcrossKinds(t *testing.T) {
	t.Parallel()
	at, d := fill(t)
	before, _ := dumped(t, d)
	change := []string{"CREATE TABLE keep AS SELECT * FROM log", "DROP TABLE log", "CREATE VIEW log AS SELECT * FROM keep", "DROP VIEW a_buyers", "CREATE TABLE a_buyers (x int)"}
	run(t, d, change...)
	now, _ := dumped(t, d)
	// Taken back first, because something stands in the way.
	for _, step := range []string{"made", "bare"} {
		killed(t, at, d, before, step, "")
		if did, err := d.Mend(t.Context()); err != nil || !strings.Contains(did, "taken back") {
			t.Fatalf("%q, %v", did, err)
		}
		after, _ := dumped(t, d)
		same(t, after, now)
	}
	if err := restore(d, before, source.Restore{}); err != nil {
		t.Fatal(err)
	}
	clean(t, at, d)
	after, _ := dumped(t, d)
	same(t, after, before)
}

// What the new database needs cannot be made there: everything is the old again.
func TestSwapThatFailsIsTakenBack(t *testing.T) {
	t.Parallel()
	at, d := fill(t)
	before, _ := dumped(t, d)
	run(t, d, scribble...)
	now, _ := dumped(t, d)
	d.stop = func(step string) {
		if step == "moved" {
			at.Exec(t, "DROP TABLE `"+at.Name+"`.orders")
		}
	}
	if err := restore(d, before, source.Restore{}); !errors.Is(err, fault.Unavailable) || !strings.Contains(err.Error(), "could not create first") {
		t.Errorf("%v", err)
	}
	d.stop = func(string) {}
	clean(t, at, d)
	after, _ := dumped(t, d)
	same(t, after, now)
}

// A right that is needed forward and back was taken away: Mend comes back to it when it is there again.
func TestSwapThatCannotBeTakenBackIsMended(t *testing.T) {
	t.Parallel()
	at, d := fill(t)
	before, _ := dumped(t, d)
	run(t, d, scribble...)
	now, _ := dumped(t, d)
	change := func(how string) {
		at.Exec(t, how[:strings.Index(how, " ")]+" CREATE ROUTINE ON "+quote(pattern(at.Name))+".* "+how[strings.Index(how, " ")+1:]+" `"+at.User+"`@`127.0.0.1`")
	}
	d.stop = func(step string) {
		if step == "bare" {
			change("REVOKE FROM")
		}
	}
	err := restore(d, before, source.Restore{})
	if d.stop = func(string) {}; !errors.Is(err, fault.Forbidden) {
		t.Errorf("%v", err)
	}
	if _, err := d.Mend(t.Context()); !errors.Is(err, fault.Forbidden) || !strings.Contains(err.Error(), "neither finished nor taken back") {
		t.Errorf("%v", err)
	}
	change("GRANT TO")
	if did, err := d.Mend(t.Context()); err != nil || !strings.Contains(did, "taken back") {
		t.Errorf("%q, %v", did, err)
	}
	clean(t, at, d)
	after, _ := dumped(t, d)
	same(t, after, now)
}

// An application that holds its tables keeps the swap waiting, not for ever, and goes on with what it had.
func TestSwapWaitsForOthers(t *testing.T) {
	t.Parallel()
	at, d := fill(t)
	before, _ := dumped(t, d)
	run(t, d, scribble...)
	now, _ := dumped(t, d)
	d.lockWait = 1
	c, done, err := d.connect(t.Context(), at.Name)
	if err != nil {
		t.Fatal(err)
	}
	for _, s := range []string{"BEGIN", "SELECT count(*) FROM tree"} {
		if _, err := c.ExecContext(t.Context(), s); err != nil {
			t.Fatal(err)
		}
	}
	err = restore(d, before, source.Restore{})
	if !errors.Is(err, fault.Conflict) || !strings.Contains(err.Error(), "end long transactions") {
		t.Errorf("%v", err)
	}
	done()
	clean(t, at, d)
	after, _ := dumped(t, d)
	same(t, after, now)
	if err := restore(d, before, source.Restore{}); err != nil {
		t.Error(err)
	}
}

// A server whose RENAME is not atomic was killed in it: the rest is moved.
func TestHalfMovedIsFinished(t *testing.T) {
	t.Parallel()
	at, d := fill(t)
	before, _ := dumped(t, d)
	run(t, d, scribble...)
	killed(t, at, d, before, "bare", "")
	j, err := d.journal()
	if err != nil {
		t.Fatal(err)
	}
	at.Exec(t, "SET foreign_key_checks=0; RENAME TABLE "+in(j.Target, "tree")+" TO "+in(j.Old, "tree")+", "+in(j.Fresh, "tree")+" TO "+in(j.Target, "tree")+", "+in(j.Target, "later")+" TO "+in(j.Old, "later"))
	if did, err := d.Mend(t.Context()); err != nil || !strings.Contains(did, "finished") {
		t.Fatalf("%q, %v", did, err)
	}
	clean(t, at, d)
	after, _ := dumped(t, d)
	same(t, after, before)
}

// A database without tables is one, too.
func TestRestoreOfNothing(t *testing.T) {
	t.Parallel()
	at := mysqltest.New(t)
	d := opened(t, at.URL)
	empty, tables := dumped(t, d)
	if len(tables) != 0 {
		t.Fatal(tables)
	}
	for range 2 { // over nothing, and over something
		if err := restore(d, empty, source.Restore{Want: tables}); err != nil {
			t.Fatal(err)
		}
		clean(t, at, d)
		after, _ := dumped(t, d)
		same(t, after, empty)
		run(t, d, "CREATE TABLE t (a int)", "CREATE VIEW v AS SELECT a FROM t")
	}
}

// Characters of another set in bodies, modes and zones survive.
func TestRestoreKeepsSettingsOfBodies(t *testing.T) {
	t.Parallel()
	at := mysqltest.New(t)
	d := opened(t, at.URL)
	run(t, d, "CREATE TABLE t (a varchar(20))",
		"SET NAMES latin1", "SET sql_mode = 'ANSI_QUOTES,PIPES_AS_CONCAT'", "CREATE TRIGGER t1 BEFORE INSERT ON t FOR EACH ROW SET NEW.\"a\" = NEW.a || '\xfc'", "CREATE FUNCTION f() RETURNS varchar(20) CHARSET utf8mb4 DETERMINISTIC RETURN '\xe4' || 'x'",
		"SET time_zone = '+05:00'", "CREATE EVENT e ON SCHEDULE EVERY 1 DAY STARTS '2030-01-01 03:00:00' DO SELECT '\xf6'", "INSERT INTO t VALUES ('b')")
	before, _ := dumped(t, d)
	run(t, d, "DROP TRIGGER t1", "DROP FUNCTION f", "DROP EVENT e")
	if err := restore(d, before, source.Restore{}); err != nil {
		t.Fatal(err)
	}
	after, _ := dumped(t, d)
	same(t, after, before)
	run(t, d, "INSERT INTO t VALUES ('c')")
	if got := one[string](t, at.Admin, "SELECT hex(group_concat(a ORDER BY a, '')) FROM `"+at.Name+"`.t"); got != "62C3BC2C63C3BC" {
		t.Errorf("rows %s", got)
	}
	if got := one[string](t, at.Admin, "SELECT hex(`"+at.Name+"`.f())"); got != "C3A478" {
		t.Errorf("f returns %s", got)
	}
}
