package agent

import (
	"context"
	"crypto/sha256"
	"errors"
	"runtime"
	"slices"
	"strings"
	"time"

	"github.com/holdfast-backup/holdfast/agent/state"
	"github.com/holdfast-backup/holdfast/vault/keyring"
	"github.com/holdfast-backup/holdfast/vault/remote"
	"github.com/holdfast-backup/holdfast/wire/fault"
	"github.com/holdfast-backup/holdfast/wire/id"
)

// EnrollInput is a machine that becomes a device.
type EnrollInput struct {
	Name    string // "": the host's name
	Replace bool   // forget the device that the folder holds already
	Home    string // the home folder of the person whose files will be saved; "": not known
	User    string // who that is on this machine

	Code   string // a one-time code, or:
	Email  string
	Secret func() (Secret, error)
}

// Enroll makes this machine a device and writes the state folder.
//
// With a one-time code and a server whose certificate authority this machine does not know, the connection
// that fetches the offer is not verified: there is nothing yet to verify it with. What travels on it is the
// code's token, which is derived from the code by a one-way function. The offer is sealed under another key of
// the code, so whoever is in between can neither read nor make one; and it names the fingerprint of the real
// authority. It is compared with the chain that was presented before anything else is said, and everything
// after that goes over a new, pinned connection. What somebody in between could win is the token's one use:
// to register a device of their own, which holds no key of the account, can read nothing, and shows up in the
// owner's list with a wrong MAC ("not yours"); the comparison fails here, and the person is told.
func Enroll(ctx context.Context, s Server, dir *state.Dir, in EnrollInput) (*state.Device, error) {
	if dir.Enrolled() && !in.Replace {
		if d, err := dir.Load(); err == nil {
			return nil, fault.New(fault.Conflict, "this machine is enrolled already, as %q of %s: use another --state, or --replace to make it a new device", d.Name, d.Email)
		}
		return nil, fault.New(fault.Conflict, "%s holds a device already: use another --state, or --replace to make it a new one", dir.Path())
	}
	release, err := dir.Lock() // also shows that the folder can be written to, before a code is used up
	if err != nil {
		return nil, err
	}
	defer release()
	if in.Name == "" {
		in.Name = hostname()
	}
	if in.Code != "" {
		return enrollByCode(ctx, s, dir, in)
	}
	if err := need(in.Email != "" && in.Secret != nil, "say whose device this is: --code, or --email with a password"); err != nil {
		return nil, err
	}
	c, err := s.Dial("")
	if err != nil {
		return nil, err
	}
	if err := s.check(ctx, c); err != nil {
		return nil, err
	}
	secret, err := in.Secret()
	if err != nil {
		return nil, err
	}
	a, err := unlock(ctx, s, c, in.Email, secret)
	if err != nil {
		return nil, err
	}
	defer a.Close(ctx)
	offer := keyring.Offer{SpaceKey: a.Keys.SpaceKey(), IdentityPublic: a.Keys.IdentityPublic(), Fingerprint: s.Fingerprint}
	return register(ctx, s, a.Client, dir, in, a.User.Email, "", offer)
}

func enrollByCode(ctx context.Context, s Server, dir *state.Dir, in EnrollInput) (*state.Device, error) {
	code, err := keyring.ParseEnrolCode(in.Code)
	if err != nil {
		return nil, err
	}
	c, err := s.Dial("")
	if err != nil {
		return nil, err
	}
	defer c.Close()
	unverified := false
	err = s.check(ctx, c)
	var cert *remote.CertificateError
	if errors.As(err, &cert) && cert.Fingerprint != "" && !cert.Pinned && s.Fingerprint == "" {
		o := s.options("")
		o.Unverified, unverified = true, true
		if c, err = remote.Dial(s.URL, o); err != nil {
			return nil, err
		}
		defer c.Close()
		err = s.check(ctx, c)
	}
	if err != nil {
		return nil, err
	}
	e, err := c.Enrolment(ctx, code.Token())
	if errors.Is(err, fault.NotFound) {
		return nil, fault.Wrap(err, fault.NotFound, "this code is not valid: it was used, it is older than 15 minutes, or it belongs to another server")
	} else if err != nil {
		return nil, err
	}
	offer, err := code.Open(e.Sealed)
	if err != nil {
		return nil, fault.Wrap(err, fault.Invalid, "what the server keeps for this code was not made with it: ask for a new code, and make sure that the server's address is right")
	}
	if unverified {
		if offer.Fingerprint == "" || !slices.Contains(c.Presented(), offer.Fingerprint) {
			return nil, fault.Wrap(cert, fault.Forbidden, "the server that answers is not the one that the code was made for (it presents %s, the code says %s). "+
				"Somebody may be in between: withdraw the code by making a new one, and look through the list of devices", cert.Fingerprint, orNone(offer.Fingerprint))
		}
		s.Fingerprint = offer.Fingerprint
		if c, err = s.Dial(""); err != nil {
			return nil, err
		}
		defer c.Close()
	}
	if s.Fingerprint != "" {
		offer.Fingerprint = s.Fingerprint
	}
	return register(ctx, s, c, dir, in, e.Email, code.Token(), offer)
}

// register makes the device's keys and the device.
func register(ctx context.Context, s Server, c *remote.Client, dir *state.Dir, in EnrollInput, email, token string, offer keyring.Offer) (*state.Device, error) {
	keys, err := keyring.NewDevice()
	if err != nil {
		return nil, fault.Wrap(err, fault.Internal, "making the device's keys")
	}
	space := keyring.NewSpace(offer.SpaceKey)
	d, err := c.RegisterDevice(ctx, remote.RegisterInput{
		EnrolmentToken: token, Name: in.Name, Hostname: hostname(), OS: runtime.GOOS, Arch: runtime.GOARCH,
		PublicKey: keys.Public(), MAC: space.DeviceMAC(keys.Public()),
	})
	if err != nil {
		return nil, err
	}
	v := &state.Device{
		Server: strings.TrimRight(c.URL(), "/"), Fingerprint: s.Fingerprint, PlainHTTP: s.PlainHTTP, Email: email,
		ID: d.ID, Name: d.Name, Token: d.Token, PrivateKey: keys.Private(), SpaceKey: offer.SpaceKey[:],
		Identity: offer.IdentityPublic, EnrolledAt: time.Now().UTC().Truncate(time.Second), Home: in.Home, User: in.User,
	}
	if err := dir.Save(v); err != nil {
		return nil, err
	}
	return v, nil
}

// Code makes a one-time code that enrols one device of the account within the next quarter of an hour.
func (a *Account) Code(ctx context.Context) (keyring.EnrolCode, time.Time, error) {
	pin, err := a.Client.Pin(ctx)
	if err != nil {
		return keyring.EnrolCode{}, time.Time{}, err
	}
	code := keyring.NewEnrolCode()
	sealed := code.Seal(keyring.Offer{SpaceKey: a.Keys.SpaceKey(), IdentityPublic: a.Keys.IdentityPublic(), Fingerprint: pin})
	expires, err := a.Client.CreateEnrolment(ctx, sha256.Sum256([]byte(code.Token())), sealed)
	return code, expires, err
}

// Device is a device of the account's. Genuine says that its public key was registered by somebody who held
// the account's keys; one that is not genuine was slipped in.
type Device struct {
	*remote.Device
	Genuine bool
}

// Devices returns the account's devices, by name.
func (a *Account) Devices(ctx context.Context) ([]Device, error) {
	list, err := a.Client.Devices(ctx)
	if err != nil {
		return nil, err
	}
	space := a.Keys.Space()
	devices := make([]Device, len(list))
	for i, d := range list {
		devices[i] = Device{d, space.VerifyDevice(d.PublicKey, d.MAC)}
	}
	return devices, nil
}

// Foreign reports whether somebody registered the device who did not hold the account's key. One without a key of its own is not: nothing can be sealed for
// it, and it cannot come. It stands for a device that the server lost.
func (d Device) Foreign() bool { return !d.Genuine && len(d.PublicKey) > 0 }

// FindDevice returns the device with this name, id or beginning of an id.
func (a *Account) FindDevice(ctx context.Context, ref string) (Device, error) {
	list, err := a.Devices(ctx)
	if err != nil {
		return Device{}, err
	}
	var found []Device
	for _, d := range list {
		if d.ID.String() == ref {
			return d, nil
		}
		if strings.EqualFold(d.Name, ref) && d.RevokedAt.IsZero() {
			return d, nil
		}
		if strings.EqualFold(d.Name, ref) || hasIDPrefix(d.ID.String(), ref) {
			found = append(found, d)
		}
	}
	switch len(found) {
	case 0:
		return Device{}, fault.New(fault.NotFound, "there is no device %q: holdfast-agent devices lists them", ref)
	case 1:
		return found[0], nil
	}
	return Device{}, fault.New(fault.Invalid, "%q could be %d devices: give its id, as holdfast-agent devices lists it", ref, len(found))
}

// Revoke withdraws a device's token.
func (a *Account) Revoke(ctx context.Context, d id.Device) error {
	_, err := a.Client.RevokeDevice(ctx, d)
	return err
}

func orNone(s string) string {
	if s == "" {
		return "none"
	}
	return s
}
