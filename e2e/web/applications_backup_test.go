//go:build linux

package web

// backUp makes a backup of each part by hand, and follows them.
func (x *running) backUp() {
	o := x.owner
	for _, b := range []struct{ part, name string }{{"Database", "rows before the fair"}, {"Media", "pictures before the fair"}, {"Database and media", "before the upgrade"}} {
		o.press("Back up now")
		o.types("Name", b.name)
		o.press("Back up Shop > " + b.part)
		if b.part == "Database and media" {
			o.press("Also write database_dump.json, which other databases can read")
		}
		o.press("Back up Shop > Back up")
		o.lacks("Compression")
		if b.part == "Media" { // which takes some seconds
			o.sees(b.name+": Media", "Sending the rest")
			x.ok(o.Until("see a bar", `document.querySelector(".app-main progress")?.value > 0`))
		}
		x.ok(o.Until("see the backup in the list", `[...document.querySelectorAll("table tbody tr")].some((r) => r.innerText.includes(`+quoted(b.name)+`))`))
		o.lacks("Stop")
	}
	x.silent(o)
}

// details looks into the newest backup, whose names of tables and folders the browser opens.
func (x *running) details() {
	o := x.owner
	o.press("What it holds") // the newest
	o.sees("Dumped by", "customers", "order_items", "SHA-256 of the dump", x.media, "4 tables, 501 rows")
	o.press("Close")
	o.lacks("SHA-256")
}

// schedules makes two, of which each keeps its part for its own time, and changes its mind.
func (x *running) schedules() {
	o := x.owner
	o.press("Schedules", "Make the first schedule")
	o.press("Save")
	o.sees("Give the schedule a name", "look at the fields with a remark")
	o.types("Name", "Nightly")
	o.press("New schedule > Database")
	o.types("Time zone", "Mars/Phobos")
	o.press("Save")
	o.sees("Mars/Phobos")
	o.types("Time zone", "Europe/Athens")
	o.types("Days of everything", "99999")
	o.press("Save")
	o.sees("look at the fields with a remark")
	o.types("Days of everything", "14")
	o.types("Monthly", "12")
	o.press("Save")
	o.sees("“Nightly” is saved", "Europe/Athens")
	o.press("New schedule")
	o.types("Name", "Pictures")
	o.press("New schedule > Media", "New schedule > Weekly")
	o.types("Days of everything", "90")
	o.press("Save")
	o.sees("“Pictures” is saved")
	o.press("“Nightly” is on")
	o.sees("“Nightly” is off")
	o.press("“Nightly” is on")
	o.sees("“Nightly” is on.")
	o.press("Delete “Nightly”")
	o.press("Delete “Nightly”? > Delete the schedule")
	o.sees("“Nightly” was deleted")
	o.press("Delete “Pictures”")
	o.press("Delete “Pictures”? > Delete the schedule")
	o.sees("No schedule yet")
	x.silent(o)
}
