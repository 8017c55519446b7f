package server_test

import (
	"context"

	"github.com/jmoiron/sqlx"

	"github.com/holdfast-backup/holdfast/depot/carelog"
	"github.com/holdfast-backup/holdfast/depot/notice"
	"github.com/holdfast-backup/holdfast/depot/pg"
	"github.com/holdfast-backup/holdfast/wire/fault"
	"github.com/holdfast-backup/holdfast/wire/id"
)

// tell writes a notification and returns its id.
func (w *world) tell(p *person, kind, title string) id.Notice {
	w.t.Helper()
	ctx := context.Background()
	w.ok(pg.InTx(ctx, w.db, func(tx *sqlx.Tx) error {
		return notice.Write(ctx, tx, notice.Event{User: p.ID, Kind: kind, Title: title, Body: "Look."})
	}))
	page, err := w.notices.List(ctx, p.Actor, notice.Filter{}, 1, "")
	w.ok(err)
	return page.Notifications[0].ID
}

// testMail sends one to an administrator and returns its id.
func (c *cast) testMail() id.Mail {
	c.t.Helper()
	_, err := c.notices.SendTest(context.Background(), c.boss.Actor)
	c.ok(err)
	page, err := c.notices.Mails(context.Background(), c.boss.Actor, false, 1, "")
	c.ok(err)
	return page.Mails[0].ID
}

// task rings for something and returns the task's id.
func (c *cast) task() string {
	c.t.Helper()
	about := id.Job{}.New().String()
	c.ok(c.queue.Ring(context.Background(), "care", about))
	return "care:" + about
}

// The rows about telling people and about care. Marking somebody else's notifications is allowed and does nothing: see
// TestOthersNotifications.
func init() {
	onlyAdmins := same(null, other, owner, apiToken)
	rows = append(rows,
		row{"Query.notifications", `{ notifications { edges { node { id title } } unreadCount } }`, noVars, fill(nil, "reader"), nil},
		row{"Query.notificationPreferences", `{ notificationPreferences { kind mail } }`, noVars, fill(nil, "reader"), nil},
		row{"Mutation.markNotificationsRead", `mutation($input: MarkNotificationsReadInput!) { markNotificationsRead(input: $input) { unreadCount } }`, func(c *cast, _ string) map[string]any {
			return input("ids", []any{c.tell(c.ada, "run.failed", "failed")})
		}, fill(nil, "person"), nil},
		row{"Mutation.setNotificationPreferences", `mutation($input: SetNotificationPreferencesInput!) { setNotificationPreferences(input: $input) { preferences { kind } } }`, func(*cast, string) map[string]any {
			return input("preferences", []any{map[string]any{"kind": "run.failed", "mail": "NONE"}})
		}, fill(nil, "person"), nil},
		row{"Mutation.setNotificationPreferences", `mutation($input: SetNotificationPreferencesInput!) { setNotificationPreferences(input: $input) { preferences { kind } } } # of the installation`, func(*cast, string) map[string]any {
			return input("preferences", []any{map[string]any{"kind": "storage.low", "mail": "NONE"}})
		}, fill(same(invalid, owner, apiToken, other), "person"), nil},
		row{"Subscription.notificationChanges", changesQuery, noVars, fill(nil, "reader"), func(c *cast, caller string, vars map[string]any) *reply {
			return c.subscribeOnce(c.tokens[caller], changesQuery, vars)
		}},
		node("notification", func(c *cast) any { return c.tell(c.ada, "run.failed", "failed") }, merge(same(null, other, admin, super), same(allowed, recovery))),
		node("mail", func(c *cast) any { return c.testMail() }, onlyAdmins),
		node("job", func(c *cast) any {
			job, err := carelog.Begin(context.Background(), c.db, "gc", id.Space{})
			c.ok(err)
			return job
		}, onlyAdmins),

		row{"Query.jobs", `{ jobs { edges { node { id kind text report } } } }`, noVars, fill(nil, "admin"), nil},
		row{"Query.queue", `{ queue { pending dead workers { host } } }`, noVars, fill(nil, "admin"), nil},
		row{"Query.queueTasks", `{ queueTasks(state: PENDING) { id name subject } }`, noVars, fill(nil, "admin"), nil},
		row{"Query.doctor", `{ doctor { name ok text } }`, noVars, fill(nil, "admin"), nil},
		row{"Query.mails", `{ mails { edges { node { id address } } } }`, noVars, fill(nil, "admin"), nil},
		row{"Mutation.sendTestMail", `mutation { sendTestMail { address } }`, noVars, fill(nil, "admin"), nil},
		row{"Mutation.runCare", `mutation($input: RunCareInput!) { runCare(input: $input) { ok } }`, func(*cast, string) map[string]any { return input("kind", "gc") }, fill(nil, "admin"), nil},
		row{"Mutation.retryTask", `mutation($input: TaskInput!) { retryTask(input: $input) { id } }`, func(c *cast, _ string) map[string]any { return input("id", c.task()) }, fill(nil, "admin"), nil},
		row{"Mutation.deleteTask", `mutation($input: TaskInput!) { deleteTask(input: $input) { id } }`, func(c *cast, _ string) map[string]any {
			return input("id", c.task()) // it did not fail
		}, fill(same(string(fault.Conflict), admin, super), "admin"), nil},
	)
}
