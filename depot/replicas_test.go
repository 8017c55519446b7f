package depot_test

import (
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/holdfast-backup/holdfast/depot"
	"github.com/holdfast-backup/holdfast/depot/actor"
	"github.com/holdfast-backup/holdfast/depot/notice"
	"github.com/holdfast-backup/holdfast/depot/pg/pgtest"
	"github.com/holdfast-backup/holdfast/depot/queue"
	"github.com/holdfast-backup/holdfast/plan"
	"github.com/holdfast-backup/holdfast/wire/fault"
)

// replicaNotices returns what an administrator is told of replicas.
func replicaNotices(t *testing.T, d *depot.Depot, admin actor.Actor) (texts []string) {
	t.Helper()
	page, err := d.Notices.List(t.Context(), admin, notice.Filter{}, 100, "")
	if err != nil {
		t.Fatal(err)
	}
	for _, n := range page.Notifications {
		if n.Kind == "replica.behind" {
			texts = append(texts, n.Body)
		}
	}
	return texts
}

// TestReplicas: a snapshot rings, the copy arrives, a replica that is away is told of once, and the doctor and the numbers know it.
func TestReplicas(t *testing.T) {
	t.Parallel()
	cfg := config(t)
	_, at, shift := pgtest.NewShifted(t)
	there := filepath.Join(t.TempDir(), "replica")
	cfg.DatabaseURL, cfg.Replicas = at, []string{"file://" + there}
	d := open(t, cfg)
	ctx := t.Context()
	admin, ann := someone(t, d, "admin@example.org", actor.Admin), someone(t, d, "ann@example.org", actor.Staff)
	everyDay(t, d, admin, plan.Retention{})
	device := laptop(t, d, ann)
	backUp(t, d, device, 1)
	for !slices.ContainsFunc(waiting(t, d), func(task queue.TaskInfo) bool { return task.Name == depot.TaskCopy }) {
		if ctx.Err() != nil {
			t.Fatal("nobody was rung")
		}
	}
	if err := d.CopyNow(ctx, "snapshot"); err != nil {
		t.Fatal(err)
	}
	states, err := d.Replicas.States(ctx, admin)
	if err != nil || len(states) != 1 || states[0].Packs != 1 || states[0].LagPacks != 0 || states[0].ReachedAt == nil {
		t.Fatalf("%+v, %v", states, err)
	}
	jobs := func(kind string) int {
		t.Helper()
		page, err := d.Jobs(ctx, admin, kind, 50, "")
		if err != nil {
			t.Fatal(err)
		}
		return len(page.Entries)
	}
	if n := jobs("replicate"); n != 1 {
		t.Errorf("%d jobs", n)
	}
	if err := d.CheckReplicas(ctx); err != nil {
		t.Fatal(err)
	}
	if err := d.CopyToReplicas(ctx); err != nil || jobs("replicate") != 1 || jobs("replica-check") != 1 {
		t.Errorf("%v, %d, %d", err, jobs("replicate"), jobs("replica-check"))
	}
	doctor := func() (texts []string) {
		t.Helper()
		checks, err := d.Doctor(ctx, admin)
		if err != nil {
			t.Fatal(err)
		}
		for _, c := range checks {
			if strings.HasPrefix(c.Name, "replica") {
				mark := "WRONG "
				if c.OK {
					mark = ""
				}
				texts = append(texts, mark+c.Text)
			}
		}
		return texts
	}
	if got := doctor(); len(got) != 1 || got[0] != "file://"+there+" has all 1 packs" {
		t.Errorf("%q", got)
	}

	// Away.
	if err := os.Rename(there, there+".away"); err != nil {
		t.Fatal(err)
	}
	cfg.Prepare = false
	d = open(t, cfg) // a process that has not seen it
	backUp(t, d, device, 2)
	if got := doctor(); len(got) != 1 || got[0] != "file://"+there+" has 1 packs and lacks 1" {
		t.Errorf("%q", got)
	}
	fails := func() {
		t.Helper()
		if err := d.CopyToReplicas(ctx); !errors.Is(err, fault.Unavailable) {
			t.Fatal(err)
		}
	}
	fails()
	if got := replicaNotices(t, d, admin); len(got) != 0 {
		t.Errorf("told at once: %q", got)
	}
	if err := d.CheckReplicas(ctx); !errors.Is(err, fault.Unavailable) {
		t.Error(err)
	}
	if err := d.CopyNow(ctx, "snapshot"); err != nil {
		t.Error(err)
	}
	shift(25 * time.Hour)
	fails()
	fails()
	if got := replicaNotices(t, d, admin); len(got) != 1 || !strings.HasPrefix(got[0], "The replica file://"+there+" has failed for 25 hours: ") {
		t.Errorf("%q", got)
	}
	if got := doctor(); len(got) != 1 || !strings.HasPrefix(got[0], "WRONG the replica file://"+there+" has failed for 25 hours: ") {
		t.Errorf("%q", got)
	}
	if got := gauges(t, d); got["replica_lag_packs"] != 1 || got["replica_lag_bytes"] == 0 || got["replica_failing"] != 1 || got["replica_last_success_timestamp_seconds"] == 0 {
		t.Errorf("%v", got)
	}

	// Back: and when it is away again, it is told again.
	if err := os.Rename(there+".away", there); err != nil {
		t.Fatal(err)
	}
	if err := d.CopyToReplicas(ctx); err != nil {
		t.Fatal(err)
	}
	if got := gauges(t, d); got["replica_lag_packs"] != 0 || got["replica_failing"] != 0 {
		t.Errorf("%v", got)
	}
	if got := doctor(); len(got) != 1 || got[0] != "file://"+there+" has all 2 packs" {
		t.Errorf("%q", got)
	}

	// No longer named: said by the doctor, told to nobody, forgotten.
	cfg.Replicas = nil
	d = open(t, cfg)
	shift(2 * time.Hour)
	if err := d.CopyToReplicas(ctx); err != nil {
		t.Fatal(err)
	}
	if got := doctor(); len(got) != 1 || !strings.Contains(got[0], "no worker's configuration") || len(replicaNotices(t, d, admin)) != 1 {
		t.Errorf("%q", got)
	}
	shift(8 * 24 * time.Hour)
	if err := d.CopyToReplicas(ctx); err != nil {
		t.Fatal(err)
	}
	if got := doctor(); len(got) != 1 || !strings.HasPrefix(got[0], "there is no replica of the store: ") {
		t.Errorf("%q", got)
	}
	cfg.Replicas = []string{cfg.StoreURL}
	if _, err := depot.Open(ctx, cfg); fault.KindOf(err) != fault.Invalid {
		t.Error(err)
	}
}

// gauges returns the numbers about the one replica.
func gauges(t *testing.T, d *depot.Depot) map[string]float64 {
	t.Helper()
	list, err := d.Gauges(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	found := map[string]float64{}
	for _, g := range list {
		for label, n := range g.Values {
			if strings.HasPrefix(g.Name, "replica_") && strings.HasPrefix(label, "file://") {
				found[g.Name] = n
			}
		}
	}
	return found
}
