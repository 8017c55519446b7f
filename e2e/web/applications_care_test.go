//go:build linux

package web

import (
	"os"
	"strings"

	"github.com/holdfast-backup/holdfast/e2e/web/chrome"
	"github.com/holdfast-backup/holdfast/vault/keyring"
	"github.com/holdfast-backup/holdfast/vault/remote"
)

// keepAndDelete keeps a backup for good, deletes it, and takes that back.
func (x *running) keepAndDelete() {
	o := x.owner
	o.press("Backups")
	x.rows(5) // the uploads, as it was filtered
	first := `document.querySelector("table tbody tr")`
	o.press("Keep the backup of*")
	x.ok(o.Until("see that it is kept", first+`.innerText.toLowerCase().includes("kept for good") && !`+first+`.querySelector("[aria-label^=Delete], [title^=Delete]")`))
	o.press("Let rules delete the backup of*")
	o.lacks("kept for good")
	o.press("Delete the backup of*", "Delete this backup? > Cancel")
	x.rows(5)
	o.press("Delete the backup of*", "Delete this backup? > Delete")
	o.sees("is in the trash")
	x.rows(4)
	o.lacks("the film")
	o.press("Undo")
	o.sees("It is back", "the film")
	x.rows(5)
	o.press("Delete the backup of*", "Delete this backup? > Delete")
	x.rows(4)
	o.press("Trash", "Take back")
	o.sees("The trash is empty")
	o.goes(x.address)
	o.sees("the film")
	x.silent(o)
}

// whose looks with the eyes of others.
func (x *running) whose() {
	names := []string{secretCustomer, secretPhoto, secretArchive, secretDatabase, "order_items", x.media}
	x.ok(<-x.guests)
	b := x.other
	strange := append(names, "Olga", "web-host", "before the upgrade")
	x.tells(b, strange...)
	b.press("Activity")
	b.sees("Nothing happened yet")
	x.tells(b, strange...)
	b.goes(x.address)
	b.sees("There is no such application")
	x.tells(b, append(strange, "Shop")...)
	a := x.admin
	a.goes("/applications")
	a.sees("No application yet")
	a.press("Applications of everybody")
	a.sees("PostgreSQL, 1 media folder, on web-host, of Olga")
	a.press("Shop")
	a.sees("Only Olga can open these backups", "before the upgrade: Database and media")
	a.lacks("Restore the backup", "Upload a backup")
	x.tells(a, names...)
	a.press("Restores")
	a.sees("Olga", "succeeded")
	a.lacks("Undo")
	x.tells(a, names...)
	a.goes(x.address + "/settings")
	a.sees("Safety backups to keep")
	x.tells(a, names...)
	x.silent(a)
	x.silent(b)
}

// tells fails the test if a page shows what it should not.
func (x *running) tells(p person, not ...string) {
	x.Helper()
	text, err := p.Text()
	x.ok(err)
	for _, s := range not {
		if strings.Contains(text, s) {
			x.Errorf("the page shows %q: %s", s, text)
		}
	}
}

// failures has a backup fail, and one wait for its machine.
func (x *running) failures() {
	o := x.owner
	x.ok(os.Rename(x.media, x.media+" away"))
	o.goes("/notifications")
	o.press("Mark all as read")
	o.sees("Nothing unread")
	o.goes(x.address)
	o.press("Back up now")
	o.types("Name", "in vain")
	o.press("Back up Shop > Media", "Back up Shop > Back up")
	o.sees("The last backup failed: None of the folders that are to be saved was found")
	o.lacks("The device was told")
	o.press("What happened")
	o.sees("failed", "opened with your keys", "media is not there: mount it") // which the server has sealed
	o.press("Applications")
	o.sees("1 failed")
	x.ok(o.Until("see it on the card", `[...document.querySelectorAll(".app-main .card")].some((c) => c.innerText.startsWith("Shop") && /\bfailed\b/i.test(c.innerText))`))
	o.press("1 unread notification")
	o.sees("The backup of “Shop” on “web-host” failed")
	o.goes("/applications")
	x.ok(os.Rename(x.media+" away", x.media))
	x.db.Admin(x.T, `ALTER ROLE shopkeeper NOLOGIN`)
	o.press("Shop")
	o.press("Test")
	o.sees("is not permitted to log in")
	x.tells(o, secretDatabase)
	x.db.Admin(x.T, `ALTER ROLE shopkeeper LOGIN`)
	o.press("Take the test away", "Test")
	o.sees("Everything is there that a backup needs")

	x.end()
	o.goes(x.address)
	o.press("Back up now")
	o.types("Name", "when it is back")
	o.press("Back up Shop > Database", "Back up Shop > Back up")
	o.sees("when it is back: Database", "Waiting for web-host, last seen")
	o.press("Dashboard", "Applications")
	o.sees("Waiting for web-host, last seen")
	x.serve()
	o.press("Shop")
	x.ok(o.Until("see the backup in the list", `[...document.querySelectorAll("table tbody tr")].some((r) => r.innerText.includes("when it is back"))`))
	o.lacks("Waiting for", "The last backup failed")
	x.silent(o)
}

// discreet searches all that browsers sent for what no server may learn, keys among them.
func (x *running) discreet() {
	sent := x.wire.Sent()
	messages, bytes := 0, 0
	for _, s := range sent {
		bytes += len(s.Bytes)
		if s.What == "WebSocket message" {
			messages++
		}
	}
	if len(sent) < 100 || messages < 10 || bytes < 64<<20 {
		x.Fatalf("only %d things of %d bytes were sent, %d of them messages: the search would prove nothing", len(sent), bytes, messages)
	}
	space, wrap := x.keys()
	secrets := []string{string(space), string(wrap), secretCustomer, secretPhoto, secretPhrase, secretArchive, secretDatabase, secretFilm, strings.TrimSpace(password), "order_items", "zwei ü.jpg", "shop_copy", "shop_portable", x.media}
	for _, secret := range secrets {
		for _, found := range chrome.Find(sent, secret) {
			x.Errorf("the browser sent %q: %s", secret, found)
		}
	}
	x.Logf("searched %d MiB in %d requests and messages, %d of them of WebSockets", bytes>>20, len(sent), messages)
}

// keys are the owner's: of what is saved, and that under which it is kept.
func (x *running) keys() (space, wrap []byte) {
	c, err := remote.Dial(x.server.URL, remote.Options{})
	x.ok(err)
	defer c.Close()
	p, err := c.LoginParams(x.Context(), x.agent.Email)
	x.ok(err)
	auth, w, err := keyring.FromPassword([]byte(password+"Olga"), keyring.KDF{Salt: p.Salt, Time: uint32(p.Time), MemoryKiB: uint32(p.MemoryKiB), Threads: uint8(p.Threads)})
	x.ok(err)
	login, err := c.Login(x.Context(), x.agent.Email, auth, "")
	x.ok(err)
	a, err := keyring.OpenBundle(w, login.Bundle)
	x.ok(err)
	key := a.SpaceKey()
	return key[:], w[:]
}
