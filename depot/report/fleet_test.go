package report_test

import (
	"context"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/holdfast-backup/holdfast/depot/actor"
	"github.com/holdfast-backup/holdfast/depot/report"
	"github.com/holdfast-backup/holdfast/depot/run"
	"github.com/holdfast-backup/holdfast/depot/setting"
	"github.com/holdfast-backup/holdfast/wire/fault"
	"github.com/holdfast-backup/holdfast/wire/id"
)

// health asks the one place that decides how a device is doing.
type health struct {
	State     run.HealthState
	Success   *time.Time `db:"last_success_at"`
	LastRun   *id.Run    `db:"last_run_id"`
	StaleDays int        `db:"stale_days"`
}

func (w *world) health(d id.Device) health {
	w.t.Helper()
	var h health
	w.ok(w.db.Get(&h, `SELECT state, last_success_at, last_run_id, stale_days FROM device_health(7) WHERE device_id = $1`, d))
	return h
}

func TestHealth(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.exec(`UPDATE devices SET created_at = clock_timestamp() - interval '100 days'`)
	now, space := w.now(), w.space(&w.ann.User)
	ago := func(d time.Duration) time.Time { return now.Add(-d) }
	const hour, day = time.Hour, 24 * time.Hour
	for name, c := range map[string]struct {
		runs  []ran
		extra func(id.Device)
		state run.HealthState
		stale int
		last  int // index of the run that is shown; -1: none
	}{
		"nothing was due":              {nil, nil, run.HealthNew, 0, -1},
		"due for the first time":       {[]ran{{state: run.Waiting}}, nil, run.HealthWorking, 0, -1},
		"due later":                    {[]ran{{state: run.Waiting, at: now.Add(hour)}}, nil, run.HealthNew, 0, -1},
		"runs for the first time":      {[]ran{{state: run.Running}}, nil, run.HealthWorking, 0, 0},
		"succeeded":                    {[]ran{{state: run.Succeeded, at: ago(hour)}}, nil, run.HealthGood, 0, 0},
		"warned":                       {[]ran{{state: run.Warned, at: ago(hour)}}, nil, run.HealthWarning, 0, 0},
		"failed":                       {[]ran{{state: run.Succeeded, at: ago(3 * day)}, {state: run.Failed, at: ago(hour)}}, nil, run.HealthBad, 3, 1},
		"missed, never saved":          {[]ran{{state: run.Missed, at: ago(hour)}}, nil, run.HealthBad, 100, 0},
		"good after a failure":         {[]ran{{state: run.Failed, at: ago(2 * hour)}, {state: run.Succeeded, at: ago(hour)}}, nil, run.HealthGood, 0, 1},
		"cancelled says nothing":       {[]ran{{state: run.Succeeded, at: ago(2 * hour)}, {state: run.Cancelled, at: ago(hour)}}, nil, run.HealthGood, 0, 0},
		"cancelled only":               {[]ran{{state: run.Cancelled, at: ago(hour)}}, nil, run.HealthNew, 0, -1},
		"a restore says nothing":       {[]ran{{state: run.Succeeded, at: ago(2 * hour)}, {kind: run.Restore, state: run.Failed, at: ago(hour)}}, nil, run.HealthGood, 0, 0},
		"stale":                        {[]ran{{state: run.Succeeded, at: ago(7*day + hour)}}, nil, run.HealthBad, 7, 0},
		"nearly stale":                 {[]ran{{state: run.Warned, at: ago(7*day - hour)}}, nil, run.HealthWarning, 6, 0},
		"stale, and due again":         {[]ran{{state: run.Succeeded, at: ago(9 * day)}, {state: run.Waiting}}, nil, run.HealthBad, 9, 0},
		"failed, and due again":        {[]ran{{state: run.Succeeded, at: ago(day + hour)}, {state: run.Failed, at: ago(hour)}, {state: run.Waiting}}, nil, run.HealthBad, 1, 1},
		"failed, and at work again":    {[]ran{{state: run.Failed, at: ago(hour)}, {state: run.Running}}, nil, run.HealthWorking, 100, 1},
		"good, and due again":          {[]ran{{state: run.Succeeded, at: ago(day + hour)}, {state: run.Waiting}}, nil, run.HealthWorking, 1, 0},
		"revoked":                      {[]ran{{state: run.Running}}, func(d id.Device) { w.exec(`UPDATE devices SET revoked_at = now() WHERE id = $1`, d) }, run.HealthRevoked, 0, 0},
		"saved by hand":                {nil, func(d id.Device) { w.snapshot(space, d, ago(hour), 1, 0) }, run.HealthGood, 0, -1},
		"saved by hand, with problems": {nil, func(d id.Device) { w.snapshot(space, d, ago(2*day+hour), 1, 3) }, run.HealthWarning, 2, -1},
		"saved by hand, long ago":      {nil, func(d id.Device) { w.snapshot(space, d, ago(8*day), 1, 0) }, run.HealthBad, 8, -1},
		"by hand is not by policy":     {[]ran{{state: run.Missed, at: ago(hour)}}, func(d id.Device) { w.snapshot(space, d, ago(0), 1, 0) }, run.HealthBad, 100, 0},
		"saved by hand, and deleted": {nil, func(d id.Device) {
			w.exec(`UPDATE snapshots SET deleted_at = now(), purge_after = now() WHERE id = $1`, w.snapshot(space, d, ago(hour), 1, 0))
		}, run.HealthNew, 0, -1},
		"at work by hand": {nil, func(d id.Device) {
			w.exec(`INSERT INTO backups (id, space_id, device_id) VALUES (gen_random_uuid(), $1, $2)`, space, d)
		}, run.HealthWorking, 0, -1},
	} {
		d := w.device(w.ann, name)
		w.exec(`UPDATE devices SET created_at = clock_timestamp() - interval '100 days 1 hour' WHERE id = $1`, d)
		var ids []id.Run
		for _, r := range c.runs {
			r.device = d
			ids = append(ids, w.run(r))
		}
		if c.extra != nil {
			c.extra(d)
		}
		h := w.health(d)
		if h.State != c.state || h.StaleDays != c.stale {
			t.Errorf("%s: %s, %d days; want %s, %d", name, h.State, h.StaleDays, c.state, c.stale)
		}
		if c.last < 0 && h.LastRun != nil || c.last >= 0 && (h.LastRun == nil || *h.LastRun != ids[c.last]) {
			t.Errorf("%s: the last run is %v, want number %d of %v", name, h.LastRun, c.last, ids)
		}
	}
	// Time makes a device stale, by the database's clock.
	d := w.device(w.ann, "time")
	w.run(ran{device: d, state: run.Succeeded})
	if h := w.health(d); h.State != run.HealthGood || h.Success == nil {
		t.Errorf("%+v", h)
	}
	w.shift(7*24*time.Hour + time.Minute)
	if h := w.health(d); h.State != run.HealthBad || h.StaleDays != 7 {
		t.Errorf("%+v", h)
	}
}

func TestOverview(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	ctx := t.Context()
	_, err := w.settings.Update(ctx, w.boss, setting.Change{Zone: ptr("Pacific/Apia"), StaleDays: ptr(3)})
	w.ok(err)
	o, err := w.Overview(ctx, w.boss)
	w.ok(err)
	if o.Users != 3 || o.Devices != 3 || o.New != 3 || o.SuccessRate != nil || o.OpenRuns != 0 || len(o.RecentFailures)+len(o.Stale) != 0 {
		t.Errorf("%+v", o)
	}
	now := w.now()
	ago := func(d time.Duration) time.Time { return now.Add(-d) }
	w.exec(`UPDATE devices SET created_at = $1`, ago(10*24*time.Hour))
	sue := w.person("sue", actor.Staff)
	w.exec(`UPDATE users SET suspended_at = now() WHERE id = $1`, sue.User)
	w.exec(`UPDATE devices SET revoked_at = now() WHERE id = $1`, w.device(w.ann, "lost"))
	w.run(ran{device: w.laptop, state: run.Succeeded, at: ago(5 * 24 * time.Hour)})
	missed := w.run(ran{device: w.laptop, state: run.Missed, at: ago(time.Minute)})
	w.run(ran{device: w.laptop, state: run.Failed, at: ago(8 * 24 * time.Hour)}) // too long ago to be recent
	failed := w.run(ran{device: w.desk, kind: run.Restore, state: run.Failed, at: ago(2 * time.Minute)})
	w.run(ran{device: w.desk, state: run.Warned, at: ago(3 * time.Minute)})
	w.run(ran{device: w.desk, state: run.Cancelled, at: ago(3 * time.Minute)})
	w.run(ran{device: w.box, state: run.Running, at: ago(time.Minute)})
	w.run(ran{device: w.box, kind: run.Restore, state: run.Waiting})
	o, err = w.Overview(ctx, w.boss)
	w.ok(err)
	if o.Users != 3 || o.Devices != 3 || o.Good != 0 || o.Working != 1 || o.Warning != 1 || o.Bad != 1 || o.New != 0 || o.OpenRuns != 2 {
		t.Errorf("%+v", o)
	}
	if o.SuccessRate == nil || *o.SuccessRate != 0.5 {
		t.Errorf("%v", o.SuccessRate)
	}
	if !slices.Equal(o.RecentFailures, []id.Run{missed, failed}) || !slices.Equal(o.Stale, []id.Device{w.laptop}) {
		t.Errorf("%v, %v", o.RecentFailures, o.Stale)
	}
	apia, err := time.LoadLocation("Pacific/Apia")
	w.ok(err)
	if key := w.now().In(apia).Format(time.DateOnly); o.RunsToday.Key != key && now.In(apia).Format(time.DateOnly) != o.RunsToday.Key {
		t.Errorf("today is %s, want %s", o.RunsToday.Key, key)
	}
}

func ptr[T any](v T) *T { return &v }

// Today begins at midnight in the settings' zone.
func TestToday(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	zone, err := time.LoadLocation("Asia/Tokyo")
	w.ok(err)
	_, err = w.settings.Update(t.Context(), w.boss, setting.Change{Zone: ptr("Asia/Tokyo")})
	w.ok(err)
	local := w.now().In(zone)
	midnight := time.Date(local.Year(), local.Month(), local.Day()+1, 0, 0, 0, 0, zone)
	w.shift(midnight.Sub(local) + 30*time.Minute) // half past midnight, with room on both sides
	w.run(ran{device: w.laptop, state: run.Succeeded, at: midnight.Add(-time.Minute)})
	w.run(ran{device: w.laptop, state: run.Failed, at: midnight.Add(time.Minute)})
	o, err := w.Overview(t.Context(), w.boss)
	w.ok(err)
	if o.RunsToday.Failed != 1 || o.RunsToday.Succeeded != 0 || o.RunsToday.Key != midnight.Format(time.DateOnly) || *o.SuccessRate != 0.5 {
		t.Errorf("%+v, %v", o.RunsToday, *o.SuccessRate)
	}
}

func TestDevices(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	ctx := t.Context()
	w.run(ran{device: w.desk, state: run.Failed})
	w.run(ran{device: w.box, state: run.Succeeded})
	gone := w.device(w.bob, "gone_50%")
	w.exec(`UPDATE devices SET revoked_at = now() WHERE id = $1`, gone)
	alpha, zulu := w.device(w.bob, "alpha"), w.device(w.bob, "Zulu")
	w.run(ran{device: zulu, state: run.Warned})
	staff := w.group("Staff", w.ann)
	names := map[id.Device]string{w.laptop: "laptop", w.desk: "desk", w.box: "box", gone: "gone", alpha: "alpha", zulu: "zulu"}
	ask := func(f report.DeviceFilter, first int) string {
		t.Helper()
		var got []string
		for after := ""; ; {
			page, err := w.Devices(ctx, w.boss, f, first, after)
			w.ok(err)
			for _, d := range page.Devices {
				got = append(got, names[d.ID])
				after = d.Cursor
			}
			if len(page.Devices) > first || page.HasNext != (len(got) < page.TotalCount) {
				t.Errorf("%d devices, next: %v, of %d", len(page.Devices), page.HasNext, page.TotalCount)
			}
			if !page.HasNext {
				return strings.Join(got, " ")
			}
		}
	}
	for name, c := range map[string]struct {
		f    report.DeviceFilter
		want string
	}{
		"all":              {report.DeviceFilter{}, "desk zulu alpha laptop box gone"},
		"bad and good":     {report.DeviceFilter{Health: []run.HealthState{run.HealthGood, run.HealthBad}}, "desk box"},
		"by name":          {report.DeviceFilter{Search: "LAP"}, "laptop"},
		"by host":          {report.DeviceFilter{Search: "zulu.example.net"}, "zulu"},
		"by e-mail":        {report.DeviceFilter{Search: "ann@"}, "desk laptop"},
		"by owner's name":  {report.DeviceFilter{Search: "bob"}, "zulu alpha box gone"},
		"signs of LIKE":    {report.DeviceFilter{Search: "_50%"}, "gone"},
		"a lone %":         {report.DeviceFilter{Search: "%"}, "gone"},
		"nothing":          {report.DeviceFilter{Search: "nothing"}, ""},
		"a group":          {report.DeviceFilter{Group: &staff}, "desk laptop"},
		"a group's bad":    {report.DeviceFilter{Group: &staff, Health: []run.HealthState{run.HealthBad}}, "desk"},
		"an unknown group": {report.DeviceFilter{Group: &id.Group{1}}, ""},
	} {
		for _, first := range []int{1, 2, 200} {
			if got := ask(c.f, first); got != c.want {
				t.Errorf("%s, %d at a time: %q, want %q", name, first, got, c.want)
			}
		}
	}
	none, err := w.Devices(ctx, w.boss, report.DeviceFilter{}, 0, "")
	w.ok(err)
	if len(none.Devices) != 0 || !none.HasNext || none.TotalCount != 6 {
		t.Errorf("%+v", none)
	}
	for name, c := range map[string]struct {
		f     report.DeviceFilter
		first int
		after string
	}{
		"too many": {first: 201}, "negative": {first: -1}, "long search": {f: report.DeviceFilter{Search: strings.Repeat("x", 201)}, first: 1},
		"zero byte": {f: report.DeviceFilter{Search: "a\x00"}, first: 1}, "broken text": {f: report.DeviceFilter{Search: "\xff"}, first: 1},
		"no base64": {first: 1, after: "!"}, "short cursor": {first: 1, after: "AAAA"}, "cursor of a rank that is none": {first: 1, after: "_" + strings.Repeat("A", 30)},
		"cursor with a zero byte": {first: 1, after: strings.Repeat("A", 24)},
	} {
		_, err := w.Devices(ctx, w.boss, c.f, c.first, c.after)
		if fault.KindOf(err) != fault.Invalid {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestWhoReads(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	calls := func(ctx context.Context, a actor.Actor) map[string]error {
		_, overview := w.Overview(ctx, a)
		_, devices := w.Devices(ctx, a, report.DeviceFilter{}, 1, "")
		_, storage := w.Storage(ctx, a, 1)
		_, runs := w.Runs(ctx, a, report.Filter{From: day, To: hour(1), By: report.ByDay, Kind: run.Backup})
		return map[string]error{"Overview": overview, "Devices": devices, "Storage": storage, "Runs": runs}
	}
	recovery := actor.Actor{User: w.ann.User, Role: actor.Staff, ByRecovery: true}
	for name, c := range map[string]struct {
		a    actor.Actor
		kind fault.Kind
	}{
		"staff": {w.ann, fault.Forbidden}, "device": {actor.Actor{User: w.boss.User, Device: w.laptop}, fault.Forbidden}, "recovery": {recovery, fault.Forbidden},
		"nobody": {actor.Actor{}, fault.Unauthenticated},
	} {
		for call, err := range calls(t.Context(), c.a) {
			if err == nil || fault.KindOf(err) != c.kind {
				t.Errorf("%s as %s: %v", call, name, err)
			}
		}
	}
	for call, err := range calls(t.Context(), actor.System()) {
		if err != nil {
			t.Errorf("%s: %v", call, err)
		}
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	broken := calls(ctx, w.boss)
	_, broken["MyUsage"] = w.MyUsage(ctx, w.ann, 1)
	broken["Sample"], broken["WarnQuotas"] = w.Sample(ctx), w.WarnQuotas(ctx)
	for call, err := range broken {
		if err == nil {
			t.Errorf("%s without a database: no error", call)
		}
	}
	if _, err := w.MyUsage(t.Context(), recovery, 1); err != nil {
		t.Error(err)
	}
	for name, a := range map[string]actor.Actor{"device": {User: w.ann.User, Device: w.laptop}, "nobody": {}, "system": actor.System()} {
		if _, err := w.MyUsage(t.Context(), a, 1); err == nil {
			t.Errorf("%s has a usage", name)
		}
	}
}
