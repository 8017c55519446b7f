package fleet

import (
	"context"

	"github.com/jmoiron/sqlx"

	"github.com/holdfast-backup/holdfast/depot/actor"
	"github.com/holdfast-backup/holdfast/depot/pg"
	"github.com/holdfast-backup/holdfast/wire/id"
)

// Forsake revokes all devices of a person whose account is reset, and makes their one-time codes void: all of these hold the old keys. Only
// administrators may. A repetition finishes what failed half way.
func (s *Service) Forsake(ctx context.Context, a actor.Actor, owner id.User) error {
	if err := a.Require(actor.Admin); err != nil {
		return err
	}
	err := pg.InTx(ctx, s.db, func(tx *sqlx.Tx) error { return deleteEnrolments(ctx, tx, owner) })
	if err != nil {
		return err
	}
	list, err := all(ofOwner(ctx, s.db, owner))
	if err != nil {
		return err
	}
	for _, d := range list {
		if d.RevokedAt != nil {
			continue
		}
		if _, err := s.Revoke(ctx, a, d.ID); err != nil {
			return err
		}
	}
	return nil
}
