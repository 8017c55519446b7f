//go:build unix

package main

import (
	"bytes"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// prepare copies real files to a place where they may be changed, and adds what makes backups hard.
func prepare(src, dst string) error {
	if out, err := exec.Command("cp", "-a", src, dst).CombinedOutput(); err != nil {
		return fmt.Errorf("copy %s: %w: %s", src, err, bytes.TrimSpace(out))
	}
	odd := filepath.Join(dst, "odd things")
	if err := os.Mkdir(odd, 0o750); err != nil {
		return err
	}
	in := func(name string) string { return filepath.Join(odd, name) }
	steps := []func() error{
		func() error { return os.WriteFile(in("empty"), nil, 0o600) },
		func() error { return os.Mkdir(in("empty folder"), 0o755) },
		func() error {
			return os.WriteFile(in("not UTF-8 \xff\xfe"), []byte("a name that is only bytes\n"), 0o644)
		},
		func() error {
			return os.WriteFile(in(strings.Repeat("long", 63)+"end"), []byte("a name of 255 bytes\n"), 0o640)
		},
		func() error { return os.Symlink("../no/such/place", in("dangling link")) },
		func() error { return os.WriteFile(in("one"), bytes.Repeat([]byte("linked "), 50_000), 0o644) },
		func() error { return os.Link(in("one"), in("two")) },
		func() error { return sparse(in("sparse")) },
		func() error { return os.MkdirAll(in(strings.Repeat("deep/", 100)), 0o755) },
		func() error { return attribute(in("one"), "user.project", "holdfast") },
		func() error { return os.Chmod(in("empty"), 0o4711) },
		func() error {
			old := time.Date(1999, 12, 31, 23, 59, 59, 123456789, time.UTC)
			return os.Chtimes(in("not UTF-8 \xff\xfe"), old, old)
		},
	}
	for _, step := range steps {
		if err := step(); err != nil {
			return err
		}
	}
	return nil
}

// sparse makes a file of 64 MiB with 4 KiB in its middle.
func sparse(name string) error {
	f, err := os.Create(name)
	if err != nil {
		return err
	}
	defer f.Close()
	if _, err := f.WriteAt(bytes.Repeat([]byte("island"), 700), 32<<20); err != nil {
		return err
	}
	return f.Truncate(64 << 20)
}

// attribute sets an extended attribute, where the file system has them.
func attribute(name, key, value string) error {
	if err := unix.Setxattr(name, key, []byte(value), 0); err != nil && err != unix.ENOTSUP {
		return &fs.PathError{Op: "setxattr", Path: name, Err: err}
	}
	return nil
}

type changes struct{ edited, added, deleted int }

// change edits every 200th file, adds some and deletes some.
func change(dir string) (changes, error) {
	var c changes
	n := 0
	err := filepath.WalkDir(dir, func(p string, d fs.DirEntry, err error) error {
		if err != nil || !d.Type().IsRegular() {
			return err
		}
		n++
		switch {
		case n%200 == 0:
			c.edited++
			f, err := os.OpenFile(p, os.O_APPEND|os.O_WRONLY, 0)
			if err != nil {
				return err
			}
			defer f.Close()
			_, err = fmt.Fprintf(f, "\n// A line that was not there before, number %d.\n", n)
			return err
		case n%1000 == 1:
			c.deleted++
			return os.Remove(p)
		}
		return nil
	})
	if err != nil {
		return c, err
	}
	for i := range 25 {
		c.added++
		name := filepath.Join(dir, fmt.Sprintf("new document %d.txt", i))
		if err := os.WriteFile(name, fmt.Appendf(nil, "Minutes of meeting %d, for nobody else to read.\n", i), 0o600); err != nil {
			return c, err
		}
	}
	return c, nil
}
