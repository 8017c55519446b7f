package run_test

import (
	"testing"
	"time"

	"github.com/holdfast-backup/holdfast/depot/actor"
	"github.com/holdfast-backup/holdfast/depot/policy"
	"github.com/holdfast-backup/holdfast/plan"
	"github.com/holdfast-backup/holdfast/wire/id"
)

// A slot belongs to the rule that held when it came: a policy that was due by night and is changed to every hour has no slots from before the change,
// although it was not due since; and whoever looks finds that it is looked after.
func TestRuleChanged(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	in := hourly("Office")
	in.Targets = policy.Targets{Devices: []id.Device{w.laptop.id}}
	in.Schedule = plan.Schedule{Kind: plan.Monthly, Times: []plan.Clock{120}, Dates: []int{w.now().AddDate(0, 0, 10).Day()}}
	p := w.policy(in)
	w.shift(5*time.Hour + 30*time.Minute)
	w.tick()
	if lag := get[float64](w, `SELECT extract(epoch FROM clock_timestamp() - ticked_at)::float8 FROM policies`); lag > 60 {
		t.Errorf("slots were last looked for %.0f s ago, says the policy, although they were just now", lag)
	}
	w.shift(5 * time.Hour)
	_, err := w.policies.Update(t.Context(), actor.System(), p.ID, p.Revision, hourly("Office"))
	w.ok(err)
	w.tick()
	if n := get[int](w, `SELECT count(*) FROM runs WHERE slot < clock_timestamp() - interval '1 minute'`); n != 0 {
		t.Errorf("%d runs of slots from before the change", n)
	}
}
