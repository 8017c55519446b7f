// Holdfast-agent backs up a device to a Holdfast server, and brings files back.
//
// It is one table of commands (command.go) over package agent. What is decided here is only how a person or a
// script meets it: flags, prompts, progress, words, exit codes.
//
//	0 done   1 failed   2 usage   3 done, with warnings
//
// Results go to standard output; prompts, progress and errors to standard error. With --json the result is one
// JSON object, and an error is one too, on standard error:
// {"error":{"code":"WRONG_CREDENTIALS","message":"…","advice":"…"}}.
package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"runtime/debug"
	"strings"
	"syscall"

	"github.com/spf13/pflag"

	"github.com/holdfast-backup/holdfast/agent"
	"github.com/holdfast-backup/holdfast/wire/fault"
)

// Exit codes.
const (
	exitDone    = 0
	exitFailed  = 1
	exitUsage   = 2
	exitWarning = 3
)

// memoryLimit is what the garbage collector aims at: packs in flight and read-ahead take about 120 MiB, and a
// backup must not push a person's programs out of memory. GOMEMLIMIT overrides it.
const memoryLimit = 208 << 20

func main() {
	if os.Getenv("GOMEMLIMIT") == "" {
		debug.SetMemoryLimit(memoryLimit)
	}
	ctx, cancel := context.WithCancel(context.Background())
	signals := make(chan os.Signal, 2)
	signal.Notify(signals, os.Interrupt, syscall.SIGTERM)
	go func() {
		<-signals
		cancel() // politely: a backup keeps what it stored, a restore leaves no half file
		<-signals
		os.Exit(exitFailed) // at once
	}()
	os.Exit(run(ctx, os.Args[1:], os.Getenv, os.Stdin, os.Stdout, os.Stderr))
}

// warning is an error after which the work is done all the same. What there is to say was said.
type warning struct{}

func (warning) Error() string { return "done, with warnings" }

// failed is an error of which everything was said.
type failed struct{}

func (failed) Error() string { return "failed" }

// usage is a wrong command line. Its text says what is wrong.
type usage struct {
	text    string
	command *command
}

func (u *usage) Error() string { return u.text }

func usagef(format string, args ...any) error { return &usage{text: fmt.Sprintf(format, args...)} }

// run runs one command and returns the exit code. env is os.Getenv.
func run(ctx context.Context, args []string, env func(string) string, stdin io.Reader, stdout, stderr io.Writer) int {
	c := &call{ctx: ctx, env: env, out: stdout, err: stderr, ask: console{stdin, stderr}}
	err := dispatch(c, args)
	switch {
	case err == nil:
		return exitDone
	case errors.As(err, new(warning)):
		return exitWarning
	case errors.As(err, new(failed)):
		return exitFailed
	}
	return c.complain(err)
}

func dispatch(c *call, args []string) error {
	if len(args) == 0 {
		help(c.err)
		return failedUsage{}
	}
	name := args[0]
	switch name {
	case "help", "-h", "--help":
		if len(args) > 1 && name == "help" {
			if cmd := find(args[1]); cmd != nil {
				if len(args) > 2 && cmd.under(args[2]) != nil {
					cmd = cmd.under(args[2])
				}
				cmd.help(c.out)
				return nil
			}
			return usagef("there is no command %q: holdfast-agent help lists them", args[1])
		}
		help(c.out)
		return nil
	case "--version":
		name = "version"
	}
	cmd := find(name)
	if cmd == nil {
		if strings.HasPrefix(name, "-") {
			return usagef("the command comes first: holdfast-agent COMMAND %s …", name)
		}
		return usagef("there is no command %q%s: holdfast-agent help lists them", name, suggest(commands(), name))
	}
	if cmd.sub != nil {
		group := cmd
		if args = args[1:]; len(args) == 0 {
			group.help(c.err)
			return failedUsage{}
		} else if args[0] == "-h" || args[0] == "--help" {
			group.help(c.out)
			return nil
		}
		if cmd = group.under(args[0]); cmd == nil {
			return usagef("there is no command %q%s: holdfast-agent %s --help lists them", group.name+" "+args[0], suggest(group.sub, args[0]), group.name)
		}
	}
	fs := cmd.flagSet(c)
	// Errors of parsing, too, are JSON if that was asked for.
	for _, a := range args[1:] {
		c.json = c.json || a == "--json"
	}
	if err := fs.Parse(args[1:]); errors.Is(err, pflag.ErrHelp) {
		cmd.help(c.out)
		return nil
	} else if err != nil {
		return &usage{err.Error(), cmd}
	}
	c.args, c.flags = fs.Args(), fs
	if n := len(c.args); n < cmd.min {
		return &usage{"something is missing", cmd}
	} else if cmd.max >= 0 && n > cmd.max {
		return &usage{fmt.Sprintf("%q is too much", c.args[cmd.max]), cmd}
	}
	err := cmd.run(c)
	var u *usage
	if errors.As(err, &u) && u.command == nil {
		u.command = cmd
	}
	return err
}

// failedUsage is a usage error of which everything was said.
type failedUsage struct{}

func (failedUsage) Error() string { return "usage" }

// complain prints an error and returns the exit code that goes with it.
func (c *call) complain(err error) int {
	code, kind := exitFailed, string(fault.KindOf(err))
	var u *usage
	switch {
	case errors.As(err, new(failedUsage)):
		return exitUsage
	case errors.As(err, &u):
		code, kind = exitUsage, "USAGE"
	case errors.Is(err, fault.Invalid), errors.As(err, new(final)):
		code = exitUsage
	case errors.Is(err, context.Canceled):
		kind = "INTERRUPTED"
	}
	message, advice := agent.Sentence(err), agent.Advice(err)
	if u != nil && u.command != nil {
		advice = "usage: " + u.command.line()
	}
	if c.json {
		type body struct {
			Code    string `json:"code"`
			Message string `json:"message"`
			Advice  string `json:"advice,omitempty"`
		}
		json.NewEncoder(c.err).Encode(map[string]body{"error": {kind, message, advice}})
		return code
	}
	fmt.Fprintf(c.err, "holdfast-agent: %s\n", message)
	if advice != "" {
		fmt.Fprintf(c.err, "  %s\n", advice)
	}
	return code
}
