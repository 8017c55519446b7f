package safe

import (
	"bytes"
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/holdfast-backup/holdfast/app/talk"
	"github.com/holdfast-backup/holdfast/vault/keyring"
	"github.com/holdfast-backup/holdfast/wire/fault"
)

const goodPassword = "correct horse battery staple"

func TestAPasswordOpensTheBundle(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	auth, _, err := keyring.FromPassword([]byte(goodPassword), keyring.KDF{Salt: quick.Salt, Time: 1, MemoryKiB: 19 << 10, Threads: 1})
	if err != nil {
		t.Fatal(err)
	}
	open := talk.Open{Bundle: r.bundle(goodPassword), User: r.User.String(), IdentityPublic: r.Account.IdentityPublic()}
	refused(r, fault.Conflict, talk.MethodOpen, open)
	if got := must[talk.AuthKey](r, talk.MethodDerive, withPassword(goodPassword)); !bytes.Equal(got.AuthKey, auth[:]) {
		t.Error("another auth key")
	}
	must[any](r, talk.MethodOpen, open)
	must[talk.Enrolment](r, talk.MethodEnrolCode, talk.EnrolCode{})
	refused(r, fault.Conflict, talk.MethodOpen, open) // what was derived is used up

	for name, in := range map[string]talk.Open{
		"not this account's": {Bundle: r.bundle("another password")},
		"cannot be read":     {Bundle: []byte("short")},
		"its own":            {Bundle: r.bundle(goodPassword), IdentityPublic: make([]byte, keyring.PublicSize)},
	} {
		must[talk.AuthKey](r, talk.MethodDerive, withPassword(goodPassword))
		if _, err := ask[any](r, r.safe, talk.MethodOpen, in); !errors.Is(err, fault.Internal) || !strings.Contains(err.Error(), name) {
			t.Errorf("%s: %v", name, err)
		}
	}
	for _, in := range []talk.Derive{{Password: "x"}, {Password: "x", Time: 1, Memory: 1 << 40, Threads: 1}, {Password: "x", Time: 1, Memory: 1 << 15, Threads: 256}} {
		refused(r, fault.Internal, talk.MethodDerive, in)
	}
	weak := withPassword("x")
	weak.Memory = 8
	refused(r, fault.Invalid, talk.MethodDerive, weak)
}

func TestANewAccount(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	made := must[talk.Created](r, talk.MethodCreate, talk.Password{Password: goodPassword, Words: []string{"ada@example.org"}})
	refused(r, fault.Invalid, talk.MethodConfirmCode, talk.Code{Code: "ABCDE"})
	refused(r, fault.Invalid, talk.MethodConfirmCode, talk.Code{Code: keyring.NewRecoveryCode().String()})
	must[any](r, talk.MethodConfirmCode, talk.Code{Code: strings.ToLower(made.Recovery.Code)})
	// What was made opens with the password, without deriving it again, …
	must[any](r, talk.MethodOpen, talk.Open{Bundle: made.Keys.Bundle, User: "u", IdentityPublic: made.IdentityPublic})
	// … with the password as somebody types it who comes back, …
	p := made.Keys.Params
	got := must[talk.AuthKey](r, talk.MethodDerive, talk.Derive{Password: goodPassword, Salt: p.Salt, Time: p.Time, Memory: p.Memory, Threads: p.Threads})
	if !bytes.Equal(got.AuthKey, made.Keys.AuthKey) {
		t.Error("the auth key is not the password's")
	}
	must[any](r, talk.MethodOpen, talk.Open{Bundle: made.Keys.Bundle, User: "u"})
	// … and with the recovery code.
	got = must[talk.AuthKey](r, talk.MethodDeriveRecovery, talk.Code{Code: made.Recovery.Code})
	if !bytes.Equal(got.AuthKey, made.Recovery.Keys.AuthKey) {
		t.Error("the auth key is not the code's")
	}
	must[any](r, talk.MethodOpen, talk.Open{Bundle: made.Recovery.Keys.Bundle, User: "u", IdentityPublic: made.IdentityPublic})
	refused(r, fault.Invalid, talk.MethodDeriveRecovery, talk.Code{Code: "nonsense"})

	// A new password and a new code, for the same keys.
	changed := must[talk.PasswordKeys](r, talk.MethodRewrap, talk.Password{Password: "four other better words"})
	must[any](r, talk.MethodOpen, talk.Open{Bundle: changed.Bundle, User: "u", IdentityPublic: made.IdentityPublic})
	renewed := must[talk.Recovery](r, talk.MethodNewRecovery, nil)
	refused(r, fault.Invalid, talk.MethodConfirmCode, talk.Code{Code: made.Recovery.Code})
	must[any](r, talk.MethodConfirmCode, talk.Code{Code: renewed.Code})
	must[talk.AuthKey](r, talk.MethodDeriveRecovery, talk.Code{Code: renewed.Code})
	must[any](r, talk.MethodOpen, talk.Open{Bundle: renewed.Keys.Bundle, User: "u", IdentityPublic: made.IdentityPublic})
}

func TestWeakPasswords(t *testing.T) {
	t.Parallel()
	r := opened(t)
	for _, p := range []string{"", "short", "password12345", "ada.lovelace"} {
		in := talk.Password{Password: p, Words: []string{"ada.lovelace@example.org"}}
		refused(r, fault.Invalid, talk.MethodCreate, in)
		refused(r, fault.Invalid, talk.MethodRewrap, in)
		if v := must[talk.Verdict](r, talk.MethodStrength, in); v.Score >= minScore || v.Sentence == "" {
			t.Errorf("%q: %+v", p, v)
		}
	}
	if v := must[talk.Verdict](r, talk.MethodStrength, talk.Strength{Password: goodPassword}); v.Score != 4 {
		t.Errorf("%+v", v)
	}
	// Too short for all its strength.
	if v := must[talk.Verdict](r, talk.MethodStrength, talk.Strength{Password: "kV9#pL2x}"}); v.Score != minScore-1 || !strings.Contains(v.Sentence, "ten characters") {
		t.Errorf("%+v", v)
	}
}

func TestWithoutKeys(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	for method := range methods {
		switch method {
		case talk.MethodDerive, talk.MethodDeriveRecovery, talk.MethodCreate, talk.MethodConfirmCode, talk.MethodStrength, talk.MethodOpen,
			talk.MethodLock, talk.MethodResume, talk.MethodLocked, talk.MethodRelease:
			continue
		}
		refused(r, fault.Unauthenticated, method, nil)
	}
	refused(r, fault.NotFound, "furniture", nil)
	refused(r, fault.Invalid, talk.MethodList, "not an object")
	refused(r, fault.Invalid, talk.MethodOpen, 7)
	must[any](r, talk.MethodLocked, nil) // they are not open: no waiting
}

func TestLockEndsEverything(t *testing.T) {
	t.Parallel()
	r := opened(t)
	s := r.Snapshot(t, nil)
	must[[]talk.Manifest](r, talk.MethodOpenManifests, []talk.Sealed{s})

	// Somebody waits for the lock, and a call is on its way that will not end by itself.
	began := make(chan struct{}, 10)
	account := r.safe.account
	r.Remote.Fail = func(string, int) error {
		began <- struct{}{}
		<-account.ctx.Done()
		return context.Canceled
	}
	failed, waited := make(chan error, 1), make(chan error, 1)
	go func() {
		_, err := r.safe.Do(t.Context(), Request{Method: talk.MethodLocked})
		waited <- err
	}()
	go func() {
		_, err := r.safe.Do(t.Context(), Request{Method: talk.MethodLoad, In: []byte(`{"snapshot":"` + s.ID + `"}`)})
		failed <- err
	}()
	<-began
	must[any](r, talk.MethodLock, nil)
	if err := <-failed; !errors.Is(err, fault.Unauthenticated) {
		t.Errorf("a call under way: %v", err)
	}
	if err := <-waited; err != nil {
		t.Errorf("whoever waited for the lock: %v", err)
	}
	if account.ctx.Err() == nil || r.told != 1 || !r.keeper.empty() {
		t.Errorf("after locking: %v, told %d times", account.ctx.Err(), r.told)
	}
	refused(r, fault.Unauthenticated, talk.MethodEnrolCode, talk.EnrolCode{})
	refused(r, fault.NotFound, talk.MethodResume, talk.Resume{User: r.User.String()})
	must[any](r, talk.MethodLock, nil) // once more does no harm

	ctx, cancel := context.WithCancel(t.Context())
	r.safe.use(r.Account, "u")
	cancel()
	if _, err := r.safe.Do(ctx, Request{Method: talk.MethodLocked}); !errors.Is(err, context.Canceled) {
		t.Errorf("a wait that was given up: %v", err)
	}
}

func TestKeysComeBackAfterAReload(t *testing.T) {
	t.Parallel()
	r := opened(t)
	user := talk.Resume{User: r.User.String()}
	must[any](r, talk.MethodResume, user) // they are open

	after := r.tab()
	if _, err := ask[any](r, after, talk.MethodResume, user); err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(after.account.keys.IdentityPublic(), r.Account.IdentityPublic()) {
		t.Error("other keys came back")
	}
	if _, err := ask[any](r, r.tab(), talk.MethodResume, talk.Resume{User: "another"}); !errors.Is(err, fault.NotFound) {
		t.Errorf("another user's keys: %v", err)
	}

	// Use prolongs their life, but not all the time.
	keeps, until := r.keeper.keeps, r.keeper.until
	r.clock = r.clock.Add(keepEvery / 2)
	must[talk.Enrolment](r, talk.MethodEnrolCode, talk.EnrolCode{})
	if r.keeper.keeps != keeps {
		t.Error("kept again too soon")
	}
	r.clock = r.clock.Add(keepEvery)
	must[talk.Enrolment](r, talk.MethodEnrolCode, talk.EnrolCode{})
	if r.keeper.keeps != keeps+1 || !r.keeper.until.After(until) {
		t.Errorf("kept %d times until %v", r.keeper.keeps-keeps, r.keeper.until)
	}
	r.clock = r.clock.Add(Life - time.Second)
	if _, err := ask[any](r, r.tab(), talk.MethodResume, user); err != nil {
		t.Errorf("just in time: %v", err)
	}
	r.clock = r.clock.Add(2 * Life)
	if _, err := ask[any](r, r.tab(), talk.MethodResume, user); !errors.Is(err, fault.NotFound) {
		t.Errorf("too late: %v", err)
	}

	// A lock in another tab: the keys are gone here, and what is kept is that tab's to delete.
	r.safe.Lock(false)
	if r.told != 0 || r.keeper.empty() {
		t.Error("a lock from elsewhere was told, or deleted what was kept")
	}
	refused(r, fault.Unauthenticated, talk.MethodEnrolCode, talk.EnrolCode{})
}

func TestKeepingMayFail(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	user := talk.Resume{User: r.User.String()}
	r.keeper.fail = errors.New("no storage in private windows")
	r.safe.use(r.Account, user.User)
	must[talk.Enrolment](r, talk.MethodEnrolCode, talk.EnrolCode{})
	if _, err := ask[any](r, r.tab(), talk.MethodResume, user); !errors.Is(err, fault.Internal) {
		t.Errorf("%v", err)
	}
	r.keeper.fail = nil
	must[talk.Enrolment](r, talk.MethodEnrolCode, talk.EnrolCode{}) // it was not kept yet, so it is tried again
	r.keeper.mu.Lock()
	r.keeper.sealed[20] ^= 1
	r.keeper.mu.Unlock()
	if _, err := ask[any](r, r.tab(), talk.MethodResume, user); !errors.Is(err, fault.NotFound) || !r.keeper.empty() {
		t.Errorf("damaged: %v", err)
	}
	// A browser that keeps nothing.
	none := New(Outside{})
	none.use(r.Account, user.User)
	none.Lock(true)
	if _, err := ask[any](r, none, talk.MethodResume, user); !errors.Is(err, fault.NotFound) {
		t.Errorf("%v", err)
	}
}
