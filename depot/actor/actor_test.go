package actor_test

import (
	"bytes"
	"context"
	"testing"

	"github.com/holdfast-backup/holdfast/depot/actor"
	"github.com/holdfast-backup/holdfast/wire/fault"
	"github.com/holdfast-backup/holdfast/wire/id"
)

func TestGates(t *testing.T) {
	t.Parallel()
	u, d := id.User{}.New(), id.Device{}.New()
	const ok = fault.Kind("")
	for name, c := range map[string]struct {
		a                                                      actor.Actor
		signedIn, person, staff, admin, superuser, device, own fault.Kind
	}{
		"nobody": {actor.Actor{},
			fault.Unauthenticated, fault.Unauthenticated, fault.Unauthenticated, fault.Unauthenticated, fault.Unauthenticated, fault.Unauthenticated, "no"},
		"staff": {actor.Actor{User: u, Role: actor.Staff, Session: id.Session{}.New()},
			ok, ok, ok, fault.Forbidden, fault.Forbidden, fault.Forbidden, ok},
		"admin": {actor.Actor{User: u, Role: actor.Admin, APIToken: id.APIToken{}.New()},
			ok, ok, ok, ok, fault.Forbidden, fault.Forbidden, ok},
		"superuser": {actor.Actor{User: u, Role: actor.Superuser},
			ok, ok, ok, ok, ok, fault.Forbidden, ok},
		"superuser by recovery code": {actor.Actor{User: u, Role: actor.Superuser, ByRecovery: true},
			ok, fault.Forbidden, fault.Forbidden, fault.Forbidden, fault.Forbidden, fault.Forbidden, ok},
		"admin without a second factor that is wanted": {actor.Actor{User: u, Role: actor.Admin, Unproven: true},
			fault.FactorMissing, fault.FactorMissing, fault.FactorMissing, fault.FactorMissing, fault.FactorMissing, fault.Forbidden, "no"},
		"the same, excused": {actor.Actor{User: u, Role: actor.Admin, Unproven: true}.Excused(),
			ok, ok, ok, ok, fault.Forbidden, fault.Forbidden, ok},
		"device": {actor.Actor{User: u, Device: d},
			fault.Forbidden, fault.Forbidden, fault.Forbidden, fault.Forbidden, fault.Forbidden, ok, "no"},
		"device that claims a role": {actor.Actor{User: u, Device: d, Role: actor.Superuser},
			fault.Forbidden, fault.Forbidden, fault.Forbidden, fault.Forbidden, fault.Forbidden, ok, "no"},
		"import": {actor.Actor{Import: id.Backup{}.New(), ImportTo: d},
			fault.Forbidden, fault.Forbidden, fault.Forbidden, fault.Forbidden, fault.Forbidden, fault.Forbidden, "no"},
		"user without a role": {actor.Actor{User: u},
			ok, ok, fault.Forbidden, fault.Forbidden, fault.Forbidden, fault.Forbidden, ok},
		"system": {actor.System(),
			fault.Forbidden, fault.Forbidden, ok, ok, ok, fault.Forbidden, ok},
	} {
		check := func(gate string, err error, want fault.Kind) {
			t.Helper()
			got := ok
			if err != nil {
				got = fault.KindOf(err)
			}
			if got != want {
				t.Errorf("%s: %s: got %q, want %q", name, gate, got, want)
			}
		}
		_, err := c.a.SignedIn()
		check("SignedIn", err, c.signedIn)
		_, err = c.a.Person()
		check("Person", err, c.person)
		check("staff", c.a.Require(actor.Staff), c.staff)
		check("admin", c.a.Require(actor.Admin), c.admin)
		check("superuser", c.a.Require(actor.Superuser), c.superuser)
		got, err := c.a.RequireDevice()
		check("device", err, c.device)
		if err == nil && got != d {
			t.Errorf("%s: device %s", name, got)
		}
		if c.a.MayRead(u) != (c.own == ok) {
			t.Errorf("%s: MayRead its own: %v", name, c.a.MayRead(u))
		}
		if c.a.MayRead(id.User{}.New()) != c.a.IsSystem() {
			t.Errorf("%s: MayRead another's", name)
		}
		if c.a.Require("owner") == nil && !c.a.IsSystem() {
			t.Errorf("%s: has a role that does not exist", name)
		}
	}
}

func TestContext(t *testing.T) {
	t.Parallel()
	if !actor.FromContext(context.Background()).IsNobody() {
		t.Error("somebody without credentials")
	}
	a := actor.Actor{User: id.User{}.New(), Role: actor.Admin}
	if got := actor.FromContext(actor.NewContext(context.Background(), a)); got != a {
		t.Errorf("got %+v", got)
	}
}

func TestRoleText(t *testing.T) {
	t.Parallel()
	for _, r := range []actor.Role{actor.Staff, actor.Admin, actor.Superuser} {
		var b bytes.Buffer
		r.MarshalGQL(&b)
		var back actor.Role
		if err := back.UnmarshalGQL(string(bytes.Trim(b.Bytes(), `"`))); err != nil || back != r {
			t.Errorf("%s: %s, %v", r, back, err)
		}
		if p, err := actor.ParseRole(" " + string(r) + "\n"); err != nil || p != r {
			t.Errorf("ParseRole(%s): %s, %v", r, p, err)
		}
	}
	for _, bad := range []any{"admin", "", nil, 3, "ROOT"} {
		var r actor.Role
		if err := r.UnmarshalGQL(bad); fault.KindOf(err) != fault.Invalid {
			t.Errorf("UnmarshalGQL(%v): %v", bad, err)
		}
	}
	if _, err := actor.ParseRole("root"); fault.KindOf(err) != fault.Invalid {
		t.Errorf("ParseRole(root): %v", err)
	}
}

// A device writes into whichever session it names, for the row says whose that is; an import into its own only.
func TestRequireWriter(t *testing.T) {
	t.Parallel()
	mine, d := id.Backup{}.New(), id.Device{}.New()
	for name, c := range map[string]struct {
		a      actor.Actor
		backup id.Backup
		want   fault.Kind
	}{
		"device": {actor.Actor{User: id.User{}.New(), Device: d}, mine, ""}, "import": {actor.Actor{Import: mine, ImportTo: d}, mine, ""},
		"import of another": {actor.Actor{Import: mine, ImportTo: d}, id.Backup{}.New(), fault.NotFound}, "import of none": {actor.Actor{Import: mine, ImportTo: d}, id.Backup{}, fault.NotFound},
		"nobody": {actor.Actor{}, id.Backup{}, fault.Unauthenticated}, "person": {actor.Actor{User: id.User{}.New(), Role: actor.Superuser}, mine, fault.Forbidden},
		"system": {actor.System(), mine, fault.Forbidden},
	} {
		got, err := c.a.RequireWriter(c.backup)
		if c.want == "" && (err != nil || got != d) || c.want != "" && (err == nil || fault.KindOf(err) != c.want) {
			t.Errorf("%s: %s, %v", name, got, err)
		}
	}
	if a := (actor.Actor{Import: mine, ImportTo: d}); a.IsNobody() || a.IsDevice() || !a.IsImport() {
		t.Error("an import is nobody, or a device")
	}
}
