package state

import (
	"context"
	"strings"
	"time"

	"github.com/holdfast-backup/holdfast/app/api"
	"github.com/holdfast-backup/holdfast/app/talk"
	"github.com/holdfast-backup/holdfast/wire/fault"
)

// Profile is a person's own account: name, password, recovery code, sessions and API tokens. Make it with [NewProfile].
type Profile struct {
	Model
	session *Session
	judge   judge
	v       ProfileView
	renewal *api.RenewRecoveryInput
}

// ProfileView is what pages show of a [Profile].
type ProfileView struct {
	Sessions Load[[]api.SessionFields]
	Tokens   Load[[]api.TokenFields]
	Strength Strength // of the new password

	Busy string           // the form that is under way, "" if none
	Err  map[string]error // of the last try of each form
	Done map[string]int   // how often each form has succeeded

	Code string // a new recovery code, shown once; the old one counts until it was typed back
	Ask  []int  // which groups have to be typed back; nil while it is shown

	Secret string // an API token that was just made, shown once

	Setup       *FactorSetup // a second factor that is being set up
	BackupCodes []string     // that were just made, shown once
	CodesLeft   int          // backup codes that were not used

	PendingEmail string // an address that waits for the code that was mailed to it; "": none
}

// The forms.
const (
	FormName     = "name"
	FormPassword = "password"
	FormCode     = "code"
	FormConfirm  = "confirm"
	FormSession  = "session"
	FormToken    = "token"
	FormRevoke   = "revoke"
	FormEmail    = "email"

	FormEmailCode = "email-code" // the code that was mailed to a new address
	FormEmailStop = "email-stop" // the change of the address given up

	FormBegin   = "begin"   // of a second factor
	FormFactor  = "factor"  // the code that confirms it
	FormBackup  = "backup"  // new backup codes
	FormDisable = "disable" // the second factor off
)

// NewProfile returns the profile of who is logged in.
func NewProfile(s *Session) *Profile {
	p := &Profile{session: s, v: ProfileView{Err: map[string]error{}, Done: map[string]int{}}}
	p.judge = judge{keys: s.keys, tell: func(st Strength) { p.change(func() { p.v.Strength = st }) }}
	return p
}

// View returns what to show.
func (p *Profile) View() (v ProfileView) {
	p.read(func() {
		v = p.v
		v.Err, v.Done = map[string]error{}, map[string]int{}
		for k, err := range p.v.Err {
			v.Err[k] = err
		}
		for k, n := range p.v.Done {
			v.Done[k] = n
		}
	})
	return v
}

// Load loads sessions and tokens.
func (p *Profile) Load() {
	p.change(func() {
		p.v.Sessions.begin()
		p.v.Tokens.begin()
	})
	go p.load(context.Background())
}

func (p *Profile) load(ctx context.Context) {
	got, err := api.Access(ctx, p.session.api)
	var sessions []api.SessionFields
	var tokens []api.TokenFields
	if err == nil {
		for _, s := range got.Me.Sessions {
			sessions = append(sessions, s.SessionFields)
		}
		for _, t := range got.Me.ApiTokens {
			tokens = append(tokens, t.TokenFields)
		}
	}
	p.change(func() {
		if err == nil && got.Me.BackupCodesLeft != nil {
			p.v.CodesLeft = *got.Me.BackupCodesLeft
		}
		if err == nil {
			p.v.PendingEmail = ""
			if e := got.Me.PendingEmail; e != nil {
				p.v.PendingEmail = *e
			}
		}
		p.v.Sessions.end(sessions, err)
		p.v.Tokens.end(tokens, err)
	})
}

// Rename changes the person's name.
func (p *Profile) Rename(name string) {
	p.do(FormName, func(ctx context.Context) (func(), error) {
		name = strings.TrimSpace(name)
		if name == "" {
			return nil, fault.New(fault.Invalid, "type your name")
		}
		got, err := api.UpdateProfile(ctx, p.session.api, &api.UpdateProfileInput{Name: name})
		if err != nil {
			return nil, err
		}
		p.session.renamed(&got.UpdateProfile.User.AccountFields)
		return nil, nil
	})
}

// Judge says how strong a new password is, in a later View.
func (p *Profile) Judge(password string) {
	if u := p.session.View().User; u != nil {
		p.judge.ask(chosen(password, u.Email, u.Name))
	}
}

// SetPassword changes the password. All other sessions end.
func (p *Profile) SetPassword(old, new string) {
	p.do(FormPassword, func(ctx context.Context) (func(), error) {
		u, proof, err := p.prove(ctx, old)
		if err != nil {
			return nil, err
		}
		if _, err := setPassword(ctx, p.session, proof, chosen(new, u.Email, u.Name)); err != nil {
			return nil, err
		}
		p.load(ctx)
		return func() { p.v.Strength = Strength{} }, nil
	})
}

// prove returns who is logged in, and what proves the password.
func (p *Profile) prove(ctx context.Context, password string) (*api.AccountFields, []byte, error) {
	u := p.session.View().User
	switch {
	case u == nil:
		return nil, nil, fault.New(fault.Conflict, "nobody is logged in: reload the page")
	case password == "":
		return nil, nil, fault.New(fault.Invalid, "type your present password")
	}
	proof, err := prove(ctx, p.session.api, p.session.keys, u.Email, password)
	return u, proof, err
}

// NewCode makes a new recovery code, which is in a later View. The old one counts until [Profile.Confirm].
func (p *Profile) NewCode(password string) {
	p.do(FormCode, func(ctx context.Context) (func(), error) {
		_, proof, err := p.prove(ctx, password)
		if err != nil {
			return nil, err
		}
		var made talk.Recovery
		if err := p.session.keys.Call(ctx, talk.MethodNewRecovery, nil, &made); err != nil {
			return nil, err
		}
		return func() {
			p.renewal = &api.RenewRecoveryInput{AuthKey: proof, Recovery: recoveryKeys(made.Keys)}
			p.v.Code, p.v.Ask = made.Code, nil
		}, nil
	})
}

// Kept goes on to typing the code back.
func (p *Profile) Kept() {
	p.change(func() {
		p.v.Ask = askGroups(p.v.Code)
		delete(p.v.Err, FormConfirm)
	})
}

// Show shows the code once more.
func (p *Profile) Show() { p.change(func() { p.v.Ask = nil }) }

// Forget gives up a new code: the old one stays.
func (p *Profile) Forget() {
	p.change(func() {
		p.v.Code, p.v.Ask, p.renewal = "", nil, nil
		delete(p.v.Err, FormConfirm)
	})
}

// Confirm takes the groups that were asked for, and puts the new code in the old one's place.
func (p *Profile) Confirm(typed []string) {
	p.do(FormConfirm, func(ctx context.Context) (func(), error) {
		var in *api.RenewRecoveryInput
		var v ProfileView
		p.read(func() { in, v = p.renewal, p.v })
		if in == nil {
			return nil, fault.New(fault.Conflict, "there is no new code: make one first")
		}
		if err := typedBack(v.Code, v.Ask, typed); err != nil {
			return nil, err
		}
		if _, err := api.RenewRecovery(ctx, p.session.api, in); err != nil {
			return nil, err
		}
		return func() { p.v.Code, p.v.Ask, p.renewal = "", nil, nil }, nil
	})
}

// EndSession ends a login elsewhere.
func (p *Profile) EndSession(id string) {
	p.do(FormSession, func(ctx context.Context) (func(), error) {
		if _, err := api.EndSession(ctx, p.session.api, &api.EndSessionInput{Id: id}); err != nil {
			return nil, err
		}
		p.load(ctx)
		return nil, nil
	})
}

// CreateToken makes an API token, which is in a later View. days 0: it lasts until it is revoked.
func (p *Profile) CreateToken(name string, days int) {
	p.do(FormToken, func(ctx context.Context) (func(), error) {
		in := &api.CreateApiTokenInput{Name: strings.TrimSpace(name)}
		if in.Name == "" {
			return nil, fault.New(fault.Invalid, "name the program that will use it")
		}
		if days > 0 {
			at := time.Now().Add(time.Duration(days) * 24 * time.Hour)
			in.ExpiresAt = &at
		}
		got, err := api.CreateApiToken(ctx, p.session.api, in)
		if err != nil {
			return nil, err
		}
		p.load(ctx)
		return func() { p.v.Secret = got.CreateApiToken.Token }, nil
	})
}

// Seen takes the new token off the screen.
func (p *Profile) Seen() { p.change(func() { p.v.Secret = "" }) }

// RevokeToken revokes an API token.
func (p *Profile) RevokeToken(id string) {
	p.do(FormRevoke, func(ctx context.Context) (func(), error) {
		if _, err := api.RevokeApiToken(ctx, p.session.api, &api.RevokeApiTokenInput{Id: id}); err != nil {
			return nil, err
		}
		p.load(ctx)
		return nil, nil
	})
}

// do runs a form, one at a time. then, which may be nil, runs under the lock.
func (p *Profile) do(form string, fn func(context.Context) (then func(), err error)) {
	busy := false
	p.change(func() {
		busy = p.v.Busy != ""
		if !busy {
			p.v.Busy = form
			delete(p.v.Err, form)
		}
	})
	if busy {
		return
	}
	go func() {
		then, err := fn(context.Background())
		p.change(func() {
			p.v.Busy = ""
			if err != nil {
				p.v.Err[form] = err
				return
			}
			p.v.Done[form]++
			if then != nil {
				then()
			}
		})
	}()
}
