//go:build linux

package e2e

import (
	"context"
	"io"
	"log/slog"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/jmoiron/sqlx"

	"github.com/holdfast-backup/holdfast/depot/bus"
	"github.com/holdfast-backup/holdfast/depot/mail/mailtest"
	"github.com/holdfast-backup/holdfast/depot/pg"
	"github.com/holdfast-backup/holdfast/e2e/api"
	"github.com/holdfast-backup/holdfast/e2e/stack"
)

// scheduled is an installation with an administrator, and a person whose device obeys.
type scheduled struct {
	*testing.T
	s      *stack.Server
	admin  *api.Client
	ada    *stack.Agent
	device string
	db     *sqlx.DB
	home   string
}

// TestSchedule is the main job without a person: an administrator says what and when, a device that nobody touches obeys, through a kill of
// its agent in the midst of a backup and a wipe of Redis; whoever needs to know is told.
func TestSchedule(t *testing.T) {
	t.Parallel()
	post := mailtest.New(t, mailtest.Config{})
	x := newScheduled(t, post)
	x.write("plan.docx", noise(1, 200_000))
	x.write("numbers/may.xlsx", noise(2, 50_000))
	x.write("holiday.jpg", noise(3, 100_000))
	policy := x.createPolicy()
	agent := x.service()

	// While the slot is awaited, the administrator wants a backup at once, and the owner a restore on the device.
	first := x.backUpNow()
	x.ends(first, "SUCCEEDED")
	want := []string{"numbers/may.xlsx", "plan.docx"}
	if got := x.holds("latest"); !slices.Equal(got, want) {
		t.Errorf("the snapshot holds %q, want %q", got, want)
	}
	back := filepath.Join(t.TempDir(), "back")
	if err := x.ada.Unlocked(t.Context(), "restore", "latest", "--on", "laptop", "--to", back, "--wait").Err(); err != nil {
		t.Fatal(err)
	}
	if got := x.below(filepath.Join(back, x.home)); !slices.Equal(got, want) {
		t.Errorf("the device restored %q, want %q", got, want)
	}

	// Redis forgets everything. The slot comes all the same; its backup is slow, and the agent is killed in the midst of it.
	x.write("film.docx", noise(4, 6<<20))
	x.limit(policy, 512<<10)
	wiped := x.wipe()
	slot := x.slot(wiped)
	x.until("the backup of the slot is under way", func() bool { r := x.run(slot); return r.State == "RUNNING" && r.Progress.Phase != "" })
	agent.kill()
	if r := x.run(slot); r.State != "RUNNING" {
		t.Errorf("after the kill the run is %s", r.State)
	}
	x.limit(policy, 0)
	x.exec(`UPDATE runs SET lease_until = clock_timestamp() WHERE state = 'running'`) // three minutes pass
	x.service()
	if r := x.ends(slot, "SUCCEEDED"); r.Attempts != 2 {
		t.Errorf("the backup of the slot took %d attempts", r.Attempts)
	}
	if got := x.holds("latest"); !slices.Contains(got, "film.docx") {
		t.Errorf("the snapshot after the kill holds %q", got)
	}

	// A backup that fails is told to its owner by mail.
	if err := os.Rename(x.home, x.home+" away"); err != nil {
		t.Fatal(err)
	}
	if r := x.ends(x.backUpNow(), "FAILED"); r.Code != "NOTHING_FOUND" {
		t.Errorf("it failed with %s", r.Code)
	}
	var letter mailtest.Message
	x.until("a mail tells of it", func() bool {
		return slices.ContainsFunc(post.Messages(), func(m mailtest.Message) bool {
			letter = m
			return strings.Contains(m.Text, "The backup of “laptop” failed")
		})
	})
	if !slices.Equal(letter.To, []string{x.ada.Email}) || strings.Contains(letter.Text, x.home) {
		t.Errorf("the mail to %q about %q:\n%s", letter.To, letter.Subject, letter.Text)
	}

	if err := x.s.Holdfast(t.Context(), "gc").Err(); err != nil {
		t.Error(err)
	}
	x.metrics()
}

func newScheduled(t *testing.T, post *mailtest.Server) *scheduled {
	t.Helper()
	s := ownServer(t, "--smtp-url", post.URL("Backup <backup@example.org>"))
	x := &scheduled{T: t, s: s, home: filepath.Join(t.TempDir(), "home")}
	x.ok(os.Mkdir(x.home, 0o755))
	boss, err := s.Person(t.Context(), t.TempDir(), "boss@example.org", "Boss", "admin")
	x.ok(err)
	password, err := os.ReadFile(boss.PasswordFile)
	x.ok(err)
	x.admin, err = api.Login(t.Context(), s.URL, boss.Email, []byte(strings.TrimSpace(string(password))))
	x.ok(err)
	x.ada = person(t, s)
	var devices struct{ Devices []struct{ ID string } }
	x.ok(x.ada.Unlocked(t.Context(), "devices", "--json").JSON(&devices))
	x.device = devices.Devices[0].ID
	at, err := s.DatabaseURL()
	x.ok(err)
	x.db, err = pg.Open(t.Context(), at)
	x.ok(err)
	t.Cleanup(func() { x.db.Close() })
	return x
}

func (x *scheduled) ok(err error) {
	x.Helper()
	if err != nil {
		x.Fatal(err)
	}
}

func (x *scheduled) exec(query string) {
	x.Helper()
	_, err := x.db.ExecContext(x.Context(), query)
	x.ok(err)
}

func (x *scheduled) write(name string, content []byte) {
	x.Helper()
	full := filepath.Join(x.home, name)
	x.ok(os.MkdirAll(filepath.Dir(full), 0o755))
	x.ok(os.WriteFile(full, content, 0o644))
}

// until waits until something is so.
func (x *scheduled) until(what string, so func() bool) {
	x.Helper()
	ctx, cancel := context.WithTimeout(x.Context(), 3*time.Minute)
	defer cancel()
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for !so() {
		select {
		case <-ctx.Done():
			x.Fatalf("not after three minutes: %s\n%s", what, x.s.Log())
		case <-tick.C:
		}
	}
}

// input is the policy, which is due every minute.
func (x *scheduled) input(limit int) map[string]any {
	return map[string]any{
		"name": "papers", "targets": map[string]any{"everyone": true}, "roots": []string{x.home}, "presets": []string{}, "extensions": []string{".docx", "xlsx"},
		"schedule": map[string]any{"kind": "CRON", "cron": "* * * * *"}, "zone": "Europe/Athens", "spreadMinutes": 0, "deadlineMinutes": 60, "uploadLimit": limit,
		"retention": map[string]any{"daily": 7},
	}
}

func (x *scheduled) createPolicy() string {
	x.Helper()
	var out struct {
		CreatePolicy struct{ Policy struct{ ID string } }
	}
	x.ok(x.admin.Do(x.Context(), `mutation($in: PolicyInput!) { createPolicy(input: $in) { policy { id } } }`, map[string]any{"in": x.input(0)}, &out))
	return out.CreatePolicy.Policy.ID
}

// limit sets the policy's bandwidth, in bytes a second; 0: no limit.
func (x *scheduled) limit(policy string, limit int) {
	x.Helper()
	var now struct{ Policy struct{ Revision int } }
	x.ok(x.admin.Do(x.Context(), `query($id: ID!) { policy(id: $id) { revision } }`, map[string]any{"id": policy}, &now))
	x.ok(x.admin.Do(x.Context(), `mutation($in: UpdatePolicyInput!) { updatePolicy(input: $in) { policy { id } } }`,
		map[string]any{"in": map[string]any{"id": policy, "revision": now.Policy.Revision, "policy": x.input(limit)}}, nil))
}

// running is a `holdfast-agent run` in the background.
type running struct {
	*exec.Cmd
	kill func()
}

// service starts the device's service. It is killed when the test ends, if it was not before.
func (x *scheduled) service() *running {
	x.Helper()
	r := &running{Cmd: x.ada.Command("run")}
	r.Stderr = x.Output()
	x.ok(stack.Start(r.Cmd))
	killed := false
	r.kill = func() {
		if !killed {
			killed = true
			r.Process.Kill()
			r.Wait()
		}
	}
	x.Cleanup(r.kill)
	return r
}

// run is a run as its administrator sees it.
type run struct {
	ID, State, Code string
	Slot            *time.Time
	Attempts        int
	Progress        struct{ Phase string }
}

const runFields = `id state code slot attempts progress { phase }`

func (x *scheduled) run(id string) run {
	x.Helper()
	var out struct{ Run run }
	x.ok(x.admin.Do(x.Context(), `query($id: ID!) { run(id: $id) { `+runFields+` } }`, map[string]any{"id": id}, &out))
	return out.Run
}

func (x *scheduled) ends(id, state string) run {
	x.Helper()
	var r run
	x.until("the run ends", func() bool { r = x.run(id); return r.State != "WAITING" && r.State != "RUNNING" })
	if r.State != state {
		x.Fatalf("the run is %s (%s), want %s", r.State, r.Code, state)
	}
	return r
}

func (x *scheduled) backUpNow() string {
	x.Helper()
	var out struct {
		BackUpNow struct{ Run run }
	}
	x.ok(x.admin.Do(x.Context(), `mutation($d: ID!) { backUpNow(input: {device: $d}) { run { `+runFields+` } } }`, map[string]any{"d": x.device}, &out))
	return out.BackUpNow.Run.ID
}

// slot waits for the run of the first slot after a time.
func (x *scheduled) slot(after time.Time) (id string) {
	x.Helper()
	x.until("a slot comes", func() bool {
		var out struct {
			Runs struct{ Edges []struct{ Node run } }
		}
		x.ok(x.admin.Do(x.Context(), `{ runs(fleet: true, first: 20) { edges { node { `+runFields+` } } } }`, nil, &out))
		for _, e := range out.Runs.Edges {
			if e.Node.Slot != nil && e.Node.Slot.After(after) {
				id = e.Node.ID
			}
		}
		return id != ""
	})
	return id
}

// wipe empties Redis and returns when.
func (x *scheduled) wipe() time.Time {
	x.Helper()
	at, err := x.s.RedisURL()
	x.ok(err)
	c, err := bus.Connect(x.Context(), at, slog.New(slog.DiscardHandler))
	x.ok(err)
	defer c.Close()
	x.ok(c.FlushAll(x.Context()).Err())
	var now time.Time
	x.ok(x.db.GetContext(x.Context(), &now, `SELECT clock_timestamp()`))
	return now
}

// holds lists the files of a snapshot below the home folder.
func (x *scheduled) holds(snapshot string) (names []string) {
	x.Helper()
	dir := filepath.Join(x.TempDir(), "out")
	x.ok(x.ada.Unlocked(x.Context(), "restore", snapshot, "--to", dir).Err())
	return x.below(filepath.Join(dir, x.home))
}

// below lists the files below a folder.
func (x *scheduled) below(dir string) (names []string) {
	x.Helper()
	x.ok(filepath.WalkDir(dir, func(path string, e os.DirEntry, err error) error {
		if err == nil && !e.IsDir() {
			names = append(names, strings.TrimPrefix(path, dir+"/"))
		}
		return err
	}))
	return names
}

// metrics looks whether what happened shows.
func (x *scheduled) metrics() {
	x.Helper()
	req, err := http.NewRequestWithContext(x.Context(), http.MethodGet, x.s.URL+"/metrics", nil)
	x.ok(err)
	resp, err := http.DefaultClient.Do(req)
	x.ok(err)
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	x.ok(err)
	for _, want := range []string{`holdfast_runs{state="succeeded"}`, `holdfast_runs{state="failed"} 1`, "holdfast_snapshots ", `holdfast_devices 1`, `policies.tick`} {
		if !strings.Contains(string(b), want) {
			x.Errorf("/metrics lacks %s:\n%s", want, b)
		}
	}
}
