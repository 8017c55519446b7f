package state

import (
	"strings"
	"testing"

	"github.com/holdfast-backup/holdfast/wire/fault"
)

// wantsCode answers a login as the server does of an account that has a second factor.
func wantsCode(code, in string) func(map[string]any) (string, error) {
	return func(vars map[string]any) (string, error) {
		switch vars["input"].(map[string]any)["code"] {
		case nil:
			return "", fault.New(fault.SecondFactor, "type the code")
		case code:
			return in, nil
		}
		return "", fault.New(fault.SecondFactor, "this code is wrong")
	}
}

func TestLoginWithASecondFactor(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.server["Me"] = refuse(fault.Unauthenticated, "log in")
	w.server["Login"] = wantsCode("123456", `{"login":`+adaIn+`}`)
	s := w.session()
	s.Start()
	await(t, s, func() bool { return s.View().Phase == LoggedOut })
	s.Login("ada@example.org", "a password", "")
	await(t, s, func() bool { return s.View().CodeAsked && !s.View().Busy })
	if err := s.View().Err; err != nil {
		t.Errorf("that a code is asked for is shown as a mistake: %v", err)
	}
	s.Login("ada@example.org", "a password", "000000")
	await(t, s, func() bool { return s.View().Err != nil })
	fails(t, s.View().Err, fault.SecondFactor, "wrong")
	if !s.View().CodeAsked {
		t.Error("no further code is asked for")
	}
	s.ForgetCode()
	if s.View().CodeAsked || s.View().Err != nil {
		t.Errorf("%+v", s.View())
	}
	s.Login("ada@example.org", "a password", " 123456 ")
	await(t, s, func() bool { return s.View().Phase == Open })
	if s.View().CodeAsked {
		t.Error("a code is still asked for")
	}
	w.set(w.server, "Login", wantsCode("654321", `{"login":`+adaIn+`}`))
	s.Lock()
	s.Unlock("a password", "")
	await(t, s, func() bool { return s.View().CodeAsked && !s.View().Busy })
	w.set(w.server, "Login", refuse(fault.WrongPassword, "wrong"))
	s.Unlock("a passwort", "654321")
	await(t, s, func() bool { return s.View().Err != nil })
	if s.View().CodeAsked {
		t.Error("a code is asked for though the password is wrong")
	}
}

func TestRecoverWithASecondFactor(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.server["Me"] = refuse(fault.Unauthenticated, "log in")
	w.server["LoginWithRecovery"] = wantsCode("123456", `{"loginWithRecovery":`+adaIn+`}`)
	r := NewRecover(w.session())
	r.Code("ada@example.org", theCode, "")
	await(t, r, func() bool { return r.View().CodeAsked && !r.View().Busy })
	if err := r.View().Err; err != nil {
		t.Errorf("that a code is asked for is shown as a mistake: %v", err)
	}
	r.ForgetCode()
	if r.View().CodeAsked {
		t.Error("no way back")
	}
	r.Code("ada@example.org", theCode, "123456")
	await(t, r, func() bool { return r.View().User != nil })
}

func TestSecondFactorIsSetUp(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	p, wait := profileOf(t, w)
	p.BeginFactor("")
	wait()
	fails(t, p.View().Err[FormBegin], fault.Invalid, "present password")
	w.set(w.server, "BeginSecondFactor", refuse(fault.Conflict, "on already"))
	p.BeginFactor("a password")
	wait()
	fails(t, p.View().Err[FormBegin], fault.Conflict, "on already")
	w.set(w.server, "BeginSecondFactor", say(`{"beginSecondFactor":{"secret":"ABCDEFGH","uri":"otpauth://totp/x"}}`))
	p.BeginFactor("a password")
	wait()
	if s := p.View().Setup; s == nil || s.URI != "otpauth://totp/x" || SecretGroups(s.Secret) != "ABCD EFGH" {
		t.Fatalf("%+v", s)
	}
	p.ConfirmFactor(" ")
	wait()
	fails(t, p.View().Err[FormFactor], fault.Invalid, "type the code")
	w.set(w.server, "Access", say(`{"me":{"id":"usr_1","backupCodesLeft":10,"sessions":[],"apiTokens":[]}}`))
	p.ConfirmFactor("123456")
	wait()
	v := p.View()
	if v.Setup != nil || len(v.BackupCodes) != 1 || v.CodesLeft != 10 || !p.session.View().User.SecondFactor {
		t.Errorf("%+v", v)
	}
	p.ForgetFactor()
	if p.View().BackupCodes != nil {
		t.Error("the codes are still on the screen")
	}
	p.RenewBackupCodes("a password", "")
	wait()
	fails(t, p.View().Err[FormBackup], fault.Invalid, "second factor")
	p.RenewBackupCodes("a password", "123456")
	wait()
	if l := p.View().BackupCodes; len(l) != 1 || l[0] != "CCCCC-DDDDD" {
		t.Errorf("%v", l)
	}
	w.set(w.server, "RenewBackupCodes", refuse(fault.SecondFactor, "wrong code"))
	p.RenewBackupCodes("a password", "000000")
	wait()
	fails(t, p.View().Err[FormBackup], fault.SecondFactor, "wrong code")
	p.DisableFactor("a password", "")
	wait()
	fails(t, p.View().Err[FormDisable], fault.Invalid, "second factor")
	p.DisableFactor("a password", "123456")
	wait()
	if p.session.View().User.SecondFactor || p.View().Done[FormDisable] != 1 {
		t.Errorf("%+v", p.session.View().User)
	}
	w.set(w.server, "DisableSecondFactor", refuse(fault.Conflict, "not on"))
	p.DisableFactor("a password", "123456")
	wait()
	fails(t, p.View().Err[FormDisable], fault.Conflict, "not on")
	w.set(w.server, "ConfirmSecondFactor", refuse(fault.Invalid, "code: not the code"))
	p.ConfirmFactor("1")
	wait()
	fails(t, p.View().Err[FormFactor], fault.Invalid, "not the code")
}

func TestEmailIsChanged(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	p, wait := profileOf(t, w)
	for _, c := range []struct{ email, password, word string }{{" ", "x", "new address"}, {"ada@example.com", "", "present password"}} {
		p.ChangeEmail(c.email, c.password, "")
		wait()
		fails(t, p.View().Err[FormEmail], fault.Invalid, c.word)
	}
	p.ChangeEmail(" ada@example.com", "a password", "")
	wait()
	if p.View().Done[FormEmail] != 1 || p.session.View().User.Email != "ada@example.com" || !strings.Contains(w.last("ChangeEmail"), `"code":null,"email":"ada@example.com"`) {
		t.Errorf("%+v, %s", p.View(), w.last("ChangeEmail"))
	}
	if p.View().PendingEmail != "" {
		t.Error("it waits")
	}
	w.set(w.server, "ChangeEmail", refuse(fault.Conflict, "cannot be used"))
	p.ChangeEmail("bob@example.com", "a password", "")
	wait()
	fails(t, p.View().Err[FormEmail], fault.Conflict, "cannot be used")
}

// Where the server sends mail, a new address waits for the code that goes to it.
func TestEmailWaitsForItsCode(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.set(w.server, "ChangeEmail", say(`{"changeEmail":{"waits":true,"user":`+ada+`}}`))
	p, wait := profileOf(t, w)
	begin := func() {
		t.Helper()
		p.ChangeEmail("ada@example.net", "a password", "")
		wait()
		if p.View().PendingEmail != "ada@example.net" || p.session.View().User.Email != "ada@example.org" {
			t.Errorf("%+v, %s", p.View(), p.session.View().User.Email)
		}
	}
	begin()
	p.ConfirmEmail(" ")
	wait()
	fails(t, p.View().Err[FormEmailCode], fault.Invalid, "code from the mail")
	p.CancelEmail()
	wait()
	if v := p.View(); v.PendingEmail != "" || v.Done[FormEmailStop] != 1 || v.Err[FormEmailCode] != nil {
		t.Errorf("%+v", v)
	}
	begin()
	w.set(w.server, "ConfirmEmail", refuse(fault.Invalid, "code: not the code"))
	p.ConfirmEmail("AAAA-AAAA")
	wait()
	fails(t, p.View().Err[FormEmailCode], fault.Invalid, "not the code")
	w.set(w.server, "ConfirmEmail", say(`{"confirmEmail":{"user":`+strings.Replace(ada, "ada@example.org", "ada@example.net", 1)+`}}`))
	p.ConfirmEmail("BBBB-BBBB")
	wait()
	if v := p.View(); v.PendingEmail != "" || v.Done[FormEmailCode] != 1 || p.session.View().User.Email != "ada@example.net" || !strings.Contains(w.last("ConfirmEmail"), "BBBB-BBBB") {
		t.Errorf("%+v", v)
	}
	w.set(w.server, "Access", say(`{"me":{"id":"usr_1","backupCodesLeft":0,"pendingEmail":"ada@example.com","sessions":[],"apiTokens":[]}}`))
	p.Load() // as on another day: the server remembers
	await(t, p, func() bool { return p.View().PendingEmail == "ada@example.com" })
}

// An administrator of whom a second factor is wanted while the page is open: the first refusal says so, and who they are is read again.
func TestUnprovenIsTaken(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	s := w.in()
	entered := make(chan struct{}, 2)
	s.Entered = func() { entered <- struct{}{} }
	w.set(w.server, "Me", say(`{"me":`+strings.Replace(ada, `"STAFF"`, `"ADMIN","unproven":true`, 1)+`}`))
	w.set(w.server, "Access", refuse(fault.FactorMissing, "a second factor is needed"))
	p := NewProfile(s)
	p.Load()
	await(t, s, func() bool { return s.View().User.Unproven })
	<-entered // the socket is opened again
	await(t, p, func() bool { return p.View().Sessions.Err != nil })
	fails(t, p.View().Sessions.Err, fault.FactorMissing, "needed")
	p.BeginFactor("a password")
	await(t, p, func() bool { return p.View().Setup != nil })
	w.set(w.server, "Access", say(`{"me":{"id":"usr_1","backupCodesLeft":10,"sessions":[],"apiTokens":[]}}`))
	p.ConfirmFactor("123456")
	await(t, p, func() bool { return p.View().BackupCodes != nil })
	if s.View().User.Unproven {
		t.Error("it is on, and wanted all the same")
	}
}

// Somebody becomes an administrator while the page is open: the session knows at once.
func TestANewRoleIsTaken(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	s := w.in()
	entered := make(chan struct{}, 4)
	s.Entered = func() { entered <- struct{}{} }
	n := NewNotices(w.client(), w, &Toasts{})
	n.Told = s.Told
	n.Start()
	await(t, n, func() bool { return n.View().Newest.Status == Ready })
	w.set(w.server, "Me", say(`{"me":`+strings.Replace(ada, "STAFF", "ADMIN", 1)+`}`))
	event := func(kind string) string {
		return `{"notificationChanges":{"unreadCount":3,"notification":` + strings.Replace(noticeJSON("ntc_3"), "run.failed", kind, 1) + `}}`
	}
	w.tell(event("run.failed"), nil)
	if s.View().Admin() {
		t.Error("a failed run made an administrator")
	}
	w.tell(event("account.role"), nil)
	await(t, s, func() bool { return s.View().Admin() })
	<-entered
	// The connection was away meanwhile: what it missed is found by its count.
	w.set(w.server, "Me", say(`{"me":`+strings.Replace(ada, "STAFF", "SUPERUSER", 1)+`}`))
	w.set(w.server, "Notices", say(strings.Replace(notices(false, "ntc_4", "ntc_3"), "run.failed", "account.role", 1)))
	w.tell(`{"notificationChanges":{"unreadCount":9,"notification":null}}`, nil)
	await(t, s, func() bool { return s.View().Superuser() })
	<-entered
	w.set(w.server, "Me", refuse(fault.Unavailable, "not now"))
	s.Told("account.email")
	if !s.View().Admin() {
		t.Error("the role is gone because it could not be read")
	}
}

// TestARoleThatIsNewerThanThePage is taken from the first notices: the account was read before them.
func TestARoleThatIsNewerThanThePage(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	s := w.in()
	w.set(w.server, "Me", say(`{"me":`+strings.Replace(ada, "STAFF", "ADMIN", 1)+`}`))
	w.set(w.server, "Notices", say(strings.Replace(notices(false, "ntc_2", "ntc_1"), "run.failed", "account.role", 1)))
	n := NewNotices(w.client(), w, &Toasts{})
	n.Told = s.Told
	n.Start()
	await(t, s, func() bool { return s.View().Admin() })
}
