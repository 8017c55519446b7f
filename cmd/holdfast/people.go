//go:build unix

package main

import (
	"context"
	"fmt"
	"io"
	"text/tabwriter"
	"time"

	"github.com/spf13/pflag"

	"github.com/holdfast-backup/holdfast/depot/account"
	"github.com/holdfast-backup/holdfast/depot/actor"
)

// These commands act as the system: whoever can run them holds the database.

type inviteFlags struct{ email, name string }

func inviteCommand() *command {
	return &command{
		name: "invite", args: "--email E --name N [--role staff|admin|superuser]",
		summary: "invite a person, who then makes the account on their own side",
		long:    "The invitation is valid for 7 days and serves once. A second one to the same e-mail replaces the first.",
		flags: func(fs *pflag.FlagSet, c *call) {
			fs.StringVar(&c.invite.email, "email", "", "the person's e-mail `ADDRESS`")
			fs.StringVar(&c.invite.name, "name", "", "the person's `NAME`")
			fs.StringVar(&c.role, "role", "staff", "what the person may do: staff, admin or superuser (`ROLE`)")
			c.place.urlFlag(fs)
			toolFlags(fs, c)
		},
		run: func(ctx context.Context, c *call) error {
			if c.invite.email == "" || c.invite.name == "" {
				return usagef("--email and --name are needed")
			}
			role, err := actor.ParseRole(c.role)
			if err != nil {
				return err
			}
			in, err := c.openPeople(ctx)
			if err != nil {
				return err
			}
			defer in.close()
			inv, token, url, err := in.Accounts.Invite(ctx, actor.System(), account.InviteInput{Email: c.invite.email, Name: c.invite.name, Role: role})
			if err != nil {
				return err
			}
			out := struct {
				ID        string     `json:"id"`
				Email     string     `json:"email"`
				Name      string     `json:"name"`
				Role      actor.Role `json:"role"`
				ExpiresAt time.Time  `json:"expires_at"`
				Token     string     `json:"token"`
				URL       string     `json:"url,omitempty"`
			}{inv.ID.String(), *inv.Email, *inv.Name, inv.Role, inv.ExpiresAt, token, linkOr(url, token)}
			return c.print(out, func(w io.Writer) {
				fmt.Fprintf(w, "%s <%s> is invited as %s, until %s.\n", out.Name, out.Email, out.Role, out.ExpiresAt.Local().Format("2 January 2006, 15:04"))
				handOver(w, out.URL, out.Token)
			})
		},
	}
}

// person is a user as these commands print one.
type person struct {
	ID          string     `json:"id"`
	Email       string     `json:"email"`
	Name        string     `json:"name"`
	Role        actor.Role `json:"role"`
	Suspended   bool       `json:"suspended"`
	CreatedAt   time.Time  `json:"created_at"`
	LastLoginAt *time.Time `json:"last_login_at"`

	SecondFactor bool `json:"second_factor"`
	Reset        bool `json:"reset"`
}

func show(u *account.User) person {
	return person{u.ID.String(), u.Email, u.Name, u.Role, u.Suspended, u.CreatedAt, u.LastLoginAt, u.SecondFactor, u.Reset}
}

func (p person) state() string {
	switch {
	case p.Suspended:
		return "suspended"
	case p.Reset:
		return "waiting to join again"
	}
	return "active"
}

func userListCommand() *command {
	return &command{
		name: "user list", summary: "list all users", flags: toolFlags,
		run: func(ctx context.Context, c *call) error {
			in, err := c.openPeople(ctx)
			if err != nil {
				return err
			}
			defer in.close()
			people := []person{}
			for after := ""; ; {
				page, err := in.Accounts.Users(ctx, actor.System(), account.MaxPage, after)
				if err != nil {
					return err
				}
				for _, u := range page.Users {
					people, after = append(people, show(u)), u.Cursor()
				}
				if !page.HasNext {
					break
				}
			}
			return c.print(map[string]any{"users": people}, func(w io.Writer) {
				t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
				fmt.Fprintln(t, "E-MAIL\tNAME\tROLE\tSTATE\tLAST LOGIN")
				for _, p := range people {
					last := "never"
					if p.LastLoginAt != nil {
						last = p.LastLoginAt.Local().Format("2006-01-02 15:04")
					}
					fmt.Fprintf(t, "%s\t%s\t%s\t%s\t%s\n", p.Email, p.Name, p.Role, p.state(), last)
				}
				t.Flush()
			})
		},
	}
}

func userPromoteCommand() *command {
	return roleCommand("promote", "give a user a higher role", "admin", func(is, to actor.Role) bool { return to.AtLeast(is) })
}

func userDemoteCommand() *command {
	return roleCommand("demote", "give a user a lower role; the last superuser cannot be demoted", "staff", func(is, to actor.Role) bool { return is.AtLeast(to) })
}

func roleCommand(word, summary, usual string, direction func(is, to actor.Role) bool) *command {
	return &command{
		name: "user " + word, args: "EMAIL [--role ROLE]", summary: summary, positional: 1,
		flags: func(fs *pflag.FlagSet, c *call) {
			fs.StringVar(&c.role, "role", usual, "the new `ROLE`: staff, admin or superuser")
			toolFlags(fs, c)
		},
		run: func(ctx context.Context, c *call) error {
			role, err := actor.ParseRole(c.role)
			if err != nil {
				return err
			}
			return c.user(ctx, func(in *installation, u *account.User) (*account.User, error) {
				if !direction(u.Role, role) {
					return nil, usagef("%s is %s: to %s to %s is the wrong direction", u.Email, u.Role, word, role)
				}
				return in.Accounts.SetRole(ctx, actor.System(), u.ID, role)
			})
		},
	}
}

func userSuspendCommand() *command {
	return &command{
		name: "user suspend", args: "EMAIL", summary: "lock a user and their devices out at once; backups stay", positional: 1, flags: toolFlags,
		run: func(ctx context.Context, c *call) error {
			return c.user(ctx, func(in *installation, u *account.User) (*account.User, error) {
				return in.Accounts.Suspend(ctx, actor.System(), u.ID)
			})
		},
	}
}

func userResumeCommand() *command {
	return &command{
		name: "user resume", args: "EMAIL", summary: "let a suspended user in again", positional: 1, flags: toolFlags,
		run: func(ctx context.Context, c *call) error {
			return c.user(ctx, func(in *installation, u *account.User) (*account.User, error) {
				return in.Accounts.Resume(ctx, actor.System(), u.ID)
			})
		},
	}
}

// user does something to the user that the command names, and prints what became of them.
func (c *call) user(ctx context.Context, do func(*installation, *account.User) (*account.User, error)) error {
	in, err := c.openPeople(ctx)
	if err != nil {
		return err
	}
	defer in.close()
	u, err := in.Accounts.UserByEmail(ctx, actor.System(), c.args[0])
	if err != nil {
		return err
	}
	if u, err = do(in, u); err != nil {
		return err
	}
	p := show(u)
	return c.print(p, func(w io.Writer) { fmt.Fprintf(w, "%s is %s, and %s.\n", p.Email, p.Role, p.state()) })
}
