package server_test

import (
	"context"
	"strings"
	"testing"

	"github.com/holdfast-backup/holdfast/depot/actor"
	"github.com/holdfast-backup/holdfast/depot/application"
	"github.com/holdfast-backup/holdfast/depot/catalog"
	"github.com/holdfast-backup/holdfast/depot/policy"
	"github.com/holdfast-backup/holdfast/plan"
	"github.com/holdfast-backup/holdfast/wire/fault"
)

// shop is an application of a device, with a database and media.
func (w *world) shop(d *device, name string) *application.Application {
	w.t.Helper()
	engine := application.Postgres
	app, err := w.apps.Register(context.Background(), d.Actor, application.RegisterInput{Name: name, Engine: &engine, MediaFolders: 1})
	w.ok(err)
	return app
}

// schedule makes a schedule of an application.
func (w *world) schedule(p *person, app *application.Application, name string) *application.Schedule {
	w.t.Helper()
	s, err := w.apps.CreateSchedule(context.Background(), p.Actor, app.ID, application.Input{
		Name: name, Enabled: true, Part: catalog.Full, Schedule: plan.Schedule{Kind: plan.Daily, Times: []plan.Clock{120}}, Zone: "UTC",
		Options: application.Options{Level: policy.Default}, Retention: plan.Retention{Days: 30},
	})
	w.ok(err)
	return s
}

// saved makes a snapshot of an application.
func (w *world) saved(d *device, app *application.Application, origin catalog.Origin) *catalog.Snapshot {
	w.t.Helper()
	sn, _, _ := w.snapshot(d, 100)
	_, err := w.db.Exec(`UPDATE snapshots SET application_id = $2, part = 'full', origin = $3 WHERE id = $1`, sn.ID, app.ID, origin)
	w.ok(err)
	return sn
}

// scheduleFields is a schedule as the API takes it.
func scheduleFields(name string) map[string]any {
	return map[string]any{
		"name": name, "schedule": map[string]any{"kind": "WEEKLY", "days": []any{"MONDAY"}, "times": []any{"02:00"}}, "zone": "Europe/Berlin", "retention": map[string]any{"days": 30},
	}
}

const registerApplication = `mutation($input: RegisterApplicationInput!) { registerApplication(input: $input) { application { id name } } }`

// The rows about applications.
func init() {
	shop := func(c *cast) *application.Application { return c.shop(c.laptop, fresh("Shop")) }
	aSchedule := func(c *cast) any { return c.schedule(c.ada, shop(c), "nightly").ID }
	ofShop := func(more ...any) func(*cast, string) map[string]any {
		return func(c *cast, _ string) map[string]any {
			return input(append([]any{"application", shop(c).ID}, more...)...)
		}
	}
	theirs := same(missing, other) // of everybody but its owner and administrators, as if it did not exist
	rows = append(rows,
		row{"Query.applications", `{ applications { id name device { name } stats { backups lastRun { id } trend { bytes } } schedules { id next } nextDueAt } }`, func(c *cast, _ string) map[string]any {
			shop(c)
			return nil
		}, fill(nil, "reader"), nil},
		row{"Query.applications", `{ applications(fleet: true) { id name device { name owner { name } } snapshots { totalCount } runs { totalCount } } } # of all`, func(c *cast, _ string) map[string]any {
			shop(c)
			return nil
		}, fill(nil, "admin"), nil},
		row{"Query.application", `query($id: ID!) { application(id: $id) { id name } }`, func(c *cast, _ string) map[string]any {
			return map[string]any{"id": shop(c).ID}
		}, fill(same(null, other), "reader"), nil},
		row{"Query.thisDeviceApplications", `query($ids: [ID!]!) { thisDeviceApplications(ids: $ids) { id name stats { lastSuccessAt lastRun { state } } nextDueAt } }`, func(c *cast, _ string) map[string]any {
			return map[string]any{"ids": []any{shop(c).ID}}
		}, fill(nil, "device"), nil},
		row{"Query.applicationSchedulePreview", `{ applicationSchedulePreview(schedule: {kind: DAILY, times: ["02:00"]}, zone: "UTC") { text next } }`, noVars, fill(nil, "reader"), nil},
		node("application", func(c *cast) any { return shop(c).ID }, merge(same(null, other), same(allowed, recovery))),
		node("schedule", aSchedule, merge(same(null, other), same(allowed, recovery))),

		row{"Mutation.registerApplication", registerApplication, func(*cast, string) map[string]any {
			return input("name", fresh("Shop"), "engine", "MYSQL", "mediaFolders", 2)
		}, fill(nil, "device"), nil},
		row{"Mutation.removeApplication", `mutation($input: RemoveApplicationInput!) { removeApplication(input: $input) { application { removedAt } } }`, func(c *cast, _ string) map[string]any {
			return input("id", shop(c).ID)
		}, fill(same(missing, otherDev), "device"), nil},
		row{"Mutation.updateApplication", `mutation($input: UpdateApplicationInput!) { updateApplication(input: $input) { application { keepSafety notify } } }`, func(c *cast, _ string) map[string]any {
			return input("id", shop(c).ID, "keepSafety", 3, "notify", "ALWAYS")
		}, fill(theirs, "person"), nil},
		row{"Mutation.backUpApplication", `mutation($input: BackUpApplicationInput!) { backUpApplication(input: $input) { run { id title } } }`, ofShop("part", "DATABASE", "title", "x"), fill(theirs, "person"), nil},
		row{"Mutation.testApplication", `mutation($input: TestApplicationInput!) { testApplication(input: $input) { run { id kind } } }`, ofShop(), fill(theirs, "person"), nil},
		row{"Mutation.restoreApplication", `mutation($input: RestoreApplicationInput!) { restoreApplication(input: $input) { run { id } } }`, func(c *cast, _ string) map[string]any {
			c.over(c.laptop)
			app := shop(c)
			return input("application", app.ID, "snapshot", c.saved(c.laptop, app, catalog.MadeByBackup).ID, "part", "MEDIA", "order", b64(random(300)))
		}, fill(same(missing, other, admin, super), "person"), nil},
		row{"Mutation.beginImport", `mutation($input: BeginImportInput!) { beginImport(input: $input) { token session { id fence } } }`, ofShop(), fill(same(missing, other, admin, super), "person"), nil},
		row{"Mutation.createApplicationSchedule", `mutation($input: CreateApplicationScheduleInput!) { createApplicationSchedule(input: $input) { schedule { id } } }`,
			ofShop("schedule", scheduleFields("weekly")), fill(theirs, "person"), nil},
		row{"Mutation.updateApplicationSchedule", `mutation($input: UpdateApplicationScheduleInput!) { updateApplicationSchedule(input: $input) { schedule { revision } } }`, func(c *cast, _ string) map[string]any {
			return input("id", aSchedule(c), "revision", 1, "schedule", scheduleFields("weekly"))
		}, fill(theirs, "person"), nil},
		row{"Mutation.enableApplicationSchedule", `mutation($input: EnableApplicationScheduleInput!) { enableApplicationSchedule(input: $input) { schedule { enabled } } }`, func(c *cast, _ string) map[string]any {
			return input("id", aSchedule(c), "enabled", false)
		}, fill(theirs, "person"), nil},
		row{"Mutation.deleteApplicationSchedule", `mutation($input: DeleteApplicationScheduleInput!) { deleteApplicationSchedule(input: $input) { id } }`, func(c *cast, _ string) map[string]any {
			return input("id", aSchedule(c))
		}, fill(theirs, "person"), nil},
	)
}

// TestImportTokenOpensNothingElse: with the token of an import every root field answers as to somebody who may not, and the fields of
// sessions answer for every other session as if there were none.
func TestImportTokenOpensNothingElse(t *testing.T) {
	t.Parallel()
	c := newCast(t)
	_, text, err := c.catalog.BeginImport(context.Background(), c.ada.Actor, c.shop(c.laptop, "Shop").ID)
	c.ok(err)
	const holder = "import"
	c.tokens[holder] = text
	s := schema(t)
	for _, r := range rows {
		root, name, _ := strings.Cut(r.field, ".")
		f := s.Types[root].Fields.ForName(name)
		if f.Directives.ForName("public") != nil {
			continue
		}
		want := forbidden
		if f.Directives.ForName("writer") != nil {
			want = missing
		}
		t.Run(r.name(), func(t *testing.T) {
			c.t = t
			vars := r.vars(c, holder)
			_, err := c.db.Exec(`UPDATE backups SET last_seen_at = clock_timestamp() WHERE import_token IS NOT NULL`) // however long this takes
			c.ok(err)
			before := c.dump()
			var got *reply
			if r.call != nil {
				got = r.call(c, holder, vars)
			} else {
				got = c.gql(text, r.query, vars)
			}
			if outcome := outcome(got); outcome != want {
				t.Errorf("%s, want %s\n%d %s", outcome, want, got.Status, got.Raw)
			}
			if after := c.dump(); after != before {
				t.Errorf("refused, but the database has changed:\n%s", difference(before, after))
			}
		})
	}
	// It is no way to a cookie's rights either: the bearer wins.
	r := c.gql(text, `{ me { id } }`, nil, header{"Cookie": "holdfast=" + c.ada.Token, "Holdfast-Request": "1", "Sec-Fetch-Site": "same-origin"})
	if r.code() != fault.Forbidden {
		t.Error(r.Raw)
	}
	if a, err := c.catalog.AuthenticateImport(context.Background(), text); err != nil || a.Require(actor.Staff) == nil {
		t.Error(a, err)
	}
}
