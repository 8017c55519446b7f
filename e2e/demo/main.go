//go:build unix

// Command demo does the product's main job on real files, end to end, and says what it measured: a server,
// an account, a device, two backups, a search for readable traces on the server, a restore, and a comparison
// of every byte. It leaves nothing behind and nothing running.
package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"github.com/holdfast-backup/holdfast/e2e/same"
	"github.com/holdfast-backup/holdfast/e2e/stack"
)

func main() {
	bin := flag.String("bin", "bin", "the folder that make build wrote")
	src := flag.String("src", "", "the real files to back up; they are only read (default: the sources of the Go installation)")
	flag.Parse()
	if *src == "" {
		root, err := exec.Command("go", "env", "GOROOT").Output()
		if err != nil {
			fmt.Fprintf(os.Stderr, "demo: go env GOROOT: %v\n", err)
			os.Exit(1)
		}
		*src = filepath.Join(strings.TrimSpace(string(root)), "src")
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := demo(ctx, *bin, *src); err != nil {
		fmt.Fprintf(os.Stderr, "\ndemo: %v\n", err)
		os.Exit(1)
	}
}

// summary is what `holdfast-agent backup --json` prints, as far as the demonstration shows it.
type summary struct {
	Snapshot      string
	Files         int64
	Bytes         int64
	UploadedBytes int64
}

func demo(ctx context.Context, bin, src string) (err error) {
	programs, err := stack.In(bin)
	if err != nil {
		return err
	}
	dir, err := os.MkdirTemp("", "holdfast-demo-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	// The private PostgreSQL is not root's: it must be able to pass through.
	if err := os.Chmod(dir, 0o711); err != nil {
		return err
	}

	say("1. A server, on an empty directory")
	began := time.Now()
	server, err := stack.Up(ctx, programs, filepath.Join(dir, "server"))
	if err != nil {
		return err
	}
	defer func() {
		if stopped := server.Stop(); err == nil {
			err = stopped
		}
	}()
	note("holdfast up is ready after %.1f s, with a PostgreSQL and a Redis of its own", time.Since(began).Seconds())

	say("2. A person accepts an invitation, and enrols a device")
	ada, err := server.Person(ctx, filepath.Join(dir, "ada"), "ada@example.org", "Ada Lovelace", "staff")
	if err != nil {
		return err
	}
	if err := ada.Enroll(ctx, "ada-laptop"); err != nil {
		return err
	}
	note("the keys were made on this side; the recovery code is in a file of Ada's")

	say("3. First backup of real files")
	files := filepath.Join(dir, "files")
	if err := prepare(src, files); err != nil {
		return err
	}
	var first, second summary
	firstRun := ada.Run(ctx, "backup", files, "--json")
	if err := firstRun.JSON(&first); err != nil {
		return err
	}
	note("%d files, %s: stored as %s in %.1f s", first.Files, size(first.Bytes), size(first.UploadedBytes), firstRun.Wall.Seconds())

	say("4. Some files change; second backup")
	changed, err := change(files)
	if err != nil {
		return err
	}
	secondRun := ada.Run(ctx, "backup", files, "--json")
	if err := secondRun.JSON(&second); err != nil {
		return err
	}
	note("%d files edited, %d added, %d deleted: %s of %s stored in %.1f s",
		changed.edited, changed.added, changed.deleted, size(second.UploadedBytes), size(second.Bytes), secondRun.Wall.Seconds())

	say("5. What can be read on the server?")
	found, err := search(ctx, server, files)
	if err != nil {
		return err
	}
	note("%d file names and %d lines of content, looked for in %s of packs, database files and a database dump: %d found",
		found.names, found.lines, size(found.searched), len(found.hits))
	note("the same search in the files themselves finds %d of %d: it works", found.control, found.names+found.lines)
	if len(found.hits) > 0 {
		return fmt.Errorf("the server can read %q (in %s)", found.hits[0].text, found.hits[0].file)
	}

	say("6. Restore everything elsewhere, and compare")
	back := filepath.Join(dir, "back")
	restoreRun := ada.Unlocked(ctx, "restore", "latest", "--to", back, "--json")
	if err := restoreRun.Err(); err != nil {
		return err
	}
	report, err := same.Trees(files, filepath.Join(back, files))
	if err != nil {
		return err
	}
	for _, d := range report.Differences[:min(len(report.Differences), 20)] {
		note("DIFFERENT: %s", d)
	}
	if len(report.Differences) > 0 {
		return fmt.Errorf("%d differences between the files and what was restored", len(report.Differences))
	}
	note("%d entries and %s compared: bytes, modes, owners, times to the nanosecond, %d links, %d attributes: all the same",
		report.Entries, size(report.Bytes), report.Links, report.Xattrs)

	say("Measured on this machine")
	fmt.Printf("    %-22s %10s %12s %12s %10s %12s\n", "", "wall", "files/s", "bytes/s", "agent CPU", "agent peak")
	row("first backup", firstRun, first.Files, first.Bytes)
	row("second backup", secondRun, second.Files, second.Bytes)
	row("restore", restoreRun, second.Files, second.Bytes)
	fmt.Printf("\n    protected %s; stored %s after the first backup and %s more for the second\n",
		size(second.Bytes), size(first.UploadedBytes), size(second.UploadedBytes))

	if err := server.Stop(); err != nil {
		return err
	}
	fmt.Printf("\nNothing is left running. To keep a server and open its page:\n\n    make run          then open http://127.0.0.1:8440 and follow the set-up link that it prints\n\n")
	return nil
}

func say(s string)                    { fmt.Printf("\n\033[1m%s\033[0m\n", s) }
func note(format string, args ...any) { fmt.Printf("    "+format+"\n", args...) }

func row(name string, r stack.Result, files, bytes int64) {
	s := r.Wall.Seconds()
	fmt.Printf("    %-22s %8.2f s %12.0f %12s %8.2f s %12s\n", name, s, float64(files)/s, size(int64(float64(bytes)/s)), r.CPU.Seconds(), size(r.PeakRSS))
}

// size prints bytes in binary units.
func size(n int64) string {
	units := []string{"B", "KiB", "MiB", "GiB", "TiB"}
	f, u := float64(n), 0
	for f >= 1024 && u < len(units)-1 {
		f, u = f/1024, u+1
	}
	if u == 0 {
		return fmt.Sprintf("%d B", n)
	}
	return fmt.Sprintf("%.1f %s", f, units[u])
}
