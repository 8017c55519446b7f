//go:build linux

package web

import (
	"encoding/json"
	"errors"
	"math/rand/v2"
	"net/url"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/holdfast-backup/holdfast/e2e/shop"
	"github.com/holdfast-backup/holdfast/e2e/stack"
	"github.com/holdfast-backup/holdfast/e2e/web/chrome"
)

// What no server may learn of an application.
const (
	secretCustomer = "Wilhelmina Sandpiper"      // a row of the database
	secretPhoto    = "heron-over-the-weir.jpg"   // a file of the media
	secretPhrase   = "the otter counts its eels" // in a file of the media
	secretArchive  = "cormorant-ledger"          // what archives from elsewhere are called
	secretDatabase = "plover-tide-4711"          // the password of the database
	password       = "correct horse battery "    // of everybody, before their name
)

// running is an installation with an application: its owner, an administrator, and somebody else.
type running struct {
	scenario
	db                   *shop.Postgres
	agent                *stack.Agent
	owner, admin, other  person
	media, dir           string
	elsewhere            string     // archives by plain tools
	restores             int        // that were ordered
	guests               chan error // whether the administrator and the other one are in
	address              string     // of the application's page
	before, broken       string     // the database when it was backed up, and damaged
	photos, brokenPhotos map[string]string
	end                  func() // of the device's service
}

// TestApplications is the life of an application in the browser of its owner.
func TestApplications(t *testing.T) {
	t.Parallel()
	x := &running{scenario: scenario{T: t}}
	for _, s := range []struct {
		name string
		do   func()
	}{
		{"the owner logs in", x.begin},
		{"an application is added", x.add},
		{"backups by hand", x.backUp},
		{"what a backup holds", x.details},
		{"schedules", x.schedules},
		{"a restore in place", x.putBack},
		{"the restore is undone", x.undo},
		{"a restore beside", x.beside},
		{"a backup is downloaded", x.save},
		{"archives from elsewhere", x.uploads},
		{"archives that are refused", x.refused},
		{"a large archive", x.large},
		{"kept and deleted", x.keepAndDelete},
		{"whose applications these are", x.whose},
		{"a backup fails, and the machine is away", x.failures},
		{"what the server learned", x.discreet},
	} {
		began := time.Now()
		s.do()
		if t.Failed() {
			t.Fatalf("%s: failed", s.name)
		}
		t.Logf("%s: %s", s.name, time.Since(began).Round(100*time.Millisecond))
	}
}

func (x *running) begin() {
	x.dir = x.TempDir()
	x.ok(os.Chmod(x.dir, 0o755))
	database := make(chan *shop.Postgres, 1)
	go func() {
		defer close(database)
		database <- shop.NewPostgres(x.T, 500)
	}()
	var err error
	x.server, err = stack.Up(x.Context(), built.programs, filepath.Join(built.dir, "applications"), "--app", built.app)
	x.ok(err)
	x.Cleanup(func() {
		if err := x.server.Stop(); err != nil {
			x.Error(err)
		}
	})
	account, enrolled := make(chan error, 1), make(chan error, 1)
	go func() { // what takes a while is done side by side
		var err error
		x.agent, err = x.account("Olga", "staff")
		account <- err
		if err == nil {
			enrolled <- x.agent.Enroll(x.Context(), "web-host")
		}
	}()
	x.wire = chrome.NewWire(strings.TrimPrefix(x.server.URL, "http://"))
	x.Cleanup(x.wire.Close)
	x.chrome, err = chrome.Start(x.Context(), x.wire, x.server.URL)
	x.ok(err)
	x.Cleanup(x.chrome.Close)
	x.owner, x.admin, x.other = sits(x.T, x.chrome), sits(x.T, x.chrome), sits(x.T, x.chrome)
	x.ok(<-account)
	x.ok(enters(x.owner, "Olga"))
	x.ok(<-enrolled)
	x.guests = make(chan error, 1)
	go func() {
		_, err := x.account("Adam", "admin")
		_, err2 := x.account("Bea", "staff")
		if err = errors.Join(err, err2); err == nil {
			err = errors.Join(enters(x.admin, "Adam"), enters(x.other, "Bea"))
		}
		x.guests <- err
	}()
	x.serve()
	if x.db = <-database; x.db == nil {
		x.FailNow()
	}
	x.db.Admin(x.T, `CREATE ROLE shopkeeper LOGIN SUPERUSER PASSWORD '`+secretDatabase+`'`)
	x.db.Exec(x.T, `INSERT INTO customers (name, mail) VALUES ('`+secretCustomer+`', 'w@example.org')`)
	x.media = filepath.Join(x.dir, "media")
	noise := rand.NewChaCha8([32]byte{3})
	for name, size := range map[string]int{"album/" + secretPhoto: 1_500_000, "album/zwei ü.jpg": 300_000, "three.png": 50_000} {
		b := make([]byte, size)
		noise.Read(b)
		x.puts(name, b)
	}
	x.puts("notes.txt", []byte(strings.Repeat(secretPhrase+"\n", 100)))
	x.before, x.photos = x.db.State(x.T, ""), x.pictures(x.media)
}

func address(name string) string { return strings.ToLower(name) + "@example.org" }

// account makes an account.
func (x *running) account(name, role string) (*stack.Agent, error) {
	return x.server.Person(x.Context(), filepath.Join(x.dir, name), address(name), name, role)
}

// enters logs somebody in.
func enters(p person, name string) error {
	for _, do := range []func() error{
		func() error { return p.Go("/applications") },
		func() error { return p.Type("E-mail address", address(name)) },
		func() error { return p.Type("Password", password+name) },
		func() error { return p.Press("Log in") },
		func() error { return p.Sees("No application yet") },
	} {
		if err := do(); err != nil {
			return err
		}
	}
	return nil
}

// serve starts the service of the machine, whose connection is slow enough for a person to see that something goes on.
func (x *running) serve() {
	cmd := x.agent.Command("run", "--limit-upload", "512KiB")
	cmd.Stderr = x.Output()
	x.ok(stack.Start(cmd))
	x.end = func() { cmd.Process.Kill(); cmd.Wait(); x.end = func() {} }
	x.Cleanup(func() { x.end() })
}

// puts writes a file of the media.
func (x *running) puts(name string, content []byte) {
	x.Helper()
	full := filepath.Join(x.media, name)
	x.ok(os.MkdirAll(filepath.Dir(full), 0o755))
	x.ok(os.WriteFile(full, content, 0o644))
}

// pictures are the files below a folder and what is in them.
func (x *running) pictures(dir string) map[string]string {
	x.Helper()
	all := map[string]string{}
	x.ok(filepath.WalkDir(dir, func(path string, d os.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		b, err := os.ReadFile(path)
		name, _ := filepath.Rel(dir, path)
		all[name] = string(b)
		return err
	}))
	return all
}

// alike compares the files below a folder with what they were.
func (x *running) alike(want map[string]string, dir string) {
	x.Helper()
	got := x.pictures(dir)
	for name, content := range want {
		if got[name] != content {
			x.Errorf("%s in %s has %d bytes that are not those of before", name, dir, len(got[name]))
		}
	}
}

// holds compares a database with what it was; "" is the live one.
func (x *running) holds(want, name string) { x.Helper(); shop.Differ(x.T, want, x.db.State(x.T, name)) }

// add adds the application on its machine, and looks at it.
func (x *running) add() {
	o := x.owner
	o.sees("holdfast-agent app add")
	file := filepath.Join(x.dir, "password of the database")
	x.ok(os.WriteFile(file, []byte(secretDatabase+"\n"), 0o600))
	at, err := url.Parse(x.db.URL())
	x.ok(err)
	at.User = url.User("shopkeeper")
	x.ok(x.agent.Run(x.Context(), "app", "add", "Shop", "--db", at.String(), "--db-password-file", file, "--media", x.media).Err())
	o.press("Dashboard", "Applications")
	o.sees("PostgreSQL, 1 media folder, on web-host", "new")
	o.press("Shop")
	o.sees("No backup yet", "Drop a file here")
	x.ok(o.Run(`location.pathname`, &x.address))
	o.press("Test")
	o.sees("Everything is there that a backup needs", "pg_dump")
	o.press("Take the test away")
	o.lacks("Everything is there")
	x.silent(o)
}

// quoted is a text as JavaScript has it.
func quoted(s string) string { b, _ := json.Marshal(s); return string(b) }

func number(n int) string { return strconv.Itoa(n) }
