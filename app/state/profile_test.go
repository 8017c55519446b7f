package state

import (
	"strings"
	"testing"

	"github.com/holdfast-backup/holdfast/app/talk"
	"github.com/holdfast-backup/holdfast/wire/fault"
)

// profileOf returns a profile that is loaded, and what waits until its form is done.
func profileOf(t *testing.T, w *world) (*Profile, func()) {
	p := NewProfile(w.in())
	p.Load()
	await(t, p, func() bool { return p.View().Tokens.Status == Ready })
	return p, func() {
		t.Helper()
		await(t, p, func() bool { return p.View().Busy == "" })
	}
}

func TestProfile(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	p, wait := profileOf(t, w)
	if v := p.View(); len(v.Sessions.Value) != 1 || !v.Sessions.Value[0].Current || v.Tokens.Value[0].Name != "Monitoring" {
		t.Errorf("%+v", v)
	}
	p.Rename(" ")
	wait()
	fails(t, p.View().Err[FormName], fault.Invalid, "your name")
	p.Rename("Ada L.")
	wait()
	if p.View().Err[FormName] != nil || p.View().Done[FormName] != 1 || p.session.View().User.Name != "Ada L." {
		t.Errorf("%+v", p.View())
	}
	w.set(w.server, "UpdateProfile", refuse(fault.Invalid, "name: at most 200 characters"))
	p.Rename("Ada")
	wait()
	fails(t, p.View().Err[FormName], fault.Invalid, "at most")

	p.EndSession("ses_2")
	wait()
	if got := w.last("EndSession"); got != `{"input":{"id":"ses_2"}}` {
		t.Error(got)
	}
	w.set(w.server, "EndSession", refuse(fault.NotFound, "it has ended"))
	p.EndSession("ses_2")
	wait()
	fails(t, p.View().Err[FormSession], fault.NotFound, "ended")

	w.set(w.server, "Access", refuse(fault.Unavailable, "later"))
	p.Load()
	await(t, p, func() bool { return p.View().Sessions.Err != nil })
	if v := p.View(); v.Sessions.Status != Ready || len(v.Tokens.Value) != 1 {
		t.Error("what was loaded is gone because it could not be loaded again")
	}
}

func TestTokens(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	p, wait := profileOf(t, w)
	p.CreateToken(" ", 0)
	wait()
	fails(t, p.View().Err[FormToken], fault.Invalid, "name the program")
	p.CreateToken("Monitoring", 0)
	wait()
	if p.View().Secret != "hfa_secret" || !strings.Contains(w.last("CreateApiToken"), `"expiresAt":null`) {
		t.Errorf("%s: %s", p.View().Secret, w.last("CreateApiToken"))
	}
	p.Seen()
	if p.View().Secret != "" {
		t.Error("the token is still on the screen")
	}
	p.CreateToken("Monitoring", 30)
	wait()
	if strings.Contains(w.last("CreateApiToken"), `"expiresAt":null`) {
		t.Error(w.last("CreateApiToken"))
	}
	w.set(w.server, "CreateApiToken", refuse(fault.Conflict, "the limit"))
	p.CreateToken("Monitoring", 30)
	wait()
	fails(t, p.View().Err[FormToken], fault.Conflict, "limit")
	p.RevokeToken("tok_1")
	wait()
	if p.View().Done[FormRevoke] != 1 {
		t.Errorf("%+v", p.View())
	}
	w.set(w.server, "RevokeApiToken", refuse(fault.NotFound, "no such"))
	p.RevokeToken("tok_1")
	wait()
	fails(t, p.View().Err[FormRevoke], fault.NotFound, "no such")
}

func TestSetPassword(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	p, wait := profileOf(t, w)
	for _, c := range []struct{ old, new, word string }{{"", "x", "present password"}, {"x", "", "new password"}} {
		p.SetPassword(c.old, c.new)
		wait()
		fails(t, p.View().Err[FormPassword], fault.Invalid, c.word)
	}
	p.Judge("another password")
	await(t, p, func() bool { return p.View().Strength.Known })
	p.SetPassword("a password", "another password")
	wait()
	if p.View().Done[FormPassword] != 1 || p.View().Strength.Known {
		t.Errorf("%+v", p.View())
	}
	sent := w.last("ChangePassword")
	if !strings.Contains(sent, `"oldAuthKey":"cHJvb2Y="`) || !strings.Contains(sent, `"authKey":"bmV3"`) || strings.Contains(sent, "password\":\"") {
		t.Error(sent)
	}
	w.set(w.server, "ChangePassword", refuse(fault.WrongPassword, "the password is wrong"))
	p.SetPassword("b", "another password")
	wait()
	fails(t, p.View().Err[FormPassword], fault.WrongPassword, "wrong")
	w.set(w.server, "LoginParams", refuse(fault.Unavailable, "later"))
	p.SetPassword("b", "another password")
	wait()
	fails(t, p.View().Err[FormPassword], fault.Unavailable, "later")
}

func TestRenewRecovery(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	p, wait := profileOf(t, w)
	p.Confirm(nil)
	wait()
	fails(t, p.View().Err[FormConfirm], fault.Conflict, "make one first")
	p.NewCode("")
	wait()
	fails(t, p.View().Err[FormCode], fault.Invalid, "present password")
	made := w.worker[talk.MethodNewRecovery]
	w.set(w.worker, talk.MethodNewRecovery, refuse(fault.Unauthenticated, "the keys are locked"))
	p.NewCode("a password")
	wait()
	fails(t, p.View().Err[FormCode], fault.Unauthenticated, "locked")
	w.set(w.worker, talk.MethodNewRecovery, made)
	p.NewCode("a password")
	wait()
	p.Kept()
	v := p.View()
	if v.Code != theCode || len(v.Ask) != asked {
		t.Fatalf("%+v", v)
	}
	p.Confirm([]string{"x", "y", "z"})
	wait()
	fails(t, p.View().Err[FormConfirm], fault.Invalid, "as it was shown")
	if w.was("RenewRecovery") {
		t.Error("the old code was given up before the new one was kept")
	}
	p.Show()
	if p.View().Ask != nil {
		t.Error("the code is not shown once more")
	}
	p.Kept()
	ok := w.server["RenewRecovery"]
	w.set(w.server, "RenewRecovery", refuse(fault.WrongPassword, "the password is wrong"))
	p.Confirm(back(theCode, p.View().Ask))
	wait()
	fails(t, p.View().Err[FormConfirm], fault.WrongPassword, "wrong")
	p.Forget()
	if v := p.View(); v.Code != "" || v.Err[FormConfirm] != nil {
		t.Errorf("%+v", v)
	}
	w.set(w.server, "RenewRecovery", ok)
	p.NewCode("a password")
	wait()
	p.Kept()
	p.Confirm(back(theCode, p.View().Ask))
	wait()
	if v := p.View(); v.Code != "" || v.Done[FormConfirm] != 1 || strings.Contains(w.last("RenewRecovery"), theCode) {
		t.Errorf("%+v: %s", v, w.last("RenewRecovery"))
	}
}

func TestProfileOfNobody(t *testing.T) {
	t.Parallel()
	p := NewProfile(newWorld(t).session())
	p.Judge("x")
	p.NewCode("x")
	await(t, p, func() bool { return p.View().Busy == "" })
	fails(t, p.View().Err[FormCode], fault.Conflict, "nobody")
}

func TestOneFormAtATime(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	p, wait := profileOf(t, w)
	hold := make(chan struct{})
	w.set(w.server, "EndSession", func(map[string]any) (string, error) {
		<-hold
		return `{"endSession":{"id":"ses_1"}}`, nil
	})
	p.EndSession("ses_1")
	p.Rename("Ada L.")
	close(hold)
	wait()
	if v := p.View(); v.Done[FormSession] != 1 || v.Done[FormName] != 0 {
		t.Errorf("%+v", v.Done)
	}
}
