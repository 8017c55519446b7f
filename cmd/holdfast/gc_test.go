//go:build unix

package main

import (
	"path/filepath"
	"strings"
	"testing"

	"github.com/holdfast-backup/holdfast/depot"
	"github.com/holdfast-backup/holdfast/depot/actor"
	"github.com/holdfast-backup/holdfast/depot/catalog"
	"github.com/holdfast-backup/holdfast/depot/pg/pgtest"
	"github.com/holdfast-backup/holdfast/wire/id"
	"github.com/holdfast-backup/holdfast/wire/pack"
)

// made is an installation with a person, their device and one backup of it.
type made struct {
	place    []string
	depot    *depot.Depot
	owner    actor.Actor
	device   actor.Actor
	snapshot id.Snapshot
	space    id.Space
}

func madeBackup(t *testing.T) *made {
	t.Helper()
	_, database := pgtest.Empty(t)
	store := "file://" + filepath.Join(t.TempDir(), "store")
	m := &made{place: []string{"--database-url", database, "--store", store}}
	must(t, nil, append([]string{"migrate"}, m.place...)...)
	var inv struct{ Token string }
	must(t, &inv, append([]string{"invite", "--email", "ann@example.org", "--name", "Ann"}, m.place...)...)
	join(t, depot.Config{DatabaseURL: database}, inv.Token)
	var err error
	if m.depot, err = depot.Open(t.Context(), depot.Config{DatabaseURL: database, StoreURL: store}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(m.depot.Close)
	m.device = actor.Actor{Device: id.Device{}.New()}
	if err := m.depot.DB.Get(&m.owner.User, `SELECT id FROM users`); err != nil {
		t.Fatal(err)
	}
	m.owner.Role, m.device.User = actor.Staff, m.owner.User
	m.exec(t, `INSERT INTO devices (id, user_id, name, hostname, os, arch, agent_version, public_key, mac, token_hash)
		VALUES ($1, $2, 'd', 'h', 'linux', 'amd64', '1', '', '', $3)`, m.device.Device, m.owner.User, m.device.Device[:])

	b, err := m.depot.Catalog.Begin(t.Context(), m.device, nil)
	if err != nil {
		t.Fatal(err)
	}
	w := pack.NewWriter(nil)
	root := id.Object{1}
	w.AddNode(root, nil, nil, func(dst []byte) []byte { return append(dst, "sealed"...) })
	bytes, name := w.Finish()
	in := catalog.UploadInput{Backup: b.ID, Fence: b.Fence, Name: name, Size: int64(len(bytes))}
	if _, err := m.depot.Catalog.Upload(t.Context(), m.device, in, strings.NewReader(string(bytes))); err != nil {
		t.Fatal(err)
	}
	sn, err := m.depot.Catalog.Commit(t.Context(), m.device, catalog.CommitInput{Backup: b.ID, Fence: b.Fence, Root: root, Manifest: []byte("sealed")})
	if err != nil {
		t.Fatal(err)
	}
	m.snapshot = sn.ID
	if err := m.depot.DB.Get(&m.space, `SELECT public_id FROM spaces`); err != nil {
		t.Fatal(err)
	}
	return m
}

func (m *made) exec(t *testing.T, query string, args ...any) {
	t.Helper()
	if _, err := m.depot.DB.Exec(query, args...); err != nil {
		t.Fatal(err)
	}
}

func TestGC(t *testing.T) {
	t.Parallel()
	m := madeBackup(t)
	type report struct {
		DryRun bool `json:"dry_run"`
		Spaces []struct {
			Space                            string
			Purged, Objects, Swept, Unlinked int64
			Busy                             bool
		}
	}
	clean := func(args ...string) (r report) {
		t.Helper()
		must(t, &r, append(append([]string{"gc"}, args...), m.place...)...)
		if len(r.Spaces) != 1 || r.Spaces[0].Space != m.space.String() {
			t.Fatalf("%+v", r)
		}
		return r
	}
	if r := clean(); r.DryRun || r.Spaces[0].Objects != 0 {
		t.Errorf("%+v", r)
	}
	if err := m.depot.Catalog.DeleteSnapshot(t.Context(), m.owner, m.snapshot); err != nil {
		t.Fatal(err)
	}
	if r := clean("--space", m.space.String()); r.Spaces[0].Purged != 0 {
		t.Errorf("%+v", r)
	}
	m.exec(t, `UPDATE snapshots SET purge_after = now()`)
	m.exec(t, `UPDATE packs SET created_at = now() - interval '30 days'`)
	if r := clean("--dry-run"); !r.DryRun || r.Spaces[0].Purged != 1 || r.Spaces[0].Objects != 1 || r.Spaces[0].Swept != 0 {
		t.Errorf("%+v", r)
	}
	code, out, _ := once(t, append([]string{"gc"}, m.place...)...)
	for _, words := range []string{m.space.String(), "1 deleted snapshots are past", "1 objects are not needed", "1 packs went into quarantine", "1 spaces"} {
		if code != 0 || !strings.Contains(out, words) {
			t.Errorf("exit code %d, no %q in\n%s", code, words, out)
		}
	}
	m.exec(t, `UPDATE packs SET swept_at = now() - interval '2 days'`)
	if r := clean(); r.Spaces[0].Unlinked != 1 {
		t.Errorf("%+v", r)
	}

	if _, err := m.depot.Catalog.Begin(t.Context(), m.device, nil); err != nil {
		t.Fatal(err)
	}
	if code, out, _ := once(t, append([]string{"gc"}, m.place...)...); code != 0 || !strings.Contains(out, "backups are running") {
		t.Errorf("%d\n%s", code, out)
	}
	if code, out, _ := once(t, append([]string{"gc", "--space", id.Space{}.New().String()}, m.place...)...); code != 1 || !strings.Contains(out, "FAILED: there is no such space") {
		t.Errorf("%d\n%s", code, out)
	}
	if code, _, errs := once(t, append([]string{"gc", "--space", "x"}, m.place...)...); code != 2 || !strings.Contains(errs, "--space x") {
		t.Errorf("%d\n%s", code, errs)
	}
	if code, _, errs := once(t, "gc", m.place[0], m.place[1]); code != 2 || !strings.Contains(errs, "--store") {
		t.Errorf("%d\n%s", code, errs)
	}
	m.exec(t, `UPDATE goose_db_version SET is_applied = false WHERE version_id > 5`)
	if code, _, errs := once(t, append([]string{"gc"}, m.place...)...); code != 1 || !strings.Contains(errs, "holdfast migrate") {
		t.Errorf("%d\n%s", code, errs)
	}
}
