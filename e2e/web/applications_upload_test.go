//go:build linux

package web

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"

	"github.com/holdfast-backup/holdfast/e2e/shop"
)

// dropHere is the name of the place where files are dropped, or chosen.
const dropHere = "Drop a file here, or choose one"

// archives makes, with plain tools, what people bring from elsewhere: of an unpacked backup, and a database that was made of it.
func (x *running) archives(unpacked, database string) {
	x.Helper()
	x.elsewhere = filepath.Join(x.dir, "elsewhere")
	x.ok(os.Mkdir(x.elsewhere, 0o755))
	shop.Tool(x.T, nil, "", "pg_dump", "-f", x.archive(".sql"), "-d", database)
	shop.Tool(x.T, nil, "", "pg_dump", "-Fc", "-f", x.archive(".dump"), "-d", database)
	x.sh(unpacked, "tar czf "+x.archive(".tar.gz")+" media && zip -qr "+x.archive(".zip")+" database_dump.json media")
}

// archive is the path of an archive.
func (x *running) archive(extension string) string {
	return filepath.Join(x.elsewhere, secretArchive+extension)
}

// sh runs a line in a folder.
func (x *running) sh(dir, line string) {
	x.Helper()
	shop.Tool(x.T, nil, "", "sh", "-ec", "cd '"+dir+"'\n"+line)
}

// uploads drops and chooses what plain tools made. What it is shows in its content; each is restored, and compared with what it was made of.
func (x *running) uploads() {
	o := x.owner
	x.ok(os.Rename(x.archive(".dump"), x.archive(" of 2019.txt")))
	for _, u := range []struct {
		file   string
		give   func(field string, paths ...string) error
		title  string
		sees   []string
		part   string // that is stored
		beside string // a database and a folder for a copy; "": it is put in place
	}{
		{".sql", o.Drop, "from the old server", []string{"SQL dump", "4 tables, 501 rows"}, "Database", ""},
		{" of 2019.txt", o.Attach, "", []string{"dump in the custom format of pg_dump"}, "Database", ""},
		{".tar.gz", o.Drop, "", []string{"tar.gz archive", "4 files, 1.77 MiB"}, "Media", ""},
		{".zip", o.Attach, "for another database", []string{"ZIP archive", "4 tables", "4 files, 1.77 MiB", "database_dump.json"}, "Database and media", "shop_portable"},
	} {
		path := x.archive(u.file)
		o.press("Backups")
		x.ok(u.give(dropHere, path))
		o.sees(append(u.sees, filepath.Base(path))...)
		o.types("Name of the backup", u.title)
		o.press("Seal and upload")
		o.sees("“" + filepath.Base(path) + "” is stored, sealed")
		// Also if the list was filtered.
		x.ok(o.Until("see it first in the list", `["uploaded", `+quoted(u.part)+`, `+quoted(u.title)+`].every((s) => document.querySelector("table tbody tr").innerText.toLowerCase().includes(s.toLowerCase()))`))
		o.press("Restore the backup of*")
		if u.beside != "" {
			o.press("Beside it, as a copy")
			o.types("Database", u.beside)
			o.types("Folder for the media", filepath.Join(x.dir, u.beside))
		} else {
			o.types("Type “Shop” to be sure", "Shop")
		}
		x.ordered("Restore Shop")
		switch {
		case u.beside != "":
			shop.Differ(x.T, rows(x.before), rows(x.db.State(x.T, u.beside)))
			x.alike(x.photos, filepath.Join(x.dir, u.beside))
			x.db.Drop(x.T, u.beside)
		case u.part == "Media":
			x.alike(x.photos, x.media)
		default:
			x.holds(x.before, "")
			x.damage()
		}
	}
	x.silent(o)
}

// rows is what a state says of the rows in tables: the portable form has no views, functions or foreign keys.
func rows(state string) string {
	return strings.Join(regexp.MustCompile(`(?m)^public\.\w+ \d+ .*$`).FindAllString(state, -1), "\n")
}
