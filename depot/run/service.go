package run

import (
	"context"
	"time"

	"github.com/jmoiron/sqlx"

	"github.com/holdfast-backup/holdfast/depot/application"
	"github.com/holdfast-backup/holdfast/depot/notice"
	"github.com/holdfast-backup/holdfast/depot/policy"
	"github.com/holdfast-backup/holdfast/depot/setting"
	"github.com/holdfast-backup/holdfast/wire/fault"
	"github.com/holdfast-backup/holdfast/wire/id"
)

// Bus is what the package needs of depot/bus.
type Bus interface {
	Publish(ctx context.Context, topic string, msg []byte)
}

// Config is what a Service stands on.
type Config struct {
	DB           *sqlx.DB
	Bus          Bus // nil: nobody is told
	Policies     *policy.Service
	Applications *application.Service
	Settings     *setting.Service // nil: the defaults
	LeaseTTL     time.Duration    // how long a device that has work may be silent; 0: three minutes
}

// Service is the noun run. It is safe for concurrent use, and any number of them may work on one database.
type Service struct{ cfg Config }

// New returns the service.
func New(cfg Config) *Service {
	if cfg.LeaseTTL == 0 {
		cfg.LeaseTTL = 3 * time.Minute
	}
	return &Service{cfg}
}

func (s *Service) settings(ctx context.Context) (setting.Settings, error) {
	if s.cfg.Settings == nil {
		return setting.Defaults(), nil
	}
	now, err := s.cfg.Settings.Get(ctx)
	if err != nil {
		return setting.Settings{}, err
	}
	return *now, nil
}

// FleetTopic is where changes of all runs ring. A message is a run's id, or empty: look at all that are open.
const FleetTopic = "runs"

// Topic is where changes of the runs of an owner's devices ring, as on [FleetTopic].
func Topic(owner id.User) string { return "runs:" + owner.String() }

// RingTopic is where a device is rung to look for work.
func RingTopic(device id.Device) string { return "work:" + device.String() }

// manyHints is how many runs of one owner, or of all, are named one by one; more are one hint to look at all.
const manyHints = 50

// news is what to ring once a transaction is committed.
type news struct {
	changed []*row      // runs
	devices []id.Device // to look for work
	readers []id.User   // of notifications
}

// ring rings. It is called after the commit.
func (s *Service) ring(ctx context.Context, n news) {
	if s.cfg.Bus == nil {
		return
	}
	topics := map[string][]id.Run{}
	for _, r := range n.changed {
		topics[Topic(r.OwnerID)] = append(topics[Topic(r.OwnerID)], r.ID)
		topics[FleetTopic] = append(topics[FleetTopic], r.ID)
	}
	for topic, runs := range topics {
		if len(runs) > manyHints {
			s.cfg.Bus.Publish(ctx, topic, nil)
			continue
		}
		for _, r := range runs {
			s.cfg.Bus.Publish(ctx, topic, []byte(r.String()))
		}
	}
	once(n.devices, func(d id.Device) { s.cfg.Bus.Publish(ctx, RingTopic(d), nil) })
	once(n.readers, func(u id.User) { s.cfg.Bus.Publish(ctx, notice.Topic(u), nil) })
}

// once calls fn with each of the different values.
func once[T comparable](list []T, fn func(T)) {
	seen := make(map[T]struct{}, len(list))
	for _, v := range list {
		if _, ok := seen[v]; !ok {
			seen[v] = struct{}{}
			fn(v)
		}
	}
}

func noRun() error    { return fault.New(fault.NotFound, "there is no such run") }
func noDevice() error { return fault.New(fault.NotFound, "there is no such device") }
