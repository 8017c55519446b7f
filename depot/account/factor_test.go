package account_test

import (
	"net/url"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/pquerna/otp/totp"

	"github.com/holdfast-backup/holdfast/depot/account"
	"github.com/holdfast-backup/holdfast/depot/actor"
	"github.com/holdfast-backup/holdfast/wire/fault"
)

// phone shows codes.
type phone struct {
	w      *world
	secret string
	backup []string
}

// code is what the phone shows now.
func (p *phone) code() string { return p.at(0) }

func (p *phone) at(d time.Duration) string {
	p.w.t.Helper()
	code, err := totp.GenerateCode(p.secret, p.w.clock.Now().Add(d))
	p.w.ok(err)
	return code
}

// next waits for a code that was not shown before.
func (p *phone) next() string {
	p.w.clock.pass(30 * time.Second)
	return p.code()
}

func (p *phone) proof() account.Proof { return account.Proof{AuthKey: authKey("pw"), Code: p.next()} }

// protect switches somebody's second factor on.
func (w *world) protect(a actor.Actor) *phone {
	w.t.Helper()
	setup, err := w.BeginSecondFactor(w.t.Context(), a, authKey("pw"))
	w.ok(err)
	p := &phone{w: w, secret: setup.Secret}
	u, codes, err := w.ConfirmSecondFactor(w.t.Context(), a, p.code())
	w.ok(err)
	if !u.SecondFactor {
		w.t.Fatal("not on")
	}
	p.backup = codes
	return p
}

func (w *world) loginWith(code, address string) (*account.Login, error) {
	return w.Login(w.t.Context(), account.LoginInput{Email: "ann@example.org", AuthKey: authKey("pw"), Code: code, Client: "test", Address: address})
}

func TestSecondFactorIsSetUp(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	ann := w.person("ann", actor.Staff)
	elsewhere, err := w.login("ann", "pw", "192.0.2.1")
	w.ok(err)
	_, _, err = w.ConfirmSecondFactor(t.Context(), ann, "123456")
	w.want(err, fault.Conflict) // nothing was begun
	_, err = w.BeginSecondFactor(t.Context(), ann, authKey("wrong"))
	w.want(err, fault.WrongPassword)
	_, err = w.BeginSecondFactor(t.Context(), ann, nil)
	w.want(err, fault.Invalid)
	first, err := w.BeginSecondFactor(t.Context(), ann, authKey("pw"))
	w.ok(err)
	setup, err := w.BeginSecondFactor(t.Context(), ann, authKey("pw"))
	w.ok(err)
	uri, err := url.Parse(setup.URI)
	w.ok(err)
	if uri.Scheme != "otpauth" || uri.Host != "totp" || uri.Path != "/Holdfast:ann@example.org" || uri.Query().Get("secret") != setup.Secret || first.Secret == setup.Secret {
		t.Errorf("%+v", setup)
	}
	// What was begun asks nobody for anything.
	_, err = w.login("ann", "pw", "192.0.2.1")
	w.ok(err)
	old, err := totp.GenerateCode(first.Secret, w.clock.Now())
	w.ok(err)
	for _, bad := range []string{"", "000", old, strings.Repeat("1", 100)} {
		_, _, err = w.ConfirmSecondFactor(t.Context(), ann, bad)
		w.want(err, fault.Invalid)
	}
	w.heard(ann)
	p := &phone{w: w, secret: setup.Secret}
	u, codes, err := w.ConfirmSecondFactor(t.Context(), ann, p.code()[:3]+" "+p.code()[3:])
	w.ok(err)
	if !u.SecondFactor || len(codes) != account.BackupCodes || len(codes[0]) != 11 || codes[0] == codes[1] {
		t.Errorf("%v, %v", u.SecondFactor, codes)
	}
	w.same("switched on", w.heard(ann), "account.second_factor Your second factor is on")
	if _, err := w.Authenticate(t.Context(), elsewhere.Token); fault.KindOf(err) != fault.Unauthenticated {
		t.Errorf("a session that has shown no code: %v", err)
	}
	if w.audited("second_factor.on") != 1 {
		t.Error("not audited")
	}
	_, err = w.BeginSecondFactor(t.Context(), ann, authKey("pw"))
	w.want(err, fault.Conflict)
	_, _, err = w.ConfirmSecondFactor(t.Context(), ann, p.next())
	w.want(err, fault.Conflict)
	left, err := w.BackupCodesLeft(t.Context(), ann)
	w.ok(err)
	if left != account.BackupCodes {
		t.Errorf("%d codes left", left)
	}
}

func TestSecondFactorAtLogin(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	ann := w.person("ann", actor.Staff)
	p := w.protect(ann)
	w.heard(ann)
	_, err := w.loginWith("", "192.0.2.1")
	w.want(err, fault.SecondFactor)
	_, err = w.loginWith(p.code(), "192.0.2.1") // it confirmed the set-up
	w.want(err, fault.SecondFactor)
	code := p.next()
	_, err = w.loginWith(code, "192.0.2.1")
	w.ok(err)
	_, err = w.loginWith(code, "192.0.2.1")
	w.want(err, fault.SecondFactor) // once
	// A device whose clock is half a minute off, either way.
	w.clock.pass(2 * time.Minute)
	_, err = w.loginWith(p.at(-30*time.Second), "192.0.2.1")
	w.ok(err)
	_, err = w.loginWith(p.at(30*time.Second), "192.0.2.1")
	w.ok(err)
	_, err = w.loginWith(p.code(), "192.0.2.1") // older than one that was taken
	w.want(err, fault.SecondFactor)
	w.clock.pass(10 * time.Minute)
	for _, off := range []time.Duration{-time.Minute, time.Minute} {
		_, err = w.loginWith(p.at(off), "192.0.2.1")
		w.want(err, fault.SecondFactor)
	}
	// No oracle: who has not shown the password learns nothing of codes.
	for _, code := range []string{"", p.next(), "000000", p.backup[0]} {
		_, err := w.Login(t.Context(), account.LoginInput{Email: "ann@example.org", AuthKey: authKey("wrong"), Code: code, Address: "192.0.2.1"})
		w.want(err, fault.WrongPassword)
		_, unknown := w.Login(t.Context(), account.LoginInput{Email: "nobody@example.org", AuthKey: authKey("wrong"), Code: code, Address: "192.0.2.1"})
		if err.Error() != unknown.Error() {
			t.Errorf("%v, %v", err, unknown)
		}
	}
	// The recovery code does not do without it.
	rec := account.RecoveryLoginInput{Email: "ann@example.org", RecoveryAuthKey: authKey("code of ann"), Client: "test", Address: "192.0.2.1"}
	_, err = w.LoginWithRecovery(t.Context(), rec)
	w.want(err, fault.SecondFactor)
	rec.Code = p.next()
	l, err := w.LoginWithRecovery(t.Context(), rec)
	w.ok(err)
	if !w.who(l.Token).ByRecovery {
		t.Error("no session by recovery")
	}
}

func TestSecondFactorIsNotAskedForWithinASession(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	ann, bob := w.person("ann", actor.Staff), w.person("bob", actor.Staff)
	p := w.protect(ann)
	within := func(a actor.Actor) error {
		_, err := w.Login(t.Context(), account.LoginInput{Email: "ann@example.org", AuthKey: authKey("pw"), Client: "test", Address: "192.0.2.1", Within: a})
		return err
	}
	w.ok(within(ann))
	w.want(within(bob), fault.SecondFactor)
	_, text, err := w.CreateAPIToken(t.Context(), ann, "t", nil)
	w.ok(err)
	w.want(within(w.who(text)), fault.SecondFactor)
	l, err := w.LoginWithRecovery(t.Context(), account.RecoveryLoginInput{Email: "ann@example.org", RecoveryAuthKey: authKey("code of ann"), Code: p.next(), Client: "test"})
	w.ok(err)
	w.want(within(w.who(l.Token)), fault.SecondFactor)
	w.ok(w.Logout(t.Context(), ann))
	w.want(within(ann), fault.SecondFactor) // it has ended meanwhile
}

func TestBackupCodesServeOnce(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	ann := w.person("ann", actor.Staff)
	p := w.protect(ann)
	w.heard(ann)
	_, err := w.loginWith(strings.ToLower(strings.ReplaceAll(p.backup[3], "-", " ")), "192.0.2.1")
	w.ok(err)
	w.same("a backup code", w.heard(ann), "account.second_factor A backup code was used")
	_, err = w.loginWith(p.backup[3], "192.0.2.1")
	w.want(err, fault.SecondFactor)
	w.heard(ann)
	if n, err := w.BackupCodesLeft(t.Context(), ann); err != nil || n != account.BackupCodes-1 {
		t.Errorf("%d, %v", n, err)
	}
	// Many at once: one gets in.
	var in atomic.Int32
	var wg sync.WaitGroup
	for range 5 {
		wg.Go(func() {
			if _, err := w.loginWith(p.backup[4], "192.0.2.1"); err == nil {
				in.Add(1)
			}
		})
	}
	wg.Wait()
	if in.Load() != 1 {
		t.Errorf("%d logins with one code", in.Load())
	}
	_, _, err = w.RenewBackupCodes(t.Context(), ann, account.Proof{AuthKey: authKey("pw"), Code: "000000"})
	w.want(err, fault.SecondFactor)
	_, codes, err := w.RenewBackupCodes(t.Context(), ann, p.proof())
	w.ok(err)
	_, err = w.loginWith(p.backup[5], "192.0.2.1")
	w.want(err, fault.SecondFactor)
	_, err = w.loginWith(codes[0], "192.0.2.1")
	w.ok(err)
}

func TestSecondFactorIsSwitchedOff(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	ann := w.person("ann", actor.Staff)
	_, err := w.DisableSecondFactor(t.Context(), ann, account.Proof{AuthKey: authKey("pw")})
	w.want(err, fault.Conflict)
	_, _, err = w.RenewBackupCodes(t.Context(), ann, account.Proof{AuthKey: authKey("pw")})
	w.want(err, fault.Conflict)
	p := w.protect(ann)
	for _, c := range []struct {
		p    account.Proof
		want fault.Kind
	}{
		{account.Proof{AuthKey: authKey("pw")}, fault.SecondFactor},
		{account.Proof{AuthKey: authKey("pw"), Code: "000000"}, fault.SecondFactor},
		{account.Proof{AuthKey: authKey("wrong"), Code: p.next()}, fault.WrongPassword},
		{account.Proof{AuthKey: []byte("short"), Code: p.code()}, fault.Invalid},
	} {
		_, err := w.DisableSecondFactor(t.Context(), ann, c.p)
		w.want(err, c.want)
	}
	w.heard(ann)
	u, err := w.DisableSecondFactor(t.Context(), ann, account.Proof{AuthKey: authKey("pw"), Code: p.code()}) // a refusal has not spent it
	w.ok(err)
	if u.SecondFactor {
		t.Error("still on")
	}
	w.same("switched off", w.heard(ann), "account.second_factor Your second factor is off")
	_, err = w.login("ann", "pw", "192.0.2.1")
	w.ok(err)
}

func TestSecondFactorIsReset(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	root, adm, ann := w.person("root", actor.Superuser), w.person("adm", actor.Admin), w.person("ann", actor.Staff)
	w.protect(ann)
	w.protect(adm)
	for _, c := range []struct {
		a, of actor.Actor
		want  fault.Kind
	}{
		{actor.Actor{}, ann, fault.Unauthenticated}, {ann, adm, fault.Forbidden}, {adm, adm, fault.Conflict}, {adm, root, fault.Forbidden}, {root, actor.Actor{}, fault.NotFound},
	} {
		_, err := w.ResetSecondFactor(t.Context(), c.a, c.of.User)
		w.want(err, c.want)
	}
	w.heard(ann)
	u, err := w.ResetSecondFactor(t.Context(), adm, ann.User)
	w.ok(err)
	if u.SecondFactor || w.audited("second_factor.reset") != 1 {
		t.Errorf("%+v", u)
	}
	w.same("reset", w.heard(ann), "account.second_factor An administrator switched your second factor off")
	_, err = w.ResetSecondFactor(t.Context(), adm, ann.User)
	w.want(err, fault.Conflict)
	_, err = w.login("ann", "pw", "192.0.2.1")
	w.ok(err)
	_, err = w.ResetSecondFactor(t.Context(), actor.System(), adm.User)
	w.ok(err)
}

// Codes are guessed no faster than passwords, and a login without a code does not make guesses cheap again.
func TestCodesAreThrottled(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	ann := w.person("ann", actor.Staff)
	p := w.protect(ann)
	w.heard(ann)
	const there = "198.51.100.7"
	var err error
	for range 10 {
		_, err = w.loginWith("", there)
		w.want(err, fault.SecondFactor)
		_, err = w.loginWith("000000", there)
		w.want(err, fault.SecondFactor)
	}
	w.same("wrong codes", w.heard(ann), "account.second_factor Your password was typed with a wrong code")
	if n := w.audited("session.refused"); n != 10 {
		t.Errorf("%d lines of the log", n)
	}
	_, err = w.loginWith("000000", there)
	w.want(err, fault.TooMany)
	_, err = w.loginWith(p.code(), there)
	w.want(err, fault.TooMany)
	w.clock.pass(20 * time.Minute)
	_, err = w.loginWith(p.code(), there)
	w.ok(err)
	_, err = w.loginWith("000000", there)
	w.want(err, fault.SecondFactor)
	w.heard(ann)
	// In a session too.
	for i := 0; ; i++ {
		_, err = w.DisableSecondFactor(t.Context(), ann, account.Proof{AuthKey: authKey("pw"), Code: "000000"})
		if fault.KindOf(err) == fault.TooMany && i == 10 {
			break
		}
		w.want(err, fault.SecondFactor)
	}
}

// What the database holds of a second factor is worth nothing without the pepper, nor in another's row.
// Whoever has stolen a session cannot try codes until they have the one of a factor that its owner has begun to set up, and with it the backup codes.
func TestConfirmingIsThrottled(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	ann := w.person("ann", actor.Staff)
	setup, err := w.BeginSecondFactor(t.Context(), ann, authKey("pw"))
	w.ok(err)
	p := &phone{w: w, secret: setup.Secret}
	for range 10 {
		_, _, err = w.ConfirmSecondFactor(t.Context(), ann, "wrong!")
		w.want(err, fault.Invalid)
	}
	_, _, err = w.ConfirmSecondFactor(t.Context(), ann, p.code())
	w.want(err, fault.TooMany)
	w.clock.pass(time.Minute)
	_, _, err = w.ConfirmSecondFactor(t.Context(), ann, p.code())
	w.ok(err)
	_, _, err = w.RenewBackupCodes(t.Context(), ann, p.proof()) // and what was counted is forgotten
	w.ok(err)
}

func TestSecretsAreLocked(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	ann, bob := w.person("ann", actor.Staff), w.person("bob", actor.Staff)
	p := w.protect(ann)
	w.protect(bob)
	var hits int
	w.ok(w.db.Get(&hits, `SELECT count(*) FROM second_factors WHERE position($1 IN encode(secret, 'escape')) > 0`, p.secret))
	if hits != 0 {
		t.Error("a secret is in the open")
	}
	if _, err := w.db.Exec(`UPDATE second_factors SET secret = (SELECT secret FROM second_factors WHERE user_id = $1) WHERE user_id = $2`, bob.User, ann.User); err != nil {
		t.Fatal(err)
	}
	_, err := w.loginWith(p.next(), "192.0.2.1")
	w.want(err, fault.Internal)
	_, err = w.loginWith(p.backup[0], "192.0.2.1") // they do not hang on it
	w.ok(err)
}

func TestAPITokensLeaveTheSecondFactorAlone(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	ann := w.person("ann", actor.Staff)
	_, text, err := w.CreateAPIToken(t.Context(), ann, "t", nil)
	w.ok(err)
	api := w.who(text)
	_, err = w.BeginSecondFactor(t.Context(), api, authKey("pw"))
	w.want(err, fault.Forbidden)
	_, _, err = w.ConfirmSecondFactor(t.Context(), api, "000000")
	w.want(err, fault.Forbidden)
	_, _, err = w.RenewBackupCodes(t.Context(), api, account.Proof{})
	w.want(err, fault.Forbidden)
	_, err = w.DisableSecondFactor(t.Context(), api, account.Proof{})
	w.want(err, fault.Forbidden)
	_, _, err = w.ChangeEmail(t.Context(), api, account.Proof{}, "a@example.org")
	w.want(err, fault.Forbidden)
	_, err = w.ConfirmEmail(t.Context(), api, "AAAA-AAAA")
	w.want(err, fault.Forbidden)
	_, err = w.CancelEmail(t.Context(), api)
	w.want(err, fault.Forbidden)
	_, err = w.BackupCodesLeft(t.Context(), actor.Actor{})
	w.want(err, fault.Unauthenticated)
}
