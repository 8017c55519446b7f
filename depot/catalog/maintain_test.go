package catalog

import (
	"bytes"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/holdfast-backup/holdfast/depot/actor"
	"github.com/holdfast-backup/holdfast/depot/blob"
	"github.com/holdfast-backup/holdfast/wire/fault"
	"github.com/holdfast-backup/holdfast/wire/id"
)

// dump is every row of the catalog that a rebuild must bring back, with names where the database has numbers.
func (w *world) dump() string {
	w.t.Helper()
	var b strings.Builder
	for _, q := range []string{
		`SELECT concat_ws(' ', public_id, owner_id, chunk_min, chunk_avg, chunk_max, created_at) FROM spaces ORDER BY public_id`,
		`SELECT concat_ws(' ', s.public_id, encode(p.name, 'hex'), p.size, p.objects, p.shadowed, p.damaged_at, p.lost)
			FROM packs p JOIN spaces s ON s.id = p.space_id ORDER BY 1`,
		`SELECT concat_ws(' ', s.public_id, o.id, encode(p.name, 'hex'), o."offset", o.length)
			FROM objects o JOIN packs p ON p.id = o.pack_id JOIN spaces s ON s.id = o.space_id AND s.id = p.space_id ORDER BY 1`,
		`SELECT concat_ws(' ', s.public_id, n.id, encode(n.children, 'hex'), encode(n.data, 'hex'), n.complete)
			FROM nodes n JOIN spaces s ON s.id = n.space_id ORDER BY 1`,
		`SELECT concat_ws(' ', s.public_id, sn.id, sn.device_id, sn.backup_id, sn.root, encode(sn.manifest, 'hex'), sn.created_at, sn.files,
			sn.bytes, sn.problems, sn.uploaded_bytes, sn.deleted_at, sn.application_id, sn.part, sn.origin, sn.title, sn.schedule_id) FROM snapshots sn JOIN spaces s ON s.id = sn.space_id ORDER BY 1`,
	} {
		var rows []string
		if err := w.db.Select(&rows, q); err != nil {
			w.t.Fatal(err)
		}
		fmt.Fprintf(&b, "%d rows\n%s\n", len(rows), strings.Join(rows, "\n"))
	}
	return b.String()
}

func TestRebuildIndex(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	anna, ben := w.user(), w.user()
	var packs []made
	for range 3 {
		_, p := w.backup(w.device(anna), 40)
		packs = append(packs, p...)
	}
	deleted, _ := w.backup(w.device(anna), 5)
	if err := w.DeleteSnapshot(w.ctx, anna, deleted.ID); err != nil {
		t.Fatal(err)
	}
	benSnapshot, benPacks := w.backup(w.device(ben), 40)
	shop := w.application(w.device(ben), "Shop")
	w.labelled(shop, Label{Part: Full, Origin: MadeForUndo, Title: "Before"})
	before := w.dump()
	for _, tables := range []string{"objects, nodes, packs, snapshots CASCADE", "nodes", "objects", "snapshots", "backups, spaces CASCADE; TRUNCATE objects, nodes"} {
		w.exec(`TRUNCATE ` + tables)
		told := 0
		r, err := w.RebuildIndex(w.ctx, system, func(Report) { told++ })
		if err != nil {
			t.Fatal(err)
		}
		if len(r.Problems) != 0 || r.Packs != 12 || r.Verified != 12 || r.Snapshots != 6 {
			t.Errorf("%s: %+v", tables, r)
		}
		if after := w.dump(); after != before {
			t.Fatalf("after TRUNCATE %s the rows are\n%s\nthey were\n%s", tables, after, before)
		}
	}
	w.readable(anna, packs...)
	w.readable(ben, benPacks...)
	must(w.Snapshot(w.ctx, ben, benSnapshot.ID))(t)
	_, err := w.Snapshot(w.ctx, anna, deleted.ID)
	wantKind(t, err, fault.NotFound)
	if r := must(w.RebuildIndex(w.ctx, system, nil))(t); r.Adopted != 0 || r.Objects != 0 || r.Restored != 0 || r.Rewritten != 0 {
		t.Errorf("a second run did something: %+v", r)
	}
}

// Devices were lost too: they come back as revoked ones, so that their owner's lists can say what snapshots are of, and let nobody in.
func TestRebuildWithoutDevices(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	anna, ben := w.user(), w.user()
	dev := w.device(anna)
	known := w.device(anna)
	sn, packs := w.backup(dev, 3)
	w.backup(known, 3)
	shop := w.application(dev, "Shop")
	label := w.labelled(shop, Label{Part: Full, Origin: MadeByBackup, Title: "Before"})
	benSnapshot, _ := w.backup(w.device(ben), 3)
	benSpace := w.spaceOf(ben)
	w.exec(`TRUNCATE snapshots, objects, nodes`)
	w.exec(`DELETE FROM devices WHERE id <> $1`, known.Device)
	w.exec(`UPDATE spaces SET owner_id = NULL WHERE public_id = $1`, benSpace) // it finds its owner later than its snapshots
	for range 2 {
		must(w.RebuildIndex(w.ctx, system, nil))(t)
	}
	for _, d := range []id.Device{dev.Device, benSnapshot.DeviceID} {
		if got := get[string](w, `SELECT name || ', ' || (revoked_at IS NOT NULL) || ', ' || length(public_key) || ', ' || length(token_hash) FROM devices WHERE id = $1`, d); got != "recovered device, true, 0, 16" {
			t.Errorf("the device is %s", got)
		}
	}
	if n := get[int](w, `SELECT count(*) FROM devices`); n != 3 {
		t.Errorf("%d devices", n)
	}
	if n := get[int](w, `SELECT count(*) FROM devices WHERE id = $1 AND revoked_at IS NULL AND name <> 'recovered device'`, known.Device); n != 1 {
		t.Error("a device that was known was changed")
	}
	must(w.Snapshot(w.ctx, anna, sn.ID))(t)
	w.readable(anna, packs...)
	if got := must(w.Snapshot(w.ctx, anna, label.ID))(t); got.Label == nil || got.Label.Title != "Before" {
		t.Errorf("the application's snapshot has the label %+v", got.Label)
	}
}

// The users table was lost too. Their spaces come back without an owner, and find them when they are back.
func TestRebuildWithoutOwners(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	anna := w.user()
	sn, packs := w.backup(w.device(anna), 3)
	space := w.spaceOf(anna)
	w.exec(`CREATE TABLE kept AS SELECT * FROM users; TRUNCATE users, spaces CASCADE; TRUNCATE objects, nodes`)
	if r := must(w.RebuildIndex(w.ctx, system, nil))(t); r.Restored != 1 || r.Ownerless != 1 || len(r.Problems) != 1 {
		t.Fatalf("%+v", r)
	}
	if n := get[int](w, `SELECT count(*) FROM spaces WHERE public_id = $1 AND owner_id IS NULL`, space); n != 1 {
		t.Error("the space should have no owner")
	}
	_, err := w.Snapshot(w.ctx, anna, sn.ID)
	wantKind(t, err, fault.NotFound)
	w.exec(`INSERT INTO users SELECT * FROM kept`)
	must(w.RebuildIndex(w.ctx, system, nil))(t)
	must(w.Snapshot(w.ctx, anna, sn.ID))(t)
	w.readable(anna, packs...)
}

// The space's record is lost as well: its devices tell whose it is.
func TestRebuildFindsTheOwnerByDevices(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	anna := w.user()
	sn, packs := w.backup(w.device(anna), 3)
	w.mem.Delete(w.ctx, spaceName(w.spaceOf(anna)))
	w.exec(`TRUNCATE spaces CASCADE; TRUNCATE objects, nodes`)
	if r := must(w.RebuildIndex(w.ctx, system, nil))(t); r.Restored != 1 || r.Ownerless != 0 {
		t.Fatalf("%+v", r)
	}
	must(w.Snapshot(w.ctx, anna, sn.ID))(t)
	w.readable(anna, packs...)
	// A user who has begun anew keeps what is new: the old space waits.
	w.exec(`UPDATE spaces SET owner_id = NULL`)
	w.begin(w.device(anna))
	if r := must(w.RebuildIndex(w.ctx, system, nil))(t); r.Ownerless != 1 {
		t.Errorf("%+v", r)
	}
}

func TestRebuildReportsWhatIsWrong(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	anna := w.user()
	dev := w.device(anna)
	good, _ := w.backup(dev, 3)
	hurt, hurtPacks := w.backup(dev, 3)
	rootless, rootlessPacks := w.backup(dev, 3)
	w.corrupt(anna, hurtPacks[0])
	w.lose(anna, rootlessPacks[1])
	space := w.spaceOf(anna)
	w.put(w.ctx, "spaces/stray", []byte("x"))
	w.put(w.ctx, snapshotName(space, id.Snapshot{}.New()), []byte("x"))
	w.exec(`TRUNCATE spaces CASCADE; TRUNCATE objects, nodes`)
	r := must(w.RebuildIndex(w.ctx, system, nil))(t)
	if r.Packs != 5 || r.Verified != 4 || r.Damaged != 1 || r.Foreign != 2 || r.Restored != 2 || r.Incomplete != 2 || len(r.Problems) != 5 {
		t.Errorf("%+v", r)
	}
	must(w.Snapshot(w.ctx, anna, good.ID))(t)
	must(w.Snapshot(w.ctx, anna, hurt.ID))(t) // what is left of it can be restored
	_, err := w.Snapshot(w.ctx, anna, rootless.ID)
	wantKind(t, err, fault.NotFound)
	if loc := must(w.Locations(w.ctx, anna, hurtPacks[0].ids))(t); len(loc.Packs) != 0 {
		t.Error("a wrong pack was indexed")
	}
}

// A store that does not answer, or is empty where it should not be, changes nothing.
func TestMaintenanceNeverActsOnDoubt(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	anna := w.user()
	_, packs := w.backup(w.device(anna), 3)
	before := w.dump()
	run := map[string]func() error{
		"scrub":   func() error { _, err := w.Scrub(w.ctx, system, 0, nil); return err },
		"rebuild": func() error { _, err := w.RebuildIndex(w.ctx, system, nil); return err },
	}
	for _, step := range []string{"list", "open"} {
		w.store.on(func(op, name string) error {
			if op == step {
				return errDisk
			}
			return nil
		})
		for name, f := range run {
			if err := f(); !errors.Is(err, errDisk) {
				t.Errorf("%s with a failing %s: %v", name, step, err)
			}
		}
	}
	w.store.on(nil)
	// An empty directory where the disk should be mounted.
	for _, m := range packs {
		w.lose(anna, m)
	}
	for name, f := range run {
		if err := f(); fault.KindOf(err) != fault.Unavailable {
			t.Errorf("%s of an empty store: %v", name, err)
		}
	}
	if after := w.dump(); after != before {
		t.Errorf("rows changed to\n%s", after)
	}
	for _, a := range []actor.Actor{{}, anna, w.device(anna), {User: anna.User, Role: actor.Admin}} {
		_, err := w.Scrub(w.ctx, a, 0, nil)
		_, err2 := w.RebuildIndex(w.ctx, a, nil)
		if err == nil || err2 == nil {
			t.Errorf("%+v may do maintenance", a)
		}
	}
}

func TestScrubReadsWhatIsDue(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	anna := w.user()
	_, packs := w.backup(w.device(anna), 3)
	if r := must(w.Scrub(w.ctx, system, time.Hour, nil))(t); r.Packs != 2 || r.Verified != 0 {
		t.Errorf("%+v", r)
	}
	w.exec(`UPDATE packs SET verified_at = now() - interval '2 hours' WHERE name = $1`, packs[0].name)
	if r := must(w.Scrub(w.ctx, system, time.Hour, nil))(t); r.Verified != 1 || r.BytesRead != int64(len(packs[0].bytes)) {
		t.Errorf("%+v", r)
	}
	if r := must(w.Scrub(w.ctx, system, time.Hour, nil))(t); r.Verified != 0 {
		t.Errorf("verified again: %+v", r)
	}
	// A pack of another length is wrong whenever it was verified.
	w.mem.Corrupt(packName(w.spaceOf(anna), packs[0].name), func(b []byte) []byte { return b[:len(b)-1] })
	if r := must(w.Scrub(w.ctx, system, time.Hour, nil))(t); r.Damaged != 1 {
		t.Errorf("%+v", r)
	}
}

// Every single flipped byte of a pack is found.
func TestScrubFindsEveryByte(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	anna := w.user()
	_, packs := w.backup(w.device(anna), 1)
	name := packName(w.spaceOf(anna), packs[1].name)
	for i := range packs[1].bytes {
		flip := func(b []byte) []byte { b[i] ^= 0x10; return b }
		w.mem.Corrupt(name, flip)
		if _, _, err := w.inspect(w.ctx, w.spaceOf(anna), packs[1].name); !errors.Is(err, errWrong) {
			t.Fatalf("byte %d: %v", i, err)
		}
		w.mem.Corrupt(name, flip)
	}
}

// Damage, from its discovery to its healing by the next backup of the device.
func TestDamageHeals(t *testing.T) {
	t.Parallel()
	for _, how := range []string{"wrong", "lost"} {
		for _, with := range []string{"same pack", "new pack", "repair"} {
			t.Run(how+", "+with, func(t *testing.T) {
				t.Parallel()
				w := newWorld(t)
				anna := w.user()
				dev := w.device(anna)
				sn, packs := w.backup(dev, 5)
				other, _ := w.backup(w.device(anna), 5)
				c := packs[0]
				root := id.Object(sn.Root)
				name := packName(w.spaceOf(anna), c.name)
				if how == "wrong" {
					w.corrupt(anna, c)
				} else {
					w.lose(anna, c)
				}
				r := must(w.Scrub(w.ctx, system, 0, nil))(t)
				if r.Damaged+r.Missing != 1 || r.Incomplete != 1 || len(r.Problems) != 2 {
					t.Fatalf("%+v", r)
				}
				if again := must(w.Scrub(w.ctx, system, time.Hour, nil))(t); again.Damaged+again.Missing != 1 {
					t.Errorf("the damage was not reported again: %+v", again)
				}
				// For readers: gone, or worth a try.
				loc := must(w.Locations(w.ctx, anna, c.ids))(t)
				if (len(loc.Packs) == 0) != (how == "lost") {
					t.Errorf("locations %+v", loc)
				}
				// For writers: missing. The parent cannot be relied on; that of the other device can.
				b := must(w.Begin(w.ctx, dev, &sn.ID))(t)
				if b.ParentUsable {
					t.Error("the parent is incomplete and yet usable")
				}
				if !must(w.Begin(w.ctx, actor.Actor{User: anna.User, Device: other.DeviceID}, &other.ID))(t).ParentUsable {
					t.Error("the other device's parent is whole and yet not usable")
				}
				for _, miss := range must(w.Missing(w.ctx, dev, b.ID, b.Fence, c.ids))(t) {
					if !miss {
						t.Error("an object of a damaged pack counts as stored")
					}
				}
				_, err := w.commit(dev, b, root)
				wantKind(t, err, fault.ObjectsMissing)

				healed := c
				switch with {
				case "same pack":
					if existed, err := w.upload(dev, b, c); existed || err != nil {
						t.Fatal(existed, err)
					}
				case "new pack":
					healed = chunks(c.ids...)
					w.mustUpload(dev, b, healed)
				case "repair":
					w.mem.Delete(w.ctx, name)
					p := must(w.mem.Create(w.ctx))(t)
					p.Write(c.bytes)
					p.Commit(w.ctx, name)
					if r := must(w.Scrub(w.ctx, system, time.Hour, nil))(t); r.Healed != 1 || r.Verified != 1 || len(r.Problems) != 0 {
						t.Fatalf("%+v", r)
					}
				}
				must(w.commit(dev, b, root))(t)
				w.readable(anna, healed)
				r = must(w.Scrub(w.ctx, system, 0, nil))(t)
				if want := with == "new pack"; (r.Damaged+r.Missing == 1) != want || r.Incomplete != 0 {
					t.Errorf("%+v", r)
				}
				if n := get[int](w, `SELECT sum(objects - shadowed) FROM packs`); n != get[int](w, `SELECT count(*) FROM objects`) {
					t.Errorf("the packs count %d objects", n)
				}
			})
		}
	}
}

// An object of a damaged pack that another pack holds too is found there.
func TestSpareCopies(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	anna := w.user()
	dev := w.device(anna)
	b := w.begin(dev)
	ids := fresh(4)
	first, second := chunks(ids...), chunks(ids[1:]...)
	leaf := node{object(), nil, ids[1:]}
	w.mustUpload(dev, b, first, second, nodes(leaf))
	sn := must(w.commit(dev, b, leaf.id))(t)
	w.lose(anna, first)
	r := must(w.Scrub(w.ctx, system, 0, nil))(t)
	if r.Missing != 1 || r.Incomplete != 0 {
		t.Errorf("%+v", r)
	}
	loc := must(w.Locations(w.ctx, anna, ids))(t)
	for i := range ids {
		if at, _, _ := row(loc.Table, i); (at == absent) != (i == 0) {
			t.Errorf("object %d is at %d", i, at)
		}
	}
	if !must(w.Begin(w.ctx, dev, &sn.ID))(t).ParentUsable {
		t.Error("the snapshot is whole")
	}
	if n := get[int](w, `SELECT sum(shadowed) FROM packs`); n != 3 {
		t.Errorf("%d shadowed", n)
	}
}

// A scrub that is broken off after it has flagged a pack: the next one does what it left undone.
func TestScrubGoesOnWhereItWasBrokenOff(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	anna := w.user()
	dev, other := w.device(anna), w.device(anna)
	_, packs := w.backup(dev, 3)
	whole, _ := w.backup(other, 3)
	w.lose(anna, packs[0])
	w.store.on(func(op, name string) error {
		if op == "list" && strings.HasSuffix(name, "/snapshots/") { // comes after the packs
			return errDisk
		}
		return nil
	})
	if r, err := w.Scrub(w.ctx, system, time.Hour, nil); !errors.Is(err, errDisk) || r.Missing != 1 {
		t.Fatalf("%+v, %v", r, err)
	}
	w.store.on(nil)
	if r := must(w.Scrub(w.ctx, system, time.Hour, nil))(t); r.Incomplete != 1 {
		t.Errorf("%+v", r)
	}
	if !must(w.Begin(w.ctx, other, &whole.ID))(t).ParentUsable {
		t.Error("the other device's parent is whole and yet not usable")
	}
}

func TestRecordsAreRewritten(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	anna := w.user()
	dev := w.device(anna)
	a, _ := w.backup(dev, 1)
	b, _ := w.backup(dev, 1)
	space := w.spaceOf(anna)
	good := must(w.get(w.ctx, snapshotName(space, a.ID), 1<<20))(t)
	w.mem.Delete(w.ctx, snapshotName(space, a.ID))
	w.mem.Corrupt(snapshotName(space, b.ID), func(b []byte) []byte { b[40] ^= 1; return b })
	w.mem.Delete(w.ctx, spaceName(space))
	if r := must(w.Scrub(w.ctx, system, time.Hour, nil))(t); r.Rewritten != 3 {
		t.Errorf("%+v", r)
	}
	if !bytes.Equal(must(w.get(w.ctx, snapshotName(space, a.ID), 1<<20))(t), good) {
		t.Error("the record has other bytes now")
	}
	if r := must(w.Scrub(w.ctx, system, time.Hour, nil))(t); len(r.Problems) != 0 {
		t.Errorf("%+v", r)
	}
	w.exec(`DELETE FROM snapshots WHERE id = $1`, a.ID)
	if r := must(w.Scrub(w.ctx, system, time.Hour, nil))(t); r.Restored != 0 || r.Foreign != 1 {
		t.Errorf("%+v", r)
	}
}

// Maintenance runs beside writers and harms none of them.
func TestMaintenanceOnALiveServer(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	anna := w.user()
	stop := make(chan bool)
	done := make(chan error, 2)
	go func() {
		for {
			select {
			case <-stop:
				done <- nil
				return
			default:
			}
			if r, err := w.Scrub(w.ctx, system, 0, nil); err != nil || r.Damaged+r.Missing+r.Incomplete != 0 {
				done <- fmt.Errorf("scrub: %+v, %w", r, err)
				return
			}
		}
	}()
	go func() {
		for {
			select {
			case <-stop:
				done <- nil
				return
			default:
			}
			if r, err := w.RebuildIndex(w.ctx, system, nil); err != nil || r.Damaged+r.Missing+r.Incomplete != 0 {
				done <- fmt.Errorf("rebuild: %+v, %w", r, err)
				return
			}
		}
	}()
	dev := w.device(anna)
	for range 25 {
		_, packs := w.backup(dev, 20)
		w.readable(anna, packs...)
	}
	close(stop)
	for range 2 {
		if err := <-done; err != nil {
			t.Error(err)
		}
	}
	if n := get[int](w, `SELECT count(*) FROM snapshots`); n != 25 {
		t.Errorf("%d snapshots", n)
	}
}

func TestDoctor(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	anna := w.user()
	bad := func() (names string) {
		for _, c := range must(w.Doctor(w.ctx, system))(t) {
			if !c.OK {
				names += c.Name + " "
			}
		}
		return names
	}
	if got := bad(); got != "" {
		t.Error("empty:", got)
	}
	w.backup(w.device(anna), 1)
	if got := bad(); got != "" {
		t.Error("healthy:", got)
	}
	w.exec(`UPDATE packs SET verified_at = now() - interval '70 days', damaged_at = now()`)
	w.store.on(func(op, name string) error { return errDisk })
	if got := bad(); got != "store packs scrub " {
		t.Error("ill:", got)
	}
	_, err := w.Doctor(w.ctx, anna)
	wantKind(t, err, fault.Forbidden)
}

func TestNames(t *testing.T) {
	t.Parallel()
	space, p, sn := id.Space{}.New(), sum([]byte("x")), id.Snapshot{}.New()
	for name, want := range map[string]parsed{
		packName(space, p):       {packBlob, space, p, id.Snapshot{}},
		snapshotName(space, sn):  {snapshotBlob, space, id.Pack{}, sn},
		deletionName(space, sn):  {deletionBlob, space, id.Pack{}, sn},
		spaceName(space):         {spaceBlob, space, id.Pack{}, id.Snapshot{}},
		packName(space, p) + "x": {}, snapshotName(space, sn) + "x": {}, "spaces/x/space": {}, "spaces/" + space.UUID() + "/spaces": {}, "": {},
		strings.ToUpper(snapshotName(space, sn)):                      {},
		strings.Replace(packName(space, p), "/packs/", "/packs/0", 1): {},
	} {
		if got := parseName(name); got != want {
			t.Errorf("%s is %+v", name, got)
		}
		if want.kind != foreignBlob {
			if err := blob.CheckName(name); err != nil {
				t.Error(err)
			}
		}
	}
}
