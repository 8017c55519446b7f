package page

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/maxence-charriere/go-app/v10/pkg/app"

	"github.com/holdfast-backup/holdfast/app/api"
	"github.com/holdfast-backup/holdfast/app/state"
	"github.com/holdfast-backup/holdfast/app/ui"
)

// People is the screen of users, invitations and groups.
type People struct {
	app.Compo
	watched
	m *state.People

	inviting    bool
	who         string
	fileErr     error // of the file that was chosen
	role        string
	user        *api.Person // whose dialog is open
	quota       string
	suspending  *api.Person
	unfactoring *api.Person // whose second factor is to be switched off
	resetting   *api.Person
	resetEmail  string
	withdrawing *api.InvitationFields
	group       *api.GroupFields // whose dialog is open
	groupName   string
	out, in     []string // people to take out of it, and to put into it
	deleting    *api.GroupFields
	newGroup    string
}

// OnMount implements app.Mounter.
func (p *People) OnMount(ctx app.Context) { p.open(ctx) }

func (p *People) open(ctx app.Context) {
	p.watch(ctx, p.model())
	p.model().Reload()
}

func (p *People) model() *state.People {
	if p.m == nil {
		p.m = state.NewPeople(World.API)
		p.role = string(api.RoleStaff)
	}
	return p.m
}

// Render implements app.Composer.
func (p *People) Render() app.UI {
	m := p.model()
	v := m.View()
	return app.Div().Body(
		worked(v.Work, m.Dismiss),
		p.links(v),
		p.users(v),
		app.Div().Class("row").Body(
			app.Div().Class("col-xl-6").Body(p.invitations(v)),
			app.Div().Class("col-xl-6").Body(p.groups(v)),
		),
		p.dialogs(v),
	)
}

// links are those of the last invitations: nobody can see them again.
func (p *People) links(v state.PeopleView) app.UI {
	return app.If(len(v.Links) > 0, func() app.UI {
		all := ""
		for _, l := range v.Links {
			if l.Err == nil {
				all += l.Email + "\t" + l.URL + "\n"
			}
		}
		return ui.Panel("Links of invitations", app.Div().Class("d-flex gap-2").Body(
			ui.Button("outline-secondary", "clipboard", "Copy all", "Copy all links", func() { copied(all, "All links") }),
			ui.Button("outline-secondary", "check-lg", "I have them", "Forget the links", p.m.Forget)),
			app.P().Class("px-3 pt-3 mb-2").Text("Give each person their link. They are shown only now: whoever has one can join in that person's place until it is used."),
			ui.Table("Links", []ui.Column{{Title: "Address"}, {Title: "Link"}, {Class: "text-end"}}, len(v.Links), func(i int) []app.UI {
				l := v.Links[i]
				if l.Err != nil {
					_, text := state.FieldOf(l.Err)
					return []app.UI{app.Text(l.Email), app.Span().Class("text-danger").Text(text), app.Text("")}
				}
				return []app.UI{app.Text(l.Email), app.Code().Class("text-break").Text(l.URL),
					ui.Button("outline-secondary", "clipboard", "Copy", "Copy the link of "+l.Email, func() { copied(l.URL, "The link") })}
			}),
		)
	})
}

func (p *People) users(v state.PeopleView) app.UI {
	m := p.m
	tools := app.Div().Class("d-flex gap-2 justify-content-end").Body(
		ui.Search("people-search", "Name or address", v.Search, m.Find),
		ui.Button("primary", "person-plus", "Invite", "Invite people", func() { p.inviting = true }),
	)
	return loading(v.Users.Load, 8, m.Reload, func(list []*api.Person) app.UI {
		if len(list) == 0 {
			return ui.Panel("People", tools, ui.Empty("search", "Nobody found", "No name and no address has this in it.", nil))
		}
		columns := []ui.Column{{Title: "Person"}, {Title: "Role"}, {Title: "Groups"}, {Title: "Devices", Class: "text-end"}, {Title: "Stored", Class: "text-end"}, {Title: "Limit", Class: "text-end"}, {Title: "Last login", Class: "text-end"}, {Class: "text-end"}}
		return ui.Panel("People", tools,
			ui.Table("People", columns, len(list), func(i int) []app.UI {
				u := list[i]
				groups := []string{}
				for _, g := range u.Groups {
					groups = append(groups, g.Name)
				}
				stored := int64(0)
				if u.Usage != nil {
					stored = u.Usage.StoredBytes
				}
				return []app.UI{
					ui.Two(app.Span().Title(u.Name).Text(u.Name), u.Email),
					roleBadge(u),
					ui.Name(joined(groups)),
					app.Text(state.Number(int64(len(u.Devices)))),
					app.Span().Class("text-nowrap").Text(state.Size(stored)),
					app.Span().Class("text-nowrap").Text(limit(u.Quota)),
					ago(u.LastLoginAt),
					ui.Button("outline-secondary", "three-dots", "", "Change "+u.Name, func() { p.user, p.quota = u, quotaText(u.Quota) }),
				}
			}),
			ui.More(len(list), v.Users.Total, v.Users.More, v.Users.Loading, func(n int) string { return state.Count(int64(n), "person", "people") }, m.More),
		)
	})
}

func roleBadge(u *api.Person) app.UI {
	badge := ui.Badge("secondary", "staff")
	switch u.Role {
	case api.RoleAdmin:
		badge = ui.Badge("primary", "administrator")
	case api.RoleSuperuser:
		badge = ui.Badge("dark", "superuser")
	}
	return app.Span().Class("d-inline-flex gap-1").Body(badge, app.If(u.Suspended, func() app.UI { return ui.Badge("danger", "suspended") }),
		app.If(u.Reset, func() app.UI { return ui.Badge("warning", "reset") }),
		app.If(u.SecondFactor, func() app.UI { return ui.Badge("success", "2 factors") }))
}

func limit(n *int64) string {
	if n == nil || *n == 0 {
		return "none"
	}
	return state.Size(*n)
}

func quotaText(n *int64) string {
	if n == nil {
		return ""
	}
	return strconv.FormatFloat(float64(*n)/(1<<30), 'f', -1, 64)
}

func (p *People) invitations(v state.PeopleView) app.UI {
	return loading(v.Invitations, 3, p.m.Reload, func(list []*api.InvitationFields) app.UI {
		if len(list) == 0 {
			return ui.Panel("Pending invitations", nil, ui.Empty("envelope-open", "Nobody is waiting", "Who was invited and has not joined yet stands here.", nil))
		}
		return ui.Panel("Pending invitations", nil, ui.Table("Pending invitations", []ui.Column{{Title: "Person"}, {Title: "Role"}, {Title: "Ends", Class: "text-end"}, {Class: "text-end"}}, len(list), func(i int) []app.UI {
			inv := list[i]
			return []app.UI{
				ui.Two(app.Text(orElse(inv.Name, "Anybody with the link")), orElse(inv.Email, "")),
				app.Text(state.RoleWord(inv.Role)),
				ago(&inv.ExpiresAt),
				ui.Button("outline-danger", "x-lg", "Withdraw", "Withdraw the invitation of "+orElse(inv.Email, "whoever has the link"), func() { p.withdrawing = inv }),
			}
		}))
	})
}

func orElse(s *string, otherwise string) string {
	if s == nil || *s == "" {
		return otherwise
	}
	return *s
}

func (p *People) groups(v state.PeopleView) app.UI {
	m := p.m
	add := app.Form().Class("d-flex gap-2 p-3 border-top").NoValidate(true).OnSubmit(func(ctx app.Context, e app.Event) {
		e.PreventDefault()
		m.CreateGroup(p.newGroup)
		p.newGroup = ""
	}).Body(
		app.Input().Type("text").Class("form-control").Placeholder("Name of a new group").Aria("label", "Name of a new group").Value(p.newGroup).Attr("autocomplete", "off").
			OnInput(func(ctx app.Context, e app.Event) { p.newGroup = ctx.JSSrc().Get("value").String() }),
		app.Button().Type("submit").Class("btn btn-outline-secondary text-nowrap").Disabled(p.newGroup == "").Text("Make it"),
	)
	return loading(v.Groups, 3, m.Reload, func(list []*api.GroupFields) app.UI {
		if len(list) == 0 {
			return ui.Panel("Groups", nil, ui.Empty("people", "No group yet", "A group is people who belong together, such as a department. Policies and reports can name it.", nil), add)
		}
		return ui.Panel("Groups", nil, ui.Table("Groups", []ui.Column{{Title: "Group"}, {Title: "Members", Class: "text-end"}, {Class: "text-end"}}, len(list), func(i int) []app.UI {
			g := list[i]
			return []app.UI{
				ui.Name(g.Name),
				app.Text(state.Number(int64(g.MemberCount))),
				app.Div().Class("btn-group").Body(
					ui.Button("outline-secondary", "pencil", "", "Change “"+g.Name+"”", func() { p.group, p.groupName, p.out, p.in = g, g.Name, nil, nil }),
					ui.Button("outline-secondary", "trash3", "", "Delete “"+g.Name+"”", func() { p.deleting = g }),
				),
			}
		}), add)
	})
}

// dialogs are what is asked before something is done.
func (p *People) dialogs(v state.PeopleView) app.UI {
	m := p.m
	switch {
	case p.inviting:
		return p.inviteDialog()
	case p.suspending != nil:
		u := p.suspending
		return ui.Confirm("Lock "+u.Name+" out?", "Sessions, API tokens and all devices of "+u.Email+" stop working at once, and nothing is backed up until you let them in again. The backups stay.",
			"danger", "Lock out", false, nil, func() { p.suspending = nil; m.Suspend(u) }, func() { p.suspending = nil })
	case p.unfactoring != nil:
		u := p.unfactoring
		return ui.Confirm("Switch the second factor of "+u.Name+" off?", "Make sure that it is really "+u.Name+" who asks for it, for example by seeing them. After that the password alone lets them in. They are told.",
			"danger", "Switch it off", false, nil, func() { p.unfactoring = nil; m.ResetSecondFactor(u) }, func() { p.unfactoring = nil })
	case p.resetting != nil:
		return p.resetDialog(p.resetting)
	case p.withdrawing != nil:
		i := p.withdrawing
		return ui.Confirm("Withdraw the invitation?", "The link that "+orElse(i.Email, "somebody")+" has will no longer work. You can invite again. If the account was reset, the reset is taken back.",
			"danger", "Withdraw", false, nil, func() { p.withdrawing = nil; m.Withdraw(i) }, func() { p.withdrawing = nil })
	case p.deleting != nil:
		g := p.deleting
		return ui.Confirm("Delete the group “"+g.Name+"”?", "Policies that name it lose it as a target. "+state.Count(int64(g.MemberCount), "person stays", "people stay")+" with their devices and backups.",
			"danger", "Delete the group", false, nil, func() { p.deleting = nil; m.DeleteGroup(g) }, func() { p.deleting = nil })
	case p.user != nil:
		return p.userDialog(p.user)
	case p.group != nil:
		return p.groupDialog(v, p.group)
	}
	return app.Text("")
}

func (p *People) inviteDialog() app.UI {
	roles := []ui.Choice{{Value: string(api.RoleStaff), Title: "Staff: their own files only"}}
	if World.Session.View().Superuser() {
		roles = append(roles, ui.Choice{Value: string(api.RoleAdmin), Title: "Administrator: runs the fleet, sees no content"},
			ui.Choice{Value: string(api.RoleSuperuser), Title: "Superuser: also makes administrators"})
	}
	_, err := state.Invitees(p.who)
	return &ui.Modal{Title: "Invite people", OnClose: func() { p.inviting = false },
		Body: func() []app.UI {
			return []app.UI{
				app.Label().For("invite-who").Class("form-label").Text("One person a line"),
				app.Textarea().ID("invite-who").Class("form-control mb-1").Rows(6).Placeholder("grace@example.org, Grace Hopper\nAlan Turing <alan@example.org>").Text(p.who).
					OnInput(func(ctx app.Context, e app.Event) { p.who = ctx.JSSrc().Get("value").String() }),
				app.Div().Class("form-text").Text("An address, with a name before or after it. Rows from a table can be pasted, or taken from a CSV file:"),
				app.Input().ID("invite-file").Type("file").Class("form-control form-control-sm mb-3 mt-1").Accept(".csv,.tsv,.txt,text/csv,text/plain").Aria("label", "CSV file with people").
					OnChange(func(ctx app.Context, e app.Event) { p.readFile(ctx) }, ui.Fresh()),
				app.If(p.fileErr != nil, func() app.UI { return ui.Trouble(p.fileErr, nil) }),
				app.If(p.who != "" && err != nil, func() app.UI { _, text := state.FieldOf(err); return problem(state.Capital(text) + ".") }),
				ui.Select{ID: "invite-role", Label: "Role", Value: p.role, Choices: roles, OnChange: func(s string) { p.role = s }}.UI(),
			}
		},
		Footer: func() []app.UI {
			return []app.UI{
				ui.Button("outline-secondary", "x-lg", "Cancel", "", func() { p.inviting = false }),
				app.Button().Type("button").Class("btn btn-sm btn-primary").Disabled(err != nil).Text("Invite").OnClick(func(app.Context, app.Event) {
					p.m.Invite(p.who, api.Role(p.role))
					p.inviting, p.who = false, ""
				}),
			}
		}}
}

// maxPeopleFile is how large a file with people may be, in bytes.
const maxPeopleFile = 1 << 20

// readFile puts the lines of the chosen file below what was typed.
func (p *People) readFile(ctx app.Context) {
	ctx.Async(func() {
		text, err := World.Window.Text(context.Background(), "invite-file", maxPeopleFile)
		ctx.Dispatch(func(app.Context) {
			if p.fileErr = err; err == nil && text != "" {
				p.who = strings.TrimLeft(strings.TrimRight(p.who, "\n")+"\n"+text, "\n")
			}
		})
	})
}

// resetDialog says what a reset destroys, and has the address typed.
func (p *People) resetDialog(u *api.Person) app.UI {
	shut := func() { p.resetting, p.resetEmail = nil, "" }
	snapshots := int64(0)
	if u.Usage != nil {
		snapshots = int64(u.Usage.Snapshots)
	}
	ready := strings.EqualFold(strings.TrimSpace(p.resetEmail), u.Email)
	return &ui.Modal{Title: "Reset the account of " + u.Name + "?", OnClose: shut,
		Body: func() []app.UI {
			return []app.UI{
				app.Div().Class("alert alert-danger").Body(
					app.Strong().Text("This destroys all backups of "+u.Name+", for ever. "),
					app.Text("Their keys are gone with the password and the recovery code, and nobody can make them again."),
				),
				app.P().Text("Do it only if both the password and the recovery code are lost. " + state.Capital(state.Count(snapshots, "snapshot is", "snapshots are")) + " deleted, " +
					state.Count(int64(len(u.Devices)), "device has", "devices have") + " to be enrolled anew, and all sessions and API tokens end. You get a link with which " + u.Name + " joins again, with the same role and groups."),
				app.P().Text("Until the link is used you can take this back by withdrawing the invitation."),
				ui.Field{ID: "reset-email", Label: "Type " + u.Email + " to go on", Type: "text", Autocomplete: "off", Value: p.resetEmail, OnInput: func(s string) { p.resetEmail = s }}.UI(),
			}
		},
		Footer: func() []app.UI {
			return []app.UI{
				ui.Button("outline-secondary", "x-lg", "Cancel", "", shut),
				app.Button().Type("button").Class("btn btn-sm btn-danger").Disabled(!ready).Text("Reset the account").OnClick(func(app.Context, app.Event) {
					typed := p.resetEmail
					shut()
					p.m.ResetAccount(u, typed)
				}, ui.Fresh()),
			}
		}}
}

func (p *People) userDialog(u *api.Person) app.UI {
	m := p.m
	shut := func() { p.user = nil }
	return &ui.Modal{Title: u.Name, OnClose: shut,
		Body: func() []app.UI {
			return []app.UI{
				app.P().Class("text-body-secondary text-break").Text(fmt.Sprintf("%s · since %s", u.Email, u.CreatedAt.Local().Format("2 January 2006"))),
				ui.Field{ID: "user-quota", Label: "Limit in GiB", Type: "text", Autocomplete: "off", Value: p.quota, Help: "Nothing: the installation's default. 0: no limit.", OnInput: func(s string) { p.quota = s }}.UI(),
				ui.Button("primary", "hdd", "Save the limit", "", func() { m.SetQuota(u, p.quota); shut() }),
				app.If(World.Session.View().Superuser(), func() app.UI {
					return app.Div().Class("mt-4").Body(
						app.Div().Class("form-label").Text("Role"),
						ui.OneOf("Role", string(u.Role), []ui.Choice{{Value: string(api.RoleStaff), Title: "Staff"}, {Value: string(api.RoleAdmin), Title: "Administrator"}, {Value: string(api.RoleSuperuser), Title: "Superuser"}},
							func(s string) { m.SetRole(u, api.Role(s)); shut() }),
						app.Div().Class("form-text").Text("No role opens anybody's files: they stay sealed to their owner."),
					)
				}),
				app.Div().Class("mt-4").Body(
					app.If(u.Suspended, func() app.UI {
						return ui.Button("success", "unlock", "Let in again", "", func() { m.Resume(u); shut() })
					}).Else(func() app.UI {
						return ui.Button("outline-danger", "slash-circle", "Lock out", "", func() { p.suspending = u; shut() })
					}),
					app.Div().Class("form-text").Text("A forgotten password can only be replaced with the person's own recovery code. Without both, nobody can open their backups again."),
				),
				app.If(World.Session.View().User.Id != u.Id && (World.Session.View().Superuser() || u.Role == api.RoleStaff), func() app.UI {
					return app.Div().Class("mt-4 d-flex flex-wrap gap-2").Body(
						app.If(u.SecondFactor, func() app.UI {
							return ui.Button("outline-danger", "phone", "Switch the second factor off", "", func() { p.unfactoring = u; shut() })
						}),
						ui.Button("outline-danger", "exclamation-triangle", "Reset the account", "", func() { p.resetting = u; shut() }),
					)
				}),
				app.Div().Body(),
			}
		}}
}

// foundPeople is how many people a group's dialog offers.
const foundPeople = 12

func (p *People) groupDialog(v state.PeopleView, g *api.GroupFields) app.UI {
	m := p.m
	var members, others []ui.Choice
	in := map[string]bool{}
	keep := []string{}
	for _, u := range g.Members {
		members = append(members, ui.Choice{Value: u.Id, Title: u.Name})
		in[u.Id] = true
		if !slices.Contains(p.out, u.Id) {
			keep = append(keep, u.Id)
		}
	}
	for _, u := range v.Users.Value {
		if !in[u.Id] && (len(others) < foundPeople || slices.Contains(p.in, u.Id)) {
			others = append(others, ui.Choice{Value: u.Id, Title: u.Name})
		}
	}
	return &ui.Modal{Title: "Group “" + g.Name + "”", Size: "lg", OnClose: func() { p.group = nil; m.Find("") },
		Body: func() []app.UI {
			return []app.UI{
				ui.Field{ID: "group-name", Label: "Name", Type: "text", Autocomplete: "off", Value: p.groupName, OnInput: func(s string) { p.groupName = s }}.UI(),
				app.Div().Class("form-label").Text("Members"),
				app.Div().Class("mb-3").Body(ui.Chips("Members", members, keep, func(l []string) {
					p.out = nil
					for _, u := range members {
						if !slices.Contains(l, u.Value) {
							p.out = append(p.out, u.Value)
						}
					}
				})),
				app.Div().Class("form-label").Text("Others"),
				app.Div().Class("mb-2").Body(ui.Search("group-search", "Name or address", v.Search, m.Find)),
				ui.Chips("Others", others, p.in, func(l []string) { p.in = l }),
			}
		},
		Footer: func() []app.UI {
			return []app.UI{
				ui.Button("outline-secondary", "x-lg", "Cancel", "", func() { p.group = nil; m.Find("") }),
				ui.Button("primary", "check-lg", "Save", "", func() { m.ChangeGroup(g, p.groupName, p.in, p.out); p.group = nil; m.Find("") }),
			}
		}}
}
