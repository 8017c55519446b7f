package state

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/holdfast-backup/holdfast/app/api"
	"github.com/holdfast-backup/holdfast/wire/fault"
)

// desk is a server that answers operations by name, and remembers what it was asked.
type desk struct {
	t       *testing.T
	mu      sync.Mutex
	answers map[string]func(vars map[string]any) (any, error)
	asked   []string
	vars    map[string]map[string]any // of the last call of each
}

func newDesk(t *testing.T) *desk {
	return &desk{t: t, answers: map[string]func(map[string]any) (any, error){}, vars: map[string]map[string]any{}}
}

// on answers an operation with a value.
func (d *desk) on(op string, v any) {
	d.does(op, func(map[string]any) (any, error) { return v, nil })
}

// fails answers an operation with a fault.
func (d *desk) fails(op string, kind fault.Kind, text string) {
	d.does(op, func(map[string]any) (any, error) { return nil, fault.New(kind, "%s", text) })
}

func (d *desk) does(op string, fn func(vars map[string]any) (any, error)) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.answers[op] = fn
}

func (d *desk) client() *api.Client {
	return &api.Client{Fetch: func(_ context.Context, body []byte) (int, []byte, error) {
		var req struct {
			OperationName string
			Variables     map[string]any
		}
		if err := json.Unmarshal(body, &req); err != nil {
			return 0, nil, err
		}
		d.mu.Lock()
		fn := d.answers[req.OperationName]
		d.asked = append(d.asked, req.OperationName)
		d.vars[req.OperationName] = req.Variables
		d.mu.Unlock()
		if fn == nil {
			d.t.Errorf("nobody expected %s", req.OperationName)
			return 0, nil, errors.New("unexpected")
		}
		v, err := fn(req.Variables)
		var f *fault.Error
		out := map[string]any{"data": v}
		if errors.As(err, &f) {
			out = map[string]any{"errors": []any{map[string]any{"message": f.Message, "extensions": map[string]any{"code": f.Kind}}}}
		}
		b, err := json.Marshal(out)
		return 200, b, err
	}}
}

func (d *desk) last(op string) map[string]any {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.vars[op]
}

func (d *desk) count(op string) (n int) {
	d.mu.Lock()
	defer d.mu.Unlock()
	for _, a := range d.asked {
		if a == op {
			n++
		}
	}
	return n
}

type obj = map[string]any

func page(kind string, next string, nodes ...obj) obj {
	edges := []any{}
	for _, n := range nodes {
		edges = append(edges, obj{"node": n})
	}
	info := obj{"hasNextPage": next != "", "endCursor": next}
	return obj{kind: obj{"edges": edges, "pageInfo": info, "totalCount": 3}}
}

func TestOverviewHasEveryDay(t *testing.T) {
	t.Parallel()
	d := newDesk(t)
	today := time.Now().Format(time.DateOnly)
	d.on("AdminOverview", obj{"fleetOverview": obj{"devices": 2}, "storageReport": obj{}, "runReport": obj{"rows": []any{obj{"key": today, "label": today, "failed": 3}}}})
	o := NewOverview(d.client(), "UTC")
	o.Reload()
	until(t, o, func() bool { return o.View().Status == Ready })
	v := o.View()
	if len(v.Days) != overviewDays || v.Days[overviewDays-1].Failed != 3 || v.Days[0].Failed != 0 {
		t.Errorf("%d days: %+v", len(v.Days), v.Days)
	}
	d.fails("AdminOverview", fault.Unavailable, "not now")
	o.Reload()
	until(t, o, func() bool { return o.View().Load.Err != nil })
	if v := o.View(); v.Status != Ready || len(v.Days) != overviewDays {
		t.Error("what was there has gone with a failed reload")
	}
}

func TestRowsComePageByPage(t *testing.T) {
	t.Parallel()
	d := newDesk(t)
	d.does("AdminDevices", func(vars map[string]any) (any, error) {
		switch {
		case vars["search"] != nil:
			return page("fleetDevices", "", obj{"id": "c", "name": "found"}), nil
		case vars["after"] == nil:
			return page("fleetDevices", "1", obj{"id": "a"}), nil
		}
		return page("fleetDevices", "", obj{"id": "b"}), nil
	})
	f := NewFleetDevices(d.client())
	f.Reload()
	until(t, f, func() bool { return !f.View().Rows.Loading && f.View().Rows.Status == Ready })
	if r := f.View().Rows; len(r.Value) != 1 || !r.More || r.Total != 3 {
		t.Fatalf("first page: %+v", r)
	}
	f.More()
	until(t, f, func() bool { return len(f.View().Rows.Value) == 2 })
	f.More() // there is none: nothing is asked
	if r := f.View().Rows; r.More || r.Loading || d.count("AdminDevices") != 2 {
		t.Errorf("after the last page: %+v, asked %d times", r, d.count("AdminDevices"))
	}
	f.Filter(" x ", []api.HealthState{api.HealthStateBad})
	until(t, f, func() bool { v := f.View().Rows.Value; return len(v) == 1 && v[0].Id == "c" })
	if got := d.last("AdminDevices"); got["search"] != "x" || fmt.Sprint(got["health"]) != "[BAD]" {
		t.Errorf("asked for %v", got)
	}
}

func TestOlderAnswersAreDropped(t *testing.T) {
	t.Parallel()
	hold := make(chan struct{})
	d := newDesk(t)
	asked := make(chan map[string]any, 1)
	d.does("AdminReport", func(vars map[string]any) (any, error) {
		if in := vars["input"].(map[string]any); in["by"] == "DAY" {
			<-hold
		} else {
			asked <- in
		}
		return obj{"runReport": obj{"rows": []any{obj{"key": vars["input"].(map[string]any)["by"]}}}}, nil
	})
	r := NewReports(d.client(), "UTC")
	r.Reload()
	r.Show(api.ReportByPolicy, "2026-11-01", "2026-11-30")
	until(t, r, func() bool { return r.View().Status == Ready })
	in := <-asked // the first question may come after the second
	from := time.Date(2026, 11, 1, 0, 0, 0, 0, time.Local)
	if got, err := time.Parse(time.RFC3339, in["from"].(string)); err != nil || !got.Equal(from) {
		t.Errorf("from %v: %v", in["from"], err)
	}
	if got, err := time.Parse(time.RFC3339, in["to"].(string)); err != nil || !got.Equal(from.AddDate(0, 1, 0)) {
		t.Errorf("to %v: the last day is not all in it (%v)", in["to"], err)
	}
	changed := make(chan struct{}, 1)
	defer r.Observe(func() { changed <- struct{}{} })()
	close(hold)
	<-changed
	if got := r.View().Value.Rows[0].Key; got != "POLICY" {
		t.Errorf("the answer to %s replaced a newer one", got)
	}
}

func TestReportsRefuseDays(t *testing.T) {
	t.Parallel()
	r := NewReports(newDesk(t).client(), "UTC")
	for _, days := range [][2]string{{"", "2026-01-01"}, {"2026-01-01", ""}, {"2026-01-02", "2026-01-01"}} {
		r.Show(api.ReportByDay, days[0], days[1])
		until(t, r, func() bool { return r.View().Status == Failed })
		if err := r.View().Err; !errors.Is(err, fault.Invalid) {
			t.Errorf("%v: %v", days, err)
		}
	}
}

func TestInvitees(t *testing.T) {
	t.Parallel()
	got, err := Invitees("E-mail,Name\ngrace@x.org, Grace Hopper\r\n\nAlan Turing <alan@x.org>\nAda;Lovelace;ada@x.org\nGRACE@x.org\nbare@x.org\n")
	want := []Invitee{{"grace@x.org", "Grace Hopper"}, {"alan@x.org", "Alan Turing"}, {"ada@x.org", "Ada Lovelace"}, {"bare@x.org", "bare"}}
	if err != nil || !slices.Equal(got, want) {
		t.Errorf("%v, %v", got, err)
	}
	for _, bad := range []string{"", "\n", "a@x.org\nnobody"} {
		if got, err := Invitees(bad); !errors.Is(err, fault.Invalid) {
			t.Errorf("%q: %v, %v", bad, got, err)
		}
	}
}

func TestInviteSaysWhoWasRefused(t *testing.T) {
	t.Parallel()
	d := newDesk(t)
	d.does("Invite", func(vars map[string]any) (any, error) {
		if vars["email"] == "old@x.org" {
			return nil, fault.New(fault.Conflict, "old@x.org has an account already")
		}
		return obj{"invite": obj{"url": "https://x/join#t"}}, nil
	})
	d.on("AdminUsers", page("users", ""))
	d.on("AdminInvitations", obj{"invitations": []any{}})
	d.on("AdminGroups", obj{"groups": []any{}})
	p := NewPeople(d.client())
	p.Invite("new@x.org\nold@x.org", api.RoleStaff)
	until(t, p, func() bool { return p.View().Done != "" })
	v := p.View()
	if len(v.Links) != 2 || v.Links[0].URL == "" || v.Links[1].Err == nil || v.Done != "1 person is invited." {
		t.Errorf("%q %+v", v.Done, v.Links)
	}
	p.Forget()
	p.Dismiss()
	if v := p.View(); len(v.Links) != 0 || v.Done != "" {
		t.Errorf("still there: %+v", v)
	}
	p.Invite("old@x.org", api.RoleStaff)
	until(t, p, func() bool { return p.View().Err != nil })
	p.Invite("nonsense", api.RoleStaff)
	until(t, p, func() bool { return p.View().Err != nil && strings.Contains(p.View().Err.Error(), "line 1") })
}

func TestTheServerFindsPeople(t *testing.T) {
	t.Parallel()
	d := newDesk(t)
	d.does("AdminUsers", func(vars map[string]any) (any, error) {
		if vars["search"] == "c@X" {
			return page("users", "", obj{"name": "Carl", "email": "c@x.org"}), nil
		}
		if vars["after"] == "1" {
			return page("users", "", obj{"name": "Bob", "email": "b@x.org"}), nil
		}
		return page("users", "1", obj{"name": "Ada", "email": "a@x.org"}), nil
	})
	d.on("AdminInvitations", obj{"invitations": []any{}})
	d.on("AdminGroups", obj{"groups": []any{}})
	p := NewPeople(d.client())
	p.Reload()
	until(t, p, func() bool { return len(p.View().Users.Value) == 1 && !p.View().Users.Loading })
	p.Find(" c@X ")
	until(t, p, func() bool { return !p.View().Users.Loading })
	if u := p.View().Users; len(u.Value) != 1 || u.Value[0].Name != "Carl" || u.More {
		t.Errorf("%+v", u)
	}
	asked := d.count("AdminUsers")
	p.Find(" c@X ")
	if d.count("AdminUsers") != asked {
		t.Error("the same search was asked twice")
	}
	p.Find("")
	until(t, p, func() bool { return !p.View().Users.Loading })
	p.More()
	until(t, p, func() bool { return len(p.View().Users.Value) == 2 })
}

func TestAccountsAreReset(t *testing.T) {
	t.Parallel()
	d := newDesk(t)
	d.on("AdminUsers", page("users", "", obj{"name": "Ada", "email": "ada@x.org"}))
	d.on("AdminInvitations", obj{"invitations": []any{}})
	d.on("AdminGroups", obj{"groups": []any{}})
	d.on("ResetSecondFactor", obj{"resetSecondFactor": obj{"user": obj{"id": "usr_1"}}})
	d.on("ResetAccount", obj{"resetAccount": obj{"url": "https://x/join#hfi_1", "snapshots": 3}})
	p := NewPeople(d.client())
	ada := &api.Person{Id: "usr_1", Name: "Ada", Email: "ada@x.org"}
	p.ResetSecondFactor(ada)
	until(t, p, func() bool { return strings.Contains(p.View().Work.Done, "password only") })
	p.ResetAccount(ada, "bob@x.org")
	until(t, p, func() bool { return p.View().Work.Err != nil })
	if d.count("ResetAccount") != 0 {
		t.Error("an account was reset whose address was not typed")
	}
	p.ResetAccount(ada, " ADA@x.org")
	until(t, p, func() bool { return strings.Contains(p.View().Work.Done, "3 snapshots were deleted") })
	if l := p.View().Links; len(l) != 1 || l[0].URL != "https://x/join#hfi_1" {
		t.Errorf("%+v", l)
	}
}

func TestTheAuditLogIsFilteredAndExported(t *testing.T) {
	t.Parallel()
	d := newDesk(t)
	d.on("AdminMails", page("mails", ""))
	var last map[string]any
	d.does("AdminAudit", func(vars map[string]any) (any, error) {
		last = vars
		if vars["after"] == nil {
			return page("auditEvents", "1", obj{"text": "one", "kind": "user.joined", "at": "2026-11-25T12:00:00Z"}), nil
		}
		return page("auditEvents", "", obj{"text": "two", "kind": "user.joined", "at": "2026-11-24T12:00:00Z"}), nil
	})
	a := NewAudit(d.client())
	a.Find(AuditFilter{Search: "o", Kind: "user", From: "2026-11-24", To: "2026-11-25"})
	until(t, a, func() bool { return len(a.View().Events.Value) == 1 })
	from, to := time.Date(2026, 11, 24, 0, 0, 0, 0, time.Local), time.Date(2026, 11, 26, 0, 0, 0, 0, time.Local)
	for name, want := range map[string]time.Time{"from": from, "to": to} {
		if got, err := time.Parse(time.RFC3339, last[name].(string)); err != nil || !got.Equal(want) {
			t.Errorf("%s: %v", name, last[name])
		}
	}
	if last["search"] != "o" || last["kind"] != "user" {
		t.Errorf("%v", last)
	}
	saved := make(chan string, 1)
	a.Export(func(csv string) { saved <- csv })
	if got := <-saved; strings.Count(got, "\n") != 3 || !strings.Contains(got, "two") {
		t.Errorf("%q", got)
	}
	until(t, a, func() bool { return !a.View().Exporting })
	asked := d.count("AdminAudit")
	for _, bad := range []AuditFilter{{From: "yesterday"}, {To: "2026-13-01"}, {From: "2026-11-25", To: "2026-11-24"}} {
		a.Find(bad)
		a.Export(func(string) { t.Error("exported") })
		if a.View().Wrong == nil {
			t.Errorf("%+v", bad)
		}
	}
	if d.count("AdminAudit") != asked {
		t.Error("the server was asked for what cannot be")
	}
	d.does("AdminAudit", func(map[string]any) (any, error) { return nil, fault.New(fault.Unavailable, "not now") })
	a.Find(AuditFilter{})
	a.Export(func(string) { t.Error("exported") })
	until(t, a, func() bool { return a.View().ExportErr != nil })
}

func TestOneThingAtATime(t *testing.T) {
	t.Parallel()
	hold := make(chan struct{})
	d := newDesk(t)
	d.does("RunCare", func(map[string]any) (any, error) { <-hold; return nil, fault.New(fault.Conflict, "it runs already") })
	s := NewStorage(d.client())
	s.Run("gc")
	s.Run("scrub")
	close(hold)
	until(t, s, func() bool { return s.View().Work.Err != nil })
	if d.count("RunCare") != 1 || s.View().Busy != "" {
		t.Errorf("asked %d times, busy with %q", d.count("RunCare"), s.View().Busy)
	}
}

func TestAuditCSV(t *testing.T) {
	t.Parallel()
	at := time.Date(2026, 11, 25, 12, 0, 0, 0, time.UTC)
	got := AuditCSV([]*api.AuditFields{{At: at, Kind: "user.joined", Text: `=1+1, "x";=2`}})
	want := "time,kind,who,what\n2026-11-25T12:00:00Z,user.joined,the system,\"'=1+1, \"\"x\"\";'=2\"\n"
	if got != want {
		t.Errorf("%q", got)
	}
}

func TestWordsOfAdministration(t *testing.T) {
	t.Parallel()
	share := func(f float64) *float64 { return &f }
	for want, s := range map[string]*float64{"–": nil, "100 %": share(1), "99.9 %": share(.99999), "0 %": share(0), "98.4 %": share(.984)} {
		if got := Percent(s); got != want {
			t.Errorf("%s, want %s", got, want)
		}
	}
	for want, v := range map[string][2]int64{"–": {0, 10}, "75 B (75.0 %)": {100, 25}} {
		if got := Saved(v[0], v[1]); got != want {
			t.Errorf("%s, want %s", got, want)
		}
	}
	field, text := FieldOf(fault.New(fault.Invalid, "schedule.times: name a time"), "schedule")
	if field != "schedule" || text != "Name a time" {
		t.Errorf("%q %q", field, text)
	}
	for _, err := range []error{nil, fault.New(fault.Conflict, "name: x"), fault.New(fault.Invalid, "other: x"), errors.New("name: x")} {
		if field, _ := FieldOf(err, "name"); field != "" {
			t.Errorf("%v: %s", err, field)
		}
	}
	for _, bad := range []string{"x", "-1", "NaN", "1e30"} {
		if n, err := gib(bad); err == nil {
			t.Errorf("%q: %d", bad, *n)
		}
	}
}

// until waits for a change after which ok holds.
func until(t *testing.T, m interface{ Observe(func()) func() }, ok func() bool) {
	t.Helper()
	rung := make(chan struct{}, 1)
	stop := m.Observe(func() {
		select {
		case rung <- struct{}{}:
		default:
		}
	})
	defer stop()
	late := time.After(10 * time.Second)
	for !ok() {
		select {
		case <-rung:
		case <-late:
			t.Fatal("it did not come about in 10 s")
		}
	}
}
