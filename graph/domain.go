package graph

import (
	"context"

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
	runID      = id.Run
	policyID   = id.Policy

	applicationID = id.Application
	scheduleID    = id.ApplicationSchedule
)

// mayCookie refuses a login that wants a cookie where none can be set, before anything is used up by it.
func mayCookie(ctx context.Context, wanted bool) error {
	if wanted && RequestFrom(ctx).SetCookie == nil {
		return fault.New(fault.Invalid, "a cookie is set on requests from this server's own pages only: leave cookie out to get a token")
	}
	return nil
}

// snapshotPayload hands a snapshot over.
func snapshotPayload(s *catalog.Snapshot, err error) (*exec.SnapshotPayload, error) {
	if err != nil {
		return nil, err
	}
	return &exec.SnapshotPayload{Snapshot: s}, nil
}

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

// LogoPath is where the server hands out the installation's logo, by its hash.
const LogoPath = "/branding/logo/"

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
	case "pol":
		return nodeOf(ctx, a, text, c.Policies.Get)
	case "grp":
		return nodeOf(ctx, a, text, c.Policies.Group)
	case "snp":
		return nodeOf(ctx, a, text, c.Catalog.Snapshot)
	case "ntf":
		return nodeOf(ctx, a, text, c.Notices.ByID)
	case "eml":
		return nodeOf(ctx, a, text, c.Notices.Mail)
	case "job":
		return nodeOf(ctx, a, text, c.Job)
	case "run":
		return nodeOf(ctx, a, text, c.Runs.Run)
	case "app":
		return nodeOf(ctx, a, text, c.Applications.Application)
	case "sch":
		return nodeOf(ctx, a, text, c.Applications.Schedule)
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

// text is a string that may be left out.
func text(s *string) string {
	if s == nil {
		return ""
	}
	return *s
}
