package run_test

import (
	"context"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/jmoiron/sqlx"
	"github.com/lib/pq"

	"github.com/holdfast-backup/holdfast/depot/actor"
	"github.com/holdfast-backup/holdfast/depot/application"
	"github.com/holdfast-backup/holdfast/depot/pg/pgtest"
	"github.com/holdfast-backup/holdfast/depot/policy"
	"github.com/holdfast-backup/holdfast/depot/run"
	"github.com/holdfast-backup/holdfast/depot/setting"
	"github.com/holdfast-backup/holdfast/plan"
	"github.com/holdfast-backup/holdfast/wire/fault"
	"github.com/holdfast-backup/holdfast/wire/id"
)

// bell is a bus that remembers what was rung.
type bell struct {
	mu   sync.Mutex
	rung map[string][]string // messages by topic
}

func (b *bell) Publish(_ context.Context, topic string, msg []byte) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.rung == nil {
		b.rung = map[string][]string{}
	}
	b.rung[topic] = append(b.rung[topic], string(msg))
}

// take gives what was rung on a topic since it was last asked.
func (b *bell) take(topic string) []string {
	b.mu.Lock()
	defer b.mu.Unlock()
	got := b.rung[topic]
	delete(b.rung, topic)
	return got
}

// machine is a device and who speaks for it.
type machine struct {
	id    id.Device
	actor actor.Actor
}

// world is a service on a database whose clock moves on demand, with an administrator, two people and their devices.
type world struct {
	*run.Service
	t        testing.TB
	db       *sqlx.DB
	url      string
	shift    func(time.Duration)
	bell     *bell
	policies *policy.Service
	apps     *application.Service

	boss, ann, bob    actor.Actor
	laptop, desk, box machine // ann's, ann's, bob's
}

func newWorld(t testing.TB) *world {
	t.Helper()
	db, url, shift := pgtest.NewShifted(t)
	w := &world{t: t, db: db, url: url, shift: shift, bell: &bell{}}
	w.goTo(time.Date(2031, 3, 3, 10, 10, 0, 0, time.UTC)) // what is tested does not depend on when
	w.Service, w.policies, w.apps = w.serviceOn(db)
	w.boss, w.ann, w.bob = w.person("boss", actor.Admin), w.person("ann", actor.Staff), w.person("bob", actor.Staff)
	w.laptop, w.desk, w.box = w.device(w.ann, "laptop"), w.device(w.ann, "desk"), w.device(w.bob, "box")
	return w
}

// reset makes the world as it was at first, apart from the clock: a database costs more than most of what is tested on it.
func (w *world) reset() {
	w.t.Helper()
	w.exec(`TRUNCATE notifications, audit_events, runs, policies, policy_targets, snapshots, backups, applications, application_schedules`)
	w.exec(`UPDATE devices SET revoked_at = NULL`)
}

// inOneWorld runs subtests one after another, each on the same world made new.
func inOneWorld(t *testing.T, names []string, test func(w *world, name string)) {
	t.Helper()
	w := newWorld(t)
	for _, name := range names {
		t.Run(name, func(t *testing.T) {
			w.t = t
			w.reset()
			test(w, name)
		})
		w.t = t
	}
}

// service is one more server on the same database.
func (w *world) service() *run.Service {
	s, _, _ := w.serviceOn(w.db)
	return s
}

func (w *world) serviceOn(db *sqlx.DB) (s *run.Service, policies *policy.Service, apps *application.Service) {
	policies = policy.New(policy.Config{DB: db, BeforeChange: func(ctx context.Context, tx *sqlx.Tx, p *policy.Policy) error {
		return s.TickPolicy(ctx, tx, p)
	}})
	apps = application.New(application.Config{DB: db, BeforeChange: func(ctx context.Context, tx *sqlx.Tx, n id.ApplicationSchedule) error {
		return s.TickSchedule(ctx, tx, n)
	}})
	s = run.New(run.Config{DB: db, Bus: w.bell, Policies: policies, Applications: apps, Settings: setting.New(setting.Config{DB: db})})
	return s, policies, apps
}

func (w *world) ok(err error) {
	w.t.Helper()
	if err != nil {
		w.t.Fatal(err)
	}
}

// want checks the kind of an error and that its sentence holds the words.
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

func get[T any](w *world, query string, args ...any) (v T) {
	w.t.Helper()
	w.ok(w.db.Get(&v, query, args...))
	return v
}

func (w *world) person(name string, role actor.Role) actor.Actor {
	w.t.Helper()
	u := id.User{}.New()
	w.exec(`INSERT INTO users (id, email, email_key, name, role, kdf_salt, kdf_time, kdf_memory, kdf_threads, auth_hash, bundle, recovery_auth_hash,
		recovery_bundle, identity_public) VALUES ($1, $2, $2, $2, $3, '', 1, 1, 1, '', '', '', '', '')`, u, name+"@example.org", role)
	return actor.Actor{User: u, Role: role, Session: id.Session{}.New()}
}

func (w *world) device(a actor.Actor, name string) machine {
	w.t.Helper()
	d := id.Device{}.New()
	w.exec(`INSERT INTO devices (id, user_id, name, hostname, os, arch, agent_version, public_key, mac, token_hash, created_at)
		VALUES ($1, $2, $3, 'host', 'linux', 'amd64', '1', '', '', $4, clock_timestamp())`, d, a.User, name, d.String())
	return machine{d, actor.Actor{User: a.User, Device: d}}
}

func (w *world) revoke(m machine) {
	w.t.Helper()
	w.exec(`UPDATE devices SET revoked_at = clock_timestamp() WHERE id = $1`, m.id)
}

// hourly is a policy for everyone, every hour, which devices may begin at once.
func hourly(name string) policy.Input {
	return policy.Input{
		Name: name, Enabled: true, Targets: policy.Targets{Everyone: true}, Roots: []string{"~documents"},
		Schedule: plan.Schedule{Kind: plan.Cron, Cron: "0 * * * *"}, Zone: "UTC", DeadlineMinutes: 120,
		Level: policy.Default, Retention: plan.Retention{Days: 30},
	}
}

func (w *world) policy(in policy.Input) *policy.Policy {
	w.t.Helper()
	p, err := w.policies.Create(w.t.Context(), w.boss, in)
	w.ok(err)
	return p
}

// now is the database's clock.
func (w *world) now() time.Time {
	w.t.Helper()
	return get[time.Time](w, `SELECT clock_timestamp()`)
}

// goTo moves the clock to a time.
func (w *world) goTo(at time.Time) {
	w.t.Helper()
	w.shift(at.Sub(w.now()))
}

// nextHour moves the clock a second past the next full hour, and returns that hour.
func (w *world) nextHour() time.Time {
	w.t.Helper()
	at := w.now().Truncate(time.Hour).Add(time.Hour)
	w.goTo(at.Add(time.Second))
	return at
}

func (w *world) tick()  { w.t.Helper(); w.ok(w.Tick(w.t.Context())) }
func (w *world) sweep() { w.t.Helper(); w.ok(w.Sweep(w.t.Context())) }

// take is what a device is given; it must be something.
func (w *world) take(m machine) *run.Work {
	w.t.Helper()
	got, err := w.Take(w.t.Context(), m.actor)
	w.ok(err)
	if len(got.Runs) == 0 {
		w.t.Fatalf("nothing to take; look again in %s", got.LookAgain)
	}
	return got
}

// idle checks that there is nothing to take, and returns when to look again.
func (w *world) idle(m machine) time.Duration {
	w.t.Helper()
	got, err := w.Take(w.t.Context(), m.actor)
	w.ok(err)
	if len(got.Runs) != 0 || got.Lease != 0 || got.Order != nil || got.Policy != nil {
		w.t.Fatalf("took %d runs", len(got.Runs))
	}
	return got.LookAgain
}

func ids(runs []*run.Run) (list []id.Run) {
	for _, r := range runs {
		list = append(list, r.ID)
	}
	return list
}

// keep is a heartbeat that must be heard.
func (w *world) keep(m machine, work *run.Work, backup *id.Backup) (cancel bool) {
	w.t.Helper()
	cancel, err := w.Keep(w.t.Context(), m.actor, run.KeepInput{Runs: ids(work.Runs), Lease: work.Lease, Backup: backup})
	w.ok(err)
	return cancel
}

// end says how work ended, and must be believed.
func (w *world) end(m machine, work *run.Work, in run.EndInput) []*run.Run {
	w.t.Helper()
	in.Runs, in.Lease = ids(work.Runs), work.Lease
	got, err := w.End(w.t.Context(), m.actor, in)
	w.ok(err)
	return got
}

// space gives a person a space.
func (w *world) space(a actor.Actor) (n int) {
	w.t.Helper()
	w.exec(`INSERT INTO spaces (public_id, owner_id, chunk_min, chunk_avg, chunk_max) VALUES (gen_random_uuid(), $1, 1, 1, 1) ON CONFLICT DO NOTHING`, a.User)
	return get[int](w, `SELECT id FROM spaces WHERE owner_id = $1`, a.User)
}

// session is a backup session of a device's.
func (w *world) session(m machine) *id.Backup {
	w.t.Helper()
	b := id.Backup{}.New()
	w.exec(`UPDATE backups SET state = 'void' WHERE device_id = $1 AND state = 'active'`, m.id)
	w.exec(`INSERT INTO backups (id, space_id, device_id) VALUES ($1, $2, $3)`, b, w.space(m.actor), m.id)
	return &b
}

// commit makes the snapshot of a session.
func (w *world) commit(m machine, b *id.Backup, problems int) *id.Snapshot {
	w.t.Helper()
	sn := id.Snapshot{}.New()
	w.exec(`UPDATE backups SET state = 'committed', ended_at = clock_timestamp() WHERE id = $1`, b)
	w.exec(`INSERT INTO snapshots (id, space_id, device_id, backup_id, root, manifest, created_at, files, bytes, problems, uploaded_bytes)
		VALUES ($1, $2, $3, $4, gen_random_uuid(), '', clock_timestamp(), 1200, 1000000, $5, 300)`, sn, w.space(m.actor), m.id, b, problems)
	return &sn
}

// snapshot makes a backup by hand.
func (w *world) snapshot(m machine) *id.Snapshot {
	w.t.Helper()
	return w.commit(m, w.session(m), 0)
}

// run reads a run as its owner sees it.
func (w *world) run(n id.Run) *run.Run {
	w.t.Helper()
	r, err := w.Run(w.t.Context(), actor.System(), n)
	w.ok(err)
	return r
}

// is checks the state of runs, and that ends have their time.
func (w *world) is(want run.State, runs ...id.Run) {
	w.t.Helper()
	for _, n := range runs {
		r := w.run(n)
		if r.State != want || (r.EndedAt != nil) != want.Over() {
			w.t.Errorf("run %s is %s, ended at %v; want %s", n, r.State, r.EndedAt, want)
		}
	}
}

// states gives the states of all runs of a device, oldest slot first.
func (w *world) states(m machine) []string {
	w.t.Helper()
	var list []string
	w.ok(w.db.Select(&list, `SELECT state FROM runs WHERE device_id = $1 ORDER BY slot, created_at, id`, m.id))
	return list
}

// told gives the kinds of notifications that a person has, oldest first, and forgets them.
func (w *world) told(a actor.Actor) []string {
	w.t.Helper()
	var list []string
	w.ok(w.db.Select(&list, `WITH gone AS (DELETE FROM notifications WHERE user_id = $1 AND key IS NULL RETURNING created_at, kind) SELECT kind FROM gone ORDER BY created_at`, a.User))
	return list
}

// letter is a notification as it is read.
type letter struct {
	Kind, Severity, Title, Body string
	DeviceID                    *id.Device `db:"device_id"`
	RunID                       *id.Run    `db:"run_id"`
}

func (w *world) letters(a actor.Actor) (list []letter) {
	w.t.Helper()
	w.ok(w.db.Select(&list, `SELECT kind, severity, title, body, device_id, run_id FROM notifications WHERE user_id = $1 ORDER BY created_at`, a.User))
	return list
}

// audited gives the texts of a kind in the log that concern a person.
func (w *world) audited(kind string, owner actor.Actor) (texts []string) {
	w.t.Helper()
	w.ok(w.db.Select(&texts, `SELECT text FROM audit_events WHERE kind = $1 AND owner_id = $2 ORDER BY at`, kind, owner.User))
	return texts
}

// dump is all of some runs, to see that nothing has changed.
func (w *world) dump(runs ...id.Run) string {
	w.t.Helper()
	return get[string](w, `SELECT coalesce(string_agg(to_jsonb(r)::text, E'\n' ORDER BY id), '') FROM runs r WHERE id = ANY ($1::uuid[])`, pq.Array(runs))
}

func equal(t *testing.T, what string, got, want []string) {
	t.Helper()
	if !slices.Equal(got, want) {
		t.Errorf("%s: %q, want %q", what, got, want)
	}
}
