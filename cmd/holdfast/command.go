//go:build unix

package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"text/tabwriter"

	"github.com/spf13/pflag"

	"github.com/holdfast-backup/holdfast/wire/fault"
)

// Exit codes.
const (
	exitDone   = 0
	exitFailed = 1
	exitUsage  = 2
)

// command is one line of the table.
type command struct {
	name, args string // the name may have two words; args as the usage line shows them
	summary    string
	long       string
	positional int // arguments that are no flags: exactly so many
	flags      func(*pflag.FlagSet, *call)
	run        func(context.Context, *call) error
}

// commands is the table. A function, since help refers to it.
func commands() []*command {
	return []*command{
		upCommand(), serverCommand(), workerCommand(), migrateCommand(),
		inviteCommand(),
		userListCommand(), userPromoteCommand(), userDemoteCommand(), userSuspendCommand(), userResumeCommand(), userResetSecondFactorCommand(), userResetCommand(),
		backupCreateCommand(), backupListCommand(), backupDeleteCommand(), scheduleListCommand(), scheduleRunCommand(), cleanupCommand(),
		scrubCommand(), gcCommand(), rebuildIndexCommand(), recoverCommand(), doctorCommand(), versionCommand(),
	}
}

// call is one run of one command: its flags, arguments and streams.
type call struct {
	env      func(string) string
	in       io.Reader
	out, err io.Writer
	args     []string
	json     bool
	logLevel string

	place   placeFlags
	listen  listenFlags
	outward outwardFlags
	invite  inviteFlags
	role    string
	scrub   scrubFlags
	gc      gcFlags
	backup  backupFlags

	identity string
}

// usage is a wrong command line. Its text says what is wrong.
type usage struct {
	text    string
	command *command
}

func (u *usage) Error() string { return u.text }

func usagef(format string, args ...any) error { return &usage{text: fmt.Sprintf(format, args...)} }

// failed is a failure of which everything was said.
type failed struct{}

func (failed) Error() string { return "failed" }

// run runs one command and returns the exit code. env is os.Getenv. It returns when the command is done or,
// for those that serve, some time after ctx has ended.
func run(ctx context.Context, args []string, env func(string) string, stdin io.Reader, stdout, stderr io.Writer) int {
	c := &call{env: env, in: stdin, out: stdout, err: stderr}
	err := dispatch(ctx, c, args)
	var u *usage
	code, kind := exitFailed, string(fault.KindOf(err))
	switch {
	case err == nil:
		return exitDone
	case errors.As(err, new(failed)):
		return exitFailed
	case errors.As(err, &u):
		code, kind = exitUsage, "USAGE"
	case errors.Is(err, fault.Invalid):
		code = exitUsage
	case ctx.Err() != nil && errors.Is(err, context.Canceled):
		err, kind = errors.New("interrupted"), "INTERRUPTED"
	}
	if c.json {
		type body struct {
			Code    string `json:"code"`
			Message string `json:"message"`
		}
		json.NewEncoder(stderr).Encode(map[string]body{"error": {kind, err.Error()}})
		return code
	}
	fmt.Fprintf(stderr, "holdfast: %s\n", err)
	if u != nil && u.command != nil {
		fmt.Fprintf(stderr, "  usage: %s\n", u.command.line())
	}
	return code
}

func dispatch(ctx context.Context, c *call, args []string) error {
	if len(args) == 0 {
		help(c.err, "")
		return usagef("say what to do")
	}
	// Errors of parsing, too, are JSON if that was asked for.
	c.json = slices.Contains(args, "--json")
	switch args[0] {
	case "help", "-h", "--help":
		words := args[1:]
		if len(words) == 0 {
			help(c.out, "")
			return nil
		}
		return explain(c, words)
	case "--version":
		args = []string{"version"}
	}
	cmd, rest := find(args)
	if cmd == nil {
		if slices.ContainsFunc(args, isHelp) {
			return explain(c, slices.DeleteFunc(slices.Clone(args), isHelp))
		}
		if strings.HasPrefix(args[0], "-") {
			return usagef("the command comes first: holdfast COMMAND %s …", args[0])
		}
		return unknown(args)
	}
	fs := cmd.flagSet(c)
	if err := fs.Parse(rest); errors.Is(err, pflag.ErrHelp) {
		cmd.help(c.out)
		return nil
	} else if err != nil {
		return &usage{err.Error(), cmd}
	}
	if err := fromEnvironment(fs, c.env); err != nil {
		return &usage{err.Error(), cmd}
	}
	c.args = fs.Args()
	if n := len(c.args); n < cmd.positional {
		return &usage{"something is missing", cmd}
	} else if n > cmd.positional {
		return &usage{fmt.Sprintf("%q is too much", c.args[cmd.positional]), cmd}
	}
	err := cmd.run(ctx, c)
	var u *usage
	if errors.As(err, &u) && u.command == nil {
		u.command = cmd
	}
	return err
}

func isHelp(arg string) bool { return arg == "--help" || arg == "-h" }

// find returns the command that args begin with, and the args after it.
func find(args []string) (*command, []string) {
	for _, cmd := range commands() {
		words := strings.Fields(cmd.name)
		if len(args) >= len(words) && slices.Equal(args[:len(words)], words) {
			return cmd, args[len(words):]
		}
	}
	return nil, nil
}

// under returns the commands whose first word is the given one.
func under(word string) []*command {
	var list []*command
	for _, cmd := range commands() {
		if strings.HasPrefix(cmd.name, word+" ") {
			list = append(list, cmd)
		}
	}
	return list
}

func unknown(words []string) error {
	name := words[0]
	if subs := under(name); len(subs) > 0 {
		var names []string
		for _, cmd := range subs {
			names = append(names, strings.TrimPrefix(cmd.name, name+" "))
		}
		return usagef("holdfast %s: say which: %s", name, strings.Join(names, ", "))
	}
	for _, cmd := range commands() {
		if len(name) >= 2 && (strings.HasPrefix(cmd.name, name) || strings.HasPrefix(name, cmd.name)) {
			return usagef("there is no command %q: did you mean %s?", name, cmd.name)
		}
	}
	return usagef("there is no command %q: holdfast help lists them", name)
}

// explain prints the help of a command, or of the commands that share a first word.
func explain(c *call, words []string) error {
	if cmd, _ := find(words); cmd != nil {
		cmd.help(c.out)
		return nil
	}
	if len(words) == 0 {
		help(c.out, "")
		return nil
	}
	if len(words) == 1 && len(under(words[0])) > 0 {
		help(c.out, words[0]+" ")
		return nil
	}
	return unknown(words)
}

func (cmd *command) line() string { return strings.TrimSpace("holdfast " + cmd.name + " " + cmd.args) }

func (cmd *command) flagSet(c *call) *pflag.FlagSet {
	fs := pflag.NewFlagSet(cmd.name, pflag.ContinueOnError)
	fs.SortFlags = false
	fs.SetOutput(io.Discard)
	fs.Usage = func() {}
	if cmd.flags != nil {
		cmd.flags(fs, c)
	}
	fs.BoolVar(&c.json, "json", c.json, "print one JSON object; errors too, on standard error")
	return fs
}

// help prints what a command is for, and its flags.
func (cmd *command) help(w io.Writer) {
	fmt.Fprintf(w, "%s\n\n%s\n", cmd.line(), cmd.summary)
	if cmd.long != "" {
		fmt.Fprintf(w, "\n%s\n", strings.TrimSpace(cmd.long))
	}
	fmt.Fprintf(w, "\n%s\nEvery flag has a twin in the environment: --log-level is HOLDFAST_LOG_LEVEL. The flag goes before it.\n", cmd.flagSet(&call{}).FlagUsages())
}

// help lists the commands whose names begin with prefix.
func help(w io.Writer, prefix string) {
	if prefix == "" {
		fmt.Fprint(w, "holdfast keeps backups that it cannot read: the server, and the operator's tools.\n\n")
	}
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	for _, cmd := range commands() {
		if strings.HasPrefix(cmd.name, prefix) {
			fmt.Fprintf(t, "  %s\t%s\n", cmd.name, cmd.summary)
		}
	}
	t.Flush()
	fmt.Fprint(w, "\nholdfast COMMAND --help says more. Exit codes: 0 done, 1 failed, 2 usage.\n")
}

// fromEnvironment sets the flags that were not given from their twins. Empty counts as not set.
func fromEnvironment(fs *pflag.FlagSet, env func(string) string) error {
	var err error
	fs.VisitAll(func(f *pflag.Flag) {
		name := "HOLDFAST_" + strings.ToUpper(strings.ReplaceAll(f.Name, "-", "_"))
		if v := env(name); v != "" && !f.Changed && err == nil {
			if e := fs.Set(f.Name, v); e != nil {
				err = fmt.Errorf("%s in the environment: %w", name, e)
			}
		}
	})
	return err
}

// print writes a result: v as JSON if that was asked for, and otherwise what text writes.
func (c *call) print(v any, text func(io.Writer)) error {
	if !c.json {
		text(c.out)
		return nil
	}
	e := json.NewEncoder(c.out)
	e.SetEscapeHTML(false)
	e.SetIndent("", "  ")
	return e.Encode(v)
}
