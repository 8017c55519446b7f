//go:build unix

package local

import (
	"errors"
	"os"
	"os/user"
	"strconv"
	"syscall"

	"github.com/holdfast-backup/holdfast/wire/fault"
)

// runAs is the user that the children become when this process is root.
type runAs struct {
	name     string
	uid, gid uint32
}

// chooseUser returns the user for the children, or nil if they run as we do.
func chooseUser(cluster string) (*runAs, error) {
	if os.Geteuid() != 0 {
		return nil, nil
	}
	// An existing cluster stays with its owner: its files are unreadable for any other.
	if st, err := os.Stat(cluster); err == nil {
		if uid := st.Sys().(*syscall.Stat_t).Uid; uid != 0 {
			u, err := user.LookupId(strconv.Itoa(int(uid)))
			if err != nil {
				return nil, fault.Wrap(err, fault.Unavailable, "%s belongs to user id %d, which this system does not know: give it (with all that is in it, and the folders redis and run beside it) to the user `postgres` with chown -R", cluster, uid)
			}
			return parseUser(u)
		}
	}
	for _, name := range []string{"holdfast", "postgres", "nobody"} {
		u, err := user.Lookup(name)
		if errors.As(err, new(user.UnknownUserError)) {
			continue
		} else if err != nil {
			return nil, fault.Wrap(err, fault.Unavailable, "cannot look up the user %s", name)
		}
		return parseUser(u)
	}
	return nil, fault.New(fault.Unavailable, "PostgreSQL does not run as root, and there is none of the users holdfast, postgres, nobody to run it as: make one (adduser --system --group holdfast), or start holdfast as another user")
}

func parseUser(u *user.User) (*runAs, error) {
	uid, err1 := strconv.ParseUint(u.Uid, 10, 32)
	gid, err2 := strconv.ParseUint(u.Gid, 10, 32)
	if err := errors.Join(err1, err2); err != nil {
		return nil, fault.Wrap(err, fault.Unavailable, "the user %s has ids that are not numbers", u.Username)
	}
	if uid == 0 {
		return nil, fault.New(fault.Unavailable, "the user %s is root under another name: PostgreSQL does not run as root", u.Username)
	}
	return &runAs{u.Username, uint32(uid), uint32(gid)}, nil
}
