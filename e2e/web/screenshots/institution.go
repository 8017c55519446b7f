//go:build linux

package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"github.com/jmoiron/sqlx"

	"github.com/holdfast-backup/holdfast/depot/pg"
	"github.com/holdfast-backup/holdfast/depot/report"
	"github.com/holdfast-backup/holdfast/e2e/api"
	"github.com/holdfast-backup/holdfast/e2e/stack"
)

// person is somebody of the institution, with devices by name.
type person struct {
	email, name, role string
	groups            []string
	devices           []string
}

var people = []person{
	{"ada@example.org", "Ada Lovelace", "superuser", []string{"Computing centre"}, []string{"ada-laptop", "Workstation with the large screen, beside the window"}},
	{"ben@example.org", "Ben Franklin", "admin", []string{"Computing centre", "Administration"}, []string{"ben-desktop"}},
	{"maximiliane.von.hohenlohe-waldenburg@department-of-comparative-lighthouse-studies.example.org",
		"Prof. Dr. Maximiliane-Friederike von Hohenlohe-Waldenburg-Schillingsfürst", "staff", []string{longGroup},
		[]string{"the old computer beside the window in the reading room (second floor)"}},
	{"grace@example.org", "Grace Hopper", "staff", []string{"Administration"}, []string{"grace-notebook"}},
	{"li.wei@example.org", "李伟", "staff", []string{longGroup, "Students"}, []string{"测量-03"}},
	{"katherine@example.org", "Katherine Johnson", "staff", []string{"Students"}, nil},
}

const longGroup = "Institute for Applied Comparative Lighthouse Studies and Marine Acoustics"

// days is how many days of backups there are.
const days = 12

// device is one that backs up by itself.
type device struct {
	id, home string
	agent    *stack.Agent
	service  *exec.Cmd
}

// institution is people, devices and policies on a server, and what happened to them.
type institution struct {
	server  *stack.Server
	dir     string
	admin   *api.Client
	users   map[string]string // e-mail -> id
	devices []*device
	film    string // a policy that is slow
	host    *host
}

// password is a person's, as package stack makes it.
func password(name string) string { return "correct horse battery " + name }

// live founds the institution and lets days pass.
func (i *institution) live(ctx context.Context) error {
	for _, step := range []func(context.Context) error{i.join, i.open, i.organise, i.pass, i.trouble, i.upset, i.under, i.busy} {
		if err := step(ctx); err != nil {
			return err
		}
	}
	return nil
}

// leave ends the services of the devices.
func (i *institution) leave() {
	for _, d := range i.devices {
		if d.service != nil {
			d.service.Process.Kill() //nolint:errcheck // it may have ended
			d.service.Wait()         //nolint:errcheck // it was killed
		}
	}
	if i.host != nil {
		i.host.leave()
	}
}

func (i *institution) join(ctx context.Context) error {
	for n, p := range people {
		dir := filepath.Join(i.dir, fmt.Sprint("person-", n))
		agent, err := i.server.Person(ctx, dir, p.email, p.name, p.role)
		if err != nil {
			return err
		}
		if n == 0 {
			if i.admin, err = api.Login(ctx, i.server.URL, p.email, []byte(password(p.name))); err != nil {
				return err
			}
		}
		for m, name := range p.devices {
			d := &device{agent: agent.Another(filepath.Join(dir, fmt.Sprint("device-", m))), home: filepath.Join(i.dir, fmt.Sprintf("files-%d-%d", n+1, m+1))}
			if err := errors.Join(d.agent.Enroll(ctx, name), office(d.home, uint64(100*n+m), 4+2*m)); err != nil {
				return err
			}
			d.service = d.agent.Command("run")
			if err := stack.Start(d.service); err != nil {
				return err
			}
			i.devices = append(i.devices, d)
		}
	}
	var out struct {
		Users struct {
			Edges []struct {
				Node struct {
					ID, Email string
					Devices   []struct{ ID, Name string }
				}
			}
		}
	}
	if err := i.admin.Do(ctx, `{ users(first: 100) { edges { node { id email devices { id name } } } } }`, nil, &out); err != nil {
		return err
	}
	i.users = map[string]string{}
	ids := map[string]string{}
	for _, e := range out.Users.Edges {
		i.users[e.Node.Email] = e.Node.ID
		for _, d := range e.Node.Devices {
			ids[d.Name] = d.ID
		}
	}
	n := 0
	for _, p := range people {
		for _, name := range p.devices {
			i.devices[n].id = ids[name]
			n++
		}
	}
	_, err := i.server.Invite(ctx, "rosalind@example.org", "Rosalind Franklin", "staff")
	return err
}

// organise makes groups and policies.
func (i *institution) organise(ctx context.Context) error {
	members := map[string][]string{}
	for _, p := range people {
		for _, g := range p.groups {
			members[g] = append(members[g], i.users[p.email])
		}
	}
	groups := map[string]string{}
	for name, list := range members {
		var out struct {
			CreateGroup struct{ Group struct{ ID string } }
		}
		if err := i.admin.Do(ctx, `mutation($in: CreateGroupInput!) { createGroup(input: $in) { group { id } } }`, map[string]any{"in": map[string]any{"name": name, "members": list}}, &out); err != nil {
			return err
		}
		groups[name] = out.CreateGroup.Group.ID
	}
	// All devices are this one machine, so each policy is for one of them, and says by its whole path where the folder is that belongs to it.
	of := func(n int, below, name string, schedule, retention map[string]any) map[string]any {
		return map[string]any{"name": name, "targets": map[string]any{"devices": []string{i.devices[n].id}}, "roots": []string{filepath.Join(i.devices[n].home, below)},
			"schedule": schedule, "retention": retention}
	}
	at := func(times ...string) map[string]any { return map[string]any{"kind": "DAILY", "times": times} }
	weeks := map[string]any{"daily": 14, "weekly": 8, "monthly": 12}
	films := of(1, "Videos", "Films", map[string]any{"kind": "MONTHLY", "dates": []int{1}, "times": []string{"01:00"}}, map[string]any{"last": 2})
	films["uploadLimit"] = 96 << 10
	office := of(0, "", "Office documents", at("12:30", "22:00"), weeks)
	office["presets"], office["extensions"] = []string{"documents", "spreadsheets", "presentations", "images"}, []string{".csv"}
	office["roots"] = []string{i.devices[0].home, i.stick()}
	audit := map[string]any{"name": "Before the audit", "enabled": false, "targets": map[string]any{"groups": []string{groups["Administration"]}}, "roots": []string{"~"},
		"schedule": map[string]any{"kind": "CRON", "cron": "0 4 * * 6"}, "retention": map[string]any{"yearly": 10}}
	for _, p := range []map[string]any{
		office, of(1, "Documents", "Workstations", at("02:00"), weeks), of(2, "", "Administration", at("12:00", "18:00"), weeks), of(4, "", "Notebooks", at("20:00"), weeks),
		of(3, "", "Measurements and everything that belongs to them, of the whole institute", map[string]any{"kind": "WEEKLY", "days": []string{"MONDAY", "THURSDAY"}, "times": []string{"03:15"}},
			map[string]any{"monthly": 24}),
		of(5, "", "Students", at("23:00"), weeks), films, audit,
	} {
		p["zone"] = "Europe/Athens"
		var out struct {
			CreatePolicy struct{ Policy struct{ ID string } }
		}
		if err := i.admin.Do(ctx, `mutation($in: PolicyInput!) { createPolicy(input: $in) { policy { id } } }`, map[string]any{"in": p}, &out); err != nil {
			return fmt.Errorf("policy %s: %w", p["name"], err)
		}
		if p["name"] == "Films" {
			i.film = out.CreatePolicy.Policy.ID
		}
	}
	return i.enable(ctx, i.film, false) // its turn comes in the end
}

// stick is a folder of Ada's that is not always there.
func (i *institution) stick() string { return filepath.Join(i.dir, "Memory stick") }

func (i *institution) enable(ctx context.Context, policy string, on bool) error {
	return i.admin.Do(ctx, `mutation($id: ID!, $on: Boolean!) { enablePolicy(input: {id: $id, enabled: $on}) { policy { id } } }`, map[string]any{"id": policy, "on": on}, nil)
}

// backUp has devices back up now and returns the ids of the runs.
func (i *institution) backUp(ctx context.Context, devices ...*device) (runs []string, err error) {
	for _, d := range devices {
		var out struct {
			BackUpNow struct{ Run struct{ ID string } }
		}
		if err := i.admin.Do(ctx, `mutation($d: ID!) { backUpNow(input: {device: $d}) { run { id } } }`, map[string]any{"d": d.id}, &out); err != nil {
			return nil, err
		}
		runs = append(runs, out.BackUpNow.Run.ID)
	}
	return runs, nil
}

// await waits until runs are in a state that is wanted; over stands for any in which they have ended.
func (i *institution) await(ctx context.Context, state string, runs ...string) error {
	ctx, cancel := context.WithTimeout(ctx, 2*time.Minute)
	defer cancel()
	tick := time.NewTicker(100 * time.Millisecond)
	defer tick.Stop()
	for _, id := range runs {
		for {
			var out struct{ Run struct{ State string } }
			if err := i.admin.Do(ctx, `query($id: ID!) { run(id: $id) { state } }`, map[string]any{"id": id}, &out); err != nil {
				return err
			}
			ended := out.Run.State != "WAITING" && out.Run.State != "RUNNING"
			if out.Run.State == state || ended && state == "over" {
				break
			}
			if ended {
				return fmt.Errorf("a run is %s, wanted %s", out.Run.State, state)
			}
			select {
			case <-tick.C:
			case <-ctx.Done():
				return fmt.Errorf("a run is still %s: %w\n%s", out.Run.State, ctx.Err(), i.server.Log())
			}
		}
	}
	return nil
}

// pass lets days pass, on each of which all devices back up. On some a device has nothing to save, and fails.
func (i *institution) pass(ctx context.Context) error {
	at, err := i.server.DatabaseURL()
	if err != nil {
		return err
	}
	db, err := pg.Open(ctx, at)
	if err != nil {
		return err
	}
	defer db.Close()
	if err := write(filepath.Join(i.stick(), "Talk for the museum.pptx"), noise(8, 300<<10)); err != nil {
		return err
	}
	for day := range days {
		away := -1
		if day == 4 || day == 7 || day == 9 {
			away = day % len(i.devices)
			if err := os.Rename(i.devices[away].home, i.devices[away].home+" away"); err != nil {
				return err
			}
		}
		for n, d := range i.devices {
			if n != away {
				if err := work(d.home, uint64(day*10+n)); err != nil {
					return err
				}
			}
		}
		runs, err := i.backUp(ctx, i.devices...)
		if err != nil {
			return err
		}
		if err := errors.Join(i.evening(ctx, day), i.await(ctx, "over", runs...)); err != nil {
			return err
		}
		if away >= 0 {
			if err := os.Rename(i.devices[away].home+" away", i.devices[away].home); err != nil {
				return err
			}
		}
		// The worker counts what is stored once an hour.
		if err := errors.Join(report.New(report.Config{DB: db}).Sample(ctx), yesterday(ctx, db)); err != nil {
			return err
		}
	}
	return nil
}

// yesterday moves all that happened back by a day.
func yesterday(ctx context.Context, db *sqlx.DB) error {
	for _, t := range []struct{ table, where, columns string }{
		{"runs", "state NOT IN ('waiting', 'running')", "created_at due_at deadline_at started_at ended_at"},
		{"snapshots", "true", "created_at"},
		{"backups", "state <> 'active'", "started_at last_seen_at ended_at"},
		{"packs", "true", "created_at"},
		{"notifications", "true", "created_at"},
		{"users", "true", "created_at"},
		{"devices", "true", "created_at"},
		{"applications", "true", "created_at"},
		{"audit_events", "true", "at"},
	} {
		var sets []string
		for _, c := range strings.Fields(t.columns) {
			sets = append(sets, c+" = "+c+" - interval '1 day'")
		}
		if _, err := db.ExecContext(ctx, `UPDATE `+t.table+` SET `+strings.Join(sets, ", ")+` WHERE `+t.where); err != nil {
			return fmt.Errorf("move %s: %w", t.table, err)
		}
	}
	// There is one of each day, and so they go around one another.
	for _, days := range []int{-1000, 999} {
		if _, err := db.ExecContext(ctx, `UPDATE usage_samples SET day = day + $1::int`, days); err != nil {
			return fmt.Errorf("move usage_samples: %w", err)
		}
	}
	return nil
}

// trouble is today: something is lost, something fails, something is restored.
func (i *institution) trouble(ctx context.Context) error {
	ada, grace := i.devices[0], i.devices[4]
	if err := os.RemoveAll(filepath.Join(ada.home, "Documents", "Talks")); err != nil {
		return err
	}
	if err := ada.agent.Unlocked(ctx, "restore", "latest", "--on", "ada-laptop", "--wait").Err(); err != nil {
		return err
	}
	var old struct {
		Snapshots struct {
			Edges []struct{ Node struct{ ID string } }
		}
	}
	if err := i.admin.Do(ctx, `query($d: ID!) { snapshots(device: $d, first: 9) { edges { node { id } } } }`, map[string]any{"d": ada.id}, &old); err != nil {
		return err
	}
	for _, s := range old.Snapshots.Edges[6:] {
		if err := i.admin.Do(ctx, `mutation($id: ID!) { deleteSnapshot(input: {id: $id}) { id } }`, map[string]any{"id": s.Node.ID}, nil); err != nil {
			return err
		}
	}
	// A stick that was taken out, and files that grow while they are read.
	if err := os.RemoveAll(i.stick()); err != nil {
		return err
	}
	still := []func() error{typing(filepath.Join(ada.home, "Documents", "Minutes being typed.docx")), typing(filepath.Join(ada.home, "Documents", "Measurements", "Tide gauge, second by second.csv"))}
	runs, err := i.backUp(ctx, ada, i.devices[2], i.devices[3], i.devices[5])
	if err == nil {
		err = errors.Join(i.await(ctx, "WARNED", runs[0]), i.await(ctx, "over", runs[1:]...))
	}
	for _, end := range still {
		err = errors.Join(err, end())
	}
	if err := errors.Join(err, os.Rename(grace.home, grace.home+" away")); err != nil {
		return err
	}
	if runs, err = i.backUp(ctx, grace); err != nil {
		return err
	}
	return i.await(ctx, "FAILED", runs...)
}

// typing writes a file that goes on changing, without a pause, until end is called: it takes longer to read than to change.
func typing(path string) (end func() error) {
	stop, ended := make(chan struct{}), make(chan error, 1)
	go func() { ended <- grow(path, stop) }()
	return func() error {
		close(stop)
		return <-ended
	}
}

func grow(path string, stop <-chan struct{}) error {
	if err := write(path, noise(7, 3<<20)); err != nil {
		return err
	}
	f, err := os.OpenFile(path, os.O_APPEND|os.O_WRONLY, 0)
	if err != nil {
		return err
	}
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	for {
		select {
		case <-stop:
			return f.Close()
		case <-tick.C:
			if _, err := f.WriteString("and furthermore "); err != nil {
				return errors.Join(err, f.Close())
			}
		}
	}
}

// under is a backup that is under way while pictures are taken.
func (i *institution) under(ctx context.Context) error {
	d := i.devices[1]
	for n := range 12 {
		if err := office(filepath.Join(d.home, "Videos", fmt.Sprint("Excursion ", n+1)), uint64(9000+n), 1); err != nil {
			return err
		}
	}
	if err := i.enable(ctx, i.film, true); err != nil {
		return err
	}
	runs, err := i.backUp(ctx, d)
	if err != nil {
		return err
	}
	return i.await(ctx, "RUNNING", runs...)
}
