package state

import (
	"context"
	"strings"

	"github.com/holdfast-backup/holdfast/app/api"
	"github.com/holdfast-backup/holdfast/app/talk"
	"github.com/holdfast-backup/holdfast/wire/fault"
)

// JoinStep is how far somebody is in making an account.
type JoinStep int

// The steps.
const (
	JoinForm    JoinStep = iota // name and password
	JoinCode                    // the recovery code is shown
	JoinConfirm                 // and typed back
)

// Join makes an account from an invitation. The account is made at the very end: whoever leaves before can begin again with the same
// invitation. Make it with [NewJoin].
type Join struct {
	Model
	session *Session
	token   string
	judge   judge
	v       JoinView
	input   *api.JoinInput
}

// JoinView is what pages show of a [Join].
type JoinView struct {
	Offer    Load[*api.InvitationOfferInvitation]
	Step     JoinStep
	Strength Strength
	Code     string // the recovery code, from JoinCode on
	Ask      []int  // which of its groups have to be typed back, from 0
	Busy     bool
	Err      error
}

// NewJoin begins to join with an invitation's token.
func NewJoin(s *Session, token string) *Join {
	j := &Join{session: s, token: token}
	j.judge = judge{keys: s.keys, tell: func(st Strength) { j.change(func() { j.v.Strength = st }) }}
	return j
}

// View returns what to show.
func (j *Join) View() (v JoinView) {
	j.read(func() { v = j.v })
	return v
}

// Load asks what the invitation offers.
func (j *Join) Load() {
	j.change(func() { j.v.Offer.begin() })
	go func() {
		got, err := api.InvitationOffer(context.Background(), j.session.api, j.token)
		j.change(func() {
			if err != nil {
				j.v.Offer.end(nil, err)
				return
			}
			j.v.Offer.end(got.Invitation, nil)
		})
	}()
}

// Judge says how strong a password is, in a later View.
func (j *Join) Judge(email, name, password string) { j.judge.ask(chosen(password, email, name)) }

// Make makes keys of a password, and a recovery code. email is used if the invitation is for no address.
func (j *Join) Make(email, name, password string) {
	j.do(func(ctx context.Context) (func(*JoinView), error) {
		in := &api.JoinInput{Token: j.token, Name: strings.TrimSpace(name), Client: clientName, Cookie: true}
		offer := j.View().Offer.Value
		switch {
		case offer == nil:
			return nil, fault.New(fault.Conflict, "the invitation is not loaded yet: try again")
		case in.Name == "":
			return nil, fault.New(fault.Invalid, "type your name")
		}
		if offer.Email == nil {
			email = strings.TrimSpace(email)
			if local, domain, ok := strings.Cut(email, "@"); !ok || local == "" || domain == "" {
				return nil, fault.New(fault.Invalid, "type your e-mail address, such as name@example.org")
			}
			in.Email = &email
		} else {
			email = *offer.Email
		}
		if password == "" {
			return nil, fault.New(fault.Invalid, "choose a password")
		}
		var made talk.Created
		if err := j.session.keys.Call(ctx, talk.MethodCreate, chosen(password, email, name), &made); err != nil {
			return nil, err
		}
		in.Keys, in.Recovery, in.IdentityPublic = passwordKeys(made.Keys), recoveryKeys(made.Recovery.Keys), made.IdentityPublic
		return func(v *JoinView) { j.input, v.Code, v.Step = in, made.Recovery.Code, JoinCode }, nil
	})
}

// Kept goes on to typing the code back.
func (j *Join) Kept() {
	j.change(func() {
		if j.v.Step == JoinCode {
			j.v.Step, j.v.Ask, j.v.Err = JoinConfirm, askGroups(j.v.Code), nil
		}
	})
}

// Back goes back by a step. The code stays the same until another password is chosen.
func (j *Join) Back() {
	j.change(func() {
		if j.v.Step > JoinForm && !j.v.Busy {
			j.v.Step--
			j.v.Err = nil
		}
	})
}

// Confirm takes the groups that were asked for and makes the account. Its person is in then: see the session.
func (j *Join) Confirm(typed []string) {
	j.do(func(ctx context.Context) (func(*JoinView), error) {
		v := j.View()
		if v.Step != JoinConfirm {
			return nil, fault.New(fault.Conflict, "there is no code to type back yet")
		}
		if err := typedBack(v.Code, v.Ask, typed); err != nil {
			return nil, err
		}
		in, err := api.Join(ctx, j.session.api, j.input)
		if err != nil {
			return nil, err
		}
		u := in.Join.User
		if err := j.session.open(ctx, &u.AccountFields, in.Join.Bundle, u.IdentityPublic); err != nil {
			return nil, err
		}
		j.session.enter(&u.AccountFields, true)
		return func(v *JoinView) { *v, j.input = JoinView{}, nil }, nil
	})
}

// do runs what takes a while, one at a time.
func (j *Join) do(fn func(context.Context) (func(*JoinView), error)) {
	busy := false
	j.change(func() {
		busy = j.v.Busy
		if !busy {
			j.v.Busy, j.v.Err = true, nil
		}
	})
	if busy {
		return
	}
	go func() {
		then, err := fn(context.Background())
		j.change(func() {
			j.v.Busy, j.v.Err = false, err
			if err == nil {
				then(&j.v)
			}
		})
	}()
}
