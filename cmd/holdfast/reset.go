//go:build unix

package main

import (
	"context"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/spf13/pflag"

	"github.com/holdfast-backup/holdfast/depot/account"
	"github.com/holdfast-backup/holdfast/depot/actor"
)

func userResetSecondFactorCommand() *command {
	return &command{
		name: "user reset-second-factor", args: "EMAIL", summary: "let a user who has lost their second factor log in with the password only", positional: 1, flags: toolFlags,
		long: "Make sure that it is really that person who asks for it. They are told.",
		run: func(ctx context.Context, c *call) error {
			return c.user(ctx, func(in *installation, u *account.User) (*account.User, error) {
				return in.Accounts.ResetSecondFactor(ctx, actor.System(), u.ID)
			})
		},
	}
}

func userResetCommand() *command {
	var confirm string
	return &command{
		name: "user reset", args: "EMAIL --confirm EMAIL", summary: "start the account anew of a user who has lost password and recovery code; destroys their backups", positional: 1,
		long: `Sessions, API tokens and the second factor end, devices are revoked, all snapshots deleted. The person joins again with the
invitation that is printed, and keeps role and groups. What was backed up before can then be opened by nobody, for ever.
Until the invitation is accepted, an administrator who withdraws it takes the reset back; the snapshots can be taken back while
their undo window lasts.`,
		flags: func(fs *pflag.FlagSet, c *call) {
			fs.StringVar(&confirm, "confirm", "", "the user's e-mail once more (`EMAIL`)")
			c.place.urlFlag(fs)
			toolFlags(fs, c)
		},
		run: func(ctx context.Context, c *call) error {
			if !strings.EqualFold(confirm, c.args[0]) {
				return usagef("this destroys all backups of %s: say so with --confirm %s", c.args[0], c.args[0])
			}
			in, err := c.openStored(ctx)
			if err != nil {
				return err
			}
			defer in.close()
			u, err := in.Accounts.UserByEmail(ctx, actor.System(), c.args[0])
			if err != nil {
				return err
			}
			done, err := in.Reset(ctx, actor.System(), u.ID, confirm)
			if err != nil {
				return err
			}
			out := struct {
				ID        string    `json:"id"`
				Email     string    `json:"email"`
				Snapshots int       `json:"snapshots"`
				ExpiresAt time.Time `json:"expires_at"`
				Token     string    `json:"token"`
				URL       string    `json:"url,omitempty"`
			}{u.ID.String(), u.Email, done.Snapshots, done.Invitation.ExpiresAt, done.Token, linkOr(done.URL, done.Token)}
			return c.print(out, func(w io.Writer) {
				fmt.Fprintf(w, "The account of %s was reset, and %d snapshots deleted. The invitation is valid until %s.\n", out.Email, out.Snapshots, out.ExpiresAt.Local().Format("2 January 2006, 15:04"))
				handOver(w, out.URL, out.Token)
			})
		},
	}
}

// linkOr is the link of an invitation, "" if no public URL is known.
func linkOr(url, token string) string {
	if url == "/join#"+token {
		return ""
	}
	return url
}

// handOver tells what to give to somebody who is invited.
func handOver(w io.Writer, url, token string) {
	what, text := "link", url
	if url == "" {
		what, text = "token", token
	}
	fmt.Fprintf(w, "Give this %s to the person, by a way that others cannot read:\n\n    %s\n", what, text)
}
