package main

import (
	"errors"
	"fmt"
	"net/url"
	"os"
	"runtime"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/pflag"

	"github.com/holdfast-backup/holdfast/agent"
	"github.com/holdfast-backup/holdfast/agent/state"
	"github.com/holdfast-backup/holdfast/vault/remote"
	"github.com/holdfast-backup/holdfast/wire/fault"
	"github.com/holdfast-backup/holdfast/wire/proto"
)

func joinCommand() *command {
	var token, name string
	return &command{
		name: "join", args: "URL --invite TOKEN", summary: "accept an invitation: make your account and its keys",
		long: `URL is the server's address, or the whole link of the invitation (with #hfi_… at its end).

The keys are made on this machine. The server gets copies that only your password or your recovery code opens.
The recovery code is shown once and typed back; with --recovery-file it is written to a file instead.`,
		min: 1, max: 1,
		flags: func(fs *pflag.FlagSet, c *call) {
			fs.StringVar(&token, "invite", "", "the invitation's token (hfi_…)")
			fs.StringVar(&c.email, "email", "", "your e-mail address, if the invitation does not name it")
			fs.StringVar(&name, "name", "", "what you are called, if the invitation does not say it")
			fs.StringVar(&c.passwordFile, "password-file", c.env("HOLDFAST_PASSWORD_FILE"), "file with the password that you choose (default: ask)")
			fs.StringVar(&c.recoveryFile, "recovery-file", "", "write the recovery code to this new file")
			connectFlags(fs, c)
		},
		run: func(c *call) error {
			address, fromLink := splitInvitation(c.args[0])
			if token == "" {
				token = fromLink
			}
			if token == "" {
				return usagef("an account is made by invitation: give its link, or --invite TOKEN")
			}
			if !strings.HasPrefix(token, proto.TokenInvitation) {
				return usagef("an invitation's token begins with %s", proto.TokenInvitation)
			}
			s := agent.Server{URL: address, RetryFor: agent.PatienceInteractive}
			c.adjust(&s)
			keep := c.keepRecovery(c.recoveryFile)
			j, err := agent.Join(c.ctx, s, agent.JoinInput{Token: token, Email: c.email, Name: name,
				Password: func(email string) ([]byte, error) { return c.newPassword(c.passwordFile, email) }, Recovery: keep})
			if err != nil {
				c.dropRecovery(err)
				return err
			}
			if c.json {
				return c.print(map[string]any{"email": j.Email, "name": j.Name, "role": strings.ToLower(j.Role), "server": address, "recoveryFile": c.recoveryFile})
			}
			fmt.Fprintf(c.out, "Welcome, %s: the account %s is made.\n", j.Name, j.Email)
			if c.recoveryFile != "" {
				c.remark("The recovery code is in %s. Move it to a safe place, away from this machine: if the password is forgotten and the code is lost, the backups are gone.", c.recoveryFile)
			}
			pin := ""
			if c.fingerprint != "" {
				pin = " --fingerprint " + c.fingerprint
			}
			c.remark("Make this machine a device with: holdfast-agent enroll %s --email %s%s", address, j.Email, pin)
			return nil
		},
	}
}

// dropRecovery removes the recovery code that was written for an account that was surely not made. When
// nobody knows (the connection broke), it stays.
func (c *call) dropRecovery(err error) {
	var f *fault.Error
	if c.wroteRecovery && errors.As(err, &f) && f.Kind != fault.Unavailable && f.Kind != fault.Internal {
		os.Remove(c.recoveryFile)
	}
}

// splitInvitation takes a link such as https://host/join#hfi_… apart.
func splitInvitation(link string) (address, token string) {
	u, err := url.Parse(link)
	if err != nil || u.Host == "" || !strings.HasPrefix(u.Fragment, proto.TokenInvitation) {
		return link, ""
	}
	token = u.Fragment
	u.Fragment, u.RawFragment, u.RawQuery = "", "", ""
	u.Path = strings.TrimRight(u.Path, "/")
	for _, page := range []string{"/join", "/setup"} {
		u.Path = strings.TrimSuffix(u.Path, page)
	}
	return u.String(), token
}

func enrollCommand() *command {
	var code, name string
	var replace bool
	return &command{
		name: "enroll", args: "URL (--code CODE | --email E)", summary: "make this machine a device of an account",
		long: `With a one-time code (holdfast-agent code, on another device, makes one) no password is typed here.
With --email, the password is asked for, or read from --password-file.`,
		min: 1, max: 1,
		flags: func(fs *pflag.FlagSet, c *call) {
			fs.StringVar(&code, "code", "", "one-time code")
			fs.StringVar(&name, "name", "", "what the device is called (default: the host's name)")
			fs.BoolVar(&replace, "replace", false, "forget the device that this machine was")
			secretFlags(fs, c)
			connectFlags(fs, c)
		},
		run: func(c *call) error {
			if code != "" && (c.flags.Changed("email") || c.flags.Changed("password-file") || c.flags.Changed("recovery-file") || c.flags.Changed("second-factor")) {
				return usagef("--code needs no --email, no password and no second factor: give one or the other")
			}
			if code == "" && c.email == "" {
				return usagef("whose device will it be? --code CODE, or --email E")
			}
			path, err := c.dirPath()
			if err != nil {
				return err
			}
			dir, err := state.Open(path)
			if err != nil {
				return err
			}
			s := agent.Server{URL: c.args[0], RetryFor: agent.PatienceInteractive}
			c.adjust(&s)
			home, user := agent.Person(c.env)
			d, err := agent.Enroll(c.ctx, s, dir, agent.EnrollInput{Name: name, Replace: replace, Home: home, User: user, Code: code, Email: c.email,
				Secret: func() (agent.Secret, error) { return c.secret(c.email) }})
			if err != nil {
				return err
			}
			if c.json {
				return c.print(map[string]any{"id": d.ID, "name": d.Name, "email": d.Email, "server": d.Server, "fingerprint": d.Fingerprint, "state": dir.Path()})
			}
			fmt.Fprintf(c.out, "This machine is now the device %q of %s.\n", d.Name, d.Email)
			c.remark("Back up with: holdfast-agent backup PATH…, or, by policy and by itself, after: holdfast-agent service install")
			return nil
		},
	}
}

func codeCommand() *command {
	return &command{
		name: "code", summary: "make a one-time code that enrols another machine", max: 0, flags: unlockFlags,
		run: func(c *call) error {
			a, _, err := c.unlock()
			if err != nil {
				return err
			}
			defer a.Close(c.ctx)
			code, expires, err := a.Code(c.ctx)
			if err != nil {
				return err
			}
			if c.json {
				return c.print(map[string]any{"code": code.String(), "server": a.Client.URL(), "expiresAt": expires.UTC()})
			}
			fmt.Fprintln(c.out, code)
			c.remark("On the other machine, before %s: holdfast-agent enroll %s --code %s", expires.Local().Format("15:04:05"), a.Client.URL(), code)
			return nil
		},
	}
}

func passwdCommand() *command {
	var newFile, newRecovery string
	var renew bool
	return &command{
		name: "passwd", summary: "change the password", max: 0,
		long: "Devices stay enrolled, and the recovery code stays valid. All other sessions end.",
		flags: func(fs *pflag.FlagSet, c *call) {
			newSecretFlags(fs, &newFile, &newRecovery, &renew)
			unlockFlags(fs, c)
		},
		run: func(c *call) error { return c.change(newFile, newRecovery, renew) },
	}
}

func recoverCommand() *command {
	var newFile, newRecovery string
	var renew bool
	return &command{
		name: "recover", summary: "set a new password with the recovery code", max: 0,
		long: "The code is asked for, or read from --recovery-file. It stays valid, unless --renew-recovery replaces it.",
		flags: func(fs *pflag.FlagSet, c *call) {
			newSecretFlags(fs, &newFile, &newRecovery, &renew)
			fs.StringVar(&c.server, "server", c.env("HOLDFAST_SERVER"), "the server (default: the one of this device)")
			fs.StringVar(&c.email, "email", c.env("HOLDFAST_EMAIL"), "the account (default: the one of this device)")
			fs.StringVar(&c.recoveryFile, "recovery-file", "", "file with the recovery code (default: ask)")
			secondFactorFlag(fs, c)
			connectFlags(fs, c)
		},
		run: func(c *call) error {
			if c.recoveryFile == "" {
				if !c.ask.interactive() {
					return usagef("there is no terminal to ask for the recovery code on: pass --recovery-file")
				}
				c.ask = recoveryAsker{c.ask}
			}
			return c.change(newFile, newRecovery, renew)
		},
	}
}

func newSecretFlags(fs *pflag.FlagSet, file, recovery *string, renew *bool) {
	fs.StringVar(file, "new-password-file", "", "file with the new password (default: ask)")
	fs.BoolVar(renew, "renew-recovery", false, "make a new recovery code, too: the old one opens nothing any more")
	fs.StringVar(recovery, "new-recovery-file", "", "write the new recovery code to this new file (default: show it)")
}

// change sets a new password, and makes a new recovery code if asked.
func (c *call) change(newFile, newRecovery string, renew bool) error {
	a, _, err := c.unlock()
	if err != nil {
		return err
	}
	defer a.Close(c.ctx)
	p, err := c.newPassword(newFile, a.User.Email)
	if err != nil {
		return err
	}
	if err := a.ChangePassword(c.ctx, p); err != nil {
		return err
	}
	if renew || newRecovery != "" {
		if err := a.RenewRecovery(c.ctx, c.keepRecovery(newRecovery)); err != nil {
			c.remark("The password is changed, the recovery code is still the old one.")
			return err
		}
	}
	if c.json {
		return c.print(map[string]any{"email": a.User.Email, "changed": true})
	}
	fmt.Fprintf(c.out, "The password of %s is changed.\n", a.User.Email)
	return nil
}

func devicesCommand() *command {
	return &command{
		name: "devices", summary: "list the account's devices", max: 0, flags: unlockFlags,
		run: func(c *call) error {
			a, this, err := c.unlock()
			if err != nil {
				return err
			}
			defer a.Close(c.ctx)
			list, err := a.Devices(c.ctx)
			if err != nil {
				return err
			}
			if c.json {
				out := make([]deviceJSON, len(list))
				for i, d := range list {
					out[i] = deviceOf(d)
				}
				return c.print(map[string]any{"devices": out})
			}
			t := tabwriter.NewWriter(c.out, 0, 0, 2, ' ', 0)
			fmt.Fprintln(t, "NAME\tHEALTH\tSYSTEM\tAGENT\tLAST SEEN\tNEWEST SNAPSHOT\tID\t")
			odd := false
			for _, d := range list {
				newest, remark := "none", ""
				if d.Latest != nil {
					newest = stamp(d.Latest.CreatedAt)
				}
				switch {
				case d.Foreign():
					remark, odd = "NOT YOURS", true
				case !d.RevokedAt.IsZero():
					remark = "revoked " + stamp(d.RevokedAt)
				case this != nil && this.ID == d.ID:
					remark = "this one"
				}
				fmt.Fprintf(t, "%s\t%s\t%s/%s\t%s\t%s\t%s\t%s\t%s\n", printable(d.Name), healthWord(d.Health), printable(d.OS), printable(d.Arch), printable(d.AgentVersion), stamp(d.LastSeenAt), newest, d.ID, remark)
			}
			t.Flush()
			if odd {
				c.remark("A device that is NOT YOURS was not enrolled by anybody who could open this account: revoke it, and ask the server's administrator how it came there.")
				return warning{}
			}
			return nil
		},
	}
}

func revokeCommand() *command {
	return &command{
		name: "revoke", args: "DEVICE", summary: "withdraw a device's access; its snapshots stay", min: 1, max: 1, flags: unlockFlags,
		run: func(c *call) error {
			a, _, err := c.unlock()
			if err != nil {
				return err
			}
			defer a.Close(c.ctx)
			d, err := a.FindDevice(c.ctx, c.args[0])
			if err != nil {
				return err
			}
			if err := a.Revoke(c.ctx, d.ID); err != nil {
				return err
			}
			if c.json {
				return c.print(map[string]any{"id": d.ID, "name": d.Name, "revoked": true})
			}
			fmt.Fprintf(c.out, "The device %q can no longer reach the server. Its snapshots stay.\n", d.Name)
			return nil
		},
	}
}

func versionCommand() *command {
	return &command{
		name: "version", summary: "print the version", max: 0,
		run: func(c *call) error {
			if c.json {
				return c.print(map[string]any{"version": proto.Version, "protocol": proto.Protocol, "os": runtime.GOOS, "arch": runtime.GOARCH, "go": runtime.Version()})
			}
			fmt.Fprintf(c.out, "holdfast-agent %s, protocol %d, %s/%s, %s\n", proto.Version, proto.Protocol, runtime.GOOS, runtime.GOARCH, runtime.Version())
			return nil
		},
	}
}

type deviceJSON struct {
	ID           string      `json:"id"`
	Name         string      `json:"name"`
	Hostname     string      `json:"hostname"`
	OS           string      `json:"os"`
	Arch         string      `json:"arch"`
	AgentVersion string      `json:"agentVersion"`
	Genuine      bool        `json:"genuine"`
	CreatedAt    time.Time   `json:"createdAt"`
	LastSeenAt   time.Time   `json:"lastSeenAt,omitzero"`
	RevokedAt    time.Time   `json:"revokedAt,omitzero"`
	Latest       *latestJSON `json:"latestSnapshot,omitempty"`
	Health       *healthJSON `json:"health,omitempty"`
}

type healthJSON struct {
	State         string    `json:"state"`
	LastSuccessAt time.Time `json:"lastSuccessAt,omitzero"`
	NextDueAt     time.Time `json:"nextDueAt,omitzero"`
	StaleDays     int       `json:"staleDays"`
}

// healthWord says how a device is doing.
func healthWord(h *remote.Health) string {
	switch {
	case h == nil || h.State == "":
		return "-"
	case h.StaleDays > 0 && h.State == "BAD":
		return fmt.Sprintf("bad, %d days without a backup", h.StaleDays)
	}
	return strings.ToLower(printable(h.State))
}

type latestJSON struct {
	ID        string    `json:"id"`
	CreatedAt time.Time `json:"createdAt"`
	Files     int64     `json:"files"`
	Bytes     int64     `json:"bytes"`
	Problems  int64     `json:"problems"`
}

func deviceOf(d agent.Device) deviceJSON {
	v := deviceJSON{ID: d.ID.String(), Name: d.Name, Hostname: d.Hostname, OS: d.OS, Arch: d.Arch, AgentVersion: d.AgentVersion,
		Genuine: d.Genuine, CreatedAt: d.CreatedAt, LastSeenAt: d.LastSeenAt, RevokedAt: d.RevokedAt}
	if l := d.Latest; l != nil {
		v.Latest = &latestJSON{l.ID.String(), l.CreatedAt, l.Files, l.Bytes, l.Problems}
	}
	if h := d.Health; h != nil {
		v.Health = &healthJSON{strings.ToLower(h.State), h.LastSuccessAt, h.NextDueAt, h.StaleDays}
	}
	return v
}
