package depot_test

import (
	"bytes"
	"testing"

	"github.com/holdfast-backup/holdfast/depot/actor"
	"github.com/holdfast-backup/holdfast/depot/fleet"
	"github.com/holdfast-backup/holdfast/depot/token"
	"github.com/holdfast-backup/holdfast/wire/fault"
	"github.com/holdfast-backup/holdfast/wire/proto"
)

func TestReset(t *testing.T) {
	t.Parallel()
	d := open(t, config(t))
	l := join(t, d, "ann@example.org")
	ann, err := d.Authenticate(t.Context(), l.Token)
	if err != nil {
		t.Fatal(err)
	}
	_, text, err := d.Fleet.Register(t.Context(), ann, fleet.RegisterInput{
		Name: "laptop", Hostname: "h", OS: "linux", Arch: "amd64", AgentVersion: "0.1.0", PublicKey: make([]byte, 1216), MAC: make([]byte, 32),
	})
	if err != nil {
		t.Fatal(err)
	}
	code, hash := token.New(proto.TokenEnrolment)
	if _, err := d.Fleet.CreateEnrolment(t.Context(), ann, hash, bytes.Repeat([]byte{1}, 1300)); err != nil {
		t.Fatal(err)
	}
	if _, err := d.Reset(t.Context(), actor.System(), ann.User, "bob@example.org"); fault.KindOf(err) != fault.Invalid {
		t.Errorf("another address: %v", err)
	}
	if _, err := d.Authenticate(t.Context(), text); err != nil {
		t.Errorf("what was refused has revoked a device: %v", err)
	}
	for range 2 { // a repetition finishes what failed half way
		r, err := d.Reset(t.Context(), actor.System(), ann.User, "ann@example.org")
		if err != nil || !r.User.Reset || r.URL != "http://127.0.0.1:8440/join#"+r.Token || r.Snapshots != 0 {
			t.Fatalf("%+v, %v", r, err)
		}
		for what, token := range map[string]string{"a session": l.Token, "a device": text} {
			if _, err := d.Authenticate(t.Context(), token); fault.KindOf(err) != fault.Unauthenticated {
				t.Errorf("%s: %v", what, err)
			}
		}
		if _, err := d.Fleet.OpenEnrolment(t.Context(), code); fault.KindOf(err) != fault.NotFound {
			t.Errorf("a one-time code: %v", err)
		}
	}
	for _, a := range []actor.Actor{{}, ann} {
		if err := d.Fleet.Forsake(t.Context(), a, ann.User); err == nil {
			t.Errorf("%+v may", a)
		}
		if _, err := d.Reset(t.Context(), a, ann.User, "ann@example.org"); err == nil {
			t.Errorf("%+v may", a)
		}
	}
	if u, err := d.Accounts.UserByEmail(t.Context(), actor.System(), "ann@example.org"); err != nil || u.ID != l.User.ID {
		t.Errorf("%+v, %v", u, err)
	}
}
