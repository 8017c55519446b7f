package account_test

import (
	"fmt"
	"sync"
	"testing"

	"github.com/holdfast-backup/holdfast/depot/account"
	"github.com/holdfast-backup/holdfast/depot/actor"
	"github.com/holdfast-backup/holdfast/wire/fault"
	"github.com/holdfast-backup/holdfast/wire/id"
)

func TestWhoSeesWhom(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	admin, ann, bob := w.person("admin", actor.Admin), w.person("ann", actor.Staff), w.person("bob", actor.Staff)
	device := actor.Actor{User: ann.User, Device: id.Device{}.New()}
	ids := []id.User{ann.User, bob.User, id.User{}.New()}
	for name, c := range map[string]struct {
		a         actor.Actor
		ann, list fault.Kind
		batch     int // -1: refused
	}{
		"nobody": {actor.Actor{}, fault.Unauthenticated, fault.Unauthenticated, -1},
		"ann":    {ann, "", fault.Forbidden, 1},
		"bob":    {bob, fault.NotFound, fault.Forbidden, 1},
		"admin":  {admin, "", "", 2},
		"device": {device, fault.Forbidden, fault.Forbidden, -1},
		"system": {actor.System(), "", "", 2},
	} {
		check := func(what string, err error, want fault.Kind) {
			t.Helper()
			if err == nil && want != "" || err != nil && fault.KindOf(err) != want {
				t.Errorf("%s, %s: %v, want %q", name, what, err, want)
			}
		}
		_, err := w.User(t.Context(), c.a, ann.User)
		check("user", err, c.ann)
		_, err = w.Users(t.Context(), c.a, 10, "")
		check("users", err, c.list)
		_, err = w.UserByEmail(t.Context(), c.a, "ann@example.org")
		check("by e-mail", err, c.list)
		got, err := w.UsersByID(t.Context(), c.a, ids)
		if (err != nil) != (c.batch < 0) || err == nil && len(got) != c.batch {
			t.Errorf("%s: batch of %d, %v", name, len(got), err)
		}
	}
	_, err := w.User(t.Context(), admin, id.User{}.New())
	w.want(err, fault.NotFound)
	_, err = w.UsersByID(t.Context(), admin, make([]id.User, account.MaxPage+1))
	w.want(err, fault.TooLarge)
}

func TestPagesOfUsers(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	for i := range 7 {
		w.person(fmt.Sprintf("user%d", 6-i), actor.Staff)
	}
	for _, size := range []int{1, 3, 7, 8} {
		n, after := 0, ""
		for {
			page, err := w.Users(t.Context(), actor.System(), size, after)
			w.ok(err)
			if page.TotalCount != 7 {
				t.Fatalf("%d in all", page.TotalCount)
			}
			for _, u := range page.Users {
				if want := fmt.Sprintf("user%d@example.org", n); u.Email != want {
					t.Fatalf("size %d: %s, want %s", size, u.Email, want)
				}
				n++
				after = u.Cursor()
			}
			if !page.HasNext {
				break
			}
		}
		if n != 7 {
			t.Errorf("size %d: %d users", size, n)
		}
	}
	for _, bad := range []string{"!", "AAAA", "_w"} {
		_, err := w.Users(t.Context(), actor.System(), 1, bad)
		w.want(err, fault.Invalid)
	}
	_, err := w.Users(t.Context(), actor.System(), account.MaxPage+1, "")
	w.want(err, fault.Invalid)
}

func TestRoles(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	super, admin, ann := w.person("super", actor.Superuser), w.person("admin", actor.Admin), w.person("ann", actor.Staff)
	_, err := w.SetRole(t.Context(), admin, ann.User, actor.Admin)
	w.want(err, fault.Forbidden)
	_, err = w.SetRole(t.Context(), ann, ann.User, actor.Superuser)
	w.want(err, fault.Forbidden)
	_, err = w.SetRole(t.Context(), super, ann.User, "owner")
	w.want(err, fault.Invalid)
	_, err = w.SetRole(t.Context(), super, id.User{}.New(), actor.Admin)
	w.want(err, fault.NotFound)
	_, err = w.SetRole(t.Context(), super, super.User, actor.Admin)
	w.want(err, fault.Conflict) // the last one
	_, err = w.SetRole(t.Context(), actor.System(), super.User, actor.Staff)
	w.want(err, fault.Conflict)
	u, err := w.SetRole(t.Context(), super, ann.User, actor.Superuser)
	w.ok(err)
	if u.Role != actor.Superuser || !w.bus.heard("user:"+ann.User.String()) {
		t.Errorf("%+v", u)
	}
	// Rights come from the present, not from when the request came in.
	_, err = w.SetRole(t.Context(), actor.System(), super.User, actor.Staff)
	w.ok(err)
	_, err = w.SetRole(t.Context(), super, admin.User, actor.Superuser)
	w.want(err, fault.Forbidden)
	_, _, _, err = w.Invite(t.Context(), super, account.InviteInput{Email: "x@example.org", Name: "X", Role: actor.Staff})
	w.want(err, fault.Forbidden)
	if n := w.audited("user.role"); n != 2 {
		t.Errorf("%d lines in the log", n)
	}
}

func TestSuspend(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	super, admin, ann := w.person("super", actor.Superuser), w.person("admin", actor.Admin), w.person("ann", actor.Staff)
	admin2 := w.person("admin2", actor.Admin)
	l, err := w.login("ann", "pw", "192.0.2.1")
	w.ok(err)
	_, api, err := w.CreateAPIToken(t.Context(), ann, "t", nil)
	w.ok(err)

	for _, c := range []struct {
		a    actor.Actor
		u    id.User
		want fault.Kind
	}{
		{actor.Actor{}, ann.User, fault.Unauthenticated}, {ann, admin.User, fault.Forbidden}, {ann, ann.User, fault.Forbidden},
		{admin, admin2.User, fault.Forbidden}, {admin, super.User, fault.Forbidden}, {admin, admin.User, fault.Conflict},
		{super, super.User, fault.Conflict}, {actor.System(), super.User, fault.Conflict}, {admin, id.User{}.New(), fault.NotFound},
	} {
		_, err := w.Suspend(t.Context(), c.a, c.u)
		w.want(err, c.want)
	}
	u, err := w.Suspend(t.Context(), admin, ann.User)
	w.ok(err)
	if !u.Suspended || !w.bus.heard("user:"+ann.User.String()) {
		t.Errorf("%+v", u)
	}
	for _, token := range []string{l.Token, api} {
		_, err = w.Authenticate(t.Context(), token)
		w.want(err, fault.Unauthenticated)
	}
	_, err = w.login("ann", "wrong", "192.0.2.1")
	w.want(err, fault.WrongPassword)
	_, err = w.login("ann", "pw", "192.0.2.1")
	w.want(err, fault.Forbidden) // said only to who knows the password
	_, err = w.LoginWithRecovery(t.Context(), account.RecoveryLoginInput{Email: "ann@example.org", RecoveryAuthKey: authKey("code of ann")})
	w.want(err, fault.Forbidden)
	_, err = w.Suspend(t.Context(), admin, ann.User) // again: nothing happens
	w.ok(err)
	if n := w.audited("user.suspended"); n != 1 {
		t.Errorf("%d lines in the log", n)
	}

	_, err = w.Suspend(t.Context(), super, admin2.User)
	w.ok(err)
	_, err = w.Resume(t.Context(), admin, admin2.User)
	w.want(err, fault.Forbidden)
	_, err = w.Resume(t.Context(), super, admin2.User)
	w.ok(err)
	_, err = w.Resume(t.Context(), admin, ann.User)
	w.ok(err)
	_, err = w.Authenticate(t.Context(), l.Token)
	w.want(err, fault.Unauthenticated) // ended stays ended
	w.who(api)                         // withdrawn only while suspended
	_, err = w.login("ann", "pw", "192.0.2.1")
	w.ok(err)
}

// Who loses rights loses the invitations that used them.
func TestInvitationsGoWithTheirSender(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.person("super", actor.Superuser)
	for _, lose := range []func(actor.Actor) error{
		func(a actor.Actor) error { _, err := w.Suspend(t.Context(), actor.System(), a.User); return err },
		func(a actor.Actor) error {
			_, err := w.SetRole(t.Context(), actor.System(), a.User, actor.Staff)
			return err
		},
	} {
		bad := w.person("bad"+fmt.Sprint(w.clock.Now().UnixNano()), actor.Superuser)
		_, token, _, err := w.Invite(t.Context(), bad, account.InviteInput{Email: "friend@example.org", Name: "F", Role: actor.Superuser})
		w.ok(err)
		w.ok(lose(bad))
		_, err = w.Join(t.Context(), joinInput(token, "F", "pw"))
		w.want(err, fault.NotFound)
		w.clock.pass(1)
	}
}

// Superusers who demote and suspend one another at the same moment leave one of them.
func TestLastSuperuserUnderConcurrency(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	for round := range 5 {
		people := []actor.Actor{}
		for i := range 4 {
			people = append(people, w.person(fmt.Sprintf("s%d-%d", round, i), actor.Superuser))
		}
		servers := []*account.Service{w.another(), w.another()}
		var wg sync.WaitGroup
		for i, a := range people {
			for j, b := range people {
				wg.Go(func() {
					var err error
					if (i+j)%2 == 0 {
						_, err = servers[i%2].SetRole(t.Context(), a, b.User, actor.Staff)
					} else {
						_, err = servers[i%2].Suspend(t.Context(), a, b.User)
					}
					switch fault.KindOf(err) {
					case fault.Forbidden, fault.Conflict:
					default:
						if err != nil {
							t.Error(err)
						}
					}
				})
			}
		}
		wg.Wait()
		left := 0
		page, err := w.Users(t.Context(), actor.System(), 200, "")
		w.ok(err)
		for _, u := range page.Users {
			if u.Role == actor.Superuser && !u.Suspended {
				left++
				defer w.SetRole(t.Context(), actor.System(), u.ID, actor.Staff)
			}
		}
		if left != 1 {
			t.Fatalf("round %d: %d active superusers are left, want 1", round, left)
		}
	}
}
