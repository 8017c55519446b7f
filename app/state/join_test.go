package state

import (
	"slices"
	"strings"
	"testing"

	"github.com/holdfast-backup/holdfast/app/talk"
	"github.com/holdfast-backup/holdfast/wire/fault"
)

// back returns the groups that are asked for, as somebody types them who was careless about the rest.
func back(code string, ask []int) (typed []string) {
	for _, g := range ask {
		typed = append(typed, " "+strings.ToLower(CodeGroups(code)[g]))
	}
	return typed
}

func TestJoin(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	s := w.session()
	j := NewJoin(s, "hfi_x")
	j.Make("", "Ada", "a password")
	await(t, j, func() bool { return j.View().Err != nil })
	fails(t, j.View().Err, fault.Conflict, "not loaded")
	j.Confirm(nil)
	await(t, j, func() bool { return !j.View().Busy })
	fails(t, j.View().Err, fault.Conflict, "no code")
	j.Kept()
	if j.View().Step != JoinForm {
		t.Error("a code was kept that there is not")
	}

	j.Load()
	await(t, j, func() bool { return j.View().Offer.Status == Ready })
	for _, c := range []struct{ name, password, word string }{{" ", "x", "your name"}, {"Ada", "", "choose a password"}} {
		j.Make("", c.name, c.password)
		await(t, j, func() bool { return !j.View().Busy })
		fails(t, j.View().Err, fault.Invalid, c.word)
	}
	good := w.worker[talk.MethodCreate]
	w.set(w.worker, talk.MethodCreate, refuse(fault.Invalid, "easily guessed"))
	j.Make("", "Ada", "a password")
	await(t, j, func() bool { return !j.View().Busy })
	fails(t, j.View().Err, fault.Invalid, "guessed")

	w.set(w.worker, talk.MethodCreate, good)
	j.Make("other@example.org", " Ada ", "a password")
	await(t, j, func() bool { return j.View().Step == JoinCode })
	if got := w.last(talk.MethodCreate); got != `{"password":"a password","words":["ada@example.org"," Ada ","holdfast"]}` {
		t.Error(got)
	}
	if w.was("Join") {
		t.Error("the account was made before its code was typed back")
	}
	j.Kept()
	v := j.View()
	if len(v.Ask) != asked || !slices.IsSorted(v.Ask) || v.Code != theCode {
		t.Errorf("%+v", v)
	}
	j.Confirm([]string{"nope"})
	await(t, j, func() bool { return !j.View().Busy })
	fails(t, j.View().Err, fault.Invalid, "is not as it was shown")
	j.Confirm(back(v.Code, v.Ask)[:asked-1])
	await(t, j, func() bool { return !j.View().Busy })
	fails(t, j.View().Err, fault.Invalid, "type group")
	j.Back()
	if v := j.View(); v.Step != JoinCode || v.Err != nil || v.Code != theCode {
		t.Errorf("%+v", v)
	}
	j.Kept()
	v = j.View()

	joined := w.server["Join"]
	w.set(w.server, "Join", refuse(fault.NotFound, "this invitation is not valid (any more)"))
	j.Confirm(back(v.Code, v.Ask))
	await(t, j, func() bool { return !j.View().Busy })
	fails(t, j.View().Err, fault.NotFound, "not valid")
	w.set(w.server, "Join", joined)
	w.set(w.worker, talk.MethodOpen, refuse(fault.Internal, "damaged"))
	j.Confirm(back(v.Code, v.Ask))
	await(t, j, func() bool { return !j.View().Busy })
	fails(t, j.View().Err, fault.Internal, "damaged")
	w.set(w.worker, talk.MethodOpen, say("null"))
	j.Confirm(back(v.Code, v.Ask))
	await(t, s, func() bool { return s.View().Phase == Open })
	await(t, j, func() bool { return j.View().Code == "" })
	if !s.View().Joined {
		t.Error("the session does not know that its account is new")
	}
	sent := w.last("Join")
	for _, secret := range []string{"a password", theCode} {
		if strings.Contains(sent, secret) {
			t.Errorf("the server was told %q", secret)
		}
	}
	if !strings.Contains(sent, `"email":null`) || !strings.Contains(sent, `"name":"Ada"`) || !strings.Contains(sent, `"cookie":true`) {
		t.Error(sent)
	}
}

func TestJoinWithoutAnAddress(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.server["InvitationOffer"] = say(`{"invitation":{"email":null,"name":null,"role":"SUPERUSER","expiresAt":"2026-12-01T00:00:00Z"}}`)
	j := NewJoin(w.session(), "hfi_x")
	j.Load()
	await(t, j, func() bool { return j.View().Offer.Status == Ready })
	for _, email := range []string{"", "ada", "@example.org", "ada@"} {
		j.Make(email, "Ada", "a password")
		await(t, j, func() bool { return !j.View().Busy })
		fails(t, j.View().Err, fault.Invalid, "e-mail address")
	}
	j.Make(" ada@example.org ", "Ada", "a password")
	await(t, j, func() bool { return j.View().Step == JoinCode })
	j.Kept()
	j.Confirm(back(j.View().Code, j.View().Ask))
	await(t, j, func() bool { return w.was("Join") && !j.View().Busy })
	if !strings.Contains(w.last("Join"), `"email":"ada@example.org"`) {
		t.Error(w.last("Join"))
	}
}

func TestInvitationThatIsGone(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.server["InvitationOffer"] = refuse(fault.NotFound, "this invitation is not valid (any more)")
	j := NewJoin(w.session(), "hfi_x")
	j.Load()
	await(t, j, func() bool { return j.View().Offer.Status == Failed })
	fails(t, j.View().Offer.Err, fault.NotFound, "not valid")
}

func TestJudge(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	j := NewJoin(w.session(), "hfi_x")
	j.Judge("ada@example.org", "Ada", "a password")
	await(t, j, func() bool { return j.View().Strength.Known })
	if s := j.View().Strength; s.Score != 3 || s.Sentence != "Not in a lifetime." {
		t.Errorf("%+v", s)
	}
	j.Judge("ada@example.org", "Ada", "")
	await(t, j, func() bool { return !j.View().Strength.Known })
}

// What is typed while the worker thinks waits, and only the newest of it is judged.
func TestJudgeKeepsUp(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	var seen []any
	began, hold := make(chan struct{}, 10), make(chan struct{})
	w.worker[talk.MethodStrength] = func(in map[string]any) (string, error) {
		seen = append(seen, in["password"])
		began <- struct{}{}
		<-hold
		if in["password"] == "one" {
			return "", fault.New(fault.Internal, "the worker stumbled")
		}
		return `{"score":4,"sentence":"."}`, nil
	}
	j := NewJoin(w.session(), "hfi_x")
	j.Judge("", "", "one")
	<-began
	j.Judge("", "", "two")
	j.Judge("", "", "three")
	close(hold)
	await(t, j, func() bool { return j.View().Strength.Score == 4 })
	if !slices.Equal(seen, []any{"one", "three"}) {
		t.Error(seen)
	}
}

func TestCodes(t *testing.T) {
	t.Parallel()
	if CodeGroups("") != nil || len(CodeGroups(theCode)) != 8 {
		t.Error("groups")
	}
	if got := plainCode(" o0-il1\u2013uv. "); got != "00111VV" {
		t.Error(got)
	}
	if len(askGroups("AAAAA")) != 1 {
		t.Error("more groups are asked for than there are")
	}
}

func TestRecover(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	s := w.session()
	r := NewRecover(s)
	wait := func() { await(t, r, func() bool { return !r.View().Busy }) }
	r.Code("", "x", "")
	wait()
	fails(t, r.View().Err, fault.Invalid, "type your e-mail")
	r.Password("x")
	wait()
	fails(t, r.View().Err, fault.Conflict, "code first")
	r.Judge("x") // nobody's: nothing happens

	w.set(w.worker, talk.MethodDeriveRecovery, refuse(fault.Invalid, "The recovery code is mistyped: look at group 3."))
	r.Code("ada@example.org", theCode, "")
	wait()
	fails(t, r.View().Err, fault.Invalid, "group 3")
	w.set(w.worker, talk.MethodDeriveRecovery, say(`{"authKey":"cHJvb2Y="}`))
	in := w.server["LoginWithRecovery"]
	w.set(w.server, "LoginWithRecovery", refuse(fault.WrongPassword, "wrong"))
	r.Code("ada@example.org", theCode, "")
	wait()
	fails(t, r.View().Err, fault.WrongPassword, "wrong")
	w.set(w.server, "LoginWithRecovery", in)
	w.set(w.worker, talk.MethodOpen, refuse(fault.Internal, "damaged"))
	r.Code("ada@example.org", theCode, "")
	wait()
	fails(t, r.View().Err, fault.Internal, "damaged")
	w.set(w.worker, talk.MethodOpen, say("null"))
	r.Code(" ada@example.org ", theCode, "")
	wait()
	if r.View().User == nil || s.View().Phase == Open {
		t.Fatalf("%+v", r.View())
	}
	if strings.Contains(w.last("LoginWithRecovery"), theCode) {
		t.Error("the server was told the code")
	}

	r.Judge("another password")
	await(t, r, func() bool { return r.View().Strength.Known })
	r.Password("")
	wait()
	fails(t, r.View().Err, fault.Invalid, "choose a new password")
	w.set(w.worker, talk.MethodRewrap, refuse(fault.Invalid, "easily guessed"))
	r.Password("x")
	wait()
	fails(t, r.View().Err, fault.Invalid, "guessed")
	w.set(w.worker, talk.MethodRewrap, say(`{"params":{},"authKey":"bmV3","bundle":"YnVuZGxl"}`))
	ok := w.server["ChangePassword"]
	w.set(w.server, "ChangePassword", refuse(fault.Forbidden, "served already"))
	r.Password("another password")
	wait()
	fails(t, r.View().Err, fault.Forbidden, "served")
	w.set(w.server, "ChangePassword", ok)
	r.Password("another password")
	await(t, s, func() bool { return s.View().Phase == Open })
	if !strings.Contains(w.last("ChangePassword"), `"oldAuthKey":null`) {
		t.Error(w.last("ChangePassword"))
	}
	wait()
	r.Leave()
	if w.was("Logout") {
		t.Error("whoever is in was logged out for leaving the door")
	}
}

func TestRecoverHalfWay(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.server["Me"] = refuse(fault.Unauthenticated, "log in")
	s := w.session()
	r := NewRecover(s)
	r.Code("ada@example.org", theCode, "")
	await(t, r, func() bool { return r.View().User != nil })
	out := make(chan struct{})
	w.set(w.server, "Logout", func(map[string]any) (string, error) {
		close(out)
		return `{"logout":{"ok":true}}`, nil
	})
	// It is left while the new password is on its way: the password counts, and nobody is in.
	w.set(w.server, "ChangePassword", func(map[string]any) (string, error) {
		r.Leave()
		return `{"changePassword":{"user":` + ada + `}}`, nil
	})
	r.Password("another password")
	await(t, r, func() bool { return r.View().Err != nil })
	fails(t, r.View().Err, fault.Conflict, "log in with it")
	<-out
	if s.View().Phase == Open {
		t.Error("somebody is in")
	}
}
