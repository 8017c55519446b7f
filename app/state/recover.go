package state

import (
	"context"
	"strings"

	"github.com/holdfast-backup/holdfast/app/api"
	"github.com/holdfast-backup/holdfast/app/talk"
	"github.com/holdfast-backup/holdfast/wire/fault"
)

// Recover lets a person in who forgot the password and kept the recovery code. Make it with [NewRecover].
type Recover struct {
	Model
	session *Session
	judge   judge
	v       RecoverView
}

// RecoverView is what pages show of a [Recover].
type RecoverView struct {
	User     *api.AccountFields // whose code it was: a new password is due. Nil until then
	Strength Strength
	Busy     bool
	Err      error

	CodeAsked bool // the recovery code was right, and the account wants a code of its second factor with it
}

// NewRecover begins.
func NewRecover(s *Session) *Recover {
	r := &Recover{session: s}
	r.judge = judge{keys: s.keys, tell: func(st Strength) { r.change(func() { r.v.Strength = st }) }}
	return r
}

// View returns what to show.
func (r *Recover) View() (v RecoverView) {
	r.read(func() { v = r.v })
	return v
}

// Code logs in with a recovery code and opens the keys. second is the code of the second factor, "" until a View asks for it.
func (r *Recover) Code(email, code, second string) {
	r.do(func(ctx context.Context) (func(), error) {
		email = strings.TrimSpace(email)
		if email == "" || strings.TrimSpace(code) == "" {
			return nil, fault.New(fault.Invalid, "type your e-mail address and your recovery code")
		}
		var d talk.AuthKey
		if err := r.session.keys.Call(ctx, talk.MethodDeriveRecovery, talk.Code{Code: code}, &d); err != nil {
			return nil, err
		}
		in, err := api.LoginWithRecovery(ctx, r.session.api, &api.LoginWithRecoveryInput{Email: email, RecoveryAuthKey: d.AuthKey, Code: filled(second), Client: clientName, Cookie: true})
		if err != nil {
			return nil, err
		}
		u := in.LoginWithRecovery.User
		if err := r.session.open(ctx, &u.AccountFields, in.LoginWithRecovery.Bundle, u.IdentityPublic); err != nil {
			return nil, err
		}
		return func() { r.v.User, r.v.CodeAsked = &u.AccountFields, false }, nil
	})
}

// Judge says how strong a password is, in a later View.
func (r *Recover) Judge(password string) {
	if u := r.View().User; u != nil {
		r.judge.ask(chosen(password, u.Email, u.Name))
	}
}

// Password sets the new password. Its person is in then: see the session.
func (r *Recover) Password(password string) {
	r.do(func(ctx context.Context) (func(), error) {
		u := r.View().User
		if u == nil {
			return nil, fault.New(fault.Conflict, "type your recovery code first")
		}
		user, err := setPassword(ctx, r.session, nil, chosen(password, u.Email, u.Name))
		if err != nil {
			return nil, err
		}
		left := false
		r.change(func() {
			left = r.v.User == nil
			r.v.User = nil
		})
		if left {
			return nil, fault.New(fault.Conflict, "the new password is set: log in with it")
		}
		r.session.enter(user, false)
		return func() { r.v = RecoverView{} }, nil
	})
}

// setPassword wraps the open keys under a new password. old is the old one's authentication key, nil after a recovery.
func setPassword(ctx context.Context, s *Session, old []byte, p talk.Password) (*api.AccountFields, error) {
	if p.Password == "" {
		return nil, fault.New(fault.Invalid, "choose a new password")
	}
	var w talk.PasswordKeys
	if err := s.keys.Call(ctx, talk.MethodRewrap, p, &w); err != nil {
		return nil, err
	}
	in := &api.ChangePasswordInput{Keys: passwordKeys(w)}
	if old != nil {
		in.OldAuthKey = &old
	}
	done, err := api.ChangePassword(ctx, s.api, in)
	if err != nil {
		return nil, err
	}
	return &done.ChangePassword.User.AccountFields, nil
}

// do runs what takes a while, one at a time.
func (r *Recover) do(fn func(context.Context) (func(), error)) {
	busy := false
	r.change(func() {
		busy = r.v.Busy
		if !busy {
			r.v.Busy, r.v.Err = true, nil
		}
	})
	if busy {
		return
	}
	go func() {
		then, err := fn(context.Background())
		r.change(func() {
			r.v.Busy = false
			r.v.CodeAsked, r.v.Err = codeStep(r.v.CodeAsked, err)
			if err == nil {
				then()
			}
		})
	}()
}

// ForgetCode goes back from the code of the second factor to the recovery code.
func (r *Recover) ForgetCode() { r.change(func() { r.v.CodeAsked, r.v.Err = false, nil }) }

// Leave gives up: if a code let somebody in who set no password, that login ends.
func (r *Recover) Leave() {
	half := false
	r.change(func() {
		half = r.v.User != nil
		r.v = RecoverView{}
	})
	if half {
		r.session.Logout()
	}
}
