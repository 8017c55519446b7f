package state

import (
	"context"

	"github.com/holdfast-backup/holdfast/app/api"
	"github.com/holdfast-backup/holdfast/app/talk"
)

// Snapshots is snapshots of the account, of one device or those that were deleted. Make it with
// [NewSnapshots] or [NewTrash].
type Snapshots struct {
	Model
	Sources
	v      SnapshotsView
	device string // "": the trash
	stop   func()
}

// SnapshotsView is what pages show of [Snapshots].
type SnapshotsView struct {
	List    Load[[]*api.SnapshotFields]
	Names   map[string]talk.Manifest // what the snapshots say about themselves, by id, as far as they were opened
	Total   int
	More    bool
	Busy    string              // the snapshot that is being changed
	Err     error               // of the last change
	Deleted *api.SnapshotFields // the last that was deleted here, to be taken back

	after *string
}

// NewSnapshots returns the model of a device's snapshots, which follows what changes them.
func NewSnapshots(s Sources, device string) *Snapshots { return &Snapshots{Sources: s, device: device} }

// NewTrash returns the model of deleted snapshots.
func NewTrash(s Sources) *Snapshots { return &Snapshots{Sources: s} }

// View returns what to show.
func (m *Snapshots) View() (v SnapshotsView) {
	m.read(func() { v = m.v })
	return v
}

// snapshotsPage is how many snapshots are loaded at once.
const snapshotsPage = 25

// Open loads the newest snapshots and, of a device, those that its runs make until [Snapshots.Close].
func (m *Snapshots) Open() {
	m.Close()
	m.change(func() { m.v.List.begin() })
	if m.device != "" {
		end := m.runChanges(m.run)
		m.read(func() { m.stop = end })
	}
	go m.load(nil)
}

// Close ends what Open began.
func (m *Snapshots) Close() {
	var stop func()
	m.read(func() { stop, m.stop = m.stop, nil })
	if stop != nil {
		stop()
	}
}

// run takes in a run that changed: it may have made a snapshot.
func (m *Snapshots) run(r *api.RunFields) {
	if r.Device.Id == m.device && r.Kind == api.RunKindBackup && Over(r.State) {
		go m.load(nil)
	}
}

// LoadMore loads older snapshots.
func (m *Snapshots) LoadMore() {
	var after *string
	m.read(func() { after = m.v.after })
	if after != nil {
		go m.load(after)
	}
}

func (m *Snapshots) load(after *string) {
	ctx := context.Background()
	var list []*api.SnapshotFields
	var total int
	var more bool
	var end *string
	var err error
	if m.device == "" {
		var r *api.DeletedSnapshotsResponse
		if r, err = api.DeletedSnapshots(ctx, m.API); err == nil {
			list, total = r.DeletedSnapshots, len(r.DeletedSnapshots)
		}
	} else {
		var r *api.SnapshotsResponse
		if r, err = api.Snapshots(ctx, m.API, &m.device, snapshotsPage, after); err == nil {
			for _, e := range r.Snapshots.Edges {
				list = append(list, e.Node)
			}
			total, more, end = r.Snapshots.TotalCount, r.Snapshots.PageInfo.HasNextPage, r.Snapshots.PageInfo.EndCursor
		}
	}
	if err != nil {
		m.change(func() { m.v.List.end(nil, err) })
		return
	}
	fresh := list
	m.change(func() {
		if after != nil {
			list = append(append([]*api.SnapshotFields{}, m.v.List.Value...), list...)
		}
		m.v.List.end(list, nil)
		m.v.Total, m.v.More, m.v.after = total, more, end
	})
	names, err := m.openManifests(ctx, fresh)
	if err != nil { // the list is worth showing without what is in them
		return
	}
	m.change(func() {
		all := map[string]talk.Manifest{}
		for id, n := range m.v.Names {
			all[id] = n
		}
		for id, n := range names {
			all[id] = n
		}
		m.v.Names = all
	})
}

// openManifests has the keys open what snapshots say about themselves.
func (s Sources) openManifests(ctx context.Context, list []*api.SnapshotFields) (map[string]talk.Manifest, error) {
	in := make([]talk.Sealed, 0, len(list))
	for _, s := range list {
		in = append(in, talk.Sealed{ID: s.Id, Device: s.Device.Id, Root: s.Root, Manifest: s.Manifest})
	}
	var out []talk.Manifest
	if err := s.Keys.Call(ctx, talk.MethodOpenManifests, in, &out); err != nil {
		return nil, err
	}
	names := map[string]talk.Manifest{}
	for _, n := range out {
		names[n.ID] = n
	}
	return names, nil
}

// do changes a snapshot, one at a time, and loads the list again.
func (m *Snapshots) do(id string, fn func(ctx context.Context) error) {
	busy := false
	m.change(func() {
		busy = m.v.Busy != ""
		if !busy {
			m.v.Busy, m.v.Err = id, nil
		}
	})
	if busy {
		return
	}
	go func() {
		err := fn(context.Background())
		m.change(func() { m.v.Busy, m.v.Err = "", err })
		if err == nil {
			m.load(nil)
		}
	}()
}

// Pin keeps a snapshot from being deleted by rule, or lets go of it.
func (m *Snapshots) Pin(id string, pinned bool) {
	m.do(id, func(ctx context.Context) error {
		_, err := api.PinSnapshot(ctx, m.API, &api.PinSnapshotInput{Id: id, Pinned: pinned})
		return err
	})
}

// Delete deletes a snapshot. For some days it can be taken back.
func (m *Snapshots) Delete(s *api.SnapshotFields) {
	m.do(s.Id, func(ctx context.Context) error {
		_, err := api.DeleteSnapshot(ctx, m.API, &api.DeleteSnapshotInput{Id: s.Id})
		if err == nil {
			m.change(func() { m.v.Deleted = s })
		}
		return err
	})
}

// Undo takes a deletion back.
func (m *Snapshots) Undo(id string) {
	m.do(id, func(ctx context.Context) error {
		_, err := api.RestoreDeletedSnapshot(ctx, m.API, &api.RestoreDeletedSnapshotInput{Id: id})
		if err == nil {
			m.change(func() { m.v.Deleted = nil })
		}
		return err
	})
}

// Dismiss forgets the last error and the last deletion.
func (m *Snapshots) Dismiss() { m.change(func() { m.v.Err, m.v.Deleted = nil, nil }) }

// Rules is what applies to a device, all policies together. Make it with [NewRules].
type Rules struct {
	Model
	Sources
	device string
	v      Load[*api.Rules] // a nil value: there is no such device
}

// NewRules returns the model of a device's rules.
func NewRules(s Sources, device string) *Rules { return &Rules{Sources: s, device: device} }

// View returns what to show.
func (m *Rules) View() (v Load[*api.Rules]) {
	m.read(func() { v = m.v })
	return v
}

// Open loads the rules.
func (m *Rules) Open() {
	m.change(func() { m.v.begin() })
	go func() {
		r, err := api.OwnRules(context.Background(), m.API)
		var rules *api.Rules
		if err == nil {
			for _, d := range r.Devices {
				if d.Id == m.device {
					rules = d.EffectivePolicy
				}
			}
		}
		m.change(func() { m.v.end(rules, err) })
	}()
}
