//go:build linux

package web

import (
	"archive/zip"
	"bytes"
	"fmt"
	"io"
	"maps"
	"math/rand/v2"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/holdfast-backup/holdfast/depot/mail/mailtest"
	"github.com/holdfast-backup/holdfast/e2e/stack"
	"github.com/holdfast-backup/holdfast/e2e/web/chrome"
)

// What no server may learn.
const (
	adaPassword   = "violet anchor harvest ninety"
	adaNew        = "copper lantern meadow eleven"
	benPassword   = "granite whistle orchard seven"
	secretText    = "the quokka sleeps behind the third lighthouse"
	secretFolder  = "Ägyptenreise"
	secretFile    = "quokka-lighthouse.txt"
	secretSheet   = "ledger-of-zebras.xlsx"
	secretPicture = "pelican-at-noon.jpg"
	secretFilm    = "walrus-holiday.mp4"
)

// scenario is an installation and the people at it.
type scenario struct {
	*testing.T
	server *stack.Server
	wire   *chrome.Wire
	chrome *chrome.Browser
	ada    person // the first superuser
	ben    person // of the staff
	home   string // what is saved of Ada's laptop
	files  map[string][]byte
	laptop *stack.Agent
	code   []string // Ada's recovery code, by groups
	device string   // address of the laptop's page
	post   *mailtest.Server
}

// TestPeople is a day of two people, from the first start of a server on.
func TestPeople(t *testing.T) {
	t.Parallel()
	x := &scenario{T: t}
	x.start()
	for _, s := range []struct {
		name string
		do   func()
	}{
		{"somebody comes by", x.fast},
		{"the first superuser", x.setUp},
		{"a second person is invited", x.invite},
		{"a device is added", x.addDevice},
		{"a policy is made", x.makePolicy},
		{"what is unsaved is kept", x.unsaved},
		{"the first backup", x.firstBackup},
		{"files are browsed", x.browse},
		{"a file and a ZIP are downloaded", x.download},
		{"files are restored to the device", x.restore},
		{"a backup fails, and who ought to know does", x.fail},
		{"a backup is stopped on its way", x.stop},
		{"a report is kept", x.report},
		{"nobody sees what is another's", x.apart},
		{"an administrator is made", x.promote},
		{"an administrator is locked out", x.lockOut},
		{"lock and unlock", x.lock},
		{"the password is forgotten", x.recover},
		{"another address", x.moves},
		{"a second factor", x.secondFactor},
		{"a telephone, in the dark", x.phone},
		{"without a network", x.offline},
		{"screens for everybody", x.accessible},
		{"a new version", x.update},
		{"a device is revoked", x.revoke},
		{"what the server learned", x.learned},
	} {
		began := time.Now()
		s.do()
		if t.Failed() {
			t.Fatalf("%s: failed", s.name)
		}
		t.Logf("%s: %s", s.name, time.Since(began).Round(100*time.Millisecond))
	}
}

func (x *scenario) ok(err error) {
	x.Helper()
	if err != nil {
		x.Fatal(err)
	}
}

var setupURL = regexp.MustCompile(`"setup_url": *"([^"]+)"`)

func (x *scenario) start() {
	var err error
	x.post = mailtest.New(x.T, mailtest.Config{})
	x.server, err = stack.Up(x.Context(), built.programs, filepath.Join(built.dir, "people"), "--app", built.app, "--json", "--smtp-url", x.post.URL("Backup <backup@example.org>"))
	x.ok(err)
	x.Cleanup(func() {
		if err := x.server.Stop(); err != nil {
			x.Error(err)
		}
	})
	x.wire = chrome.NewWire(strings.TrimPrefix(x.server.URL, "http://"))
	x.Cleanup(x.wire.Close)
	x.chrome, err = chrome.Start(x.Context(), x.wire, x.server.URL)
	x.ok(err)
	x.Cleanup(x.chrome.Close)
	x.ada, x.ben = sits(x.T, x.chrome), sits(x.T, x.chrome)

	x.home = filepath.Join(built.dir, "home of Ada")
	noise := rand.NewChaCha8([32]byte{1})
	random := func(n int) []byte {
		b := make([]byte, n)
		noise.Read(b)
		return b
	}
	x.files = map[string][]byte{
		secretFolder + "/" + secretFile:              []byte(strings.Repeat(secretText+"\n", 400)),
		secretFolder + "/numbers/" + secretSheet:     random(3 << 20),
		secretFolder + "/numbers/plan-of-otters.pdf": random(200_000),
		secretPicture: random(500_000),
	}
	for name, content := range x.files {
		x.write(name, content)
	}
	x.write(secretFilm, random(100_000)) // which no policy names
}

func (x *scenario) write(name string, content []byte) {
	x.Helper()
	full := filepath.Join(x.home, name)
	x.ok(os.MkdirAll(filepath.Dir(full), 0o755))
	x.ok(os.WriteFile(full, content, 0o644))
}

// setUp makes the first account, from the link that the server printed.
func (x *scenario) setUp() {
	m := setupURL.FindStringSubmatch(x.server.Log())
	if m == nil {
		x.Fatalf("the server printed no link:\n%s", x.server.Log())
	}
	a := x.ada
	a.goes(m[1])
	a.sees("Set up Holdfast", "Who can read what")
	a.types("E-mail address", "ada@example.org")
	a.types("Your name", "Ada Lovelace")
	a.types("Password", "password1")
	a.press("Go on")
	a.sees("can be guessed")
	a.types("Password", adaPassword)
	a.sees("Strong.") // said by the worker, a little later: the button moves
	a.press("Go on")
	x.code = x.keeps(a)
	a.sees("Add your first device", "Administration")
}

// keeps writes the recovery code down, types back what it is asked, and returns it by groups.
func (x *scenario) keeps(p person) []string {
	p.sees("Keep your recovery code")
	code := p.reads("ol.hf-code:not(.hf-sheet *) li")
	if len(code) != 8 {
		x.Fatalf("the recovery code has the groups %q", code)
	}
	p.press("I have kept it")
	p.sees("Type it back")
	var number int
	for _, label := range p.reads("form label") {
		if n, _ := fmt.Sscanf(label, "Group %d", &number); n == 1 {
			p.types(label, strings.ToLower(code[number-1]))
		}
	}
	p.press("Make my account")
	return code
}

func (x *scenario) invite() {
	a, b := x.ada, x.ben
	a.press("People")
	a.press("Invite")
	a.types("One person a line", "Ben Franklin <ben@example.org>")
	a.press("Invite people > Invite")
	link := a.reads("td code")[0]
	b.goes(link)
	b.sees("ben@example.org", "for your own backups")
	b.types("Password", benPassword)
	b.sees("Strong.")
	b.press("Go on")
	x.keeps(b)
	b.sees("Add your first device")
	b.lacks("Administration")
	a.press("I have them")
	a.sees("Ben Franklin")
}

func (x *scenario) addDevice() {
	a := x.ada
	a.press("Devices", "Add a device")
	a.chooses("What does the device run?", "Linux (x86-64)")
	a.sees("holdfast-agent enroll "+x.server.URL+" --code", "Waiting for the device")
	code := a.reads("[role=dialog] .fs-5.font-monospace")[0]
	x.laptop = x.server.Device(filepath.Join(x.TempDir(), "state"))
	x.ok(x.laptop.Run(x.Context(), "enroll", x.server.URL, "--code", code, "--name", "laptop").Err())
	a.sees("Connected!", "laptop is one of your devices now")
	a.press("To the device")
	a.sees("No policy saves this device", "enrolled with your keys")
	x.ok(a.Run(`location.pathname`, &x.device))
}

func (x *scenario) makePolicy() {
	a := x.ada
	a.press("Policies", "Make the first policy")
	a.types("Name", "Papers and pictures")
	a.press("Devices of everyone", "Folders > Documents", "Folders > Desktop", "Folders > Pictures")
	a.types("All folders", x.home)
	x.ok(a.Enter())
	a.press("Kinds of files > Documents", "Kinds of files > Images")
	a.types("Single extensions", "xlsx")
	x.ok(a.Enter())
	a.sees("Next times")
	a.press("Make the policy")
	a.sees("Papers and pictures", "New policy")
}

func (x *scenario) firstBackup() {
	cmd := x.laptop.Command("run")
	cmd.Stderr = x.Output()
	x.ok(stack.Start(cmd))
	x.Cleanup(func() { cmd.Process.Kill(); cmd.Wait() })

	a := x.ada
	a.goes(x.device)
	a.sees("Papers and pictures")
	a.press("Back up now")
	a.press("Dashboard")
	a.sees("4 files protected", "1 of 1")
}

// browse looks around in the files of the first backup.
func (x *scenario) browse() {
	a := x.ada
	a.press("Browse files*")
	a.sees("1 entry: 4 files")
	a.press(x.folders()...)
	a.sees("2 entries: 4 files", secretPicture)
	a.lacks(secretFilm)
	a.press(secretFolder)
	a.sees(secretFile, "numbers")
	a.types("Search names, such as *.pdf", "zebra")
	a.sees("1 entry", secretSheet, secretFolder+"/numbers")
	a.types("Search names, such as *.pdf", "")
	a.press(x.folders()[2], "Spreadsheets 1")
	a.sees(secretFolder)
	a.lacks(secretPicture)
	a.press("Spreadsheets 1", "Images 1")
	a.sees(secretPicture)
	a.lacks(secretFolder)
	a.press("Images 1")
	a.press(secretFolder, secretFile)
	a.sees(secretText) // the preview
	a.press("Close")
}

// folders are the names on the way from the top of the disk to what is saved.
func (x *scenario) folders() []string { return strings.Split(strings.Trim(x.home, "/"), "/") }

// download saves one file as it is, and some as a ZIP.
func (x *scenario) download() {
	a := x.ada
	a.press(secretFile)
	a.press(secretFile + " > Download")
	got, err := os.ReadFile(a.downloads())
	x.ok(err)
	if !bytes.Equal(got, x.files[secretFolder+"/"+secretFile]) {
		x.Errorf("the download of %d bytes is not what was saved", len(got))
	}
	a.sees("decrypted and verified")

	a.press(x.folders()[2], "Choose "+secretFolder, "Choose "+secretPicture)
	a.sees("4 files chosen")
	a.press("Download")
	z, err := zip.OpenReader(a.downloads())
	x.ok(err)
	defer z.Close()
	var names []string
	for _, f := range z.File {
		if strings.HasSuffix(f.Name, "/") {
			continue
		}
		r, err := f.Open()
		x.ok(err)
		content, err := io.ReadAll(r)
		x.ok(err)
		r.Close()
		names = append(names, f.Name)
		if !bytes.Equal(content, x.files[f.Name]) {
			x.Errorf("%s in the ZIP is not what was saved", f.Name)
		}
	}
	slices.Sort(names)
	if want := slices.Sorted(maps.Keys(x.files)); !slices.Equal(names, want) {
		x.Errorf("the ZIP holds %q, want %q", names, want)
	}
	a.press("Clear")
}

// restore orders the device to put back what was lost there.
func (x *scenario) restore() {
	x.ok(os.RemoveAll(filepath.Join(x.home, secretFolder)))
	a := x.ada
	a.press("Choose " + secretFolder)
	a.press("Restore to a device")
	a.press("Restore to a device > Restore")
	a.press("Follow it")
	a.sees("Restore to laptop", "succeeded")
	for name, want := range x.files {
		got, err := os.ReadFile(filepath.Join(x.home, name))
		x.ok(err)
		if !bytes.Equal(got, want) {
			x.Errorf("%s came back with another content", name)
		}
	}
}

// fail has a backup fail while its owner is elsewhere.
func (x *scenario) fail() {
	a := x.ada
	x.ok(os.Rename(x.home, x.home+" away"))
	a.press("Notifications", "Mark all as read")
	a.sees("Nothing unread")
	a.press("Devices", "laptop", "Back up now", "Files")
	a.sees("The backup of “laptop” failed") // a toast
	a.press("1 unread notification")
	a.press("Reports")
	a.sees("Backups from")
	rows := a.reads("table tbody tr")
	if !strings.Contains(strings.Join(rows, "\n"), "50.0 %") {
		x.Errorf("the report says %q", rows)
	}
	a.press("Overview")
	a.sees("Recent failures", "failed")
	x.ok(os.Rename(x.home+" away", x.home))
}

// apart looks with the eyes of the second person.
func (x *scenario) apart() {
	b := x.ben
	for address, empty := range map[string]string{"/devices": "No device yet", "/files": "Nothing was saved yet", "/runs": "Nothing happened yet", x.device: "", "/admin/people": "There is nothing at this address"} {
		b.goes(address)
		if empty == "" {
			empty = "no such device"
		}
		b.sees(empty)
		text, err := b.Text()
		x.ok(err)
		for _, not := range []string{"laptop", "Ada", secretFile, secretFolder} {
			if strings.Contains(text, not) {
				x.Errorf("%s shows %q to somebody else: %s", address, not, text)
			}
		}
	}
}

// promote makes the second person an administrator: their menu grows, on the page that they look at.
func (x *scenario) promote() {
	a, b := x.ada, x.ben
	b.goes("/")
	b.sees("Add your first device", "Notifications") // the page is there, and hears what changes
	b.lacks("Administration")
	a.press("People", "Change Ben Franklin", "Role > Administrator")
	a.sees("administrator")
	b.sees("Administration")
	b.press("Fleet")
	b.sees("laptop", "Ada Lovelace")
	b.lacks(secretFile)
}

func (x *scenario) lock() {
	a := x.ada
	a.press("Ada Lovelace", "Lock")
	a.sees("The keys of ada@example.org are closed")
	a.types("Password", "not "+adaPassword)
	a.press("Unlock")
	a.sees("password is wrong")
	a.types("Password", adaPassword)
	a.press("Unlock")
	a.sees("Administration")
}

// recover comes in with the recovery code, once the password is forgotten.
func (x *scenario) recover() {
	a := x.ada
	a.press("Ada Lovelace", "Log out", "I forgot my password")
	a.types("E-mail address", "ada@example.org")
	a.types("Recovery code", strings.ToLower(strings.Join(x.code, " ")))
	a.press("Go on")
	a.sees("The code is right, Ada Lovelace")
	a.types("New password", adaNew)
	a.sees("Strong.")
	a.press("Set the password")
	a.press("Files")
	a.press(x.folders()...)
	a.sees(secretPicture)
	a.press("Ada Lovelace", "Log out")
	a.types("E-mail address", "ada@example.org")
	a.types("Password", adaPassword)
	a.press("Log in")
	a.sees("password is wrong")
	a.types("Password", adaNew)
	a.press("Log in")
	a.sees("Administration")
}

// phone is the app in a hand, at night.
func (x *scenario) phone() {
	a := x.ada
	a.looks(chrome.Look{Width: 390, Height: 844, Dark: true})
	a.goes("/")
	a.sees("protected")
	var dark, wide bool
	x.ok(a.Run(`document.documentElement.dataset.bsTheme === "dark"`, &dark))
	x.ok(a.Run(`document.documentElement.scrollWidth > innerWidth`, &wide))
	if !dark || wide {
		x.Errorf("on a telephone at night: dark %v, wider than the screen %v", dark, wide)
	}
	a.press("Show or hide the menu", "Activity")
	a.sees("Backup of laptop", "Restore to laptop")
	a.press("Colours", "Light")
	x.ok(a.Until("it is light", `document.documentElement.dataset.bsTheme === "light"`))
	a.looks(chrome.Desk)
}

// offline cuts the wire: the app is there all the same.
func (x *scenario) offline() {
	a := x.ada
	x.ok(a.Until("the app is kept", `navigator.serviceWorker.ready.then(() => navigator.serviceWorker.controller !== null || true)`))
	x.silent(a)
	x.silent(x.ben)
	x.wire.Cut(true)
	a.sees("The server cannot be reached")
	x.ok(a.Reload())
	a.sees("Log in", "cannot be reached")
	x.wire.Cut(false)
	x.ok(a.Reload())
	a.sees("Administration")
	_, err := a.Troubles() // of a page without a server there are many
	x.ok(err)
}

// silent fails the test if a page complained about anything.
func (x *scenario) silent(p person) {
	x.Helper()
	list, err := p.Troubles()
	x.ok(err)
	for _, s := range list {
		if !strings.Contains(s, "status of 401") { // whoever is not logged in is told so
			x.Errorf("the page complains: %s", s)
		}
	}
}

// learned searches all that the browser sent for what no server may learn.
func (x *scenario) learned() {
	sent := x.wire.Sent()
	messages := 0
	for _, s := range sent {
		if s.What == "WebSocket message" {
			messages++
		}
	}
	if len(sent) < 100 || messages < 10 {
		x.Fatalf("only %d things were sent, %d of them messages: the search would prove nothing", len(sent), messages)
	}
	for _, secret := range []string{
		adaPassword, adaNew, benPassword, secretText, secretFolder, secretFile, secretSheet, secretPicture, "plan-of-otters", "zebra",
		strings.Join(x.code, "-"), strings.Join(x.code, ""), strings.ToLower(strings.Join(x.code, "")), strings.ToLower(strings.Join(x.code, " ")), x.code[3] + "-" + x.code[4],
		string(x.files[secretPicture][1000:1040]),
	} {
		for _, found := range chrome.Find(sent, secret) {
			x.Errorf("the browser sent %q: %s", secret, found)
		}
	}
	x.Logf("searched %d requests and messages, %d of them of WebSockets", len(sent), messages)
}
