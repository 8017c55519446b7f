//go:build linux

package web

import (
	"os"
	"path/filepath"

	"github.com/holdfast-backup/holdfast/e2e/shop"
)

// damage does to the application what a bad upgrade does.
func (x *running) damage() {
	x.Helper()
	shop.Damage(x.T, x.db)
	x.ok(os.RemoveAll(filepath.Join(x.media, "three.png")))
	x.puts("album/"+secretPhoto, []byte("scribbled"))
}

// putBack restores everything in place, from the browser.
func (x *running) putBack() {
	x.damage()
	x.broken, x.brokenPhotos = x.db.State(x.T, ""), x.pictures(x.media)
	o := x.owner
	o.press("Backups", "Restore the backup of*")
	o.sees("The order is sealed for web-host")
	o.types("Type “Shop” to be sure", "Shop")
	x.ordered("Restore Shop")
	x.holds(x.before, "")
	x.alike(x.photos, x.media)
	o.sees("Database and media", "Olga", "succeeded")
	x.silent(o)
}

// ordered orders what the dialog of that name says, and waits until the restore is over, and well.
func (x *running) ordered(dialog string) {
	x.Helper()
	o := x.owner
	o.press(dialog + " > Restore")
	o.sees("The machine was told")
	o.press("The machine was told > Close", "Restores")
	x.restores++
	x.ok(o.Until("see that it succeeded", `((all) => all.length === `+number(x.restores)+` && all.every((r) => /succeeded/i.test(r.innerText)))([...document.querySelectorAll("table tbody tr")])`))
	o.lacks("Stop")
}

// undo puts back what was there before the restore, from its safety backup, and then the good state again.
func (x *running) undo() {
	o := x.owner
	o.press("Undo")
	o.sees("Undo the restore")
	o.types("Type “Shop” to be sure", "Shop")
	x.ordered("Undo the restore")
	x.holds(x.broken, "")
	x.alike(x.brokenPhotos, x.media)
}

// beside restores a copy into another database and another folder.
func (x *running) beside() {
	o := x.owner
	o.press("Backups", "How it came to be > Backups", "What it holds > Both")
	x.rows(1)
	o.press("Restore the backup of*", "Beside it, as a copy")
	folder := filepath.Join(x.dir, "copy")
	o.types("Database", "shop_copy")
	o.types("Folder for the media", folder)
	x.ordered("Restore Shop")
	x.holds(x.before, "shop_copy")
	x.alike(x.photos, folder)
	x.holds(x.broken, "")
	x.alike(x.brokenPhotos, x.media)
	x.db.Drop(x.T, "shop_copy")
}

// rows waits until a table has so many.
func (x *running) rows(n int) {
	x.Helper()
	x.ok(x.owner.Until("see "+number(n)+" rows", `document.querySelectorAll("table tbody tr").length === `+number(n)))
}

// save downloads a backup and opens it without Holdfast.
func (x *running) save() {
	o := x.owner
	o.press("Backups")
	x.rows(1) // as it was filtered
	o.press("Download the backup of*")
	zip := o.downloads()
	o.sees("decrypted and verified")
	out := filepath.Join(x.dir, "unpacked")
	shop.Tool(x.T, nil, "", "unzip", "-q", zip, "-d", out)
	x.alike(x.photos, filepath.Join(out, "media"))
	x.db.Load(x.T, "by_hand", filepath.Join(out, "database.sql"))
	x.holds(x.before, "by_hand")
	x.archives(out, x.db.At("by_hand"))
	x.db.Drop(x.T, "by_hand")
	x.silent(o)
}
