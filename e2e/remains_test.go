//go:build linux

package e2e

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"github.com/holdfast-backup/holdfast/wire/id"
)

// copyNow has the worker write its copy of the database, and waits for it.
func (x *disaster) copyNow() {
	x.Helper()
	before := x.copies(x.store)
	x.ok(x.admin.Do(x.Context(), `mutation { runCare(input: {kind: "selfbackup"}) { ok } }`, nil, nil))
	x.until("a copy of the database", func() bool { return len(x.copies(x.store)) > len(before) })
	for name := range x.copies(x.store) {
		if !before[name] {
			x.copied = name
		}
	}
	x.copiedAt = time.Now()
}

func (x *disaster) copies(store string) map[string]bool {
	x.Helper()
	list, err := filepath.Glob(filepath.Join(store, "meta", "*.age"))
	x.ok(err)
	names := map[string]bool{}
	for _, f := range list {
		names["meta/"+filepath.Base(f)] = true
	}
	return names
}

// lineBreaks waits until the replica has all that matters so far; from then on it gets nothing more, while the server believes that it does.
func (x *disaster) lineBreaks() {
	x.Helper()
	x.ok(x.admin.Do(x.Context(), `mutation { runCare(input: {kind: "replicate"}) { ok } }`, nil, nil))
	x.until("the replica", func() bool {
		_, err := os.Stat(x.record(x.replica, x.kept["second"].snapshot))
		return err == nil && x.copies(x.replica)[x.copied]
	})
	behind := x.replica + " behind"
	x.ok(exec.CommandContext(x.Context(), "cp", "-a", x.replica, behind).Run())
	x.replica = behind
}

// record is the file of a snapshot in a store.
func (x *disaster) record(store, snapshot string) string {
	x.Helper()
	var sn id.Snapshot
	x.ok(sn.UnmarshalText([]byte(snapshot)))
	list, err := filepath.Glob(filepath.Join(store, "spaces", "*", "snapshots", sn.UUID()))
	x.ok(err)
	if len(list) != 1 {
		return filepath.Join(store, "none")
	}
	return list[0]
}

// forget takes a snapshot's record from the store: the machine burnt when its packs were there already.
func (x *disaster) forget(snapshot string) { x.Helper(); x.ok(os.Remove(x.record(x.store, snapshot))) }

// tear leaves half of a newer copy of the database in the replica, and returns its name.
func (x *disaster) tear() string {
	x.Helper()
	b, err := os.ReadFile(filepath.Join(x.replica, x.copied))
	x.ok(err)
	at, rest, _ := strings.Cut(strings.TrimPrefix(x.copied, "meta/"), "z-")
	made, err := time.Parse("2006-01-02t15-04-05", at)
	x.ok(err)
	name := "meta/" + made.Add(time.Minute).Format("2006-01-02t15-04-05") + "z-" + rest
	x.ok(os.WriteFile(filepath.Join(x.replica, name), b[:len(b)/2], 0o600))
	return name
}

// monthsPass lets what was deleted be past taking back, and what is stored be old.
func (x *disaster) monthsPass() {
	x.Helper()
	psql(x.T, x.s, `UPDATE snapshots SET deleted_at = deleted_at - interval '60 days', purge_after = purge_after - interval '60 days' WHERE deleted_at IS NOT NULL;
		UPDATE packs SET created_at = created_at - interval '60 days'`)
}

// sound asks the operator's tools.
func (x *disaster) sound() {
	x.Helper()
	for _, args := range [][]string{{"scrub", "--all"}, {"doctor"}} {
		if err := x.s.Holdfast(x.Context(), args...).Err(); err != nil {
			x.Error(err)
		}
	}
}
