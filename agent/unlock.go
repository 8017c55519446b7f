package agent

import (
	"bytes"
	"context"
	"errors"
	"math"
	"runtime/debug"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/holdfast-backup/holdfast/vault/keyring"
	"github.com/holdfast-backup/holdfast/vault/remote"
	"github.com/holdfast-backup/holdfast/vault/seal"
	"github.com/holdfast-backup/holdfast/wire/fault"
)

// Secret opens an account: Password or Recovery is set.
type Secret struct {
	Password []byte
	Recovery *keyring.RecoveryCode

	// SecondFactor is asked for a code, with the server's refusal: first for having none, then for each wrong one. The error that it returns
	// ends the login. Nil: there is nobody to ask.
	SecondFactor func(refusal error) (code string, err error)
}

// login calls in until it has the code that the account asks for.
func (s Secret) login(in func(code string) (*remote.Login, error)) (*remote.Login, error) {
	login, err := in("")
	for s.SecondFactor != nil && errors.Is(err, fault.SecondFactor) {
		code, asked := s.SecondFactor(err)
		if asked != nil {
			return nil, asked
		}
		login, err = in(code)
	}
	return login, err
}

// MinPassword is the least number of characters of a new password. The key derivation makes each guess cost
// a tenth of a second and 64 MiB; what is left is up to the password.
const MinPassword = 10

// CheckPassword refuses a new password that anybody would try first.
func CheckPassword(password []byte, email string) error {
	if n := utf8.RuneCount(password); n < MinPassword {
		return fault.New(fault.Invalid, "a password of %d characters can be guessed: use at least %d, for example four words", n, MinPassword)
	}
	p := strings.ToLower(strings.TrimSpace(string(password)))
	local, _, _ := strings.Cut(strings.ToLower(email), "@")
	if p == strings.ToLower(email) || p == local {
		return fault.New(fault.Invalid, "the e-mail address is the first password that anybody would try: use another one")
	}
	if strings.Count(p, p[:1]) == len(p) {
		return fault.New(fault.Invalid, "one character repeated is no password: use for example four words")
	}
	return nil
}

// Account is an account that was opened for one command.
type Account struct {
	Client *remote.Client // with a session's token
	Keys   *keyring.Account
	User   remote.User

	server Server
	sealer *seal.Sealer
	auth   [32]byte // of the password; unset after a recovery code
}

// Unlock logs in and opens the account's bundle. The caller closes the Account.
func Unlock(ctx context.Context, s Server, email string, secret Secret) (*Account, error) {
	c, err := s.Dial("")
	if err != nil {
		return nil, err
	}
	return unlock(ctx, s, c, email, secret)
}

func unlock(ctx context.Context, s Server, c *remote.Client, email string, secret Secret) (*Account, error) {
	var login *remote.Login
	var wrap keyring.WrapKey
	var auth [32]byte
	if secret.Recovery != nil {
		recoveryAuth, w := secret.Recovery.Keys()
		wrap = w
		var err error
		login, err = secret.login(func(code string) (*remote.Login, error) { return c.LoginWithRecovery(ctx, email, recoveryAuth, code) })
		if err != nil {
			return nil, err
		}
	} else {
		p, err := c.LoginParams(ctx, email)
		if err != nil {
			return nil, err
		}
		kdf, err := kdfOf(p)
		if err != nil {
			return nil, err
		}
		if auth, wrap, err = keyring.FromPassword(secret.Password, kdf); err != nil {
			return nil, err
		}
		// Argon2id's 64 MiB are not needed again: hand them back before the real work begins.
		debug.FreeOSMemory()
		login, err = secret.login(func(code string) (*remote.Login, error) { return c.Login(ctx, email, auth, code) })
		if err != nil {
			return nil, err
		}
	}
	a := &Account{Client: c.WithToken(login.Token), User: login.User, server: s, auth: auth}
	var err error
	if a.Keys, err = keyring.OpenBundle(wrap, login.Bundle); err != nil {
		a.Close(ctx)
		if errors.Is(err, keyring.ErrWrongKey) {
			return nil, fault.Wrap(err, fault.Internal, "the server accepted the login, but the keys that it sent are not this account's: they are damaged, or were swapped")
		}
		return nil, fault.Wrap(err, fault.Internal, "the account's keys that the server sent cannot be read")
	}
	if !bytes.Equal(a.Keys.IdentityPublic(), login.User.IdentityPublic) {
		a.Close(ctx)
		return nil, fault.New(fault.Internal, "the server shows others a public key for %s that is not this account's: do not go on, and tell whoever runs it", login.User.Email)
	}
	a.sealer = seal.New(a.Keys.Space().Content)
	return a, nil
}

// Close ends the session. That it cannot is no failure of the command: the session ends by itself.
func (a *Account) Close(ctx context.Context) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
	defer cancel()
	_ = a.Client.Logout(ctx)
	a.Client.Close()
}

func kdfOf(p remote.LoginParams) (keyring.KDF, error) {
	if p.Time <= 0 || p.Time > math.MaxInt32 || p.MemoryKiB <= 0 || p.MemoryKiB > math.MaxInt32 || p.Threads <= 0 || p.Threads > math.MaxUint8 {
		return keyring.KDF{}, fault.New(fault.Internal, "the server names parameters for the password that make no sense")
	}
	k := keyring.KDF{Salt: p.Salt, Time: uint32(p.Time), MemoryKiB: uint32(p.MemoryKiB), Threads: uint8(p.Threads)}
	if err := k.Validate(); err != nil {
		return keyring.KDF{}, fault.Wrap(err, fault.Internal, "the server names parameters for the password that are not safe")
	}
	return k, nil
}

func paramsOf(k keyring.KDF) remote.LoginParams {
	return remote.LoginParams{Salt: k.Salt, Time: int(k.Time), MemoryKiB: int(k.MemoryKiB), Threads: int(k.Threads)}
}

// passwordKeys derives fresh keys from a new password and seals the account under them.
func passwordKeys(password []byte, keys *keyring.Account) (remote.LoginParams, remote.Keys, error) {
	kdf := keyring.NewKDF()
	auth, wrap, err := keyring.FromPassword(password, kdf)
	if err != nil {
		return remote.LoginParams{}, remote.Keys{}, err
	}
	return paramsOf(kdf), remote.Keys{AuthKey: auth, Bundle: keys.SealBundle(wrap)}, nil
}

func recoveryKeys(code keyring.RecoveryCode, keys *keyring.Account) remote.Keys {
	auth, wrap := code.Keys()
	return remote.Keys{AuthKey: auth, Bundle: keys.SealBundle(wrap)}
}
