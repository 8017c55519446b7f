//go:build linux

package app

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/holdfast-backup/holdfast/e2e/shop"
)

// TestPostgres is the whole life of an application with a PostgreSQL database of half a million rows.
func TestPostgres(t *testing.T) {
	t.Parallel()
	life(t, newPostgres(t, 500_000), 3000, "shop_copy")
}

// TestMariaDB is the same with MariaDB.
func TestMariaDB(t *testing.T) {
	t.Parallel()
	life(t, newMariaDB(t, 500_000), 500, "shop_copy")
}

// TestSQLite is the same with a file.
func TestSQLite(t *testing.T) {
	t.Parallel()
	db := newSQLite(t, 5000)
	life(t, db, 200, filepath.Join(filepath.Dir(db.path), "copy.db"))
}

func life(t *testing.T, db database, files int, copyAs string) {
	o := newOwner(t, server(t), db, files, true)
	o.ok(o.a.Run(t.Context(), "app", "test", o.name).Err())
	obeyed := o.schedule()
	before, photos := db.State(t, ""), o.snap()

	o.backup("full", "before the upgrade")
	full := o.newest("backup")
	if full.Label.Part != "full" || full.Label.Title != "before the upgrade" {
		t.Errorf("the backup is %s", pretty(full))
	}

	// Everything goes wrong.
	shop.Damage(t, db)
	o.ok(os.RemoveAll(filepath.Join(o.media, "album 3")))
	o.ok(os.WriteFile(filepath.Join(o.media, "album 4", "bild-4-ä.jpg"), []byte("scribbled"), 0o644))
	broken := db.State(t, "")

	// Beside what is there, first.
	beside := filepath.Join(t.TempDir(), "beside")
	o.ok(o.restore(full.ID, "--database", copyAs, "--to", beside).Err())
	shop.Differ(t, before, db.State(t, copyAs))
	o.like(photos, beside)
	o.holds(broken)
	if r := o.restore(full.ID, "--part", "database", "--database", copyAs); r.Code == 0 {
		t.Error("a copy took the place of a database that was there")
	}
	db.Drop(t, copyAs)
	if n := len(o.backups()); n != 1 {
		t.Errorf("%d backups: copies need no safety backup", n)
	}

	// In place, and back, and again.
	o.ok(o.restore(full.ID).Err())
	o.holds(before)
	o.like(photos, o.media)
	safety := o.newest("safety")
	if safety.Label.Part != "full" {
		t.Errorf("the safety backup is %s", pretty(safety))
	}
	o.ok(o.restore(safety.ID, "--part", "database").Err())
	o.holds(broken)
	o.like(photos, o.media) // of the database only
	o.ok(o.restore(safety.ID, "--part", "media").Err())
	if b, err := os.ReadFile(filepath.Join(o.media, "album 4", "bild-4-ä.jpg")); err != nil || string(b) != "scribbled" {
		t.Errorf("the media were not undone: %q, %v", b, err)
	}

	// Each part by itself.
	o.backup("database", "rows")
	o.backup("media", "pictures")
	if r := o.restore("latest", "--part", "database"); r.Code == 0 {
		t.Error("the database was restored from a backup of media")
	}
	o.ok(o.restore(full.ID, "--part", "media").Err())
	o.like(photos, o.media)
	o.holds(broken)
	o.ok(o.restore(full.ID, "--part", "database").Err())
	o.holds(before)

	o.exported(full, before, photos)
	obeyed()
}

// schedule gives the same database, as an application of its own, a schedule that is due at the next full minute, while other things happen. obeyed
// looks that there is a backup by it.
func (o *owner) schedule() (obeyed func()) {
	o.Helper()
	name := o.name + " by night"
	o.ok(o.a.Run(o.Context(), "app", "add", name, "--db", o.db.URL()).Err())
	var apps struct{ Applications []struct{ ID, Name string } }
	o.ask(`{ applications { id name } }`, nil, &apps)
	app := ""
	for _, a := range apps.Applications {
		if a.Name == name {
			app = a.ID
		}
	}
	at := time.Now().UTC().Add(65 * time.Second)
	o.ask(`mutation($in: CreateApplicationScheduleInput!) { createApplicationSchedule(input: $in) { schedule { id } } }`, map[string]any{"in": map[string]any{
		"application": app, "schedule": map[string]any{"name": "Nightly", "part": "DATABASE", "zone": "UTC", "schedule": map[string]any{"kind": "CRON", "cron": fmt.Sprintf("%d %d * * *", at.Minute(), at.Hour())},
			"retention": map[string]any{"last": 1}}}}, nil)
	return func() {
		o.Helper()
		var out struct {
			Application struct {
				Snapshots struct {
					Edges []struct {
						Node struct{ Label struct{ Part, Title string } }
					}
				}
			}
		}
		until(o.T, "the schedule makes a backup", func() bool {
			o.ask(`query($id: ID!) { application(id: $id) { snapshots { edges { node { label { part title } } } } } }`, map[string]any{"id": app}, &out)
			return len(out.Application.Snapshots.Edges) > 0
		})
		if b := out.Application.Snapshots.Edges[0].Node; b.Label.Part != "DATABASE" || b.Label.Title != "Nightly" {
			o.Errorf("the scheduled backup is %s", pretty(b))
		}
	}
}

// exported restores a ZIP without Holdfast: with unzip and the engine's own client.
func (o *owner) exported(full listed, before, photos string) {
	o.Helper()
	dir := o.TempDir()
	zip := filepath.Join(dir, "shop.zip")
	o.ok(o.a.Unlocked(o.Context(), "export", full.ID, "--zip", zip).Err())
	out := filepath.Join(dir, "out")
	if b, err := exec.CommandContext(o.Context(), "unzip", "-q", zip, "-d", out).CombinedOutput(); err != nil {
		o.Fatalf("unzip: %v\n%s", err, b)
	}
	o.alike(photos, filepath.Join(out, "media"), false) // a ZIP keeps seconds
	var about struct {
		Tables []struct {
			Name string
			Rows int64
		}
	}
	b, err := os.ReadFile(filepath.Join(out, "holdfast.json"))
	o.ok(err)
	o.ok(json.Unmarshal(b, &about))
	if !slices.ContainsFunc(about.Tables, func(t struct {
		Name string
		Rows int64
	}) bool {
		return strings.HasSuffix(t.Name, "order_items") && t.Rows > 1000
	}) {
		o.Errorf("the manifest counts %+v", about.Tables)
	}
	l, ok := o.db.(loader)
	if !ok {
		return
	}
	l.Load(o.T, "by_hand", filepath.Join(out, "database.sql"))
	shop.Differ(o.T, before, o.db.State(o.T, "by_hand"))
	o.db.Drop(o.T, "by_hand")
}

// loader loads a plain dump into a new database, with the engine's own client.
type loader interface {
	Load(t testing.TB, db, path string)
}
