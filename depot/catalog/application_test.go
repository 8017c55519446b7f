package catalog

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/jmoiron/sqlx"

	"github.com/holdfast-backup/holdfast/depot/actor"
	"github.com/holdfast-backup/holdfast/depot/catalog/record"
	"github.com/holdfast-backup/holdfast/depot/token"
	"github.com/holdfast-backup/holdfast/plan"
	"github.com/holdfast-backup/holdfast/wire/fault"
	"github.com/holdfast-backup/holdfast/wire/id"
	"github.com/holdfast-backup/holdfast/wire/proto"
)

// app is an application and its device.
type app struct {
	id     id.Application
	device actor.Actor
}

// application makes an application of a device.
func (w *world) application(dev actor.Actor, name string) app {
	w.t.Helper()
	a := app{id.Application{}.New(), dev}
	w.exec(`INSERT INTO applications (id, device_id, name, name_key, engine, media_folders) VALUES ($1, $2, $3, lower($3), 'postgres', 1)`, a.id, dev.Device, name)
	return a
}

// schedule makes a schedule of an application.
func (w *world) schedule(a app) id.ApplicationSchedule {
	w.t.Helper()
	s := id.ApplicationSchedule{}.New()
	w.exec(`INSERT INTO application_schedules (id, application_id, name, name_key, enabled, part, schedule, zone, level, exclude_logs, portable, keep_days, keep_last,
		keep_daily, keep_weekly, keep_monthly, keep_yearly, ticked_at) VALUES ($1, $2, $3, $3, true, 'full', '{}', 'UTC', 'default', false, false, 1, 0, 0, 0, 0, 0, now())`,
		s, a.id, s.String())
	return s
}

// tree uploads the tree of a small snapshot and returns its root.
func (w *world) tree(dev actor.Actor, b *Begun) id.Object {
	w.t.Helper()
	c := chunks(fresh(2)...)
	root := node{object(), nil, c.ids}
	w.mustUpload(dev, b, c, nodes(root))
	return root.id
}

func (w *world) commitAs(a actor.Actor, b *Begun, root id.Object, l *Label) (*Snapshot, error) {
	return w.Commit(w.ctx, a, CommitInput{Backup: b.ID, Fence: b.Fence, Root: root, Manifest: []byte("sealed"), Files: 3, Bytes: 300, UploadedBytes: 30, Label: l})
}

// labelled makes a snapshot of an application.
func (w *world) labelled(a app, l Label) *Snapshot {
	w.t.Helper()
	b := w.begin(a.device)
	l.Application = a.id
	return must(w.commitAs(a.device, b, w.tree(a.device, b), &l))(w.t)
}

// ruled says that a run of a schedule made a snapshot.
func (w *world) ruled(sn *Snapshot, schedule id.ApplicationSchedule) *Snapshot {
	w.t.Helper()
	if err := w.inTx(w.ctx, func(tx *sqlx.Tx) error { return MadeBySchedule(w.ctx, tx, sn.ID, schedule) }); err != nil {
		w.t.Fatal(err)
	}
	return sn
}

func TestLabelledSnapshot(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	anna, ben := w.user(), w.user()
	dev := w.device(anna)
	shop, foreign := w.application(dev, "Shop"), w.application(w.device(anna), "Shop")
	schedule := w.schedule(shop)
	files, _ := w.backup(dev, 1)
	sn := w.labelled(shop, Label{Part: Full, Origin: MadeByBackup, Title: "  Nightly ", Schedule: &schedule})
	// No rule deletes it yet, whatever its device says: or one that was broken into could push out what is older with what it makes.
	if l := sn.Label; l == nil || l.Application != shop.id || l.Part != Full || l.Origin != MadeByBackup || l.Title != "Nightly" || l.Schedule != nil {
		t.Errorf("%+v", sn.Label)
	}
	if l := must(w.Snapshot(w.ctx, anna, w.ruled(sn, schedule).ID))(t).Label; *l.Schedule != schedule {
		t.Errorf("%+v", l)
	}
	r := must(record.ParseSnapshot(must(w.get(w.ctx, snapshotName(w.spaceOf(anna), sn.ID), record.MaxSize))(t)))(t)
	if a := r.Application; a == nil || a.ID != shop.id || a.Name != "Shop" || a.Part != "full" || a.Origin != "backup" || a.Title != "Nightly" || *a.Schedule != schedule {
		t.Errorf("%+v", a)
	}
	// A schedule that is not there, or another's, is left out: the backup is worth more than its rule.
	for _, other := range []id.ApplicationSchedule{id.ApplicationSchedule{}.New(), w.schedule(foreign)} {
		sn := w.ruled(w.labelled(shop, Label{Part: Media, Origin: MadeByBackup, Schedule: &other}), other)
		if l := must(w.Snapshot(w.ctx, anna, sn.ID))(t).Label; l.Schedule != nil {
			t.Errorf("%+v", l)
		}
	}
	undone := w.ruled(w.labelled(shop, Label{Part: Database, Origin: MadeForUndo, Schedule: &schedule}), schedule)
	if must(w.Snapshot(w.ctx, anna, undone.ID))(t).Label.Schedule != nil {
		t.Error("a safety backup is subject to a schedule's rule")
	}
	w.labelled(shop, Label{Part: Database, Origin: Imported}) // a device may import for its owner

	// Lists have files only, or one application's.
	count := func(a actor.Actor, f SnapshotFilter) int {
		t.Helper()
		p := must(w.Snapshots(w.ctx, a, f, 10, ""))(t)
		if len(p.Snapshots) != p.TotalCount {
			t.Errorf("%d of %d", len(p.Snapshots), p.TotalCount)
		}
		return p.TotalCount
	}
	undo, media := MadeForUndo, Media
	for name, tt := range map[string]struct {
		a    actor.Actor
		f    SnapshotFilter
		want int
	}{
		"files": {anna, SnapshotFilter{}, 1}, "of the device": {anna, SnapshotFilter{Device: &dev.Device}, 1}, "of the application": {anna, SnapshotFilter{Application: &shop.id}, 5},
		"for undo": {anna, SnapshotFilter{Application: &shop.id, Origin: &undo}, 1}, "media": {anna, SnapshotFilter{Application: &shop.id, Part: &media}, 2},
		"of another": {anna, SnapshotFilter{Application: &foreign.id}, 0}, "to somebody else": {ben, SnapshotFilter{Application: &shop.id}, 0},
	} {
		if n := count(tt.a, tt.f); n != tt.want {
			t.Errorf("%s: %d, want %d", name, n, tt.want)
		}
	}
	latest := must(w.LatestSnapshots(w.ctx, anna, []id.Device{dev.Device, foreign.device.Device}))(t)
	if len(latest) != 1 || latest[dev.Device].ID != files.ID {
		t.Errorf("%+v", latest)
	}
	if u := must(w.Usage(w.ctx, anna, anna.User))(t); u.Snapshots != 6 || u.ProtectedBytes != 600 {
		t.Errorf("%+v", u)
	}
	// Of an application that is not known any more, they are seen as files: nothing is out of sight.
	w.exec(`DELETE FROM applications WHERE id = $1`, shop.id)
	if n := count(anna, SnapshotFilter{}); n != 6 {
		t.Errorf("%d snapshots are seen", n)
	}
}

func TestLabelIsRefused(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	anna := w.user()
	dev := w.device(anna)
	shop, foreign := w.application(dev, "Shop"), w.application(w.device(anna), "Shop")
	b := w.begin(dev)
	root := w.tree(dev, b)
	good := Label{Application: shop.id, Part: Full, Origin: MadeByBackup}
	for name, tt := range map[string]struct {
		change func(*Label)
		kind   fault.Kind
	}{
		"no application": {func(l *Label) { l.Application = id.Application{} }, fault.Invalid},
		"another one":    {func(l *Label) { l.Application = id.Application{}.New() }, fault.NotFound},
		"another's":      {func(l *Label) { l.Application = foreign.id }, fault.NotFound},
		"no part":        {func(l *Label) { l.Part = "" }, fault.Invalid},
		"no origin":      {func(l *Label) { l.Origin = "luck" }, fault.Invalid},
		"long title":     {func(l *Label) { l.Title = strings.Repeat("x", MaxTitle+1) }, fault.Invalid},
	} {
		l := good
		tt.change(&l)
		t.Log(name)
		_, err := w.commitAs(dev, b, root, &l)
		wantKind(t, err, tt.kind)
	}
	sn := must(w.commitAs(dev, b, root, &good))(t)
	if again := must(w.commitAs(dev, b, root, &good))(t); again.ID != sn.ID {
		t.Error("repeated, it is another snapshot")
	}
}

// An import is beside the device's own session; its token is good for its own session and for nothing else.
func TestImport(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	anna := w.user()
	dev := w.device(anna)
	shop, library := w.application(dev, "Shop"), w.application(dev, "Library")
	own := w.begin(dev)
	b, text, err := w.BeginImport(w.ctx, anna, shop.id)
	if err != nil {
		t.Fatal(err)
	}
	if b.ParentUsable || !b.SpaceEmpty || b.MaxPack == 0 || b.ChunkAvg == 0 || token.Kind(text) != proto.TokenImport {
		t.Errorf("%+v %s", b, text)
	}
	a := must(w.AuthenticateImport(w.ctx, text))(t)
	if a.Import != b.ID || a.ImportTo != dev.Device || a.IsNobody() || a.IsDevice() || !a.User.IsZero() {
		t.Errorf("%+v", a)
	}
	if m := must(w.ActiveBackups(w.ctx, anna, []id.Device{dev.Device}))(t); m[dev.Device].ID != own.ID {
		t.Errorf("%+v", m)
	}
	// Neither writes into the other's session, and none ends the other.
	_, err = w.Missing(w.ctx, dev, b.ID, b.Fence, nil)
	wantKind(t, err, fault.NotFound)
	_, err = w.Missing(w.ctx, a, own.ID, own.Fence, nil)
	wantKind(t, err, fault.NotFound)
	_, err = w.Begin(w.ctx, a, nil)
	wantKind(t, err, fault.Forbidden)
	_, _, err = w.BeginImport(w.ctx, a, shop.id)
	wantKind(t, err, fault.Forbidden)
	own = w.begin(dev)
	must(w.Missing(w.ctx, a, b.ID, b.Fence, fresh(2)))(t)
	root := w.tree(a, b)
	if err := w.Progress(w.ctx, a, b.ID, b.Fence, BackupProgress{Phase: "upload"}); err != nil {
		t.Fatal(err)
	}
	for name, tt := range map[string]struct {
		l    *Label
		kind fault.Kind
	}{
		"files":       {nil, fault.Invalid},
		"as a backup": {&Label{Application: shop.id, Part: Full, Origin: MadeByBackup}, fault.Forbidden},
		"for undo":    {&Label{Application: shop.id, Part: Full, Origin: MadeForUndo}, fault.Forbidden},
		"of another":  {&Label{Application: library.id, Part: Full, Origin: Imported}, fault.Forbidden},
	} {
		t.Log(name)
		_, err := w.commitAs(a, b, root, tt.l)
		wantKind(t, err, tt.kind)
	}
	// It counts for the fence of cleaning.
	err = w.Exclusive(w.ctx, w.spaceOf(anna), func(context.Context, *sqlx.Tx) error { return nil })
	wantKind(t, err, fault.Conflict)
	if err := w.Abort(w.ctx, dev, own.ID, own.Fence); err != nil {
		t.Fatal(err)
	}
	err = w.Exclusive(w.ctx, w.spaceOf(anna), func(context.Context, *sqlx.Tx) error { return nil })
	wantKind(t, err, fault.Conflict)

	label := &Label{Application: shop.id, Part: Database, Origin: Imported, Title: "From the old server"}
	sn := must(w.commitAs(a, b, root, label))(t)
	if again := must(w.commitAs(must(w.AuthenticateImport(w.ctx, text))(t), b, root, label))(t); again.ID != sn.ID || sn.DeviceID != dev.Device || sn.Label.Title != label.Title {
		t.Errorf("%+v", again)
	}
	must(w.Snapshot(w.ctx, anna, sn.ID))(t)
	_, err = w.upload(a, b, chunks(object()))
	wantKind(t, err, fault.SessionExpired)
	if got := strings.Join(w.kinds(anna), " "); got != "import.began" {
		t.Error(got)
	}
	w.exec(`UPDATE backups SET ended_at = ended_at - interval '61 minutes' WHERE id = $1`, b.ID)
	for _, bad := range []string{text, text + "x", "hfm_x", strings.Replace(text, "hfm_", "hfd_", 1), ""} {
		_, err = w.AuthenticateImport(w.ctx, bad)
		wantKind(t, err, fault.Unauthenticated)
	}
}

func TestImportIsRefused(t *testing.T) {
	t.Parallel()
	quota := errors.New("used up")
	w := newWorld(t, func(cfg *Config) {
		cfg.SessionTTL = time.Hour
		cfg.Quota = func(context.Context, sqlx.QueryerContext, id.User) error { return quota }
	})
	anna := w.user()
	dev := w.device(anna)
	shop := w.application(dev, "Shop")
	for name, tt := range map[string]struct {
		a    actor.Actor
		kind fault.Kind
	}{
		"nobody": {actor.Actor{}, fault.Unauthenticated}, "the device": {dev, fault.Forbidden}, "somebody else": {w.user(), fault.NotFound},
		"an administrator": {actor.Actor{User: w.user().User, Role: actor.Admin}, fault.NotFound}, "the system": {system, fault.Forbidden},
		"by recovery code": {actor.Actor{User: anna.User, Role: actor.Staff, ByRecovery: true}, fault.Forbidden},
	} {
		t.Log(name)
		_, _, err := w.BeginImport(w.ctx, tt.a, shop.id)
		wantKind(t, err, tt.kind)
	}
	_, _, err := w.BeginImport(w.ctx, anna, id.Application{}.New())
	wantKind(t, err, fault.NotFound)
	if _, _, err := w.BeginImport(w.ctx, anna, shop.id); !errors.Is(err, quota) {
		t.Error(err)
	}
	quota = nil
	var a actor.Actor
	var b *Begun
	for range maxImports {
		var text string
		if b, text, err = w.BeginImport(w.ctx, anna, shop.id); err != nil {
			t.Fatal(err)
		}
		a = must(w.AuthenticateImport(w.ctx, text))(t)
	}
	_, _, err = w.BeginImport(w.ctx, anna, shop.id)
	wantKind(t, err, fault.Conflict)
	// Silence ends one, and what was given up makes room.
	if err := w.Abort(w.ctx, a, b.ID, b.Fence); err != nil {
		t.Fatal(err)
	}
	b, text, err := w.BeginImport(w.ctx, anna, shop.id)
	if err != nil {
		t.Fatal(err)
	}
	a = must(w.AuthenticateImport(w.ctx, text))(t)
	w.exec(`UPDATE backups SET last_seen_at = last_seen_at - interval '2 hours' WHERE id = $1`, b.ID)
	_, err = w.Missing(w.ctx, a, b.ID, b.Fence, nil)
	wantKind(t, err, fault.SessionExpired)
	w.exec(`UPDATE applications SET removed_at = now()`)
	_, _, err = w.BeginImport(w.ctx, anna, shop.id)
	wantKind(t, err, fault.Conflict)
	w.exec(`UPDATE devices SET revoked_at = now(); UPDATE applications SET removed_at = NULL`)
	_, _, err = w.BeginImport(w.ctx, anna, shop.id)
	wantKind(t, err, fault.Conflict) // not UNAUTHENTICATED: her login is good, and a page that reads that throws it away
}

// Who began an import has an end to it at hand: its token is good for no longer than the login, or the API token, that it was begun with.
func TestImportEndsWithItsLogin(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	anna := w.user()
	shop := w.application(w.device(anna), "Shop")
	program := actor.Actor{User: anna.User, Role: actor.Staff, APIToken: id.APIToken{}.New()}
	w.exec(`INSERT INTO api_tokens (id, user_id, token_hash, name, created_at) VALUES ($1, $2, '\x01', 'p', now())`, program.APIToken, anna.User)
	begin := func(a actor.Actor) string {
		t.Helper()
		_, text, err := w.BeginImport(w.ctx, a, shop.id)
		if err != nil {
			t.Fatal(err)
		}
		must(w.AuthenticateImport(w.ctx, text))(t)
		return text
	}
	byLogin, byProgram := begin(anna), begin(program)
	w.exec(`DELETE FROM sessions WHERE id = $1`, anna.Session) // logged out, or a new password
	_, err := w.AuthenticateImport(w.ctx, byLogin)
	wantKind(t, err, fault.Unauthenticated)
	must(w.AuthenticateImport(w.ctx, byProgram))(t)
	w.exec(`UPDATE api_tokens SET expires_at = now()`)
	_, err = w.AuthenticateImport(w.ctx, byProgram)
	wantKind(t, err, fault.Unauthenticated)
	w.exec(`UPDATE api_tokens SET expires_at = now() + interval '1 hour'`)
	must(w.AuthenticateImport(w.ctx, byProgram))(t)
	w.exec(`DELETE FROM api_tokens`)
	_, err = w.AuthenticateImport(w.ctx, byProgram)
	wantKind(t, err, fault.Unauthenticated)
}

// age makes a snapshot older by days.
func (w *world) age(sn *Snapshot, days int) {
	w.t.Helper()
	w.exec(`UPDATE snapshots SET created_at = created_at - make_interval(days => $2) WHERE id = $1`, sn.ID, days)
}

func (w *world) live(list ...*Snapshot) (s string) {
	w.t.Helper()
	for _, sn := range list {
		s += map[bool]string{true: "+", false: "-"}[get[bool](w, `SELECT deleted_at IS NULL FROM snapshots WHERE id = $1`, sn.ID)]
	}
	return s
}

func TestRetainScheduled(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	anna := w.user()
	dev := w.device(anna)
	shop := w.application(dev, "Shop")
	daily, other := w.schedule(shop), w.schedule(shop)
	make := func(days int, l Label) *Snapshot {
		t.Helper()
		sn := w.labelled(shop, l)
		if l.Schedule != nil {
			w.ruled(sn, *l.Schedule)
		}
		w.age(sn, days)
		return sn
	}
	of := func(part Part, schedule *id.ApplicationSchedule) Label {
		return Label{Part: part, Origin: MadeByBackup, Schedule: schedule}
	}
	media := make(50, of(Media, &daily)) // the schedule was for media once: the only good one
	old := make(40, of(Full, &daily))
	pinned := make(30, of(Full, &daily))
	must(w.PinSnapshot(w.ctx, anna, pinned.ID, true))(t)
	byHand, byOther := make(30, of(Full, nil)), make(30, of(Full, &other))
	imported, safety := make(30, Label{Part: Full, Origin: Imported}), make(30, Label{Part: Full, Origin: MadeForUndo})
	good := make(20, of(Full, &daily))
	damaged := make(9, of(Full, &daily))
	w.exec(`UPDATE snapshots SET problems = 1 WHERE id = $1`, damaged.ID)
	newest := make(8, of(Full, &daily))
	w.exec(`UPDATE snapshots SET problems = 1 WHERE id = $1`, newest.ID)
	files, _ := w.backup(dev, 1)
	w.age(files, 100)
	w.exec(`UPDATE snapshots SET scheduled = true WHERE id = $1`, files.ID)
	_, err := w.RetainScheduled(w.ctx, anna, daily, shop.id, plan.Rule{Retention: plan.Retention{Days: 7}, Zone: "UTC"})
	wantKind(t, err, fault.Forbidden)
	r := must(w.RetainScheduled(w.ctx, system, daily, shop.id, plan.Rule{Retention: plan.Retention{Days: 7}, Zone: "UTC"}))(t)
	if r.Deleted != 2 || r.Kept != 4 || r.More {
		t.Errorf("%+v", r)
	}
	if got := w.live(media, old, pinned, byHand, byOther, imported, safety, good, damaged, newest, files); got != "+-+++++"+"+-++" {
		t.Error(got)
	}
	must(w.RestoreDeleted(w.ctx, anna, old.ID))(t)

	// The policies of the device do not touch what is of its applications.
	must(w.Retain(w.ctx, system, dev.Device, []plan.Rule{{Retention: plan.Retention{Days: 1}, Zone: "UTC"}}))(t)
	if got := w.live(media, old, byHand, newest, files); got != "+++++" {
		t.Error(got)
	}
	if list := must(w.RetentionPreview(w.ctx, anna, dev.Device, nil))(t); len(list) != 1 {
		t.Errorf("%+v", list)
	}
}

func TestRetainSafety(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	anna := w.user()
	shop := w.application(w.device(anna), "Shop")
	var list []*Snapshot
	for _, days := range []int{9, 8, 7, 6, 0, 0, 0} {
		sn := w.labelled(shop, Label{Part: Full, Origin: MadeForUndo})
		w.age(sn, days)
		list = append(list, sn)
	}
	backup := w.labelled(shop, Label{Part: Full, Origin: MadeByBackup})
	w.age(backup, 90)
	must(w.PinSnapshot(w.ctx, anna, list[0].ID, true))(t)
	_, err := w.RetainSafety(w.ctx, anna, shop.id, 2)
	wantKind(t, err, fault.Forbidden)
	r := must(w.RetainSafety(w.ctx, system, shop.id, 4))(t)
	if got := w.live(append(list, backup)...); r.Deleted != 2 || r.Kept != 5 || got != "+--+++++" {
		t.Errorf("%+v %s", r, got)
	}
	r = must(w.RetainSafety(w.ctx, system, shop.id, 1))(t) // those of today stay, however few are kept
	if got := w.live(append(list, backup)...); r.Deleted != 1 || got != "+---++++" {
		t.Errorf("%+v %s", r, got)
	}
	if texts := w.kinds(anna); strings.Count(strings.Join(texts, " "), "snapshots.retired") != 2 {
		t.Error(texts)
	}
	if by := get[string](w, `SELECT deleted_by FROM snapshots WHERE id = $1`, list[1].ID); by != byRetention {
		t.Error(by)
	}
}

func TestOperator(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	anna := w.user()
	dev := w.device(anna)
	shop, library := w.application(dev, "Shop"), w.application(dev, "Library")
	files, _ := w.backup(dev, 1)
	a := w.labelled(shop, Label{Part: Full, Origin: MadeByBackup, Title: "one"})
	b := w.labelled(library, Label{Part: Media, Origin: Imported})
	c := w.labelled(shop, Label{Part: Full, Origin: MadeForUndo})
	list := must(w.ApplicationSnapshots(w.ctx, system, nil, 10))(t)
	if len(list) != 3 || list[0].ID != c.ID || list[2].ID != a.ID || list[2].Label.Title != "one" || list[0].Manifest != nil {
		t.Errorf("%+v", list)
	}
	if list := must(w.ApplicationSnapshots(w.ctx, system, &library.id, 10))(t); len(list) != 1 || list[0].ID != b.ID {
		t.Errorf("%+v", list)
	}
	if list := must(w.ApplicationSnapshots(w.ctx, system, nil, 2))(t); len(list) != 2 {
		t.Errorf("%+v", list)
	}
	for _, who := range []actor.Actor{{}, anna, dev, {User: anna.User, Role: actor.Superuser}} {
		_, err := w.ApplicationSnapshots(w.ctx, who, nil, 1)
		wantKind(t, err, fault.Forbidden)
		_, err = w.DeleteApplicationSnapshot(w.ctx, who, a.ID)
		wantKind(t, err, fault.Forbidden)
	}
	for _, none := range []id.Snapshot{files.ID, id.Snapshot{}.New()} {
		_, err := w.DeleteApplicationSnapshot(w.ctx, system, none)
		wantKind(t, err, fault.NotFound)
	}
	must(w.PinSnapshot(w.ctx, anna, a.ID, true))(t)
	_, err := w.DeleteApplicationSnapshot(w.ctx, system, a.ID)
	wantKind(t, err, fault.Conflict)
	until := must(w.DeleteApplicationSnapshot(w.ctx, system, b.ID))(t)
	if d := time.Until(until); d < 6*24*time.Hour || d > 8*24*time.Hour || w.live(b) != "-" || get[string](w, `SELECT deleted_by FROM snapshots WHERE id = $1`, b.ID) != byOperator {
		t.Error(until)
	}
	if text := get[string](w, `SELECT text FROM audit_events WHERE kind = 'snapshot.deleted' AND owner_id = $1`, anna.User); !strings.HasSuffix(text, "was deleted by the operator.") {
		t.Error(text)
	}
	w.store.on(func(op, _ string) error { return errDisk })
	if _, err := w.DeleteApplicationSnapshot(w.ctx, system, c.ID); !errors.Is(err, errDisk) || w.live(c) != "+" {
		t.Error(err)
	}
	w.store.on(nil)
	if back := must(w.RestoreDeleted(w.ctx, anna, b.ID))(t); back.Label == nil || back.Label.Application != library.id {
		t.Errorf("%+v", back)
	}
}

// The database is older than an application: its snapshots come back, and so does its name, under which the device will register it again.
func TestRebuildFindsApplications(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	anna := w.user()
	shop := w.application(w.device(anna), "Shop")
	lost := w.application(w.device(anna), "Lost") // with its device
	sn, gone := w.labelled(shop, Label{Part: Full, Origin: MadeByBackup, Title: "one"}), w.labelled(lost, Label{Part: Media, Origin: Imported})
	w.exec(`DELETE FROM devices WHERE id = $1`, lost.device.Device)
	w.exec(`TRUNCATE applications CASCADE; TRUNCATE snapshots`)
	if r := must(w.RebuildIndex(w.ctx, system, nil))(t); r.Restored != 2 {
		t.Fatalf("%+v", r)
	}
	if name := get[string](w, `SELECT name_key FROM applications WHERE id = $1 AND removed_at IS NOT NULL AND device_id = $2`, shop.id, shop.device.Device); name != "shop" {
		t.Error(name)
	}
	if name := get[string](w, `SELECT a.name FROM applications a JOIN devices d ON d.id = a.device_id WHERE a.id = $1 AND a.removed_at IS NOT NULL AND d.revoked_at IS NOT NULL`, lost.id); name != "Lost" {
		t.Error(name)
	}
	if l := must(w.Snapshot(w.ctx, anna, sn.ID))(t).Label; l == nil || l.Application != shop.id || l.Title != "one" {
		t.Errorf("%+v", l)
	}
	if l := must(w.Snapshot(w.ctx, anna, gone.ID))(t).Label; l == nil || l.Application != lost.id || l.Part != Media || l.Origin != Imported {
		t.Errorf("%+v", l)
	}
	if page := must(w.Snapshots(w.ctx, anna, SnapshotFilter{}, 10, ""))(t); page.TotalCount != 0 {
		t.Errorf("%+v", page)
	}
	// The record of a labelled snapshot is written again from its row, with what the row knows.
	for _, known := range []bool{true, false} {
		w.mem.Delete(w.ctx, snapshotName(w.spaceOf(anna), sn.ID))
		if r := must(w.Scrub(w.ctx, system, time.Hour, nil))(t); r.Rewritten != 1 {
			t.Fatalf("%+v", r)
		}
		r := must(record.ParseSnapshot(must(w.get(w.ctx, snapshotName(w.spaceOf(anna), sn.ID), record.MaxSize))(t)))(t)
		if a := r.Application; a == nil || a.ID != shop.id || (a.Name == "Shop") != known {
			t.Errorf("%+v", a)
		}
		w.exec(`DELETE FROM applications`)
	}
	w.exec(`TRUNCATE snapshots`)
	if r := must(w.RebuildIndex(w.ctx, system, nil))(t); r.Restored != 2 || get[int](w, `SELECT count(*) FROM applications WHERE id <> $1`, lost.id) != 0 {
		t.Errorf("%+v", r) // without a name there is none to make
	}
	if page := must(w.Snapshots(w.ctx, anna, SnapshotFilter{}, 10, ""))(t); page.TotalCount != 1 || page.Snapshots[0].ID != sn.ID {
		t.Errorf("%+v", page) // it is listed among files
	}
}
