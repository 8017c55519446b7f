package catalog

import (
	"context"
	"fmt"

	"github.com/jmoiron/sqlx"

	"github.com/holdfast-backup/holdfast/depot/actor"
	"github.com/holdfast-backup/holdfast/depot/audit"
	"github.com/holdfast-backup/holdfast/wire/id"
)

// Forsake deletes all snapshots of a person whose account is reset, pinned ones too, as [Service.DeleteSnapshot] does, and returns how many there
// were. Only administrators may; that this one may reset this person is asked before. The undo window counts: as long as the person
// has not joined again with new keys, the reset can be taken back, and the snapshots too. After that nobody can open them, and they cannot be taken back.
//
// It is done in parts. What fails half way is finished by a repetition.
func (s *Service) Forsake(ctx context.Context, a actor.Actor, owner id.User) (int, error) {
	if err := a.Require(actor.Admin); err != nil {
		return 0, err
	}
	undo, err := s.undoWindow(ctx)
	if err != nil {
		return 0, err
	}
	total := 0
	for {
		n := 0
		var d deletion
		err := s.inTx(ctx, func(tx *sqlx.Tx) error {
			n = 0
			space, err := spaceOf(ctx, tx, owner)
			if err != nil || space == nil {
				return err
			}
			list, err := lockLive(ctx, tx, owner, MaxRetain)
			if err != nil || len(list) == 0 {
				return err
			}
			n = len(list)
			if _, err := d.run(ctx, tx, s, space.PublicID, list, byOperator, undo); err != nil {
				return err
			}
			return audit.Write(ctx, tx, audit.Event{Kind: "snapshots.forsaken", Actor: a, Owner: owner,
				Text: fmt.Sprintf("%d snapshots of an account that was reset were deleted.", n)})
		})
		if err := d.settle(ctx, s, err); err != nil {
			return total, err
		}
		if total += n; n < MaxRetain {
			return total, nil
		}
	}
}
