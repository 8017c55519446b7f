package main

import (
	"context"
	"fmt"
	"io"
	"strings"
	"sync"
	"text/tabwriter"
	"time"

	"github.com/spf13/pflag"

	"github.com/holdfast-backup/holdfast/agent"
	"github.com/holdfast-backup/holdfast/agent/state"
	"github.com/holdfast-backup/holdfast/wire/fault"
)

// command is one line of the table.
type command struct {
	name, args string // args as the usage line shows them
	summary    string
	long       string
	min, max   int // positional arguments; max -1: any number
	flags      func(*pflag.FlagSet, *call)
	run        func(*call) error
	sub        []*command // what the first argument chooses from; then nothing else here counts but name and texts
	of         string     // the command whose sub this is, once it was found; "" for none
}

// call is one run of one command: its flags, arguments and streams.
type call struct {
	ctx      context.Context
	env      func(string) string
	out, err io.Writer
	ask      asker
	args     []string
	flags    *pflag.FlagSet

	json, quiet bool
	state       string

	// How to reach the server, and as whom.
	server, fingerprint string
	plainHTTP           bool
	retryFor            time.Duration
	limitUp, limitDown  rate
	email               string
	passwordFile        string
	recoveryFile        string
	secondFactor        string
	wroteRecovery       bool // to a file that was not there before

	mu     sync.Mutex // guards said and saidAt: uploads are retried by several goroutines
	said   string
	saidAt time.Time

	bar *bar // the one that is shown now; nil for none
}

// commands is the table. A function, since help refers to it.
func commands() []*command {
	return []*command{
		joinCommand(), enrollCommand(), codeCommand(),
		runCommand(), serviceCommand(), backupCommand(), nowCommand(), runsCommand(), cancelCommand(),
		snapshotsCommand(), lsCommand(), findCommand(), diffCommand(), verifyCommand(), restoreCommand(),
		appCommand(), importCommand(), exportCommand(),
		pinCommand(), unpinCommand(), deleteCommand(), undeleteCommand(),
		statusCommand(), doctorCommand(), devicesCommand(), revokeCommand(),
		passwdCommand(), recoverCommand(), versionCommand(),
	}
}

func find(name string) *command { return among(commands(), name) }

func among(list []*command, name string) *command {
	for _, cmd := range list {
		if cmd.name == name {
			return cmd
		}
	}
	return nil
}

// under returns one of a command's own.
func (cmd *command) under(name string) *command {
	s := among(cmd.sub, name)
	if s != nil {
		s.of = cmd.name + " "
	}
	return s
}

// suggest names the command that was probably meant.
func suggest(list []*command, name string) string {
	for _, cmd := range list {
		if len(name) >= 2 && strings.HasPrefix(cmd.name, name) || distance(name, cmd.name) <= 2 && len(name) >= 4 {
			return " (did you mean " + cmd.name + "?)"
		}
	}
	return ""
}

// distance is the number of letters to insert, delete or change to make b of a.
func distance(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		corner := row[0]
		row[0] = i + 1
		for j := range len(b) {
			change := corner
			if a[i] != b[j] {
				change++
			}
			corner = row[j+1]
			row[j+1] = min(change, row[j]+1, row[j+1]+1)
		}
	}
	return row[len(b)]
}

func (cmd *command) line() string {
	return strings.TrimSpace("holdfast-agent " + cmd.of + cmd.name + " " + cmd.args)
}

func (cmd *command) flagSet(c *call) *pflag.FlagSet {
	fs := pflag.NewFlagSet(cmd.name, pflag.ContinueOnError)
	fs.SortFlags = false
	fs.SetOutput(io.Discard)
	fs.Usage = func() {}
	if cmd.flags != nil {
		cmd.flags(fs, c)
	}
	fs.StringVar(&c.state, "state", c.env("HOLDFAST_STATE"), "this device's state directory (HOLDFAST_STATE)")
	fs.BoolVar(&c.json, "json", false, "print one JSON object; errors too, on standard error")
	fs.BoolVarP(&c.quiet, "quiet", "q", false, "no progress, no remarks")
	return fs
}

func (cmd *command) help(w io.Writer) {
	if cmd.sub != nil {
		cmd.group(w)
		return
	}
	fmt.Fprintf(w, "%s\n\n%s\n", cmd.line(), cmd.summary)
	if cmd.long != "" {
		fmt.Fprintf(w, "\n%s\n", strings.TrimSpace(cmd.long))
	}
	c := &call{env: func(string) string { return "" }}
	fmt.Fprintf(w, "\n%s", cmd.flagSet(c).FlagUsages())
}

// group is the help of a command that has others.
func (cmd *command) group(w io.Writer) {
	fmt.Fprintf(w, "holdfast-agent %s COMMAND …\n\n%s\n\n%s\n\n", cmd.name, cmd.summary, strings.TrimSpace(cmd.long))
	list(w, cmd.name+" ", cmd.sub)
	fmt.Fprintf(w, "\nholdfast-agent %s COMMAND --help says more.\n", cmd.name)
}

// list prints commands, one a line.
func list(w io.Writer, of string, commands []*command) {
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	for _, cmd := range commands {
		fmt.Fprintf(t, "  %s%s\t%s\n", of, cmd.name, cmd.summary)
	}
	t.Flush()
}

func help(w io.Writer) {
	fmt.Fprint(w, "holdfast-agent backs up this machine to a Holdfast server. Nobody but you can read what it stores.\n\n")
	list(w, "", commands())
	fmt.Fprint(w, "\nholdfast-agent COMMAND --help says more. Exit codes: 0 done, 1 failed, 2 usage, 3 done with warnings.\n")
}

// connectFlags say how to reach a server.
func connectFlags(fs *pflag.FlagSet, c *call) {
	fs.StringVar(&c.fingerprint, "fingerprint", c.env("HOLDFAST_FINGERPRINT"), "SHA-256 of the server's own certificate authority, as it prints it")
	fs.BoolVar(&c.plainHTTP, "plain-http", false, "allow http:// to another machine, for use inside a tunnel")
	fs.DurationVar(&c.retryFor, "retry-for", 0, "how long to repeat what a bad network or a busy server failed (default 8s, backup 5m)")
	fs.Var(&c.limitUp, "limit-upload", "at most so many bytes a second, such as 5MiB")
	fs.Var(&c.limitDown, "limit-download", "at most so many bytes a second, such as 5MiB")
}

// secretFlags say how the account is opened.
func secretFlags(fs *pflag.FlagSet, c *call) {
	fs.StringVar(&c.email, "email", c.env("HOLDFAST_EMAIL"), "the account (default: the one of this device)")
	fs.StringVar(&c.passwordFile, "password-file", c.env("HOLDFAST_PASSWORD_FILE"), "file with the password (HOLDFAST_PASSWORD_FILE; default: ask)")
	fs.StringVar(&c.recoveryFile, "recovery-file", "", "file with the recovery code, to use instead of the password")
	secondFactorFlag(fs, c)
}

func secondFactorFlag(fs *pflag.FlagSet, c *call) {
	fs.StringVar(&c.secondFactor, "second-factor", "", "code of the account's second factor, or a backup code (default: ask, if there is one)")
}

// unlockFlags are those of every command that opens the account.
func unlockFlags(fs *pflag.FlagSet, c *call) {
	fs.StringVar(&c.server, "server", c.env("HOLDFAST_SERVER"), "the server (default: the one of this device)")
	secretFlags(fs, c)
	connectFlags(fs, c)
}

// dirPath returns the state directory's path.
func (c *call) dirPath() (string, error) {
	if c.state != "" {
		return c.state, nil
	}
	return state.Default(c.env)
}

// dir returns the state directory, which must exist.
func (c *call) dir() (*state.Dir, error) {
	path, err := c.dirPath()
	if err != nil {
		return nil, err
	}
	return state.Find(path)
}

// adjust applies the flags to a server.
func (c *call) adjust(s *agent.Server) {
	if c.fingerprint != "" {
		s.Fingerprint = c.fingerprint
	}
	s.PlainHTTP = s.PlainHTTP || c.plainHTTP
	if c.flags != nil && c.flags.Changed("retry-for") {
		s.RetryFor = c.retryFor
	}
	s.UploadLimit, s.DownloadLimit = int64(c.limitUp), int64(c.limitDown)
	s.OnRetry = c.retrying
}

// device returns the enrolled device, nil if --server makes one unnecessary.
func (c *call) device() (*state.Device, error) {
	dir, err := c.dir()
	if err == nil {
		var d *state.Device
		if d, err = dir.Load(); err == nil {
			return d, nil
		}
	}
	if c.server != "" {
		return nil, nil // somebody who names the server needs no device
	}
	if fault.KindOf(err) == fault.NotFound {
		return nil, fault.Wrap(err, fault.NotFound, "%s. Without a device, name the account: --server URL --email E", agent.Sentence(err))
	}
	return nil, err
}

// unlock opens the account that the flags or the device name.
func (c *call) unlock() (*agent.Account, *state.Device, error) {
	d, err := c.device()
	if err != nil {
		return nil, nil, err
	}
	s, email := agent.Server{URL: c.server, RetryFor: agent.PatienceInteractive}, c.email
	if d != nil && (c.server == "" || sameServer(c.server, d.Server)) {
		s = agent.ServerOf(d)
		if email == "" {
			email = d.Email
		}
	} else {
		d = nil
	}
	if email == "" {
		return nil, nil, usagef("whose account? --email")
	}
	c.adjust(&s)
	secret, err := c.secret(email)
	if err != nil {
		return nil, nil, err
	}
	a, err := agent.Unlock(c.ctx, s, email, secret)
	if err != nil {
		return nil, nil, err
	}
	if d != nil && !strings.EqualFold(d.Email, a.User.Email) {
		d = nil // this machine is somebody else's device
	}
	return a, d, nil
}

func sameServer(a, b string) bool {
	norm := func(s string) string {
		if !strings.Contains(s, "://") {
			s = "https://" + s
		}
		return strings.TrimRight(strings.ToLower(s), "/")
	}
	return norm(a) == norm(b)
}

// remark tells a person something that is not the result.
func (c *call) remark(format string, args ...any) {
	if !c.quiet {
		fmt.Fprintf(c.err, format+"\n", args...)
	}
}
