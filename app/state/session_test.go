package state

import (
	"testing"

	"github.com/holdfast-backup/holdfast/app/talk"
	"github.com/holdfast-backup/holdfast/wire/fault"
)

func TestStart(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		change func(*world)
		phase  Phase
		err    fault.Kind
	}{
		"somebody with keys":    {func(*world) {}, Open, ""},
		"somebody without keys": {func(w *world) { w.worker[talk.MethodResume] = refuse(fault.NotFound, "none") }, Locked, ""},
		"nobody":                {func(w *world) { w.server["Me"] = refuse(fault.Unauthenticated, "log in") }, LoggedOut, ""},
		"half recovered":        {func(w *world) { w.server["Me"] = refuse(fault.Forbidden, "set a password") }, LoggedOut, fault.Forbidden},
		"no server":             {func(w *world) { w.down = true }, LoggedOut, fault.Unavailable},
	} {
		w := newWorld(t)
		c.change(w)
		s := w.session()
		s.Start()
		await(t, s, func() bool { return s.View().Phase != Starting })
		v := s.View()
		if v.Phase != c.phase || c.err == "" && v.Err != nil || c.err != "" && fault.KindOf(v.Err) != c.err {
			t.Errorf("%s: %+v", name, v)
		}
	}
}

func TestLogin(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	entered := make(chan struct{}, 1)
	s := w.session()
	s.Entered = func() { entered <- struct{}{} }
	w.server["Me"] = refuse(fault.Unauthenticated, "log in")
	s.Start()
	await(t, s, func() bool { return s.View().Phase == LoggedOut })
	s.Login("ada@example.org", "a password", "")
	await(t, s, func() bool { return s.View().Phase == Open })
	<-entered
	if v := s.View(); v.Busy || v.User.Email != "ada@example.org" || v.Admin() || v.Superuser() {
		t.Errorf("%+v", v)
	}
	if got := w.last(talk.MethodOpen); got != `{"bundle":"YnVuZGxl","identityPublic":"aWQ=","user":"usr_1"}` {
		t.Error(got)
	}
	if got := w.last("Login"); got != `{"input":{"authKey":"cHJvb2Y=","client":"Holdfast in a browser","code":null,"cookie":true,"email":"ada@example.org"}}` {
		t.Error(got) // and nothing of the password
	}
}

func TestLoginFails(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		change func(*world)
		email  string
		kind   fault.Kind
	}{
		"nothing typed":    {func(*world) {}, "", fault.Invalid},
		"no server":        {func(w *world) { w.down = true }, "a@b", fault.Unavailable},
		"weak parameters":  {func(w *world) { w.worker[talk.MethodDerive] = refuse(fault.Invalid, "too weak") }, "a@b", fault.Invalid},
		"wrong password":   {func(w *world) { w.server["Login"] = refuse(fault.WrongPassword, "wrong") }, "a@b", fault.WrongPassword},
		"a foreign bundle": {func(w *world) { w.worker[talk.MethodOpen] = refuse(fault.Internal, "swapped") }, "a@b", fault.Internal},
	} {
		w := newWorld(t)
		c.change(w)
		s := w.session()
		s.Login(c.email, "a password", "")
		await(t, s, func() bool { return s.View().Err != nil })
		if v := s.View(); fault.KindOf(v.Err) != c.kind || v.Busy || v.Phase == Open {
			t.Errorf("%s: %+v", name, v)
		}
	}
}

func TestOneLoginAtATime(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	hold := make(chan struct{})
	w.server["LoginParams"] = func(map[string]any) (string, error) {
		<-hold
		return "", fault.New(fault.TooMany, "wait")
	}
	s := w.session()
	s.Login("a@b", "x", "")
	s.Login("a@b", "x", "")
	close(hold)
	await(t, s, func() bool { return s.View().Err != nil })
	n := 0
	for _, a := range w.asked {
		if a == "LoginParams" {
			n++
		}
	}
	if n != 1 {
		t.Errorf("asked %d times", n)
	}
}

func TestLockAndUnlock(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	s := w.in()
	s.Lock()
	if s.View().Phase != Locked {
		t.Fatal("not locked at once")
	}
	w.set(w.server, "Login", refuse(fault.WrongPassword, "wrong"))
	s.Unlock("no", "")
	await(t, s, func() bool { return s.View().Err != nil })
	if s.View().Phase != Locked || s.View().User == nil {
		t.Fatalf("%+v", s.View())
	}
	w.set(w.server, "Login", say(`{"login":`+adaIn+`}`))
	s.Unlock("yes", "")
	await(t, s, func() bool { return s.View().Phase == Open })
	if got := w.last("EndSession"); got != `{"input":{"id":"ses_1"}}` {
		t.Errorf("the login before was not ended: %s", got)
	}
	w.set(w.server, "Access", refuse(fault.Unavailable, "later"))
	s.Lock()
	s.Unlock("yes", "") // without knowing the login before
	await(t, s, func() bool { return s.View().Phase == Open })
}

func TestUnlockNobody(t *testing.T) {
	t.Parallel()
	s := newWorld(t).session()
	s.Unlock("x", "")
	await(t, s, func() bool { return s.View().Err != nil })
	fails(t, s.View().Err, fault.Conflict, "reload")
}

func TestLockedElsewhere(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	s := w.in()
	close(w.locked)
	await(t, s, func() bool { return s.View().Phase == Locked })
}

func TestLogout(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	s := w.in()
	w.set(w.server, "Logout", refuse(fault.Unavailable, "later"))
	s.Logout()
	await(t, s, func() bool { return s.View().Err != nil })
	if s.View().Phase != Locked || !w.was(talk.MethodLock) {
		t.Errorf("%+v", s.View())
	}
	w.set(w.server, "Logout", refuse(fault.Unauthenticated, "over"))
	s.Logout()
	await(t, s, func() bool { return s.View().Phase == LoggedOut })
}

func TestTheServerEndsTheSession(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	s := w.in()
	w.set(w.server, "Access", refuse(fault.Unauthenticated, "over"))
	dropped := make(chan struct{})
	w.set(w.worker, talk.MethodLock, func(map[string]any) (string, error) {
		close(dropped)
		return "null", nil
	})
	NewProfile(s).Load()
	await(t, s, func() bool { return s.View().Phase == LoggedOut })
	fails(t, s.View().Err, fault.Unauthenticated, "log in again")
	<-dropped
}
