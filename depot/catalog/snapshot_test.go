package catalog

import (
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/holdfast-backup/holdfast/depot/actor"
	"github.com/holdfast-backup/holdfast/wire/fault"
	"github.com/holdfast-backup/holdfast/wire/id"
)

func TestSnapshotsPaging(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	anna, ben := w.user(), w.user()
	d1, d2 := w.device(anna), w.device(anna)
	var all []id.Snapshot
	for i := range 7 {
		sn, _ := w.backup([]actor.Actor{d1, d2}[i%2], 1)
		all = append(all, sn.ID)
	}
	w.backup(w.device(ben), 1)
	w.exec(`UPDATE snapshots SET created_at = '2026-01-01' WHERE id IN ($1, $2, $3)`, all[0], all[1], all[2]) // a tie
	var got []id.Snapshot
	after, pages := "", 0
	for {
		p := must(w.Snapshots(w.ctx, anna, SnapshotFilter{}, 2, after))(t)
		if p.TotalCount != 7 {
			t.Errorf("total %d", p.TotalCount)
		}
		for _, sn := range p.Snapshots {
			got = append(got, sn.ID)
			after = sn.Cursor()
		}
		pages++
		if !p.HasNext {
			break
		}
	}
	slices.Reverse(all)
	if !slices.Equal(got, all) || pages != 4 {
		t.Errorf("got %v in %d pages, want %v", got, pages, all)
	}
	if p := must(w.Snapshots(w.ctx, anna, SnapshotFilter{Device: &d2.Device}, 50, ""))(t); len(p.Snapshots) != 3 || p.TotalCount != 3 || p.HasNext {
		t.Errorf("%+v", p)
	}
	if p := must(w.Snapshots(w.ctx, anna, SnapshotFilter{}, 0, ""))(t); len(p.Snapshots) != 0 || !p.HasNext {
		t.Errorf("%+v", p)
	}
	if p := must(w.Snapshots(w.ctx, w.user(), SnapshotFilter{Device: &d2.Device}, 50, ""))(t); len(p.Snapshots) != 0 || p.TotalCount != 0 {
		t.Errorf("a stranger sees %+v", p)
	}
	for _, first := range []int{-1, MaxPage + 1} {
		_, err := w.Snapshots(w.ctx, anna, SnapshotFilter{}, first, "")
		wantKind(t, err, fault.Invalid)
	}
	for _, cursor := range []string{"x", "AAAA", strings.Repeat("_", 32)} {
		_, err := w.Snapshots(w.ctx, anna, SnapshotFilter{}, 1, cursor)
		wantKind(t, err, fault.Invalid)
	}

	latest := must(w.LatestSnapshots(w.ctx, anna, []id.Device{d1.Device, d2.Device, id.Device{}.New()}))(t)
	if len(latest) != 2 || latest[d1.Device].ID != all[0] || latest[d2.Device].ID != all[1] {
		t.Errorf("latest %+v", latest)
	}
	if m := must(w.LatestSnapshots(w.ctx, ben, []id.Device{d1.Device}))(t); len(m) != 0 {
		t.Error("a stranger sees the latest snapshot")
	}
	if m := must(w.LatestSnapshots(w.ctx, d1, []id.Device{d1.Device, d2.Device}))(t); len(m) != 1 || m[d1.Device] == nil {
		t.Error("a device sees its own latest snapshot, and no other")
	}
	u := must(w.Usage(w.ctx, anna, anna.User))(t)
	if u.Snapshots != 7 || u.Objects != 21 || u.ProtectedBytes != 600 || u.LogicalBytes != 2100 || u.StoredBytes == 0 {
		t.Errorf("%+v", u)
	}
}

// Whoever is not the owner learns nothing and changes nothing.
func TestReadsAreScoped(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	anna := w.user()
	dev := w.device(anna)
	sn, packs := w.backup(dev, 2)
	recovery := anna
	recovery.ByRecovery = true
	for name, c := range map[string]struct {
		a                             actor.Actor
		snapshot, list, locate, usage fault.Kind
	}{
		"nobody":   {actor.Actor{}, fault.Unauthenticated, fault.Unauthenticated, fault.Unauthenticated, fault.Unauthenticated},
		"device":   {dev, fault.Forbidden, fault.Forbidden, fault.Forbidden, fault.Forbidden},
		"recovery": {recovery, "", "", "", ""},
		"stranger": {w.user(), fault.NotFound, "", "", fault.Forbidden},
		"admin":    {actor.Actor{User: w.user().User, Role: actor.Admin}, fault.NotFound, "", "", ""},
		"owner":    {anna, "", "", "", ""},
	} {
		kind := func(err error) fault.Kind {
			if err == nil {
				return ""
			}
			return fault.KindOf(err)
		}
		mine := c.a.User == anna.User && !c.a.IsDevice()
		if _, err := w.Snapshot(w.ctx, c.a, sn.ID); kind(err) != c.snapshot {
			t.Errorf("%s: snapshot: %v", name, err)
		}
		// With the recovery code one may read, and delete nothing.
		refusal := c.snapshot
		if c.a.ByRecovery {
			refusal = fault.Forbidden
		}
		if name != "owner" {
			if err := w.DeleteSnapshot(w.ctx, c.a, sn.ID); kind(err) != refusal {
				t.Errorf("%s: delete: %v", name, err)
			}
		}
		p, err := w.Snapshots(w.ctx, c.a, SnapshotFilter{}, 10, "")
		if kind(err) != c.list || err == nil && (len(p.Snapshots) != 0) != mine {
			t.Errorf("%s: list: %+v, %v", name, p, err)
		}
		l, err := w.Locations(w.ctx, c.a, packs[0].ids)
		if kind(err) != c.locate || err == nil && (len(l.Packs) != 0) != mine {
			t.Errorf("%s: locations: %+v, %v", name, l, err)
		}
		if _, err := w.Usage(w.ctx, c.a, anna.User); kind(err) != c.usage {
			t.Errorf("%s: usage: %v", name, err)
		}
	}
	must(w.Snapshot(w.ctx, anna, sn.ID))(t)
}

func TestDeleteSnapshot(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	anna := w.user()
	dev := w.device(anna)
	sn, _ := w.backup(dev, 2)
	// The store fails: nothing happened.
	for _, step := range []string{"stat", "create", "write", "commit", "committed"} {
		w.store.on(func(op, name string) error {
			if op == step {
				return errDisk
			}
			return nil
		})
		if err := w.DeleteSnapshot(w.ctx, anna, sn.ID); !errors.Is(err, errDisk) {
			t.Errorf("%s: %v", step, err)
		}
		must(w.Snapshot(w.ctx, anna, sn.ID))(t)
		if w.blobs(deletedSuffix) != 0 {
			t.Errorf("%s left a deletion's record", step)
		}
	}
	w.store.on(nil)
	if err := w.DeleteSnapshot(w.ctx, anna, sn.ID); err != nil {
		t.Fatal(err)
	}
	_, err := w.Snapshot(w.ctx, anna, sn.ID)
	wantKind(t, err, fault.NotFound)
	wantKind(t, w.DeleteSnapshot(w.ctx, anna, sn.ID), fault.NotFound)
	if n := get[int](w, `SELECT count(*) FROM audit_events WHERE kind = 'snapshot.deleted' AND owner_id = $1`, anna.User); n != 1 {
		t.Errorf("%d lines in the log", n)
	}
	if p := must(w.Snapshots(w.ctx, anna, SnapshotFilter{}, 10, ""))(t); len(p.Snapshots) != 0 || p.TotalCount != 0 {
		t.Errorf("%+v", p)
	}
	if m := must(w.LatestSnapshots(w.ctx, anna, []id.Device{dev.Device}))(t); len(m) != 0 {
		t.Error("the latest snapshot is deleted")
	}
	if u := must(w.Usage(w.ctx, anna, anna.User))(t); u.Snapshots != 0 || u.Objects == 0 {
		t.Errorf("%+v", u)
	}
}

func TestLocations(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	anna := w.user()
	_, packs := w.backup(w.device(anna), 5)
	unknown := object()
	ids := []id.Object{packs[1].ids[0], unknown, packs[0].ids[4], packs[0].ids[0], packs[0].ids[4]}
	l := must(w.Locations(w.ctx, anna, ids))(t)
	if len(l.Packs) != 2 || len(l.Table) != 12*len(ids) {
		t.Fatalf("%+v", l)
	}
	for _, p := range l.Packs {
		if p.URL != "/packs/"+p.Name || time.Until(p.ExpiresAt) < time.Minute {
			t.Errorf("%+v", p)
		}
	}
	if at, _, _ := row(l.Table, 1); at != absent {
		t.Error("an unknown object has a place")
	}
	at, off, n := row(l.Table, 2)
	at2, off2, n2 := row(l.Table, 4)
	if at != at2 || off != off2 || n != n2 || off != 4*32 || n != 32 || l.Packs[at].Name != packs[0].name.String() {
		t.Errorf("%d %d %d", at, off, n)
	}
	_, err := w.Locations(w.ctx, anna, make([]id.Object, MaxIDs+1))
	wantKind(t, err, fault.TooLarge)
	if l := must(w.Locations(w.ctx, w.user(), ids))(t); len(l.Packs) != 0 || len(l.Table) != 12*len(ids) {
		t.Errorf("a user without a space sees %+v", l)
	}
}

func TestPackFile(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	anna := w.user()
	_, packs := w.backup(w.device(anna), 5)
	m := packs[0]
	space := w.spaceOf(anna)
	_, err := w.OpenPack(w.ctx, space, sum(nil))
	wantKind(t, err, fault.NotFound)
	_, err = w.OpenPack(w.ctx, id.Space{}.New(), m.name)
	wantKind(t, err, fault.NotFound)

	srv := httptest.NewServer(http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		f, err := w.OpenPack(r.Context(), space, m.name)
		if err != nil {
			t.Error(err)
			return
		}
		defer f.Close()
		http.ServeContent(rw, r, "", time.Time{}, f)
	}))
	defer srv.Close()
	fetch := func(rng string) (int, string, error) {
		req := must(http.NewRequest("GET", srv.URL, nil))(t)
		if rng != "" {
			req.Header.Set("Range", rng)
		}
		req.Header.Set("Content-Type", "application/octet-stream")
		res := must(srv.Client().Do(req))(t)
		defer res.Body.Close()
		b, err := io.ReadAll(res.Body)
		return res.StatusCode, string(b), err
	}
	if code, b, err := fetch(""); code != 200 || b != string(m.bytes) || err != nil {
		t.Error("whole:", code, len(b), err)
	}
	if code, b, err := fetch("bytes=10-41"); code != 206 || b != string(m.bytes[10:42]) || err != nil {
		t.Error("range:", code, len(b), err)
	}
	if code, b, err := fetch("bytes=-5"); code != 206 || b != string(m.bytes[len(m.bytes)-5:]) || err != nil {
		t.Error("end:", code, len(b), err)
	}
	if code, _, _ := fetch("bytes=99999-"); code != 416 {
		t.Error("beyond the end:", code)
	}
	// A truncated pack must not look like a whole one.
	w.mem.Corrupt(packName(space, m.name), func(b []byte) []byte { return b[:50] })
	if _, b, err := fetch("bytes=0-99"); err == nil {
		t.Errorf("%d bytes of a truncated pack and no error", len(b))
	}
	f := must(w.OpenPack(w.ctx, space, m.name))(t)
	if _, err := f.Seek(-1, io.SeekStart); err == nil {
		t.Error("a seek before the beginning")
	}
}
