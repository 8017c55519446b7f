package depot_test

import (
	"bytes"
	"context"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"filippo.io/age"

	"github.com/holdfast-backup/holdfast/depot"
	"github.com/holdfast-backup/holdfast/depot/account"
	"github.com/holdfast-backup/holdfast/depot/actor"
	"github.com/holdfast-backup/holdfast/depot/catalog"
	"github.com/holdfast-backup/holdfast/depot/fleet"
	"github.com/holdfast-backup/holdfast/depot/notice"
	"github.com/holdfast-backup/holdfast/depot/pg/pgtest"
	"github.com/holdfast-backup/holdfast/depot/policy"
	"github.com/holdfast-backup/holdfast/depot/queue"
	"github.com/holdfast-backup/holdfast/depot/run"
	"github.com/holdfast-backup/holdfast/plan"
	"github.com/holdfast-backup/holdfast/wire/fault"
	"github.com/holdfast-backup/holdfast/wire/id"
	"github.com/holdfast-backup/holdfast/wire/pack"
)

// someone joins with a role and returns who that is.
func someone(t *testing.T, d *depot.Depot, email string, role actor.Role) actor.Actor {
	t.Helper()
	_, token, _, err := d.Accounts.Invite(t.Context(), actor.System(), account.InviteInput{Email: email, Name: "Ann", Role: role})
	if err != nil {
		t.Fatal(err)
	}
	l, err := d.Accounts.Join(t.Context(), account.JoinInput{
		Token: token, Name: "Ann", IdentityPublic: make([]byte, 1216),
		Keys:     account.Keys{Params: account.LoginParams{Salt: make([]byte, 16), Time: 3, Memory: 64 << 10, Threads: 4}, AuthKey: make([]byte, 32), Bundle: make([]byte, 64)},
		Recovery: account.Recovery{AuthKey: make([]byte, 32), Bundle: make([]byte, 64)},
	})
	if err != nil {
		t.Fatal(err)
	}
	a, err := d.Authenticate(t.Context(), l.Token)
	if err != nil {
		t.Fatal(err)
	}
	return a
}

func laptop(t *testing.T, d *depot.Depot, owner actor.Actor) actor.Actor {
	t.Helper()
	_, token, err := d.Fleet.Register(t.Context(), owner, fleet.RegisterInput{
		Name: "laptop", Hostname: "h", OS: "linux", Arch: "amd64", AgentVersion: "0.1.0", PublicKey: make([]byte, 1216), MAC: make([]byte, 32),
	})
	if err != nil {
		t.Fatal(err)
	}
	a, err := d.Authenticate(t.Context(), token)
	if err != nil {
		t.Fatal(err)
	}
	return a
}

// backUp makes a snapshot of one object, n, by policy, as an agent does.
func backUp(t *testing.T, d *depot.Depot, device actor.Actor, n byte) {
	t.Helper()
	ctx := t.Context()
	if _, err := d.Runs.StartByDevice(ctx, device); err != nil {
		t.Fatal(err)
	}
	work, err := d.Runs.Take(ctx, device)
	if err != nil || len(work.Runs) == 0 {
		t.Fatalf("%+v, %v", work, err)
	}
	b, err := d.Catalog.Begin(ctx, device, nil)
	if err != nil {
		t.Fatal(err)
	}
	node := id.Object{n, 1}
	w := pack.NewWriter(nil)
	w.AddNode(node, nil, nil, func(dst []byte) []byte { return append(dst, bytes.Repeat([]byte{n}, 100)...) })
	body, name := w.Finish()
	if _, err := d.Catalog.Upload(ctx, device, catalog.UploadInput{Backup: b.ID, Fence: b.Fence, Name: name, Size: int64(len(body))}, bytes.NewReader(body)); err != nil {
		t.Fatal(err)
	}
	sn, err := d.Catalog.Commit(ctx, device, catalog.CommitInput{Backup: b.ID, Fence: b.Fence, Root: node, Manifest: []byte("sealed"), Files: 1, Bytes: 100})
	if err != nil {
		t.Fatal(err)
	}
	var runs []id.Run
	for _, r := range work.Runs {
		runs = append(runs, r.ID)
	}
	_, err = d.Runs.End(ctx, device, run.EndInput{Runs: runs, Lease: work.Lease, Outcome: run.OutcomeSucceeded, Snapshot: &sn.ID})
	if err != nil {
		t.Fatal(err)
	}
}

// everyDay makes a policy for everybody's home.
func everyDay(t *testing.T, d *depot.Depot, admin actor.Actor, keep plan.Retention) id.Policy {
	t.Helper()
	p, err := d.Policies.Create(t.Context(), admin, policy.Input{
		Name: "every day", Enabled: true, Targets: policy.Targets{Everyone: true}, Roots: []string{"~"}, Zone: "UTC", Level: policy.Default,
		Schedule: plan.Schedule{Kind: plan.Daily, Times: []plan.Clock{120}}, Retention: keep,
	})
	if err != nil {
		t.Fatal(err)
	}
	return p.ID
}

// count returns how many snapshots somebody has.
func count(t *testing.T, d *depot.Depot, owner actor.Actor) int {
	t.Helper()
	page, err := d.Catalog.Snapshots(t.Context(), owner, catalog.SnapshotFilter{}, 100, "")
	if err != nil {
		t.Fatal(err)
	}
	return page.TotalCount
}

// waiting lists the tasks that wait for a worker. Other tests share the Redis.
func waiting(t *testing.T, d *depot.Depot) []queue.TaskInfo {
	t.Helper()
	tasks, err := d.Inspector.Tasks(t.Context(), actor.System(), queue.Pending, 1, queue.MaxTasks)
	if err != nil {
		t.Fatal(err)
	}
	return tasks
}

// TestRetainAndCollect: what no policy keeps goes, and what it took is given back; without a policy nothing goes.
func TestRetainAndCollect(t *testing.T) {
	t.Parallel()
	cfg := config(t)
	_, at, shift := pgtest.NewShifted(t)
	cfg.DatabaseURL = at
	d := open(t, cfg)
	ctx := t.Context()
	admin, ann := someone(t, d, "admin@example.org", actor.Admin), someone(t, d, "ann@example.org", actor.Staff)
	device := laptop(t, d, ann)
	first := everyDay(t, d, admin, plan.Retention{Last: 2})
	for n := range byte(4) {
		backUp(t, d, device, n+1)
	}
	if err := d.Policies.Delete(ctx, admin, first); err != nil {
		t.Fatal(err)
	}
	if err := d.RetainSnapshots(ctx); err != nil || count(t, d, ann) != 4 {
		t.Fatalf("without a policy: %d snapshots, %v", count(t, d, ann), err)
	}
	everyDay(t, d, admin, plan.Retention{Last: 2})
	if err := d.RetainSnapshots(ctx); err != nil || count(t, d, ann) != 2 {
		t.Fatalf("%d snapshots, %v", count(t, d, ann), err)
	}
	shift(8 * 24 * time.Hour) // nobody takes the deletions back
	due, err := d.Catalog.DueSpaces(ctx)
	if err != nil || len(due) != 1 {
		t.Fatalf("%v, %v", due, err)
	}
	if err := d.CollectSpaces(ctx); err != nil {
		t.Fatal(err)
	}
	if !slices.ContainsFunc(waiting(t, d), func(task queue.TaskInfo) bool {
		return task.Name == depot.TaskCollect && task.Payload == due[0].String()
	}) {
		t.Error("nobody was rung for the space")
	}
	if err := d.CollectSpace(ctx, due[0].String()); err != nil {
		t.Fatal(err)
	}
	page, err := d.Jobs(ctx, admin, "gc", 10, "")
	if err != nil || len(page.Entries) != 1 || page.Entries[0].OK == nil || !*page.Entries[0].OK {
		t.Errorf("%+v, %v", page, err)
	}
	u, err := d.Catalog.Usage(ctx, ann, ann.User)
	if err != nil || u.Objects != 2 {
		t.Errorf("%+v, %v", u, err)
	}
	// A space that is gone, or is being cleaned, is no failure; rubbish is.
	if err := d.CollectSpace(ctx, id.Space{}.New().String()); err != nil {
		t.Error(err)
	}
	if err := d.CollectSpace(ctx, "dev_1"); fault.KindOf(err) != fault.Invalid {
		t.Error(err)
	}
}

// TestAskedForCare: administrators can ask for care, of the kinds that there are.
func TestAskedForCare(t *testing.T) {
	t.Parallel()
	cfg := config(t)
	key, err := age.GenerateX25519Identity()
	if err != nil {
		t.Fatal(err)
	}
	cfg.Recipients = []age.Recipient{key.Recipient()}
	d := open(t, cfg)
	ctx := t.Context()
	admin, ann := someone(t, d, "admin@example.org", actor.Admin), someone(t, d, "ann@example.org", actor.Staff)
	everyDay(t, d, admin, plan.Retention{})
	backUp(t, d, laptop(t, d, ann), 1)
	for _, kind := range depot.CareKinds {
		if err := d.Care(ctx, admin, kind); err != nil {
			t.Errorf("%s: %v", kind, err)
		}
		if err := d.RunCare(ctx, kind); err != nil {
			t.Errorf("%s: %v", kind, err)
		}
	}
	for _, kind := range depot.CareKinds {
		if !slices.ContainsFunc(waiting(t, d), func(task queue.TaskInfo) bool { return task.Name == depot.TaskCare && task.Payload == kind }) {
			t.Errorf("nobody was rung for %s", kind)
		}
	}
	if at, err := d.SelfBackupAt(ctx); err != nil || at == nil {
		t.Errorf("copies: %v, %v", at, err)
	}
	if err := d.BackUpMetadata(ctx); err != nil { // not due
		t.Error(err)
	}
	if page, err := d.Jobs(ctx, admin, "selfbackup", 10, ""); err != nil || len(page.Entries) != 1 {
		t.Errorf("%+v, %v", page, err)
	}
	if err := d.Care(ctx, ann, "gc"); fault.KindOf(err) != fault.Forbidden {
		t.Error(err)
	}
	if err := d.Care(ctx, admin, "tea"); fault.KindOf(err) != fault.Invalid {
		t.Error(err)
	}
	if err := d.RunCare(ctx, "tea"); fault.KindOf(err) != fault.Invalid {
		t.Error(err)
	}
	cfg.RedisURL, cfg.Recipients = "", nil
	plain := open(t, cfg)
	if err := plain.Care(ctx, admin, "gc"); fault.KindOf(err) != fault.Unavailable {
		t.Errorf("without Redis: %v", err)
	}
	if err := plain.BackUpMetadata(ctx); err != nil {
		t.Errorf("without a recipient nothing is due: %v", err)
	}
	// Asked for by name, it cannot be done, and administrators are told once, until it can.
	for range 2 {
		if err := plain.RunCare(ctx, "selfbackup"); fault.KindOf(err) != fault.Conflict {
			t.Error(err)
		}
	}
	told := func() (n int) {
		page, err := d.Notices.List(ctx, admin, notice.Filter{}, 50, "")
		if err != nil {
			t.Fatal(err)
		}
		for _, x := range page.Notifications {
			if x.Kind == "care.failed" {
				n++
			}
		}
		return n
	}
	if n := told(); n != 1 {
		t.Errorf("told %d times", n)
	}
	if err := d.RunCare(ctx, "selfbackup"); err != nil {
		t.Error(err)
	}
	if err := plain.RunCare(ctx, "selfbackup"); err == nil || told() != 2 {
		t.Errorf("it was well meanwhile: %v, told %d times", err, told())
	}
}

// TestPeriodicCare: everything that the worker calls runs on a fresh installation, and twice at once.
func TestPeriodicCare(t *testing.T) {
	t.Parallel()
	d := open(t, config(t))
	admin, ann := someone(t, d, "admin@example.org", actor.Admin), someone(t, d, "ann@example.org", actor.Staff)
	device := laptop(t, d, ann)
	everyDay(t, d, admin, plan.Retention{Days: 30})
	backUp(t, d, device, 1)
	for name, do := range map[string]func(context.Context) error{
		"ExpireSessions": d.ExpireSessions, "SweepAccounts": d.SweepAccounts, "TickPolicies": d.TickPolicies, "TickSchedules": d.TickSchedules, "SweepRuns": d.SweepRuns,
		"PruneRuns": d.PruneRuns, "AlarmStale": d.AlarmStale, "RetainSnapshots": d.RetainSnapshots, "CollectSpaces": d.CollectSpaces,
		"ScrubPacks": d.ScrubPacks, "SampleStorage": d.SampleStorage, "BackUpMetadata": d.BackUpMetadata, "SendNotices": d.SendNotices,
		"SendDigests": d.SendDigests, "SweepNotices": d.SweepNotices, "CopyToReplicas": d.CopyToReplicas, "CheckReplicas": d.CheckReplicas,
	} {
		t.Run(name, func(t *testing.T) {
			var both sync.WaitGroup
			for range 2 {
				both.Go(func() {
					if err := do(t.Context()); err != nil {
						t.Error(err)
					}
				})
			}
			both.Wait()
		})
	}
	gauges, err := d.Gauges(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	seen := map[string]map[string]float64{}
	for _, g := range gauges {
		seen[g.Name] = g.Values
	}
	for name, want := range map[string]map[string]float64{
		"runs": {"succeeded": 1}, "devices": {"": 1}, "snapshots": {"": 1}, "backup_sessions": {"": 0}, "runs_overdue": {"": 0},
	} {
		for label, n := range want {
			if got, ok := seen[name][label]; !ok || got != n {
				t.Errorf("%s %q: %v, want %v", name, label, seen[name], n)
			}
		}
	}
	if seen["packs_bytes"]["sound"] == 0 || seen["last_backup_timestamp_seconds"][""] == 0 || seen["queue_tasks"] == nil {
		t.Errorf("%v", seen)
	}
}

// TestQuota: who has stored too much begins no backup, and is told what to do.
func TestQuota(t *testing.T) {
	t.Parallel()
	d := open(t, config(t))
	ctx := t.Context()
	admin, ann := someone(t, d, "admin@example.org", actor.Admin), someone(t, d, "ann@example.org", actor.Staff)
	device := laptop(t, d, ann)
	everyDay(t, d, admin, plan.Retention{})
	backUp(t, d, device, 1)
	one := int64(1)
	if err := d.Settings.SetQuota(ctx, admin, ann.User, &one); err != nil {
		t.Fatal(err)
	}
	if _, err := d.Catalog.Begin(ctx, device, nil); fault.KindOf(err) != fault.StorageFull || !strings.Contains(err.Error(), "quota") {
		t.Errorf("over the quota: %v", err)
	}
	if err := d.Settings.SetQuota(ctx, admin, ann.User, nil); err != nil {
		t.Fatal(err)
	}
	if _, err := d.Catalog.Begin(ctx, device, nil); err != nil {
		t.Error(err)
	}
}
