package server_test

import (
	"context"
	"encoding/json"
	"log/slog"
	"testing"
	"time"

	"github.com/coder/websocket"

	"github.com/holdfast-backup/holdfast/depot/actor"
	"github.com/holdfast-backup/holdfast/depot/blob/mem"
	"github.com/holdfast-backup/holdfast/depot/bus"
	"github.com/holdfast-backup/holdfast/depot/local"
	"github.com/holdfast-backup/holdfast/depot/pg/pgtest"
	"github.com/holdfast-backup/holdfast/depot/run"
	"github.com/holdfast-backup/holdfast/server"
	"github.com/holdfast-backup/holdfast/wire/fault"
	"github.com/holdfast-backup/holdfast/wire/id"
)

const (
	ringsQuery   = `subscription { rings { at } }`
	changesOf    = `subscription($fleet: Boolean!) { runChanges(fleet: $fleet) { id state cancelling progress { bytes } device { name owner { email } } snapshot { id } sealedReport } }`
	takeMutation = `mutation { takeWork { runs { id kind state attempts device { name } policy { name } askedBy { email } } lease ttl order lookAgain
		policy { selections { roots extensions } level uploadLimit policies { name } } } }`
	endMutation = `mutation($input: EndRunsInput!) { endRuns(input: $input) { runs { id state code text snapshot { id } causes { cause count } } } }`
)

// follow opens a subscription and returns its connection.
func (w *world) follow(token, query string, vars map[string]any) *socket {
	w.t.Helper()
	s, err := w.connect(token)
	w.ok(err)
	w.ok(s.subscribe("f", query, vars))
	return s
}

// next is the next event of a subscription with one root field.
func (s *socket) next() map[string]any {
	s.w.t.Helper()
	m, err := s.receive()
	s.w.ok(err)
	var r reply
	if m.Type != "next" || json.Unmarshal(m.Payload, &r) != nil || r.code() != "" {
		s.w.t.Fatalf("%s %s", m.Type, m.Payload)
	}
	for _, v := range r.Data {
		return v.(map[string]any)
	}
	return nil
}

// until reads runs until one is in a state; steps may be missed, but never that.
func (s *socket) until(state string) map[string]any {
	s.w.t.Helper()
	e := s.next()
	for ; e["state"] != state; e = s.next() {
	}
	return e
}

// fine sends an operation that must work, and returns what its one root field gave.
func (w *world) fine(token, query string, vars map[string]any) map[string]any {
	w.t.Helper()
	r := w.gql(token, query, vars)
	if r.code() != "" || len(r.Data) != 1 {
		w.t.Fatal(r.Raw)
	}
	for _, v := range r.Data {
		if m, ok := v.(map[string]any); ok {
			return m
		}
	}
	return r.Data
}

// TestRunOfABackup is a backup from the ring to the report, as an agent and the people who watch it see it.
func TestRunOfABackup(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	ada, boss := w.person("ada", actor.Staff), w.person("boss", actor.Admin)
	d := w.device(ada, "laptop")
	w.nightly(boss, "Office")

	rings := w.follow(d.Token, ringsQuery, nil)
	rings.next() // comes at once
	mine, all := w.follow(ada.Token, changesOf, map[string]any{"fleet": false}), w.follow(boss.Token, changesOf, map[string]any{"fleet": true})

	ordered := w.fine(ada.Token, `mutation($input: BackUpNowInput!) { backUpNow(input: $input) { run { id state trigger askedBy { email } } } }`, input("device", d.ID))
	if at(ordered, "run", "state") != "WAITING" || at(ordered, "run", "trigger") != "OWNER" || at(ordered, "run", "askedBy", "email") != ada.Email {
		t.Fatal(ordered)
	}
	n := at(ordered, "run", "id")
	rings.next()
	for _, s := range []*socket{mine, all} {
		if e := s.until("WAITING"); e["id"] != n || at(e, "device", "owner", "email") != ada.Email {
			t.Fatal(e)
		}
	}

	work := w.fine(d.Token, takeMutation, nil)
	if at(work, "runs", 0, "id") != n || at(work, "runs", 0, "state") != "RUNNING" || at(work, "ttl") != 180.0 || at(work, "order") != nil ||
		at(work, "policy", "selections", 0, "roots", 0) != "~documents" || at(work, "policy", "level") != "DEFAULT" || at(work, "policy", "policies", 0, "name") != "Office" {
		t.Fatal(work)
	}
	again := w.fine(d.Token, takeMutation, nil)
	if at(again, "runs", 0) != nil || at(again, "policy") != nil || at(again, "lookAgain").(float64) > 181 {
		t.Fatal("work was handed out twice:", again)
	}
	about := func(more ...any) map[string]any {
		return input(append([]any{"runs", []any{n}, "lease", work["lease"]}, more...)...)
	}
	const keep = `mutation($input: KeepRunsInput!) { keepRuns(input: $input) { cancel } }`
	if k := w.fine(d.Token, keep, about("phase", "upload", "bytes", 7)); k["cancel"] != false {
		t.Fatal(k)
	}
	for e := mine.until("RUNNING"); at(e, "progress", "bytes") != 7.0; e = mine.until("RUNNING") {
	}

	if r := w.gql(d.Token, endMutation, about("outcome", "SUCCEEDED")); r.code() != fault.Conflict {
		t.Fatal("without a snapshot:", r.Raw)
	}
	sn, _, _ := w.snapshot(d, 1000)
	ended := w.fine(d.Token, endMutation, about("outcome", "SUCCEEDED", "snapshot", sn.ID, "report", b64([]byte("sealed"))))
	if at(ended, "runs", 0, "state") != "SUCCEEDED" || at(ended, "runs", 0, "snapshot", "id") != sn.ID.String() {
		t.Fatal(ended)
	}
	if e := mine.until("SUCCEEDED"); at(e, "snapshot", "id") != sn.ID.String() || e["sealedReport"] != b64([]byte("sealed")) {
		t.Error("as the owner:", e)
	}
	if e := all.until("SUCCEEDED"); e["snapshot"] != nil || e["sealedReport"] != nil {
		t.Error("as an administrator:", e)
	}
	r := w.fine(ada.Token, `{ devices { health { state lastSuccessAt lastRun { id } nextDueAt staleDays } runs { id state } latestSnapshot { id } } }`, nil)
	dev := at(r, "devices", 0)
	if at(dev, "health", "state") != "GOOD" || at(dev, "health", "lastRun", "id") != n || at(dev, "health", "lastSuccessAt") == nil || at(dev, "runs", 0, "id") != n {
		t.Error(dev)
	}
	if due, err := time.Parse(time.RFC3339Nano, at(dev, "health", "nextDueAt").(string)); err != nil || due.UTC().Hour() != 2 {
		t.Error(due, err)
	}
	if s, err := w.catalog.Snapshot(context.Background(), ada.Actor, sn.ID); err != nil || !s.Scheduled {
		t.Error("the snapshot is not subject to retention", err)
	}
}

// TestRunOfARestore is a restore, and what a device may read for it, and no longer.
func TestRunOfARestore(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	ada := w.person("ada", actor.Staff)
	d := w.device(ada, "laptop")
	sn, name, chunk := w.snapshot(d, 1000)
	order := random(500)
	const ordering = `mutation($input: OrderRestoreInput!) { orderRestore(input: $input) { run { id kind snapshot { id } } } }`
	ordered := w.fine(ada.Token, ordering, input("device", d.ID, "snapshot", sn.ID, "order", b64(order)))
	if at(ordered, "run", "kind") != "RESTORE" || at(ordered, "run", "snapshot", "id") != sn.ID.String() {
		t.Fatal(ordered)
	}
	const locate = `mutation($input: RunObjectLocationsInput!) { runObjectLocations(input: $input) { packs { name url } } }`
	ask := func(lease any) *reply {
		return w.gql(d.Token, locate, input("run", at(ordered, "run", "id"), "lease", lease, "ids", b64(chunk[:])))
	}
	if r := ask(1); r.code() != fault.Conflict {
		t.Error("before it was taken:", r.Raw)
	}
	work := w.fine(d.Token, takeMutation, nil)
	if at(work, "order") != b64(order) || at(work, "policy") != nil || at(work, "runs", 0, "kind") != "RESTORE" {
		t.Fatal(work)
	}
	if r := ask(work["lease"]); at(r.Data, "runObjectLocations", "packs", 0, "name") != name.String() {
		t.Error(r.Raw)
	}
	if r := w.gql(d.Token, `query($input: ObjectLocationsInput!) { objectLocations(input: $input) { table } }`, input("ids", b64(chunk[:]))); r.code() != fault.Forbidden {
		t.Error("without the run:", r.Raw)
	}
	if r := ask(work["lease"].(float64) + 1); r.code() != fault.Conflict {
		t.Error("under another lease:", r.Raw)
	}
	ended := w.fine(d.Token, endMutation, input("runs", []any{at(ordered, "run", "id")}, "lease", work["lease"], "outcome", "SUCCEEDED", "files", 9,
		"causes", []any{map[string]any{"cause": "io", "count": 2}, map[string]any{"cause": "permission", "count": 5}}))
	if at(ended, "runs", 0, "state") != "WARNED" || at(ended, "runs", 0, "causes", 0, "cause") != "permission" || at(ended, "runs", 0, "causes", 0, "count") != 5.0 {
		t.Error(ended)
	}
	if r := ask(work["lease"]); r.code() != fault.Conflict {
		t.Error("after its end:", r.Raw)
	}
	for name, r := range map[string]*reply{
		"a wrong id of a run":      w.gql(d.Token, endMutation, input("runs", []any{d.ID}, "lease", 1, "outcome", "CANCELLED")),
		"a wrong id of a snapshot": w.gql(d.Token, endMutation, input("runs", []any{at(ordered, "run", "id")}, "lease", 1, "outcome", "CANCELLED", "snapshot", d.ID)),
		"half an object":           w.gql(d.Token, locate, input("run", at(ordered, "run", "id"), "lease", 1, "ids", b64(chunk[:7]))),
		"a wrong filter":           w.gql(ada.Token, `query($f: RunFilter) { runs(filter: $f) { totalCount } }`, map[string]any{"f": map[string]any{"group": d.ID}}),
		"a page of nothing":        w.gql(ada.Token, `{ runs(first: 0) { totalCount } }`, nil),
		"none of a device's runs":  w.gql(ada.Token, `{ devices { runs(first: 0) { id } } }`, nil),
	} {
		if r.code() != fault.Invalid {
			t.Errorf("%s: %s", name, r.Raw)
		}
	}
}

// TestRingsEnd with the device's token, and not with the bus.
func TestRingsEnd(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	ada := w.person("ada", actor.Staff)
	d := w.device(ada, "laptop")
	s := w.follow(d.Token, ringsQuery, nil)
	s.next()
	_, err := w.fleet.Revoke(context.Background(), ada.Actor, d.ID)
	w.ok(err)
	if code := s.closed(t); code != 4401 {
		t.Errorf("closed with %d", code)
	}
}

// TestRingsAfterRedis: what was rung while Redis was away is lost, so everybody is rung when it is back. Rings that come close together are few.
func TestRingsAfterRedis(t *testing.T) {
	t.Parallel()
	ctx := t.Context()
	dir := t.TempDir()
	start := func() *local.Local {
		t.Helper()
		l, err := local.Start(ctx, local.Config{Dir: dir, NoPostgres: true, Throwaway: true})
		if err != nil {
			t.Fatal(err)
		}
		return l
	}
	redis := start()
	client, err := bus.Connect(ctx, redis.RedisURL(), slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	hints := bus.New(client)
	t.Cleanup(func() { hints.Close(); client.Close() })
	w := newWorldOn(t, pgtest.New(t), mem.New(), func(c *server.Config) { c.API.Bus, c.API.Sweep = hints, 200*time.Millisecond })
	d := w.device(w.person("ada", actor.Staff), "laptop")
	alive := hints.Subscribe(ctx, run.RingTopic(d.ID)) // so that the test knows when rings arrive
	defer alive.Close()
	rings := w.follow(d.Token, ringsQuery, nil)
	rings.next()
	w.ok(alive.Live(ctx))
	redis.Close()
	redis = start()
	t.Cleanup(redis.Close)
	rings.next()

	for range 50 {
		hints.Publish(ctx, run.RingTopic(d.ID), nil)
	}
	rings.next()
	w.ok(rings.send(message{ID: "f", Type: "complete"}))
	w.ok(rings.subscribe("g", ringsQuery, nil))
	more := 0
	for m, err := rings.receive(); m.ID != "g"; m, err = rings.receive() {
		w.ok(err)
		more++
	}
	if more > 5 {
		t.Errorf("%d more rings for 50 hints at once", more)
	}
	hints.Close() // the clock goes on, and so does the subscription
	w.ok(rings.send(message{Type: "ping"}))
	for m, err := rings.receive(); m.Type != "pong"; m, err = rings.receive() {
		w.ok(err)
	}
}

// TestRunsWithoutHints has a server with a bus of its own change runs: only the sweep finds that.
func TestRunsWithoutHints(t *testing.T) {
	t.Parallel()
	ctx := context.Background()
	w := newWorldOn(t, pgtest.New(t), mem.New(), func(c *server.Config) { c.API.Sweep = 50 * time.Millisecond })
	ada, boss := w.person("ada", actor.Staff), w.person("boss", actor.Admin)
	d := w.device(ada, "laptop")
	w.nightly(boss, "Office")
	silent := run.New(run.Config{DB: w.db, Policies: w.policies})

	first, err := silent.BackUpNow(ctx, ada.Actor, d.ID)
	w.ok(err)
	s := w.follow(ada.Token, changesOf, map[string]any{"fleet": false})
	if e := s.next(); e["id"] != first.ID.String() { // what is open comes first
		t.Fatal(e)
	}
	end := func(o run.Outcome) {
		work, err := silent.Take(ctx, d.Actor)
		w.ok(err)
		_, err = silent.End(ctx, d.Actor, run.EndInput{Runs: []id.Run{work.Runs[0].ID}, Lease: work.Lease, Outcome: o, Code: "DISK_FULL"})
		w.ok(err)
	}
	end(run.OutcomeFailed)
	if e := s.until("FAILED"); e["id"] != first.ID.String() {
		t.Fatal(e)
	}
	// One that is made and over between two looks is found, too.
	second, err := silent.BackUpNow(ctx, ada.Actor, d.ID)
	w.ok(err)
	end(run.OutcomeCancelled)
	if e := s.until("CANCELLED"); e["id"] != second.ID.String() {
		t.Fatal(e)
	}
}

// TestSlowReaderOfRuns has more changes than anything between holds, and a reader who comes late. They miss steps, not the end.
func TestSlowReaderOfRuns(t *testing.T) {
	t.Parallel()
	ctx := context.Background()
	w := newWorld(t)
	ada, boss := w.person("ada", actor.Staff), w.person("boss", actor.Admin)
	d := w.device(ada, "laptop")
	w.nightly(boss, "Office")
	s := w.follow(ada.Token, changesOf, map[string]any{"fleet": false})
	_, err := w.runs.BackUpNow(ctx, ada.Actor, d.ID)
	w.ok(err)
	work, err := w.runs.Take(ctx, d.Actor)
	w.ok(err)
	in := run.KeepInput{Runs: []id.Run{work.Runs[0].ID}, Lease: work.Lease}
	for i := range 200 {
		in.Progress.Bytes = int64(i)
		_, err := w.runs.Keep(ctx, d.Actor, in)
		w.ok(err)
	}
	_, err = w.runs.End(ctx, d.Actor, run.EndInput{Runs: in.Runs, Lease: in.Lease, Outcome: run.OutcomeCancelled})
	w.ok(err)
	last := -1.0
	for e := s.next(); e["state"] != "CANCELLED"; e = s.next() {
		if n := at(e, "progress", "bytes").(float64); n < last {
			t.Errorf("%v after %v", n, last)
		} else {
			last = n
		}
	}
}

// TestDevicesDoNotTakeTheirOwnersConnections: a person with a hundred devices still has the web page.
func TestDevicesDoNotTakeTheirOwnersConnections(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	ada := w.person("ada", actor.Staff)
	for range 33 {
		w.follow(w.device(ada, "machine").Token, ringsQuery, nil).next()
	}
	w.follow(ada.Token, changesOf, map[string]any{"fleet": false})
	d := w.device(ada, "many")
	for range 4 {
		_, err := w.connect(d.Token)
		w.ok(err)
	}
	if _, err := w.connect(d.Token); websocket.CloseStatus(err) != 4429 {
		t.Error("connection 5 of one device:", err)
	}
}
