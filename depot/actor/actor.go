// Package actor says who asks.
//
// Every depot method that acts for somebody takes an [Actor] and passes it through one of the gates here, so
// that GraphQL, the worker, the command line and tests are held by the same rules. Four kinds of credential
// exist, and they are never taken for one another:
//
//   - a login session or an API token stands for its user: a person;
//   - a device token stands for a device. Actor.User is then the device's owner, whose space it writes to, but
//     the device is not that person: [Actor.Person] and [Actor.Require] refuse it;
//   - the token of an import stands for one backup session, into which its owner writes from a browser: whoever shows it may do
//     what [Actor.RequireWriter] guards, for that session, and nothing else;
//   - a session that was opened with a recovery code may do nothing but set a new password: [Actor.Person]
//     refuses it, [Actor.SignedIn] does not;
//   - an administrator without the second factor that the installation wants of them may only set one up: every gate refuses them, and the few methods
//     that they need ask as [Actor.Excused].
//
// [System] is the operator at the command line and the worker: whoever can start those programs holds the
// database anyway. It has every role but is nobody's person.
//
// An Actor is a snapshot of rights at the time of the request. Methods that change rights read the caller's
// role again inside their transaction.
package actor

import (
	"context"

	"github.com/holdfast-backup/holdfast/wire/fault"
	"github.com/holdfast-backup/holdfast/wire/id"
)

// Actor is who asks. The zero value is nobody.
type Actor struct {
	User       id.User     // the person, or the device's owner
	Role       Role        // of the person; empty for devices
	Session    id.Session  // set when a login session was shown
	APIToken   id.APIToken // set when an API token was shown
	Device     id.Device   // set when a device token was shown
	ByRecovery bool        // the session was opened with a recovery code
	Unproven   bool        // an administrator who lacks the second factor that is wanted of them

	Import   id.Backup // set when the token of an import was shown
	ImportTo id.Device // the device in whose name that session writes

	system bool
}

// System returns the actor of the command line and the worker.
func System() Actor { return Actor{Role: Superuser, system: true} }

// IsSystem reports whether a is the command line or the worker.
func (a Actor) IsSystem() bool { return a.system }

// IsNobody reports whether a has shown no credential.
func (a Actor) IsNobody() bool {
	return !a.system && a.User.IsZero() && a.Device.IsZero() && !a.IsImport()
}

// IsDevice reports whether a has shown a device token.
func (a Actor) IsDevice() bool { return !a.Device.IsZero() }

// IsImport reports whether a has shown the token of an import.
func (a Actor) IsImport() bool { return !a.Import.IsZero() }

// SignedIn returns the user who logged in, also one who did so with a recovery code: whoever holds it may read
// and restore what is theirs, set a new password, and log out. Everything else asks [Actor.Person].
func (a Actor) SignedIn() (id.User, error) {
	switch {
	case a.system:
		return id.User{}, fault.New(fault.Forbidden, "this needs a person who is logged in")
	case a.IsDevice():
		return id.User{}, fault.New(fault.Forbidden, "a device cannot do this: log in as its owner")
	case a.IsImport():
		return id.User{}, fault.New(fault.Forbidden, "the token of an import writes into its session, and can do nothing else")
	case a.User.IsZero():
		return id.User{}, fault.New(fault.Unauthenticated, "log in first")
	case a.Unproven:
		return id.User{}, fault.New(fault.FactorMissing, "administrators of this server need a second factor, and your account has none: log in to the web app and set one up. Until then it can do nothing else")
	}
	return a.User, nil
}

// Excused returns the actor as one of whom no second factor is wanted: for what it takes to set one up.
func (a Actor) Excused() Actor {
	a.Unproven = false
	return a
}

// Person returns the user who asks. It refuses nobody (UNAUTHENTICATED), devices, the system and sessions
// that were opened with a recovery code (FORBIDDEN).
func (a Actor) Person() (id.User, error) {
	u, err := a.SignedIn()
	if err != nil {
		return id.User{}, err
	}
	if a.ByRecovery {
		return id.User{}, fault.New(fault.Forbidden, "a login with the recovery code may read, restore and set a new password: for anything else, set one and log in with it")
	}
	return u, nil
}

// Require refuses everybody but persons with at least this role, and the system.
func (a Actor) Require(r Role) error {
	if a.system {
		return nil
	}
	if _, err := a.Person(); err != nil {
		return err
	}
	if !a.Role.AtLeast(r) {
		return fault.New(fault.Forbidden, "this needs the role %s", r)
	}
	return nil
}

// RequireDevice returns the device that asks. It refuses nobody (UNAUTHENTICATED) and everybody who is not a
// device (FORBIDDEN).
func (a Actor) RequireDevice() (id.Device, error) {
	switch {
	case a.IsDevice():
		return a.Device, nil
	case a.IsNobody():
		return id.Device{}, fault.New(fault.Unauthenticated, "show a device token: enrol this machine first")
	}
	return id.Device{}, fault.New(fault.Forbidden, "only a device can do this")
}

// RequireWriter returns the device in whose name the actor writes into a backup session: itself, or that of the import whose session it is. It refuses
// nobody (UNAUTHENTICATED), whoever is neither (FORBIDDEN), and an import for any other session (NOT_FOUND).
func (a Actor) RequireWriter(backup id.Backup) (id.Device, error) {
	if !a.IsImport() {
		return a.RequireDevice()
	}
	if a.Import != backup {
		return id.Device{}, fault.New(fault.NotFound, "there is no such backup session of this import")
	}
	return a.ImportTo, nil
}

// MayRead reports whether a may see what belongs to owner without being an administrator of it: its person,
// or the system. Devices have narrower rights, which each noun spells out.
func (a Actor) MayRead(owner id.User) bool {
	if a.system {
		return true
	}
	u, err := a.SignedIn()
	return err == nil && u == owner
}

type key struct{}

// NewContext returns a context that carries the actor of a request from the HTTP layer to resolvers. Depot
// methods never look there: they take the actor as an argument.
func NewContext(ctx context.Context, a Actor) context.Context {
	return context.WithValue(ctx, key{}, a)
}

// FromContext returns the actor of a request; nobody if there is none.
func FromContext(ctx context.Context) Actor {
	a, _ := ctx.Value(key{}).(Actor)
	return a
}
