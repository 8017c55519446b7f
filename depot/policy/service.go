package policy

import (
	"context"

	"github.com/jmoiron/sqlx"

	"github.com/holdfast-backup/holdfast/depot/actor"
	"github.com/holdfast-backup/holdfast/wire/fault"
	"github.com/holdfast-backup/holdfast/wire/id"
)

// MaxByID is how many things the methods for many at once take.
const MaxByID = 500

// Config is what a Service stands on.
type Config struct {
	DB *sqlx.DB

	// BeforeChange accounts for all slots of an enabled policy that have passed, by the rule that held until now. It
	// is called inside the transaction of the change, which holds the policy's row. Nil: there are no runs.
	BeforeChange func(ctx context.Context, tx *sqlx.Tx, p *Policy) error
}

// Service is the noun policy. It is safe for concurrent use, and any number of them may work on one database.
type Service struct{ cfg Config }

// New returns the service.
func New(cfg Config) *Service { return &Service{cfg} }

func noPolicy() error { return fault.New(fault.NotFound, "there is no such policy") }

// List returns all policies, by name.
func (s *Service) List(ctx context.Context, a actor.Actor) ([]*Policy, error) {
	if err := a.Require(actor.Admin); err != nil {
		return nil, err
	}
	return list(ctx, s.cfg.DB)
}

// Get returns one policy.
func (s *Service) Get(ctx context.Context, a actor.Actor, policy id.Policy) (*Policy, error) {
	if err := a.Require(actor.Admin); err != nil {
		return nil, err
	}
	return one(ctx, s.cfg.DB, policy)
}

// one returns a policy with its targets, or NOT_FOUND.
func one(ctx context.Context, q sqlx.QueryerContext, policy id.Policy) (*Policy, error) {
	found, err := byID(ctx, q, []id.Policy{policy})
	if err != nil {
		return nil, err
	}
	if len(found) == 0 {
		return nil, noPolicy()
	}
	return found[0], nil
}

// ByID returns those of the policies that exist, at most [MaxByID] at once: to administrators; without their targets, to
// a device that one applies to or has made a run for, and to the owner of such a device.
func (s *Service) ByID(ctx context.Context, a actor.Actor, ids []id.Policy) (map[id.Policy]*Policy, error) {
	if err := mayAsk(a, len(ids)); err != nil {
		return nil, err
	}
	var list []*Policy
	var err error
	if a.Require(actor.Admin) == nil {
		list, err = byID(ctx, s.cfg.DB, ids)
	} else {
		var only *id.Device
		if a.IsDevice() {
			only = &a.Device
		}
		list, err = ofOwner(ctx, s.cfg.DB, a.User, only, ids)
	}
	if err != nil {
		return nil, err
	}
	found := map[id.Policy]*Policy{}
	for _, p := range list {
		found[p.ID] = p
	}
	return found, nil
}

// mayAsk refuses nobody, and more than can be asked about at once.
func mayAsk(a actor.Actor, n int) error {
	if a.IsNobody() {
		return fault.New(fault.Unauthenticated, "log in first")
	}
	if n > MaxByID {
		return fault.New(fault.TooLarge, "at most %d at once", MaxByID)
	}
	return nil
}

// DeviceCounts returns how many devices each of the policies applies to now, whether it is on or off.
func (s *Service) DeviceCounts(ctx context.Context, a actor.Actor, ids []id.Policy) (map[id.Policy]int, error) {
	if err := a.Require(actor.Admin); err != nil {
		return nil, err
	}
	if err := mayAsk(a, len(ids)); err != nil {
		return nil, err
	}
	return deviceCounts(ctx, s.cfg.DB, ids)
}
