package notice

import (
	"context"
	"fmt"
)

const keyRoom = "storage:low"

// Room tells administrators once when the store has less room than the settings' StorageLowPercent of its total. It is forgotten when there is a fifth
// more than that again, so that a store at the line does not tell every hour. free and total are bytes; nil says that the
// store cannot tell, and nothing happens.
func (s *Service) Room(ctx context.Context, free, total *int64) error {
	if free == nil || total == nil || *total <= 0 {
		return nil
	}
	set, err := s.cfg.Settings(ctx)
	if err != nil {
		return err
	}
	percent := 100 * float64(*free) / float64(*total)
	switch low := float64(set.StorageLowPercent); {
	case percent < low:
		return s.Tell(ctx, Event{
			Kind: "storage.low", Key: keyRoom, Title: "The store is nearly full",
			Body: fmt.Sprintf("%s of %s are left. Backups fail when nothing is: make room, move the store to a larger disk, or keep snapshots for a shorter time.",
				size(float64(*free)), size(float64(*total))),
		})
	case percent >= 1.2*low:
		return s.Over(ctx, keyRoom)
	}
	return nil
}
