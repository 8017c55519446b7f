package state

import (
	"testing"

	"github.com/holdfast-backup/holdfast/app/api"
	"github.com/holdfast-backup/holdfast/app/talk"
	"github.com/holdfast-backup/holdfast/wire/fault"
)

func TestSnapshots(t *testing.T) {
	t.Parallel()
	w := newWorks(t)
	pinned := `{"snapshot":` + snapshotJSON("snp_2", 2) + `}`
	w.server["PinSnapshot"] = say(`{"pinSnapshot":` + pinned + `}`)
	w.server["DeleteSnapshot"] = say(`{"deleteSnapshot":{"id":"snp_2"}}`)
	w.server["RestoreDeletedSnapshot"] = say(`{"restoreDeletedSnapshot":` + pinned + `}`)
	m := NewSnapshots(w.sources(), "dev_1")
	m.Open()
	until(t, m, func() bool { return m.View().Names != nil })
	v := m.View()
	if len(v.List.Value) != 2 || v.Total != 3 || !v.More || v.Names["snp_2"].DeviceName != "Laptop" || v.Names["snp_1"].Error == "" {
		t.Errorf("%+v", v)
	}
	w.set(w.server, "Snapshots", say(`{"snapshots":{"edges":[{"node":`+snapshotJSON("snp_0", 1)+`}],"pageInfo":{"hasNextPage":false,"endCursor":"end"},"totalCount":3}}`))
	m.LoadMore()
	until(t, m, func() bool { return len(m.View().List.Value) == 3 })
	if m.View().Names["snp_2"].DeviceName == "" {
		t.Error("what was opened before is forgotten")
	}
	idle := func() bool { return m.View().Busy == "" }
	m.Pin("snp_2", true)
	until(t, m, func() bool { return w.was("PinSnapshot") && idle() })
	m.Delete(&api.SnapshotFields{Id: "snp_2"})
	until(t, m, func() bool { return m.View().Deleted != nil && idle() })
	m.Undo("snp_2")
	until(t, m, func() bool { return m.View().Deleted == nil && idle() })
	for name, fn := range map[string]func(){"PinSnapshot": func() { m.Pin("snp_2", false) }, "DeleteSnapshot": func() { m.Delete(v.List.Value[0]) }, "RestoreDeletedSnapshot": func() { m.Undo("snp_2") }} {
		w.set(w.server, name, refuse(fault.Conflict, "the last one"))
		fn()
		until(t, m, func() bool { return m.View().Err != nil && idle() })
		fails(t, m.View().Err, fault.Conflict, "last")
		m.Dismiss()
	}

	asked := func() (n int) {
		w.mu.Lock()
		defer w.mu.Unlock()
		for _, a := range w.asked {
			if a == "Snapshots" {
				n++
			}
		}
		return n
	}
	before := asked()
	w.tell(`{"runChanges":`+runJSON("run_1", "dev_1", "SUCCEEDED", 1)+`}`, nil)
	until(t, m, func() bool { return asked() > before })
	m.Close()
}

func TestSnapshotsFail(t *testing.T) {
	t.Parallel()
	w := newWorks(t)
	w.server["Snapshots"] = refuse(fault.Unavailable, "not now")
	m := NewSnapshots(w.sources(), "dev_1")
	m.Open()
	until(t, m, func() bool { return m.View().List.Status == Failed })
	m.LoadMore() // of nothing
	w.set(w.server, "Snapshots", newWorks(t).server["Snapshots"])
	w.set(w.worker, talk.MethodOpenManifests, refuse(fault.Unauthenticated, "locked"))
	m.Open()
	until(t, m, func() bool { return m.View().List.Status == Ready })
	m.Close()
}

func TestTrash(t *testing.T) {
	t.Parallel()
	w := newWorks(t)
	w.server["DeletedSnapshots"] = say(`{"deletedSnapshots":[` + snapshotJSON("snp_2", 2) + `]}`)
	m := NewTrash(w.sources())
	m.Open()
	until(t, m, func() bool { return m.View().List.Status == Ready })
	if v := m.View(); len(v.List.Value) != 1 || v.More {
		t.Errorf("%+v", v)
	}
	m.Close()
	w.set(w.server, "DeletedSnapshots", refuse(fault.Unavailable, "not now"))
	m.Open()
	until(t, m, func() bool { return m.View().List.Err != nil })
}

func TestRules(t *testing.T) {
	t.Parallel()
	w := newWorks(t)
	w.server["OwnRules"] = say(`{"devices":[{"id":"dev_1","effectivePolicy":{"policies":[],"selections":[],"uploadLimit":7,"next":[]}}]}`)
	for device, there := range map[string]bool{"dev_1": true, "dev_9": false} {
		m := NewRules(w.sources(), device)
		m.Open()
		until(t, m, func() bool { return m.View().Status == Ready })
		if r := m.View().Value; (r != nil) != there || there && r.UploadLimit != 7 {
			t.Errorf("%s: %+v", device, r)
		}
	}
	w.set(w.server, "OwnRules", refuse(fault.Unavailable, "not now"))
	m := NewRules(w.sources(), "dev_1")
	m.Open()
	until(t, m, func() bool { return m.View().Status == Failed })
}
