//go:build linux

package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/holdfast-backup/holdfast/e2e/web/chrome"
)

// looks are what a page is looked at on.
var looks = []struct {
	name string
	chrome.Look
}{
	{"desk", chrome.Desk},
	{"desk-dark", chrome.Look{Width: 1440, Height: 900, Dark: true}},
	{"tablet", chrome.Look{Width: 768, Height: 1024}},
	{"tablet-dark", chrome.Look{Width: 768, Height: 1024, Dark: true}},
	{"telephone", chrome.Look{Width: 390, Height: 844}},
	{"telephone-dark", chrome.Look{Width: 390, Height: 844, Dark: true}},
}

// album takes pictures into a folder.
type album struct {
	*institution
	browser   *chrome.Browser
	wire      *chrome.Wire
	out, only string
	docs      string // the folder for the pictures of the documentation; "": there are to be none
	pictures  int
	wrong     []string
}

// sight is a page: its name, its address (empty: where one is), and what is done there before the picture.
type sight struct {
	name, address string
	do            func(*chrome.Page) error
}

// fill takes all pictures: of who is outside, of an administrator, of somebody new, of somebody without a network.
func (a *album) fill(ctx context.Context) error {
	guest, err := a.browser.Person(chrome.Desk, a.dir)
	if err != nil {
		return err
	}
	token, err := a.server.Invite(ctx, "emmy@example.org", "Emmy Noether", "staff")
	if err != nil {
		return err
	}
	if err := a.take(guest, []sight{
		{"door-login", "/", nil},
		{"door-wrong", "/", func(p *chrome.Page) error { return a.login(p, "ada@example.org", "not this one", "password is wrong") }},
		{"door-join", "/join#" + token, nil},
		{"door-join-code", "", func(p *chrome.Page) error {
			return first(func() error { return p.Type("Password", "violet anchor harvest ninety") }, func() error { return p.Sees("Strong.") }, func() error { return p.Press("Go on") },
				func() error { return p.Sees("Keep your recovery code") })
		}},
		{"door-join-lost", "/join", nil},
		{"door-recover", "/recover", nil},
	}); err != nil {
		return err
	}
	newcomer, err := a.browser.Person(chrome.Desk, a.dir)
	if err != nil {
		return err
	}
	last := people[len(people)-1]
	if err := first(func() error { return newcomer.Go("/") }, func() error { return a.login(newcomer, last.email, password(last.name), "Add your first device") }); err != nil {
		return err
	}
	if err := a.take(newcomer, []sight{
		{"new-dashboard", "/", nil}, {"new-files", "/files", nil}, {"new-devices", "/devices", nil}, {"new-applications", "/applications", nil}, {"new-activity", "/runs", nil}, {"new-trash", "/trash", nil},
		{"new-notifications", "/notifications", nil}, {"new-nothing-here", "/admin/people", nil},
	}); err != nil {
		return err
	}
	boss, err := a.browser.Person(chrome.Desk, a.dir)
	if err != nil {
		return err
	}
	if err := first(func() error { return boss.Go("/") }, func() error { return a.login(boss, people[0].email, password(people[0].name), "Administration") }); err != nil {
		return err
	}
	sights, err := a.sights(ctx)
	if err != nil {
		return err
	}
	if err := a.take(boss, sights); err != nil {
		return err
	}
	a.wire.Cut(true)
	return a.take(boss, []sight{
		{"offline-banner", "", func(p *chrome.Page) error { return p.Sees("The server cannot be reached") }},
		{"offline-door", "", func(p *chrome.Page) error {
			return first(p.Reload, func() error { return p.Sees("cannot be reached") })
		}},
		{"offline-shell", "/offline.html", nil},
	})
}

// login logs somebody in and waits for a text.
func (a *album) login(p *chrome.Page, email, password, text string) error {
	return first(func() error { return p.Type("E-mail address", email) }, func() error { return p.Type("Password", password) }, func() error { return p.Press("Log in") }, func() error { return p.Sees(text) })
}

// sights are the pages of an administrator, staff's first.
func (a *album) sights(ctx context.Context) ([]sight, error) {
	var out struct {
		Runs struct {
			Edges []struct {
				Node struct {
					ID, State, Kind string
					Device          struct{ ID string }
					Application     *struct{ ID string }
				}
			}
		}
		Policies []struct{ ID string }
	}
	if err := a.admin.Do(ctx, `{ runs(first: 200) { edges { node { id state kind device { id } application { id } } } } policies { id } }`, nil, &out); err != nil {
		return nil, err
	}
	var runs []sight
	seen := map[string]bool{}
	for _, e := range out.Runs.Edges {
		kind := strings.ToLower(e.Node.Kind + "-" + e.Node.State)
		if e.Node.Application != nil {
			kind = "application-" + kind
		}
		if !seen[kind] {
			seen[kind] = true
			s := sight{"run-" + kind, "/runs/" + e.Node.ID, nil}
			if e.Node.State == "WARNED" {
				s.do = func(p *chrome.Page) error { return p.Sees("Which files") }
			}
			runs = append(runs, s)
		}
	}
	ada := a.devices[0]
	into := func(p *chrome.Page) error {
		for _, name := range strings.Split(strings.Trim(ada.home, "/"), "/") {
			if err := p.Press(name); err != nil {
				return err
			}
		}
		return p.Sees("Pictures")
	}
	press := func(names ...string) func(*chrome.Page) error {
		return func(p *chrome.Page) error {
			for _, name := range names {
				if err := p.Press(name); err != nil {
					return err
				}
			}
			return nil
		}
	}
	list := []sight{
		{"dashboard", "/", nil},
		{"files", "/files", func(p *chrome.Page) error { return p.Sees("1 entry") }},
		{"files-folder", "/files/" + ada.id, into},
		{"files-chosen", "", func(p *chrome.Page) error {
			return first(func() error { return press("Documents", "Choose Reading", "Choose Talks")(p) }, func() error { return p.Sees("chosen") })
		}},
		{"files-search", "", func(p *chrome.Page) error {
			return first(func() error { return p.Type("Search names, such as *.pdf", "library") }, func() error { return p.Lacks("Budget 2026") })
		}},
		{"files-restore", "", press("Restore to a device")},
		{"files-preview", "", func(p *chrome.Page) error {
			return first(func() error { return p.Press("Close") }, func() error { return p.Press("report library*") }, func() error { return p.Sees("Download") })
		}},
		{"devices", "/devices", nil},
		{"device", "/devices/" + ada.id, nil},
		{"device-long-name", "/devices/" + a.devices[1].id, nil},
		{"device-revoke", "", press("Revoke")},
		{"device-nowhere", "/devices/" + a.devices[3].id, nil},
		{"device-add", "/devices/add", nil},
		{"activity", "/runs", nil},
	}
	list = append(list, a.applications()...)
	list = append(list, runs...)
	list = append(list, []sight{
		{"trash", "/trash", nil},
		{"notifications", "/notifications", nil},
		{"bell", "/notifications", func(p *chrome.Page) error {
			var name string
			if err := p.Run(`document.querySelector(".app-header [aria-label*=unread]").ariaLabel`, &name); err != nil {
				return err
			}
			return p.Press(name)
		}},
		{"profile", "/profile", nil},
		{"profile-factor", "", press("Set it up")},
		{"admin-overview", "/admin", nil},
		{"admin-policies", "/admin/policies", nil},
		{"admin-policy", "/admin/policies/" + out.Policies[len(out.Policies)-1].ID, nil},
		{"admin-policy-new", "/admin/policies/new", nil},
		{"admin-people", "/admin/people", nil},
		{"admin-people-invite", "/admin/people", press("Invite")},
		{"admin-people-change", "/admin/people", press("Change Grace Hopper")},
		{"admin-fleet", "/admin/devices", nil},
		{"admin-reports", "/admin/reports", nil},
		{"admin-storage", "/admin/storage", nil},
		{"admin-tasks", "/admin/tasks", nil},
		{"admin-settings", "/admin/settings", nil},
		{"admin-audit", "/admin/audit", nil},
		{"not-found", "/no/such/page", nil},
		{"locked", "/", func(p *chrome.Page) error {
			return first(func() error { return press("Ada Lovelace", "Lock")(p) }, func() error { return p.Sees("are closed") })
		}},
		{"unlocked", "", func(p *chrome.Page) error {
			return first(func() error { return p.Type("Password", password(people[0].name)) }, func() error { return p.Press("Unlock") }, func() error { return p.Sees("Administration") })
		}},
	}...)
	return list, nil
}

// take goes to each sight and takes its pictures.
func (a *album) take(p *chrome.Page, sights []sight) error {
	took := a.wants(sights[0])
	for _, s := range sights {
		if s.address != "" || a.docs != "" { // what has none goes on from the one before
			took = a.wants(s)
		}
		if !took {
			continue
		}
		if err := p.Look(chrome.Desk); err != nil {
			return err
		}
		if s.address != "" {
			if err := p.Go(s.address); err != nil {
				return err
			}
		}
		err := settle(p)
		if err == nil && s.do != nil {
			err = first(func() error { return s.do(p) }, func() error { return settle(p) })
		}
		if err != nil {
			return fmt.Errorf("%s: %w", s.name, err)
		}
		for _, l := range looks {
			if err := a.picture(p, s.name, l.name, l.Look); err != nil {
				return fmt.Errorf("%s, %s: %w", s.name, l.name, err)
			}
		}
		troubles, err := p.Troubles()
		if err != nil {
			return err
		}
		for _, t := range troubles {
			if !strings.Contains(t, "status of 401") && !strings.HasPrefix(s.name, "offline") { // whoever is not logged in is told so
				a.wrong = append(a.wrong, s.name+": "+t)
			}
		}
	}
	return nil
}

func (a *album) picture(p *chrome.Page, name, on string, l chrome.Look) error {
	if err := first(func() error { return p.Look(l) }, func() error { return settle(p) }); err != nil {
		return err
	}
	wide := 0
	if err := p.Run(`document.documentElement.scrollWidth - innerWidth`, &wide); err != nil {
		return err
	}
	if wide > 0 {
		a.wrong = append(a.wrong, fmt.Sprintf("%s on a %s is %d pixels wider than the screen", name, on, wide))
	}
	// Over a dialog there is nothing to scroll; else all of the page, from its top.
	open := false
	if err := p.Run(`scrollTo({top: 0, behavior: "instant"}), document.body.classList.contains("hf-modal-open")`, &open); err != nil {
		return err
	}
	b, err := p.Picture(!open)
	if err != nil {
		return err
	}
	a.pictures++
	if a.docs != "" {
		if err := a.document(name, on, int(l.Height), b); err != nil {
			return err
		}
	}
	return os.WriteFile(filepath.Join(a.out, name+"-"+on+".png"), b, 0o644)
}

// settle waits until all is there that a page shows, and has been drawn.
func settle(p *chrome.Page) error {
	return first(func() error {
		return p.Until("see all of the screen", `document.readyState === "complete" && document.fonts.status === "loaded" && document.querySelector(".app-main .app-content, .hf-door-card, main.hf-splash") &&
			!document.querySelector("aside#splash, .placeholder, .spinner-border:not([role=dialog] *)")`)
	}, func() error {
		return p.Until("see it drawn", `new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(() => done(true))))`)
	})
}

// first does one thing after another, until one fails.
func first(steps ...func() error) error {
	for _, s := range steps {
		if err := s(); err != nil {
			return err
		}
	}
	return nil
}
