package agent

import (
	"context"

	"github.com/holdfast-backup/holdfast/vault/keyring"
	"github.com/holdfast-backup/holdfast/vault/remote"
	"github.com/holdfast-backup/holdfast/wire/fault"
)

// JoinInput is what a person brings to make an account.
type JoinInput struct {
	Token       string // of the invitation
	Email, Name string // "": as the invitation says

	// Password returns the new password, once the e-mail is known. It is checked by CheckPassword.
	Password func(email string) ([]byte, error)
	// Recovery shows the recovery code and makes sure that it was kept. The account is made only if it
	// returns nil: an account whose code nobody has is an account that one forgotten password destroys.
	Recovery func(email string, code keyring.RecoveryCode) error
}

// Joined is a new account.
type Joined struct {
	Email, Name, Role string
}

// Join accepts an invitation: it makes the account's keys here and gives the server sealed copies of them.
func Join(ctx context.Context, s Server, in JoinInput) (*Joined, error) {
	c, err := s.Dial("")
	if err != nil {
		return nil, err
	}
	defer c.Close()
	if err := s.check(ctx, c); err != nil {
		return nil, err
	}
	invitation, err := c.Invitation(ctx, in.Token)
	if err != nil {
		return nil, err
	}
	email, name := in.Email, in.Name
	if email == "" {
		email = invitation.Email
	}
	if name == "" {
		name = invitation.Name
	}
	if err := need(email != "", "this invitation is for whoever holds it: say who you are with --email"); err != nil {
		return nil, err
	}
	if err := need(name != "", "say what you are called with --name"); err != nil {
		return nil, err
	}
	password, err := in.Password(email)
	if err != nil {
		return nil, err
	}
	if err := CheckPassword(password, email); err != nil {
		return nil, err
	}
	keys, err := keyring.NewAccount()
	if err != nil {
		return nil, fault.Wrap(err, fault.Internal, "making the account's keys")
	}
	params, sealed, err := passwordKeys(password, keys)
	if err != nil {
		return nil, err
	}
	code := keyring.NewRecoveryCode()
	if err := in.Recovery(email, code); err != nil {
		return nil, err
	}
	login, err := c.Join(ctx, remote.JoinInput{
		Token: in.Token, Email: in.Email, Name: name, Params: params,
		Password: sealed, Recovery: recoveryKeys(code, keys), Identity: keys.IdentityPublic(),
	})
	if err != nil {
		return nil, err
	}
	(&Account{Client: c.WithToken(login.Token)}).Close(ctx)
	return &Joined{Email: login.User.Email, Name: login.User.Name, Role: login.User.Role}, nil
}

// ChangePassword wraps the account's keys under a new password. Opened by the old password it proves that to
// the server; opened by the recovery code, the session itself is the proof. All other sessions end.
func (a *Account) ChangePassword(ctx context.Context, password []byte) error {
	if err := CheckPassword(password, a.User.Email); err != nil {
		return err
	}
	params, sealed, err := passwordKeys(password, a.Keys)
	if err != nil {
		return err
	}
	var old *[32]byte
	if a.auth != [32]byte{} {
		old = &a.auth
	}
	if err := a.Client.ChangePassword(ctx, old, params, sealed); err != nil {
		return err
	}
	a.auth = sealed.AuthKey
	return nil
}

// RenewRecovery replaces the recovery code: the old one opens nothing any more. It needs an account that was
// opened by the password, or whose password was changed since. confirm is as in JoinInput.Recovery.
func (a *Account) RenewRecovery(ctx context.Context, confirm func(email string, code keyring.RecoveryCode) error) error {
	if err := need(a.auth != [32]byte{}, "a new recovery code needs the password"); err != nil {
		return err
	}
	code := keyring.NewRecoveryCode()
	if err := confirm(a.User.Email, code); err != nil {
		return err
	}
	return a.Client.RenewRecovery(ctx, a.auth, recoveryKeys(code, a.Keys))
}
