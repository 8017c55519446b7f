package safe

import (
	"bytes"
	"context"
	"errors"
	"math"
	"unicode/utf8"

	"github.com/holdfast-backup/holdfast/app/safe/strength"
	"github.com/holdfast-backup/holdfast/app/talk"
	"github.com/holdfast-backup/holdfast/vault/keyring"
	"github.com/holdfast-backup/holdfast/wire/fault"
)

// New passwords have at least so many characters, and at least this score.
const (
	minPassword = 10
	minScore    = 2
)

// derive makes the keys of a password. What opens the bundle stays here.
func (s *Safe) derive(_ context.Context, in talk.Derive) (talk.AuthKey, error) {
	if in.Time <= 0 || in.Time > math.MaxInt32 || in.Memory <= 0 || in.Memory > math.MaxInt32 || in.Threads <= 0 || in.Threads > math.MaxUint8 {
		return talk.AuthKey{}, fault.New(fault.Internal, "the server names parameters for the password that make no sense")
	}
	auth, wrap, err := keyring.FromPassword([]byte(in.Password), keyring.KDF{Salt: in.Salt, Time: uint32(in.Time), MemoryKiB: uint32(in.Memory), Threads: uint8(in.Threads)})
	if err != nil {
		return talk.AuthKey{}, err
	}
	s.derived(wrap)
	return talk.AuthKey{AuthKey: auth[:]}, nil
}

// deriveRecovery makes the keys of a recovery code.
func (s *Safe) deriveRecovery(_ context.Context, in talk.Code) (talk.AuthKey, error) {
	code, err := keyring.ParseRecoveryCode(in.Code)
	if err != nil {
		return talk.AuthKey{}, err
	}
	auth, wrap := code.Keys()
	s.derived(wrap)
	return talk.AuthKey{AuthKey: auth[:]}, nil
}

func (s *Safe) derived(wrap keyring.WrapKey) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.wrap = &wrap
}

// open opens the account's bundle with what was derived last.
func (s *Safe) open(_ context.Context, in talk.Open) (any, error) {
	s.mu.Lock()
	wrap := s.wrap
	s.wrap = nil
	s.mu.Unlock()
	if wrap == nil {
		return nil, fault.New(fault.Conflict, "no password was typed yet: type it again")
	}
	keys, err := keyring.OpenBundle(*wrap, in.Bundle)
	switch {
	case errors.Is(err, keyring.ErrWrongKey):
		return nil, fault.Wrap(err, fault.Internal, "the server accepted the login, but the keys that it sent are not this account's: they are damaged, or were swapped")
	case err != nil:
		return nil, fault.Wrap(err, fault.Internal, "the account's keys that the server sent cannot be read")
	case len(in.IdentityPublic) > 0 && !bytes.Equal(in.IdentityPublic, keys.IdentityPublic()):
		return nil, fault.New(fault.Internal, "the server shows others a public key for this account that is not its own: do not go on, and tell whoever runs it")
	}
	s.use(keys, in.User)
	return nil, nil
}

// use makes keys those of the safe, and keeps them for a while.
func (s *Safe) use(keys *keyring.Account, user string) {
	a := newAccount(s, keys, user)
	s.mu.Lock()
	old := s.account
	if s.account = a; old == nil {
		s.closed = make(chan struct{})
	}
	s.mu.Unlock()
	if old != nil {
		old.close()
	}
	s.keep(a)
}

// create makes the keys of a new account. Its bundle opens with what was derived on the way.
func (s *Safe) create(_ context.Context, in talk.Password) (talk.Created, error) {
	var out talk.Created
	keys, err := keyring.NewAccount()
	if err != nil {
		return out, err
	}
	if out.Keys, err = s.passwordKeys(keys, in); err != nil {
		return out, err
	}
	out.Recovery, out.IdentityPublic = s.recovery(keys), keys.IdentityPublic()
	return out, nil
}

// rewrap seals the account's keys under a new password.
func (s *Safe) rewrap(_ context.Context, c call, in talk.Password) (talk.PasswordKeys, error) {
	return s.passwordKeys(c.keys, in)
}

// newRecovery seals the account's keys under a new recovery code.
func (s *Safe) newRecovery(_ context.Context, c call, _ struct{}) (talk.Recovery, error) {
	return s.recovery(c.keys), nil
}

func (s *Safe) passwordKeys(keys *keyring.Account, in talk.Password) (out talk.PasswordKeys, err error) {
	if err := checkPassword(in); err != nil {
		return out, err
	}
	kdf := keyring.NewKDF()
	auth, wrap, err := keyring.FromPassword([]byte(in.Password), kdf)
	if err != nil {
		return out, err
	}
	s.derived(wrap)
	return talk.PasswordKeys{
		Params:  talk.Params{Salt: kdf.Salt, Time: int(kdf.Time), Memory: int(kdf.MemoryKiB), Threads: int(kdf.Threads)},
		AuthKey: auth[:], Bundle: keys.SealBundle(wrap),
	}, nil
}

func (s *Safe) recovery(keys *keyring.Account) talk.Recovery {
	code := keyring.NewRecoveryCode()
	s.mu.Lock()
	s.code = &code
	s.mu.Unlock()
	auth, wrap := code.Keys()
	return talk.Recovery{Code: code.String(), Keys: talk.RecoveryKeys{AuthKey: auth[:], Bundle: keys.SealBundle(wrap)}}
}

// confirmCode makes sure that a person has kept the recovery code.
func (s *Safe) confirmCode(_ context.Context, in talk.Code) (any, error) {
	code, err := keyring.ParseRecoveryCode(in.Code)
	if err != nil {
		return nil, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.code == nil || *s.code != code {
		return nil, fault.New(fault.Invalid, "this is a recovery code, but not the one that was shown: type the one that was shown last")
	}
	return nil, nil
}

// strength says how hard a password is to guess.
func (s *Safe) strength(_ context.Context, in talk.Strength) (talk.Verdict, error) {
	score, sentence := strength.Judge(in.Password, in.Words)
	if n := utf8.RuneCountInString(in.Password); n < minPassword {
		return talk.Verdict{Score: min(score, minScore-1), Sentence: "Use at least ten characters, for example four words."}, nil
	}
	return talk.Verdict{Score: score, Sentence: sentence}, nil
}

// checkPassword refuses a new password that is soon guessed.
func checkPassword(in talk.Password) error {
	if n := utf8.RuneCountInString(in.Password); n < minPassword {
		return fault.New(fault.Invalid, "a password of %d characters can be guessed: use at least %d, for example four words", n, minPassword)
	}
	if score, sentence := strength.Judge(in.Password, in.Words); score < minScore {
		return fault.New(fault.Invalid, "this password is easily guessed: use for example four words. %s", sentence)
	}
	return nil
}
