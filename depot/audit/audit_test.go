package audit_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/jmoiron/sqlx"

	"github.com/holdfast-backup/holdfast/depot/actor"
	"github.com/holdfast-backup/holdfast/depot/audit"
	"github.com/holdfast-backup/holdfast/depot/pg"
	"github.com/holdfast-backup/holdfast/depot/pg/pgtest"
	"github.com/holdfast-backup/holdfast/wire/fault"
	"github.com/holdfast-backup/holdfast/wire/id"
)

// user makes a row that the log can refer to.
func user(t *testing.T, db *sqlx.DB, email string) actor.Actor {
	t.Helper()
	u := id.User{}.New()
	if _, err := db.Exec(insertUser, u, email); err != nil {
		t.Fatal(err)
	}
	return actor.Actor{User: u, Role: actor.Staff}
}

func write(t *testing.T, db *sqlx.DB, e audit.Event) {
	t.Helper()
	err := pg.InTx(t.Context(), db, func(tx *sqlx.Tx) error { return audit.Write(t.Context(), tx, e) })
	if err != nil {
		t.Fatal(err)
	}
}

func TestTheLogIsSearched(t *testing.T) {
	t.Parallel()
	db := pgtest.New(t)
	ann, bob := user(t, db, "ann"), user(t, db, "bob")
	write(t, db, audit.Event{Kind: "user.joined", Actor: ann, Owner: ann.User, Text: "Ann JOINED."})
	write(t, db, audit.Event{Kind: "user.role", Actor: bob, Owner: bob.User, Text: "100 % of bob."})
	write(t, db, audit.Event{Kind: "users", Actor: bob, Text: "Not a user."})
	all, err := audit.List(t.Context(), db, actor.System(), 10, "")
	if err != nil {
		t.Fatal(err)
	}
	third, second := all.Entries[0].At, all.Entries[1].At
	find := func(a actor.Actor, f audit.Filter) (got string) {
		t.Helper()
		for after := ""; ; {
			page, err := audit.Find(t.Context(), db, a, f, 1, after)
			if err != nil {
				t.Fatal(err)
			}
			for _, e := range page.Entries {
				got += e.Kind + " "
				after = e.Cursor()
			}
			if !page.HasNext {
				return got
			}
		}
	}
	for _, c := range []struct {
		a    actor.Actor
		f    audit.Filter
		want string
	}{
		{actor.System(), audit.Filter{}, "users user.role user.joined "},
		{actor.System(), audit.Filter{Search: "joined"}, "user.joined "},
		{actor.System(), audit.Filter{Search: "%"}, "user.role "},
		{actor.System(), audit.Filter{Search: "_"}, ""},
		{actor.System(), audit.Filter{Kind: "user"}, "user.role user.joined "},
		{actor.System(), audit.Filter{Kind: "user.role"}, "user.role "},
		{actor.System(), audit.Filter{Kind: "use"}, ""},
		{actor.System(), audit.Filter{From: &second}, "users user.role "},
		{actor.System(), audit.Filter{To: &third}, "user.role user.joined "},
		{actor.System(), audit.Filter{From: &second, To: &third, Kind: "user", Search: "BOB"}, "user.role "},
		{ann, audit.Filter{Kind: "user"}, "user.joined "},
	} {
		if got := find(c.a, c.f); got != c.want {
			t.Errorf("%+v: %q, want %q", c.f, got, c.want)
		}
	}
	for _, bad := range []audit.Filter{{Search: strings.Repeat("a", 201)}, {Search: "\x00"}, {Kind: "\xff"}, {From: &third, To: &second}, {From: &third, To: &third}} {
		if _, err := audit.Find(t.Context(), db, actor.System(), bad, 10, ""); fault.KindOf(err) != fault.Invalid {
			t.Errorf("%+v: %v", bad, err)
		}
	}
}

func TestWhoSeesWhat(t *testing.T) {
	t.Parallel()
	db := pgtest.New(t)
	ann, bob := user(t, db, "ann"), user(t, db, "bob")
	boss := user(t, db, "boss")
	boss.Role = actor.Admin
	device := actor.Actor{User: ann.User, Device: id.Device{}.New()}

	write(t, db, audit.Event{Kind: "a", Actor: ann, Owner: ann.User, Text: "ann about herself"})
	write(t, db, audit.Event{Kind: "b", Actor: boss, Owner: ann.User, Text: "boss about ann"})
	write(t, db, audit.Event{Kind: "c", Actor: actor.System(), Owner: bob.User, Text: "system about bob"})
	write(t, db, audit.Event{Kind: "d", Actor: device, Owner: ann.User, Text: "ann's device"})
	write(t, db, audit.Event{Kind: "e", Actor: boss, Text: "boss about nobody"})

	for name, c := range map[string]struct {
		a    actor.Actor
		want string
	}{
		"ann": {ann, "dba"}, "bob": {bob, "c"}, "boss": {boss, "edcba"}, "system": {actor.System(), "edcba"},
	} {
		page, err := audit.List(t.Context(), db, c.a, 50, "")
		if err != nil {
			t.Fatal(err)
		}
		got := ""
		for _, e := range page.Entries {
			got += e.Kind
			if (e.Kind == "c" || e.Kind == "d") != (e.ActorID == nil) {
				t.Errorf("%s: %s was done by %v", name, e.Text, e.ActorID)
			}
		}
		if got != c.want || page.HasNext {
			t.Errorf("%s sees %q, want %q", name, got, c.want)
		}
	}
	for _, a := range []actor.Actor{{}, device} {
		if _, err := audit.List(t.Context(), db, a, 50, ""); err == nil {
			t.Errorf("%+v may read the log", a)
		}
	}
}

func TestPages(t *testing.T) {
	t.Parallel()
	db := pgtest.New(t)
	const n = 23
	err := pg.InTx(t.Context(), db, func(tx *sqlx.Tx) error {
		for i := range n {
			if err := audit.Write(t.Context(), tx, audit.Event{Kind: "k", Actor: actor.System(), Text: fmt.Sprint(i)}); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	for _, size := range []int{1, 5, n - 1, n, n + 1} {
		next, after := n-1, ""
		for {
			page, err := audit.List(t.Context(), db, actor.System(), size, after)
			if err != nil {
				t.Fatal(err)
			}
			for _, e := range page.Entries {
				if e.Text != fmt.Sprint(next) {
					t.Fatalf("size %d: got line %s, want %d", size, e.Text, next)
				}
				next--
				after = e.Cursor()
			}
			if !page.HasNext {
				break
			}
		}
		if next != -1 {
			t.Errorf("size %d: %d lines were left out", size, next+1)
		}
	}
	for _, bad := range []struct {
		first int
		after string
	}{{-1, ""}, {audit.MaxPage + 1, ""}, {1, "x"}, {1, "AAAA"}, {1, "________________________________"}} {
		if _, err := audit.List(t.Context(), db, actor.System(), bad.first, bad.after); fault.KindOf(err) != fault.Invalid {
			t.Errorf("%+v: %v", bad, err)
		}
	}
	if page, err := audit.List(t.Context(), db, actor.System(), 0, ""); err != nil || len(page.Entries) != 0 || !page.HasNext {
		t.Errorf("first 0: %+v, %v", page, err)
	}
}

// A line goes with the deed.
func TestRollsBack(t *testing.T) {
	t.Parallel()
	db := pgtest.New(t)
	undone := errors.New("undone")
	err := pg.InTx(t.Context(), db, func(tx *sqlx.Tx) error {
		if err := audit.Write(t.Context(), tx, audit.Event{Kind: "k", Actor: actor.System(), Text: "never happened"}); err != nil {
			return err
		}
		return undone
	})
	if !errors.Is(err, undone) {
		t.Fatal(err)
	}
	page, err := audit.List(t.Context(), db, actor.System(), 10, "")
	if err != nil || len(page.Entries) != 0 {
		t.Errorf("%+v, %v", page, err)
	}
}
