//go:build linux

package e2e

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"filippo.io/age"

	"github.com/holdfast-backup/holdfast/e2e/api"
	"github.com/holdfast-backup/holdfast/e2e/same"
	"github.com/holdfast-backup/holdfast/e2e/stack"
)

// disaster is an installation whose machine burns now and then, and what is elsewhere: a device with files and an application, the store, a replica of
// it, and the administrator's identity.
type disaster struct {
	*testing.T
	s                    *stack.Server
	data, store, replica string
	identity             string // a file
	recipient            string
	boss                 *stack.Agent
	ada, bob, tablet     *stack.Agent
	admin, owner         *api.Client
	device, shop         string // ids of ada's

	home, media, db string
	good            string           // what the application's database held when it was backed up
	kept            map[string]state // by name
	copied          string           // the copy of the database's name in the store
	copiedAt        time.Time        // when it had been made
	burning         func()           // what the fire takes besides
}

// state is what a snapshot must bring back.
type state struct{ snapshot, files string }

// recovery is what `holdfast recover --json` prints.
type recovery struct {
	Copy, Next string
	Users      int
	Skipped    []struct{ Name, Reason string }
	Findings   struct{ Adopted, Restored, Damaged, Missing, Incomplete int64 }
}

func newDisaster(t *testing.T) *disaster {
	t.Helper()
	dir := filepath.Dir(passable(t))
	x := &disaster{T: t, data: filepath.Join(dir, "data"), store: filepath.Join(dir, "store"), replica: filepath.Join(dir, "replica"),
		identity: filepath.Join(t.TempDir(), "identity"), home: filepath.Join(t.TempDir(), "home"), kept: map[string]state{}}
	key, err := age.GenerateX25519Identity()
	x.ok(err)
	x.ok(os.WriteFile(x.identity, []byte(key.String()+"\n"), 0o600))
	x.recipient = key.Recipient().String()
	return x
}

func (x *disaster) ok(err error) {
	x.Helper()
	if err != nil {
		x.Fatal(err)
	}
}

// up starts a server, always at the same address: agents know no other.
func (x *disaster) up(env []string, data string, args ...string) {
	x.Helper()
	if x.s != nil {
		args = append(args, "--listen", strings.TrimPrefix(x.s.URL, "http://"))
	}
	s, err := stack.Serve(x.Context(), programs, env, data, args...)
	x.ok(err)
	x.s = s
	x.Cleanup(func() {
		if err := s.Stop(); err != nil {
			x.Error(err)
		}
	})
}

// settle makes the installation: an administrator, a person with a device that obeys, an application on it, and what is due every minute for both.
func (x *disaster) settle() {
	env := []string{"HOLDFAST_METADATA_RECIPIENT=" + x.recipient, "HOLDFAST_REPLICAS=file://" + x.replica}
	x.up(env, x.data, "up", "--store", "file://"+x.store)
	var err error
	x.boss, err = x.s.Person(x.Context(), x.TempDir(), "boss@example.org", "Boss", "admin")
	x.ok(err)
	x.ada = person(x.T, x.s)
	x.login()
	var devices struct{ Devices []struct{ ID string } }
	x.ok(x.owner.Do(x.Context(), `{ devices { id } }`, nil, &devices))
	x.device = devices.Devices[0].ID

	grow(x.T, x.home, 20, 30, 60_000)
	dir := x.TempDir()
	x.media, x.db = filepath.Join(dir, "media"), filepath.Join(dir, "shop.db")
	grow(x.T, x.media, 26, 12, 20_000)
	x.sqlite(`PRAGMA journal_mode = WAL; CREATE TABLE orders (id integer PRIMARY KEY, what text NOT NULL);
		WITH RECURSIVE s(g) AS (SELECT 1 UNION ALL SELECT g + 1 FROM s LIMIT 2000) INSERT INTO orders (what) SELECT 'order ' || g FROM s;`)
	x.ok(x.ada.Run(x.Context(), "app", "add", "shop", "--media", x.media, "--db", "sqlite:"+x.db).Err())
	var apps struct{ Applications []struct{ ID string } }
	x.ok(x.owner.Do(x.Context(), `{ applications { id } }`, nil, &apps))
	x.shop = apps.Applications[0].ID

	everyMinute := map[string]any{"kind": "CRON", "cron": "* * * * *"}
	x.ok(x.admin.Do(x.Context(), `mutation($in: PolicyInput!) { createPolicy(input: $in) { policy { id } } }`, map[string]any{"in": map[string]any{
		"name": "home", "targets": map[string]any{"everyone": true}, "roots": []string{x.home}, "presets": []string{}, "extensions": []string{}, "schedule": everyMinute,
		"zone": "Europe/Athens", "spreadMinutes": 0, "deadlineMinutes": 60, "retention": map[string]any{"daily": 7, "last": 100}}}, nil))
	x.ok(x.owner.Do(x.Context(), `mutation($in: CreateApplicationScheduleInput!) { createApplicationSchedule(input: $in) { schedule { id } } }`, map[string]any{"in": map[string]any{
		"application": x.shop, "schedule": map[string]any{"name": "rows", "part": "DATABASE", "zone": "UTC", "schedule": everyMinute, "retention": map[string]any{"last": 2}}}}, nil))

	agent := x.ada.Command("run")
	agent.Stderr = x.Output()
	x.ok(stack.Start(agent))
	x.Cleanup(func() { agent.Process.Kill(); agent.Wait() })
}

// login logs both people in, each with their password.
func (x *disaster) login() {
	x.Helper()
	for a, c := range map[*stack.Agent]**api.Client{x.boss: &x.admin, x.ada: &x.owner} {
		password, err := os.ReadFile(a.PasswordFile)
		x.ok(err)
		*c, err = api.Login(x.Context(), x.s.URL, a.Email, []byte(strings.TrimSpace(string(password))))
		x.ok(err)
	}
}

// burn takes the machine away without warning, and what lay on it.
func (x *disaster) burn(dirs ...string) {
	x.Helper()
	x.s.Kill()
	for _, dir := range dirs {
		x.ok(os.RemoveAll(dir))
	}
	if x.burning != nil {
		x.burning()
		x.burning = nil
	}
}

func (x *disaster) write(name string, content []byte) {
	x.Helper()
	x.ok(os.WriteFile(filepath.Join(x.home, name), content, 0o644))
}

// keep remembers what a snapshot of the home folder must bring back.
func (x *disaster) keep(name, snapshot string) {
	x.Helper()
	to := filepath.Join(x.TempDir(), "copy")
	x.ok(exec.CommandContext(x.Context(), "cp", "-a", x.home, to).Run())
	x.kept[name] = state{snapshot, to}
}

// comesBack restores a snapshot and compares every byte.
func (x *disaster) comesBack(name string) {
	x.Helper()
	back := x.TempDir()
	x.ok(x.ada.Unlocked(x.Context(), "restore", x.kept[name].snapshot, "--to", back).Err())
	r, err := same.Trees(x.kept[name].files, filepath.Join(back, x.home))
	x.ok(err)
	for _, d := range r.Differences {
		x.Errorf("the snapshot %q: %s", name, d)
	}
}

// until waits until something is so.
func (x *disaster) until(what string, so func() bool) {
	x.Helper()
	for end := time.Now().Add(2 * time.Minute); !so(); time.Sleep(50 * time.Millisecond) {
		if time.Now().After(end) {
			x.Fatalf("waited in vain for %s\n%s", what, x.s.Log())
		}
	}
}

// made is a snapshot.
type made struct {
	ID            string
	UploadedBytes int64
}

// backUp has the device back up as the policy says, and waits for it.
func (x *disaster) backUp() made {
	x.Helper()
	var asked struct {
		BackUpNow struct{ Run struct{ ID string } }
	}
	x.ok(x.owner.Do(x.Context(), `mutation($d: ID!) { backUpNow(input: {device: $d}) { run { id } } }`, map[string]any{"d": x.device}, &asked))
	var now struct {
		Run struct {
			State, Code, Text string
			Snapshot          *made
		}
	}
	x.until("the device's backup", func() bool {
		x.ok(x.owner.Do(x.Context(), `query($id: ID!) { run(id: $id) { state code text snapshot { id uploadedBytes } } }`, map[string]any{"id": asked.BackUpNow.Run.ID}, &now))
		return now.Run.State != "WAITING" && now.Run.State != "RUNNING"
	})
	if now.Run.State != "SUCCEEDED" || now.Run.Snapshot == nil {
		x.Fatalf("the backup: %+v", now.Run)
	}
	return *now.Run.Snapshot
}

// snapshots are ids of those of the home folder.
func (x *disaster) snapshots() []string { x.Helper(); return snapshots(x.T, x.ada) }

// sqlite runs statements on the application's database.
func (x *disaster) sqlite(text string) string {
	x.Helper()
	c := exec.CommandContext(x.Context(), "sqlite3", "-bail", x.db)
	c.Stdin = strings.NewReader(text)
	out, err := c.CombinedOutput()
	if err != nil {
		x.Fatalf("sqlite3: %v\n%s", err, out)
	}
	return string(out)
}

func (x *disaster) dump() string { x.Helper(); return x.sqlite(".dump") }

// application spoils the application's database and restores it in place from the backup of before the fire.
func (x *disaster) application() {
	x.Helper()
	var list struct {
		Backups []struct {
			ID    string
			Label struct{ Title string }
		}
	}
	x.ok(x.ada.Unlocked(x.Context(), "app", "backups", "shop", "--json").JSON(&list))
	good := ""
	for _, b := range list.Backups {
		if b.Label.Title == "good" {
			good = b.ID
		}
	}
	x.sqlite(`DELETE FROM orders WHERE id % 2 = 0; CREATE TABLE leftover (id int)`)
	x.ok(x.ada.Unlocked(x.Context(), "app", "restore", "shop", good, "--wait").Err())
	if got := x.dump(); got != x.good {
		x.Errorf("the application's database is not what it was: %d bytes of SQL, want %d", len(got), len(x.good))
	}
}

// slots waits for a slot of the policy, and one of the application's schedule, that came after a time and whose backups succeed.
func (x *disaster) slots(after time.Time) {
	x.Helper()
	x.until("a slot of the policy and one of the schedule", func() bool {
		var out struct {
			Runs struct {
				Edges []struct {
					Node struct {
						State    string
						Slot     *time.Time
						Policy   *struct{ Name string }
						Schedule *struct{ Name string }
					}
				}
			}
		}
		x.ok(x.owner.Do(x.Context(), `{ runs(first: 40) { edges { node { state slot policy { name } schedule { name } } } } }`, nil, &out))
		files, rows := false, false
		for _, e := range out.Runs.Edges {
			if n := e.Node; n.Slot != nil && n.Slot.After(after) && n.State == "SUCCEEDED" {
				files, rows = files || n.Policy != nil, rows || n.Schedule != nil
			}
		}
		return files && rows
	})
}
