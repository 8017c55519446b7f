package state

import (
	"strings"
	"testing"

	"github.com/holdfast-backup/holdfast/app/api"
	"github.com/holdfast-backup/holdfast/app/talk"
	"github.com/holdfast-backup/holdfast/wire/fault"
)

func runIDs(list []*api.RunFields) (s string) {
	for _, r := range list {
		s += r.Id + " "
	}
	return s
}

func TestActivity(t *testing.T) {
	t.Parallel()
	w := newWorks(t)
	w.server["Runs"] = func(in map[string]any) (string, error) {
		if in["after"] != nil {
			return runsJSON(false, runJSON("run_0", "dev_1", "MISSED", 0)), nil
		}
		return runsJSON(true, runJSON("run_2", "dev_1", "SUCCEEDED", 2), runJSON("run_1", "dev_1", "FAILED", 1)), nil
	}
	m := NewActivity(w.sources())
	m.Open(ActivityFilter{Device: "dev_1"})
	until(t, m, func() bool { return m.View().Runs.Status == Ready })
	if v := m.View(); runIDs(v.Runs.Value) != "run_2 run_1 " || !v.More || v.Total != 2 {
		t.Errorf("%+v", v)
	}
	m.LoadMore()
	until(t, m, func() bool { return !m.View().More })
	if v := m.View(); runIDs(v.Runs.Value) != "run_2 run_1 run_0 " || v.Adding {
		t.Errorf("%+v", v)
	}
	m.LoadMore() // there is nothing
	if m.View().Adding {
		t.Error("it loads what is not there")
	}

	w.tell(`{"runChanges":`+runJSON("run_3", "dev_1", "RUNNING", 3)+`}`, nil)
	w.tell(`{"runChanges":`+runJSON("run_4", "dev_2", "RUNNING", 4)+`}`, nil) // of another device
	w.tell(`{"runChanges":`+runJSON("run_1", "dev_1", "CANCELLED", 1)+`}`, nil)
	if v := m.View(); runIDs(v.Runs.Value) != "run_3 run_2 run_1 run_0 " || v.Runs.Value[2].State != api.RunStateCancelled {
		t.Error(runIDs(v.Runs.Value))
	}

	m.Choose(ActivityFilter{Kind: api.RunKindBackup, State: "bad"})
	until(t, m, func() bool { return m.View().Runs.Status == Ready })
	if got := w.last("Runs"); got != `{"after":null,"filter":{"application":null,"device":null,"from":null,"group":null,"kind":"BACKUP","policy":null,"states":["FAILED","MISSED","WARNED"],"to":null,"user":null},"first":30}` {
		t.Error(got)
	}
	w.tell(`{"runChanges":`+runJSON("run_5", "dev_1", "RUNNING", 5)+`}`, nil)
	w.tell(`{"runChanges":`+runJSON("run_6", "dev_1", "FAILED", 6)+`}`, nil)
	if got := runIDs(m.View().Runs.Value); got != "run_6 run_2 run_1 " {
		t.Error(got)
	}

	w.set(w.server, "Runs", refuse(fault.Unavailable, "not now"))
	m.Reload()
	until(t, m, func() bool { return m.View().Runs.Err != nil })
	if v := m.View(); v.Runs.Status != Ready || len(v.Runs.Value) == 0 {
		t.Error("what was here is gone")
	}
	m.Close()
	m.Close()
	if w.ended != 1 {
		t.Error("ended", w.ended)
	}
}

func detailJSON(run, report string) string {
	return run[:len(run)-1] + `,"snapshot":{"id":"snp_1","createdAt":"2026-11-25T00:00:00Z","root":"cg==","manifest":"bQ==","device":{"id":"dev_1"}},"sealedReport":` + report + `}`
}

func TestRun(t *testing.T) {
	t.Parallel()
	w := newWorks(t)
	w.server["Run"] = say(`{"run":` + detailJSON(runJSON("run_1", "dev_1", "RUNNING", 1), "null") + `}`)
	w.server["CancelRun"] = say(`{"cancelRun":{"run":` + runJSON("run_1", "dev_1", "RUNNING", 1) + `}}`)
	w.worker[talk.MethodOpenReport] = say(`{"text":"it went so","failures":[{"path":"a","text":"no"}],"failed":1}`)
	m := NewRunPage(w.sources(), "run_1")
	m.Open()
	until(t, m, func() bool { return m.View().Report.Status == Ready })
	if v := m.View(); v.Run.Value.State != api.RunStateRunning || v.Report.Value != nil {
		t.Errorf("%+v", v)
	}
	m.Cancel()
	until(t, m, func() bool { return w.was("CancelRun") && !m.View().Busy })

	w.set(w.server, "Run", say(`{"run":`+detailJSON(runJSON("run_1", "dev_1", "WARNED", 1), `"cmVwb3J0"`)+`}`))
	w.tell(`{"runChanges":`+runJSON("run_2", "dev_1", "FAILED", 1)+`}`, nil) // another one
	w.tell(`{"runChanges":`+runJSON("run_1", "dev_1", "WARNED", 1)+`}`, nil)
	until(t, m, func() bool { r := m.View().Report.Value; return r != nil && r.Failed == 1 })
	if got := w.last(talk.MethodOpenReport); got != `{"device":"dev_1","kind":"BACKUP","order":"","run":"run_1","sealed":"cmVwb3J0","snapshot":"snp_1"}` {
		t.Error(got)
	}

	// What the backup lacks.
	w.worker[talk.MethodOpenManifests] = say(`[{"id":"snp_1"}]`)
	w.set(w.worker, talk.MethodProblems, say(`[{"path":"home/a","cause":"changed","text":"it kept changing"}]`))
	lacking := strings.Replace(detailJSON(runJSON("run_1", "dev_1", "WARNED", 1), "null"), `"problems":0`, `"problems":1`, 1)
	w.set(w.server, "Run", say(`{"run":`+lacking+`}`))
	m.Reload()
	until(t, m, func() bool { l := m.View().Lacks.Value; return len(l) == 1 && l[0].Path == "home/a" })
	if got := w.last(talk.MethodProblems); got != `{"limit":500,"offset":0,"snapshot":"snp_1"}` {
		t.Error(got)
	}
	w.set(w.worker, talk.MethodOpenManifests, say(`[{"id":"snp_1","error":"damaged"}]`))
	m.Reload()
	until(t, m, func() bool { return m.View().Lacks.Err != nil })

	w.set(w.server, "Run", say(`{"run":`+detailJSON(runJSON("run_1", "dev_1", "WARNED", 1), `"cmVwb3J0"`)+`}`))
	w.set(w.server, "CancelRun", refuse(fault.Conflict, "it is over"))
	m.Cancel()
	until(t, m, func() bool { return m.View().Err != nil })
	w.set(w.worker, talk.MethodOpenReport, refuse(fault.Internal, "damaged"))
	m.Reload()
	until(t, m, func() bool { return m.View().Report.Err != nil })
	m.Close()
	m.Close()

	for name, answer := range map[string]func(map[string]any) (string, error){"none": say(`{"run":null}`), "no server": refuse(fault.Unavailable, "not now")} {
		w.set(w.server, "Run", answer)
		n := NewRunPage(w.sources(), "run_9")
		n.Open()
		until(t, n, func() bool { s := n.View().Run.Status; return s == Ready || s == Failed })
		if v := n.View(); v.Run.Value != nil || (v.Run.Err == nil) != (name == "none") {
			t.Errorf("%s: %+v", name, v)
		}
		n.run(&api.RunFields{Id: "run_9"}) // nothing is here to be changed
		n.Close()
	}
}

// A run may end before its page follows it: while it is loaded, or so early that the server tells of it no more.
func TestRunEndsEarly(t *testing.T) {
	t.Parallel()
	for name, told := range map[string]bool{"while it is loaded": true, "before anybody listened": false} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorks(t)
			w.server["Run"] = func(map[string]any) (string, error) {
				w.set(w.server, "Run", say(`{"run":`+detailJSON(runJSON("run_1", "dev_1", "FAILED", 1), "null")+`}`))
				if told {
					w.tell(`{"runChanges":`+runJSON("run_1", "dev_1", "FAILED", 1)+`}`, nil)
				}
				return `{"run":` + detailJSON(runJSON("run_1", "dev_1", "RUNNING", 1), "null") + `}`, nil
			}
			m := NewRunPage(w.sources(), "run_1")
			m.Open()
			until(t, m, func() bool { r := m.View().Run.Value; return r != nil && r.State == api.RunStateFailed })
			m.Close()
		})
	}
}
