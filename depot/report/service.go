package report

import (
	"context"

	"github.com/jmoiron/sqlx"

	"github.com/holdfast-backup/holdfast/depot/setting"
)

// Bus is what the package needs of depot/bus.
type Bus interface {
	Publish(ctx context.Context, topic string, msg []byte)
}

// Room is a store that knows how much room it has.
type Room interface {
	// Room returns how many bytes can be written still, and how many there are in all.
	Room(ctx context.Context) (free, total int64, err error)
}

// Config is what a Service stands on.
type Config struct {
	DB       *sqlx.DB
	Settings *setting.Service
	Room     Room // nil: the store cannot say
	Bus      Bus  // nil: nobody is rung
}

// Service is the noun report. It is safe for concurrent use, and any number of them may work on one database.
type Service struct{ cfg Config }

// New returns the service.
func New(cfg Config) *Service { return &Service{cfg} }
