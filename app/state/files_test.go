package state

import (
	"context"
	"fmt"
	"strings"
	"testing"

	"github.com/holdfast-backup/holdfast/app/talk"
	"github.com/holdfast-backup/holdfast/wire/fault"
)

// newFiles returns a world with a device whose newest snapshot has 500 files in its folder "docs".
func newFiles(t *testing.T) (*works, *Files) {
	w := newWorks(t)
	w.server["Devices"] = say(`{"devices":[` + deviceJSON("dev_2", "Desk", "NEW", "") + `,` + deviceJSON("dev_1", "Laptop", "GOOD", "snp_2") + `]}`)
	w.worker[talk.MethodLoad] = say(`{"entries":500,"files":500,"bytes":1000,"kinds":[{"kind":"document","files":500,"bytes":1000}],"extensions":[{"extension":".txt","files":500,"bytes":1000}]}`)
	w.worker[talk.MethodList] = func(in map[string]any) (string, error) {
		offset, limit := int(in["offset"].(float64)), int(in["limit"].(float64))
		var list []string
		for i := offset; i < min(500, offset+limit); i++ {
			list = append(list, fmt.Sprintf(`{"name":"f%d","path":"docs/f%d","kind":"document","size":2}`, i, i))
		}
		return `{"total":500,"files":500,"bytes":1000,"entries":[` + strings.Join(list, ",") + `]}`, nil
	}
	w.worker[talk.MethodSearch] = say(`{"total":1,"files":1,"bytes":2,"entries":[{"name":"f7","path":"docs/f7","kind":"document","size":2}]}`)
	w.worker[talk.MethodRelease] = say(`null`)
	return w, NewFiles(w.sources())
}

func listed(m *Files) func() bool {
	return func() bool { v := m.View(); return v.Listing.Status == Ready && v.Entry(0) != nil }
}

func TestFiles(t *testing.T) {
	t.Parallel()
	w, m := newFiles(t)
	m.Go("", "", "")
	m.Open()
	until(t, m, listed(m))
	v := m.View()
	if v.Device != "dev_1" || v.Snapshot != "snp_2" || !v.Latest || v.At().Id != "snp_2" || v.Names["snp_2"].DeviceName != "Laptop" || v.Reading.TotalFiles != 2 || v.Contents.Value.Files != 500 {
		t.Errorf("%+v", v)
	}
	if v.Listing.Value.Total != 500 || v.Entry(199) == nil || v.Entry(200) != nil {
		t.Error("the first page is not the first page")
	}
	m.Need(190, 410)
	until(t, m, func() bool { v := m.View(); return v.Entry(210) != nil && v.Entry(499) != nil })
	if v := m.View(); v.Entry(410).Name != "f410" || v.Entry(500) != nil {
		t.Error("entries are not in their places")
	}

	m.Order(talk.BySize)
	until(t, m, func() bool {
		return strings.Contains(w.last(talk.MethodList), `"by":"size"`) && m.View().Entry(300) == nil
	})
	if !m.View().Sort.Descending {
		t.Error("sizes begin with the smallest")
	}
	m.Order(talk.BySize)
	m.Choose(talk.Filter{Kinds: []talk.Kind{talk.Image}})
	until(t, m, func() bool {
		s := w.last(talk.MethodList)
		return strings.Contains(s, `"kinds":["image"]`) && !strings.Contains(s, "descending")
	})
	if !m.View().Filtered() {
		t.Error("nobody sees the filter")
	}
	m.Find("f")
	m.Find("f7")
	until(t, m, func() bool { v := m.View(); return v.Listing.Value.Total == 1 })
	if got := w.last(talk.MethodSearch); !strings.Contains(got, `"text":"f7"`) {
		t.Error(got)
	}

	m.Go("dev_1", "", "docs")
	until(t, m, func() bool { return strings.Contains(w.last(talk.MethodList), `"path":"docs"`) })
	if v := m.View(); v.Text != "" || v.Snapshot != "snp_2" {
		t.Errorf("%+v", v)
	}
	until(t, m, listed(m))
	m.Toggle(*m.View().Entry(0))
	m.Toggle(*m.View().Entry(1))
	m.Toggle(*m.View().Entry(0))
	if c := m.View().Chosen; len(c) != 1 || c["docs/f1"].Name != "f1" {
		t.Error(c)
	}
	m.Go("dev_1", "snp_1", "docs")
	until(t, m, func() bool { return strings.Contains(w.last(talk.MethodList), `"snapshot":"snp_1"`) })
	if v := m.View(); v.Latest || len(v.Chosen) != 0 {
		t.Errorf("what was chosen in another snapshot still is: %+v", v)
	}
	m.ClearChoice()
	m.Close()
}

func TestFilesOfNobody(t *testing.T) {
	t.Parallel()
	w, m := newFiles(t)
	w.server["Devices"] = say(`{"devices":[]}`)
	m.Open()
	until(t, m, func() bool { return m.View().Devices.Status == Ready })
	if v := m.View(); v.Device != "" || v.At() != nil || w.was("Snapshots") {
		t.Errorf("%+v", v)
	}
}

func TestFilesFail(t *testing.T) {
	t.Parallel()
	w, m := newFiles(t)
	good, _ := newFiles(t)
	w.server["Devices"] = refuse(fault.Unavailable, "not now")
	w.server["Snapshots"] = refuse(fault.Unavailable, "not now")
	w.worker[talk.MethodLoad] = refuse(fault.Internal, "damaged")
	w.worker[talk.MethodList] = refuse(fault.Internal, "damaged")
	m.Open()
	until(t, m, func() bool { return m.View().Devices.Status == Failed })
	w.set(w.server, "Devices", good.server["Devices"])
	m.Reload()
	until(t, m, func() bool { return m.View().Snapshots.Status == Failed })
	w.set(w.server, "Snapshots", good.server["Snapshots"])
	m.Reload()
	until(t, m, func() bool { return m.View().Contents.Status == Failed })
	w.set(w.worker, talk.MethodLoad, good.worker[talk.MethodLoad])
	m.Reload()
	until(t, m, func() bool { return m.View().Listing.Err != nil })
	w.set(w.worker, talk.MethodList, good.worker[talk.MethodList])
	m.Reload()
	until(t, m, listed(m))

	_, gone := newFiles(t)
	gone.Go("dev_1", "snp_7", "")
	gone.Open()
	until(t, gone, func() bool { return gone.View().Contents.Err != nil })
	fails(t, gone.View().Contents.Err, fault.NotFound, "another")
}

// opened returns files of which one is chosen.
func opened(t *testing.T) (*works, *Files) {
	w, m := newFiles(t)
	m.Open()
	until(t, m, listed(m))
	m.Toggle(*m.View().Entry(3))
	return w, m
}

func TestSave(t *testing.T) {
	t.Parallel()
	w, m := opened(t)
	m.Choose(talk.Filter{Kinds: []talk.Kind{talk.Archive}, Extensions: []string{".x"}})
	w.worker[talk.MethodPlan] = say(`{"name":"f3","type":"t","size":2,"files":1,"bytes":2}`)
	began, goOn := make(chan talk.Selection), make(chan error)
	w.save = func(ctx context.Context, plan talk.Plan, what talk.Selection, progress func(talk.Progress)) (talk.Downloaded, error) {
		progress(talk.Progress{Bytes: 1, TotalBytes: 2})
		began <- what
		select {
		case err := <-goOn:
			return talk.Downloaded{Failed: 1}, err
		case <-ctx.Done():
			return talk.Downloaded{}, ctx.Err()
		}
	}
	m.Save(nil)
	what := <-began
	if what.Snapshot != "snp_2" || len(what.Paths) != 1 || what.Paths[0] != "docs/f3" || what.Extensions[0] != ".x" || len(what.Extensions) < 10 {
		t.Errorf("%+v", what)
	}
	if s := m.View().Save; s.Plan.Name != "f3" || s.Done.Bytes != 1 || s.Over {
		t.Errorf("%+v", s)
	}
	m.Save(nil) // one at a time
	goOn <- nil
	until(t, m, func() bool { return m.View().Save.Over })
	if s := m.View().Save; s.Err != nil || s.Got.Failed != 1 {
		t.Errorf("%+v", s)
	}
	m.CancelSave()
	m.CancelSave()
	if m.View().Save != nil {
		t.Error("it is still said")
	}

	m.SaveFrom("snp_1", talk.Entry{Path: "docs/f4"})
	if what := <-began; what.Snapshot != "snp_1" || what.Paths[0] != "docs/f4" || len(what.Extensions) != 0 {
		t.Errorf("%+v", what)
	}
	m.CancelSave()
	until(t, m, func() bool { return m.View().Save == nil })

	m.Save(m.View().Entry(5))
	if what := <-began; what.Paths[0] != "docs/f5" {
		t.Errorf("%+v", what)
	}
	goOn <- fault.New(fault.Internal, "damaged")
	until(t, m, func() bool { return m.View().Save.Over })
	fails(t, m.View().Save.Err, fault.Internal, "damaged")

	bare := NewFiles(Sources{API: w.client(), Keys: w.world, Live: w}) // a worker that cannot save
	bare.Save(nil)
	until(t, bare, func() bool { return bare.View().Save.Over })
	fails(t, bare.View().Save.Err, fault.Unavailable, "https")
}

func TestRestore(t *testing.T) {
	t.Parallel()
	w, m := opened(t)
	w.worker[talk.MethodOrderRestore] = say(`{"sealed":"b3JkZXI=","order":"ord_1"}`)
	w.server["OrderRestore"] = say(`{"orderRestore":{"run":` + runJSON("run_1", "dev_1", "WAITING", 1) + `}}`)
	m.Restore("dev_1", "/tmp/x", "skip")
	until(t, m, func() bool { return m.View().Ordered == "run_1" })
	if got := w.last(talk.MethodOrderRestore); got != `{"conflict":"skip","device":{"id":"dev_1","mac":"bWFj","publicKey":"cHVi"},"paths":["docs/f3"],"snapshot":"snp_2","to":"/tmp/x"}` {
		t.Error(got)
	}
	if got := w.last("OrderRestore"); got != `{"input":{"device":"dev_1","order":"b3JkZXI=","snapshot":"snp_2"}}` {
		t.Error(got) // and nothing of names
	}
	m.DismissWork()
	idle := func() bool { v := m.View(); return v.Work.Busy == "" && v.Work.Err != nil }
	m.Restore("dev_7", "", "skip")
	until(t, m, idle)
	fails(t, m.View().Work.Err, fault.Invalid, "device")
	w.set(w.server, "OrderRestore", refuse(fault.Conflict, "revoked"))
	m.Restore("dev_1", "", "skip")
	until(t, m, func() bool { return idle() && fault.KindOf(m.View().Work.Err) == fault.Conflict })
	w.set(w.worker, talk.MethodOrderRestore, refuse(fault.Forbidden, "not yours"))
	m.Restore("dev_1", "", "skip")
	until(t, m, func() bool { return idle() && fault.KindOf(m.View().Work.Err) == fault.Forbidden })
	m.ClearChoice()
	m.Restore("dev_1", "", "skip")
	until(t, m, func() bool { return idle() && fault.KindOf(m.View().Work.Err) == fault.Invalid })
}

func TestLook(t *testing.T) {
	t.Parallel()
	w, m := opened(t)
	w.worker[talk.MethodPreview] = say(`{"kind":"image","url":"blob:1","size":2}`)
	w.worker[talk.MethodVersions] = say(`[{"snapshot":"snp_2","size":2,"content":1},{"snapshot":"snp_1","absent":true}]`)
	m.Look(*m.View().Entry(3))
	until(t, m, func() bool {
		l := m.View().Look
		return l.Preview.Status == Ready && l.Versions.Status == Ready
	})
	if got := w.last(talk.MethodVersions); got != `{"path":"docs/f3","snapshots":["snp_2","snp_1"]}` {
		t.Error(got)
	}
	m.CloseLook()
	until(t, m, func() bool { m.DismissWork(); return strings.Contains(w.last(talk.MethodRelease), "blob:1") })

	held := make(chan struct{})
	w.set(w.worker, talk.MethodPreview, func(map[string]any) (string, error) {
		<-held
		return `{"kind":"image","url":"blob:2","size":2}`, nil
	})
	w.set(w.worker, talk.MethodVersions, refuse(fault.Internal, "damaged"))
	m.Look(*m.View().Entry(3))
	until(t, m, func() bool { return m.View().Look.Versions.Status == Failed })
	m.CloseLook() // before the picture is here
	close(held)
	until(t, m, func() bool { m.DismissWork(); return strings.Contains(w.last(talk.MethodRelease), "blob:2") })
}

func TestDistinct(t *testing.T) {
	t.Parallel()
	list := []talk.Version{
		{Snapshot: "7", Size: 3, Content: 2}, {Snapshot: "6", Error: "damaged"}, {Snapshot: "5", Size: 3, Content: 2}, {Snapshot: "4", Size: 1, Content: 1},
		{Snapshot: "3", Absent: true}, {Snapshot: "2", Size: 1, Content: 1}, {Snapshot: "1", Type: "dir"}, {Snapshot: "0", Type: "dir"},
	}
	got := fmt.Sprint(Distinct(list))
	if want := "[{7 5 2 3 0} {4 4 1 1 0} {2 2 1 1 0} {1 1 1 0 0} {0 0 1 0 0}]"; got != want {
		t.Errorf("%s, want %s", got, want)
	}
}
