package report_test

import (
	"context"
	"errors"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/jmoiron/sqlx"

	"github.com/holdfast-backup/holdfast/depot/actor"
	"github.com/holdfast-backup/holdfast/depot/pg/pgtest"
	"github.com/holdfast-backup/holdfast/depot/report"
	"github.com/holdfast-backup/holdfast/depot/run"
	"github.com/holdfast-backup/holdfast/depot/setting"
	"github.com/holdfast-backup/holdfast/wire/fault"
	"github.com/holdfast-backup/holdfast/wire/id"
)

type world struct {
	*report.Service
	t        *testing.T
	db       *sqlx.DB
	shift    func(time.Duration)
	settings *setting.Service
	room     *room

	mu     sync.Mutex
	topics []string

	boss, ann, bob    actor.Actor
	laptop, desk, box id.Device // ann's, ann's, bob's
}

// room is a store with as much room as a test says.
type room struct {
	free, total int64
	err         error
}

func (r *room) Room(context.Context) (int64, int64, error) { return r.free, r.total, r.err }

// Publish makes the world its own bus.
func (w *world) Publish(_ context.Context, topic string, _ []byte) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.topics = append(w.topics, topic)
}

func newWorld(t *testing.T) *world {
	t.Helper()
	db, _, shift := pgtest.NewShifted(t)
	w := &world{t: t, db: db, shift: shift, settings: setting.New(setting.Config{DB: db, MaxAge: time.Nanosecond}), room: &room{free: 1000, total: 5000}}
	w.Service = report.New(report.Config{DB: db, Settings: w.settings, Room: w.room, Bus: w})
	w.boss, w.ann, w.bob = w.person("boss", actor.Admin), w.person("ann", actor.Staff), w.person("bob", actor.Staff)
	w.laptop, w.desk, w.box = w.device(w.ann, "laptop"), w.device(w.ann, "desk"), w.device(w.bob, "box")
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
		recovery_bundle, identity_public) VALUES ($1, $2, $2, $3, $4, '', 1, 1, 1, '', '', '', '', '')`, u, name+"@example.org", name, role)
	return actor.Actor{User: u, Role: role, Session: id.Session{}.New()}
}

func (w *world) device(a actor.Actor, name string) id.Device {
	w.t.Helper()
	d := id.Device{}.New()
	w.exec(`INSERT INTO devices (id, user_id, name, hostname, os, arch, agent_version, public_key, mac, token_hash, created_at)
		VALUES ($1, $2, $3, $4, 'linux', 'amd64', '1', '', '', $5, clock_timestamp())`, d, a.User, name, name+".example.net", d.String())
	return d
}

// now is the database's clock.
func (w *world) now() time.Time {
	w.t.Helper()
	var now time.Time
	w.ok(w.db.Get(&now, `SELECT clock_timestamp()`))
	return now.UTC()
}

// ran describes a run of a test.
type ran struct {
	device   id.Device
	kind     run.Kind // "": backup
	state    run.State
	slot     *time.Time
	at       time.Time // made, due; zero: now
	minutes  int       // from start to end
	policy   *id.Policy
	snapshot *id.Snapshot
	files    int64
	bytes    int64
	uploaded int64
}

func (w *world) run(r ran) id.Run {
	w.t.Helper()
	n := id.Run{}.New()
	if r.kind == "" {
		r.kind = run.Backup
	}
	if r.at.IsZero() {
		r.at = w.now()
	}
	var started, ended *time.Time
	switch r.state {
	case run.Waiting:
	case run.Running:
		started = &r.at
	case run.Missed:
		ended = &r.at
	default:
		end := r.at.Add(time.Duration(r.minutes) * time.Minute)
		started, ended = &r.at, &end
	}
	w.exec(`INSERT INTO runs (id, device_id, kind, trigger, policy_id, slot, state, created_at, due_at, deadline_at, started_at, ended_at, snapshot_id, files, bytes, uploaded_bytes)
		VALUES ($1, $2, $3, 'schedule', $4, $5, $6, $7, $7, $7, $8, $9, $10, $11, $12, $13)`,
		n, r.device, r.kind, r.policy, r.slot, r.state, r.at, started, ended, r.snapshot, r.files, r.bytes, r.uploaded)
	return n
}

func (w *world) policy(name string) *id.Policy {
	w.t.Helper()
	p := id.Policy{}.New()
	w.exec(`INSERT INTO policies (id, name, name_key, enabled, everyone, roots, presets, extensions, exclude_presets, excludes, max_file_size, schedule, zone, window_from,
		window_to, deadline_minutes, spread_minutes, upload_limit, level, keep_days, keep_last, keep_daily, keep_weekly, keep_monthly, keep_yearly, ticked_at)
		VALUES ($1, $2, $2, true, true, '{}', '{}', '{}', '{}', '{}', 0, '{}', 'UTC', 0, 0, 0, 0, 0, 'default', 0, 0, 0, 0, 0, 0, now())`, p, name)
	return &p
}

func (w *world) group(name string, members ...actor.Actor) id.Group {
	w.t.Helper()
	g := id.Group{}.New()
	w.exec(`INSERT INTO groups (id, name, name_key) VALUES ($1, $2, $2)`, g, name)
	for _, m := range members {
		w.exec(`INSERT INTO group_members (group_id, user_id) VALUES ($1, $2)`, g, m.User)
	}
	return g
}

// space makes a space and returns its number.
func (w *world) space(owner *id.User) int {
	w.t.Helper()
	var n int
	w.ok(w.db.Get(&n, `INSERT INTO spaces (public_id, owner_id, chunk_min, chunk_avg, chunk_max) VALUES (gen_random_uuid(), $1, 1, 1, 1) RETURNING id`, owner))
	return n
}

func (w *world) pack(space int, name string, size, objects int) {
	w.t.Helper()
	w.exec(`INSERT INTO packs (space_id, name, size, objects) VALUES ($1, $2, $3, $4)`, space, []byte(name), size, objects)
}

func (w *world) snapshot(space int, device id.Device, at time.Time, bytes, problems int) id.Snapshot {
	w.t.Helper()
	n := id.Snapshot{}.New()
	w.exec(`INSERT INTO snapshots (id, space_id, device_id, root, manifest, created_at, files, bytes, problems, uploaded_bytes)
		VALUES ($1, $2, $3, gen_random_uuid(), '', $4, 1, $5, $6, 1)`, n, space, device, at, bytes, problems)
	return n
}

var errNoRoom = errors.New("the store is away")
