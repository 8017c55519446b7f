package account

import (
	"context"
	"fmt"
	"strings"

	"github.com/jmoiron/sqlx"
	"golang.org/x/text/unicode/norm"

	"github.com/holdfast-backup/holdfast/depot/actor"
	"github.com/holdfast-backup/holdfast/depot/audit"
	"github.com/holdfast-backup/holdfast/depot/notice"
	"github.com/holdfast-backup/holdfast/depot/pg"
	"github.com/holdfast-backup/holdfast/wire/fault"
	"github.com/holdfast-backup/holdfast/wire/id"
)

// MaxPage is the largest page that [Service.Users] gives, and the most that [Service.UsersByID] takes at once.
const MaxPage = 200

func noUser() error { return fault.New(fault.NotFound, "there is no such user") }

// Me returns the caller, also one who has just logged in with a recovery code.
func (s *Service) Me(ctx context.Context, a actor.Actor) (*User, error) {
	u, err := a.Excused().SignedIn()
	if err != nil {
		return nil, err
	}
	return found(userByID(ctx, s.db, u))
}

// User returns one user: oneself, or for administrators anyone.
func (s *Service) User(ctx context.Context, a actor.Actor, user id.User) (*User, error) {
	if err := mayRead(a, user); err != nil {
		return nil, err
	}
	return found(userByID(ctx, s.db, user))
}

// UserByEmail returns the user with an e-mail, in any spelling, for administrators.
func (s *Service) UserByEmail(ctx context.Context, a actor.Actor, email string) (*User, error) {
	if err := a.Require(actor.Admin); err != nil {
		return nil, err
	}
	key, err := emailKey(email)
	if err != nil {
		return nil, err
	}
	u, err := userByKey(ctx, s.db, key)
	if err == nil && u == nil {
		return nil, fault.New(fault.NotFound, "there is no user with the e-mail %s", email)
	}
	return found(u, err)
}

func found(u *User, err error) (*User, error) {
	if err != nil {
		return nil, err
	}
	if u == nil {
		return nil, noUser()
	}
	return u.utc(), nil
}

// mayRead lets people see themselves and administrators everybody. For all others a user does not exist.
func mayRead(a actor.Actor, user id.User) error {
	if a.Require(actor.Admin) == nil {
		return nil
	}
	me, err := a.Person()
	if err == nil && me != user {
		err = noUser()
	}
	return err
}

// UsersByID returns those of the users that exist and that the caller may see, in one statement: at most
// [MaxPage] at once.
func (s *Service) UsersByID(ctx context.Context, a actor.Actor, ids []id.User) (map[id.User]*User, error) {
	if len(ids) > MaxPage {
		return nil, fault.New(fault.TooLarge, "at most %d users at once", MaxPage)
	}
	var allowed []id.User
	for _, u := range ids {
		err := mayRead(a, u)
		switch fault.KindOf(err) {
		case fault.Unauthenticated, fault.Forbidden:
			return nil, err
		}
		if err == nil {
			allowed = append(allowed, u)
		}
	}
	users := map[id.User]*User{}
	if len(allowed) == 0 {
		return users, nil
	}
	rows, err := usersByID(ctx, s.db, allowed)
	for _, u := range rows {
		users[u.ID] = u.utc()
	}
	return users, err
}

// Users returns up to first users by e-mail, from the cursor after on (empty: from the first).
func (s *Service) Users(ctx context.Context, a actor.Actor, first int, after string) (*UserPage, error) {
	return s.FindUsers(ctx, a, "", first, after)
}

// maxSearch is the length of a text that is looked for, in bytes.
const maxSearch = 200

// FindUsers is [Service.Users] of those who have a text in their name or e-mail, in any case. TotalCount counts them.
func (s *Service) FindUsers(ctx context.Context, a actor.Actor, search string, first int, after string) (*UserPage, error) {
	if err := a.Require(actor.Admin); err != nil {
		return nil, err
	}
	if first < 0 || first > MaxPage {
		return nil, fault.New(fault.Invalid, "first: ask for 0 to %d", MaxPage)
	}
	key, err := parseCursor(after)
	if err != nil {
		return nil, err
	}
	search = norm.NFC.String(strings.TrimSpace(search))
	if len(search) > maxSearch || !printable(search) {
		return nil, fault.New(fault.Invalid, "search: at most %d bytes of text", maxSearch)
	}
	rows, err := usersAfter(ctx, s.db, search, key, first+1)
	if err != nil {
		return nil, err
	}
	page := &UserPage{Users: rows}
	if len(rows) > first {
		page.Users, page.HasNext = rows[:first], true
	}
	for _, u := range page.Users {
		u.utc()
	}
	page.TotalCount, err = countUsers(ctx, s.db, search)
	return page, err
}

// SetRole grants or withdraws a role. Only a superuser may, and the last active superuser cannot be demoted.
func (s *Service) SetRole(ctx context.Context, a actor.Actor, user id.User, role actor.Role) (*User, error) {
	if !role.Valid() {
		return nil, fault.New(fault.Invalid, "role: want staff, admin or superuser")
	}
	if err := a.Require(actor.Superuser); err != nil {
		return nil, err
	}
	after, err := s.govern(ctx, a, user, func(tx *sqlx.Tx, u *User) error {
		if err := s.stillHas(ctx, tx, a, actor.Superuser); err != nil {
			return err
		}
		if u.Role == role {
			return nil
		}
		if err := setRole(ctx, tx, user, role); err != nil {
			return err
		}
		if u.Role.AtLeast(role) { // a demotion
			if err := deleteInvitationsBy(ctx, tx, user); err != nil {
				return err
			}
		}
		err := audit.Write(ctx, tx, audit.Event{
			Kind: "user.role", Actor: a, Owner: user, Text: fmt.Sprintf("The role of %s was changed from %s to %s.", u.Email, u.Role, role),
		})
		if err != nil {
			return err
		}
		return notice.Write(ctx, tx, notice.Event{
			User: user, Kind: "account.role", Title: fmt.Sprintf("Your role is now %s", role),
			Body: fmt.Sprintf("It was %s before. What you may do has changed with it; your backups have not.", u.Role),
		})
	})
	if err == nil {
		s.told(ctx, user)
	}
	return after, err
}

// Suspend locks a user out at once: sessions end, API and device tokens stop working, backups stay.
// Administrators may suspend staff, superusers everybody but themselves and the last of them.
func (s *Service) Suspend(ctx context.Context, a actor.Actor, user id.User) (*User, error) {
	if err := a.Require(actor.Admin); err != nil {
		return nil, err
	}
	if a.User == user {
		return nil, fault.New(fault.Conflict, "you cannot suspend yourself: ask another superuser")
	}
	return s.govern(ctx, a, user, func(tx *sqlx.Tx, u *User) error {
		if err := s.stillHas(ctx, tx, a, needed(u.Role)); err != nil {
			return err
		}
		if u.Suspended {
			return nil
		}
		now := s.now()
		if err := setSuspended(ctx, tx, user, &now); err != nil {
			return err
		}
		if err := deleteSessions(ctx, tx, user, id.Session{}); err != nil {
			return err
		}
		if err := deleteInvitationsBy(ctx, tx, user); err != nil {
			return err
		}
		return audit.Write(ctx, tx, audit.Event{Kind: "user.suspended", Actor: a, Owner: user, Text: u.Email + " was suspended."})
	})
}

// Resume undoes [Service.Suspend]. Sessions that it ended stay ended. Who may suspend a user may resume them.
func (s *Service) Resume(ctx context.Context, a actor.Actor, user id.User) (*User, error) {
	if err := a.Require(actor.Admin); err != nil {
		return nil, err
	}
	return s.govern(ctx, a, user, func(tx *sqlx.Tx, u *User) error {
		if err := s.stillHas(ctx, tx, a, needed(u.Role)); err != nil {
			return err
		}
		if !u.Suspended {
			return nil
		}
		if err := setSuspended(ctx, tx, user, nil); err != nil {
			return err
		}
		return audit.Write(ctx, tx, audit.Event{Kind: "user.resumed", Actor: a, Owner: user, Text: u.Email + " was resumed."})
	})
}

// govern changes what a user may do. All such changes are one at a time, and none leaves the installation
// without an active superuser.
func (s *Service) govern(ctx context.Context, a actor.Actor, user id.User, fn func(*sqlx.Tx, *User) error) (*User, error) {
	var after *User
	err := pg.InTx(ctx, s.db, func(tx *sqlx.Tx) error {
		if err := lockRoles(ctx, tx); err != nil {
			return err
		}
		before, err := countSuperusers(ctx, tx)
		if err != nil {
			return err
		}
		// Locked, so that a login that has just been let in is seen by the suspension that ends it, or sees it.
		if _, err := lockSecrets(ctx, tx, user); err != nil {
			return err
		}
		u, err := found(userByID(ctx, tx, user))
		if err != nil {
			return err
		}
		if err := fn(tx, u); err != nil {
			return err
		}
		if n, err := countSuperusers(ctx, tx); err != nil {
			return err
		} else if n == 0 && before > 0 {
			return fault.New(fault.Conflict, "%s is the last active superuser: make another one first", u.Email)
		}
		after, err = found(userByID(ctx, tx, user))
		return err
	})
	if err != nil {
		return nil, err
	}
	s.revoked(ctx, user)
	return after, nil
}
