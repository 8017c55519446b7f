//go:build linux

// Command screenshots takes pictures of every page of the web app, for people to look at: at a desk, on a tablet and on a telephone, bright and
// dark. What they show is real: a server, people, agents on folders of their own, backups and restores. One thing is not: after each round of backups
// the server's clock is believed to have gone on by a day, by moving what happened back, so that charts have something to show.
//
// It judges nothing but what a machine can: a page that complains, or is wider than the screen, is named at the end, and the program fails.
package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"github.com/holdfast-backup/holdfast/e2e/stack"
	"github.com/holdfast-backup/holdfast/e2e/web/chrome"
)

func main() {
	bin := flag.String("bin", "bin", "the folder that make build wrote")
	app := flag.String("app", "", "a folder that app/build wrote, to be served instead of what is inside the program")
	out := flag.String("out", ".cache/screenshots", "the folder for the pictures; it is emptied first")
	only := flag.String("only", "", "take only the pages whose names begin so")
	docs := flag.String("docs", "", "take only the pages that the documentation shows, and write its pictures into this folder")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := screenshots(ctx, *bin, *app, *out, *only, *docs); err != nil {
		fmt.Fprintf(os.Stderr, "screenshots: %v\n", err)
		os.Exit(1)
	}
}

func screenshots(ctx context.Context, bin, app, out, only, docs string) (err error) {
	began := time.Now()
	programs, err := stack.In(bin)
	if err != nil {
		return err
	}
	if err := os.RemoveAll(out); err != nil {
		return err
	}
	if err := os.MkdirAll(out, 0o755); err != nil {
		return err
	}
	dir, err := os.MkdirTemp("", "holdfast-screenshots-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	// The private PostgreSQL is not root's: it must be able to pass through.
	if err := os.Chmod(dir, 0o711); err != nil {
		return err
	}
	args := []string{"--json"}
	if app != "" {
		args = append(args, "--app", app)
	}
	server, err := stack.Up(ctx, programs, filepath.Join(dir, "server"), args...)
	if err != nil {
		return err
	}
	defer func() {
		if stopped := server.Stop(); err == nil {
			err = stopped
		}
	}()
	wire := chrome.NewWire(strings.TrimPrefix(server.URL, "http://"))
	defer wire.Close()
	b, err := chrome.Start(ctx, wire, server.URL)
	if err != nil {
		return err
	}
	defer b.Close()

	i := &institution{server: server, dir: dir}
	defer i.leave()
	if err := i.live(ctx); err != nil {
		return err
	}
	fmt.Printf("an institution of %d people and %d devices stands after %.0f s\n", len(people), len(i.devices), time.Since(began).Seconds())
	a := &album{institution: i, browser: b, wire: wire, out: out, only: only, docs: docs}
	if err := a.fill(ctx); err != nil {
		return err
	}
	fmt.Printf("%d pictures in %s after %.0f s\n", a.pictures, out, time.Since(began).Seconds())
	if len(a.wrong) > 0 {
		return fmt.Errorf("not as it ought to be:\n  %s", strings.Join(a.wrong, "\n  "))
	}
	return nil
}
