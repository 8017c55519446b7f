package account_test

import (
	"bytes"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/holdfast-backup/holdfast/depot/account"
	"github.com/holdfast-backup/holdfast/depot/actor"
	"github.com/holdfast-backup/holdfast/wire/fault"
	"github.com/holdfast-backup/holdfast/wire/id"
)

func TestNobodyLearnsWhoHasAnAccount(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.person("ann", actor.Staff)
	real, err := w.LoginParams(t.Context(), " ANN@example.org")
	w.ok(err)
	if !bytes.Equal(real.Salt, keys("pw").Params.Salt) {
		t.Error("not the account's salt")
	}
	fake, err := w.LoginParams(t.Context(), "nobody@example.org")
	w.ok(err)
	again, err := w.another().LoginParams(t.Context(), "Nobody@Example.org")
	w.ok(err)
	other, err := w.LoginParams(t.Context(), "nobody2@example.org")
	w.ok(err)
	if !bytes.Equal(fake.Salt, again.Salt) || bytes.Equal(fake.Salt, other.Salt) || len(fake.Salt) != len(real.Salt) {
		t.Errorf("%x %x %x", fake.Salt, again.Salt, other.Salt)
	}
	if fake.Time != real.Time || fake.Memory != real.Memory || fake.Threads != real.Threads {
		t.Errorf("%+v, %+v", fake, real)
	}
	_, wrong := w.login("ann", "wrong", "192.0.2.9")
	_, unknown := w.login("nobody", "wrong", "192.0.2.9")
	if wrong.Error() != unknown.Error() || fault.KindOf(wrong) != fault.WrongPassword {
		t.Errorf("%v, %v", wrong, unknown)
	}
}

func TestEmails(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	for _, bad := range []string{
		"", "ann", "@", "ann@", "@example.org", "a b@example.org", "ann@exa mple.org", "ann@example.org\x00", "ann@@example.org",
		"ann@example..org", "ann@.example.org", "ann@example.org.", ".ann@example.org", "Ann <ann@example.org>", "a,b@example.org",
		strings.Repeat("a", 65) + "@example.org", "ann@" + strings.Repeat("a", 250) + ".org", "\xff@example.org", strings.Repeat("a", 1<<20), "ann\u202e@example.org",
	} {
		_, err := w.LoginParams(t.Context(), bad)
		if fault.KindOf(err) != fault.Invalid {
			t.Errorf("%.40q: %v", bad, err)
		}
		_, err = w.Login(t.Context(), account.LoginInput{Email: bad, AuthKey: authKey("pw")})
		if fault.KindOf(err) != fault.Invalid {
			t.Errorf("%.40q: %v", bad, err)
		}
	}
	// Spellings of one address.
	want, err := w.LoginParams(t.Context(), "jürgen@example.org")
	w.ok(err)
	for _, same := range []string{"JÜRGEN@EXAMPLE.ORG", "\tju\u0308rgen@example.org\n", "ｊürgen@example.org"} {
		got, err := w.LoginParams(t.Context(), same)
		w.ok(err)
		if !bytes.Equal(got.Salt, want.Salt) {
			t.Errorf("%q is another address", same)
		}
	}
}

func TestLogin(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.person("ann", actor.Staff)
	l, err := w.login("ann", "pw", "[2001:db8::1]:443")
	w.ok(err)
	if string(l.Bundle) != string(keys("pw").Bundle) || l.Session.Address != "2001:db8::1" || !l.ExpiresAt.Equal(w.clock.Now().Add(30*24*time.Hour)) {
		t.Errorf("%+v", l)
	}
	a := w.who(l.Token)
	if a.User != l.User.ID || a.Session != l.Session.ID || a.Role != actor.Staff || a.ByRecovery {
		t.Errorf("%+v", a)
	}
	for _, n := range []int{0, 31, 33} {
		_, err := w.Login(t.Context(), account.LoginInput{Email: "ann@example.org", AuthKey: make([]byte, n)})
		w.want(err, fault.Invalid)
	}
	// The recovery code is not a password, nor the other way about.
	_, err = w.login("ann", "code of ann", "192.0.2.1")
	w.want(err, fault.WrongPassword)
	_, err = w.LoginWithRecovery(t.Context(), account.RecoveryLoginInput{Email: "ann@example.org", RecoveryAuthKey: authKey("pw")})
	w.want(err, fault.WrongPassword)

	w.ok(w.Logout(t.Context(), a))
	_, err = w.Authenticate(t.Context(), l.Token)
	w.want(err, fault.Unauthenticated)
	if !w.bus.heard("user:" + l.User.ID.String()) {
		t.Error("nobody was told of the logout")
	}
}

func TestRubbishTokens(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	for _, token := range []string{"", "hfs_", "hfs_" + strings.Repeat("A", 43), "hfa_" + strings.Repeat("A", 43), "hfd_" + strings.Repeat("A", 43), strings.Repeat("hfs_", 1<<18)} {
		_, err := w.Authenticate(t.Context(), token)
		w.want(err, fault.Unauthenticated)
	}
}

func TestSessionsSlideAndEnd(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.person("ann", actor.Staff)
	l, err := w.login("ann", "pw", "192.0.2.1")
	w.ok(err)
	idle, err := w.login("ann", "pw", "192.0.2.1")
	w.ok(err)
	seen := func() time.Time {
		t.Helper()
		list, err := w.Sessions(t.Context(), w.who(l.Token))
		w.ok(err)
		for _, s := range list {
			if s.Current {
				return s.LastSeenAt
			}
		}
		t.Fatal("no current session")
		return time.Time{}
	}
	began := w.clock.Now()
	w.clock.pass(59 * time.Second)
	if got := seen(); !got.Equal(began) {
		t.Errorf("written after %s", got.Sub(began))
	}
	w.clock.pass(2 * time.Second)
	if got := seen(); !got.Equal(w.clock.Now()) {
		t.Errorf("not written: %s", got)
	}
	w.clock.pass(30*24*time.Hour - time.Minute)
	w.who(l.Token)
	_, err = w.Authenticate(t.Context(), idle.Token)
	w.want(err, fault.Unauthenticated)
	// However busy, a session ends 180 days after it began.
	for w.clock.Now().Before(began.Add(180*24*time.Hour - 25*24*time.Hour)) {
		w.clock.pass(24 * 24 * time.Hour)
		w.who(l.Token)
	}
	w.clock.pass(began.Add(180*24*time.Hour).Sub(w.clock.Now()) - time.Second)
	w.who(l.Token)
	w.clock.pass(time.Second)
	_, err = w.Authenticate(t.Context(), l.Token)
	w.want(err, fault.Unauthenticated)
	w.ok(w.Sweep(t.Context()))
}

func TestEndSession(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	ann, bob := w.person("ann", actor.Staff), w.person("bob", actor.Superuser)
	l, err := w.login("ann", "pw", "192.0.2.1")
	w.ok(err)
	w.want(w.EndSession(t.Context(), bob, l.Session.ID), fault.NotFound)
	_, err = w.Session(t.Context(), bob, l.Session.ID)
	w.want(err, fault.NotFound)
	got, err := w.Session(t.Context(), ann, l.Session.ID)
	w.ok(err)
	if got.Current {
		t.Error("another session is the current one")
	}
	w.ok(w.EndSession(t.Context(), ann, l.Session.ID))
	_, err = w.Authenticate(t.Context(), l.Token)
	w.want(err, fault.Unauthenticated)
	w.want(w.EndSession(t.Context(), ann, id.Session{}.New()), fault.NotFound)
}

func TestAPITokens(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	ann, bob := w.person("ann", actor.Admin), w.person("bob", actor.Staff)
	tok, text, err := w.CreateAPIToken(t.Context(), ann, " reports ", nil)
	w.ok(err)
	a := w.who(text)
	if a.User != ann.User || a.Role != actor.Admin || a.APIToken != tok.ID || !a.Session.IsZero() {
		t.Errorf("%+v", a)
	}
	list, err := w.APITokens(t.Context(), ann)
	w.ok(err)
	if len(list) != 1 || list[0].Name != "reports" || list[0].LastUsedAt == nil || list[0].ExpiresAt != nil {
		t.Errorf("%+v", list)
	}
	// A token deals with no credentials.
	_, _, err = w.CreateAPIToken(t.Context(), a, "heir", nil)
	w.want(err, fault.Forbidden)
	w.want(w.RevokeAPIToken(t.Context(), a, tok.ID), fault.Forbidden)
	w.want(w.EndSession(t.Context(), a, ann.Session), fault.Forbidden)
	w.want(w.Logout(t.Context(), a), fault.Conflict)

	past, soon := w.clock.Now(), w.clock.Now().Add(time.Hour)
	_, _, err = w.CreateAPIToken(t.Context(), ann, "late", &past)
	w.want(err, fault.Invalid)
	_, short, err := w.CreateAPIToken(t.Context(), ann, "soon", &soon)
	w.ok(err)
	w.clock.pass(time.Hour)
	_, err = w.Authenticate(t.Context(), short)
	w.want(err, fault.Unauthenticated)

	w.want(w.RevokeAPIToken(t.Context(), bob, tok.ID), fault.NotFound)
	_, err = w.APIToken(t.Context(), bob, tok.ID)
	w.want(err, fault.NotFound)
	w.ok(w.RevokeAPIToken(t.Context(), ann, tok.ID))
	_, err = w.Authenticate(t.Context(), text)
	w.want(err, fault.Unauthenticated)
}

func TestAPITokenLimit(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	ann := w.person("ann", actor.Staff)
	var made atomic.Int64
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			for i := range 15 {
				if _, _, err := w.CreateAPIToken(t.Context(), ann, fmt.Sprint(i), nil); err == nil {
					made.Add(1)
				} else if fault.KindOf(err) != fault.Conflict {
					t.Error(err)
				}
			}
		})
	}
	wg.Wait()
	if made.Load() != 50 {
		t.Errorf("%d tokens", made.Load())
	}
}

func TestChangePassword(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	ann := w.person("ann", actor.Staff)
	other, err := w.login("ann", "pw", "192.0.2.1")
	w.ok(err)
	_, err = w.ChangePassword(t.Context(), ann, account.PasswordInput{Keys: keys("new")})
	w.want(err, fault.Invalid)
	_, err = w.ChangePassword(t.Context(), ann, account.PasswordInput{OldAuthKey: authKey("wrong"), Keys: keys("new")})
	w.want(err, fault.WrongPassword)
	_, err = w.ChangePassword(t.Context(), ann, account.PasswordInput{OldAuthKey: authKey("pw"), Keys: account.Keys{}})
	w.want(err, fault.Invalid)
	_, err = w.ChangePassword(t.Context(), ann, account.PasswordInput{OldAuthKey: authKey("pw"), Keys: keys("new")})
	w.ok(err)
	_, err = w.Authenticate(t.Context(), other.Token)
	w.want(err, fault.Unauthenticated)
	if _, err := w.Sessions(t.Context(), ann); err != nil {
		t.Error("the session that changed the password ended too")
	}
	_, err = w.login("ann", "pw", "192.0.2.1")
	w.want(err, fault.WrongPassword)
	l, err := w.login("ann", "new", "192.0.2.1")
	w.ok(err)
	if string(l.Bundle) != string(keys("new").Bundle) {
		t.Error("the old bundle")
	}
	p, err := w.LoginParams(t.Context(), "ann@example.org")
	w.ok(err)
	if !bytes.Equal(p.Salt, keys("new").Params.Salt) {
		t.Error("the old salt")
	}
}

// Guessing the password again and again in a stolen session is throttled as well.
func TestGuessingInASession(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	ann := w.person("ann", actor.Staff)
	for range 10 {
		_, err := w.RenewRecovery(t.Context(), ann, account.RenewRecoveryInput{AuthKey: authKey("wrong"), Recovery: recovery("x")})
		w.want(err, fault.WrongPassword)
	}
	_, err := w.ChangePassword(t.Context(), ann, account.PasswordInput{OldAuthKey: authKey("pw"), Keys: keys("new")})
	w.want(err, fault.TooMany)
	w.clock.pass(time.Second)
	_, err = w.ChangePassword(t.Context(), ann, account.PasswordInput{OldAuthKey: authKey("pw"), Keys: keys("new")})
	w.ok(err)
}

func TestRecovery(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	ann := w.person("ann", actor.Superuser)
	in := account.RecoveryLoginInput{Email: "ann@example.org", RecoveryAuthKey: authKey("code of ann"), Client: "test", Address: "192.0.2.1"}
	l, err := w.LoginWithRecovery(t.Context(), in)
	w.ok(err)
	if string(l.Bundle) != string(recovery("code of ann").Bundle) || !l.ExpiresAt.Equal(w.clock.Now().Add(15*time.Minute)) {
		t.Errorf("%+v", l)
	}
	rec := w.who(l.Token)
	if !rec.ByRecovery {
		t.Fatal("an ordinary session")
	}
	// It may show who it is and set a password, and nothing else.
	_, err = w.Me(t.Context(), rec)
	w.ok(err)
	_, err = w.Sessions(t.Context(), rec)
	w.want(err, fault.Forbidden)
	_, err = w.Users(t.Context(), rec, 10, "")
	w.want(err, fault.Forbidden)
	_, err = w.RenewRecovery(t.Context(), rec, account.RenewRecoveryInput{AuthKey: authKey("pw"), Recovery: recovery("x")})
	w.want(err, fault.Forbidden)
	_, err = w.SetRole(t.Context(), rec, ann.User, actor.Staff)
	w.want(err, fault.Forbidden)

	w.clock.pass(10 * time.Minute)
	w.who(l.Token) // use does not prolong it
	w.clock.pass(5 * time.Minute)
	_, err = w.Authenticate(t.Context(), l.Token)
	w.want(err, fault.Unauthenticated)
	_, err = w.ChangePassword(t.Context(), rec, account.PasswordInput{Keys: keys("new")})
	w.want(err, fault.Forbidden)

	l, err = w.LoginWithRecovery(t.Context(), in)
	w.ok(err)
	rec = w.who(l.Token)
	_, err = w.ChangePassword(t.Context(), rec, account.PasswordInput{Keys: keys("new")})
	w.ok(err)
	_, err = w.ChangePassword(t.Context(), rec, account.PasswordInput{Keys: keys("newer")})
	w.want(err, fault.Forbidden) // once
	if a := w.who(l.Token); a.ByRecovery {
		t.Error("still by recovery code after the password was set")
	}
	w.clock.pass(time.Hour)
	a := w.who(l.Token)
	_, err = w.login("ann", "new", "192.0.2.1")
	w.ok(err)
	_, err = w.RenewRecovery(t.Context(), a, account.RenewRecoveryInput{AuthKey: authKey("new"), Recovery: recovery("second code")})
	w.ok(err)
	_, err = w.LoginWithRecovery(t.Context(), in)
	w.want(err, fault.WrongPassword)
	in.RecoveryAuthKey = authKey("second code")
	_, err = w.LoginWithRecovery(t.Context(), in)
	w.ok(err)
}

func TestThrottle(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.person("ann", actor.Staff) // joined, and so is known, at 192.0.2.1
	const away, home = "198.51.100.7", "192.0.2.1"
	for _, name := range []string{"ann", "nobody"} { // the two behave alike
		for range 10 {
			_, err := w.login(name, "guess", away)
			w.want(err, fault.WrongPassword)
		}
		for _, wait := range []time.Duration{1, 2, 4, 8} {
			_, err := w.login(name, "pw", away)
			w.want(err, fault.TooMany)
			if f := err.(*fault.Error); time.Duration(f.RetryAfter) != wait {
				t.Errorf("%s: RetryAfter %d, want %d", name, f.RetryAfter, wait)
			}
			_, err = w.another().Login(t.Context(), account.LoginInput{Email: name + "@example.org", AuthKey: authKey("pw"), Address: "203.0.113.5"})
			w.want(err, fault.TooMany) // on every server, from every strange address
			w.clock.pass(wait * time.Second)
			_, err = w.login(name, "guess", away)
			w.want(err, fault.WrongPassword)
		}
	}
	// At home the person is not disturbed, and their success does not free the attacker.
	_, err := w.login("ann", "pw", home+":1234")
	w.ok(err)
	_, err = w.login("ann", "guess", away)
	w.want(err, fault.TooMany)
	// Nor does the attack ever lock for longer than 15 minutes.
	for range 20 {
		w.clock.pass(15 * time.Minute)
		_, err = w.login("ann", "guess", away)
		w.want(err, fault.WrongPassword)
	}
	w.clock.pass(15 * time.Minute)
	_, err = w.login("ann", "pw", away)
	w.ok(err)
	for range 5 { // a success forgets
		_, err = w.login("ann", "guess", away)
		w.want(err, fault.WrongPassword)
	}
}

// Whoever guesses from a known place does not get more tries there.
func TestThrottleAtAKnownPlace(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.person("ann", actor.Staff)
	for range 10 {
		_, err := w.login("ann", "guess", "192.0.2.1")
		w.want(err, fault.WrongPassword)
	}
	_, err := w.login("ann", "pw", "192.0.2.1")
	w.want(err, fault.TooMany)
	w.clock.pass(time.Second)
	_, err = w.login("ann", "pw", "192.0.2.1")
	w.ok(err)
	w.clock.pass(91 * 24 * time.Hour) // the place is forgotten
	w.ok(w.Sweep(t.Context()))
	for range 10 {
		_, err := w.login("ann", "guess", "192.0.2.77")
		w.want(err, fault.WrongPassword)
	}
	_, err = w.login("ann", "pw", "192.0.2.1")
	w.want(err, fault.TooMany)
}

// One address that tries many accounts, with IPv6 by the network.
func TestThrottleByAddress(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.person("ann", actor.Staff)
	for i := range 100 {
		_, err := w.login(fmt.Sprint("user", i), "guess", fmt.Sprintf("2001:db8::%x", i))
		w.want(err, fault.WrongPassword)
	}
	_, err := w.login("ann", "pw", "2001:db8::ffff:1")
	w.want(err, fault.TooMany)
	_, err = w.login("ann", "pw", "2001:db8:0:1::1")
	w.ok(err)
	_, err = w.login("ann", "pw", "192.0.2.1")
	w.ok(err)
}

// Parallel guesses do not overtake their count.
func TestThrottleInParallel(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.person("ann", actor.Staff)
	var looked atomic.Int64
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			for range 10 {
				_, err := w.login("ann", "guess", "198.51.100.7")
				switch fault.KindOf(err) {
				case fault.WrongPassword:
					looked.Add(1)
				case fault.TooMany:
				default:
					t.Error(err)
				}
			}
		})
	}
	wg.Wait()
	if looked.Load() != 10 { // the clock stands still
		t.Errorf("%d guesses were looked at, want 10", looked.Load())
	}
}

// A login with the old password that races a change of it leaves no session behind.
func TestLoginRacesChangePassword(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	ann := w.person("ann", actor.Staff)
	old := "pw"
	for i := range 5 {
		next := fmt.Sprint("pw", i)
		var wg sync.WaitGroup
		tokens := make(chan string, 8)
		for range 4 {
			wg.Go(func() {
				if l, err := w.login("ann", old, "192.0.2.1"); err == nil {
					tokens <- l.Token
				} else if fault.KindOf(err) != fault.WrongPassword && fault.KindOf(err) != fault.TooMany {
					t.Error(err)
				}
			})
		}
		wg.Go(func() {
			if _, err := w.ChangePassword(t.Context(), ann, account.PasswordInput{OldAuthKey: authKey(old), Keys: keys(next)}); err != nil {
				t.Error(err)
			}
		})
		wg.Wait()
		close(tokens)
		for token := range tokens {
			_, err := w.Authenticate(t.Context(), token)
			w.want(err, fault.Unauthenticated)
		}
		old = next
		w.clock.pass(time.Hour)
	}
}
