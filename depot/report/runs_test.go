package report_test

import (
	"encoding/csv"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/holdfast-backup/holdfast/depot/actor"
	"github.com/holdfast-backup/holdfast/depot/report"
	"github.com/holdfast-backup/holdfast/depot/run"
	"github.com/holdfast-backup/holdfast/wire/fault"
	"github.com/holdfast-backup/holdfast/wire/id"
)

// line writes a row shortly: label: succeeded/warned/failed/missed/cancelled/open rate files bytes uploaded seconds.
func line(r *report.Row) string {
	part := func(f *float64) string {
		if f == nil {
			return "-"
		}
		return fmt.Sprintf("%.2f", *f)
	}
	return fmt.Sprintf("%s: %d/%d/%d/%d/%d/%d %s %d %d %d %s", r.Label, r.Succeeded, r.Warned, r.Failed, r.Missed, r.Cancelled, r.Open,
		part(r.SuccessRate), r.Files, r.Bytes, r.UploadedBytes, part(r.MeanSeconds))
}

func lines(r *report.Runs) string {
	var list []string
	for _, row := range append(append([]*report.Row{}, r.Rows...), r.Total) {
		list = append(list, line(row))
	}
	return strings.Join(list, "\n")
}

var day = time.Date(2026, 3, 10, 0, 0, 0, 0, time.UTC)

func hour(h int) time.Time { return day.Add(time.Duration(h) * time.Hour) }

func TestRuns(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	ctx := t.Context()
	nightly, weekly := w.policy("Nightly"), w.policy("Weekly")
	staff := w.group("Staff", w.ann)
	w.group("Labs", w.ann)
	both := id.Snapshot{}.New()
	w.run(ran{device: w.laptop, state: run.Succeeded, at: hour(1), minutes: 10, policy: nightly, snapshot: &both, files: 5, bytes: 100, uploaded: 7})
	w.run(ran{device: w.laptop, state: run.Succeeded, at: hour(1), minutes: 10, policy: weekly, snapshot: &both, files: 5, bytes: 100, uploaded: 7}) // by the same backup
	w.run(ran{device: w.desk, state: run.Warned, at: hour(2), minutes: 20, policy: nightly, files: 1, bytes: 10, uploaded: 3})
	w.run(ran{device: w.desk, state: run.Failed, at: hour(3), minutes: 1, policy: nightly, files: 9, bytes: 90, uploaded: 2}) // what a failed one saw is no result
	w.run(ran{device: w.box, state: run.Missed, at: hour(30), policy: nightly})
	w.run(ran{device: w.box, state: run.Cancelled, at: hour(30), uploaded: 1})
	w.run(ran{device: w.box, state: run.Waiting, at: hour(31), policy: nightly})
	w.run(ran{device: w.box, state: run.Running, at: hour(31), policy: nightly, uploaded: 4})
	slot := hour(2)
	w.run(ran{device: w.box, state: run.Missed, at: hour(200), slot: &slot, policy: nightly}) // written late
	w.run(ran{device: w.box, kind: run.Restore, state: run.Succeeded, at: hour(5), minutes: 1, snapshot: &both, files: 2, bytes: 20})
	w.run(ran{device: w.box, kind: run.Restore, state: run.Succeeded, at: hour(6), minutes: 1, snapshot: &both, files: 2, bytes: 20}) // another restore of it
	w.run(ran{device: w.box, state: run.Failed, at: hour(72)})                                                                        // on the first instant after the period
	w.run(ran{device: w.box, state: run.Failed, at: hour(-1)})

	all := report.Filter{From: day, To: hour(72), By: report.ByDay, Kind: run.Backup}
	with := func(adjust func(*report.Filter)) report.Filter {
		f := all
		adjust(&f)
		return f
	}
	const total = "\nTotal: 2/1/1/2/1/2 0.50 6 110 17 800.00"
	for name, c := range map[string]struct {
		f    report.Filter
		want string
	}{
		"by day": {all, "2026-03-10: 2/1/1/1/0/0 0.60 6 110 12 800.00\n2026-03-11: 0/0/0/1/1/2 0.00 0 0 5 -\n2026-03-12: 0/0/0/0/0/0 - 0 0 0 -" + total},
		"by days of Apia": {with(func(f *report.Filter) { f.Zone = "Pacific/Apia"; f.To = hour(24) }), // 13 hours ahead
			"2026-03-10: 2/1/1/1/0/0 0.60 6 110 12 800.00\n2026-03-11: 0/0/0/0/0/0 - 0 0 0 -\nTotal: 2/1/1/1/0/0 0.60 6 110 12 800.00"},
		"by policy": {with(func(f *report.Filter) { f.By = report.ByPolicy }),
			"(no policy): 0/0/0/0/1/0 - 0 0 1 -\nNightly: 1/1/1/2/0/2 0.40 6 110 16 900.00\nWeekly: 1/0/0/0/0/0 1.00 5 100 7 600.00" + total},
		"by group": {with(func(f *report.Filter) { f.By = report.ByGroup }),
			"(no group): 0/0/0/2/1/2 0.00 0 0 5 -\nLabs: 2/1/1/0/0/0 0.75 6 110 12 800.00\nStaff: 2/1/1/0/0/0 0.75 6 110 12 800.00" + total},
		"by user": {with(func(f *report.Filter) { f.By = report.ByUser }),
			"ann <ann@example.org>: 2/1/1/0/0/0 0.75 6 110 12 800.00\nbob <bob@example.org>: 0/0/0/2/1/2 0.00 0 0 5 -" + total},
		"by device": {with(func(f *report.Filter) { f.By = report.ByDevice }),
			"box (bob@example.org): 0/0/0/2/1/2 0.00 0 0 5 -\ndesk (ann@example.org): 0/1/1/0/0/0 0.50 1 10 5 1200.00\nlaptop (ann@example.org): 2/0/0/0/0/0 1.00 5 100 7 600.00" + total},
		"restores": {with(func(f *report.Filter) { f.Kind, f.By = run.Restore, report.ByUser }),
			"bob <bob@example.org>: 2/0/0/0/0/0 1.00 4 40 0 60.00\nTotal: 2/0/0/0/0/0 1.00 4 40 0 60.00"},
		"of a device": {with(func(f *report.Filter) { f.By, f.Device = report.ByUser, &w.desk }),
			"ann <ann@example.org>: 0/1/1/0/0/0 0.50 1 10 5 1200.00\nTotal: 0/1/1/0/0/0 0.50 1 10 5 1200.00"},
		"of a user": {with(func(f *report.Filter) { f.By, f.User = report.ByPolicy, &w.bob.User }),
			"(no policy): 0/0/0/0/1/0 - 0 0 1 -\nNightly: 0/0/0/2/0/2 0.00 0 0 4 -\nTotal: 0/0/0/2/1/2 0.00 0 0 5 -"},
		"of a group": {with(func(f *report.Filter) { f.By, f.Group = report.ByUser, &staff }),
			"ann <ann@example.org>: 2/1/1/0/0/0 0.75 6 110 12 800.00\nTotal: 2/1/1/0/0/0 0.75 6 110 12 800.00"},
		"of a policy": {with(func(f *report.Filter) { f.By, f.Policy = report.ByPolicy, weekly }),
			"Weekly: 1/0/0/0/0/0 1.00 5 100 7 600.00\nTotal: 1/0/0/0/0/0 1.00 5 100 7 600.00"},
		"of nothing": {with(func(f *report.Filter) { f.By, f.Policy = report.ByPolicy, &id.Policy{9} }), "Total: 0/0/0/0/0/0 - 0 0 0 -"},
	} {
		r, err := w.Runs(ctx, w.boss, c.f)
		w.ok(err)
		if got := lines(r); got != c.want {
			t.Errorf("%s:\n%s\nwant\n%s", name, got, c.want)
		}
	}

	// Keys are ids as the API has them.
	for by, want := range map[report.By][]string{
		report.ByPolicy: {"", nightly.String(), weekly.String()}, report.ByUser: {w.ann.User.String(), w.bob.User.String()},
		report.ByDevice: {w.box.String(), w.desk.String(), w.laptop.String()}, report.ByDay: {"2026-03-10", "2026-03-11", "2026-03-12"},
	} {
		r, err := w.Runs(ctx, w.boss, with(func(f *report.Filter) { f.By = by }))
		w.ok(err)
		var got []string
		for _, row := range r.Rows {
			got = append(got, row.Key)
		}
		if fmt.Sprint(got) != fmt.Sprint(want) {
			t.Errorf("by %s: %q, want %q", by, got, want)
		}
	}
}

// What one backup did counts once in each row and once in the total, whichever of its runs the report is about.
func TestSharedWork(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	nightly, weekly := w.policy("Nightly"), w.policy("Weekly")
	one, two := id.Snapshot{}.New(), id.Snapshot{}.New()
	good := ran{device: w.laptop, state: run.Succeeded, minutes: 10, files: 5, bytes: 100, uploaded: 7}
	with := func(at time.Time, p *id.Policy, s *id.Snapshot) {
		r := good
		r.at, r.policy, r.snapshot = at, p, s
		w.run(r)
	}
	with(hour(1), nightly, &one)
	with(hour(2), nightly, &one) // two slots of one policy, after a sleep
	with(hour(2), weekly, &one)
	with(hour(-1), weekly, &one) // a slot before the period
	with(hour(3), nightly, &two)
	attempt := id.Backup{}.New()
	for range 3 { // a backup for three runs that failed
		r := w.run(ran{device: w.laptop, state: run.Failed, at: hour(4), policy: nightly, files: 9, bytes: 90, uploaded: 1000})
		w.exec(`UPDATE runs SET backup_id = $2 WHERE id = $1`, r, attempt)
	}
	for by, want := range map[report.By]string{
		report.ByPolicy: "Nightly: 3/0/3/0/0/0 0.50 10 200 1014 600.00\nWeekly: 1/0/0/0/0/0 1.00 5 100 7 600.00\nTotal: 4/0/3/0/0/0 0.57 10 200 1014 600.00",
		report.ByDevice: "laptop (ann@example.org): 4/0/3/0/0/0 0.57 10 200 1014 600.00\nTotal: 4/0/3/0/0/0 0.57 10 200 1014 600.00",
	} {
		r, err := w.Runs(t.Context(), w.boss, report.Filter{From: day, To: hour(24), By: by, Kind: run.Backup})
		w.ok(err)
		if got := lines(r); got != want || r.Total.Key != "" {
			t.Errorf("%s\nwant %s", got, want)
		}
	}
}

// A month in which the clocks are changed has each of its days once.
func TestEveryDay(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	berlin, err := time.LoadLocation("Europe/Berlin")
	w.ok(err)
	r, err := w.Runs(t.Context(), w.boss, report.Filter{By: report.ByDay, Kind: run.Backup, Zone: "Europe/Berlin",
		From: time.Date(2026, 3, 1, 0, 0, 0, 0, berlin), To: time.Date(2026, 4, 1, 0, 0, 0, 0, berlin)})
	w.ok(err)
	for i, row := range r.Rows {
		if row.Key != fmt.Sprintf("2026-03-%02d", i+1) || row.Label != row.Key || row.SuccessRate != nil {
			t.Errorf("%+v", row)
		}
	}
	if len(r.Rows) != 31 {
		t.Errorf("%d days", len(r.Rows))
	}
}

func TestCSV(t *testing.T) {
	t.Parallel()
	rate, mean := 0.123456, 61.25
	r := &report.Runs{
		Rows: []*report.Row{
			{Key: "dev_1", Label: `=HYPERLINK("http://x","y"), "quoted"`, Succeeded: 1, Warned: 2, Failed: 3, Missed: 4, Cancelled: 5, Open: 6, SuccessRate: &rate,
				Files: 7, Bytes: 8, UploadedBytes: 9, MeanSeconds: &mean},
			{Key: "-1", Label: "+1"}, {Key: "@x", Label: "\t="}, {Key: "", Label: "Ä\r\nB"}, {Key: "a=b", Label: "1+1;=2"},
		},
		Total: &report.Row{Label: "Total", Succeeded: 1},
	}
	text := r.CSV()
	if !strings.HasPrefix(text, "key,label,succeeded,warned,failed,missed,cancelled,open,success rate,files,bytes,uploaded bytes,mean seconds\r\n") || !strings.HasSuffix(text, "\r\n") {
		t.Errorf("%q", text)
	}
	if !strings.Contains(text, `dev_1,"'=HYPERLINK(""http://x"",""y""), ""quoted""",1,2,3,4,5,6,0.1235,7,8,9,61.2`+"\r\n") {
		t.Errorf("%q", text)
	}
	got, err := csv.NewReader(strings.NewReader(text)).ReadAll()
	if err != nil || len(got) != 7 {
		t.Fatalf("%q, %v", got, err)
	}
	for i, want := range [][2]string{{"'-1", "'+1"}, {"'@x", "'\t'="}, {"", "Ä\nB"}, {"a=b", "1+1;'=2"}, {"", "Total"}} { // a reader makes \n of \r\n
		if row := got[i+2]; row[0] != want[0] || row[1] != want[1] || row[8] != "" || row[12] != "" {
			t.Errorf("%q, want %q", row, want)
		}
	}
}

func TestBadFilters(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	good := report.Filter{From: day, To: hour(24), By: report.ByDay, Kind: run.Backup}
	for words, spoil := range map[string]func(*report.Filter){
		"by: want day":         func(f *report.Filter) { f.By = "" },
		"kind: want backup":    func(f *report.Filter) { f.Kind = "x" },
		"to: must be later":    func(f *report.Filter) { f.To = f.From },
		"at most 1098 days":    func(f *report.Filter) { f.To = f.From.Add(report.MaxPeriod + 1) },
		`zone: "Mars" is not`:  func(f *report.Filter) { f.Zone = "Mars" },
		`zone: "Local" is not`: func(f *report.Filter) { f.Zone = "Local" },
	} {
		f := good
		spoil(&f)
		_, err := w.Runs(t.Context(), w.boss, f)
		w.want(err, fault.Invalid, words)
	}
	for _, a := range []actor.Actor{w.ann, {User: w.boss.User, Device: w.laptop}, {User: w.boss.User, Role: actor.Admin, ByRecovery: true}} {
		_, err := w.Runs(t.Context(), a, good)
		w.want(err, fault.Forbidden)
	}
	_, err := w.Runs(t.Context(), actor.Actor{}, good)
	w.want(err, fault.Unauthenticated)
	_, err = w.Runs(t.Context(), actor.System(), good)
	w.ok(err)
}

func TestTooManyRows(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.exec(`INSERT INTO devices (id, user_id, name, hostname, os, arch, agent_version, public_key, mac, token_hash)
		SELECT gen_random_uuid(), $1, 'd' || n, 'h', 'linux', 'amd64', '1', '', '', ('d' || n)::bytea FROM generate_series(1, $2) n`, w.bob.User, report.MaxRows+1)
	w.exec(`INSERT INTO runs (id, device_id, kind, trigger, created_at, due_at, deadline_at) SELECT gen_random_uuid(), id, 'backup', 'schedule', $2, $2, $2
		FROM devices WHERE user_id = $1 AND name LIKE 'd%'`, w.bob.User, hour(1))
	f := report.Filter{From: day, To: hour(24), By: report.ByDevice, Kind: run.Backup}
	_, err := w.Runs(t.Context(), w.boss, f)
	w.want(err, fault.TooLarge, "more than 5000 rows", "narrow it")
	f.By = report.ByUser
	r, err := w.Runs(t.Context(), w.boss, f)
	w.ok(err)
	if r.Total.Open != report.MaxRows+1 {
		t.Errorf("%+v", r.Total)
	}
}
