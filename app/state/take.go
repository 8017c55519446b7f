package state

import (
	"context"
	"errors"
	"maps"
	"slices"

	"github.com/holdfast-backup/holdfast/app/api"
	"github.com/holdfast-backup/holdfast/app/talk"
	"github.com/holdfast-backup/holdfast/wire/fault"
)

// Saver is Keys that can put what they decrypt into the person's downloads.
type Saver interface {
	Save(ctx context.Context, plan talk.Plan, what talk.Selection, progress func(talk.Progress)) (talk.Downloaded, error)
}

// Saving is a download.
type Saving struct {
	Plan talk.Plan
	Done talk.Progress
	Over bool
	Got  talk.Downloaded // when it is over
	Err  error
}

// Looking is a file that is looked at: its content, and how it fared.
type Looking struct {
	Entry    talk.Entry
	Preview  Load[talk.Preview]
	Versions Load[[]talk.Version]
	cancel   context.CancelFunc
}

// selection is what a person chose, or one entry.
func (m *Files) selection(one *talk.Entry) talk.Selection {
	var s talk.Selection
	m.read(func() {
		s.Snapshot = m.v.Snapshot
		if one != nil {
			s.Paths = []string{one.Path}
			return
		}
		s.Paths = slices.Sorted(maps.Keys(m.v.Chosen))
		s.Extensions = extensions(m.v.Filter)
	})
	return s
}

// extensions are those of a filter, its kinds' included: a selection under a filter is of what the filter shows.
func extensions(f talk.Filter) []string {
	list := slices.Clone(f.Extensions)
	for _, k := range f.Kinds {
		list = append(list, k.Extensions()...)
	}
	return list
}

// Save downloads what is chosen, or one entry. One at a time.
func (m *Files) Save(one *talk.Entry) { m.save(m.selection(one)) }

// SaveFrom downloads an entry as it was in another snapshot.
func (m *Files) SaveFrom(snapshot string, e talk.Entry) {
	m.save(talk.Selection{Snapshot: snapshot, Paths: []string{e.Path}})
}

func (m *Files) save(what talk.Selection) { m.down.Save(what) }

// CancelSave stops the download, or takes away what is said about it.
func (m *Files) CancelSave() { m.down.Cancel() }

// Download puts what the keys decrypt into the person's downloads, one thing at a time. Make it with [NewDownload].
type Download struct {
	Model
	keys Keys
	v    *Saving // nil: none
	stop context.CancelFunc
}

// NewDownload returns a model that downloads nothing yet.
func NewDownload(keys Keys) *Download { return &Download{keys: keys} }

// View returns the download that is under way, or was the last; nil if there is none.
func (m *Download) View() (v *Saving) {
	m.read(func() {
		if m.v != nil {
			s := *m.v
			v = &s
		}
	})
	return v
}

// Save downloads a selection, unless a download is under way.
func (m *Download) Save(what talk.Selection) {
	saver, ok := m.keys.(Saver)
	ctx, cancel := context.WithCancel(context.Background())
	busy := false
	m.change(func() {
		if busy = m.v != nil && !m.v.Over; busy {
			return
		}
		m.stop = cancel
		m.v = &Saving{}
	})
	if busy {
		cancel()
		return
	}
	go func() {
		defer cancel()
		var got talk.Downloaded
		var plan talk.Plan
		err := error(fault.New(fault.Unavailable, "this browser cannot save files here: open the page over https"))
		if ok {
			err = m.keys.Call(ctx, talk.MethodPlan, what, &plan)
		}
		if err == nil {
			m.change(func() {
				m.v.Plan = plan
				m.v.Done = talk.Progress{TotalFiles: plan.Files, TotalBytes: plan.Bytes}
			})
			got, err = saver.Save(ctx, plan, what, func(p talk.Progress) { m.change(func() { m.v.Done = p }) })
		}
		m.change(func() {
			m.v.Over, m.v.Got = true, got
			if ctx.Err() != nil && errors.Is(err, context.Canceled) {
				m.v = nil // the person stopped it
				return
			}
			m.v.Err = err
		})
	}()
}

// Cancel stops the download, or takes away what is said about it.
func (m *Download) Cancel() {
	m.change(func() {
		switch {
		case m.v == nil:
		case m.v.Over:
			m.v = nil
		default:
			m.stop()
		}
	})
}

// Restore has a device put back what is chosen: to the folder `to`, an absolute path there, or with "" to where each file was.
func (m *Files) Restore(device, to, conflict string) {
	what := m.selection(nil)
	busy := false
	m.change(func() {
		if busy = m.v.Work.Busy != ""; !busy {
			m.v.Work, m.v.Ordered = Work{Busy: "restore"}, ""
		}
	})
	if busy {
		return
	}
	go func() {
		run, err := m.order(context.Background(), device, talk.Order{Selection: what, To: to, Conflict: conflict})
		m.change(func() {
			m.v.Work = Work{Err: err}
			m.v.Ordered = run
		})
	}()
}

func (m *Files) order(ctx context.Context, device string, order talk.Order) (run string, err error) {
	v := m.View()
	i := slices.IndexFunc(v.Devices.Value, func(d *api.DeviceFields) bool { return d.Id == device })
	switch {
	case i < 0:
		return "", fault.New(fault.Invalid, "choose the device that is to have the files")
	case len(order.Paths) == 0:
		return "", fault.New(fault.Invalid, "choose what to restore first")
	}
	d := v.Devices.Value[i]
	order.Device = talk.Device{ID: d.Id, PublicKey: d.PublicKey, MAC: d.Mac}
	var sealed talk.Ordered
	if err := m.Keys.Call(ctx, talk.MethodOrderRestore, order, &sealed); err != nil {
		return "", err
	}
	r, err := api.OrderRestore(ctx, m.API, &api.OrderRestoreInput{Device: d.Id, Snapshot: order.Snapshot, Order: sealed.Sealed})
	if err != nil {
		return "", err
	}
	return r.OrderRestore.Run.Id, nil
}

// DismissWork forgets the last order.
func (m *Files) DismissWork() { m.change(func() { m.v.Work, m.v.Ordered = Work{}, "" }) }

// lookVersions is in how many of the newest snapshots a file's versions are looked for.
const lookVersions = 50

// Look shows a file: its content if that can be shown, and its versions.
func (m *Files) Look(e talk.Entry) {
	m.CloseLook()
	ctx, cancel := context.WithCancel(context.Background())
	l := &Looking{Entry: e, cancel: cancel}
	l.Preview.begin()
	l.Versions.begin()
	at := talk.Path{Path: e.Path}
	list := []string{}
	m.change(func() {
		m.v.Look = l
		at.Snapshot = m.v.Snapshot
		for _, s := range m.v.Snapshots.Value[:min(len(m.v.Snapshots.Value), lookVersions)] {
			list = append(list, s.Id)
		}
	})
	go func() {
		var p talk.Preview
		err := m.Keys.Call(ctx, talk.MethodPreview, at, &p)
		gone := false
		m.change(func() {
			if gone = m.v.Look != l; !gone {
				l.Preview.end(p, err)
			}
		})
		if gone && p.URL != "" {
			m.release(p.URL)
		}
	}()
	go func() {
		var out []talk.Version
		err := m.Keys.Call(ctx, talk.MethodVersions, talk.Versions{Path: e.Path, Snapshots: list}, &out)
		m.change(func() { l.Versions.end(out, err) })
	}()
}

// CloseLook stops looking at a file.
func (m *Files) CloseLook() {
	url := ""
	m.change(func() {
		if m.v.Look != nil {
			m.v.Look.cancel()
			url = m.v.Look.Preview.Value.URL
			m.v.Look = nil
		}
	})
	if url != "" {
		go m.release(url)
	}
}

func (m *Files) release(url string) {
	m.Keys.Call(context.Background(), talk.MethodRelease, talk.URL{URL: url}, nil) //nolint:errcheck // keys that are gone keep nothing
}

// Content is a content that a file had, in one snapshot or several in a row.
type Content struct {
	Newest, Oldest string // the snapshots
	Count          int    // how many they are
	Size           int64
	ModTime        int64
}

// Distinct joins versions, the newest first, that have the same content and follow each other. Those without the file, and those of which it is not
// known, are left out.
func Distinct(list []talk.Version) (out []Content) {
	content := -1
	for _, v := range list {
		switch {
		case v.Error != "":
		case v.Absent:
			content = -1
		case v.Content == content && v.Content != 0:
			last := &out[len(out)-1]
			last.Oldest, last.Count = v.Snapshot, last.Count+1
		default:
			content = v.Content
			out = append(out, Content{v.Snapshot, v.Snapshot, 1, v.Size, v.ModTime})
		}
	}
	return out
}
