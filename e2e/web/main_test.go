//go:build linux

// Package web tests the web app as people use it: real Chromium, the real server with the app of this checkout, real agents. What the browser sends
// is kept and searched for what no server may learn.
package web

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/holdfast-backup/holdfast/e2e/stack"
)

// built is what is tested.
var built struct {
	programs stack.Programs
	app      string // folder of the web app
	dir      string // for data, through which the private PostgreSQL's user can pass
}

func TestMain(m *testing.M) {
	os.Exit(func() int {
		dir, err := os.MkdirTemp("", "holdfast-web-")
		if err != nil {
			fmt.Fprintln(os.Stderr, err)
			return 1
		}
		defer os.RemoveAll(dir)
		os.Chmod(dir, 0o711)
		built.dir, built.app = dir, filepath.Join(dir, "app")
		if err := build(dir); err != nil {
			fmt.Fprintln(os.Stderr, err)
			return 1
		}
		return m.Run()
	}())
}

func build(dir string) (err error) {
	cmd := exec.CommandContext(context.Background(), "go", "run", "./app/build", "-fast", "-out", built.app)
	cmd.Dir = "../.."
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("%s: %w\n%s", cmd, err, out)
	}
	built.programs, err = stack.Build(filepath.Join(dir, "bin"))
	return err
}
