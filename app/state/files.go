package state

import (
	"context"
	"encoding/json"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/holdfast-backup/holdfast/app/api"
	"github.com/holdfast-backup/holdfast/app/talk"
	"github.com/holdfast-backup/holdfast/wire/fault"
)

// Listener is Keys that also say how far something is.
type Listener interface {
	Follow(ctx context.Context, method string, in, out any, event func(json.RawMessage)) error
}

// Files is what was saved: a device's snapshots, the folders in one of them, and what a person does with what is there. The listing is the
// keys' work; here are the pages of it that somebody has looked at. Make it with [NewFiles].
type Files struct {
	Model
	Sources
	v       FilesView
	opened  string // the device whose snapshots are loaded, or on their way
	asks    int    // counts the listings: an answer to an older one is dropped
	pending map[int]bool
	typing  *time.Timer
	cancel  context.CancelFunc // of a tree that is being read
	down    *Download
}

// FilesView is what pages show of [Files].
type FilesView struct {
	Devices   Load[[]*api.DeviceFields]
	Trust     map[string]Trust
	Snapshots Load[[]*api.SnapshotFields] // of the chosen device, newest first
	Names     map[string]talk.Manifest
	Device    string // its id
	Snapshot  string // its id; never "" once there is one
	Latest    bool   // nobody chose a snapshot: it is the newest
	Contents  Load[talk.Contents]
	Reading   talk.Progress // of a tree on its way

	Path    string // of the folder, "" for the top
	Text    string // what is looked for, "" for the folder itself
	Filter  talk.Filter
	Sort    talk.Sort
	Listing Load[talk.Listing]    // without entries
	Pages   map[int][]talk.Entry  // of EntriesPage entries
	Chosen  map[string]talk.Entry // by path
	Work    Work                  // of orders
	Ordered string                // the run of the last order
	Save    *Saving               // the download, nil if there was none
	Look    *Looking              // the file that is looked at, nil if there is none
}

// EntriesPage is how many entries the keys are asked for at once.
const EntriesPage = 200

// Entry returns an entry of the listing, nil while it is not here.
func (v FilesView) Entry(i int) *talk.Entry {
	page := v.Pages[i/EntriesPage]
	if i%EntriesPage >= len(page) {
		return nil
	}
	return &page[i%EntriesPage]
}

// At returns the chosen snapshot, nil if there is none.
func (v FilesView) At() *api.SnapshotFields {
	for _, s := range v.Snapshots.Value {
		if s.Id == v.Snapshot {
			return s
		}
	}
	return nil
}

// Filtered reports whether only some of a folder is shown.
func (v FilesView) Filtered() bool { return len(v.Filter.Kinds)+len(v.Filter.Extensions) > 0 }

// NewFiles returns a model that knows nothing yet.
func NewFiles(s Sources) *Files {
	m := &Files{Sources: s, pending: map[int]bool{}, down: NewDownload(s.Keys)}
	m.down.Observe(func() { m.change(func() {}) })
	return m
}

// View returns what to show.
func (m *Files) View() (v FilesView) {
	save := m.down.View()
	m.read(func() {
		v = m.v
		v.Save = save
		if v.Look != nil {
			l := *v.Look
			v.Look = &l
		}
	})
	return v
}

// follow calls the keys and tells of what they say meanwhile, if they can.
func (s Sources) follow(ctx context.Context, method string, in, out any, progress func(talk.Progress)) error {
	l, ok := s.Keys.(Listener)
	if !ok {
		return s.Keys.Call(ctx, method, in, out)
	}
	return l.Follow(ctx, method, in, out, func(event json.RawMessage) {
		var p talk.Progress
		if json.Unmarshal(event, &p) == nil {
			progress(p)
		}
	})
}

// Open loads the devices.
func (m *Files) Open() {
	m.change(func() { m.v.Devices.begin() })
	go func() {
		ctx := context.Background()
		r, err := api.Devices(ctx, m.API)
		if err != nil {
			m.change(func() { m.v.Devices.end(nil, err) })
			return
		}
		list := slices.Clone(r.Devices)
		slices.SortStableFunc(list, func(a, b *api.DeviceFields) int {
			return strings.Compare(strings.ToLower(a.Name), strings.ToLower(b.Name))
		})
		trust := m.prove(ctx, list)
		m.change(func() {
			m.v.Devices.end(list, nil)
			m.v.Trust = trust
		})
		m.settle()
	}()
}

// Close ends what is under way, but no download.
func (m *Files) Close() {
	m.CloseLook()
	m.change(func() {
		if m.cancel != nil {
			m.cancel()
		}
		if m.typing != nil {
			m.typing.Stop()
		}
	})
}

// Go shows a folder of a snapshot of a device; "" for the device: any, for the snapshot: the newest.
func (m *Files) Go(device, snapshot, path string) {
	moved := false
	m.change(func() {
		if device != "" && device != m.v.Device || snapshot != "" && snapshot != m.v.Snapshot || snapshot == "" && !m.v.Latest {
			m.v.Chosen = nil
		}
		if device != "" {
			m.v.Device = device
		}
		moved = path != m.v.Path
		m.v.Path = path
		if moved {
			m.v.Text = ""
		}
		if snapshot == "" {
			m.v.Latest = true
			if m.opened == m.v.Device && len(m.v.Snapshots.Value) > 0 {
				snapshot = m.v.Snapshots.Value[0].Id
			}
		} else {
			m.v.Latest = false
		}
		if snapshot != m.v.Snapshot {
			m.v.Snapshot, m.v.Contents = snapshot, Load[talk.Contents]{}
		}
	})
	if moved {
		m.clear()
	}
	m.settle()
}

// settle takes the next step towards what is to be shown: a device, its snapshots, the tree, the listing.
func (m *Files) settle() {
	var device, snapshot string
	var step int
	m.change(func() {
		if m.v.Devices.Status != Ready {
			return
		}
		if m.v.Device == "" {
			for _, d := range m.v.Devices.Value {
				if d.LatestSnapshot != nil && (m.v.Device == "" || d.LatestSnapshot.CreatedAt.After(m.newest())) {
					m.v.Device = d.Id
				}
			}
		}
		device, snapshot = m.v.Device, m.v.Snapshot
		switch {
		case device == "":
		case m.opened != device:
			m.opened, step = device, 1
			m.v.Snapshots, m.v.Contents = Load[[]*api.SnapshotFields]{}, Load[talk.Contents]{}
			m.v.Snapshots.begin()
		case m.v.Snapshots.Status != Ready || snapshot == "":
		case m.v.Contents.Status == Idle:
			step = 2
			m.v.Contents.begin()
			m.v.Reading = talk.Progress{}
		case m.v.Contents.Status == Ready && m.v.Listing.Status == Idle:
			step = 3
		}
	})
	switch step {
	case 1:
		go m.loadSnapshots(device)
	case 2:
		go m.loadTree(snapshot)
	case 3:
		m.list()
	}
}

// newest is the time of the chosen device's newest snapshot.
func (m *Files) newest() time.Time {
	for _, d := range m.v.Devices.Value {
		if d.Id == m.v.Device && d.LatestSnapshot != nil {
			return d.LatestSnapshot.CreatedAt
		}
	}
	return time.Time{}
}

// fileSnapshots is how many of a device's snapshots can be chosen from: the newest.
const fileSnapshots = 200

func (m *Files) loadSnapshots(device string) {
	ctx := context.Background()
	r, err := api.Snapshots(ctx, m.API, &device, fileSnapshots, nil)
	var list []*api.SnapshotFields
	var names map[string]talk.Manifest
	if err == nil {
		for _, e := range r.Snapshots.Edges {
			list = append(list, e.Node)
		}
		names, err = m.openManifests(ctx, list)
	}
	m.change(func() {
		if m.opened != device {
			return
		}
		m.v.Snapshots.end(list, err)
		if err != nil {
			return
		}
		m.v.Names = names
		if m.v.Snapshot != "" && !slices.ContainsFunc(list, func(s *api.SnapshotFields) bool { return s.Id == m.v.Snapshot }) {
			m.v.Contents.Status, m.v.Contents.Err = Failed, fault.New(fault.NotFound, "this backup is not there any more: choose another one")
			return
		}
		if m.v.Snapshot == "" && len(list) > 0 {
			m.v.Snapshot, m.v.Latest = list[0].Id, true
		}
	})
	m.settle()
}

func (m *Files) loadTree(snapshot string) {
	ctx, cancel := context.WithCancel(context.Background())
	m.change(func() {
		if m.cancel != nil {
			m.cancel()
		}
		m.cancel = cancel
	})
	defer cancel()
	var c talk.Contents
	err := m.follow(ctx, talk.MethodLoad, talk.Snapshot{Snapshot: snapshot}, &c, func(p talk.Progress) {
		m.change(func() { m.v.Reading = p })
	})
	current := false
	m.change(func() {
		if current = m.v.Snapshot == snapshot; current {
			m.v.Contents.end(c, err)
			m.v.Listing = Load[talk.Listing]{}
		}
	})
	if current {
		m.settle()
	}
}

// Reload tries again what failed.
func (m *Files) Reload() {
	m.change(func() {
		if m.v.Snapshots.Status == Failed {
			m.opened = ""
		}
		if m.v.Contents.Status == Failed {
			m.v.Contents = Load[talk.Contents]{}
		}
		m.v.Listing = Load[talk.Listing]{}
	})
	if m.View().Devices.Status != Ready {
		m.Open()
		return
	}
	m.settle()
}

// clear drops the listing: another one is wanted.
func (m *Files) clear() {
	m.change(func() {
		m.asks++
		m.v.Listing, m.v.Pages, m.pending = Load[talk.Listing]{}, nil, map[int]bool{}
	})
}

// list asks for the listing anew. What is shown stays until it is here.
func (m *Files) list() {
	ask, ready := 0, false
	m.change(func() {
		m.asks++
		ask, ready = m.asks, m.v.Contents.Status == Ready
		if ready {
			m.v.Listing.begin()
			m.pending = map[int]bool{0: true}
		}
	})
	if ready {
		go m.page(ask, 0)
	}
}

// Need says that the entries from first to last are looked at: those that are not here are fetched.
func (m *Files) Need(first, last int) {
	ask := 0
	var want []int
	m.read(func() {
		ask = m.asks
		if m.v.Listing.Status != Ready {
			return
		}
		for p := max(0, first) / EntriesPage; p*EntriesPage <= min(last, m.v.Listing.Value.Total-1); p++ {
			if m.v.Pages[p] == nil && !m.pending[p] {
				m.pending[p] = true
				want = append(want, p)
			}
		}
	})
	for _, p := range want {
		go m.page(ask, p)
	}
}

func (m *Files) page(ask, p int) {
	var v FilesView
	m.read(func() { v = m.v })
	var out talk.Listing
	var err error
	at := talk.Page{Offset: p * EntriesPage, Limit: EntriesPage}
	if v.Text == "" {
		err = m.Keys.Call(context.Background(), talk.MethodList,
			talk.List{Snapshot: v.Snapshot, Path: v.Path, Filter: v.Filter, Sort: v.Sort, Page: at}, &out)
	} else {
		err = m.Keys.Call(context.Background(), talk.MethodSearch,
			talk.Search{Snapshot: v.Snapshot, Path: v.Path, Text: v.Text, Filter: v.Filter, Sort: v.Sort, Page: at}, &out)
	}
	m.change(func() {
		if ask != m.asks {
			return
		}
		delete(m.pending, p)
		entries := out.Entries
		out.Entries = nil
		m.v.Listing.end(out, err)
		if err != nil {
			return
		}
		pages := map[int][]talk.Entry{}
		if p != 0 {
			pages = maps.Clone(m.v.Pages)
		}
		pages[p] = entries
		m.v.Pages = pages
	})
}

// typingPause is how long a person has to have stopped typing before it is looked for.
const typingPause = 150 * time.Millisecond

// Find looks for names in the folder and below; "" shows the folder again.
func (m *Files) Find(text string) {
	m.change(func() {
		m.v.Text = text
		if m.typing != nil {
			m.typing.Stop()
		}
		m.typing = time.AfterFunc(typingPause, m.list)
	})
}

// Choose shows only some files.
func (m *Files) Choose(f talk.Filter) {
	m.change(func() { m.v.Filter = f })
	m.list()
}

// Order sorts by something; by the same again, the other way round. Sizes and times begin with the largest.
func (m *Files) Order(by talk.By) {
	m.change(func() {
		if m.v.Sort.By == by {
			m.v.Sort.Descending = !m.v.Sort.Descending
			return
		}
		m.v.Sort = talk.Sort{By: by, Descending: by == talk.BySize || by == talk.ByTime}
	})
	m.list()
}

// Toggle chooses an entry, or lets go of it.
func (m *Files) Toggle(e talk.Entry) {
	m.change(func() {
		chosen := map[string]talk.Entry{}
		maps.Copy(chosen, m.v.Chosen)
		if _, on := chosen[e.Path]; on {
			delete(chosen, e.Path)
		} else {
			chosen[e.Path] = e
		}
		m.v.Chosen = chosen
	})
}

// ClearChoice lets go of everything.
func (m *Files) ClearChoice() { m.change(func() { m.v.Chosen = nil }) }
