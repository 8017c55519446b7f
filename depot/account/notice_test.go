package account_test

import (
	"strings"
	"testing"
	"time"

	"github.com/holdfast-backup/holdfast/depot/account"
	"github.com/holdfast-backup/holdfast/depot/actor"
	"github.com/holdfast-backup/holdfast/depot/notice"
	"github.com/holdfast-backup/holdfast/wire/fault"
)

// notices returns what somebody was told since the last time, oldest first.
func (w *world) heard(a actor.Actor) string {
	w.t.Helper()
	s := notice.New(notice.Config{DB: w.db})
	p, err := s.List(w.t.Context(), a, notice.Filter{UnreadOnly: true}, 50, "")
	w.ok(err)
	_, err = s.MarkRead(w.t.Context(), a, nil)
	w.ok(err)
	var got []string
	for _, n := range p.Notifications {
		if n.Body == "" {
			w.t.Errorf("%s says nothing", n.Title)
		}
		got = append([]string{n.Kind + " " + n.Title}, got...)
	}
	return strings.Join(got, ", ")
}

func (w *world) same(what, got, want string) {
	w.t.Helper()
	if got != want {
		w.t.Errorf("%s: told %q, want %q", what, got, want)
	}
}

// A login from where somebody usually is says nothing; one from elsewhere does, once.
func TestNewPlacesAreTold(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	ann := w.person("ann", actor.Staff) // at 192.0.2.1
	w.same("joining", w.heard(ann), "")
	in := func(address string) {
		t.Helper()
		_, err := w.login("ann", "pw", address)
		w.ok(err)
	}
	const told = "account.login A login from a new place"
	in("192.0.2.1:4711")
	w.same("the usual place", w.heard(ann), "")
	in("198.51.100.7:1")
	w.same("a new place", w.heard(ann), told)
	if !w.bus.heard(notice.Topic(ann.User)) {
		t.Error("not rung")
	}
	in("198.51.100.7:2")
	w.same("there again", w.heard(ann), "")
	_, err := w.login("ann", "wrong", "203.0.113.9:1")
	w.want(err, fault.WrongPassword)
	w.same("a guess", w.heard(ann), "")
	in("[2001:db8:1:2::3]:1")
	w.same("another network", w.heard(ann), told)
	in("[2001:db8:1:2:ffff::4]:1")
	w.same("the same network", w.heard(ann), "")
	w.clock.pass(91 * 24 * time.Hour) // known places are forgotten by then, whether or not somebody has swept
	in("198.51.100.7:3")
	w.same("after a long time", w.heard(ann), told)
}

func TestCredentialsAreTold(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	ann, root := w.person("ann", actor.Staff), w.person("root", actor.Superuser)
	l, err := w.LoginWithRecovery(t.Context(), account.RecoveryLoginInput{Email: "ann@example.org", RecoveryAuthKey: authKey("code of ann"), Client: "c", Address: "203.0.113.9:1"})
	w.ok(err)
	w.same("recovery", w.heard(ann), "account.recovery Somebody logged in with your recovery code")
	_, err = w.ChangePassword(t.Context(), w.who(l.Token), account.PasswordInput{Keys: keys("new")})
	w.ok(err)
	w.same("a new password", w.heard(ann), "account.password Your password was changed")
	ann = w.who(l.Token)
	_, err = w.ChangePassword(t.Context(), ann, account.PasswordInput{OldAuthKey: authKey("wrong"), Keys: keys("newer")})
	w.want(err, fault.WrongPassword)
	w.same("a refused change", w.heard(ann), "")
	_, err = w.RenewRecovery(t.Context(), ann, account.RenewRecoveryInput{AuthKey: authKey("new"), Recovery: recovery("new code")})
	w.ok(err)
	w.same("a new code", w.heard(ann), "account.recovery Your recovery code was replaced")
	for range 2 {
		_, err = w.SetRole(t.Context(), root, ann.User, actor.Admin)
		w.ok(err)
	}
	w.same("a new role", w.heard(ann), "account.role Your role is now admin")
	w.same("nobody else", w.heard(root), "")
}
