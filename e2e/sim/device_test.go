//go:build linux

package sim

import (
	"context"
	"io"
	"log/slog"
	"math/rand/v2"
	"path/filepath"
	"testing"
	"time"

	"github.com/holdfast-backup/holdfast/agent"
	"github.com/holdfast-backup/holdfast/agent/daemon"
	"github.com/holdfast-backup/holdfast/agent/state"
	"github.com/holdfast-backup/holdfast/depot/account"
	"github.com/holdfast-backup/holdfast/depot/actor"
	"github.com/holdfast-backup/holdfast/vault/keyring"
	"github.com/holdfast-backup/holdfast/wire/id"
)

const password = "correct horse battery"

// person has devices, and is logged in all the time.
type person struct {
	t     testing.TB
	w     *world
	email string
	id    id.User
	a     *agent.Account // unlocked
}

func (w *world) person(name string) *person {
	w.t.Helper()
	p := &person{t: w.t, w: w, email: name + "@example.org"}
	ctx := context.Background()
	_, token, _, err := w.depot.Accounts.Invite(ctx, actor.System(), account.InviteInput{Email: p.email, Name: name, Role: actor.Staff})
	w.ok(err)
	_, err = agent.Join(ctx, p.server(), agent.JoinInput{Token: token,
		Password: func(string) ([]byte, error) { return []byte(password), nil },
		Recovery: func(string, keyring.RecoveryCode) error { return nil }})
	w.ok(err)
	me, err := w.depot.Accounts.UserByEmail(ctx, actor.System(), p.email)
	w.ok(err)
	p.id = me.ID
	p.a, err = agent.Unlock(ctx, p.server(), p.email, agent.Secret{Password: []byte(password)})
	w.ok(err)
	return p
}

func (p *person) server() agent.Server {
	return agent.Server{URL: "http://" + p.w.addr, RetryFor: 5 * time.Second}
}

// device is a machine with an agent, a home folder, and a line to the server.
type device struct {
	name    string
	owner   *person
	id      id.Device
	born    time.Time // by the server's clock
	revoked time.Time // zero: it is not
	folder  *folder
	dir     *state.Dir
	line    *line
	on      []span
	was     bool // awake, at the last stop

	times     []time.Time                     // of its snapshots
	saved     map[string]bool                 // folders that the last backup by rules found or missed
	snapshots map[id.Snapshot]map[string]file // what each must bring back
}

// span is a time in which a device is awake.
type span struct{ from, to time.Time }

// enroll makes a device of a person's.
func (p *person) enroll(name string, seed uint64, skew time.Duration) *device {
	w := p.w
	w.t.Helper()
	d := &device{name: name, owner: p, folder: newFolder(w.t, filepath.Join(w.dir, "home of "+name), seed, skew), saved: map[string]bool{}, snapshots: map[id.Snapshot]map[string]file{}}
	d.line = newLine(w.t, func() string { return w.addr })
	var err error
	d.dir, err = state.Open(filepath.Join(w.dir, "state of "+name))
	w.ok(err)
	ctx := context.Background()
	code, _, err := p.a.Code(ctx)
	w.ok(err)
	dev, err := agent.Enroll(ctx, agent.Server{URL: d.line.URL}, d.dir, agent.EnrollInput{Name: name, Home: d.folder.path, User: p.email, Code: code.String()})
	w.ok(err)
	d.id = dev.ID
	w.ok(w.depot.DB.Get(&d.born, `SELECT created_at FROM devices WHERE id = $1`, d.id))
	return d
}

// look is what the service on the device does when it is rung, when it wakes, and every few minutes: it takes what is due and does it.
func (d *device) look(ctx context.Context, patience time.Duration) ([]daemon.Done, error) {
	return daemon.Once(ctx, daemon.Config{Dir: d.dir, Log: slog.New(slog.NewTextHandler(io.Discard, nil)),
		Server: func(s *agent.Server) { s.RetryFor = patience }})
}

// awake reports whether the device is awake.
func (d *device) awake(t time.Time) bool {
	for _, s := range d.on {
		if !t.Before(s.from) && t.Before(s.to) {
			return true
		}
	}
	return false
}

// wakes returns when the device wakes next.
func (d *device) wakes(after time.Time) (time.Time, bool) {
	for _, s := range d.on {
		if s.from.After(after) {
			return s.from, true
		}
	}
	return time.Time{}, false
}

// Habits: when a device is awake.
type habit func(rng *rand.Rand, from time.Time, days int) []span

// always is awake but for some hours now and then.
func always(rng *rand.Rand, from time.Time, days int) (list []span) {
	end := from.AddDate(0, 0, days)
	for t := from; t.Before(end); {
		off := t.Add(time.Duration(10+rng.IntN(20)) * 24 * time.Hour).Add(time.Duration(rng.IntN(24*60)) * time.Minute)
		list = append(list, span{t, off})
		t = off.Add(time.Duration(1+rng.IntN(40)) * time.Hour)
	}
	return list
}

// office is awake on working days, and is left on over night now and then.
func office(rng *rand.Rand, from time.Time, days int) (list []span) {
	for n := range days {
		day := from.AddDate(0, 0, n)
		if day.Weekday() == time.Saturday || day.Weekday() == time.Sunday {
			continue
		}
		s := span{day.Add(time.Duration(7*60+rng.IntN(120)) * time.Minute), day.Add(time.Duration(16*60+rng.IntN(180)) * time.Minute)}
		if rng.IntN(4) == 0 {
			s.to = s.to.Add(15 * time.Hour)
		}
		list = append(list, s)
	}
	return list
}

// now and then: sometimes for minutes, sometimes for hours, on some days not at all.
func laptop(rng *rand.Rand, from time.Time, days int) (list []span) {
	end := from.AddDate(0, 0, days)
	for t := from; t.Before(end); {
		on := t.Add(time.Duration(rng.ExpFloat64() * 7 * float64(time.Hour)))
		if rng.IntN(12) == 0 {
			on = on.Add(time.Duration(rng.IntN(60)) * time.Hour)
		}
		off := on.Add(time.Duration((0.2 + rng.ExpFloat64()*4) * float64(time.Hour)))
		list = append(list, span{on, off})
		t = off.Add(20 * time.Minute)
	}
	return list
}

// traveller is a laptop that is in a drawer for weeks.
func traveller(rng *rand.Rand, from time.Time, days int) (list []span) {
	leaves, returns := from.AddDate(0, 0, 20), from.AddDate(0, 0, 43)
	for _, s := range laptop(rng, from, days) {
		if s.to.Before(leaves) || s.from.After(returns) {
			list = append(list, s)
		}
	}
	return list
}
