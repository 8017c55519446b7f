package catalog

import (
	"context"

	"github.com/holdfast-backup/holdfast/depot/catalog/gc"
	"github.com/holdfast-backup/holdfast/depot/pg"
	"github.com/holdfast-backup/holdfast/wire/id"
)

// DueSpaces lists the spaces in which there is something to clean, so that several workers can share them: see
// [Service.CollectDue], which cleans them one after the other.
func (s *Service) DueSpaces(ctx context.Context) ([]id.Space, error) {
	all, err := listSpaces(ctx, s.cfg.DB)
	if err != nil {
		return nil, pg.Fault(err)
	}
	var list []id.Space
	for _, sp := range all {
		if sp.OwnerID == nil {
			continue
		}
		due, err := s.due(ctx, &sp)
		if err != nil {
			return nil, err
		}
		if due != (gc.Due{}) {
			list = append(list, sp.PublicID)
		}
	}
	return list, nil
}
