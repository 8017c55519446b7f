package notice_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/holdfast-backup/holdfast/depot/actor"
	"github.com/holdfast-backup/holdfast/depot/mail"
	"github.com/holdfast-backup/holdfast/depot/mail/mailtest"
	"github.com/holdfast-backup/holdfast/depot/notice"
	"github.com/holdfast-backup/holdfast/wire/fault"
	"github.com/holdfast-backup/holdfast/wire/id"
)

func TestDispatch(t *testing.T) {
	t.Parallel()
	w, ctx := newWorld(t), t.Context()
	ada, bob, sue := w.person("ada", actor.Staff), w.person("bob", actor.Staff), w.person("sue", actor.Staff)
	w.exec(suspendUser, sue.User)
	dev, run := w.device(ada), id.Run{}.New()
	w.exec(insertRun, run, dev)
	w.ok(w.Post(ctx)) // nothing is there

	_, err := w.SetPreferences(ctx, ada, []notice.Choice{{"device.enrolled", notice.None}})
	w.ok(err)
	w.write(notice.Event{User: ada.User, Kind: "run.first", Title: "First backup", Body: "It is done.", Device: dev})
	w.write(notice.Event{User: ada.User, Kind: "run.failed", Title: "Backup of <laptop> failed", Body: "Look.", Device: dev, Run: run})
	w.tell(ada, "run.succeeded", "Good")   // a digest by default
	w.tell(ada, "device.enrolled", "New")  // not wanted
	w.tell(ada, "storage.low", "Low")      // not hers to know
	w.tell(ada, "run.from-later", "Later") // of a newer program
	w.tell(bob, "account.login", "A login")
	w.tell(sue, "run.failed", "Hers")
	w.ok(w.Dispatch(ctx))
	w.same("ada's", w.lines(mailedOf, ada.User), "First backup: sent, Backup of <laptop> failed: sent, Good: digest, New: none, Low: none, Later: digest")
	w.same("bob's", w.lines(mailedOf, bob.User), "A login: sent")
	w.same("sue's", w.lines(mailedOf, sue.User), "Hers: none")
	w.ok(w.Deliver(ctx))
	w.same("mails", w.subjects(), []string{"ada@example.org: Backup of <laptop> failed, and 1 more", "bob@example.org: A login"})
	for _, m := range w.smtp.Messages() {
		if m.To[0] != "ada@example.org" {
			continue
		}
		for _, want := range []string{"Hello Ada,", "- Backup of <laptop> failed (Monday, ", "https://backup.example.org/runs/" + run.String(),
			"https://backup.example.org/devices/" + dev.String(), "https://backup.example.org/settings/mail"} {
			if !strings.Contains(m.Text, want) {
				t.Errorf("no %q in\n%s", want, m.Text)
			}
		}
		w.same("list", m.Header.Get("List-Id"), "<notification.holdfast.example.org>")
		w.same("unsubscribe", m.Header.Get("List-Unsubscribe"), "<https://backup.example.org/settings/mail>")
	}
	w.ok(w.Post(ctx))
	w.same("nothing twice", len(w.smtp.Messages()), 2)
}

// A word about an address goes to the one before as well, whatever the person chose.
func TestOldAddressesAreTold(t *testing.T) {
	t.Parallel()
	w, ctx := newWorld(t), t.Context()
	ada := w.person("ada", actor.Staff)
	_, err := w.SetPreferences(ctx, ada, []notice.Choice{{"account.email", notice.None}})
	w.ok(err)
	w.write(notice.Event{User: ada.User, Kind: "account.email", Title: "Your address was changed", Body: "It was.", Also: "old@example.org"})
	w.ok(w.Dispatch(ctx))
	w.ok(w.Dispatch(ctx))
	w.ok(w.Deliver(ctx))
	w.same("mails", w.subjects(), []string{"old@example.org: Your address was changed"})
}

// Over the hour's limit an address gets no more mails at once: the rest waits for the digest.
func TestMailsPerHour(t *testing.T) {
	t.Parallel()
	w, ctx := newWorld(t), t.Context()
	ada, bob := w.person("ada", actor.Staff), w.person("bob", actor.Staff)
	w.set("mailsPerHour", 2)
	for i := range 4 {
		w.tell(ada, "run.failed", fmt.Sprint(i))
		w.ok(w.Dispatch(ctx))
		w.shift(10 * time.Minute)
	}
	w.tell(bob, "run.failed", "b")
	w.ok(w.Dispatch(ctx))
	w.same("ada's", w.lines(mailedOf, ada.User), "0: sent, 1: sent, 2: digest, 3: digest")
	w.same("bob's", w.lines(mailedOf, bob.User), "b: sent")
	w.shift(21 * time.Minute) // the first is an hour ago
	for i := range 2 {
		w.tell(ada, "run.failed", fmt.Sprint(i+4))
		w.ok(w.Dispatch(ctx))
	}
	w.same("ada's", w.lines(mailedOf, ada.User), "0: sent, 1: sent, 2: digest, 3: digest, 4: sent, 5: digest")
}

func TestWithoutMailServer(t *testing.T) {
	t.Parallel()
	w, ctx := newWorld(t), t.Context()
	ada, boss := w.person("ada", actor.Staff), w.person("boss", actor.Admin)
	w.tell(ada, "run.succeeded", "before")
	w.ok(w.Dispatch(ctx)) // waits for a digest that will not come
	w.cfg.Mail, w.cfg.Numbers = nil, numbers{}
	w.Service = w.another()
	w.tell(ada, "run.failed", "after")
	w.ok(w.startAt(8))
	w.ok(w.Post(ctx))
	w.same("ada's", w.lines(mailedOf, ada.User), "before: none, after: none")
	w.same("mails", w.lines(countMails), "0")
	if _, err := w.SendTest(ctx, boss); !errors.Is(err, fault.Conflict) || !strings.Contains(err.Error(), "--smtp-url") {
		t.Error(err)
	}
	w.same("from", w.MailFrom(), "")
}

// Many at work at once write one mail a person, and send each once.
func TestManyWorkers(t *testing.T) {
	t.Parallel()
	w, ctx := newWorld(t), t.Context()
	const people = 20
	for i := range people {
		p := w.person(fmt.Sprintf("p%02d", i), actor.Staff)
		for j := range 3 {
			w.tell(p, "run.failed", fmt.Sprint("failed ", j))
		}
		w.tell(p, "run.succeeded", "good")
	}
	w.ok(w.startAt(8))
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			s := w.another()
			for range 3 {
				if err := s.Post(ctx); err != nil {
					t.Error(err)
				}
			}
		})
	}
	wg.Wait()
	w.ok(w.Post(ctx)) // what somebody passed by
	got := map[string]int{}
	for _, s := range w.subjects() {
		got[s]++
	}
	if len(got) != 2*people {
		t.Errorf("%d different mails, want %d: %v", len(got), 2*people, got)
	}
	for s, n := range got {
		if n != 1 {
			t.Errorf("%d times %s", n, s)
		}
	}
}

func TestRetries(t *testing.T) {
	t.Parallel()
	w, ctx := newWorld(t), t.Context()
	ada := w.person("ada", actor.Staff)
	w.tell(ada, "run.failed", "Failed")
	w.ok(w.Dispatch(ctx))
	w.smtp.Answer(mailtest.Rcpt, "450 4.2.0 come again later")
	var waits []string
	said := " the mail server " + w.smtp.Addr() + " refuses mail to ada@example.org: 450 4.2.0 come again later"
	for n := 1; ; n++ {
		w.ok(w.Deliver(ctx))
		w.ok(w.Deliver(ctx)) // not due
		got := w.lines(mailsOf, ada.User)
		if got == fmt.Sprint("notification failed ", n, said) {
			break
		}
		if got != fmt.Sprint("notification waiting ", n, said) {
			t.Fatal(got)
		}
		var next time.Time
		w.ok(w.db.Get(&next, `SELECT next_at FROM mails`))
		wait := next.Sub(w.now()).Round(time.Minute)
		waits = append(waits, wait.String())
		w.shift(wait - 10*time.Second)
		w.ok(w.Deliver(ctx)) // not yet
		w.shift(20 * time.Second)
	}
	w.same("waits", strings.Join(waits, " "), "1m0s 2m0s 4m0s 8m0s 16m0s 32m0s 1h4m0s 2h8m0s 4h16m0s 6h0m0s 6h0m0s 6h0m0s 6h0m0s 6h0m0s 6h0m0s 6h0m0s")
	w.smtp.Heal()
	w.ok(w.Deliver(ctx))
	w.same("given up is given up", len(w.smtp.Messages()), 0)
}

func TestEnds(t *testing.T) {
	t.Parallel()
	w, ctx := newWorld(t), t.Context()
	one := func(name string) string { // a mail of its own
		t.Helper()
		p := w.person(name, actor.Staff)
		w.tell(p, "run.failed", "Failed")
		w.ok(w.Dispatch(ctx))
		w.ok(w.Deliver(ctx))
		return w.lines(mailsOf, p.User)
	}
	w.same("taken", one("ada"), "notification sent 1")
	w.smtp.Answer(mailtest.Rcpt, "550 5.1.1 no such user")
	w.same("refused for good", one("bob"), "notification failed 1 the mail server "+w.smtp.Addr()+" refuses mail to bob@example.org: 550 5.1.1 no such user")
	w.smtp.Heal()
	w.smtp.Answer(mailtest.Mail, "550 5.7.1 not from you") // it is us whom it refuses: somebody will see to it
	w.same("refused us", one("cid"), "notification waiting 1 the mail server "+w.smtp.Addr()+" refuses mail from backup@example.org: 550 5.7.1 not from you")
	w.smtp.Heal()
	w.shift(2 * time.Minute)
	w.ok(w.Deliver(ctx))
	w.same("later", len(w.smtp.Messages()), 2)

	dan := w.person("dan", actor.Staff)
	w.tell(dan, "run.failed", "Failed")
	w.ok(w.Dispatch(ctx))
	w.exec(suspendUser, dan.User)
	w.ok(w.Deliver(ctx))
	w.same("suspended meanwhile", w.lines(mailsOf, dan.User), "notification failed 1 its reader was suspended")
}

// When nobody knows whether the server has a mail, it is sent again under the same Message-ID.
func TestCrashes(t *testing.T) {
	t.Parallel()
	w, ctx := newWorld(t), t.Context()
	ada := w.person("ada", actor.Staff)
	w.tell(ada, "run.failed", "Failed")
	w.ok(w.Dispatch(ctx))

	w.smtp.HangUp(mailtest.Body)
	w.ok(w.Deliver(ctx))
	w.smtp.Heal()
	w.shift(time.Minute + time.Second)

	w.smtp.Stall(mailtest.Body) // our time is up while the server thinks about it
	brief, cancel := context.WithCancel(ctx)
	go func() {
		w.smtp.Wait(t, 2)
		cancel()
	}()
	if err := w.Deliver(brief); !errors.Is(err, context.Canceled) {
		t.Fatal(err)
	}
	w.smtp.Heal()

	w.exec(takenByDead) // a worker that was killed
	w.ok(w.Deliver(ctx))
	w.same("it belongs to the dead for a while", len(w.smtp.Messages()), 2)
	w.shift(5*time.Minute + time.Second)
	w.ok(w.Deliver(ctx))
	// Another hand may have taken the mail just as its time was up, and counted an attempt.
	if s := w.lines(mailsOf, ada.User); s != "notification sent 4" && s != "notification sent 5" {
		t.Error("at last:", s)
	}
	ids := map[string]bool{}
	for _, m := range w.smtp.Wait(t, 3) {
		ids[m.Header.Get("Message-Id")] = true
	}
	if len(ids) != 1 || len(w.smtp.Messages()) != 3 {
		t.Error(len(w.smtp.Messages()), ids)
	}
}

// A mail that could be cut off is not begun.
func TestLittleTime(t *testing.T) {
	t.Parallel()
	w, ctx := newWorld(t), t.Context()
	ada := w.person("ada", actor.Staff)
	w.tell(ada, "run.failed", "Failed")
	w.ok(w.Dispatch(ctx))
	brief, cancel := context.WithTimeout(ctx, 9*time.Second)
	defer cancel()
	w.ok(w.Deliver(brief))
	w.same("with little time", w.lines(mailsOf, ada.User), "notification waiting 0")
	long, cancel := context.WithTimeout(ctx, time.Hour)
	defer cancel()
	w.ok(w.Deliver(long))
	w.same("with more", w.lines(mailsOf, ada.User), "notification sent 1")
}

// A server that is not well is not asked about every mail that waits.
func TestServerAway(t *testing.T) {
	t.Parallel()
	w, ctx := newWorld(t), t.Context()
	for i := range 30 {
		p := w.person(fmt.Sprintf("p%02d", i), actor.Staff)
		w.tell(p, "run.failed", "Failed")
	}
	w.ok(w.Dispatch(ctx))
	w.smtp.Answer(mailtest.Connect, "421 4.3.2 closing")
	w.ok(w.Deliver(ctx))
	tries := w.lines(`SELECT sum(attempts) FROM mails`)
	if tries != "3" && tries != "4" && tries != "5" && tries != "6" { // three in a row, and what was on its way by then
		t.Error("asked", tries, "times")
	}
	w.smtp.Heal()
	w.shift(time.Minute + time.Second)
	w.ok(w.Deliver(ctx))
	w.same("all", len(w.smtp.Messages()), 30)
}

func TestSendTest(t *testing.T) {
	t.Parallel()
	w, ctx := newWorld(t), t.Context()
	boss := w.person("boss", actor.Admin)
	w.set("productName", "Vault of the Faculty")
	to, err := w.SendTest(ctx, boss)
	w.ok(err)
	w.same("to", to, "boss@example.org")
	if m := w.smtp.Wait(t, 1)[0]; m.Subject != "Mail works" || !strings.Contains(m.Text, "Vault of the Faculty, https://backup.example.org") {
		t.Error(m.Subject, m.Text)
	}
	w.smtp.Answer(mailtest.Mail, "530 5.7.0 log in first")
	if _, err := w.SendTest(ctx, boss); !errors.Is(err, fault.Unavailable) || !strings.Contains(err.Error(), "530 5.7.0 log in first") {
		t.Error("refused us:", err)
	}
	w.smtp.Heal()
	w.smtp.Answer(mailtest.Rcpt, "550 no such user")
	if _, err := w.SendTest(ctx, boss); !errors.Is(err, fault.Invalid) || !strings.Contains(err.Error(), "550 no such user") {
		t.Error("refused the address:", err)
	}
	w.smtp.Close()
	if _, err := w.SendTest(ctx, boss); !errors.Is(err, fault.Unavailable) {
		t.Error("away:", err)
	}
	w.same("from", w.MailFrom(), `"Backup" <backup@example.org>`)

	// They are in the list, and are not tried again.
	p, err := w.Mails(ctx, boss, false, 3, "")
	w.ok(err)
	if len(p.Mails) != 3 || !p.HasNext || p.Mails[2].State != notice.MailFailed || p.Mails[2].Kind != "test" {
		t.Fatalf("%+v", p.Mails)
	}
	rest, err := w.Mails(ctx, boss, false, 3, p.Mails[2].Cursor())
	w.ok(err)
	if len(rest.Mails) != 1 || rest.HasNext || rest.Mails[0].State != notice.MailSent || rest.Mails[0].SentAt == nil || rest.Mails[0].Error != nil || rest.Mails[0].Attempts != 1 {
		t.Fatalf("%+v", rest.Mails)
	}
	bad, err := w.Mails(ctx, boss, true, 50, "")
	w.ok(err)
	w.same("failed ones", len(bad.Mails), 3)
	m, err := w.Mail(ctx, boss, bad.Mails[0].ID)
	w.ok(err)
	if *m.Error == "" || m.Address != "boss@example.org" || m.Subject != "Mail works" {
		t.Errorf("%+v", m)
	}
	if _, err := w.Mail(ctx, boss, id.Mail{}.New()); !errors.Is(err, fault.NotFound) {
		t.Error(err)
	}

	gone := actor.Actor{User: id.User{}.New(), Role: actor.Admin}
	if _, err := w.SendTest(ctx, gone); err == nil {
		t.Error("somebody who is gone got a mail")
	}
	w.cfg.URL = "nowhere"
	w.cfg.Mail = mail.New(w.cfg.Mail.Config())
	if _, err := w.another().SendTest(ctx, boss); err == nil || !strings.Contains(err.Error(), "no address of a service") {
		t.Error(err)
	}
}
