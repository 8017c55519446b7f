package safe

import (
	"crypto/sha256"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/holdfast-backup/holdfast/app/safe/safetest"
	"github.com/holdfast-backup/holdfast/app/talk"
	"github.com/holdfast-backup/holdfast/vault/keyring"
	"github.com/holdfast-backup/holdfast/vault/order"
	"github.com/holdfast-backup/holdfast/wire/fault"
	"github.com/holdfast-backup/holdfast/wire/id"
)

func TestAnEnrolmentCode(t *testing.T) {
	t.Parallel()
	r := opened(t)
	print := strings.Repeat("AB", 32)
	e := must[talk.Enrolment](r, talk.MethodEnrolCode, talk.EnrolCode{Fingerprint: print})
	code, err := keyring.ParseEnrolCode(e.Code)
	if err != nil {
		t.Fatal(err)
	}
	offer, err := code.Open(e.Sealed)
	if err != nil || offer.SpaceKey != r.Account.SpaceKey() || !slices.Equal(offer.IdentityPublic, r.Account.IdentityPublic()) || offer.Fingerprint != strings.ToLower(print) {
		t.Errorf("%v, %v", offer, err)
	}
	if hash := sha256.Sum256([]byte(code.Token())); !slices.Equal(hash[:], e.TokenHash) {
		t.Error("the hash is not the token's")
	}
}

// device is the rig's device, as the API has it.
func (r *rig) device() talk.Device {
	return talk.Device{ID: r.DeviceID.String(), PublicKey: r.Device.Public(), MAC: r.Account.Space().DeviceMAC(r.Device.Public())}
}

func TestARestoreIsOrdered(t *testing.T) {
	t.Parallel()
	r := opened(t)
	s := r.snap(safetest.Text("home/a\xff.txt", "one"))
	in := talk.Order{Selection: talk.Selection{Snapshot: s, Paths: []string{"home/a\uFFFDFF.txt"}, Extensions: []string{".txt"}}, Device: r.device(), To: "/tmp/x", Conflict: "keep-both"}
	if !must[talk.Verified](r, talk.MethodVerifyDevice, in.Device).Genuine {
		t.Error("the device is not taken for genuine")
	}
	got := must[talk.Ordered](r, talk.MethodOrderRestore, in)
	o, err := order.Open(r.Device, r.Account.Space(), got.Sealed, r.DeviceID, r.clock.Add(time.Hour))
	if err != nil {
		t.Fatal(err)
	}
	if o.ID.String() != got.Order || o.Snapshot.String() != s || !slices.Equal(o.Paths, []string{"home/a\xff.txt"}) || !slices.Equal(o.Extensions, []string{".txt"}) ||
		o.To != "/tmp/x" || o.Conflict != order.KeepBoth || o.Expires.Sub(o.Issued) != orderLife {
		t.Errorf("%+v", o)
	}
	bad := in
	bad.Conflict = "destroy"
	refused(r, fault.Invalid, talk.MethodOrderRestore, bad)
	bad = in
	bad.To = "relative"
	refused(r, fault.Invalid, talk.MethodOrderRestore, bad)
	bad = in
	bad.Device.ID = "x"
	refused(r, fault.Invalid, talk.MethodOrderRestore, bad)
	bad = in
	bad.Snapshot = id.Snapshot{}.New().String()
	refused(r, fault.NotFound, talk.MethodOrderRestore, bad)
	bad = in
	stranger, err := keyring.NewDevice()
	if err != nil {
		t.Fatal(err)
	}
	bad.Device.PublicKey = stranger.Public() // the server swapped it
	refused(r, fault.Forbidden, talk.MethodOrderRestore, bad)
	if must[talk.Verified](r, talk.MethodVerifyDevice, bad.Device).Genuine {
		t.Error("a stranger is taken for genuine")
	}
}

func TestReports(t *testing.T) {
	t.Parallel()
	r := opened(t)
	snapshot, run, oid := id.Snapshot{}.New(), id.Run{}.New(), order.NewID()
	rep := order.Report{Order: oid, Snapshot: snapshot, Device: r.DeviceID, Started: r.clock, Finished: r.clock.Add(time.Minute), Files: 3, Dirs: 1, Bytes: 99, Skipped: 2,
		Error: "the disk is full", Failures: []order.Failure{{Path: "a\xff", Text: "no room"}}, FailureCount: 5}
	sealed, err := rep.Seal(r.Account.Space(), r.Account.IdentityPublic())
	if err != nil {
		t.Fatal(err)
	}
	in := talk.SealedReport{Sealed: sealed, Kind: "RESTORE", Run: run.String(), Device: r.DeviceID.String(), Snapshot: snapshot.String(), Order: oid.String()}
	got := must[talk.Report](r, talk.MethodOpenReport, in)
	if got.Text != rep.Error || got.Files != 3 || got.Skipped != 2 || got.Failed != 5 || got.Failures[0] != (talk.Failure{Path: "a\uFFFDFF", Text: "no room"}) || !got.Finished.Equal(rep.Finished) {
		t.Errorf("%+v", got)
	}
	without := in
	without.Order, without.Snapshot = "", ""
	must[talk.Report](r, talk.MethodOpenReport, without)
	for name, change := range map[string]func(*talk.SealedReport){
		"device":   func(s *talk.SealedReport) { s.Device = id.Device{}.New().String() },
		"snapshot": func(s *talk.SealedReport) { s.Snapshot = id.Snapshot{}.New().String() },
		"order":    func(s *talk.SealedReport) { s.Order = order.NewID().String() },
		"kind":     func(s *talk.SealedReport) { s.Kind = "BACKUP" },
		"sealed":   func(s *talk.SealedReport) { s.Sealed = slices.Clone(sealed[:len(sealed)-1]) },
	} {
		bad := in
		change(&bad)
		if _, err := ask[talk.Report](r, r.safe, talk.MethodOpenReport, bad); !errors.Is(err, fault.Internal) {
			t.Errorf("another %s: %v", name, err)
		}
	}
	bad := in
	bad.Device = "x"
	refused(r, fault.Invalid, talk.MethodOpenReport, bad)

	note := order.Note{Run: [16]byte(run), Device: r.DeviceID, At: r.clock, Text: "/home/ada cannot be read"}
	if in.Sealed, err = note.Seal(r.Account.Space(), r.Account.IdentityPublic()); err != nil {
		t.Fatal(err)
	}
	in.Kind = "BACKUP"
	if got := must[talk.Report](r, talk.MethodOpenReport, in); got.Text != note.Text || !got.Started.Equal(r.clock) || got.Failures == nil {
		t.Errorf("%+v", got)
	}
	bad = in
	bad.Run = id.Run{}.New().String()
	refused(r, fault.Internal, talk.MethodOpenReport, bad)
	bad.Run = "x"
	refused(r, fault.Invalid, talk.MethodOpenReport, bad)
}
