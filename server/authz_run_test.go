package server_test

import (
	"context"

	"github.com/holdfast-backup/holdfast/depot/policy"
	"github.com/holdfast-backup/holdfast/depot/run"
	"github.com/holdfast-backup/holdfast/plan"
	"github.com/holdfast-backup/holdfast/wire/fault"
	"github.com/holdfast-backup/holdfast/wire/id"
)

// nightly makes a policy for everyone, by which every device has something to save.
func (w *world) nightly(by *person, name string) *policy.Policy {
	w.t.Helper()
	p, err := w.policies.Create(context.Background(), by.Actor, policy.Input{
		Name: name, Enabled: true, Targets: policy.Targets{Everyone: true}, Roots: []string{"~documents"},
		Schedule: plan.Schedule{Kind: plan.Daily, Times: []plan.Clock{120}}, Zone: "UTC", Level: policy.Default, Retention: plan.Retention{Days: 30},
	})
	w.ok(err)
	return p
}

// asked makes a backup run of a device that is due, by its owner, after everything else of the device is over.
func (c *cast) asked(p *person, d *device) *run.Run {
	c.t.Helper()
	ctx := context.Background()
	if list, err := c.policies.List(ctx, c.boss.Actor); err != nil || len(list) == 0 {
		c.ok(err)
		c.nightly(c.boss, "Everyone")
	}
	c.over(d)
	r, err := c.runs.BackUpNow(ctx, p.Actor, d.ID)
	c.ok(err)
	return r
}

// over ends all runs of a device, as if the sweep had.
func (c *cast) over(d *device) {
	c.t.Helper()
	_, err := c.db.Exec(`UPDATE runs SET state = 'cancelled', ended_at = now() WHERE device_id = $1 AND state IN ('waiting', 'running')`, d.ID)
	c.ok(err)
}

// restoring makes a restore run of ada's laptop that is under way.
func (c *cast) restoring() (*run.Work, id.Object) {
	c.t.Helper()
	sn, _, chunk := c.snapshot(c.laptop, 100)
	c.over(c.laptop)
	_, err := c.runs.OrderRestore(context.Background(), c.ada.Actor, c.laptop.ID, sn.ID, random(300))
	c.ok(err)
	return c.taken(), chunk
}

// taken is what the laptop has to do.
func (c *cast) taken() *run.Work {
	c.t.Helper()
	w, err := c.runs.Take(context.Background(), c.laptop.Actor)
	c.ok(err)
	if len(w.Runs) == 0 {
		c.t.Fatal("nothing to take")
	}
	return w
}

func oneRun(w *run.Work) []any { return []any{w.Runs[0].ID} }

// The rows about runs.
func init() {
	subscribe := func(query string) func(*cast, string, map[string]any) *reply {
		return func(c *cast, caller string, vars map[string]any) *reply {
			return c.subscribeOnce(c.tokens[caller], query, vars)
		}
	}
	const own, all = `subscription { runChanges { id state } }`, `subscription { runChanges(fleet: true) { id state } }`
	rows = append(rows,
		row{"Query.runs", `{ runs { edges { node { id state device { name } } } totalCount } }`, func(c *cast, _ string) map[string]any {
			c.asked(c.ada, c.laptop)
			return nil
		}, fill(nil, "reader"), nil},
		row{"Query.runs", `{ runs(fleet: true) { edges { node { id } } totalCount } } # of all`, noVars, fill(nil, "admin"), nil},
		row{"Query.run", `query($id: ID!) { run(id: $id) { id state device { name } } }`, func(c *cast, _ string) map[string]any {
			return map[string]any{"id": c.asked(c.ada, c.laptop).ID}
		}, fill(same(null, other), "reader"), nil},
		node("run", func(c *cast) any { return c.asked(c.ada, c.laptop).ID }, merge(same(null, other), same(allowed, recovery))),

		row{"Mutation.backUpNow", `mutation($input: BackUpNowInput!) { backUpNow(input: $input) { run { id } } }`, func(c *cast, _ string) map[string]any {
			c.asked(c.ada, c.laptop)
			c.over(c.laptop)
			return input("device", c.laptop.ID)
		}, fill(same(missing, other), "person"), nil},
		row{"Mutation.cancelRun", `mutation($input: CancelRunInput!) { cancelRun(input: $input) { run { state } } }`, func(c *cast, _ string) map[string]any {
			return input("id", c.asked(c.ada, c.laptop).ID)
		}, fill(same(missing, other), "person"), nil},
		row{"Mutation.orderRestore", `mutation($input: OrderRestoreInput!) { orderRestore(input: $input) { run { id } } }`, func(c *cast, _ string) map[string]any {
			sn, _, _ := c.snapshot(c.laptop, 100)
			c.over(c.laptop)
			return input("device", c.laptop.ID, "snapshot", sn.ID, "order", b64(random(300)))
		}, fill(same(missing, other, admin, super), "person"), nil},

		row{"Mutation.startBackup", `mutation { startBackup { run { id } } }`, func(c *cast, _ string) map[string]any {
			c.asked(c.ada, c.laptop)
			return nil
		}, fill(nil, "device"), nil},
		row{"Mutation.takeWork", `mutation { takeWork { runs { id } lease ttl order policy { level } lookAgain } }`, func(c *cast, _ string) map[string]any {
			c.asked(c.ada, c.laptop)
			return nil
		}, fill(nil, "device"), nil},
		row{"Mutation.keepRuns", `mutation($input: KeepRunsInput!) { keepRuns(input: $input) { cancel } }`, func(c *cast, _ string) map[string]any {
			c.asked(c.ada, c.laptop)
			w := c.taken()
			return input("runs", oneRun(w), "lease", w.Lease, "phase", "scan")
		}, fill(same(missing, otherDev), "device"), nil},
		row{"Mutation.endRuns", `mutation($input: EndRunsInput!) { endRuns(input: $input) { runs { state } } }`, func(c *cast, _ string) map[string]any {
			c.asked(c.ada, c.laptop)
			w := c.taken()
			return input("runs", oneRun(w), "lease", w.Lease, "outcome", "CANCELLED")
		}, fill(same(missing, otherDev), "device"), nil},
		row{"Mutation.runObjectLocations", `mutation($input: RunObjectLocationsInput!) { runObjectLocations(input: $input) { packs { url } } }`, func(c *cast, _ string) map[string]any {
			w, chunk := c.restoring()
			return input("run", w.Runs[0].ID, "lease", w.Lease, "ids", b64(chunk[:]))
		}, fill(same(string(fault.Conflict), otherDev), "device"), nil},

		row{"Subscription.rings", `subscription { rings { at } }`, noVars, fill(nil, "device"), subscribe(`subscription { rings { at } }`)},
		row{"Subscription.runChanges", own, func(c *cast, _ string) map[string]any {
			c.asked(c.ada, c.laptop)
			for _, p := range []*person{c.mallory, c.boss, c.root} { // so that everybody has something to hear of
				d := c.malloryBox
				if p != c.mallory {
					d = c.device(p, "desk")
				}
				c.asked(p, d)
			}
			return nil
		}, fill(nil, "reader"), subscribe(own)},
		row{"Subscription.runChanges", all + ` # of all`, func(c *cast, _ string) map[string]any {
			c.asked(c.ada, c.laptop)
			return nil
		}, fill(nil, "admin"), subscribe(all)},
	)
}
