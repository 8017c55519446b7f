package fleet

import (
	"context"
	"fmt"
	"time"

	"github.com/jmoiron/sqlx"

	"github.com/holdfast-backup/holdfast/depot/actor"
	"github.com/holdfast-backup/holdfast/depot/audit"
	"github.com/holdfast-backup/holdfast/depot/named"
	"github.com/holdfast-backup/holdfast/depot/notice"
	"github.com/holdfast-backup/holdfast/depot/pg"
	"github.com/holdfast-backup/holdfast/depot/token"
	"github.com/holdfast-backup/holdfast/wire/fault"
	"github.com/holdfast-backup/holdfast/wire/id"
	"github.com/holdfast-backup/holdfast/wire/proto"
)

// Lengths and counts.
const (
	MaxDevices = 100 // of one person, not counting revoked ones
	MaxByID    = 500 // of DevicesByID

	publicKeyLen = 1216 // X-Wing
	macLen       = 32
	maxName      = 100
	maxHostname  = 255
	maxWord      = 64 // of os, arch and version
	seenEvery    = time.Minute
)

// Device is a machine that backs up.
type Device struct {
	ID           id.Device  `db:"id"`
	OwnerID      id.User    `db:"user_id"`
	Name         string     `db:"name"`
	Hostname     string     `db:"hostname"`
	OS           string     `db:"os"` // Go's name of it: linux, darwin, windows
	Arch         string     `db:"arch"`
	AgentVersion string     `db:"agent_version"`
	PublicKey    []byte     `db:"public_key"` // X-Wing, 1216 bytes
	MAC          []byte     `db:"mac"`        // 32 bytes; the owner checks with it that the key was not swapped
	CreatedAt    time.Time  `db:"created_at"`
	LastSeenAt   *time.Time `db:"last_seen_at"`
	RevokedAt    *time.Time `db:"revoked_at"`
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

// Service is the noun fleet. It is safe for concurrent use, and any number of them may work on one database.
type Service struct {
	db  *sqlx.DB
	bus Bus
	now func() time.Time
}

// New returns the service.
func New(cfg Config) *Service {
	s := &Service{db: cfg.DB, bus: cfg.Bus, now: cfg.Now}
	if s.now == nil {
		s.now = time.Now
	}
	return s
}

// AuthenticateDevice returns the device that a token stands for. It fails with UNAUTHENTICATED if the token is
// unknown, the device revoked or its owner suspended.
func (s *Service) AuthenticateDevice(ctx context.Context, text string) (actor.Actor, error) {
	refused := fault.New(fault.Unauthenticated, "this device's token is not valid (any more): enrol the machine again, or ask its owner")
	if token.Kind(text) != proto.TokenDevice {
		return actor.Actor{}, refused
	}
	c, err := byToken(ctx, s.db, token.Hash(text))
	if err != nil {
		return actor.Actor{}, err
	}
	if c == nil || c.Revoked || c.Suspended {
		return actor.Actor{}, refused
	}
	return actor.Actor{User: c.User, Device: c.Device}, nil
}

// Register makes a device and its token: for the owner of a one-time code, which is used up by it, or for a
// person who is logged in.
func (s *Service) Register(ctx context.Context, a actor.Actor, in RegisterInput) (d *Device, text string, err error) {
	d, err = in.device()
	if err != nil {
		return nil, "", err
	}
	if in.EnrolmentToken == nil {
		if d.OwnerID, err = a.Person(); err != nil {
			return nil, "", err
		}
	} else if token.Kind(*in.EnrolmentToken) != proto.TokenEnrolment {
		return nil, "", noCode()
	}
	wanted := d.Name
	text, hash := token.New(proto.TokenDevice)
	err = pg.InTx(ctx, s.db, func(tx *sqlx.Tx) error {
		now := s.now()
		var code id.Enrolment
		if in.EnrolmentToken != nil {
			e, err := use(ctx, tx, token.Hash(*in.EnrolmentToken), now)
			if err != nil {
				return err
			}
			if e == nil {
				return noCode()
			}
			code, d.OwnerID = e.ID, e.User
			a = actor.Actor{User: e.User}
		}
		if ok, err := lockOwner(ctx, tx, d.OwnerID); err != nil {
			return err
		} else if !ok {
			if in.EnrolmentToken != nil {
				return noCode()
			}
			return fault.New(fault.Unauthenticated, "this login is not valid (any more): log in again")
		}
		names, err := names(ctx, tx, d.OwnerID)
		if err != nil {
			return err
		}
		if len(names) >= MaxDevices {
			return fault.New(fault.Conflict, "this account has %d devices, which is the limit: revoke one first", len(names))
		}
		d.ID, d.CreatedAt, d.Name = id.Device{}.New(), now.UTC(), free(wanted, names)
		if err := insert(ctx, tx, d, hash); err != nil {
			return err
		}
		if in.EnrolmentToken != nil {
			if err := usedBy(ctx, tx, code, d.ID); err != nil {
				return err
			}
		}
		err = audit.Write(ctx, tx, audit.Event{
			Kind: "device.registered", Actor: a, Owner: d.OwnerID, Text: fmt.Sprintf("The device “%s” was enrolled.", d.Name),
		})
		if err != nil {
			return err
		}
		return notice.Write(ctx, tx, notice.Event{
			User: d.OwnerID, Kind: "device.enrolled", Device: d.ID, Title: fmt.Sprintf("The device “%s” was enrolled", d.Name),
			Body: fmt.Sprintf("It calls itself %s (%s) and can store backups for you from now on. If it is not yours, revoke it and set a new password.", d.Hostname, d.OS),
		})
	})
	if err != nil {
		return nil, "", err
	}
	s.told(ctx, d.OwnerID)
	return d, text, nil
}

// free returns the first of "name", "name (2)", "name (3)" … that is not taken.
func free(name string, taken map[string]bool) string {
	try := name
	for n := 2; taken[try]; n++ {
		end := fmt.Sprintf(" (%d)", n)
		short := []rune(name)
		try = string(short[:min(len(short), maxName-len(end))]) + end
	}
	return try
}

// Devices returns the devices of an owner by name, revoked ones included: to the owner and to administrators.
func (s *Service) Devices(ctx context.Context, a actor.Actor, owner id.User) ([]*Device, error) {
	if !a.MayRead(owner) {
		if _, err := a.SignedIn(); err != nil {
			return nil, err
		}
		if a.Require(actor.Admin) != nil {
			return nil, fault.New(fault.NotFound, "there is no such user")
		}
	}
	list, err := ofOwner(ctx, s.db, owner)
	return all(list, err)
}

// Device returns one device: to its owner, to administrators and to itself.
func (s *Service) Device(ctx context.Context, a actor.Actor, dev id.Device) (*Device, error) {
	found, err := s.DevicesByID(ctx, a, []id.Device{dev})
	if err != nil {
		return nil, err
	}
	if d := found[dev]; d != nil {
		return d, nil
	}
	return nil, noDevice()
}

// DevicesByID returns those of the devices that exist and that the caller may see, in one statement: at most
// [MaxByID] at once.
func (s *Service) DevicesByID(ctx context.Context, a actor.Actor, ids []id.Device) (map[id.Device]*Device, error) {
	if !a.IsDevice() && !a.IsSystem() {
		if _, err := a.SignedIn(); err != nil {
			return nil, err
		}
	}
	if len(ids) > MaxByID {
		return nil, fault.New(fault.TooLarge, "at most %d devices at once", MaxByID)
	}
	list, err := all(byID(ctx, s.db, ids))
	if err != nil {
		return nil, err
	}
	devices := map[id.Device]*Device{}
	for _, d := range list {
		if a.Device == d.ID || a.MayRead(d.OwnerID) || a.Require(actor.Admin) == nil {
			devices[d.ID] = d
		}
	}
	return devices, nil
}

// Rename changes the name of one of the caller's devices.
func (s *Service) Rename(ctx context.Context, a actor.Actor, dev id.Device, name string) (*Device, error) {
	me, err := a.Person()
	if err != nil {
		return nil, err
	}
	if name, err = named.Clean("name", name, maxName); err != nil {
		return nil, err
	}
	return s.change(ctx, dev, func(tx *sqlx.Tx, d *Device) error {
		if d.OwnerID != me {
			return noDevice()
		}
		if name == d.Name {
			return nil
		}
		taken, err := names(ctx, tx, me)
		if err != nil {
			return err
		}
		if taken[name] && d.RevokedAt == nil {
			return fault.New(fault.Conflict, "you have a device with the name “%s” already", name)
		}
		if err := setName(ctx, tx, dev, name); err != nil {
			return err
		}
		return audit.Write(ctx, tx, audit.Event{
			Kind: "device.renamed", Actor: a, Owner: me, Text: fmt.Sprintf("The device “%s” was renamed to “%s”.", d.Name, name),
		})
	})
}

// Revoke withdraws a device's token at once. Its snapshots stay. The owner may, and administrators. Repeating
// it changes nothing.
func (s *Service) Revoke(ctx context.Context, a actor.Actor, dev id.Device) (*Device, error) {
	if !a.IsSystem() {
		if _, err := a.Person(); err != nil {
			return nil, err
		}
	}
	d, err := s.change(ctx, dev, func(tx *sqlx.Tx, d *Device) error {
		if !a.MayRead(d.OwnerID) && a.Require(actor.Admin) != nil {
			return noDevice()
		}
		if d.RevokedAt != nil {
			return nil
		}
		if err := setRevoked(ctx, tx, dev, s.now()); err != nil {
			return err
		}
		err := audit.Write(ctx, tx, audit.Event{
			Kind: "device.revoked", Actor: a, Owner: d.OwnerID, Text: fmt.Sprintf("The device “%s” was revoked.", d.Name),
		})
		if err != nil {
			return err
		}
		by := "you"
		if a.User != d.OwnerID {
			by = "an administrator"
		}
		return notice.Write(ctx, tx, notice.Event{
			User: d.OwnerID, Kind: "device.revoked", Device: d.ID, Title: fmt.Sprintf("The device “%s” was revoked", d.Name),
			Body: fmt.Sprintf("It was revoked by %s and backs up no more. Its snapshots stay.", by),
		})
	})
	if err == nil && s.bus != nil {
		s.bus.Publish(ctx, "device:"+dev.String(), []byte("revoked"))
		s.told(ctx, d.OwnerID)
	}
	return d, err
}

// told tells an owner's open pages that there is something to read.
func (s *Service) told(ctx context.Context, owner id.User) {
	if s.bus != nil {
		s.bus.Publish(ctx, notice.Topic(owner), nil)
	}
}

// change runs fn on a device that nobody else changes meanwhile, and returns the device as it is after it.
func (s *Service) change(ctx context.Context, dev id.Device, fn func(*sqlx.Tx, *Device) error) (*Device, error) {
	var after *Device
	err := pg.InTx(ctx, s.db, func(tx *sqlx.Tx) error {
		owner, err := ownerOf(ctx, tx, dev)
		if err != nil {
			return err
		}
		if owner == nil {
			return noDevice()
		}
		if _, err := lockOwner(ctx, tx, *owner); err != nil { // the same lock as Register: names are the owner's
			return err
		}
		for _, step := range []func(*Device) error{
			func(d *Device) error { return fn(tx, d) },
			func(d *Device) error { after = d; return nil },
		} {
			list, err := all(byID(ctx, tx, []id.Device{dev}))
			if err != nil {
				return err
			}
			if len(list) == 0 {
				return noDevice()
			}
			if err := step(list[0]); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	return after, nil
}

// Seen writes that a device was heard of, at most once a minute, and which agent it runs, whenever that changes.
func (s *Service) Seen(ctx context.Context, dev id.Device, agentVersion string) error {
	version, err := named.Clean("agentVersion", agentVersion, maxWord)
	if err != nil {
		return err
	}
	now := s.now()
	return seen(ctx, s.db, dev, version, now, now.Add(-seenEvery))
}

func noDevice() error { return fault.New(fault.NotFound, "there is no such device") }

// all gives every device its times in UTC.
func all(list []*Device, err error) ([]*Device, error) {
	for _, d := range list {
		d.CreatedAt = d.CreatedAt.UTC()
		for _, t := range []*time.Time{d.LastSeenAt, d.RevokedAt} {
			if t != nil {
				*t = t.UTC()
			}
		}
	}
	return list, err
}
