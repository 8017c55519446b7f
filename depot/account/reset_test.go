package account_test

import (
	"bytes"
	"strings"
	"testing"

	"github.com/holdfast-backup/holdfast/depot/account"
	"github.com/holdfast-backup/holdfast/depot/actor"
	"github.com/holdfast-backup/holdfast/wire/fault"
)

func TestReset(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	root, adm, ann := w.person("root", actor.Superuser), w.person("adm", actor.Admin), w.person("ann", actor.Staff)
	reset := func(a, of actor.Actor, email string) (string, error) {
		_, _, token, _, err := w.Reset(t.Context(), a, of.User, email)
		return token, err
	}
	for _, c := range []struct {
		a, of actor.Actor
		email string
		want  fault.Kind
	}{
		{actor.Actor{}, ann, "ann@example.org", fault.Unauthenticated}, {ann, adm, "adm@example.org", fault.Forbidden}, {adm, adm, "adm@example.org", fault.Conflict},
		{adm, root, "root@example.org", fault.Forbidden}, {adm, ann, "anne@example.org", fault.Invalid}, {adm, ann, "", fault.Invalid},
		{adm, actor.Actor{}, "ann@example.org", fault.NotFound}, {actor.System(), root, "root@example.org", fault.Conflict}, // the last superuser
	} {
		_, err := reset(c.a, c.of, c.email)
		w.want(err, c.want)
	}
	_, api, err := w.CreateAPIToken(t.Context(), ann, "t", nil)
	w.ok(err)
	w.protect(ann)
	first, err := reset(adm, ann, "ann@example.org")
	w.ok(err)
	u, inv, token, url, err := w.Reset(t.Context(), adm, ann.User, " ANN@example.org")
	w.ok(err)
	if !u.Reset || u.SecondFactor || *inv.Email != "ann@example.org" || *inv.Name != "ann" || inv.Role != actor.Staff || !strings.HasSuffix(url, "/join#"+token) {
		t.Errorf("%+v, %+v, %s", u, inv, url)
	}
	if !w.bus.heard("user:"+ann.User.String()) || w.audited("user.reset") != 2 {
		t.Error("nobody was told")
	}
	if _, err := w.Invitation(t.Context(), first); fault.KindOf(err) != fault.NotFound {
		t.Errorf("the first invitation: %v", err)
	}
	if _, err := w.Authenticate(t.Context(), api); fault.KindOf(err) != fault.Unauthenticated {
		t.Errorf("an API token: %v", err)
	}
	_, err = w.Me(t.Context(), ann)
	w.ok(err)
	_, err = w.login("ann", "pw", "192.0.2.1")
	w.want(err, fault.Forbidden)
	_, err = w.login("ann", "wrong", "192.0.2.1")
	w.want(err, fault.WrongPassword)
	_, err = w.LoginWithRecovery(t.Context(), account.RecoveryLoginInput{Email: "ann@example.org", RecoveryAuthKey: authKey("code of ann")})
	w.want(err, fault.Forbidden)

	in := joinInput(token, "Ann Again", "new password")
	in.IdentityPublic = bytes.Repeat([]byte{9}, 1216)
	l, err := w.Join(t.Context(), in)
	w.ok(err)
	if l.User.ID != ann.User || l.User.Reset || l.User.Role != actor.Staff || l.User.Name != "Ann Again" || l.User.IdentityPublic[0] != 9 || string(l.Bundle) != string(in.Keys.Bundle) {
		t.Errorf("%+v", l.User)
	}
	_, err = w.Join(t.Context(), in)
	w.want(err, fault.NotFound)
	_, err = w.login("ann", "pw", "192.0.2.1")
	w.want(err, fault.WrongPassword)
	_, err = w.login("ann", "new password", "192.0.2.1")
	w.ok(err)
}

func TestResetIsTakenBack(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	adm, ann := w.person("adm", actor.Admin), w.person("ann", actor.Staff)
	_, inv, token, _, err := w.Reset(t.Context(), adm, ann.User, "ann@example.org")
	w.ok(err)
	w.ok(w.WithdrawInvitation(t.Context(), adm, inv.ID))
	if w.audited("user.reset_withdrawn") != 1 {
		t.Error("not audited")
	}
	_, err = w.Join(t.Context(), joinInput(token, "x", "y"))
	w.want(err, fault.NotFound)
	_, err = w.login("ann", "pw", "192.0.2.1")
	w.ok(err)
	// Of one who is suspended nothing is opened by an invitation.
	_, _, token, _, err = w.Reset(t.Context(), adm, ann.User, "ann@example.org")
	w.ok(err)
	_, err = w.Suspend(t.Context(), adm, ann.User)
	w.ok(err)
	_, err = w.Join(t.Context(), joinInput(token, "x", "y"))
	w.want(err, fault.NotFound)
}

func TestUsersAreFound(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	for email, name := range map[string]string{"ann@example.org": "ann", "bob@example.org": "bob", "umlaut@example.org": "Änne", "joann@example.org": "joann"} {
		_, token, _, err := w.Invite(t.Context(), actor.System(), account.InviteInput{Email: email, Name: name, Role: actor.Staff})
		w.ok(err)
		_, err = w.Join(t.Context(), joinInput(token, name, "pw"))
		w.ok(err)
	}
	find := func(s string) int {
		t.Helper()
		page, err := w.FindUsers(t.Context(), actor.System(), s, 1, "")
		w.ok(err)
		n := len(page.Users)
		for page.HasNext {
			page, err = w.FindUsers(t.Context(), actor.System(), s, 1, page.Users[0].Cursor())
			w.ok(err)
			n += len(page.Users)
		}
		if page.TotalCount != n {
			t.Errorf("%q: %d of %d", s, n, page.TotalCount)
		}
		return n
	}
	for s, want := range map[string]int{"": 4, " ANN ": 2, "ÄNN": 1, "A\u0308nn": 1, "@EXAMPLE": 4, "%": 0, "_": 0, "zzz": 0} {
		if got := find(s); got != want {
			t.Errorf("%q finds %d, want %d", s, got, want)
		}
	}
	for _, bad := range []string{strings.Repeat("a", 201), "a\x00b", "\xff"} {
		_, err := w.FindUsers(t.Context(), actor.System(), bad, 10, "")
		w.want(err, fault.Invalid)
	}
}
