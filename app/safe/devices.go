package safe

import (
	"context"
	"crypto/sha256"
	"strings"
	"time"

	"github.com/holdfast-backup/holdfast/app/talk"
	"github.com/holdfast-backup/holdfast/vault/keyring"
	"github.com/holdfast-backup/holdfast/vault/order"
	"github.com/holdfast-backup/holdfast/wire/fault"
	"github.com/holdfast-backup/holdfast/wire/id"
)

// orderLife is how long a device may take to begin a restore that was ordered.
const orderLife = 7 * 24 * time.Hour

// enrolCode makes a one-time code for a new device.
func (s *Safe) enrolCode(_ context.Context, c call, in talk.EnrolCode) (talk.Enrolment, error) {
	code := keyring.NewEnrolCode()
	hash := sha256.Sum256([]byte(code.Token()))
	sealed := code.Seal(keyring.Offer{SpaceKey: c.keys.SpaceKey(), IdentityPublic: c.keys.IdentityPublic(), Fingerprint: strings.ToLower(in.Fingerprint)})
	return talk.Enrolment{Code: code.String(), TokenHash: hash[:], Sealed: sealed}, nil
}

// verifyDevice reports whether a device was enrolled by somebody who could open this account.
func (s *Safe) verifyDevice(_ context.Context, c call, in talk.Device) (talk.Verified, error) {
	return talk.Verified{Genuine: c.space.VerifyDevice(in.PublicKey, in.MAC)}, nil
}

// orderRestore seals an order for a device.
func (s *Safe) orderRestore(_ context.Context, c call, in talk.Order) (talk.Ordered, error) {
	conflict, ok := map[string]order.Conflict{"skip": order.Skip, "overwrite": order.Overwrite, "keep-both": order.KeepBoth}[in.Conflict]
	if !ok {
		return talk.Ordered{}, fault.New(fault.Invalid, "choose what becomes of files that exist already: skip, overwrite or keep-both, not %q", in.Conflict)
	}
	o := order.Order{Paths: raw(in.Paths), Extensions: in.Extensions, To: in.To, Conflict: conflict}
	return s.seal(c, &o, in.Snapshot, in.Device)
}

// seal completes an order and seals it for a device. One that is not the account's gets none: it would get the keys of the files.
func (s *Safe) seal(c call, o *order.Order, of string, to talk.Device) (talk.Ordered, error) {
	var out talk.Ordered
	snapshot, m, err := c.manifest(of)
	if err != nil {
		return out, err
	}
	device, err := parse[id.Device](to.ID)
	if err != nil {
		return out, err
	}
	if !c.space.VerifyDevice(to.PublicKey, to.MAC) {
		return out, fault.New(fault.Forbidden, "this device was not enrolled by anybody who could open this account: it gets no keys. Revoke it, and ask the server's administrator how it came there")
	}
	now := s.out.Now().UTC()
	o.ID, o.Device, o.Snapshot, o.Root, o.Issued, o.Expires = order.NewID(), device, snapshot, m.Root, now, now.Add(orderLife)
	sealed, err := o.Seal(c.space, to.PublicKey)
	if err != nil {
		return out, fault.Wrap(err, fault.Invalid, "%s", err)
	}
	return talk.Ordered{Sealed: sealed, Order: o.ID.String()}, nil
}

// openReport opens what a device said of a run, and makes sure that it is about this run: the server could show another one's.
func (s *Safe) openReport(_ context.Context, c call, in talk.SealedReport) (talk.Report, error) {
	var out talk.Report
	device, err := parse[id.Device](in.Device)
	if err != nil {
		return out, err
	}
	if in.Kind != "RESTORE" {
		run, err := parse[id.Run](in.Run)
		if err != nil {
			return out, err
		}
		n, err := order.OpenNote(c.keys, in.Sealed)
		if err != nil {
			return out, unreadable(err)
		}
		if n.Device != device || n.Run != [16]byte(run) {
			return out, swapped
		}
		return talk.Report{Text: n.Text, Started: n.At, Finished: n.At, Failures: []talk.Failure{}}, nil
	}
	r, err := order.OpenReport(c.keys, in.Sealed)
	if err != nil {
		return out, unreadable(err)
	}
	if r.Device != device || in.Snapshot != "" && r.Snapshot.String() != in.Snapshot || in.Order != "" && r.Order.String() != in.Order {
		return out, swapped
	}
	out = talk.Report{Text: r.Error, Started: r.Started, Finished: r.Finished, Files: r.Files, Dirs: r.Dirs, Others: r.Others, Bytes: r.Bytes,
		Skipped: r.Skipped, Failures: []talk.Failure{}, Failed: r.FailureCount}
	for _, f := range r.Failures[:min(len(r.Failures), maxFailures)] {
		out.Failures = append(out.Failures, talk.Failure{Path: talk.Text(f.Path), Text: f.Text})
	}
	return out, nil
}

var swapped error = fault.New(fault.Internal, "the server shows what a device said of another run for this one")

func unreadable(err error) error {
	return fault.Wrap(err, fault.Internal, "what the device said of this run was not made by this account's devices, or is damaged")
}
