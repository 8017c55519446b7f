package agent

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/holdfast-backup/holdfast/agent/state"
	"github.com/holdfast-backup/holdfast/vault/remote"
	"github.com/holdfast-backup/holdfast/wire/fault"
	"github.com/holdfast-backup/holdfast/wire/id"
)

// Status is how a device stands.
type Status struct {
	Device *state.Device
	Last   *state.Last // the last backup that this folder saw; nil if none

	Running bool // a backup holds the folder's lock
	Service bool // the resident service runs

	Reached  error // nil if the server answers, and otherwise why not
	Server   *remote.ServerInfo
	Accepted error                 // nil if the server accepts the device
	Remote   *remote.Device        // as the server sees it; nil unless it was accepted
	Policy   *remote.PolicySummary // what applies to it; nil if the server did not say

	Applications map[id.Application]remote.ApplicationHealth // those that were asked for and that the server knows; nil if it did not say
}

// Check asks the state folder and the server how the device stands, and its applications that are named. That the server cannot be reached is a
// part of the answer, not an error.
func Check(ctx context.Context, dir *state.Dir, adjust func(*Server), apps ...id.Application) (*Status, error) {
	d, err := dir.Load()
	if err != nil {
		return nil, err
	}
	st := &Status{Device: d, Last: dir.Last()}
	if release, err := dir.LockService(); errors.Is(err, fault.Conflict) {
		st.Service = true
	} else if err == nil {
		release()
	}
	if release, err := dir.Lock(); errors.Is(err, fault.Conflict) {
		st.Running = true
	} else if err == nil {
		release()
	}
	s := ServerOf(d)
	s.RetryFor = 0 // a question about now
	if adjust != nil {
		adjust(&s)
	}
	c, err := s.Dial(d.Token)
	if err != nil {
		return nil, err
	}
	defer c.Close()
	if st.Server, st.Reached = c.Server(ctx); st.Reached != nil {
		return st, ctx.Err()
	}
	if st.Remote, st.Accepted = c.ThisDevice(ctx); st.Accepted == nil {
		if p, err := c.ThisDevicePolicy(ctx); err == nil {
			st.Policy = &p
		}
		if len(apps) > 0 {
			st.Applications, _ = c.ThisDeviceApplications(ctx, apps)
		}
	}
	return st, ctx.Err()
}

// Grade is how a check of the doctor's ended.
type Grade string

// The grades.
const (
	Good Grade = "ok"
	Warn Grade = "warning"
	Bad  Grade = "failed"
)

// Finding is one thing that the doctor looked at.
type Finding struct {
	What  string `json:"what"`
	Grade Grade  `json:"grade"`
	Says  string `json:"says"`             // what was found
	Do    string `json:"advice,omitempty"` // what to do about it
}

// StaleAfter is the age of a newest snapshot at which the doctor asks why.
const StaleAfter = 7 * 24 * time.Hour

// Doctor looks at each thing that a backup stands on, in the order in which they depend on each other, and
// says what to do. It stops where going on would only repeat the same failure. apps are the device's applications, by id.
func Doctor(ctx context.Context, path string, adjust func(*Server), apps map[id.Application]string) []Finding {
	var list []Finding
	add := func(what string, g Grade, do string, format string, args ...any) {
		list = append(list, Finding{what, g, fmt.Sprintf(format, args...), do})
	}
	fail := func(what string, err error) []Finding {
		add(what, Bad, Advice(err), "%s", Sentence(err))
		return list
	}
	dir, err := state.Find(path)
	if err != nil {
		return fail("state directory", err)
	}
	add("state directory", Good, "", "%s", dir.Path())
	st, err := Check(ctx, dir, adjust, slices.Collect(maps.Keys(apps))...)
	if err != nil {
		return fail("device", err)
	}
	d := st.Device
	add("device", Good, "", "%q of %s, enrolled %s", d.Name, d.Email, d.EnrolledAt.Local().Format(time.DateTime))
	if info, err := os.Stat(dir.Cache()); err == nil {
		add("cache", Good, "", "%s, disposable", Size(info.Size()))
	} else if !errors.Is(err, fs.ErrNotExist) {
		add("cache", Warn, "remove it: the next backup makes a new one", "%v", err)
	}
	if st.Reached != nil {
		return fail("server", st.Reached)
	}
	add("server", Good, "", "%s answers in %s, version %s", d.Server, st.Server.RoundTrip.Round(100*time.Microsecond), st.Server.Version)
	if skew := st.Server.Skew; skew.Abs() > remote.MaxSkew {
		add("clock", Warn, "set this machine's clock (or the server's): certificates and listings depend on it", "%s", Skew(skew))
	} else {
		add("clock", Good, "", "agrees with the server's to within %s", max(skew.Abs(), st.Server.RoundTrip).Round(time.Millisecond))
	}
	if st.Accepted != nil {
		return fail("token", st.Accepted)
	}
	add("token", Good, "", "accepted")
	switch p := st.Policy; {
	case p == nil:
	case len(p.Policies) == 0:
		add("policy", Good, "", "none applies to this device: it saves what holdfast-agent backup PATH… is told to")
	case !st.Service:
		add("service", Warn, "run holdfast-agent service install, or holdfast-agent run", "policies apply to this device, and the service does not run: nothing is saved by itself")
	default:
		add("service", Good, "", "runs")
	}
	switch l := st.Remote.Latest; {
	case l == nil && len(apps) > 0 && st.Policy != nil && len(st.Policy.Policies) == 0:
		add("backups", Good, "", "this device has no snapshot of files, and no policy asks for one: it saves applications")
	case l == nil:
		add("backups", Warn, "run holdfast-agent backup PATH…", "this device has no snapshot yet")
	case time.Since(l.CreatedAt) > StaleAfter:
		add("backups", Warn, "run holdfast-agent backup, and find out why it was not run", "the newest snapshot is %d days old", int(time.Since(l.CreatedAt).Hours()/24))
	case l.Problems > 0:
		add("backups", Warn, "the next backup lists them; give the agent the right to read them, or exclude them", "the newest snapshot is from %s; %d files could not be read", l.CreatedAt.Local().Format(time.DateTime), l.Problems)
	default:
		add("backups", Good, "", "the newest snapshot is from %s: %d files, %s", l.CreatedAt.Local().Format(time.DateTime), l.Files, Size(l.Bytes))
	}
	for _, v := range slices.SortedFunc(maps.Keys(apps), func(x, y id.Application) int { return strings.Compare(apps[x], apps[y]) }) {
		h, known := st.Applications[v]
		what := fmt.Sprintf("application %q", apps[v])
		switch {
		case st.Applications == nil:
		case !known:
			add(what, Warn, "run holdfast-agent app add again, or holdfast-agent app remove", "the server does not know it: it is not backed up")
		case h.LastSuccessAt.IsZero():
			add(what, Warn, "run holdfast-agent app backup", "there is no backup of it yet")
		case h.LastState == "FAILED" || h.LastState == "MISSED":
			add(what, Warn, "holdfast-agent app test says what is missing, holdfast-agent runs what happened", "its last backup %s; the newest good one is from %s", strings.ToLower(h.LastState), h.LastSuccessAt.Local().Format(time.DateTime))
		case h.NextDueAt.IsZero():
			add(what, Good, "", "its newest backup is from %s; no schedule asks for the next", h.LastSuccessAt.Local().Format(time.DateTime))
		default:
			add(what, Good, "", "its newest backup is from %s; the next is due %s", h.LastSuccessAt.Local().Format(time.DateTime), h.NextDueAt.Local().Format(time.DateTime))
		}
	}
	if l := st.Last; l != nil && l.Error != "" {
		add("last attempt", Warn, "run holdfast-agent backup again: it continues from what was stored", "failed %s: %s", l.Finished.Local().Format(time.DateTime), l.Error)
	}
	return list
}

// Skew says how a clock is wrong.
func Skew(d time.Duration) string {
	way := "behind"
	if d < 0 {
		way = "ahead of"
	}
	return fmt.Sprintf("this machine's clock is %s %s the server's", d.Abs().Round(time.Second), way)
}

// Size writes a number of bytes for people, in binary units.
func Size(n int64) string {
	const units = "KMGTPE"
	if n < 1024 {
		return fmt.Sprintf("%d B", n)
	}
	v, u := float64(n)/1024, 0
	for ; v >= 1023.95 && u < len(units)-1; u++ {
		v /= 1024
	}
	return fmt.Sprintf("%.1f %ciB", v, units[u])
}
