package notice

import (
	"context"

	"github.com/jmoiron/sqlx"
)

// Bus is what the package needs of depot/bus.
type Bus interface {
	Publish(ctx context.Context, topic string, msg []byte)
}

// Config is what a Service stands on.
type Config struct {
	DB  *sqlx.DB
	Bus Bus // nil: nobody is told
}

// Service is the noun notice. It is safe for concurrent use, and any number of them may work on one database.
type Service struct{ cfg Config }

// New returns the service.
func New(cfg Config) *Service { return &Service{cfg} }
