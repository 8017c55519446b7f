package remote

import (
	"context"
	"strings"
	"time"

	"github.com/holdfast-backup/holdfast/vault/remote/internal/api"
	"github.com/holdfast-backup/holdfast/wire/fault"
	"github.com/holdfast-backup/holdfast/wire/id"
	"github.com/holdfast-backup/holdfast/wire/proto"
)

// Device is a machine that backs up, as its owner or itself sees it.
type Device struct {
	ID                       id.Device
	Name, Hostname, OS, Arch string
	AgentVersion             string
	PublicKey, MAC           []byte
	CreatedAt                time.Time
	LastSeenAt, RevokedAt    time.Time // zero: never
	Latest                   *LatestSnapshot
	Active                   *Progress // of the backup that runs now
	ActiveBackup             id.Backup
	ActiveSince              time.Time
	Health                   *Health // only where Devices lists it
}

// Health is how a device is doing, by the server's records.
type Health struct {
	State         string    // GOOD, WORKING, WARNING, BAD, NEW, REVOKED
	LastSuccessAt time.Time // zero: never
	NextDueAt     time.Time // zero: no policy asks for it
	StaleDays     int       // whole days without a backup
}

// Policy is what a device's owner may know of a policy.
type Policy struct {
	Name     string
	Schedule string // in words
}

// PolicySummary is what applies to a device.
type PolicySummary struct {
	Policies []Policy  // by name
	Next     time.Time // when the next of them is due; zero: never
}

// LatestSnapshot is what is known of a device's newest snapshot without opening it.
type LatestSnapshot struct {
	ID                     id.Snapshot
	CreatedAt              time.Time
	Files, Bytes, Problems int64
}

// Progress is how far a backup is, as its device reported it.
type Progress struct {
	Phase                                                         string
	Files, Bytes, TotalFiles, TotalBytes, UploadedBytes, Problems int64
}

// Enrolment is what a one-time code opens.
type Enrolment struct {
	Sealed    []byte
	Email     string
	ExpiresAt time.Time
}

// Enrolment fetches what the token of a one-time code opens.
func (c *Client) Enrolment(ctx context.Context, token string) (Enrolment, error) {
	r, err := api.Enrolment(ctx, c.gql(always), token)
	if err != nil {
		return Enrolment{}, err
	}
	e := r.Enrolment
	return Enrolment{Sealed: e.Sealed, Email: e.Email, ExpiresAt: e.ExpiresAt}, nil
}

// CreateEnrolment stores an offer under the SHA-256 of a one-time code's token and returns until when it is
// valid.
func (c *Client) CreateEnrolment(ctx context.Context, tokenHash [32]byte, sealed []byte) (time.Time, error) {
	r, err := api.CreateEnrolment(ctx, c.gql(ifUnsent), api.CreateEnrolmentInput{TokenHash: tokenHash[:], Sealed: sealed})
	if err != nil {
		return time.Time{}, err
	}
	return r.CreateEnrolment.ExpiresAt, nil
}

// RegisterInput is a new device.
type RegisterInput struct {
	EnrolmentToken           string // "" when logged in
	Name, Hostname, OS, Arch string
	PublicKey, MAC           []byte
}

// Registered is a device that was just made.
type Registered struct {
	ID    id.Device
	Name  string // as the server has it
	Token string
}

// RegisterDevice makes a device.
func (c *Client) RegisterDevice(ctx context.Context, in RegisterInput) (Registered, error) {
	input := api.RegisterDeviceInput{
		Name: in.Name, Hostname: in.Hostname, Os: in.OS, Arch: in.Arch,
		AgentVersion: proto.Version, PublicKey: in.PublicKey, Mac: in.MAC,
	}
	if in.EnrolmentToken != "" {
		input.EnrolmentToken = &in.EnrolmentToken
	}
	r, err := api.RegisterDevice(ctx, c.gql(ifUnsent), input)
	if err != nil {
		return Registered{}, err
	}
	p := r.RegisterDevice
	d, err := parse[id.Device](p.Device.Id)
	if err != nil {
		return Registered{}, err
	}
	if !strings.HasPrefix(p.Token, proto.TokenDevice) {
		return Registered{}, fault.New(fault.Internal, "the server gave the device no token")
	}
	return Registered{d, p.Device.Name, p.Token}, nil
}

// RevokeDevice withdraws a device's token.
func (c *Client) RevokeDevice(ctx context.Context, d id.Device) (*Device, error) {
	r, err := api.RevokeDevice(ctx, c.gql(always), api.RevokeDeviceInput{Id: d.String()})
	if err != nil {
		return nil, err
	}
	return device(r.RevokeDevice.Device)
}

// Devices returns the account's devices, by name.
func (c *Client) Devices(ctx context.Context) ([]*Device, error) {
	r, err := api.Devices(ctx, c.gql(always))
	if err != nil {
		return nil, err
	}
	list := make([]*Device, len(r.Devices))
	for i, f := range r.Devices {
		if list[i], err = device(f.DeviceFields); err != nil {
			return nil, err
		}
		h := f.Health
		list[i].Health = &Health{string(h.State), deref(h.LastSuccessAt), deref(h.NextDueAt), h.StaleDays}
	}
	return list, nil
}

// ThisDevicePolicy returns what applies to the device whose token the client presents.
func (c *Client) ThisDevicePolicy(ctx context.Context) (PolicySummary, error) {
	r, err := api.ThisDevicePolicy(ctx, c.gql(always))
	if err != nil {
		return PolicySummary{}, err
	}
	var s PolicySummary
	for _, p := range r.ThisDevice.EffectivePolicy.Policies {
		s.Policies = append(s.Policies, Policy{p.Name, p.Schedule.Text})
	}
	for _, n := range r.ThisDevice.EffectivePolicy.Next {
		s.Next = n.At
	}
	return s, nil
}

// ThisDevice returns the device whose token the client presents.
func (c *Client) ThisDevice(ctx context.Context) (*Device, error) {
	r, err := api.ThisDevice(ctx, c.gql(always))
	if err != nil {
		return nil, err
	}
	return device(r.ThisDevice)
}

func device(f api.DeviceFields) (*Device, error) {
	d := &Device{
		Name: f.Name, Hostname: f.Hostname, OS: f.Os, Arch: f.Arch, AgentVersion: f.AgentVersion,
		PublicKey: f.PublicKey, MAC: f.Mac, CreatedAt: f.CreatedAt,
		LastSeenAt: deref(f.LastSeenAt), RevokedAt: deref(f.RevokedAt),
	}
	var err error
	if d.ID, err = parse[id.Device](f.Id); err != nil {
		return nil, err
	}
	if s := f.LatestSnapshot; s != nil {
		d.Latest = &LatestSnapshot{CreatedAt: s.CreatedAt, Files: s.Files, Bytes: s.Bytes, Problems: s.Problems}
		if d.Latest.ID, err = parse[id.Snapshot](s.Id); err != nil {
			return nil, err
		}
	}
	if b := f.ActiveBackup; b != nil {
		d.ActiveSince = b.StartedAt
		d.Active = &Progress{b.Progress.Phase, b.Progress.Files, b.Progress.Bytes, b.Progress.TotalFiles,
			b.Progress.TotalBytes, b.Progress.UploadedBytes, b.Progress.Problems}
		if d.ActiveBackup, err = parse[id.Backup](b.Id); err != nil {
			return nil, err
		}
	}
	return d, nil
}

// parse reads an id of the server's. An id of another shape is a fault of the server's.
func parse[T any, P interface {
	*T
	UnmarshalText([]byte) error
}](s string) (T, error) {
	var v T
	if err := P(&v).UnmarshalText([]byte(s)); err != nil {
		return v, fault.Wrap(err, fault.Internal, "the server's reply makes no sense")
	}
	return v, nil
}
