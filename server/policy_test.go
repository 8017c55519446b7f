package server_test

import (
	"context"
	"database/sql"
	"encoding/json"
	"fmt"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jmoiron/sqlx"
	"github.com/lib/pq"

	"github.com/holdfast-backup/holdfast/depot/actor"
	"github.com/holdfast-backup/holdfast/depot/blob/mem"
	"github.com/holdfast-backup/holdfast/depot/pg/pgtest"
	"github.com/holdfast-backup/holdfast/depot/policy"
	"github.com/holdfast-backup/holdfast/graph"
	"github.com/holdfast-backup/holdfast/server"
	"github.com/holdfast-backup/holdfast/wire/fault"
	"github.com/holdfast-backup/holdfast/wire/id"
)

// says checks that a part of an answer is what JSON says.
func (w *world) says(r *reply, want string, path ...any) {
	w.t.Helper()
	if r.code() != "" {
		w.t.Fatal(r.Raw)
	}
	got, err := json.Marshal(at(r.Data, path...))
	w.ok(err)
	var v any
	w.ok(json.Unmarshal([]byte(want), &v))
	sorted, err := json.Marshal(v)
	w.ok(err)
	if string(got) != string(sorted) {
		w.t.Errorf("%s\nwant %s", got, sorted)
	}
}

// refused checks an error's code and words.
func (w *world) refused(r *reply, code fault.Kind, words string) {
	w.t.Helper()
	if r.code() != code || !strings.Contains(r.Raw, words) {
		w.t.Errorf("%s, want %s with %q", r.Raw, code, words)
	}
}

const policyFieldsQuery = `{ id name enabled revision targets { everyone groups { name memberCount members { email } } devices { name } exceptGroups { name } exceptDevices { name } }
	roots presets extensions excludePresets excludes maxFileSize schedule { kind times days dates cron text } zone window { from to } deadlineMinutes spreadMinutes
	uploadLimit level retention { days last daily weekly monthly yearly text } deviceCount }`

func TestPolicyRoundTrip(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	ada, bob, boss := w.person("ada", actor.Staff), w.person("bob", actor.Staff), w.person("boss", actor.Admin)
	laptop, desk := w.device(ada, "laptop"), w.device(ada, "desk")
	w.device(bob, "box")

	r := w.gql(boss.Token, `mutation($input: CreateGroupInput!) { createGroup(input: $input) { group { id name memberCount members { email } } } }`,
		input("name", "Staff", "members", []any{bob.ID, ada.ID}))
	group := at(r.Data, "createGroup", "group", "id")
	w.says(r, fmt.Sprintf(`{"id": %q, "name": "Staff", "memberCount": 2, "members": [{"email": %q}, {"email": %q}]}`, group, ada.Email, bob.Email), "createGroup", "group")
	empty := w.gql(boss.Token, `mutation($input: CreateGroupInput!) { createGroup(input: $input) { group { id members { email } } } }`, input("name", "Nobody"))
	w.says(empty, `[]`, "createGroup", "group", "members")

	full := map[string]any{
		"name": "Office", "enabled": true, "targets": map[string]any{"everyone": false, "groups": []any{group}, "devices": []any{laptop.ID},
			"exceptGroups": []any{at(empty.Data, "createGroup", "group", "id")}, "exceptDevices": []any{desk.ID}},
		"roots": []any{"~documents", `C:\Data`}, "presets": []any{"documents"}, "extensions": []any{"PSD"}, "excludePresets": []any{"caches"}, "excludes": []any{"*.iso"},
		"maxFileSize": 1 << 40, "schedule": map[string]any{"kind": "WEEKLY", "times": []any{"02:30"}, "days": []any{"MONDAY", "FRIDAY"}}, "zone": "Europe/Athens",
		"window": map[string]any{"from": "22:00", "to": "06:00"}, "deadlineMinutes": 600, "spreadMinutes": 30, "uploadLimit": 1 << 20, "level": "BETTER",
		"retention": map[string]any{"days": 1, "last": 2, "daily": 3, "weekly": 4, "monthly": 5, "yearly": 6},
	}
	r = w.gql(boss.Token, `mutation($input: PolicyInput!) { createPolicy(input: $input) { policy `+policyFieldsQuery+` } }`, map[string]any{"input": full})
	policy := at(r.Data, "createPolicy", "policy", "id")
	want := fmt.Sprintf(`{"id": %q, "name": "Office", "enabled": true, "revision": 1, "targets": {"everyone": false,
		"groups": [{"name": "Staff", "memberCount": 2, "members": [{"email": %q}, {"email": %q}]}], "devices": [{"name": "laptop"}], "exceptGroups": [{"name": "Nobody"}], "exceptDevices": [{"name": "desk"}]},
		"roots": ["~documents", "C:\\Data"], "presets": ["documents"], "extensions": [".psd"], "excludePresets": ["caches"], "excludes": ["*.iso"], "maxFileSize": 1099511627776,
		"schedule": {"kind": "WEEKLY", "times": ["02:30"], "days": ["MONDAY", "FRIDAY"], "dates": [], "cron": "", "text": "Mondays and Fridays at 02:30 (Europe/Athens)"},
		"zone": "Europe/Athens", "window": {"from": "22:00", "to": "06:00"}, "deadlineMinutes": 600, "spreadMinutes": 30, "uploadLimit": 1048576, "level": "BETTER",
		"retention": {"days": 1, "last": 2, "daily": 3, "weekly": 4, "monthly": 5, "yearly": 6, "text": "all of the last 24 hours, the last 2, 3 daily, 4 weekly, 5 monthly and 6 yearly"},
		"deviceCount": 2}`, policy, ada.Email, bob.Email)
	w.says(r, want, "createPolicy", "policy")
	r = w.gql(boss.Token, `query($id: ID!) { policy(id: $id) `+policyFieldsQuery+` node(id: $id) { __typename id } policies { next(count: 2) } }`, map[string]any{"id": policy})
	w.says(r, want, "policy")
	w.says(r, fmt.Sprintf(`{"__typename": "Policy", "id": %q}`, policy), "node")
	if next, _ := at(r.Data, "policies", 0, "next").([]any); len(next) != 2 {
		t.Errorf("%s", r.Raw)
	}
	w.says(w.gql(boss.Token, `query($id: ID!) { policy(id: $id) { id } }`, map[string]any{"id": id.Policy{}.New()}), `null`, "policy")
	w.says(w.gql(boss.Token, `{ filePresets { name } groups { name } }`, nil), `"everything"`, "filePresets", 0, "name")

	// What it comes to, for a device and for its owner.
	const effective = `effectivePolicy { policies { id name schedule { text } zone retention { text } } selections { policy roots extensions excludes maxFileSize } level uploadLimit next(count: 1) { at policy } }`
	r = w.gql(laptop.Token, `{ thisDevice { `+effective+` } }`, nil)
	if r.code() != "" {
		t.Fatal(r.Raw)
	}
	w.says(r, `"Office"`, "thisDevice", "effectivePolicy", "selections", 0, "policy")
	w.says(r, `"BETTER"`, "thisDevice", "effectivePolicy", "level")
	w.says(r, `"Office"`, "thisDevice", "effectivePolicy", "next", 0, "policy")
	w.says(r, `["C:\\Data", "~documents"]`, "thisDevice", "effectivePolicy", "selections", 0, "roots")
	r = w.gql(ada.Token, `{ me { groups { name } quota } devices { name `+effective+` } }`, nil)
	w.says(r, `{"groups": [{"name": "Staff"}], "quota": null}`, "me")
	w.says(r, `{"policies": [], "selections": [], "level": "DEFAULT", "uploadLimit": 0, "next": []}`, "devices", 0, "effectivePolicy") // the desk is excepted
	if at(r.Data, "devices", 1, "effectivePolicy", "policies", 0, "id") != policy {
		t.Error(r.Raw)
	}

	// Changes.
	full["name"], full["window"] = "Office 2", nil
	r = w.gql(boss.Token, `mutation($input: UpdatePolicyInput!) { updatePolicy(input: $input) { policy { name revision window { from } } } }`, input("id", policy, "revision", 1, "policy", full))
	w.says(r, `{"name": "Office 2", "revision": 2, "window": null}`, "updatePolicy", "policy")
	w.refused(w.gql(boss.Token, `mutation($input: UpdatePolicyInput!) { updatePolicy(input: $input) { policy { name } } }`, input("id", policy, "revision", 1, "policy", full)), fault.Conflict, "load it again")
	w.refused(w.gql(boss.Token, `mutation($input: DeleteGroupInput!) { deleteGroup(input: $input) { id } }`, input("id", id.Group{}.New())), fault.NotFound, "no such group")
	w.says(w.gql(boss.Token, `mutation($input: RunPolicyInput!) { runPolicy(input: $input) { runs } }`, input("id", policy)), `2`, "runPolicy", "runs")
	w.says(w.gql(boss.Token, `mutation($input: EnablePolicyInput!) { enablePolicy(input: $input) { policy { enabled next } } }`, input("id", policy, "enabled", false)), `{"enabled": false, "next": []}`, "enablePolicy", "policy")
	name := "Everybody"
	w.says(w.gql(boss.Token, `mutation($input: UpdateGroupInput!) { updateGroup(input: $input) { group { name memberCount } } }`, input("id", group, "name", name, "remove", []any{bob.ID})), `{"name": "Everybody", "memberCount": 1}`, "updateGroup", "group")
	w.says(w.gql(boss.Token, `mutation($input: DeleteGroupInput!) { deleteGroup(input: $input) { id } }`, input("id", group)), fmt.Sprintf("%q", group), "deleteGroup", "id")
	w.says(w.gql(boss.Token, `mutation($input: DeletePolicyInput!) { deletePolicy(input: $input) { id } }`, input("id", policy)), fmt.Sprintf("%q", policy), "deletePolicy", "id")
}

// Every id and every time of day that comes in is read, or refused as input.
func TestPolicyInput(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	c := &cast{world: w, boss: w.person("boss", actor.Admin)}
	c.ada = w.person("ada", actor.Staff)
	c.laptop = w.device(c.ada, "laptop")
	many := make([]any, 1001)
	for i := range many {
		many[i] = id.Device{}.New()
	}
	times := make([]any, 25)
	for i := range times {
		times[i] = "02:00"
	}
	targets := func(kind string, ids ...any) func(map[string]any) {
		return func(f map[string]any) { f["targets"] = map[string]any{kind: ids} }
	}
	for name, x := range map[string]struct {
		spoil func(map[string]any)
		code  fault.Kind
		words string
	}{
		"group":          {targets("groups", "x"), fault.Invalid, "want grp_"},
		"device":         {targets("devices", c.ada.ID), fault.Invalid, "want dev_"},
		"except group":   {targets("exceptGroups", "x"), fault.Invalid, "want grp_"},
		"except device":  {targets("exceptDevices", "x"), fault.Invalid, "want dev_"},
		"too many":       {targets("devices", many...), fault.TooLarge, "at most 1000"},
		"time":           {func(f map[string]any) { f["schedule"] = map[string]any{"kind": "DAILY", "times": []any{"2:00"}} }, fault.Invalid, "schedule.times"},
		"many times":     {func(f map[string]any) { f["schedule"] = map[string]any{"kind": "DAILY", "times": times} }, fault.Invalid, "from 1 to 24"},
		"window's begin": {func(f map[string]any) { f["window"] = map[string]any{"from": "24:00", "to": "01:00"} }, fault.Invalid, "window.from"},
		"window's end":   {func(f map[string]any) { f["window"] = map[string]any{"from": "01:00", "to": "x"} }, fault.Invalid, "window.to"},
		"name":           {func(f map[string]any) { f["name"] = "" }, fault.Invalid, "name: "},
	} {
		f := c.policyFields("p")
		x.spoil(f)
		r := w.gql(c.boss.Token, `mutation($input: PolicyInput!) { createPolicy(input: $input) { policy { id } } }`, map[string]any{"input": f})
		if r.code() != x.code || !strings.Contains(r.Raw, x.words) {
			t.Errorf("%s: %s", name, r.Raw)
		}
		r = w.gql(c.boss.Token, `mutation($input: UpdatePolicyInput!) { updatePolicy(input: $input) { policy { id } } }`, input("id", id.Policy{}.New(), "revision", 1, "policy", f))
		if r.code() != x.code && name != "name" || name == "name" && r.code() != fault.NotFound {
			t.Errorf("%s, as a change: %s", name, r.Raw)
		}
	}
	for query, in := range map[string]map[string]any{
		`query($id: ID!) { policy(id: $id) { id } }`:                                                            {"id": "x"},
		`query($id: ID!) { node(id: $id) { id } }`:                                                              {"id": "pol_x"},
		`query($id: ID!) { retentionPreview(device: $id, retention: {}, zone: "UTC") { keep } }`:                {"id": "x"},
		`query($id: ID!) { fleetDevices(group: $id) { totalCount } }`:                                           {"id": "x"},
		`query { fleetDevices(first: 0) { totalCount } }`:                                                       nil,
		`query { fleetDevices(after: "x") { totalCount } }`:                                                     nil,
		`query { storageReport(days: 0) { storedBytes } }`:                                                      nil,
		`query { myUsage(days: 801) { day } }`:                                                                  nil,
		`query { schedulePreview(schedule: {kind: DAILY, times: ["x"]}, zone: "UTC") { text } }`:                nil,
		`query { schedulePreview(schedule: {kind: DAILY, times: ["02:00"]}, zone: "UTC", count: 51) { text } }`: nil,
		`query { schedulePreview(schedule: {kind: DAILY}, zone: "UTC") { text } }`:                              nil,
		`query($input: RunReportInput!) { runReport(input: $input) { csv } }`:                                   input("from", "2026-01-02T00:00:00Z", "to", "2026-01-01T00:00:00Z", "by", "DAY"),
		`query($input: RunReportInput!) { runReport(input: $input) { csv } } # device`:                          input("from", "2026-01-01T00:00:00Z", "to", "2026-01-02T00:00:00Z", "by", "DAY", "device", "x"),
		`query($input: RunReportInput!) { runReport(input: $input) { csv } } # user`:                            input("from", "2026-01-01T00:00:00Z", "to", "2026-01-02T00:00:00Z", "by", "DAY", "user", "x"),
		`query($input: RunReportInput!) { runReport(input: $input) { csv } } # group`:                           input("from", "2026-01-01T00:00:00Z", "to", "2026-01-02T00:00:00Z", "by", "DAY", "group", "x"),
		`query($input: RunReportInput!) { runReport(input: $input) { csv } } # policy`:                          input("from", "2026-01-01T00:00:00Z", "to", "2026-01-02T00:00:00Z", "by", "DAY", "policy", "x"),
		`mutation($input: UpdatePolicyInput!) { updatePolicy(input: $input) { policy { id } } }`:                input("id", "x", "revision", 1, "policy", c.policyFields("p")),
		`mutation($input: EnablePolicyInput!) { enablePolicy(input: $input) { policy { id } } }`:                input("id", "x", "enabled", true),
		`mutation($input: DeletePolicyInput!) { deletePolicy(input: $input) { id } }`:                           input("id", "x"),
		`mutation($input: RunPolicyInput!) { runPolicy(input: $input) { runs } }`:                               input("id", "x"),
		`mutation($input: CreateGroupInput!) { createGroup(input: $input) { group { id } } }`:                   input("name", "g", "members", []any{"x"}),
		`mutation($input: UpdateGroupInput!) { updateGroup(input: $input) { group { id } } }`:                   input("id", "x"),
		`mutation($input: UpdateGroupInput!) { updateGroup(input: $input) { group { id } } } # add`:             input("id", id.Group{}.New(), "add", []any{"x"}),
		`mutation($input: UpdateGroupInput!) { updateGroup(input: $input) { group { id } } } # remove`:          input("id", id.Group{}.New(), "remove", []any{"x"}),
		`mutation($input: DeleteGroupInput!) { deleteGroup(input: $input) { id } }`:                             input("id", "x"),
		`mutation($input: SetQuotaInput!) { setQuota(input: $input) { user { id } } }`:                          input("user", "x"),
		`mutation($input: SetQuotaInput!) { setQuota(input: $input) { user { id } } } # negative`:               input("user", c.ada.ID, "quota", -1),
		`mutation($input: UpdateSettingsInput!) { updateSettings(input: $input) { settings { zone } } }`:        input("zone", "Mars"),
		`query($d: ID!) { retentionPreview(device: $d, retention: {days: -1}, zone: "UTC") { keep } }`:          {"d": c.laptop.ID},
		`query($d: ID!) { retentionPreview(device: $d, retention: {days: 1}, zone: "Mars") { keep } }`:          {"d": c.laptop.ID},
	} {
		if r := w.gql(c.boss.Token, query, in); r.code() != fault.Invalid {
			t.Errorf("%s: %s", query, r.Raw)
		}
	}
}

func TestPreviews(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	ada, boss := w.person("ada", actor.Staff), w.person("boss", actor.Admin)
	laptop := w.device(ada, "laptop")
	r := w.gql(boss.Token, `{ schedulePreview(schedule: {kind: MONTHLY, times: ["06:00"], dates: [1, 31]}, zone: "Europe/Athens", count: 3) { text next } }`, nil)
	w.says(r, `"on the 1st and the last day of the month at 06:00 (Europe/Athens)"`, "schedulePreview", "text")
	if next, _ := at(r.Data, "schedulePreview", "next").([]any); len(next) != 3 {
		t.Error(r.Raw)
	}
	var ids []any
	for range 3 {
		s, _, _ := w.snapshot(laptop, 100)
		ids = append(ids, s.ID)
	}
	if _, err := w.db.Exec(`UPDATE snapshots SET scheduled = true, created_at = created_at - interval '10 days' WHERE id <> $1`, ids[2]); err != nil {
		t.Fatal(err)
	}
	for _, token := range []string{ada.Token, boss.Token} {
		r = w.gql(token, `query($d: ID!) { retentionPreview(device: $d, retention: {last: 1}, zone: "UTC") { keep delete snapshots { snapshot files bytes keep reasons } } }`, map[string]any{"d": laptop.ID})
		w.says(r, fmt.Sprintf(`{"keep": 2, "delete": 1, "snapshots": [{"snapshot": %q, "files": 1, "bytes": 100, "keep": true, "reasons": ["manual"]},
			{"snapshot": %q, "files": 1, "bytes": 100, "keep": true, "reasons": ["newest", "newest-good", "last"]},
			{"snapshot": %q, "files": 1, "bytes": 100, "keep": false, "reasons": []}]}`, ids[2], ids[1], ids[0]), "retentionPreview")
	}
}

func TestReports(t *testing.T) {
	t.Parallel()
	yesterday := time.Date(2026, 1, 31, 3, 0, 0, 0, time.UTC)
	w := newWorldOn(t, pgtest.New(t), mem.New(), func(cfg *server.Config) {
		cfg.API.SelfBackup = func(context.Context) (*time.Time, error) { return &yesterday, nil }
	})
	ada, boss := w.person("ada", actor.Staff), w.person("boss", actor.Admin)
	laptop := w.device(ada, "laptop")
	w.snapshot(laptop, 100)
	run := id.Run{}.New()
	if _, err := w.db.Exec(`INSERT INTO runs (id, device_id, kind, trigger, state, due_at, deadline_at, ended_at) VALUES ($1, $2, 'backup', 'schedule', 'missed', now(), now(), now())`, run, laptop.ID); err != nil {
		t.Fatal(err)
	}
	now := time.Now().UTC()
	period := input("from", now.Add(-time.Hour).Format(time.RFC3339), "to", now.Add(time.Hour).Format(time.RFC3339), "by", "DEVICE", "user", ada.ID)
	r := w.gql(boss.Token, `query($input: RunReportInput!) { runReport(input: $input) { rows { key label missed successRate meanSeconds } total { label missed } csv } }`, period)
	w.says(r, fmt.Sprintf(`[{"key": %q, "label": "laptop (%s)", "missed": 1, "successRate": 0, "meanSeconds": null}]`, laptop.ID, ada.Email), "runReport", "rows")
	if csv, _ := at(r.Data, "runReport", "csv").(string); strings.Count(csv, "\r\n") != 3 || !strings.Contains(csv, ada.Email) {
		t.Error(r.Raw)
	}
	r = w.gql(boss.Token, `{ fleetOverview { devices bad recentFailures { id device { name } } stale { id } runsToday { missed } successRate }
		fleetDevices(search: "LAP", health: [BAD], first: 1) { totalCount pageInfo { hasNextPage endCursor } edges { cursor node { name owner { email } health { state staleDays lastRun { state } } } } } }`, nil)
	w.says(r, fmt.Sprintf(`{"devices": 1, "bad": 1, "recentFailures": [{"id": %q, "device": {"name": "laptop"}}], "stale": [], "runsToday": {"missed": 1}, "successRate": 0}`, run), "fleetOverview")
	w.says(r, fmt.Sprintf(`{"name": "laptop", "owner": {"email": %q}, "health": {"state": "BAD", "staleDays": 0, "lastRun": {"state": "MISSED"}}}`, ada.Email), "fleetDevices", "edges", 0, "node")
	if at(r.Data, "fleetDevices", "edges", 0, "cursor") != at(r.Data, "fleetDevices", "pageInfo", "endCursor") || at(r.Data, "fleetDevices", "totalCount") != 1. {
		t.Error(r.Raw)
	}
	r = w.gql(boss.Token, `query($after: String) { fleetDevices(after: $after) { totalCount edges { cursor } } }`, map[string]any{"after": at(r.Data, "fleetDevices", "pageInfo", "endCursor")})
	w.says(r, `{"totalCount": 1, "edges": []}`, "fleetDevices")

	r = w.gql(boss.Token, `{ storageReport { snapshots objects freeBytes fullAt growthPerDay days { day } spaces { user { email } quotaBytes } } }`, nil)
	w.says(r, fmt.Sprintf(`{"snapshots": 1, "objects": 2, "freeBytes": null, "fullAt": null, "growthPerDay": null, "days": [], "spaces": [{"user": {"email": %q}, "quotaBytes": null}]}`, ada.Email), "storageReport")
	r = w.gql(boss.Token, `mutation($input: SetQuotaInput!) { setQuota(input: $input) { user { email quota } } }`, input("user", ada.ID, "quota", 5000))
	w.says(r, fmt.Sprintf(`{"email": %q, "quota": 5000}`, ada.Email), "setQuota", "user")
	w.refused(w.gql(boss.Token, `mutation($input: SetQuotaInput!) { setQuota(input: $input) { user { email } } }`, input("user", id.User{}.New(), "quota", 5000)), fault.NotFound, "no such user")
	w.says(w.gql(ada.Token, `{ me { quota } myUsage { day } }`, nil), `{"quota": 5000}`, "me")
	w.says(w.gql(boss.Token, `{ storageReport { spaces { quotaBytes } } }`, nil), `[{"quotaBytes": 5000}]`, "storageReport", "spaces")

	// A space that nobody owns any more has no user.
	if _, err := w.db.Exec(`UPDATE spaces SET owner_id = NULL`); err != nil {
		t.Fatal(err)
	}
	w.says(w.gql(boss.Token, `{ storageReport { spaces { user { email } } } }`, nil), `[{"user": null}]`, "storageReport", "spaces")

	r = w.gql(boss.Token, `mutation { updateSettings(input: {staleDays: 3, adminDigest: NEVER, defaultQuota: 9000000000000}) { settings { staleDays adminDigest defaultQuota undoDays productName selfBackupConfigured selfBackupAt } } }`, nil)
	w.says(r, `{"staleDays": 3, "adminDigest": "NEVER", "defaultQuota": 9000000000000, "undoDays": 7, "productName": "Holdfast", "selfBackupConfigured": true, "selfBackupAt": "2026-01-31T03:00:00Z"}`, "updateSettings", "settings")
}

// Rows do not add to the statements of the main queries.
func TestPolicyStatements(t *testing.T) {
	t.Parallel()
	_, url := pgtest.NewURL(t)
	connector, err := pq.NewConnector(url)
	if err != nil {
		t.Fatal(err)
	}
	n := new(atomic.Int64)
	db := sqlx.NewDb(sql.OpenDB(counting{connector, n}), "postgres")
	t.Cleanup(func() { db.Close() })
	w := newWorldOn(t, db, mem.New(), func(cfg *server.Config) {
		cfg.API.Limits = graph.DefaultLimits
		cfg.API.Limits.Cost = 1 << 30
	})
	c := &cast{world: w, boss: w.person("boss", actor.Admin)}
	grow := func() {
		for range 4 {
			c.ada = w.person("ada", actor.Staff)
			c.laptop = w.device(c.ada, "laptop")
			p := c.nightly(c.boss, fresh("Nightly"))
			in := policy.Input{
				Name: fresh("Aimed"), Enabled: true, Roots: p.Roots, Schedule: p.Schedule, Zone: p.Zone, Level: p.Level,
				Targets: policy.Targets{Groups: []id.Group{c.staffGroup(), c.staffGroup()}, Devices: []id.Device{c.laptop.ID}, ExceptGroups: []id.Group{c.staffGroup()}},
			}
			_, err := w.policies.Create(t.Context(), c.boss.Actor, in)
			w.ok(err)
			if _, err := db.Exec(`INSERT INTO runs (id, device_id, kind, trigger, policy_id, state, due_at, deadline_at, ended_at)
				VALUES ($1, $2, 'backup', 'schedule', $3, 'failed', now(), now(), now())`, id.Run{}.New(), c.laptop.ID, p.ID); err != nil {
				t.Fatal(err)
			}
			w.snapshot(c.laptop, 10)
		}
	}
	queries := []struct {
		query string
		most  int64 // with one for who is asking
		first int64
	}{
		{`{ policies { name targets { groups { name members { email } } devices { name owner { email } } exceptGroups { id } exceptDevices { id } } next deviceCount } }`, 8, 0},
		{`{ groups { name memberCount members { email } } }`, 4, 0},
		{`{ users { edges { node { email groups { name } quota } } } }`, 5, 0},
		{`{ fleetDevices { totalCount edges { node { name owner { email } effectivePolicy { policies { name } } health { state lastRun { state } nextDueAt } } } } }`, 8, 0},
		{`{ fleetOverview { users recentFailures { id device { name } } stale { id } } }`, 8, 0},
		{`{ storageReport { storedBytes days { day } spaces { user { email } quotaBytes } } }`, 6, 0},
	}
	grow()
	for round := range 2 {
		for i := range queries {
			q := &queries[i]
			if r := w.gql(c.boss.Token, q.query, nil); r.code() != "" {
				t.Fatal(r.Raw)
			}
			got := least(n, func() { w.gql(c.boss.Token, q.query, nil) })
			t.Logf("%d: %s", got, q.query)
			if round == 0 {
				q.first = got
			}
			if got > q.first || got > q.most {
				t.Errorf("%d statements, with fewer rows it made %d; the limit is %d: %s", got, q.first, q.most, q.query)
			}
		}
		grow()
	}
}
