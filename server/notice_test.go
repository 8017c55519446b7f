package server_test

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"github.com/jmoiron/sqlx"

	"github.com/holdfast-backup/holdfast/depot/actor"
	"github.com/holdfast-backup/holdfast/depot/blob/mem"
	"github.com/holdfast-backup/holdfast/depot/carelog"
	"github.com/holdfast-backup/holdfast/depot/notice"
	"github.com/holdfast-backup/holdfast/depot/pg"
	"github.com/holdfast-backup/holdfast/depot/pg/pgtest"
	"github.com/holdfast-backup/holdfast/server"
	"github.com/holdfast-backup/holdfast/wire/id"
)

const changesQuery = `subscription { notificationChanges { unreadCount notification { id kind severity title body device { name } run { id } readAt } } }`

// told is the next event of notificationChanges, as "unread title".
func (s *socket) told(t *testing.T) string {
	t.Helper()
	m, err := s.receive()
	if err != nil {
		t.Fatal(err)
	}
	var r reply
	if m.Type != "next" || json.Unmarshal(m.Payload, &r) != nil || r.code() != "" {
		t.Fatalf("%s %s", m.Type, m.Payload)
	}
	title, _ := at(r.Data, "notificationChanges", "notification", "title").(string)
	return strings.TrimSpace(fmt.Sprint(at(r.Data, "notificationChanges", "unreadCount"), " ", title))
}

// Every open tab hears of what comes, in order, and of what is read elsewhere; nobody hears of another's.
func TestNotificationChanges(t *testing.T) {
	t.Parallel()
	ctx := context.Background()
	w := newWorld(t)
	ada, bob := w.person("ada", actor.Staff), w.person("bob", actor.Staff)
	w.tell(ada, "run.failed", "before")
	var tabs []*socket
	for _, p := range []*person{ada, ada, bob} {
		s, err := w.connect(p.Token)
		w.ok(err)
		w.ok(s.subscribe("a", changesQuery, nil))
		want := "1"
		if p == bob {
			want = "0"
		}
		if got := s.told(t); got != want {
			t.Fatalf("at first %q", got)
		}
		tabs = append(tabs, s)
	}
	w.device(ada, "laptop") // it rings by itself
	w.ok(pg.InTx(ctx, w.db, func(tx *sqlx.Tx) error {
		return notice.Write(ctx, tx, notice.Event{User: ada.ID, Kind: "run.failed", Title: "second"})
	}))
	w.bus.Publish(ctx, notice.Topic(ada.ID), nil)
	for i, s := range tabs[:2] {
		a, b := s.told(t), s.told(t)
		if a[1:] != " The device “laptop” was enrolled" || b != "3 second" {
			t.Errorf("tab %d: %q, %q", i, a, b)
		}
	}
	r := w.gql(ada.Token, `mutation { markNotificationsRead(input: {}) { unreadCount } }`, nil)
	if at(r.Data, "markNotificationsRead", "unreadCount") != 0.0 {
		t.Fatal(r.Raw)
	}
	for i, s := range tabs[:2] {
		if got := s.told(t); got != "0" {
			t.Errorf("tab %d: %q", i, got)
		}
	}
	w.tell(bob, "run.failed", "bob's")
	w.bus.Publish(ctx, notice.Topic(bob.ID), nil)
	if got := tabs[2].told(t); got != "1 bob's" {
		t.Errorf("bob hears %q", got)
	}
	w.ok(w.accounts.Logout(ctx, ada.Actor))
	for _, s := range tabs[:2] {
		if code := s.closed(t); code != 4401 {
			t.Errorf("closed with %d", code)
		}
	}
}

// What was never rung is found by the sweep.
func TestNotificationSweep(t *testing.T) {
	t.Parallel()
	w := newWorldOn(t, pgtest.New(t), mem.New(), func(c *server.Config) { c.API.Sweep = 50e6 })
	ada := w.person("ada", actor.Staff)
	s, err := w.connect(ada.Token)
	w.ok(err)
	w.ok(s.subscribe("a", changesQuery, nil))
	if got := s.told(t); got != "0" {
		t.Fatal(got)
	}
	w.tell(ada, "run.failed", "unrung")
	if got := s.told(t); got != "1 unrung" {
		t.Error(got)
	}
}

func TestOthersNotifications(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	ada, bob := w.person("ada", actor.Staff), w.person("bob", actor.Admin)
	n := w.tell(ada, "run.failed", "ada's")
	r := w.gql(bob.Token, `mutation($ids: [ID!]) { markNotificationsRead(input: {ids: $ids}) { unreadCount } }`, map[string]any{"ids": []any{n}})
	if at(r.Data, "markNotificationsRead", "unreadCount") != 0.0 {
		t.Error(r.Raw)
	}
	r = w.gql(ada.Token, `{ notifications(unreadOnly: true, severities: [ERROR], first: 1) { unreadCount pageInfo { hasNextPage } edges { cursor node { id title device { id } run { id } } } } }`, nil)
	if at(r.Data, "notifications", "unreadCount") != 1.0 || at(r.Data, "notifications", "edges", 0, "node", "id") != n.String() {
		t.Error("another's was marked:", r.Raw)
	}
	r = w.gql(ada.Token, `mutation { markNotificationsRead(input: {ids: ["dev_x"]}) { unreadCount } }`, nil)
	if r.code() != "BAD_INPUT" {
		t.Error(r.Raw)
	}
}

func TestJobs(t *testing.T) {
	t.Parallel()
	ctx := context.Background()
	w := newWorld(t)
	boss := w.person("boss", actor.Admin)
	for i := range 3 {
		job, err := carelog.Begin(ctx, w.db, "gc", id.Space{})
		w.ok(err)
		if i > 0 {
			w.ok(carelog.End(ctx, w.db, job, map[string]int{"packs": i}, nil))
		}
	}
	_, err := carelog.Begin(ctx, w.db, "scrub", id.Space{})
	w.ok(err)
	const q = `query($after: String) { jobs(kind: "gc", first: 2, after: $after) { edges { cursor node { kind ok text report } } pageInfo { hasNextPage endCursor } } }`
	r := w.gql(boss.Token, q, nil)
	if at(r.Data, "jobs", "edges", 0, "node", "report") != `{"packs": 2}` || at(r.Data, "jobs", "edges", 0, "node", "ok") != true || at(r.Data, "jobs", "pageInfo", "hasNextPage") != true {
		t.Error(r.Raw)
	}
	r = w.gql(boss.Token, q, map[string]any{"after": at(r.Data, "jobs", "pageInfo", "endCursor")})
	if at(r.Data, "jobs", "edges", 0, "node", "text") != "It is under way." || at(r.Data, "jobs", "edges", 0, "node", "report") != "{}" || at(r.Data, "jobs", "edges", 1) != nil {
		t.Error(r.Raw)
	}
}

// Without a Redis there is no queue to look into, and everything else goes on.
func TestQueueAway(t *testing.T) {
	t.Parallel()
	w := newWorldOn(t, pgtest.New(t), mem.New(), func(c *server.Config) { c.API.Queue = nil })
	boss := w.person("boss", actor.Admin)
	if r := w.gql(boss.Token, `{ queue { pending } mails { edges { cursor } } }`, nil); r.code() != "" || at(r.Data, "queue") != nil || at(r.Data, "mails") == nil {
		t.Error(r.Raw)
	}
	for _, q := range []string{
		`{ queueTasks(state: ARCHIVED) { id } }`, `mutation { retryTask(input: {id: "x"}) { id } }`, `mutation { deleteTask(input: {id: "x"}) { id } }`,
	} {
		if r := w.gql(boss.Token, q, nil); r.code() != "UNAVAILABLE" {
			t.Error(r.Raw)
		}
	}
}
