package depot_test

import (
	"strings"
	"testing"
	"time"

	"github.com/holdfast-backup/holdfast/depot"
	"github.com/holdfast-backup/holdfast/depot/account"
	"github.com/holdfast-backup/holdfast/depot/actor"
	"github.com/holdfast-backup/holdfast/depot/fleet"
	"github.com/holdfast-backup/holdfast/depot/mail"
	"github.com/holdfast-backup/holdfast/depot/mail/mailtest"
	"github.com/holdfast-backup/holdfast/depot/pg/pgtest"
	"github.com/holdfast-backup/holdfast/wire/id"
)

const (
	insertRun = `
		INSERT INTO runs (id, device_id, kind, trigger, state, created_at, due_at, deadline_at, started_at, ended_at)
		SELECT $1, $2, 'backup', 'owner', $3::run_state, t, t, t, t, t FROM (SELECT clock_timestamp() - make_interval(hours => $4) AS t) x`
	insertWarning = `INSERT INTO notifications (id, user_id, kind, severity, title, body) VALUES ($1, $2, 'run.warned', 'warning', 'Some files', 'Look.')`
	databaseTime  = `SELECT clock_timestamp()`
)

func machine(t *testing.T, d *depot.Depot, l *account.Login, name string) *fleet.Device {
	t.Helper()
	a, err := d.Authenticate(t.Context(), l.Token)
	if err != nil {
		t.Fatal(err)
	}
	dev, _, err := d.Fleet.Register(t.Context(), a, fleet.RegisterInput{
		Name: name, Hostname: "h", OS: "linux", Arch: "amd64", AgentVersion: "0.1.0", PublicKey: make([]byte, 1216), MAC: make([]byte, 32),
	})
	if err != nil {
		t.Fatal(err)
	}
	return dev
}

// TestDigestsSayHowTheFleetIs: on a Monday morning, by mail, from the records of runs.
func TestDigestsSayHowTheFleetIs(t *testing.T) {
	t.Parallel()
	smtp := mailtest.New(t, mailtest.Config{})
	server, err := mail.ParseURL(smtp.URL("Backup <backup@example.org>"))
	if err != nil {
		t.Fatal(err)
	}
	cfg := config(t)
	db, url, shift := pgtest.NewShifted(t)
	cfg.DatabaseURL, cfg.Mail = url, &server
	d := open(t, cfg)
	exec := func(q string, args ...any) {
		t.Helper()
		if _, err := db.Exec(q, args...); err != nil {
			t.Fatal(err)
		}
	}
	ann, boss := join(t, d, "ann@example.org"), join(t, d, "boss@example.org")
	if _, err := d.Accounts.SetRole(t.Context(), actor.System(), boss.User.ID, actor.Admin); err != nil {
		t.Fatal(err)
	}
	good, warned, failed, old, never := machine(t, d, ann, "good"), machine(t, d, ann, "warned"), machine(t, d, ann, "failed"), machine(t, d, ann, "old"), machine(t, d, ann, "never")
	gone := machine(t, d, ann, "gone")
	if _, err := d.Fleet.Revoke(t.Context(), actor.System(), gone.ID); err != nil {
		t.Fatal(err)
	}

	var now time.Time
	if err := db.Get(&now, databaseTime); err != nil {
		t.Fatal(err)
	}
	now = now.UTC()
	monday := time.Date(now.Year(), now.Month(), now.Day()+14+(8-int(now.Weekday()))%7, 7, 30, 0, 0, time.UTC)
	shift(monday.Sub(now))
	for dev, runs := range map[*fleet.Device]map[int]string{
		good: {5: "succeeded", 29: "succeeded"}, warned: {5: "warned"}, failed: {5: "missed", 29: "failed", 53: "succeeded"}, old: {24 * 9: "succeeded"},
	} {
		for hours, state := range runs {
			exec(insertRun, id.Run{}.New(), dev.ID, state, hours)
		}
	}
	exec(insertWarning, id.Notice{}.New(), ann.User.ID)
	for range 2 { // what is pending goes its way; the digests have theirs
		if err := d.SendNotices(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	texts := map[string]string{}
	for _, m := range smtp.Messages() {
		texts[m.To[0]+" "+m.Header.Get("List-Id")] = m.Text
	}
	for key, want := range map[string][]string{
		"ann@example.org <digest.holdfast.example.org>": {"1 warning.", "- old: no backup for 9 days", "- failed: the last backup failed or was missed; backed up on Saturday, ",
			"- warned: backed up on Monday, ", ", but some files could not be read", "- good: backed up on Monday, ", "- never: nothing was due yet"},
		"boss@example.org <admin-digest.holdfast.example.org>": {"3 of 5 devices need attention.", "Devices: 5", "Backups: 3 succeeded, 1 with warnings, 1 failed, 1 missed", "Success rate: 66.7 %", "Stored: 0 bytes",
			"- old of Ann: no backup for 9 days", "- failed of Ann: ", "- warned of Ann: "},
	} {
		for _, w := range want {
			if !strings.Contains(texts[key], w) {
				t.Errorf("%s: no %q in\n%s", key, w, texts[key])
			}
		}
		if strings.Contains(texts[key], "gone") && !strings.Contains(texts[key], "“gone” was revoked") {
			t.Errorf("%s: tells of a device that is gone\n%s", key, texts[key])
		}
	}
	if strings.Contains(texts["boss@example.org <admin-digest.holdfast.example.org>"], never.Name) {
		t.Error("a device that is well is named")
	}
}
