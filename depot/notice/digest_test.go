package notice_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/holdfast-backup/holdfast/depot/actor"
	"github.com/holdfast-backup/holdfast/depot/notice"
	"github.com/holdfast-backup/holdfast/wire/id"
)

// numbers stands for the reports, which the depot joins.
type numbers struct {
	fleet   notice.Fleet
	devices []notice.Device
	err     error
	asked   *[]string // for which periods
}

func (n numbers) Fleet(_ context.Context, from, to time.Time) (*notice.Fleet, error) {
	if n.asked != nil {
		*n.asked = append(*n.asked, from.UTC().Format("Mon 15:04")+" to "+to.UTC().Format("Mon 15:04"))
	}
	return &n.fleet, n.err
}

func (n numbers) Devices(context.Context, id.User) ([]notice.Device, error) { return n.devices, n.err }

func TestDigests(t *testing.T) {
	t.Parallel()
	w, ctx := newWorld(t), t.Context()
	w.set("zone", "Asia/Dushanbe") // UTC+5: seven o'clock is two
	w.set("digestHour", 7)
	ada, bob, sue := w.person("ada", actor.Staff), w.person("bob", actor.Staff), w.person("sue", actor.Staff)
	dev := w.device(ada)
	w.cfg.Numbers = numbers{devices: []notice.Device{{ID: dev, Name: "laptop", Severity: notice.Warning, State: "no backup for 3 days"}}}
	w.Service = w.another()
	digests := func(when string, want int) {
		t.Helper()
		w.ok(w.Digests(ctx))
		n := w.lines(`SELECT count(*) FROM mails WHERE kind = 'digest'`)
		w.same("digests "+when, n, want)
	}
	w.ok(w.startAt(1))
	w.tell(ada, "run.succeeded", "Good")
	w.tell(ada, "run.warned", "A warning")
	w.tell(bob, "run.failed", "at once")
	w.tell(sue, "run.succeeded", "Hers")
	w.ok(w.Dispatch(ctx))
	w.exec(suspendUser, sue.User)
	digests("at six", 0)
	w.shift(61 * time.Minute)
	digests("at seven", 1)
	w.same("ada's", w.lines(mailedOf, ada.User), "Good: sent, A warning: sent")
	w.same("sue's", w.lines(mailedOf, sue.User), "Hers: none")
	w.tell(ada, "run.succeeded", "Good, later")
	w.tell(ada, "run.warned", "Bad, later")
	w.tell(ada, "device.revoked", "Revoked")
	w.ok(w.Dispatch(ctx))
	digests("once a day", 1)
	_, err := w.SetPreferences(ctx, ada, []notice.Choice{{"run.warned", notice.None}})
	w.ok(err)
	w.shift(21 * time.Hour)
	digests("in the night", 1)
	w.shift(8 * time.Hour)
	digests("on the next day, late", 2)
	w.same("ada's", w.lines(mailedOf, ada.User), "Good: sent, A warning: sent, Good, later: sent, Bad, later: none, Revoked: sent")

	w.shift(24 * time.Hour)
	w.tell(ada, "run.warned", "unwanted")
	w.exec(`UPDATE notifications SET mailed = 'digest' WHERE title = 'unwanted'`) // chosen before
	digests("of nothing that is wanted", 2)
	w.ok(w.Deliver(ctx))
	m := w.smtp.Wait(t, 3) // bob's, and two digests
	var first string
	for _, m := range m {
		if m.Header.Get("List-Id") == "<digest.holdfast.example.org>" && strings.Contains(m.Text, "A warning") {
			first = m.Subject + "\n" + m.Text
		}
	}
	for _, want := range []string{"Your backups: Monday, ", "Hello Ada,", "1 warning.", "- laptop: no backup for 3 days", "https://backup.example.org/devices/" + dev.String(),
		"- A warning (Monday, ", ", 06:00)", "- Good ("} {
		if !strings.Contains(first, want) {
			t.Errorf("no %q in\n%s", want, first)
		}
	}
	if strings.Index(first, "- Good") < strings.Index(first, "- A warning") {
		t.Error("what matters is not on top")
	}
}

func TestAdminDigest(t *testing.T) {
	t.Parallel()
	w, ctx := newWorld(t), t.Context()
	w.person("ada", actor.Staff)
	boss, root, gone := w.person("boss", actor.Admin), w.person("root", actor.Superuser), w.person("gone", actor.Admin)
	w.exec(suspendUser, gone.User)
	rate, growth, free, full := 0.9625, 2.5e9, int64(400e9), time.Date(2031, 5, 12, 0, 0, 0, 0, time.UTC)
	var asked []string
	w.cfg.Numbers = numbers{asked: &asked, fleet: notice.Fleet{
		Devices: 120, Unwell: 1, Attention: []notice.Device{{ID: id.Device{}.New(), Name: "laptop of Ada", Severity: notice.Error, State: "no backup for 9 days"}},
		Succeeded: 770, Warned: 3, Failed: 20, Missed: 10, SuccessRate: &rate, StoredBytes: 1234567890123, GrowthPerDay: &growth, FreeBytes: &free, FullAt: &full,
	}}
	w.set("adminDigest", "never")
	digests := func(when string, want int) {
		t.Helper()
		w.ok(w.AdminDigest(ctx))
		w.same("digests "+when, w.lines(countMails), want)
	}
	w.ok(w.startAt(8)) // a Monday
	digests("never", 0)
	w.set("adminDigest", "weekly")
	w.shift(-2 * time.Hour)
	digests("at six", 0)
	w.ok(w.Tell(ctx, notice.Event{Kind: "care.failed", Title: "Cleaning failed", Body: "Look."}))
	w.shift(2 * time.Hour)
	digests("on Monday", 2)
	digests("again", 2)
	w.shift(24 * time.Hour)
	digests("on Tuesday", 2)
	w.set("adminDigest", "daily")
	w.exec(demoteUser, root.User)
	digests("daily", 3)
	w.same("periods", strings.Join(asked, ", "), "Mon 07:00 to Mon 07:00, Mon 07:00 to Tue 07:00")
	w.ok(w.Deliver(ctx))
	var text string
	for _, m := range w.smtp.Wait(t, 3) {
		if m.To[0] == "boss@example.org" && strings.HasPrefix(m.Subject, "Backups of everybody: Monday, ") {
			text = m.Text
		}
	}
	for _, want := range []string{"Hello Boss,", "1 of 120 devices needs attention.", "Devices: 120", "Backups: 770 succeeded, 3 with warnings, 20 failed, 10 missed", "Success rate: 96.2 %",
		"Stored: 1.2 TB", "Growth: 2.5 GB a day", "Room left: 400.0 GB", "Full at this pace: 12 May 2031", "- laptop of Ada: no backup for 9 days", "- Cleaning failed (Monday, ", "https://backup.example.org/admin"} {
		if !strings.Contains(text, want) {
			t.Errorf("no %q in\n%s", want, text)
		}
	}
	w.same("notifications have their own way", w.lines(mailedOf, boss.User), "Cleaning failed: pending")
}

// A fleet of which little is known makes a mail, too.
func TestAdminDigestOfLittle(t *testing.T) {
	t.Parallel()
	for want, f := range map[string]notice.Fleet{
		"There are no devices yet.":      {},
		"No device needs attention.":     {Devices: 3},
		"2 of 3 devices need attention.": {Devices: 3, Unwell: 2, Attention: make([]notice.Device, 1), StoredBytes: 999},
		"1 of 1 device needs attention.": {Devices: 1, Unwell: 1, StoredBytes: 999_960},
	} {
		t.Run(want, func(t *testing.T) {
			t.Parallel()
			w, ctx := newWorld(t), t.Context()
			w.person("boss", actor.Admin)
			w.cfg.Numbers = numbers{fleet: f}
			w.Service = w.another()
			w.ok(w.startAt(8))
			w.ok(w.Post(ctx))
			text := w.smtp.Wait(t, 1)[0].Text
			for _, s := range []string{want, "Stored: " + map[int64]string{0: "0 bytes", 999: "999 bytes", 999_960: "1.0 MB"}[f.StoredBytes]} {
				if !strings.Contains(text, s) {
					t.Errorf("no %q in\n%s", s, text)
				}
			}
			if strings.Contains(text, "Success rate") || strings.Contains(text, "Growth") || strings.Contains(text, "Room") || strings.Contains(text, "Full") {
				t.Errorf("it claims to know more:\n%s", text)
			}
		})
	}
}

// What cannot be written now is not lost.
func TestDigestErrors(t *testing.T) {
	t.Parallel()
	w, ctx := newWorld(t), t.Context()
	boss := w.person("boss", actor.Admin)
	w.tell(boss, "run.succeeded", "Good")
	w.ok(w.Dispatch(ctx))
	w.ok(w.startAt(8))
	away := errors.New("no numbers today")
	w.cfg.Numbers = numbers{err: away}
	w.Service = w.another()
	for name, do := range map[string]func(context.Context) error{"Digests": w.Digests, "AdminDigest": w.AdminDigest} {
		if err := do(ctx); !errors.Is(err, away) {
			t.Errorf("%s: %v", name, err)
		}
	}
	url := w.cfg.URL
	w.cfg.Numbers, w.cfg.URL = numbers{}, "nowhere"
	w.Service = w.another()
	w.tell(boss, "run.failed", "Bad")
	for name, do := range map[string]func(context.Context) error{"Dispatch": w.Dispatch, "Digests": w.Digests, "AdminDigest": w.AdminDigest} {
		if err := do(ctx); err == nil || !strings.Contains(err.Error(), "no address of a service") {
			t.Errorf("%s: %v", name, err)
		}
	}
	w.cfg.URL = url
	w.set("zone", "Mars/Olympus")
	for name, do := range map[string]func(context.Context) error{"Dispatch": w.Dispatch, "Digests": w.Digests, "AdminDigest": w.AdminDigest} {
		if err := do(ctx); err == nil {
			t.Errorf("%s: no error without a zone", name)
		}
	}
	over, cancel := context.WithCancel(ctx)
	cancel()
	if err := w.Dispatch(over); err == nil {
		t.Error("it worked though its time was up")
	}
	w.same("nothing is lost", w.lines(mailedOf, boss.User), "Good: digest, Bad: pending")
	w.set("zone", "UTC")
	w.ok(w.Post(ctx))
	w.same("later", w.lines(mailedOf, boss.User), "Good: sent, Bad: sent")
	w.same("mails", fmt.Sprint(len(w.smtp.Messages())), 3)
}
