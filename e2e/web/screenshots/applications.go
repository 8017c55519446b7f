//go:build linux

package main

import (
	"encoding/json"
	"fmt"

	"github.com/holdfast-backup/holdfast/e2e/web/chrome"
)

// upload is a dump that somebody drops on the page of an application.
const upload = "PRAGMA foreign_keys=OFF;\nBEGIN TRANSACTION;\nCREATE TABLE pages (id INTEGER PRIMARY KEY, title TEXT);\nINSERT INTO pages VALUES(1,'Welcome');\nINSERT INTO pages VALUES(2,'Tides');\nCOMMIT;\n"

// applications are the pages about applications.
func (a *album) applications() []sight {
	at := func(app, tab string) string { return "/applications/" + a.host.apps[app] + tab }
	do := func(steps ...func(*chrome.Page) error) func(*chrome.Page) error {
		return func(p *chrome.Page) error {
			for _, s := range steps {
				if err := s(p); err != nil {
					return err
				}
			}
			return nil
		}
	}
	press := func(name string) func(*chrome.Page) error { return func(p *chrome.Page) error { return p.Press(name) } }
	see := func(text string) func(*chrome.Page) error { return func(p *chrome.Page) error { return p.Sees(text) } }
	write := func(field, text string) func(*chrome.Page) error {
		return func(p *chrome.Page) error { return p.Type(field, text) }
	}
	drop := func(p *chrome.Page) error {
		name, _ := json.Marshal("wiki of 2023.sql")
		text, _ := json.Marshal(upload)
		return p.Run(fmt.Sprintf(`{ const t = new DataTransfer(), i = document.getElementById("import-file"); t.items.add(new File([%s], %s)); i.files = t.files; i.dispatchEvent(new Event("change", {bubbles: true})) }`, text, name), nil)
	}
	return []sight{
		{"applications", "/applications", see(shop)},
		{"applications-everybody", "", do(press("Applications of everybody"), see(roster))},
		{"applications-none-found", "/applications", do(write("Find an application", "lamp"), see("No application is called so"))},
		{"application-running", at(newsletter, ""), see("before it moves")},
		{"application-stop", "", do(press("Stop*"), see("Stop this?"))},
		{"application", at(shop, ""), see("Nightly")},
		{"application-backup", "", do(press("Back up now"), see("Compression"))},
		{"application-details", at(shop, ""), do(press("What it holds"), see("journal_entries"))},
		{"application-restore", at(shop, ""), do(press("Both"), func(p *chrome.Page) error { return p.Lacks("Uploaded") }, press("Restore the backup of*"), see("to be sure"))},
		{"application-restore-sure", "", do(press("There is nothing left to save*"), write("Type “"+shop+"” to be sure", shop))},
		{"application-restore-copy", "", do(press("Beside it, as a copy"), see("Folder for the media"))},
		{"application-delete", at(shop, ""), do(press("Delete the backup of*"), see("Delete this backup?"))},
		{"application-filtered", at(shop, ""), do(press("Safety backups"), press("Media"), see("Nothing like this"))},
		{"application-restores", at(shop, "/restores"), see("Undo")},
		{"application-undo", "", do(press("Put back what was there*"), see("Undo the restore"))},
		{"application-schedules", at(shop, "/schedules"), see("Nightly")},
		{"application-schedule-change", "", do(press("Nightly"), see("How long it is kept"))},
		{"application-schedule-drop", at(shop, "/schedules"), do(press("Delete “Nightly”"), see("Delete the schedule"))},
		{"application-statistics", at(shop, "/statistics"), see("Runs")},
		{"application-settings", at(shop, "/settings"), see("On its machine")},
		{"application-upload", at(wiki, ""), do(drop, see("Seal and upload"))},
		{"application-uploaded", "", do(press("Seal and upload"), see("is stored, sealed"))},
		{"application-warned", at(wiki, ""), see("left out")},
		{"application-failed", at(loans, "/statistics"), see("failed")},
		{"application-long-name", at(inventory, ""), see("Weekly")},
		{"application-long-name-restore", "", do(press("Restore the backup of*"), see("to be sure"))},
		{"application-long-name-settings", at(inventory, "/settings"), see("On its machine")},
		{"application-new", at(guests, ""), see("No backup yet")},
		{"application-new-restores", at(guests, "/restores"), see("Nothing was restored yet")},
		{"application-new-schedules", at(guests, "/schedules"), see("No schedule yet")},
		{"application-schedule-new", "", do(press("Make the first schedule"), see("How long it is kept"))},
		{"application-new-statistics", at(guests, "/statistics"), see("Nothing happened yet")},
		{"application-removed", at(tickets, ""), see("Its machine has it no more")},
		{"application-of-another", at(roster, ""), see("can open these backups")},
		{"application-nowhere", "/applications/app_00000000000000000000000000", nil},
	}
}
