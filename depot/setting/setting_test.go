package setting_test

import (
	"context"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/jmoiron/sqlx"

	"github.com/holdfast-backup/holdfast/depot/actor"
	"github.com/holdfast-backup/holdfast/depot/pg/pgtest"
	"github.com/holdfast-backup/holdfast/depot/setting"
	"github.com/holdfast-backup/holdfast/wire/fault"
	"github.com/holdfast-backup/holdfast/wire/id"
)

type world struct {
	*setting.Service
	t              *testing.T
	db             *sqlx.DB
	boss, ann, bob actor.Actor
}

func newWorld(t *testing.T) *world {
	t.Helper()
	w := &world{t: t, db: pgtest.New(t)}
	w.Service = setting.New(setting.Config{DB: w.db})
	w.boss, w.ann, w.bob = w.person("boss", actor.Admin), w.person("ann", actor.Staff), w.person("bob", actor.Staff)
	return w
}

func (w *world) ok(err error) {
	w.t.Helper()
	if err != nil {
		w.t.Fatal(err)
	}
}

func (w *world) want(err error, kind fault.Kind, words ...string) {
	w.t.Helper()
	if err == nil || fault.KindOf(err) != kind {
		w.t.Fatalf("%v, want %s", err, kind)
	}
	for _, word := range words {
		if !strings.Contains(err.Error(), word) {
			w.t.Errorf("%q does not say %q", err, word)
		}
	}
}

func (w *world) exec(query string, args ...any) {
	w.t.Helper()
	if _, err := w.db.Exec(query, args...); err != nil {
		w.t.Fatal(err)
	}
}

func (w *world) person(name string, role actor.Role) actor.Actor {
	w.t.Helper()
	u := id.User{}.New()
	w.exec(`INSERT INTO users (id, email, email_key, name, role, kdf_salt, kdf_time, kdf_memory, kdf_threads, auth_hash, bundle, recovery_auth_hash,
		recovery_bundle, identity_public) VALUES ($1, $2, $2, $2, $3, '', 1, 1, 1, '', '', '', '', '')`, u, name+"@example.org", role)
	return actor.Actor{User: u, Role: role, Session: id.Session{}.New()}
}

func (w *world) audited(kind string) []string {
	w.t.Helper()
	var texts []string
	w.ok(w.db.Select(&texts, `SELECT text FROM audit_events WHERE kind = $1 ORDER BY at`, kind))
	return texts
}

func at[T any](v T) *T { return &v }

func TestDefaults(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	s, err := w.Get(t.Context())
	w.ok(err)
	want := setting.Settings{ProductName: "Holdfast", StaleDays: 7, UndoDays: 7, DefaultQuota: 0, StorageLowPercent: 10, DigestHour: 7, Zone: "UTC",
		AdminDigest: setting.Weekly, MailsPerHour: 10, RunHistoryDays: 400, ReplicaKeepDays: 30, RetentionDays: 30}
	if *s != want {
		t.Errorf("%+v", *s)
	}
	s.StaleDays = 1 // the caller's own
	if again, err := w.Get(t.Context()); err != nil || again.StaleDays != 7 {
		t.Errorf("%+v, %v", again, err)
	}
}

func TestUpdate(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	ctx := t.Context()
	_, err := w.Get(ctx)
	w.ok(err)
	all := setting.Change{ProductName: at(" Archive "), StaleDays: at(3), UndoDays: at(14), DefaultQuota: at(int64(1 << 40)), StorageLowPercent: at(0), DigestHour: at(23),
		Zone: at("Europe/Athens"), AdminDigest: at(setting.Daily), MailsPerHour: at(1), RunHistoryDays: at(30), ReplicaKeepDays: at(7), RetentionDays: at(0)}
	want := setting.Settings{ProductName: "Archive", StaleDays: 3, UndoDays: 14, DefaultQuota: 1 << 40, StorageLowPercent: 0, DigestHour: 23,
		Zone: "Europe/Athens", AdminDigest: setting.Daily, MailsPerHour: 1, RunHistoryDays: 30, ReplicaKeepDays: 7, RetentionDays: 0}
	s, err := w.Update(ctx, w.boss, all)
	w.ok(err)
	got, err := w.Get(ctx) // at once, where it was changed
	w.ok(err)
	fresh, err := setting.New(setting.Config{DB: w.db}).Get(ctx)
	w.ok(err)
	read, err := w.Read(ctx, w.boss)
	w.ok(err)
	if *s != want || *got != want || *fresh != want || *read != want {
		t.Errorf("%+v\n%+v\n%+v\n%+v", *s, *got, *fresh, *read)
	}
	log := w.audited("settings.changed")
	if len(log) != 1 {
		t.Fatalf("%q", log)
	}
	for _, words := range []string{"the product's name from Holdfast to Archive", "the days until a device is stale from 7 to 3", "the default quota from 0 to 1099511627776",
		"the administrators' digest from weekly to daily"} {
		if !strings.Contains(log[0], words) {
			t.Errorf("%q does not say %q", log[0], words)
		}
	}
	_, err = w.Update(ctx, w.boss, setting.Change{StaleDays: at(3), Zone: at("")}) // "" is UTC
	w.ok(err)
	_, err = w.Update(ctx, w.boss, setting.Change{StaleDays: at(3)})
	w.ok(err)
	if log := w.audited("settings.changed"); len(log) != 2 || log[1] != "These settings were changed: the time zone from Europe/Athens to UTC." {
		t.Errorf("%q", log)
	}
	var by id.User
	w.ok(w.db.Get(&by, `SELECT updated_by FROM settings WHERE key = 'zone'`))
	if by != w.boss.User {
		t.Errorf("changed by %s", by)
	}
	_, err = w.Update(ctx, actor.System(), setting.Change{StaleDays: at(4)})
	w.ok(err)
	w.exec(`INSERT INTO settings (key, value) VALUES ('fromTheFuture', '{"a": 1}')`)
	if s, err := w.Read(ctx, w.boss); err != nil || s.StaleDays != 4 {
		t.Errorf("%+v, %v", s, err)
	}
}

func TestBadSettings(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	for words, c := range map[string]setting.Change{
		"productName: ":                   {ProductName: at("  ")},
		"productName: want 1 to 60":       {ProductName: at(strings.Repeat("x", 61))},
		"that can be shown":               {ProductName: at("a\x07")},
		"characters":                      {ProductName: at("a\xff")},
		"staleDays: want 1 to 365":        {StaleDays: at(0)},
		"undoDays: want 1 to 365":         {UndoDays: at(366)},
		"defaultQuota: ":                  {DefaultQuota: at(int64(-1))},
		"storageLowPercent: want 0":       {StorageLowPercent: at(91)},
		"digestHour: want 0 to 23":        {DigestHour: at(24)},
		"zone: ":                          {Zone: at("Local")},
		"adminDigest: want never":         {AdminDigest: at(setting.Period("hourly"))},
		"mailsPerHour: want 1":            {MailsPerHour: at(0)},
		"runHistoryDays: want 30 to":      {RunHistoryDays: at(29)},
		"runHistoryDays: want 30 to 3650": {StaleDays: at(2), RunHistoryDays: at(3651)}, // all or nothing
	} {
		_, err := w.Update(t.Context(), w.boss, c)
		w.want(err, fault.Invalid, words)
	}
	var n int
	w.ok(w.db.Get(&n, `SELECT count(*) FROM settings`))
	if n != 0 || len(w.audited("settings.changed")) != 0 {
		t.Error("something refused was written")
	}
}

// Two administrators who change different settings at once both succeed.
func TestUpdatesAtOnce(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	var wg sync.WaitGroup
	for _, c := range []setting.Change{{StaleDays: at(2)}, {UndoDays: at(3)}, {DigestHour: at(4)}, {MailsPerHour: at(5)}, {RunHistoryDays: at(60)}} {
		wg.Go(func() {
			if _, err := w.Update(t.Context(), w.boss, c); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	s, err := w.Read(t.Context(), w.boss)
	w.ok(err)
	if s.StaleDays != 2 || s.UndoDays != 3 || s.DigestHour != 4 || s.MailsPerHour != 5 || s.RunHistoryDays != 60 {
		t.Errorf("%+v", s)
	}
}

// Another server's change is known once what was read is too old.
func TestMaxAge(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	quick, lazy := setting.New(setting.Config{DB: w.db, MaxAge: time.Nanosecond}), setting.New(setting.Config{DB: w.db, MaxAge: time.Hour})
	for _, s := range []*setting.Service{quick, lazy} {
		_, err := s.Get(t.Context())
		w.ok(err)
	}
	_, err := w.Update(t.Context(), w.boss, setting.Change{StaleDays: at(2)})
	w.ok(err)
	now, err := quick.Get(t.Context())
	w.ok(err)
	then, err := lazy.Get(t.Context())
	w.ok(err)
	if now.StaleDays != 2 || then.StaleDays != 7 {
		t.Errorf("%d, %d", now.StaleDays, then.StaleDays)
	}
}

func TestWhoMaySet(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	ctx := t.Context()
	for name, c := range map[string]struct {
		a    actor.Actor
		kind fault.Kind
	}{
		"staff":    {w.ann, fault.Forbidden},
		"device":   {actor.Actor{User: w.boss.User, Device: id.Device{}.New()}, fault.Forbidden},
		"recovery": {actor.Actor{User: w.boss.User, Role: actor.Admin, ByRecovery: true}, fault.Forbidden},
		"nobody":   {actor.Actor{}, fault.Unauthenticated},
	} {
		t.Log(name)
		_, err := w.Read(ctx, c.a)
		w.want(err, c.kind)
		_, err = w.Update(ctx, c.a, setting.Change{StaleDays: at(2)})
		w.want(err, c.kind)
		w.want(w.SetQuota(ctx, c.a, w.ann.User, at(int64(1))), c.kind)
	}
}

func TestBrokenRowsAndDatabase(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	for name, err := range map[string]error{
		"Get":       second(w.Get(ctx)),
		"Read":      second(w.Read(ctx, w.boss)),
		"Update":    second(w.Update(ctx, w.boss, setting.Change{})),
		"SetQuota":  w.SetQuota(ctx, w.boss, w.ann.User, nil),
		"Quotas":    second(w.Quotas(ctx, w.boss, []id.User{w.ann.User})),
		"OverQuota": third(setting.OverQuota(ctx, w.db, w.ann.User)),
		"Usages":    second(setting.Usages(ctx, w.db)),
	} {
		if err == nil {
			t.Errorf("%s: no error", name)
		}
	}
	w.exec(`INSERT INTO settings (key, value) VALUES ('staleDays', '"soon"')`)
	for name, err := range map[string]error{
		"Get":    second(w.Get(t.Context())),
		"Update": second(w.Update(t.Context(), w.boss, setting.Change{UndoDays: at(2)})),
	} {
		if err == nil || fault.KindOf(err) != fault.Internal || !strings.Contains(err.Error(), "staleDays") {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func second[T any](_ T, err error) error        { return err }
func third(_, _ int64, _ bool, err error) error { return err }

func TestQuotas(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	ctx := t.Context()
	all := []id.User{w.ann.User, w.bob.User, w.boss.User}
	quotas := func(a actor.Actor) (ann, bob, boss int64) {
		t.Helper()
		found, err := w.Quotas(ctx, a, all)
		w.ok(err)
		n := func(u id.User) int64 {
			if found[u] == nil {
				return -1
			}
			return *found[u]
		}
		return n(all[0]), n(all[1]), n(all[2])
	}
	check := func(a actor.Actor, ann, bob, boss int64) {
		t.Helper()
		if x, y, z := quotas(a); x != ann || y != bob || z != boss {
			t.Errorf("%d %d %d, want %d %d %d", x, y, z, ann, bob, boss)
		}
	}
	check(w.boss, -1, -1, -1)
	w.ok(w.SetQuota(ctx, w.boss, w.ann.User, at(int64(1000))))
	w.ok(w.SetQuota(ctx, w.boss, w.ann.User, at(int64(1000)))) // the same
	w.ok(w.SetQuota(ctx, w.boss, w.bob.User, at(int64(0))))
	check(w.boss, 1000, -1, -1)
	_, err := w.Update(ctx, w.boss, setting.Change{DefaultQuota: at(int64(5000))})
	w.ok(err)
	check(w.boss, 1000, -1, 5000)
	w.ok(w.SetQuota(ctx, w.boss, w.ann.User, nil))
	check(w.boss, 5000, -1, 5000)
	check(w.ann, 5000, -1, -1)
	check(actor.Actor{User: w.ann.User, Device: id.Device{}.New()}, -1, -1, -1)
	if log := w.audited("user.quota"); len(log) != 3 || log[0] != "The quota of ann@example.org was changed from the default to 1000 bytes." ||
		!strings.HasSuffix(log[1], "from the default to no limit.") || !strings.HasSuffix(log[2], "from 1000 bytes to the default.") {
		t.Errorf("%q", log)
	}
	w.want(w.SetQuota(ctx, w.boss, w.ann.User, at(int64(-1))), fault.Invalid, "quota: ")
	w.want(w.SetQuota(ctx, w.boss, id.User{1}, nil), fault.NotFound)
	_, err = w.Quotas(ctx, actor.Actor{}, all)
	w.want(err, fault.Unauthenticated)
	_, err = w.Quotas(ctx, w.boss, make([]id.User, setting.MaxByID+1))
	w.want(err, fault.TooLarge)
}

func TestOverQuota(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	ctx := t.Context()
	check := func(used, limit int64, over bool) {
		t.Helper()
		u, l, o, err := setting.OverQuota(ctx, w.db, w.ann.User)
		w.ok(err)
		if u != used || l != limit || o != over {
			t.Errorf("%d of %d, over: %v; want %d of %d, %v", u, l, o, used, limit, over)
		}
	}
	check(0, 0, false)
	w.exec(`INSERT INTO spaces (public_id, owner_id, chunk_min, chunk_avg, chunk_max) VALUES (gen_random_uuid(), $1, 1, 1, 1)`, w.ann.User)
	w.exec(`INSERT INTO packs (space_id, name, size, objects, swept_at, lost) SELECT s.id, n, 600, 1, CASE n WHEN 'c' THEN now() END, n = 'd'
		FROM spaces s, unnest('{a,b,c,d}'::bytea[]) n`)
	check(1200, 0, false) // what waits in quarantine, and what is lost, does not count
	w.ok(w.SetQuota(ctx, w.boss, w.ann.User, at(int64(1201))))
	check(1200, 1201, false)
	w.ok(w.SetQuota(ctx, w.boss, w.ann.User, at(int64(1200))))
	check(1200, 1200, true)
	w.want(setting.Refuse(1200, 1200), fault.StorageFull, "1200 of 1200 bytes", "delete old snapshots")
	if used, limit, over, err := setting.OverQuota(ctx, w.db, id.User{1}); used != 0 || limit != 0 || over || err != nil {
		t.Error("of nobody", used, limit, over, err)
	}
	w.exec(`UPDATE users SET suspended_at = now() WHERE id = $1`, w.bob.User)
	list, err := setting.Usages(ctx, w.db)
	w.ok(err)
	if len(list) != 2 {
		t.Errorf("%+v", list)
	}
	for _, u := range list {
		if u.User == w.ann.User && (u.Used != 1200 || u.Quota != 1200) || u.User == w.bob.User {
			t.Errorf("%+v", u)
		}
	}
}

// Who has no second factor cannot ask others for one. Those who lack it are told, once, when it is asked for.
func TestSecondFactorOfAdministrators(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	root := w.person("root", actor.Superuser)
	demand := func(a actor.Actor, on bool) error {
		_, err := w.Update(t.Context(), a, setting.Change{AdminsNeedSecondFactor: &on})
		return err
	}
	told := func(want int, who ...actor.Actor) {
		t.Helper()
		for _, a := range who {
			var n int
			w.ok(w.db.Get(&n, `SELECT count(*) FROM notifications WHERE user_id = $1 AND title = 'Administrators need a second factor now'`, a.User))
			if n != want {
				t.Errorf("%d notices, want %d", n, want)
			}
		}
	}
	w.want(demand(w.ann, true), fault.Forbidden)
	w.want(demand(w.boss, true), fault.Conflict, "of your own first")
	// One that was begun and not confirmed does not count.
	w.exec(`INSERT INTO second_factors (user_id, secret, created_at) VALUES ($1, 'x', now())`, w.boss.User)
	w.want(demand(w.boss, true), fault.Conflict)
	w.exec(`UPDATE second_factors SET confirmed_at = now() WHERE user_id = $1`, w.boss.User)
	told(0, w.boss, root, w.ann)
	for range 2 {
		w.ok(demand(w.boss, true))
	}
	told(1, root)
	told(0, w.boss, w.ann)
	if got := w.audited("settings.changed"); len(got) != 1 || !strings.Contains(got[0], "whether administrators need a second factor from false to true") {
		t.Errorf("%q", got)
	}
	w.ok(demand(root, false)) // whoever may set may also let go
	w.ok(demand(actor.System(), true))
	told(2, root)
}
