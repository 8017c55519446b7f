package account_test

import (
	"bytes"
	"strings"
	"testing"
	"time"

	"github.com/holdfast-backup/holdfast/depot/account"
	"github.com/holdfast-backup/holdfast/depot/actor"
	"github.com/holdfast-backup/holdfast/depot/notice"
	"github.com/holdfast-backup/holdfast/wire/fault"
)

// Without mail an address is believed.
func TestChangeEmail(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	ann := w.person("ann", actor.Staff)
	w.person("bob", actor.Staff)
	_, _, _, err := w.Invite(t.Context(), actor.System(), account.InviteInput{Email: "new@example.org", Name: "New", Role: actor.Staff})
	w.ok(err)
	pw := account.Proof{AuthKey: authKey("pw")}
	for _, c := range []struct {
		p     account.Proof
		email string
		want  fault.Kind
	}{
		{pw, "nonsense", fault.Invalid}, {account.Proof{}, "a@example.org", fault.Invalid}, {account.Proof{AuthKey: authKey("wrong")}, "a@example.org", fault.WrongPassword},
		{pw, "BOB@example.org", fault.Conflict}, {pw, "new@example.org", fault.Conflict}, {pw, "ann@example.org", fault.Conflict},
	} {
		_, _, err := w.ChangeEmail(t.Context(), ann, c.p, c.email)
		w.want(err, c.want)
	}
	_, _, taken := w.ChangeEmail(t.Context(), ann, pw, "bob@example.org")
	_, _, invited := w.ChangeEmail(t.Context(), ann, pw, "new@example.org")
	if taken.Error() != invited.Error() {
		t.Errorf("%v, %v", taken, invited)
	}
	before, err := w.LoginParams(t.Context(), "ann@example.org")
	w.ok(err)
	w.heard(ann)
	u, waits, err := w.ChangeEmail(t.Context(), ann, pw, " Ann.Smith@Example.org ")
	w.ok(err)
	if waits || u.Email != "Ann.Smith@Example.org" || w.audited("user.email") != 1 {
		t.Errorf("%+v", u)
	}
	w.same("changed", w.heard(ann), "account.email Your e-mail address was changed")
	var also string
	w.ok(w.db.Get(&also, `SELECT also FROM notifications WHERE kind = 'account.email'`))
	if also != "ann@example.org" {
		t.Errorf("also to %q", also)
	}
	// The old address is one that nobody has; the new one lets in with the same keys.
	after, err := w.LoginParams(t.Context(), "ann@example.org")
	w.ok(err)
	moved, err := w.LoginParams(t.Context(), "ann.smith@example.org")
	w.ok(err)
	if bytes.Equal(after.Salt, before.Salt) || !bytes.Equal(moved.Salt, before.Salt) {
		t.Error("the salt did not move with the address")
	}
	_, err = w.login("ann", "pw", "192.0.2.1")
	w.want(err, fault.WrongPassword)
	_, err = w.login("ann.smith", "pw", "192.0.2.1")
	w.ok(err)
	// Only its spelling: nobody else is in the way.
	_, _, err = w.ChangeEmail(t.Context(), ann, pw, "ann.smith@example.org")
	w.ok(err)

	p := w.protect(ann)
	_, _, err = w.ChangeEmail(t.Context(), ann, pw, "ann@example.org")
	w.want(err, fault.SecondFactor)
	_, _, err = w.ChangeEmail(t.Context(), ann, p.proof(), "ann@example.org")
	w.ok(err)
}

func TestTriesOfAddressesAreThrottled(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	ann := w.person("ann", actor.Staff)
	w.person("bob", actor.Staff)
	for range 10 {
		_, _, err := w.ChangeEmail(t.Context(), ann, account.Proof{AuthKey: authKey("pw")}, "bob@example.org")
		w.want(err, fault.Conflict)
	}
	_, _, err := w.ChangeEmail(t.Context(), ann, account.Proof{AuthKey: authKey("pw")}, "bob@example.org")
	w.want(err, fault.TooMany)
}

// asks begins a change of somebody's address, and returns the code that was mailed.
func (w *world) asks(a actor.Actor, email string) notice.Code {
	w.t.Helper()
	n := len(w.codes)
	_, waits, err := w.ChangeEmail(w.t.Context(), a, account.Proof{AuthKey: authKey("pw")}, email)
	w.ok(err)
	if !waits || len(w.codes) != n+1 {
		w.t.Fatalf("waits %v, %d codes", waits, len(w.codes)-n)
	}
	return w.codes[n]
}

// pends compares the address that waits, and that the present one still lets in.
func (w *world) pends(a actor.Actor, want string) {
	w.t.Helper()
	got, err := w.PendingEmail(w.t.Context(), a)
	w.ok(err)
	if got != want {
		w.t.Errorf("%q waits, want %q", got, want)
	}
}

// Where mail is sent, nothing changes before the code was typed that only who reads the new address knows.
func TestEmailIsConfirmed(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.mails()
	ann, bob := w.person("ann", actor.Staff), w.person("bob", actor.Staff)
	w.heard(ann)
	_, err := w.ConfirmEmail(t.Context(), ann, "AAAA-AAAA")
	w.want(err, fault.Conflict) // nothing waits
	c := w.asks(ann, " Ann.Smith@Example.org ")
	if c.Address != "Ann.Smith@Example.org" || c.Name != "ann" || c.User != ann.User || !c.Until.Equal(w.clock.Now().Add(24*time.Hour)) || len(c.Code) != 9 {
		t.Errorf("%+v", c)
	}
	w.pends(ann, "Ann.Smith@Example.org")
	w.pends(bob, "")
	w.same("asked", w.heard(ann), "account.email Your e-mail address is about to be changed")
	var also, body string
	w.ok(w.db.QueryRow(`SELECT also, body FROM notifications WHERE kind = 'account.email'`).Scan(&also, &body))
	if also != "ann@example.org" || strings.Contains(body, c.Code) || !strings.Contains(body, "Ann.Smith@Example.org") {
		t.Errorf("to %q: %s", also, body) // the code is for who reads the other mailbox
	}
	_, err = w.login("ann", "pw", "192.0.2.1")
	w.ok(err)
	_, err = w.login("ann.smith", "pw", "192.0.2.1")
	w.want(err, fault.WrongPassword)

	for _, code := range []string{"", "AAAA-AAAA", strings.Repeat("A", 1000), c.Code + "A"} {
		_, err = w.ConfirmEmail(t.Context(), ann, code)
		w.want(err, fault.Invalid)
	}
	_, err = w.ConfirmEmail(t.Context(), bob, c.Code) // hers, not his
	w.want(err, fault.Conflict)
	u, err := w.ConfirmEmail(t.Context(), ann, " "+strings.ToLower(strings.ReplaceAll(c.Code, "-", "")))
	w.ok(err)
	if u.Email != "Ann.Smith@Example.org" || w.audited("user.email") != 1 || w.audited("user.email_asked") != 1 {
		t.Errorf("%+v", u)
	}
	w.same("confirmed", w.heard(ann), "account.email Your e-mail address was changed")
	w.pends(ann, "")
	_, err = w.login("ann.smith", "pw", "192.0.2.1")
	w.ok(err)
	_, err = w.ConfirmEmail(t.Context(), ann, c.Code) // it serves once
	w.want(err, fault.Conflict)

	// Another spelling of one's own address needs no code.
	u, waits, err := w.ChangeEmail(t.Context(), ann, account.Proof{AuthKey: authKey("pw")}, "ann.smith@example.org")
	w.ok(err)
	if waits || u.Email != "ann.smith@example.org" {
		t.Errorf("%v, %+v", waits, u)
	}
}

func TestEmailCodeEnds(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.mails()
	ann, bob := w.person("ann", actor.Staff), w.person("bob", actor.Staff)
	confirm := func(c notice.Code, want fault.Kind) {
		t.Helper()
		_, err := w.ConfirmEmail(t.Context(), ann, c.Code)
		w.want(err, want)
		me, err := w.Me(t.Context(), ann)
		w.ok(err)
		if me.Email != "ann@example.org" {
			t.Errorf("she has %s", me.Email)
		}
	}
	// One that was begun before is void.
	first, second := w.asks(ann, "a1@example.org"), w.asks(ann, "a2@example.org")
	confirm(first, fault.Invalid)
	w.pends(ann, "a2@example.org")
	// Given up.
	_, err := w.CancelEmail(t.Context(), ann)
	w.ok(err)
	w.pends(ann, "")
	confirm(second, fault.Conflict)
	// Too old, before and after it was swept.
	late := w.asks(ann, "a3@example.org")
	w.clock.pass(24 * time.Hour)
	w.pends(ann, "")
	confirm(late, fault.Conflict)
	w.clock.pass(time.Second)
	w.ok(w.Sweep(t.Context()))
	var n int
	w.ok(w.db.Get(&n, `SELECT count(*) FROM email_changes`))
	if n != 0 {
		t.Errorf("%d are left", n)
	}
	// It reserves nothing: somebody else was faster.
	taken := w.asks(ann, "wanted@example.org")
	his := w.codes
	_, _, err = w.ChangeEmail(t.Context(), bob, account.Proof{AuthKey: authKey("pw")}, "wanted@example.org")
	w.ok(err)
	_, err = w.ConfirmEmail(t.Context(), bob, w.codes[len(his)].Code)
	w.ok(err)
	confirm(taken, fault.Conflict)
	// Or was invited with it.
	invited := w.asks(ann, "guest@example.org")
	_, _, _, err = w.Invite(t.Context(), actor.System(), account.InviteInput{Email: "guest@example.org", Name: "Guest", Role: actor.Staff})
	w.ok(err)
	confirm(invited, fault.Conflict)
	// A new password stops what somebody began who knew the old one.
	w.clock.pass(24 * time.Hour)
	theirs := w.asks(ann, "thief@example.org")
	_, err = w.ChangePassword(t.Context(), ann, account.PasswordInput{OldAuthKey: authKey("pw"), Keys: keys("new")})
	w.ok(err)
	w.pends(ann, "")
	confirm(theirs, fault.Conflict)
}

// Nobody tries codes until one fits, and nobody has many mails sent to a stranger.
func TestEmailCodesAreThrottled(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.mails()
	ann := w.person("ann", actor.Staff)
	c := w.asks(ann, "new@example.org")
	for range 10 {
		_, err := w.ConfirmEmail(t.Context(), ann, "AAAA-AAAA")
		w.want(err, fault.Invalid)
	}
	_, err := w.ConfirmEmail(t.Context(), ann, c.Code) // though it is the right one
	w.want(err, fault.TooMany)
	w.clock.pass(time.Hour)
	_, err = w.ConfirmEmail(t.Context(), ann, c.Code)
	w.ok(err)

	w.clock.pass(24 * time.Hour)
	for range 5 {
		w.asks(ann, "stranger@example.org")
	}
	_, _, err = w.ChangeEmail(t.Context(), ann, account.Proof{AuthKey: authKey("pw")}, "stranger@example.org")
	w.want(err, fault.TooMany)
	if !strings.Contains(err.Error(), "too many codes were mailed: try again in 1 second") || len(w.codes) != 6 {
		t.Errorf("%v, %d codes", err, len(w.codes))
	}
}
