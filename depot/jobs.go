package depot

import (
	"context"

	"github.com/holdfast-backup/holdfast/depot/actor"
	"github.com/holdfast-backup/holdfast/depot/carelog"
	"github.com/holdfast-backup/holdfast/wire/id"
)

// Jobs returns a page of the care that was taken: see [carelog.List].
func (d *Depot) Jobs(ctx context.Context, a actor.Actor, kind string, first int, after string) (*carelog.Page, error) {
	return carelog.List(ctx, d.DB, a, kind, first, after)
}

// Job returns one piece of care: see [carelog.Get].
func (d *Depot) Job(ctx context.Context, a actor.Actor, job id.Job) (*carelog.Entry, error) {
	return carelog.Get(ctx, d.DB, a, job)
}
