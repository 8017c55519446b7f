package actor

import (
	"fmt"
	"io"
	"strings"

	"github.com/holdfast-backup/holdfast/wire/fault"
)

// Role is what a user may do. Each role includes the ones before it. Its text is what PostgreSQL stores.
type Role string

// The roles.
const (
	Staff     Role = "staff"     // backs up own devices, restores own files
	Admin     Role = "admin"     // also runs the fleet; sees no content
	Superuser Role = "superuser" // also grants and withdraws the admin role
)

func (r Role) rank() int {
	switch r {
	case Staff:
		return 1
	case Admin:
		return 2
	case Superuser:
		return 3
	}
	return 0
}

// Valid reports whether r is one of the roles.
func (r Role) Valid() bool { return r.rank() > 0 }

// AtLeast reports whether r includes other. A role that is none includes nothing and is included in nothing.
func (r Role) AtLeast(other Role) bool {
	return other.Valid() && r.rank() >= other.rank()
}

// ParseRole reads a role as a person types it.
func ParseRole(s string) (Role, error) {
	r := Role(strings.ToLower(strings.TrimSpace(s)))
	if !r.Valid() {
		return "", fault.New(fault.Invalid, "role %q: want staff, admin or superuser", s)
	}
	return r, nil
}

// MarshalGQL writes the role as a value of the GraphQL enum: STAFF, ADMIN or SUPERUSER.
func (r Role) MarshalGQL(w io.Writer) { fmt.Fprintf(w, "%q", strings.ToUpper(string(r))) }

// UnmarshalGQL reads a value of the GraphQL enum.
func (r *Role) UnmarshalGQL(v any) error {
	s, _ := v.(string)
	switch s {
	case "STAFF":
		*r = Staff
	case "ADMIN":
		*r = Admin
	case "SUPERUSER":
		*r = Superuser
	default:
		return fault.New(fault.Invalid, "a role is STAFF, ADMIN or SUPERUSER")
	}
	return nil
}
