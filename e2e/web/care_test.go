//go:build linux

package web

import (
	"bytes"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"

	"github.com/holdfast-backup/holdfast/e2e/api"
)

// stop has a policy back up at once, sees that it goes on, slowly, and stops it.
func (x *scenario) stop() {
	a := x.ada
	a.press("Activity", "Backup of laptopfailed*") // what the last one met, by name: the server has it sealed
	a.sees("opened with your keys", x.home+" does not exist")
	a.press("Policies", "Papers and pictures")
	a.types("Upload limit in KiB/s", "4096")
	a.press("Save")
	a.sees("Nothing changed")
	noise := make([]byte, 64<<20)
	rand.NewChaCha8([32]byte{7}).Read(noise) //nolint:errcheck // it never fails
	x.write("slow.xlsx", noise)
	a.press("Policies", "Back up now by “Papers and pictures”")
	a.press("Activity", "Backup of laptoprunning*")
	a.sees("Stop")
	const bar = `document.querySelector(".app-main progress")`
	x.ok(a.Until("see a bar", bar+` && (window.before = `+bar+`.value, true)`))
	x.ok(a.Until("see that the bar moves", bar+`?.value > window.before`))
	a.press("Stop", "Stop it")
	a.sees("cancelled")
	a.lacks("Stop")
	x.ok(os.Remove(filepath.Join(x.home, "slow.xlsx")))
	a.press("Policies", "Papers and pictures")
	a.types("Upload limit in KiB/s", "")
	a.press("Save")
	a.sees("Nothing changed")
}

// report downloads a report, and compares its bytes with what the server says.
func (x *scenario) report() {
	a := x.ada
	a.press("Reports", "Person")
	a.sees("Ada Lovelace")
	a.press("CSV")
	got, err := os.ReadFile(a.downloads())
	x.ok(err)
	var from, to, zone string
	x.ok(a.Run(`new Date(document.getElementById("report-from").value + "T00:00").toISOString()`, &from))
	x.ok(a.Run(`((d) => new Date(d.setDate(d.getDate() + 1)).toISOString())(new Date(document.getElementById("report-to").value + "T00:00"))`, &to))
	x.ok(a.Run(`Intl.DateTimeFormat().resolvedOptions().timeZone`, &zone))
	c, err := api.Login(x.Context(), x.server.URL, "ada@example.org", []byte(adaPassword))
	x.ok(err)
	var out struct{ RunReport struct{ CSV string } }
	x.ok(c.Do(x.Context(), `query($in: RunReportInput!) { runReport(input: $in) { csv } }`, map[string]any{"in": map[string]any{"from": from, "to": to, "by": "USER", "zone": zone}}, &out))
	if !bytes.Equal(got, []byte(out.RunReport.CSV)) || !strings.Contains(string(got), "Ada Lovelace") {
		x.Errorf("the report was saved as %q, and is %q", got, out.RunReport.CSV)
	}
}

// lockOut has an administrator lock somebody out, and let them in again.
func (x *scenario) lockOut() {
	a, b := x.ada, x.ben
	a.press("People", "Change Ben Franklin", "Lock out")
	a.press("Lock Ben Franklin out? > Lock out")
	a.sees("suspended")
	b.goes("/")
	b.sees("Log in")
	b.lacks("Administration")
	a.press("Change Ben Franklin", "Let in again")
	a.lacks("suspended")
	b.types("E-mail address", "ben@example.org")
	b.types("Password", benPassword)
	b.press("Log in")
	b.sees("Administration")
}

// update has the server serve another build: who uses the app is asked before it takes the place of theirs.
func (x *scenario) update() {
	a := x.ada
	var old string
	x.ok(a.Run(`document.querySelector("script[data-build]").dataset.build`, &old))
	const fresh = "0123456789ab"
	for _, name := range []string{"sw.js", "index.html"} {
		path := filepath.Join(built.app, name)
		b, err := os.ReadFile(path)
		x.ok(err)
		if !bytes.Contains(b, []byte(old)) {
			x.Fatalf("%s does not name its build %s", name, old)
		}
		x.ok(os.WriteFile(path, bytes.ReplaceAll(b, []byte(old), []byte(fresh)), 0o644))
		for _, packed := range []string{".br", ".gz"} {
			x.ok(os.Remove(path + packed))
		}
	}
	a.goes("/")
	a.sees("A new version is ready")
	a.press("Reload")
	x.ok(a.Until("it is the new one", `document.querySelector("script[data-build]")?.dataset.build === "`+fresh+`"`))
	a.sees("Administration")
	a.lacks("A new version is ready")
}

// revoke withdraws the laptop's access.
func (x *scenario) revoke() {
	a := x.ada
	a.goes(x.device)
	a.press("Revoke")
	a.press("Revoke laptop? > Revoke")
	a.sees("revoked")
	a.lacks("Back up now")
	if err := x.laptop.Run(x.Context(), "backup", x.home).Err(); err == nil {
		x.Error("a device that was revoked backs up")
	}
}
