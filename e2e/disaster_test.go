//go:build linux

package e2e

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/holdfast-backup/holdfast/e2e/stack"
)

// TestDisaster is a machine that burns, twice. What is left is first the store, then a replica that is behind and whose newest copy of the
// database is torn. A server is made again as docs/operations.md says; the device, which nobody touches, its owner and the administrator go on.
func TestDisaster(t *testing.T) {
	t.Parallel()
	x := newDisaster(t)
	x.before()
	x.burn(x.data)

	t.Log("the store is left")
	x.fromStore()
	x.burn(x.data, x.store)

	t.Log("a replica is left")
	x.fromReplica()
}

// before is the life until the first fire.
func (x *disaster) before() {
	x.settle()
	first := x.backUp()
	x.keep("first", first.ID)
	x.ok(x.s.Holdfast(x.Context(), "backup", "create", "--application", "shop", "--type", "full", "--name", "good", "--wait").Err())
	x.good = x.dump()
	x.write("second.bin", noise(21, 400_000))
	x.keep("second", x.backUp().ID)

	// The copy, in store and replica; then the line to the replica breaks.
	x.copyNow()
	x.lineBreaks()

	// What comes after the copy: a person, a device, and two backups. Of the second the packs are there, and the rest came too late.
	bob := person(x.T, x.s)
	bobs := filepath.Join(x.TempDir(), "files")
	grow(x.T, bobs, 22, 5, 50_000)
	mustBackup(x.T, bob, bobs)
	x.bob = bob
	x.tablet = x.ada.Another(filepath.Join(x.TempDir(), "state"))
	x.ok(x.tablet.Enroll(x.Context(), "tablet"))
	x.keep("tablet", mustBackup(x.T, x.tablet, x.home).Snapshot)
	x.write("third.bin", noise(23, 500_000))
	x.keep("third", x.backUp().ID)
	x.write("fourth.bin", noise(24, 600_000))
	fourth := x.backUp().ID
	x.burning = func() { x.forget(fourth) }
}

// fromStore recovers from the store into a data directory, with private databases.
func (x *disaster) fromStore() {
	t := x.T
	var out recovery
	began := time.Now()
	x.ok(stack.Run(t.Context(), programs.Holdfast, nil, "recover", "--store", "file://"+x.store, "--identity", x.identity, "--data", x.data, "--json").JSON(&out))
	if out.Copy != x.copied || out.Users != 2 || len(out.Skipped) != 0 {
		t.Errorf("recover says %+v", out)
	}
	if f := out.Findings; f.Damaged+f.Missing+f.Incomplete != 0 || f.Adopted == 0 || f.Restored < 1 {
		t.Errorf("recover found %+v", f)
	}
	x.up(nil, x.data, strings.Fields(out.Next)[1:]...)

	// The owner, with the password of before; the backups, older and newer than the copy.
	x.login()
	for _, name := range []string{"first", "second", "third", "tablet"} {
		x.comesBack(name)
	}
	// The device goes on by itself. It has what its last backup, of which nobody knows, has stored: only what is new is sent.
	x.write("fifth.bin", noise(25, 300_000))
	fifth := x.backUp()
	if n := fifth.UploadedBytes; n < 300_000 || n > 300_000+2*oneLeaf {
		t.Errorf("the first backup after the recovery sent %d bytes, of which 300,000 are new", n)
	}
	x.keep("fifth", fifth.ID)
	x.comesBack("fifth")
	x.application()

	// Whoever came after the copy is unknown, is told so, and may come again.
	for _, a := range []*stack.Agent{x.bob, x.tablet} {
		if r := a.Run(t.Context(), "backup", x.home, "--retry-for", "1s"); r.Code != 1 || !strings.Contains(r.Stderr, "enroll --replace") {
			t.Errorf("a device that came after the copy: exit code %d\n%s", r.Code, r.Stderr)
		}
	}
	x.ok(x.tablet.Run(t.Context(), "enroll", x.s.URL, "--replace", "--email", x.ada.Email, "--password-file", x.ada.PasswordFile, "--name", "tablet").Err())
	x.keep("tablet", mustBackup(t, x.tablet, x.home).Snapshot)
	again, err := x.s.Person(t.Context(), filepath.Join(t.TempDir(), "again"), x.bob.Email, "Person", "staff")
	x.ok(err)
	x.ok(again.Enroll(t.Context(), "laptop"))
	if b := mustBackup(t, again, x.media); b.Problems != 0 {
		t.Errorf("the backup of a person who came again: %+v", b)
	}

	// Cleaning takes what nobody needs, and nothing else.
	x.ok(x.ada.Unlocked(t.Context(), "delete", x.kept["first"].snapshot).Err())
	x.ok(x.ada.Unlocked(t.Context(), "delete", x.kept["second"].snapshot).Err())
	x.monthsPass()
	var purged, objects int64
	x.until("the objects that nobody needs are gone", func() bool { // while a device backs up, they stay
		var gc struct {
			Spaces []struct{ Purged, Objects int64 }
		}
		x.ok(x.s.Holdfast(t.Context(), "gc", "--json").JSON(&gc))
		for _, s := range gc.Spaces {
			purged += s.Purged
			objects += s.Objects
		}
		return objects > 0
	})
	if purged != 2 {
		t.Errorf("gc after a recovery purged %d snapshots, of which 2 were deleted", purged)
	}
	for _, name := range []string{"third", "fifth", "tablet"} {
		x.comesBack(name)
	}
	x.sound()
	x.slots(began)
}

// fromReplica recovers from the replica into outside databases, and runs the halves apart.
func (x *disaster) fromReplica() {
	t := x.T
	torn := x.tear()
	env, database := elsewhere(t)
	secret := filepath.Join(t.TempDir(), "secret")
	env = append(env, "HOLDFAST_STORE=file://"+x.replica, "HOLDFAST_SECRET_FILE="+secret)
	var out recovery
	x.ok(stack.Run(t.Context(), programs.Holdfast, nil, "recover", "--store", "file://"+x.replica, "--identity", x.identity, "--database-url", database, "--secret-file", secret, "--json").JSON(&out))
	if out.Copy != x.copied || out.Users != 2 || len(out.Skipped) != 1 || out.Skipped[0].Name != torn || !strings.Contains(out.Skipped[0].Reason, "damaged") {
		t.Errorf("recover says %+v", out)
	}
	x.up(env, "", "server")
	stop, err := stack.Background(programs.Holdfast, env, "worker")
	x.ok(err)
	t.Cleanup(func() { x.ok(stop()) })

	// The device is ahead of the server: what the replica never had is sent again.
	x.login()
	x.comesBack("first")
	x.comesBack("second")
	again := x.backUp()
	if again.UploadedBytes < 1_400_000 {
		t.Errorf("the third to fifth file are missing in the replica, and %d bytes were sent", again.UploadedBytes)
	}
	x.keep("again", again.ID)
	x.comesBack("again")
	x.application()
	x.slots(x.copiedAt) // one at least came since, and its run burnt: it is written again
	x.sound()
	if names := x.snapshots(); slices.Contains(names, x.kept["third"].snapshot) {
		t.Errorf("a snapshot that the replica never had is listed: %v", names)
	}
	if _, err := os.Stat(x.store); !os.IsNotExist(err) {
		t.Errorf("the lost store is there again: %v", err)
	}
}
