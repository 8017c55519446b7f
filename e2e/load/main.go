//go:build linux

// Command load puts many devices on one `holdfast up` and measures what that costs: the server's memory with so many idle
// subscriptions, how soon a device hears that there is work, and how long small backups take when many begin at once.
//
// The server is the real program with its private PostgreSQL and Redis. Devices are enrolled as agents enrol them. An idle one is a WebSocket
// with the subscription that an agent holds, and nothing else; a backup is the agent's own, in this process. Everything is on loopback and on one machine, so
// the generator takes its share of the CPU from the server: latencies are those of a machine that has twice the work.
package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"syscall"
	"time"

	"github.com/holdfast-backup/holdfast/e2e/stack"
)

func main() {
	var c config
	var bin, out string
	var gc bool
	flag.StringVar(&bin, "bin", "bin", "the folder that make build wrote")
	flag.StringVar(&out, "out", "", "folder for the report; empty: print it only")
	flag.IntVar(&c.Idle, "idle", 2000, "idle subscriptions")
	flag.IntVar(&c.Backups, "backups", 200, "backups at once")
	flag.BoolVar(&gc, "gc", true, "measure the cleaning of a space of a million objects, too: needs the sources and go")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := measure(ctx, c, bin, out, gc); err != nil {
		fmt.Fprintf(os.Stderr, "load: %v\n", err)
		os.Exit(1)
	}
}

func measure(ctx context.Context, c config, bin, out string, gc bool) error {
	dir, err := os.MkdirTemp("", "holdfast-load-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	if err := os.Chmod(dir, 0o711); err != nil { // the private PostgreSQL is another user's
		return err
	}
	c.Dir = dir
	c.Log = func(text string) { fmt.Fprintln(os.Stderr, "load:", text) }
	if c.Programs, err = stack.In(bin); err != nil {
		return err
	}
	r, err := run(ctx, c)
	if err != nil {
		return err
	}
	text := r.String()
	if gc {
		c.Log("cleaning a space of a million objects …")
		table, err := collect(ctx)
		if err != nil {
			return err
		}
		text += "\n" + table
	}
	fmt.Print(text)
	if out == "" {
		return nil
	}
	if err := os.MkdirAll(out, 0o755); err != nil {
		return err
	}
	name := filepath.Join(out, time.Now().Format("2006-01-02")+"-load.md")
	fmt.Println("written to", name)
	return os.WriteFile(name, []byte(text), 0o644)
}
