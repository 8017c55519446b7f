package setting

import (
	"context"
	"fmt"

	"github.com/jmoiron/sqlx"

	"github.com/holdfast-backup/holdfast/depot/actor"
	"github.com/holdfast-backup/holdfast/depot/audit"
	"github.com/holdfast-backup/holdfast/depot/pg"
	"github.com/holdfast-backup/holdfast/wire/fault"
	"github.com/holdfast-backup/holdfast/wire/id"
)

// MaxByID is how many users [Service.Quotas] takes at once.
const MaxByID = 500

// SetQuota limits what a user may store: in bytes, 0 for no limit, nil for the installation's default.
func (s *Service) SetQuota(ctx context.Context, a actor.Actor, user id.User, quota *int64) error {
	if err := a.Require(actor.Admin); err != nil {
		return err
	}
	if quota != nil && *quota < 0 {
		return fault.New(fault.Invalid, "quota: want a number of bytes, 0 for no limit, or null for the default")
	}
	return pg.InTx(ctx, s.cfg.DB, func(tx *sqlx.Tx) error {
		u, err := lockUser(ctx, tx, user)
		if err != nil {
			return err
		}
		if u == nil {
			return fault.New(fault.NotFound, "there is no such user")
		}
		if words(u.Quota) == words(quota) {
			return nil
		}
		if err := setQuota(ctx, tx, user, quota); err != nil {
			return err
		}
		return audit.Write(ctx, tx, audit.Event{Kind: "user.quota", Actor: a, Owner: user,
			Text: fmt.Sprintf("The quota of %s was changed from %s to %s.", u.Email, words(u.Quota), words(quota))})
	})
}

// words says a stored quota to people.
func words(quota *int64) string {
	switch {
	case quota == nil:
		return "the default"
	case *quota == 0:
		return "no limit"
	}
	return fmt.Sprintf("%d bytes", *quota)
}

// Quotas returns what each of the users may store, in bytes, at most [MaxByID] users at once: to the user and to administrators. Users without a
// limit, and those whom the caller may not see, are left out.
func (s *Service) Quotas(ctx context.Context, a actor.Actor, users []id.User) (map[id.User]*int64, error) {
	if a.IsNobody() {
		return nil, fault.New(fault.Unauthenticated, "log in first")
	}
	if len(users) > MaxByID {
		return nil, fault.New(fault.TooLarge, "at most %d users at once", MaxByID)
	}
	all := a.Require(actor.Admin) == nil
	var allowed []id.User
	for _, u := range users {
		if all || a.MayRead(u) {
			allowed = append(allowed, u)
		}
	}
	return quotas(ctx, s.cfg.DB, allowed)
}

// Usage is what a user stores and may store, in bytes.
type Usage struct {
	User  id.User `db:"user_id"`
	Used  int64   // of packs in the user's space
	Quota int64   // 0: no limit
}

// Usages returns the usage of all users who are not suspended.
func Usages(ctx context.Context, q sqlx.QueryerContext) ([]Usage, error) { return usage(ctx, q, nil) }

// OverQuota says how many bytes a user's space holds, how many it may (0: no limit), and whether these are reached.
func OverQuota(ctx context.Context, q sqlx.QueryerContext, user id.User) (used, limit int64, over bool, err error) {
	rows, err := usage(ctx, q, &user)
	if err != nil || len(rows) == 0 {
		return 0, 0, false, err
	}
	r := rows[0]
	return r.Used, r.Quota, r.Quota > 0 && r.Used >= r.Quota, nil
}

// Refuse returns the fault of a backup that may not begin because of a quota.
func Refuse(used, limit int64) error {
	return fault.New(fault.StorageFull, "the quota is used up: %d of %d bytes are stored; delete old snapshots, or ask an administrator for more", used, limit)
}
