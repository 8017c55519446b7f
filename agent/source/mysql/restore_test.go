//go:build unix

package mysql

import (
	"testing"

	"github.com/holdfast-backup/holdfast/agent/source"
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
