package setting

import (
	"context"
	"sync"
	"time"

	"github.com/jmoiron/sqlx"
)

// MaxAge is how long a Service goes by what it has read, if Config does not say.
const MaxAge = 3 * time.Second

// Config is what a Service stands on.
type Config struct {
	DB     *sqlx.DB
	MaxAge time.Duration // 0: [MaxAge]
}

// Service is the noun setting. It is safe for concurrent use, and any number of them may work on one database.
type Service struct {
	cfg Config

	mu   sync.Mutex
	last Settings
	at   time.Time // when last was read; zero: never
}

// New returns the service.
func New(cfg Config) *Service {
	if cfg.MaxAge == 0 {
		cfg.MaxAge = MaxAge
	}
	return &Service{cfg: cfg}
}

// Get returns the settings as they are, or as they were a few seconds ago if somebody changed them at another server.
func (s *Service) Get(ctx context.Context) (*Settings, error) {
	s.mu.Lock()
	defer s.mu.Unlock() // held while reading: callers that come meanwhile want the same answer
	if s.at.IsZero() || time.Since(s.at) >= s.cfg.MaxAge {
		begun := time.Now()
		now, err := read(ctx, s.cfg.DB)
		if err != nil {
			return nil, err
		}
		s.last, s.at = *now, begun
	}
	settings := s.last
	return &settings, nil
}

// forget makes the next Get read.
func (s *Service) forget() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.at = time.Time{}
}
