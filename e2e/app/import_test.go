//go:build linux

package app

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/holdfast-backup/holdfast/e2e/shop"
)

// TestImports takes in what plain tools made, on the application's machine and elsewhere, and restores it.
func TestImports(t *testing.T) {
	t.Parallel()
	db := newPostgres(t, 2000)
	o := newOwner(t, server(t), db, 20, true)
	before, photos := db.State(t, ""), o.snap()
	dir := t.TempDir()
	plain, custom := filepath.Join(dir, "database.sql"), filepath.Join(dir, "shop.dump")
	shop.Tool(t, nil, "", "pg_dump", "-f", plain, "-d", db.URL())
	shop.Tool(t, nil, "", "pg_dump", "-Fc", "-f", custom, "-d", db.URL())
	o.ok(exec.Command("cp", "-a", photos, filepath.Join(dir, "media")).Run())
	sh := func(line string) {
		t.Helper()
		c := exec.CommandContext(t.Context(), "sh", "-c", line)
		c.Dir = dir
		if out, err := c.CombinedOutput(); err != nil {
			t.Fatalf("%s: %v\n%s", line, err, out)
		}
	}
	sh("gzip -k database.sql && tar czf shop.tar.gz database.sql media && zip -qry shop.zip database.sql media")
	for _, name := range []string{"database.sql", "database.sql.gz", "shop.dump", "shop.tar.gz", "shop.zip"} {
		shop.Damage(t, db)
		o.ok(os.WriteFile(filepath.Join(o.media, "album 4", "bild-4-ä.jpg"), []byte("scribbled"), 0o644))
		o.ok(o.a.Run(t.Context(), "import", filepath.Join(dir, name), "--application", o.name).Err())
		b := o.newest("import")
		if b.Label.Title != name || (b.Label.Part == "full") != (name == "shop.tar.gz" || name == "shop.zip") {
			t.Errorf("%s became %s", name, pretty(b))
		}
		o.ok(o.restore(b.ID).Err())
		o.holds(before)
		if b.Label.Part == "full" {
			o.alike(photos, o.media, false)
		}
	}

	// Elsewhere, by its owner.
	other := o.a.Another(filepath.Join(t.TempDir(), "nothing"))
	o.ok(other.Unlocked(t.Context(), "import", plain, "--application", o.name, "--name", "from elsewhere", "--server", o.s.URL, "--email", o.a.Email).Err())
	if b := o.newest("import"); b.Label.Title != "from elsewhere" {
		t.Errorf("the newest import is %s", pretty(b))
	}

	n := len(o.backups())
	sh("head -c 4000 database.sql > cut.sql; head -c 300 shop.zip > cut.zip; echo nonsense > notes.sql; tar cf out.tar -P ../../etc/hostname 2>/dev/null || tar cf out.tar -P /etc/hostname")
	shop.Tool(t, nil, "", "pg_dump", "-Ft", "-f", filepath.Join(dir, "shop.tar"), "-d", db.URL())
	for _, name := range []string{"cut.sql", "cut.zip", "notes.sql", "out.tar", "shop.tar"} {
		r := o.a.Run(t.Context(), "import", filepath.Join(dir, name), "--application", o.name)
		if r.Code != 2 || !strings.HasPrefix(r.Stderr, "holdfast-agent: ") {
			t.Errorf("%s: exit code %d, %q", name, r.Code, r.Stderr)
		}
	}
	if got := len(o.backups()); got != n {
		t.Errorf("%d backups, %d before the bad archives", got, n)
	}
}
