package notice_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/jmoiron/sqlx"

	"github.com/holdfast-backup/holdfast/depot/actor"
	"github.com/holdfast-backup/holdfast/depot/notice"
	"github.com/holdfast-backup/holdfast/depot/pg"
	"github.com/holdfast-backup/holdfast/wire/fault"
	"github.com/holdfast-backup/holdfast/wire/id"
)

func TestKinds(t *testing.T) {
	t.Parallel()
	seen := map[string]bool{}
	for _, k := range notice.Kinds {
		if seen[k.Name] || k.Title == "" || k.Severity == "" || k.Mail == "" || k.Admin != (strings.HasPrefix(k.Name, "storage.") || strings.HasPrefix(k.Name, "care.") || strings.HasPrefix(k.Name, "pack.") || strings.HasPrefix(k.Name, "replica.") || strings.HasPrefix(k.Name, "fleet.")) {
			t.Errorf("%+v", k)
		}
		seen[k.Name] = true
	}
}

func TestReading(t *testing.T) {
	t.Parallel()
	w, ctx := newWorld(t), t.Context()
	ada, bob := w.person("ada", actor.Staff), w.person("bob", actor.Staff)
	dev, run := w.device(ada), id.Run{}.New()
	w.exec(insertRun, run, dev)
	for i := range 5 {
		w.tell(ada, "run.succeeded", fmt.Sprint("good ", i))
	}
	w.write(notice.Event{User: ada.User, Kind: "run.failed", Title: "bad", Body: "b", Device: dev, Run: run})
	w.tell(bob, "run.failed", "bob's")

	all, err := w.List(ctx, ada, notice.Filter{}, 50, "")
	w.ok(err)
	w.same("ada's", titlesOf(all.Notifications), "bad, good 4, good 3, good 2, good 1, good 0")
	bad := all.Notifications[0]
	if bad.Severity != notice.Error || *bad.DeviceID != dev || *bad.RunID != run || bad.ReadAt != nil || bad.Kind != "run.failed" || bad.UserID != ada.User || all.HasNext {
		t.Errorf("%+v", bad)
	}
	got := ""
	for after, more := "", true; more; {
		p, err := w.List(ctx, ada, notice.Filter{Severities: []notice.Severity{notice.Success, notice.Info}}, 2, after)
		w.ok(err)
		got += titlesOf(p.Notifications) + "; "
		after, more = p.Notifications[len(p.Notifications)-1].Cursor(), p.HasNext
	}
	w.same("pages of successes", got, "good 4, good 3; good 2, good 1; good 0; ")

	one, err := w.ByID(ctx, ada, bad.ID)
	w.ok(err)
	w.same("by id", one.Title, "bad")
	for _, n := range []id.Notice{{}, id.Notice{}.New()} {
		if _, err := w.ByID(ctx, ada, n); !errors.Is(err, fault.NotFound) {
			t.Error(err)
		}
	}
	if _, err := w.ByID(ctx, bob, bad.ID); !errors.Is(err, fault.NotFound) {
		t.Error("another's:", err)
	}

	// What is marked is one's own; another's, and what is gone, is passed over.
	n, err := w.MarkRead(ctx, bob, []id.Notice{bad.ID, id.Notice{}.New()})
	w.ok(err)
	w.same("bob's unread", n, 1)
	n, err = w.MarkRead(ctx, ada, []id.Notice{bad.ID, all.Notifications[1].ID})
	w.ok(err)
	w.same("ada's unread", n, 4)
	w.same("rung", w.bus.rung(), []string{notice.Topic(bob.User), notice.Topic(ada.User)})
	if n, err := w.MarkRead(ctx, ada, []id.Notice{}); err != nil || n != 4 {
		t.Error("no ids are none:", n, err)
	}
	p, err := w.List(ctx, ada, notice.Filter{UnreadOnly: true}, 50, "")
	w.ok(err)
	w.same("unread", titlesOf(p.Notifications), "good 3, good 2, good 1, good 0")
	n, err = w.MarkRead(ctx, ada, nil)
	w.ok(err)
	w.same("unread after all", n, 0)
	if one, err = w.ByID(ctx, ada, bad.ID); err != nil || one.ReadAt == nil || w.now().Sub(*one.ReadAt).Abs() > 1e11 {
		t.Error(one, err)
	}
	n, err = w.UnreadCount(ctx, bob)
	w.ok(err)
	w.same("bob's", n, 1)
}

func TestRefusals(t *testing.T) {
	t.Parallel()
	w, ctx := newWorld(t), t.Context()
	ada := w.person("ada", actor.Staff)
	recovering := ada
	recovering.ByRecovery = true
	device := actor.Actor{User: ada.User, Device: id.Device{}.New()}
	calls := map[string]func(actor.Actor) error{
		"List":        func(a actor.Actor) error { _, err := w.List(ctx, a, notice.Filter{}, 1, ""); return err },
		"ByID":        func(a actor.Actor) error { _, err := w.ByID(ctx, a, id.Notice{}); return err },
		"UnreadCount": func(a actor.Actor) error { _, err := w.UnreadCount(ctx, a); return err },
		"Follow":      func(a actor.Actor) error { _, err := w.Follow(ctx, a); return err },
		"Preferences": func(a actor.Actor) error { _, err := w.Preferences(ctx, a); return err },
		"MarkRead":    func(a actor.Actor) error { _, err := w.MarkRead(ctx, a, nil); return err },
		"SetPreferences": func(a actor.Actor) error {
			_, err := w.SetPreferences(ctx, a, []notice.Choice{{Kind: "run.failed", Mail: notice.None}})
			return err
		},
		"Mails":    func(a actor.Actor) error { _, err := w.Mails(ctx, a, false, 1, ""); return err },
		"Mail":     func(a actor.Actor) error { _, err := w.Mail(ctx, a, id.Mail{}); return err },
		"SendTest": func(a actor.Actor) error { _, err := w.SendTest(ctx, a); return err },
	}
	for name, call := range calls {
		if err := call(actor.Actor{}); !errors.Is(err, fault.Unauthenticated) {
			t.Errorf("%s as nobody: %v", name, err)
		}
		if err := call(device); !errors.Is(err, fault.Forbidden) {
			t.Errorf("%s as a device: %v", name, err)
		}
		admin := name == "Mails" || name == "Mail" || name == "SendTest"
		if err := call(ada); admin != errors.Is(err, fault.Forbidden) {
			t.Errorf("%s as staff: %v", name, err)
		}
		reads := name == "List" || name == "ByID" || name == "UnreadCount" || name == "Follow" || name == "Preferences"
		if err := call(recovering); reads == errors.Is(err, fault.Forbidden) {
			t.Errorf("%s with a recovery code: %v", name, err)
		}
		if err := call(actor.System()); name != "Mails" && name != "Mail" && !errors.Is(err, fault.Forbidden) {
			t.Errorf("%s as the system: %v", name, err)
		}
	}
	for _, bad := range []struct {
		first int
		after string
		f     notice.Filter
	}{{-1, "", notice.Filter{}}, {notice.MaxPage + 1, "", notice.Filter{}}, {1, "x", notice.Filter{}}, {1, "AAAA", notice.Filter{}},
		{1, "________________________________", notice.Filter{}}, {1, "", notice.Filter{Severities: []notice.Severity{"loud"}}}} {
		if _, err := w.List(ctx, ada, bad.f, bad.first, bad.after); !errors.Is(err, fault.Invalid) {
			t.Errorf("%+v: %v", bad, err)
		}
		if _, err := w.Mails(ctx, actor.System(), false, bad.first, bad.after); len(bad.f.Severities) == 0 && !errors.Is(err, fault.Invalid) {
			t.Errorf("mails, %+v: %v", bad, err)
		}
	}
	if _, err := w.MarkRead(ctx, ada, make([]id.Notice, notice.MaxPage+1)); !errors.Is(err, fault.TooLarge) {
		t.Error(err)
	}
}

func TestPreferences(t *testing.T) {
	t.Parallel()
	w, ctx := newWorld(t), t.Context()
	ada, boss := w.person("ada", actor.Staff), w.person("boss", actor.Admin)
	rows, err := w.Preferences(ctx, ada)
	w.ok(err)
	theirs, err := w.Preferences(ctx, boss)
	w.ok(err)
	if len(theirs) != len(notice.Kinds) || len(rows) != len(notice.Kinds)-5 || rows[0].Kind != "run.failed" || rows[0].Mail != notice.Instant || rows[0].Default != notice.Instant {
		t.Errorf("%d and %d rows, the first %+v", len(rows), len(theirs), rows[0])
	}
	for range 2 { // again is the same
		rows, err = w.SetPreferences(ctx, ada, []notice.Choice{{"run.failed", notice.None}, {"run.succeeded", notice.Instant}})
		w.ok(err)
	}
	again, err := w.Preferences(ctx, ada)
	w.ok(err)
	for _, list := range [][]*notice.Preference{rows, again} {
		if p := list[0]; p.Mail != notice.None || p.Default != notice.Instant || list[3].Mail != notice.Instant || list[3].Default != notice.Digest || list[1].Mail != notice.Instant {
			t.Errorf("%+v", p)
		}
	}
	for _, bad := range [][]notice.Choice{
		{{"run.exploded", notice.None}}, {{"run.failed", "pigeon"}}, {{"storage.low", notice.None}}, {{strings.Repeat("x", 1000), notice.None}},
		{{"run.missed", notice.None}, {"run.missed", notice.Digest}},
	} {
		if _, err := w.SetPreferences(ctx, ada, bad); !errors.Is(err, fault.Invalid) || len(err.Error()) > 200 {
			t.Errorf("%+v: %v", bad, err)
		}
	}
	if again, err = w.SetPreferences(ctx, ada, nil); err != nil || again[2].Mail != notice.Digest || again[1].Mail != notice.Instant {
		t.Error("nothing to set, or a refused one was set in part:", again[1], err)
	}
	if theirs, err = w.SetPreferences(ctx, boss, []notice.Choice{{"storage.low", notice.None}}); err != nil || theirs[0].Mail != notice.Instant {
		t.Error(err)
	}
	var text string
	w.ok(w.db.Get(&text, `SELECT text FROM audit_events WHERE owner_id = $1 LIMIT 1`, ada.User))
	w.same("audit", text, "Which notifications go by mail was changed: run.failed: none, run.succeeded: instant.")
}

// A word goes with its deed, and one with a key is said once until it is forgotten.
func TestWrite(t *testing.T) {
	t.Parallel()
	w, ctx := newWorld(t), t.Context()
	ada, bob := w.person("ada", actor.Staff), w.person("bob", actor.Staff)
	undone := errors.New("undone")
	err := pg.InTx(ctx, w.db, func(tx *sqlx.Tx) error {
		return errors.Join(notice.Write(ctx, tx, notice.Event{User: ada.User, Kind: "run.failed", Title: "never"}), undone)
	})
	if !errors.Is(err, undone) || w.lines(titles) != "" {
		t.Error(err, w.lines(titles))
	}
	for range 2 {
		for _, a := range []actor.Actor{ada, bob} {
			w.write(notice.Event{User: a.User, Kind: "device.stale", Title: "stale", Key: "stale:1"})
		}
	}
	w.write(notice.Event{User: ada.User, Kind: "device.stale", Title: "stale, the other", Key: "stale:2", Severity: notice.Info})
	w.same("told", w.lines(titles), "stale, stale, stale, the other")
	w.ok(pg.InTx(ctx, w.db, func(tx *sqlx.Tx) error { return notice.Forget(ctx, tx, ada.User, "stale:1") }))
	for _, a := range []actor.Actor{ada, bob} {
		w.write(notice.Event{User: a.User, Kind: "device.stale", Title: "stale again", Key: "stale:1"})
	}
	w.same("told", w.lines(titles), "stale, stale, stale again, stale, the other")
	p, err := w.List(ctx, ada, notice.Filter{}, 10, "")
	w.ok(err)
	if p.Notifications[0].Severity != notice.Error || p.Notifications[1].Severity != notice.Info {
		t.Error("the event's severity goes before the kind's")
	}
	w.bus.rung()
}

func TestTellingAdministrators(t *testing.T) {
	t.Parallel()
	w, ctx := newWorld(t), t.Context()
	w.person("ada", actor.Staff)
	boss, root, gone := w.person("boss", actor.Admin), w.person("root", actor.Superuser), w.person("gone", actor.Admin)
	w.exec(suspendUser, gone.User)
	e := notice.Event{Kind: "care.failed", Title: "gc failed", Key: "care:gc"}
	w.ok(w.Tell(ctx, e))
	if r := w.bus.rung(); len(r) != 2 {
		t.Error(r)
	}
	w.ok(w.Tell(ctx, e))
	w.same("told", w.lines(titles), "gc failed, gc failed")
	for _, a := range []actor.Actor{boss, root} {
		n, err := w.UnreadCount(ctx, a)
		w.ok(err)
		w.same("unread", n, 1)
	}
	w.ok(w.Over(ctx, "care:gc"))
	w.ok(w.Tell(ctx, e))
	w.same("told again", w.lines(titles), "gc failed, gc failed, gc failed, gc failed")
}

func TestRoom(t *testing.T) {
	t.Parallel()
	w, ctx := newWorld(t), t.Context()
	boss := w.person("boss", actor.Admin)
	total := int64(1000e9)
	for _, step := range []struct{ free, told int64 }{{500e9, 0}, {100e9, 0}, {99e9, 1}, {50e9, 1}, {101e9, 1}, {90e9, 1}, {119e9, 1}, {121e9, 1}, {98e9, 2}, {0, 2}} {
		w.ok(w.Room(ctx, &step.free, &total))
		n, err := w.UnreadCount(ctx, boss)
		w.ok(err)
		w.same(fmt.Sprint("told with ", step.free), n, step.told)
	}
	none := int64(0)
	w.ok(w.Room(ctx, nil, &total))
	w.ok(w.Room(ctx, &none, nil))
	w.ok(w.Room(ctx, &none, &none))
	p, err := w.List(ctx, boss, notice.Filter{}, 1, "")
	w.ok(err)
	if n := p.Notifications[0]; n.Severity != notice.Error || !strings.HasPrefix(n.Body, "98.0 GB of 1.0 TB are left.") {
		t.Errorf("%+v", n)
	}
}

func TestSweep(t *testing.T) {
	t.Parallel()
	w, ctx := newWorld(t), t.Context()
	boss := w.person("boss", actor.Admin)
	const day = 24 * 60 * 60 * 1e9
	w.tell(boss, "run.failed", "read, old")
	w.tell(boss, "run.failed", "unread, old")
	w.ok(w.Dispatch(ctx))
	w.ok(w.Deliver(ctx))
	w.exec(ageAll)
	w.shift(89 * day)
	w.ok(w.Sweep(ctx))
	w.same("after 89 days", w.lines(titles), "read, old, unread, old")
	w.same("mails", w.lines(mailsOf, boss.User), "notification sent 1")
	w.tell(boss, "run.failed", "new")
	w.ok(w.Dispatch(ctx)) // a mail that waits stays, however old
	w.shift(2 * day)
	w.ok(w.Sweep(ctx))
	w.same("after 91 days", w.lines(titles), "new, unread, old")
	w.same("mails", w.lines(mailsOf, boss.User), "notification waiting 0")
	w.shift(310 * day)
	w.ok(w.Sweep(ctx))
	w.same("after 401 days", w.lines(titles), "new")
	w.same("mails", w.lines(mailsOf, boss.User), "notification waiting 0")
}

// Without a database every method says so, and none panics.
func TestNoDatabase(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.cfg.Numbers = numbers{}
	w.Service = w.another()
	a := w.person("boss", actor.Admin)
	w.ok(w.db.Close())
	ctx := context.Background()
	free, total := int64(1), int64(100)
	for name, call := range map[string]func() error{
		"List":           func() error { _, err := w.List(ctx, a, notice.Filter{}, 1, ""); return err },
		"ByID":           func() error { _, err := w.ByID(ctx, a, id.Notice{}); return err },
		"UnreadCount":    func() error { _, err := w.UnreadCount(ctx, a); return err },
		"MarkRead":       func() error { _, err := w.MarkRead(ctx, a, nil); return err },
		"Follow":         func() error { _, err := w.Follow(ctx, a); return err },
		"Preferences":    func() error { _, err := w.Preferences(ctx, a); return err },
		"SetPreferences": func() error { _, err := w.SetPreferences(ctx, a, nil); return err },
		"Mails":          func() error { _, err := w.Mails(ctx, a, false, 1, ""); return err },
		"Mail":           func() error { _, err := w.Mail(ctx, a, id.Mail{}); return err },
		"SendTest":       func() error { _, err := w.SendTest(ctx, a); return err },
		"Post":           func() error { return w.Post(ctx) },
		"Dispatch":       func() error { return w.Dispatch(ctx) },
		"Digests":        func() error { return w.Digests(ctx) },
		"AdminDigest":    func() error { return w.AdminDigest(ctx) },
		"Deliver":        func() error { return w.Deliver(ctx) },
		"Sweep":          func() error { return w.Sweep(ctx) },
		"Tell":           func() error { return w.Tell(ctx, notice.Event{}) },
		"Over":           func() error { return w.Over(ctx, "x") },
		"Room":           func() error { return w.Room(ctx, &free, &total) },
	} {
		if call() == nil {
			t.Errorf("%s: no error", name)
		}
	}
	if r := w.bus.rung(); len(r) > 0 {
		t.Error("rung for what did not happen:", r)
	}
}
