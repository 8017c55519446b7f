package graph

import (
	"context"
	"time"

	"github.com/holdfast-backup/holdfast/depot/account"
	"github.com/holdfast-backup/holdfast/depot/actor"
	"github.com/holdfast-backup/holdfast/depot/catalog"
	"github.com/holdfast-backup/holdfast/graph/internal/exec"
	"github.com/holdfast-backup/holdfast/graph/internal/scalar"
	"github.com/holdfast-backup/holdfast/wire/fault"
	"github.com/holdfast-backup/holdfast/wire/id"
)

// The names of ids where an argument is called id.
type (
	backupID   = id.Backup
	snapshotID = id.Snapshot
)

// loginPayload hands a session over: its token in the answer, or in a cookie that no script can read.
func loginPayload(ctx context.Context, login *account.Login, err error, cookie bool) (*exec.LoginPayload, error) {
	if err != nil {
		return nil, err
	}
	out := &exec.LoginPayload{ExpiresAt: login.ExpiresAt, User: login.User, Bundle: login.Bundle}
	if cookie {
		RequestFrom(ctx).SetCookie(login.Token, login.ExpiresAt)
	} else {
		out.Token = &login.Token
	}
	return out, nil
}

// bitmap packs flags, least significant bit first.
func bitmap(flags []bool) []byte {
	b := make([]byte, (len(flags)+7)/8)
	for i, f := range flags {
		if f {
			b[i/8] |= 1 << (i % 8)
		}
	}
	return b
}

// node reads the thing of a public id, by its kind. What the actor may not see is null, like what is not
// there. Enrolments and spaces are no nodes, and the audit log is read as a list.
func (c Config) node(ctx context.Context, a actor.Actor, text string) (scalar.Node, error) {
	switch id.Kind(text) {
	case "usr":
		return nodeOf(ctx, a, text, c.Accounts.User)
	case "ses":
		return nodeOf(ctx, a, text, c.Accounts.Session)
	case "tok":
		return nodeOf(ctx, a, text, c.Accounts.APIToken)
	case "inv":
		return nodeOf(ctx, a, text, c.Accounts.InvitationByID)
	case "dev":
		return nodeOf(ctx, a, text, c.Fleet.Device)
	case "bak":
		return nodeOf(ctx, a, text, c.Catalog.Backup)
	case "snp":
		return nodeOf(ctx, a, text, c.Catalog.Snapshot)
	}
	return nil, nil
}

func nodeOf[T, N any, P interface {
	*T
	UnmarshalText([]byte) error
}](ctx context.Context, a actor.Actor, text string, read func(context.Context, actor.Actor, T) (*N, error)) (scalar.Node, error) {
	v, err := parse[T, P](text)
	if err != nil {
		return nil, err
	}
	n, err := read(ctx, a, v)
	switch fault.KindOf(err) {
	case fault.NotFound, fault.Forbidden:
		return nil, nil
	}
	if err != nil || n == nil {
		return nil, err
	}
	return n, nil
}

// progress follows a device's backups for deviceProgress. The table is the truth: a message on the bus, and
// the sweep that makes up for lost ones, only say when to look. What did not change since the last look is
// not sent again.
func (c Config) progress(ctx context.Context, a actor.Actor, dev id.Device) (<-chan *catalog.Backup, error) {
	if _, err := c.Fleet.Device(ctx, a, dev); err != nil {
		return nil, err
	}
	sub := c.Bus.Subscribe(ctx, "device:"+dev.String()) // before the first look, so that nothing falls between
	look := func(last *catalog.Backup) (*catalog.Backup, error) {
		now, err := optional(c.Catalog.ActiveBackup(ctx, a, dev))
		if err != nil || last == nil || last.State != catalog.Active || now != nil && now.ID == last.ID {
			return now, err
		}
		// The backup that was followed has ended: its last state is news, and comes before the next backup.
		return optional(c.Catalog.Backup(ctx, a, last.ID))
	}
	first, err := look(nil)
	if err != nil {
		sub.Close()
		return nil, err
	}
	out := make(chan *catalog.Backup)
	go func() {
		defer close(out)
		defer sub.Close()
		sweep := time.NewTicker(c.Sweep)
		defer sweep.Stop()
		var last *catalog.Backup
		for now := first; ; {
			if changed(last, now) {
				select {
				case out <- now:
				case <-ctx.Done():
					return
				}
				ended := last != nil && last.State == catalog.Active && now.State != catalog.Active
				last = now
				if ended { // another one may be running already
					if next, err := look(last); err == nil {
						now = next
						continue
					}
				}
			}
			select {
			case <-ctx.Done():
				return
			case <-sweep.C:
			case _, ok := <-sub.C:
				if !ok {
					return
				}
			}
			next, err := look(last)
			if err != nil {
				if ctx.Err() == nil {
					logger(ctx).WarnContext(ctx, "deviceProgress: the table cannot be read, trying again", "error", err)
				}
				continue
			}
			now = next
		}
	}()
	return out, nil
}

// changed reports whether now is worth sending after last.
func changed(last, now *catalog.Backup) bool {
	if now == nil {
		return false
	}
	if last == nil || last.ID != now.ID || last.State != now.State {
		return true
	}
	return last.Progress == nil != (now.Progress == nil) || now.Progress != nil && *last.Progress != *now.Progress
}
