//go:build unix

package main

import (
	"io"
	"log/slog"
	"os"

	"github.com/spf13/pflag"
	"golang.org/x/term"
)

func logFlags(fs *pflag.FlagSet, c *call) {
	fs.StringVar(&c.logLevel, "log-level", "info", "least level to log: debug, info, warn or error")
}

// logger writes to standard error: text for a person at a terminal, JSON for everything else.
func (c *call) logger() (*slog.Logger, error) {
	var level slog.Level
	if c.logLevel == "" {
		c.logLevel = "warn" // of commands without the flag
	}
	if err := level.UnmarshalText([]byte(c.logLevel)); err != nil {
		return nil, usagef("--log-level %s: want debug, info, warn or error", c.logLevel)
	}
	opts := &slog.HandlerOptions{Level: level}
	if isTerminal(c.err) {
		return slog.New(slog.NewTextHandler(c.err, opts)), nil
	}
	return slog.New(slog.NewJSONHandler(c.err, opts)), nil
}

func isTerminal(w io.Writer) bool {
	f, ok := w.(*os.File)
	return ok && term.IsTerminal(int(f.Fd()))
}
