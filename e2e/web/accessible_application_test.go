//go:build linux

package web

import (
	"os"
	"path/filepath"

	"github.com/chromedp/chromedp/kb"

	"github.com/holdfast-backup/holdfast/e2e/stack"
	"github.com/holdfast-backup/holdfast/e2e/web/chrome"
)

// application gives Ada's laptop an application with backups, a restore and a schedule, and returns the addresses of its screens.
func (x *scenario) application() []string {
	x.Helper()
	db, media := filepath.Join(x.TempDir(), "lending.db"), x.TempDir()
	x.ok(stack.Run(x.Context(), "sqlite3", nil, db, "CREATE TABLE books (id INTEGER PRIMARY KEY, title TEXT); INSERT INTO books (title) VALUES ('one'), ('two')").Err())
	x.ok(os.WriteFile(filepath.Join(media, "cover.jpg"), []byte("a cover"), 0o644))
	x.ok(x.laptop.Run(x.Context(), "app", "add", "Lending", "--db", "sqlite:"+db, "--media", media).Err())
	x.ok(x.laptop.Run(x.Context(), "app", "backup", "Lending", "--name", "before the move").Err())
	a := x.ada
	a.looks(chrome.Desk)
	a.goes("/applications")
	a.press("Schedules of Lending", "Make the first schedule")
	a.types("Name", "Nightly")
	a.press("Save")
	a.sees("Next")
	a.press("Nightly", "Cancel", "Backups", "Restore the backup of*")
	a.types("Type “Lending” to be sure", "Lending")
	a.press("Restore")
	a.sees("The machine was told")
	a.press("Close", "Restores", "Undo")
	a.press("Cancel")
	var path string
	x.ok(a.Run(`location.pathname.replace("/restores", "")`, &path))
	return []string{path, path + "/restores", path + "/schedules", path + "/statistics", path + "/settings", "/applications"}
}

// dialogs holds what opens over the screens of the application, whose list is shown.
func (x *scenario) dialogs() {
	x.Helper()
	a := x.ada
	a.looks(chrome.Desk)
	a.press("Backups of Lending")
	for _, d := range []struct {
		tab, press, sees string
	}{
		{"Backups", "Back up now", "Compression"},
		{"Backups", "What it holds", "SHA-256 of the dump"},
		{"Backups", "Restore the backup of*", "to be sure"},
		{"Backups", "Delete the backup of*", "goes to the trash"},
		{"Schedules", "Nightly", "How long it is kept"},
	} {
		a.looks(chrome.Desk)
		a.press(d.tab, d.press)
		a.sees(d.sees)
		if d.press == "Restore the backup of*" {
			a.press("Beside it, as a copy", "In place of what is there", "There is nothing left to save*")
			a.sees("cannot be undone")
		}
		x.hold("the dialog of “"+d.press+"”", ".modal")
		x.ok(a.Key(kb.Escape))
	}
}
