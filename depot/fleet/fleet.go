package fleet

import (
	"context"
	"time"

	"github.com/jmoiron/sqlx"

	"github.com/holdfast-backup/holdfast/depot/actor"
	"github.com/holdfast-backup/holdfast/wire/id"
)

// Device is a machine that backs up.
type Device struct {
	ID           id.Device
	OwnerID      id.User
	Name         string
	Hostname     string
	OS           string
	Arch         string
	AgentVersion string
	PublicKey    []byte // X-Wing, 1216 bytes
	MAC          []byte // 32 bytes; the owner checks with it that the key was not swapped
	CreatedAt    time.Time
	LastSeenAt   *time.Time
	RevokedAt    *time.Time
}

// EnrolmentOffer is what a one-time code opens.
type EnrolmentOffer struct {
	Sealed    []byte // for the device, under a key of the code
	Email     string // whose code it is
	ExpiresAt time.Time
}

// Enrolment is a one-time code that was made, as its maker sees it.
type Enrolment struct {
	ID        id.Enrolment
	ExpiresAt time.Time
}

// RegisterInput makes a device.
type RegisterInput struct {
	EnrolmentToken *string // nil: the actor is the owner
	Name           string
	Hostname       string
	OS             string
	Arch           string
	AgentVersion   string
	PublicKey      []byte
	MAC            []byte
}

// Bus is what the package needs of depot/bus.
type Bus interface {
	Publish(ctx context.Context, topic string, msg []byte)
}

// Config is what a Service stands on.
type Config struct {
	DB  *sqlx.DB
	Bus Bus
	Now func() time.Time // nil: time.Now
}

// Service is the noun fleet.
type Service struct{ cfg Config }

// New returns the service.
func New(cfg Config) *Service { return &Service{cfg} }

func (s *Service) AuthenticateDevice(ctx context.Context, token string) (actor.Actor, error) {
	panic("unwritten")
}
func (s *Service) CreateEnrolment(ctx context.Context, a actor.Actor, tokenHash, sealed []byte) (*Enrolment, error) {
	panic("unwritten")
}
func (s *Service) OpenEnrolment(ctx context.Context, token string) (*EnrolmentOffer, error) {
	panic("unwritten")
}
func (s *Service) Register(ctx context.Context, a actor.Actor, in RegisterInput) (d *Device, token string, err error) {
	panic("unwritten")
}
func (s *Service) Devices(ctx context.Context, a actor.Actor, owner id.User) ([]*Device, error) {
	panic("unwritten")
}
func (s *Service) Device(ctx context.Context, a actor.Actor, dev id.Device) (*Device, error) {
	panic("unwritten")
}
func (s *Service) DevicesByID(ctx context.Context, a actor.Actor, ids []id.Device) (map[id.Device]*Device, error) {
	panic("unwritten")
}
func (s *Service) Rename(ctx context.Context, a actor.Actor, dev id.Device, name string) (*Device, error) {
	panic("unwritten")
}
func (s *Service) Revoke(ctx context.Context, a actor.Actor, dev id.Device) (*Device, error) {
	panic("unwritten")
}
func (s *Service) Seen(ctx context.Context, dev id.Device, agentVersion string) error {
	panic("unwritten")
}
