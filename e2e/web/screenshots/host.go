//go:build linux

package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	"github.com/holdfast-backup/holdfast/e2e/stack"
)

// Names of applications, as they are added.
const (
	shop       = "Harbour shop"
	loans      = "Lending library"
	wiki       = "Wiki"
	newsletter = "Newsletter"
	guests     = "Guest book"
	tickets    = "Tickets 2019"
	inventory  = "Inventory of the lenses, buoys, fog horns and logbooks of the whole institute"
	roster     = "Duty roster"
)

// host is a machine of Ada's that has applications.
type host struct {
	id, dir string
	agent   *stack.Agent
	service *exec.Cmd
	shop    string            // address of the shop's database
	apps    map[string]string // name -> id
}

// sqlite is the address of an application's file.
func (h *host) sqlite(name string) string { return filepath.Join(h.dir, name, "data.db") }

// media is an application's folder of media.
func (h *host) media(name string) string { return filepath.Join(h.dir, name, "media") }

// open begins applications: one on PostgreSQL, some on SQLite, some of media only, and one of another person.
func (i *institution) open(ctx context.Context) error {
	h := &host{dir: filepath.Join(i.dir, "srv"), agent: i.devices[0].agent.Another(filepath.Join(i.dir, "web-server"))}
	i.host = h
	if err := h.agent.Enroll(ctx, "web-server"); err != nil {
		return err
	}
	at, err := i.server.DatabaseURL()
	if err != nil {
		return err
	}
	u, err := url.Parse(at)
	if err != nil {
		return err
	}
	u.Path = "/harbour"
	h.shop = u.String()
	if err := errors.Join(sql(ctx, "psql", at, "CREATE DATABASE harbour"), sql(ctx, "psql", h.shop, pgShop), pictures(h.media(shop), 24)); err != nil {
		return err
	}
	for _, a := range []struct {
		name         string
		rows, photos int
	}{{loans, 900, 0}, {wiki, 300, 6}, {inventory, 2500, 4}, {tickets, 40, 0}, {newsletter, 0, 8}, {guests, 0, 3}} {
		args := []string{"app", "add", a.name}
		if a.rows > 0 {
			if err := h.table(ctx, a.name, a.rows); err != nil {
				return err
			}
			args = append(args, "--db", "sqlite:"+h.sqlite(a.name))
		}
		if a.photos > 0 {
			if err := pictures(h.media(a.name), a.photos); err != nil {
				return err
			}
			args = append(args, "--media", h.media(a.name))
		}
		if err := h.agent.Run(ctx, args...).Err(); err != nil {
			return err
		}
	}
	ben := i.devices[2]
	if err := errors.Join(h.agent.Run(ctx, "app", "add", shop, "--db", h.shop, "--media", h.media(shop)).Err(), h.table(ctx, roster, 60),
		ben.agent.Run(ctx, "app", "add", roster, "--db", "sqlite:"+h.sqlite(roster)).Err()); err != nil {
		return err
	}
	return errors.Join(h.serve(), i.meet(ctx), i.schedule(ctx))
}

// serve starts the machine's service, or starts it again with other arguments.
func (h *host) serve(args ...string) error {
	h.leave()
	h.service = h.agent.Command(append([]string{"run"}, args...)...)
	return stack.Start(h.service)
}

func (h *host) leave() {
	if h.service != nil {
		h.service.Process.Kill() //nolint:errcheck // it may have ended
		h.service.Wait()         //nolint:errcheck // it was killed
	}
}

// meet learns the ids of all applications, and of their machine.
func (i *institution) meet(ctx context.Context) error {
	var out struct {
		Applications []struct {
			ID, Name string
			Device   struct{ ID, Name string }
		}
	}
	if err := i.admin.Do(ctx, `{ applications(fleet: true) { id name device { id name } } }`, nil, &out); err != nil {
		return err
	}
	i.host.apps = map[string]string{}
	for _, a := range out.Applications {
		i.host.apps[a.Name] = a.ID
		if a.Device.Name == "web-server" {
			i.host.id = a.Device.ID
		}
	}
	return nil
}

// schedule makes schedules for the shop, and one for the inventory.
func (i *institution) schedule(ctx context.Context) error {
	for _, s := range []struct {
		app string
		in  map[string]any
	}{
		{shop, map[string]any{"name": "Nightly", "part": "FULL", "schedule": map[string]any{"kind": "DAILY", "times": []string{"02:30"}}, "retention": map[string]any{"daily": 14, "weekly": 8, "monthly": 12}}},
		{shop, map[string]any{"name": "Orders, while the shop is open", "part": "DATABASE", "schedule": map[string]any{"kind": "CRON", "cron": "15 9-18 * * 1-5"}, "retention": map[string]any{"last": 24}}},
		{shop, map[string]any{"name": "Everything for the yearly accounts", "enabled": false, "part": "FULL", "portable": true, "schedule": map[string]any{"kind": "MONTHLY", "dates": []int{31}, "times": []string{"23:30"}},
			"retention": map[string]any{"yearly": 10}}},
		{inventory, map[string]any{"name": "Weekly", "part": "FULL", "schedule": map[string]any{"kind": "WEEKLY", "days": []string{"SUNDAY"}, "times": []string{"04:00"}}, "retention": map[string]any{"weekly": 12}}},
	} {
		s.in["zone"] = "Europe/Athens"
		if err := i.admin.Do(ctx, `mutation($in: CreateApplicationScheduleInput!) { createApplicationSchedule(input: $in) { schedule { id } } }`,
			map[string]any{"in": map[string]any{"application": i.host.apps[s.app], "schedule": s.in}}, nil); err != nil {
			return fmt.Errorf("schedule %s: %w", s.in["name"], err)
		}
	}
	return nil
}

// save has an application backed up now and returns the id of the run.
func (i *institution) save(ctx context.Context, app, part, title string) (string, error) {
	var out struct {
		BackUpApplication struct{ Run struct{ ID string } }
	}
	err := i.admin.Do(ctx, `mutation($in: BackUpApplicationInput!) { backUpApplication(input: $in) { run { id } } }`,
		map[string]any{"in": map[string]any{"application": i.host.apps[app], "part": part, "title": title}}, &out)
	return out.BackUpApplication.Run.ID, err
}

// evening is what happens to the applications on a day of the past.
func (i *institution) evening(ctx context.Context, day int) error {
	h := i.host
	if err := sql(ctx, "psql", h.shop, strings.ReplaceAll(pgDay, "DAY", fmt.Sprint(day+1))); err != nil {
		return err
	}
	kinds := []struct{ app, part, title string }{{shop, "FULL", "Nightly"}, {loans, "DATABASE", ""}}
	if day%4 == 0 {
		kinds = append(kinds, []struct{ app, part, title string }{{inventory, "FULL", "Weekly"}, {wiki, "FULL", ""}, {roster, "DATABASE", ""}}...)
	}
	switch day {
	case 1:
		kinds = append(kinds, []struct{ app, part, title string }{{tickets, "DATABASE", "as it was when it was closed"}}...)
	case 6:
		kinds = append(kinds, []struct{ app, part, title string }{{shop, "DATABASE", "before prices were changed for the summer"}, {newsletter, "MEDIA", ""}}...)
	}
	var runs []string
	for _, k := range kinds {
		run, err := i.save(ctx, k.app, k.part, k.title)
		if err != nil {
			return err
		}
		runs = append(runs, run)
	}
	return i.await(ctx, "SUCCEEDED", runs...)
}

// upset is what happens to the applications today: one is restored, one takes in what was saved elsewhere, one cannot be read, one is away.
func (i *institution) upset(ctx context.Context) error {
	h := i.host
	dump := filepath.Join(i.dir, "harbour-2024.sql")
	var again, copied, elsewhere error
	if err := sql(ctx, "psql", h.shop, "DELETE FROM order_items WHERE id % 2 = 0; UPDATE products SET price = 0"); err != nil {
		return err
	}
	again = h.agent.Unlocked(ctx, "app", "restore", shop, "latest", "--part", "database", "--wait").Err()
	copied = h.agent.Unlocked(ctx, "app", "restore", shop, "latest", "--database", "harbour_copy", "--to", filepath.Join(i.dir, "copy"), "--wait").Err()
	if elsewhere = run(ctx, "", "pg_dump", "-d", h.shop, "-f", dump); elsewhere == nil {
		elsewhere = h.agent.Run(ctx, "import", dump, "--application", shop, "--name", "of the old server").Err()
	}
	if err := errors.Join(again, copied, elsewhere, h.agent.Run(ctx, "app", "remove", tickets).Err(), os.Rename(h.sqlite(loans), h.sqlite(loans)+".away")); err != nil {
		return err
	}
	failed, err := i.save(ctx, loans, "DATABASE", "")
	if err != nil {
		return err
	}
	still := typing(filepath.Join(h.media(wiki), "Recording of the council, being written.mp4"))
	warned, err := i.save(ctx, wiki, "FULL", "")
	if err == nil {
		err = errors.Join(i.await(ctx, "WARNED", warned), i.await(ctx, "FAILED", failed))
	}
	return errors.Join(err, still())
}

// busy is a backup of an application that is under way while pictures are taken.
func (i *institution) busy(ctx context.Context) error {
	h := i.host
	if err := errors.Join(pictures(filepath.Join(h.media(newsletter), "2026"), 60), h.serve("--limit-upload", "20KiB")); err != nil {
		return err
	}
	run, err := i.save(ctx, newsletter, "MEDIA", "before it moves")
	if err != nil {
		return err
	}
	return i.await(ctx, "RUNNING", run)
}

// table makes the file of an application, with rows.
func (h *host) table(ctx context.Context, name string, rows int) error {
	if err := os.MkdirAll(filepath.Dir(h.sqlite(name)), 0o755); err != nil {
		return err
	}
	return sql(ctx, "sqlite3", h.sqlite(name), strings.ReplaceAll(liteTables, "ROWS", fmt.Sprint(rows)))
}

// pictures fills a folder of media.
func pictures(dir string, n int) error {
	for k := range n {
		if err := write(filepath.Join(dir, firsts[k%len(firsts)], fmt.Sprintf("%s-%03d.jpg", seconds[k%len(seconds)], k)), noise(uint64(len(dir)*1000+k), 120<<10)); err != nil {
			return err
		}
	}
	return nil
}

// sql has the tool of an engine carry out statements.
func sql(ctx context.Context, tool, database, text string) error {
	args := []string{"-bail", database}
	if tool == "psql" {
		args = []string{"-X", "-q", "-v", "ON_ERROR_STOP=1", "-d", database}
	}
	return run(ctx, text, tool, args...)
}

// run runs a program to its end.
func run(ctx context.Context, in, program string, args ...string) error {
	c := exec.CommandContext(ctx, program, args...)
	c.Stdin = strings.NewReader(in)
	var errs bytes.Buffer
	c.Stderr = &errs
	if err := c.Run(); err != nil {
		return fmt.Errorf("%s: %w\n%s", program, err, errs.String())
	}
	return nil
}

const pgShop = `
CREATE TABLE customers (id serial PRIMARY KEY, name text NOT NULL, mail text UNIQUE, since date NOT NULL DEFAULT '2024-01-01');
CREATE TABLE products (id serial PRIMARY KEY, title text NOT NULL, price numeric(10,2) NOT NULL, stock int NOT NULL);
CREATE TABLE orders (id serial PRIMARY KEY, customer_id int NOT NULL REFERENCES customers, at timestamptz NOT NULL, paid boolean NOT NULL DEFAULT false);
CREATE TABLE order_items (id serial PRIMARY KEY, order_id int NOT NULL REFERENCES orders, product_id int NOT NULL REFERENCES products, n int NOT NULL);
CREATE TABLE invoices (id serial PRIMARY KEY, order_id int NOT NULL REFERENCES orders, total numeric(10,2) NOT NULL);
CREATE TABLE suppliers (id serial PRIMARY KEY, name text NOT NULL);
CREATE TABLE stock_movements (id serial PRIMARY KEY, product_id int NOT NULL REFERENCES products, n int NOT NULL);
CREATE SCHEMA accounting;
CREATE TABLE accounting.journal_entries (id serial PRIMARY KEY, text text NOT NULL, amount numeric(12,2) NOT NULL);
CREATE TABLE accounting.balances_by_cost_centre_and_quarter_including_those_that_were_closed (id serial PRIMARY KEY, amount numeric(12,2));
INSERT INTO customers (name, mail) SELECT 'Customer ' || g, 'c' || g || '@example.org' FROM generate_series(1, 1200) g;
INSERT INTO products (title, price, stock) SELECT 'Model of a lighthouse ' || g, g % 90 + 9.5, g % 40 FROM generate_series(1, 180) g;
INSERT INTO suppliers (name) SELECT 'Supplier ' || g FROM generate_series(1, 14) g;
`

const pgDay = `
INSERT INTO orders (customer_id, at, paid) SELECT 1 + (g * 7 + DAY) % 1200, timestamptz '2026-01-01' + DAY * interval '1 day' + g * interval '1 minute', g % 3 > 0 FROM generate_series(1, 150 + DAY * 40 % 90) g;
INSERT INTO order_items (order_id, product_id, n) SELECT id, 1 + (id * 13) % 180, 1 + id % 4 FROM orders WHERE id NOT IN (SELECT order_id FROM order_items);
INSERT INTO invoices (order_id, total) SELECT id, id % 97 + 5 FROM orders WHERE paid AND id NOT IN (SELECT order_id FROM invoices);
INSERT INTO stock_movements (product_id, n) SELECT product_id, -n FROM order_items WHERE id % 50 < DAY;
INSERT INTO accounting.journal_entries (text, amount) SELECT 'Day DAY, entry ' || g || ' ' || md5((g * DAY)::text), g * 3.1 FROM generate_series(1, 400 + DAY % 5 * 220) g;
`

const liteTables = `
CREATE TABLE items (id INTEGER PRIMARY KEY, title TEXT NOT NULL, place TEXT);
CREATE TABLE places (id INTEGER PRIMARY KEY, name TEXT NOT NULL);
CREATE TABLE history (id INTEGER PRIMARY KEY, item INTEGER REFERENCES items, what TEXT);
WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < ROWS) INSERT INTO items SELECT i, 'Item ' || i, 'Shelf ' || i % 30 FROM n;
INSERT INTO places SELECT i, 'Shelf ' || i FROM (SELECT DISTINCT id % 30 AS i FROM items);
INSERT INTO history SELECT id, id, 'lent on day ' || id % 200 FROM items WHERE id % 3 = 0;
`
