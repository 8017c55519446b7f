package fleet_test

import (
	"bytes"
	"context"
	"crypto/rand"
	"fmt"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jmoiron/sqlx"

	"github.com/holdfast-backup/holdfast/depot/actor"
	"github.com/holdfast-backup/holdfast/depot/fleet"
	"github.com/holdfast-backup/holdfast/depot/pg/pgtest"
	"github.com/holdfast-backup/holdfast/depot/token"
	"github.com/holdfast-backup/holdfast/wire/fault"
	"github.com/holdfast-backup/holdfast/wire/id"
	"github.com/holdfast-backup/holdfast/wire/proto"
)

type world struct {
	*fleet.Service
	t      *testing.T
	db     *sqlx.DB
	offset atomic.Int64 // of the clock

	mu     sync.Mutex
	topics []string
}

// Publish makes the world its own bus.
func (w *world) Publish(_ context.Context, topic string, _ []byte) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.topics = append(w.topics, topic)
}

func newWorld(t *testing.T) *world {
	t.Helper()
	w := &world{t: t, db: pgtest.New(t)}
	begin := time.Now().Truncate(time.Microsecond)
	w.Service = fleet.New(fleet.Config{DB: w.db, Bus: w, Now: func() time.Time { return begin.Add(time.Duration(w.offset.Load())) }})
	return w
}

func (w *world) pass(d time.Duration) { w.offset.Add(int64(d)) }

func (w *world) ok(err error) {
	w.t.Helper()
	if err != nil {
		w.t.Fatal(err)
	}
}

func (w *world) want(err error, kind fault.Kind) {
	w.t.Helper()
	if err == nil || fault.KindOf(err) != kind {
		w.t.Fatalf("%v, want %s", err, kind)
	}
}

func (w *world) person(email string, role actor.Role) actor.Actor {
	w.t.Helper()
	u := id.User{}.New()
	if _, err := w.db.Exec(insertUser, u, email, role); err != nil {
		w.t.Fatal(err)
	}
	return actor.Actor{User: u, Role: role, Session: id.Session{}.New()}
}

func input(name string) fleet.RegisterInput {
	return fleet.RegisterInput{
		Name: name, Hostname: "host", OS: "linux", Arch: "amd64", AgentVersion: "0.1.0",
		PublicKey: bytes.Repeat([]byte{1}, 1216), MAC: bytes.Repeat([]byte{2}, 32),
	}
}

func (w *world) device(a actor.Actor, name string) (*fleet.Device, string) {
	w.t.Helper()
	d, text, err := w.Register(w.t.Context(), a, input(name))
	w.ok(err)
	return d, text
}

// code makes a one-time code and returns its token.
func (w *world) code(a actor.Actor) string {
	w.t.Helper()
	text, hash := token.New(proto.TokenEnrolment)
	e, err := w.CreateEnrolment(w.t.Context(), a, hash, bytes.Repeat([]byte{3}, 100))
	w.ok(err)
	if e.ID.IsZero() {
		w.t.Error("no id")
	}
	return text
}

func with(in fleet.RegisterInput, code string) fleet.RegisterInput {
	in.EnrolmentToken = &code
	return in
}

func TestEnrolmentByCode(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	ann := w.person("ann@example.org", actor.Staff)
	code := w.code(ann)
	offer, err := w.OpenEnrolment(t.Context(), code)
	w.ok(err)
	if offer.Email != "ann@example.org" || len(offer.Sealed) != 100 {
		t.Errorf("%+v", offer)
	}
	_, err = w.OpenEnrolment(t.Context(), code) // looking does not use it up
	w.ok(err)
	d, text, err := w.Register(t.Context(), actor.Actor{}, with(input("laptop"), code))
	w.ok(err)
	if d.OwnerID != ann.User || d.Name != "laptop" || len(d.PublicKey) != 1216 || len(d.MAC) != 32 {
		t.Errorf("%+v", d)
	}
	a, err := w.AuthenticateDevice(t.Context(), text)
	w.ok(err)
	if a.Device != d.ID || a.User != ann.User || a.Role != "" {
		t.Errorf("%+v", a)
	}
	if _, err := a.Person(); err == nil {
		t.Error("a device is a person")
	}
	_, err = w.OpenEnrolment(t.Context(), code)
	w.want(err, fault.NotFound)
	_, _, err = w.Register(t.Context(), actor.Actor{}, with(input("second"), code))
	w.want(err, fault.NotFound)
}

// Codes that do not work cannot be told apart, and who shows one is not taken for who is logged in.
func TestBadCodes(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	ann, bob := w.person("ann@example.org", actor.Staff), w.person("bob@example.org", actor.Staff)
	used, expired, suspended := w.code(ann), w.code(ann), w.code(bob)
	_, _, err := w.Register(t.Context(), actor.Actor{}, with(input("laptop"), used))
	w.ok(err)
	w.pass(fleet.CodeLife)
	fresh := w.code(ann)
	suspendedToo := w.code(bob)
	if _, err := w.db.Exec(suspend, bob.User); err != nil {
		t.Fatal(err)
	}
	unknown, _ := token.New(proto.TokenEnrolment)
	message := ""
	for name, code := range map[string]string{
		"used": used, "expired": expired, "suspended and expired": suspended, "suspended": suspendedToo, "unknown": unknown,
		"empty": "", "rubbish": "hfe_x", "other kind": "hfi_" + fresh[4:],
	} {
		_, err := w.OpenEnrolment(t.Context(), code)
		w.want(err, fault.NotFound)
		_, _, err2 := w.Register(t.Context(), ann, with(input("x"), code))
		w.want(err2, fault.NotFound)
		if message == "" {
			message = err.Error()
		}
		if err.Error() != message || err2.Error() != message {
			t.Errorf("%s can be told apart: %v, %v", name, err, err2)
		}
	}
	// A request that is wrong does not use the code up.
	bad := with(input("x"), fresh)
	bad.MAC = nil
	_, _, err = w.Register(t.Context(), actor.Actor{}, bad)
	w.want(err, fault.Invalid)
	_, _, err = w.Register(t.Context(), actor.Actor{}, with(input("x"), fresh))
	w.ok(err)
}

func TestOneCodeOneDevice(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	ann := w.person("ann@example.org", actor.Staff)
	code := w.code(ann)
	var won atomic.Int64
	var wg sync.WaitGroup
	for i := range 10 {
		wg.Go(func() {
			_, _, err := w.Register(t.Context(), actor.Actor{}, with(input(fmt.Sprint("d", i)), code))
			if err == nil {
				won.Add(1)
			} else if fault.KindOf(err) != fault.NotFound {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	list, err := w.Devices(t.Context(), ann, ann.User)
	w.ok(err)
	if won.Load() != 1 || len(list) != 1 {
		t.Errorf("%d times, %d devices", won.Load(), len(list))
	}
}

func TestWhoMayMakeCodes(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	ann := w.person("ann@example.org", actor.Staff)
	hash := make([]byte, 32)
	rand.Read(hash)
	sealed := make([]byte, 64)
	for _, c := range []struct {
		a            actor.Actor
		hash, sealed []byte
		want         fault.Kind
	}{
		{actor.Actor{}, hash, sealed, fault.Unauthenticated},
		{actor.Actor{User: ann.User, Device: id.Device{}.New()}, hash, sealed, fault.Forbidden},
		{actor.Actor{User: ann.User, Role: actor.Staff, ByRecovery: true}, hash, sealed, fault.Forbidden},
		{ann, hash[:31], sealed, fault.Invalid}, {ann, nil, sealed, fault.Invalid},
		{ann, hash, nil, fault.Invalid}, {ann, hash, make([]byte, 8<<10+1), fault.Invalid},
	} {
		_, err := w.CreateEnrolment(t.Context(), c.a, c.hash, c.sealed)
		w.want(err, c.want)
	}
	_, err := w.CreateEnrolment(t.Context(), ann, hash, sealed)
	w.ok(err)
	_, err = w.CreateEnrolment(t.Context(), ann, hash, sealed)
	w.want(err, fault.Conflict)
	for range fleet.MaxCodes - 1 {
		w.code(ann)
	}
	_, err = w.CreateEnrolment(t.Context(), ann, make([]byte, 32), sealed)
	w.want(err, fault.TooMany)
	w.pass(25 * time.Hour)
	w.ok(w.Sweep(t.Context()))
	w.code(ann)
}

func TestRegisterChecksEveryField(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	ann := w.person("ann@example.org", actor.Staff)
	for name, spoil := range map[string]func(*fleet.RegisterInput){
		"no name":          func(in *fleet.RegisterInput) { in.Name = " " },
		"long name":        func(in *fleet.RegisterInput) { in.Name = strings.Repeat("x", 101) },
		"enormous name":    func(in *fleet.RegisterInput) { in.Name = strings.Repeat("x", 1<<20) },
		"name not text":    func(in *fleet.RegisterInput) { in.Name = "\xff" },
		"name of two rows": func(in *fleet.RegisterInput) { in.Name = "a\nb" },
		"no host":          func(in *fleet.RegisterInput) { in.Hostname = "" },
		"long host":        func(in *fleet.RegisterInput) { in.Hostname = strings.Repeat("x", 256) },
		"no os":            func(in *fleet.RegisterInput) { in.OS = "" },
		"long arch":        func(in *fleet.RegisterInput) { in.Arch = strings.Repeat("x", 65) },
		"no version":       func(in *fleet.RegisterInput) { in.AgentVersion = "" },
		"no key":           func(in *fleet.RegisterInput) { in.PublicKey = nil },
		"short key":        func(in *fleet.RegisterInput) { in.PublicKey = make([]byte, 1215) },
		"long key":         func(in *fleet.RegisterInput) { in.PublicKey = make([]byte, 1217) },
		"short mac":        func(in *fleet.RegisterInput) { in.MAC = make([]byte, 31) },
		"long mac":         func(in *fleet.RegisterInput) { in.MAC = make([]byte, 33) },
	} {
		in := input("laptop")
		spoil(&in)
		if _, _, err := w.Register(t.Context(), ann, in); fault.KindOf(err) != fault.Invalid {
			t.Errorf("%s: %v", name, err)
		}
	}
	for _, a := range []actor.Actor{{}, {User: ann.User, Device: id.Device{}.New()}, actor.System(), {User: ann.User, ByRecovery: true}} {
		if _, _, err := w.Register(t.Context(), a, input("laptop")); err == nil {
			t.Errorf("%+v may register a device", a)
		}
	}
	if _, err := w.db.Exec(suspend, ann.User); err != nil {
		t.Fatal(err)
	}
	_, _, err := w.Register(t.Context(), ann, input("laptop"))
	w.want(err, fault.Unauthenticated)
}

func TestNames(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	ann, bob := w.person("ann@example.org", actor.Staff), w.person("bob@example.org", actor.Staff)
	first, _ := w.device(ann, "laptop")
	second, _ := w.device(ann, " laptop ")
	third, _ := w.device(ann, "laptop")
	other, _ := w.device(bob, "laptop")
	if second.Name != "laptop (2)" || third.Name != "laptop (3)" || other.Name != "laptop" {
		t.Errorf("%q, %q, %q", second.Name, third.Name, other.Name)
	}
	long := strings.Repeat("ü", 100)
	w.device(ann, long)
	if d, _ := w.device(ann, long); d.Name != strings.Repeat("ü", 96)+" (2)" {
		t.Errorf("%q", d.Name)
	}
	_, err := w.Rename(t.Context(), ann, third.ID, "laptop")
	w.want(err, fault.Conflict)
	_, err = w.Rename(t.Context(), bob, third.ID, "mine")
	w.want(err, fault.NotFound)
	_, err = w.Rename(t.Context(), ann, id.Device{}.New(), "mine")
	w.want(err, fault.NotFound)
	_, err = w.Rename(t.Context(), ann, third.ID, "")
	w.want(err, fault.Invalid)
	_, err = w.Rename(t.Context(), ann, third.ID, "laptop (3)") // its own
	w.ok(err)
	d, err := w.Rename(t.Context(), ann, third.ID, " desk ")
	w.ok(err)
	if d.Name != "desk" {
		t.Errorf("%q", d.Name)
	}
	// A revoked device gives its name free.
	_, err = w.Revoke(t.Context(), ann, first.ID)
	w.ok(err)
	if d, _ := w.device(ann, "laptop"); d.Name != "laptop" {
		t.Errorf("%q", d.Name)
	}
}

func TestNamesUnderConcurrency(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	ann := w.person("ann@example.org", actor.Staff)
	var wg sync.WaitGroup
	for range 12 {
		wg.Go(func() {
			if _, _, err := w.Register(t.Context(), ann, input("laptop")); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	list, err := w.Devices(t.Context(), ann, ann.User)
	w.ok(err)
	seen := map[string]bool{}
	for _, d := range list {
		if seen[d.Name] {
			t.Errorf("%q twice", d.Name)
		}
		seen[d.Name] = true
	}
	if len(list) != 12 || !seen["laptop"] || !seen["laptop (12)"] {
		t.Errorf("%v", seen)
	}
}

func TestLimit(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	ann := w.person("ann@example.org", actor.Staff)
	var last *fleet.Device
	for range fleet.MaxDevices {
		last, _ = w.device(ann, "d")
	}
	_, _, err := w.Register(t.Context(), ann, input("d"))
	w.want(err, fault.Conflict)
	code := w.code(ann)
	_, _, err = w.Register(t.Context(), actor.Actor{}, with(input("d"), code))
	w.want(err, fault.Conflict)
	_, err = w.Revoke(t.Context(), ann, last.ID)
	w.ok(err)
	_, _, err = w.Register(t.Context(), actor.Actor{}, with(input("d"), code)) // the refusal did not use the code up
	w.ok(err)
}

func TestWhoSeesDevices(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	ann, bob, admin := w.person("ann@example.org", actor.Staff), w.person("bob@example.org", actor.Staff), w.person("admin@example.org", actor.Admin)
	d, text := w.device(ann, "laptop")
	other, _ := w.device(ann, "desk")
	self, err := w.AuthenticateDevice(t.Context(), text)
	w.ok(err)
	ids := []id.Device{d.ID, other.ID, id.Device{}.New()}
	for name, c := range map[string]struct {
		a         actor.Actor
		one, list fault.Kind
		batch     int // -1: refused
	}{
		"nobody": {actor.Actor{}, fault.Unauthenticated, fault.Unauthenticated, -1},
		"ann":    {ann, "", "", 2},
		"bob":    {bob, fault.NotFound, fault.NotFound, 0},
		"admin":  {admin, "", "", 2},
		"itself": {self, "", fault.Forbidden, 1},
		"system": {actor.System(), "", "", 2},
	} {
		check := func(what string, err error, want fault.Kind) {
			t.Helper()
			if err == nil && want != "" || err != nil && fault.KindOf(err) != want {
				t.Errorf("%s, %s: %v, want %q", name, what, err, want)
			}
		}
		_, err := w.Device(t.Context(), c.a, d.ID)
		check("device", err, c.one)
		_, err = w.Devices(t.Context(), c.a, ann.User)
		check("devices", err, c.list)
		got, err := w.DevicesByID(t.Context(), c.a, ids)
		if (err != nil) != (c.batch < 0) || err == nil && len(got) != c.batch {
			t.Errorf("%s: batch of %d, %v", name, len(got), err)
		}
	}
	_, err = w.DevicesByID(t.Context(), admin, make([]id.Device, fleet.MaxByID+1))
	w.want(err, fault.TooLarge)
}

func TestRevoke(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	ann, bob, admin := w.person("ann@example.org", actor.Staff), w.person("bob@example.org", actor.Staff), w.person("admin@example.org", actor.Admin)
	d, text := w.device(ann, "laptop")
	self, err := w.AuthenticateDevice(t.Context(), text)
	w.ok(err)
	_, err = w.Revoke(t.Context(), bob, d.ID)
	w.want(err, fault.NotFound)
	_, err = w.Revoke(t.Context(), self, d.ID)
	w.want(err, fault.Forbidden)
	_, err = w.Revoke(t.Context(), actor.Actor{}, d.ID)
	w.want(err, fault.Unauthenticated)
	got, err := w.Revoke(t.Context(), admin, d.ID)
	w.ok(err)
	if got.RevokedAt == nil {
		t.Error("not revoked")
	}
	if !slices.Contains(w.topics, "device:"+d.ID.String()) {
		t.Errorf("told %v", w.topics)
	}
	_, err = w.AuthenticateDevice(t.Context(), text)
	w.want(err, fault.Unauthenticated)
	w.pass(time.Hour)
	again, err := w.Revoke(t.Context(), ann, d.ID)
	w.ok(err)
	if !again.RevokedAt.Equal(*got.RevokedAt) {
		t.Error("the time changed")
	}
	list, err := w.Devices(t.Context(), ann, ann.User)
	w.ok(err)
	if len(list) != 1 {
		t.Error("a revoked device is not listed any more")
	}
}

func TestDevicesOfSuspendedOwner(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	ann := w.person("ann@example.org", actor.Staff)
	_, text := w.device(ann, "laptop")
	if _, err := w.db.Exec(suspend, ann.User); err != nil {
		t.Fatal(err)
	}
	_, err := w.AuthenticateDevice(t.Context(), text)
	w.want(err, fault.Unauthenticated)
	if _, err := w.db.Exec(resume, ann.User); err != nil {
		t.Fatal(err)
	}
	_, err = w.AuthenticateDevice(t.Context(), text)
	w.ok(err)
	for _, bad := range []string{"", "hfd_", "hfs_" + text[4:], text + "x"} {
		_, err := w.AuthenticateDevice(t.Context(), bad)
		w.want(err, fault.Unauthenticated)
	}
}

func TestSeen(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	ann := w.person("ann@example.org", actor.Staff)
	d, _ := w.device(ann, "laptop")
	seen := func(version string) (time.Time, string) {
		t.Helper()
		w.ok(w.Seen(t.Context(), d.ID, version))
		got, err := w.Device(t.Context(), ann, d.ID)
		w.ok(err)
		return *got.LastSeenAt, got.AgentVersion
	}
	first, _ := seen("0.1.0")
	w.pass(59 * time.Second)
	if at, _ := seen("0.1.0"); !at.Equal(first) {
		t.Error("written twice within a minute")
	}
	if at, version := seen("0.2.0"); at.Equal(first) || version != "0.2.0" {
		t.Error("a new version is not written")
	}
	w.pass(61 * time.Second)
	if at, _ := seen("0.2.0"); at.Sub(first) != 2*time.Minute {
		t.Errorf("after %s", at.Sub(first))
	}
	w.want(w.Seen(t.Context(), d.ID, ""), fault.Invalid)
}
