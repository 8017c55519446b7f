//go:build linux

// Package app tests applications from outside: the real programs, on real databases that real tools made, as the owner of an
// application and the operator of a server use them.
package app

import (
	"context"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/holdfast-backup/holdfast/e2e/api"
	"github.com/holdfast-backup/holdfast/e2e/same"
	"github.com/holdfast-backup/holdfast/e2e/shop"
	"github.com/holdfast-backup/holdfast/e2e/stack"
)

var programs stack.Programs

func TestMain(m *testing.M) {
	os.Exit(func() int {
		dir, err := os.MkdirTemp("", "holdfast-app-")
		if err != nil {
			fmt.Fprintln(os.Stderr, err)
			return 1
		}
		defer os.RemoveAll(dir)
		os.Chmod(dir, 0o711) // the private PostgreSQL is another user's
		if err := stack.Overlap(); err != nil {
			fmt.Fprintln(os.Stderr, err)
			return 1
		}
		if programs, err = stack.Build(filepath.Join(dir, "bin")); err != nil {
			fmt.Fprintln(os.Stderr, err)
			return 1
		}
		shared.dir = filepath.Join(dir, "shared")
		defer func() {
			if shared.server != nil {
				shared.server.Stop()
			}
		}()
		return m.Run()
	}())
}

// shared is one server for all tests that do not harm it.
var shared struct {
	dir    string
	once   sync.Once
	server *stack.Server
	err    error
}

func server(t *testing.T) *stack.Server {
	t.Helper()
	shared.once.Do(func() { shared.server, shared.err = stack.Up(context.Background(), programs, shared.dir) })
	if shared.err != nil {
		t.Fatal(shared.err)
	}
	return shared.server
}

// database is an application's database, as its owner sees it.
type database interface {
	URL() string                          // for app add
	Exec(t testing.TB, sql string)        // of the live database
	State(t testing.TB, db string) string // all that is in it, as text; db "": the live one
	Drop(t testing.TB, db string)
}

// owner is the owner of an application on an enrolled machine.
type owner struct {
	*testing.T
	s     *stack.Server
	a     *stack.Agent
	db    database // nil: media only
	name  string
	media string

	client *api.Client // see ask
}

// newOwner enrols a machine with an application. Its service runs if run is set.
func newOwner(t *testing.T, s *stack.Server, db database, files int, run bool) *owner {
	t.Helper()
	dir := t.TempDir()
	a, err := s.Person(t.Context(), filepath.Join(dir, "person"), fmt.Sprintf("owner-%d@example.org", rand.Int64()), "Owner", "staff")
	o := &owner{T: t, s: s, a: a, db: db, name: fmt.Sprintf("Shop %d", rand.Int64()), media: filepath.Join(dir, "media")}
	o.ok(err)
	o.ok(a.Enroll(t.Context(), fmt.Sprintf("host-%d", rand.Int64())))
	o.fill(files)
	args := []string{"app", "add", o.name, "--media", o.media}
	if db != nil {
		args = append(args, "--db", db.URL())
	}
	o.ok(a.Run(t.Context(), args...).Err())
	if run {
		o.service()
	}
	return o
}

func (o *owner) ok(err error) {
	o.Helper()
	if err != nil {
		o.Fatal(err)
	}
}

// fill writes files of media.
func (o *owner) fill(n int) {
	o.Helper()
	r := rand.New(rand.NewPCG(7, uint64(n)))
	for i := range n {
		path := filepath.Join(o.media, fmt.Sprintf("album %d", i%40), fmt.Sprintf("bild-%d-ä.jpg", i))
		o.ok(os.MkdirAll(filepath.Dir(path), 0o755))
		b := make([]byte, 500+r.IntN(4000))
		for j := range b {
			b[j] = byte(r.Uint32())
		}
		o.ok(os.WriteFile(path, b, 0o644))
	}
	o.ok(os.Symlink("album 1", filepath.Join(o.media, "newest")))
}

// service is the device's service. It is killed when the test ends, if it was not before.
func (o *owner) service() (kill func()) {
	o.Helper()
	c := o.a.Command("run")
	c.Stderr = o.Output()
	o.ok(stack.Start(c))
	kill = sync.OnceFunc(func() {
		c.Process.Kill()
		c.Wait()
	})
	o.Cleanup(kill)
	return kill
}

// backup has the operator make a backup, and waits for it.
func (o *owner) backup(part, title string) {
	o.Helper()
	o.ok(o.s.Holdfast(o.Context(), "backup", "create", "--application", o.name, "--type", part, "--name", title, "--wait").Err())
}

// listed is a backup as the list has it.
type listed struct {
	ID    string                               `json:"id"`
	Bytes int64                                `json:"bytes"`
	Label struct{ Part, Origin, Title string } `json:"label"`
}

// backups are the application's, newest first.
func (o *owner) backups() []listed {
	o.Helper()
	var out struct{ Backups []listed }
	o.ok(o.a.Unlocked(o.Context(), "app", "backups", o.name, "--json").JSON(&out))
	return out.Backups
}

func (o *owner) newest(origin string) listed {
	o.Helper()
	for _, b := range o.backups() {
		if b.Label.Origin == origin {
			return b
		}
	}
	o.Fatalf("there is no backup of origin %s", origin)
	return listed{}
}

// restore has the machine put a backup back, and waits for it.
func (o *owner) restore(args ...string) stack.Result {
	o.Helper()
	return o.a.Unlocked(o.Context(), append([]string{"app", "restore", o.name}, append(args, "--wait")...)...)
}

// snap is a copy of the media.
func (o *owner) snap() string {
	o.Helper()
	to := filepath.Join(o.TempDir(), "copy")
	o.ok(exec.CommandContext(o.Context(), "cp", "-a", o.media, to).Run())
	return to
}

// like compares the media in a folder with a copy of before.
func (o *owner) like(want, got string) { o.Helper(); o.alike(want, got, true) }

// alike does so, with the times of files or without.
func (o *owner) alike(want, got string, times bool) {
	o.Helper()
	r, err := same.Trees(want, got)
	o.ok(err)
	differences := slices.DeleteFunc(r.Differences, func(d string) bool {
		return strings.HasPrefix(d, `".": modified`) || !times && strings.Contains(d, ": modified ") // the folder itself keeps what it has
	})
	for i, d := range differences {
		if i == 10 {
			o.Errorf("and %d more", len(differences)-i)
			break
		}
		o.Error(d)
	}
}

// holds compares the live database with what it was.
func (o *owner) holds(want string) {
	o.Helper()
	shop.Differ(o.T, want, o.db.State(o.T, ""))
}

// until waits for something.
func until(t *testing.T, what string, is func() bool) {
	t.Helper()
	for end := time.Now().Add(60 * time.Second); !is(); time.Sleep(20 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("a minute, and not yet: %s", what)
		}
	}
}

// run is a run as the list has it.
type run struct {
	ID, Kind, State string
	Progress        struct{ Phase string }
}

// runs are the account's, newest first. They are asked for again and again, and the command line would stretch the password each time.
func (o *owner) runs() (list []run) {
	o.Helper()
	var out struct {
		Runs struct{ Edges []struct{ Node run } }
	}
	o.ask(`{ runs(first: 20) { edges { node { id kind state progress { phase } } } } }`, nil, &out)
	for _, e := range out.Runs.Edges {
		list = append(list, e.Node)
	}
	return list
}

// ask asks over GraphQL, as the owner, who is logged in once. The server may have been restarted since the last question: then it is put again.
func (o *owner) ask(query string, variables map[string]any, out any) {
	o.Helper()
	if o.client == nil {
		o.client = o.login()
	}
	if err := o.client.Do(o.Context(), query, variables, out); err != nil {
		o.ok(o.client.Do(o.Context(), query, variables, out))
	}
}

func pretty(v any) string {
	b, _ := json.MarshalIndent(v, "", " ")
	return string(b)
}
