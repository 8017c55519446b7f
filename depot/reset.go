package depot

import (
	"context"

	"github.com/holdfast-backup/holdfast/depot/account"
	"github.com/holdfast-backup/holdfast/depot/actor"
	"github.com/holdfast-backup/holdfast/wire/id"
)

// Reset is an account that was reset, and with what its person joins again.
type Reset struct {
	User       *account.User
	Invitation *account.Invitation
	Token, URL string
	Snapshots  int // that were deleted
}

// Reset starts an account anew: see [account.Service.Reset]. Then its devices are revoked and its snapshots deleted, which is not one
// transaction: what fails half way leaves the account shut, and is finished by a repetition.
func (d *Depot) Reset(ctx context.Context, a actor.Actor, user id.User, email string) (*Reset, error) {
	u, inv, text, url, err := d.Accounts.Reset(ctx, a, user, email)
	if err != nil {
		return nil, err
	}
	r := &Reset{User: u, Invitation: inv, Token: text, URL: url}
	if err := d.Fleet.Forsake(ctx, a, user); err != nil {
		return nil, err
	}
	if d.Catalog != nil {
		r.Snapshots, err = d.Catalog.Forsake(ctx, a, user)
	}
	return r, err
}
