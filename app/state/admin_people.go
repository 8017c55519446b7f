package state

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/holdfast-backup/holdfast/app/api"
	"github.com/holdfast-backup/holdfast/wire/fault"
)

// People is everybody with an account, who is invited, and the groups. Make it with [NewPeople].
type People struct {
	Desk
	search      string
	users       Rows[*api.Person]
	invitations Load[[]*api.InvitationFields]
	groups      Load[[]*api.GroupFields]
	invF, grpF  fetch
	links       []Invited
}

// PeopleView is what pages show of [People].
type PeopleView struct {
	Work
	Search      string
	Users       Rows[*api.Person] // Value: those that match the search
	Invitations Load[[]*api.InvitationFields]
	Groups      Load[[]*api.GroupFields]
	Links       []Invited // of the last invitations: they are shown once
}

// Invited is what came of an invitation.
type Invited struct {
	Email string
	URL   string
	Err   error
}

// Invitee is somebody to invite.
type Invitee struct{ Email, Name string }

// NewPeople returns the list of people.
func NewPeople(client *api.Client) *People { return &People{Desk: Desk{api: client}} }

// View returns what to show.
func (p *People) View() (v PeopleView) {
	p.read(func() {
		v = PeopleView{Work: p.work, Search: p.search, Users: p.users, Invitations: p.invitations, Groups: p.groups, Links: p.links}
	})
	return v
}

// Reload loads all of it.
func (p *People) Reload() {
	p.page(false)
	fetchInto(&p.Model, &p.invF, &p.invitations, func(ctx context.Context) ([]*api.InvitationFields, error) {
		r, err := api.AdminInvitations(ctx, p.api)
		if err != nil {
			return nil, err
		}
		return r.Invitations, nil
	})
	fetchInto(&p.Model, &p.grpF, &p.groups, func(ctx context.Context) ([]*api.GroupFields, error) {
		r, err := api.AdminGroups(ctx, p.api)
		if err != nil {
			return nil, err
		}
		return r.Groups, nil
	})
}

// More loads the next users.
func (p *People) More() { p.page(true) }

func (p *People) page(more bool) {
	var search *string
	p.read(func() { search = filled(p.search) })
	fetchRows(&p.Model, &p.users, more, func(ctx context.Context, after *string) (slice[*api.Person], error) {
		r, err := api.AdminUsers(ctx, p.api, pageSize, after, search)
		if err != nil {
			return slice[*api.Person]{}, err
		}
		var rows []*api.Person
		for _, e := range r.Users.Edges {
			rows = append(rows, e.Node)
		}
		return slice[*api.Person]{rows, next(r.Users.PageInfo.HasNextPage, r.Users.PageInfo.EndCursor), r.Users.TotalCount}, nil
	})
}

// filled is a text of a form, nil if there is none.
func filled(text string) *string {
	if text = strings.TrimSpace(text); text == "" {
		return nil
	}
	return &text
}

// Find shows only whose name or e-mail address has a text in it: the server looks.
func (p *People) Find(text string) {
	same := false
	p.change(func() { same, p.search = p.search == text, text })
	if !same {
		p.page(false)
	}
}

func (p *People) act(what string, fn func(ctx context.Context) (string, error)) {
	p.do(what, func(ctx context.Context) (string, error) {
		done, err := fn(ctx)
		if err == nil {
			p.Reload()
		}
		return done, err
	})
}

// Invitees reads who is to be invited, one a line: an address, "Name <address>", or address and name in either order between commas,
// semicolons or tabs. Lines that are empty, and a head line of a table, are passed over.
func Invitees(text string) (list []Invitee, err error) {
	for n, line := range strings.Split(text, "\n") {
		if line = strings.TrimSpace(line); line == "" {
			continue
		}
		var who Invitee
		for _, part := range strings.FieldsFunc(line, func(r rune) bool { return strings.ContainsRune(",;\t<>", r) }) {
			part = strings.Trim(strings.TrimSpace(part), `"`)
			switch {
			case strings.Contains(part, "@") && who.Email == "":
				who.Email = part
			case part != "" && who.Name == "":
				who.Name = part
			case part != "":
				who.Name += " " + part
			}
		}
		switch {
		case who.Email == "" && n == 0 && strings.Contains(strings.ToLower(line), "mail"):
			continue
		case who.Email == "":
			return nil, fault.New(fault.Invalid, "line %d has no e-mail address: %q", n+1, line)
		case slices.ContainsFunc(list, func(i Invitee) bool { return strings.EqualFold(i.Email, who.Email) }):
			continue
		}
		if who.Name == "" {
			who.Name, _, _ = strings.Cut(who.Email, "@")
		}
		list = append(list, who)
	}
	if len(list) == 0 {
		return nil, fault.New(fault.Invalid, "type at least one e-mail address")
	}
	return list, nil
}

// Invite invites everybody that a text names. Whom the server refuses stands in Links with the reason.
func (p *People) Invite(text string, role api.Role) {
	p.do("invite", func(ctx context.Context) (string, error) {
		list, err := Invitees(text)
		if err != nil {
			return "", err
		}
		p.change(func() { p.links = nil })
		good := 0
		for _, who := range list {
			l := Invited{Email: who.Email}
			r, err := api.Invite(ctx, p.api, who.Email, who.Name, role)
			if err == nil {
				l.URL = r.Invite.Url
				good++
			} else {
				l.Err = err
			}
			p.change(func() { p.links = append(slices.Clone(p.links), l) })
			if errors.Is(err, fault.Unauthenticated) || errors.Is(err, fault.Unavailable) {
				return "", err
			}
		}
		p.Reload()
		if good == 0 {
			return "", fault.New(fault.Invalid, "nobody was invited: see the reasons below")
		}
		return Count(int64(good), "person is", "people are") + " invited.", nil
	})
}

// Forget forgets the links that were shown.
func (p *People) Forget() { p.change(func() { p.links = nil }) }

// Withdraw withdraws an invitation.
func (p *People) Withdraw(i *api.InvitationFields) {
	p.act(i.Id, func(ctx context.Context) (string, error) {
		_, err := api.WithdrawInvitation(ctx, p.api, i.Id)
		return "The invitation was withdrawn: its link no longer works.", err
	})
}

// Suspend locks a user out.
func (p *People) Suspend(u *api.Person) {
	p.act(u.Id, func(ctx context.Context) (string, error) {
		_, err := api.SuspendUser(ctx, p.api, u.Id)
		return u.Name + " is locked out. The backups stay.", err
	})
}

// Resume lets a user in again.
func (p *People) Resume(u *api.Person) {
	p.act(u.Id, func(ctx context.Context) (string, error) {
		_, err := api.ResumeUser(ctx, p.api, u.Id)
		return u.Name + " may log in again.", err
	})
}

// ResetSecondFactor switches the second factor of a user off who has lost it.
func (p *People) ResetSecondFactor(u *api.Person) {
	p.act(u.Id, func(ctx context.Context) (string, error) {
		_, err := api.ResetSecondFactor(ctx, p.api, u.Id)
		return u.Name + " logs in with the password only, until they set a second factor up again.", err
	})
}

// ResetAccount starts the account of a user anew, whose address was typed. The link with which they join again is in a later View.
func (p *People) ResetAccount(u *api.Person, typed string) {
	p.act(u.Id, func(ctx context.Context) (string, error) {
		if !strings.EqualFold(strings.TrimSpace(typed), u.Email) {
			return "", fault.New(fault.Invalid, "this is not the address of %s: nothing was reset", u.Name)
		}
		r, err := api.ResetAccount(ctx, p.api, u.Id, strings.TrimSpace(typed))
		if err != nil {
			return "", err
		}
		p.change(func() { p.links = []Invited{{Email: u.Email, URL: r.ResetAccount.Url}} })
		return fmt.Sprintf("The account of %s was reset, and %s deleted.", u.Name, Count(int64(r.ResetAccount.Snapshots), "snapshot was", "snapshots were")), nil
	})
}

// SetRole gives a user another role. Only superusers may.
func (p *People) SetRole(u *api.Person, role api.Role) {
	p.act(u.Id, func(ctx context.Context) (string, error) {
		_, err := api.SetRole(ctx, p.api, u.Id, role)
		return fmt.Sprintf("%s is now %s.", u.Name, RoleWord(role)), err
	})
}

// RoleWord says what somebody is.
func RoleWord(r api.Role) string {
	return map[api.Role]string{api.RoleStaff: "staff", api.RoleAdmin: "an administrator", api.RoleSuperuser: "a superuser"}[r]
}

// SetQuota limits what a user may store, in GiB as it was typed: "" is the installation's default, 0 is no limit.
func (p *People) SetQuota(u *api.Person, text string) {
	p.act(u.Id, func(ctx context.Context) (string, error) {
		n, err := gib(text)
		if err != nil {
			return "", err
		}
		_, err = api.SetQuota(ctx, p.api, u.Id, n)
		return "The limit of " + u.Name + " was changed.", err
	})
}

// CreateGroup makes a group.
func (p *People) CreateGroup(name string) {
	p.act("group", func(ctx context.Context) (string, error) {
		_, err := api.CreateGroup(ctx, p.api, strings.TrimSpace(name))
		return fmt.Sprintf("The group “%s” was made.", strings.TrimSpace(name)), err
	})
}

// ChangeGroup renames a group and changes who is in it.
func (p *People) ChangeGroup(g *api.GroupFields, name string, add, remove []string) {
	p.act(g.Id, func(ctx context.Context) (string, error) {
		in := &api.UpdateGroupInput{Id: g.Id, Add: list(add), Remove: list(remove)}
		if name = strings.TrimSpace(name); name != g.Name {
			in.Name = &name
		}
		_, err := api.UpdateGroup(ctx, p.api, in)
		return fmt.Sprintf("The group “%s” was changed.", name), err
	})
}

// DeleteGroup deletes a group.
func (p *People) DeleteGroup(g *api.GroupFields) {
	p.act(g.Id, func(ctx context.Context) (string, error) {
		_, err := api.DeleteGroup(ctx, p.api, g.Id)
		return fmt.Sprintf("The group “%s” was deleted.", g.Name), err
	})
}
