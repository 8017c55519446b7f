//go:build unix

// Package same compares two trees of files: every byte, and all that a backup promises to keep.
package same

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"sort"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"
)

// Report is the outcome of a comparison.
type Report struct {
	Entries, Files, Bytes int64
	Xattrs, Links         int64 // extended attributes and extra names of hard links that were compared
	Differences           []string
}

// Trees compares everything below two directories, and the directories themselves. An error means that it
// could not look; differences are no error.
func Trees(want, got string) (*Report, error) {
	a, err := list(want)
	if err != nil {
		return nil, err
	}
	b, err := list(got)
	if err != nil {
		return nil, err
	}
	r := &Report{}
	links := map[uint64]string{} // inode of want -> first name
	twins := map[uint64]uint64{} // inode of want -> inode of got
	for len(a) > 0 || len(b) > 0 {
		switch {
		case len(b) == 0 || len(a) > 0 && a[0] < b[0]:
			r.differ("%q is missing", a[0])
			a = a[1:]
			continue
		case len(a) == 0 || b[0] < a[0]:
			r.differ("%q should not be there", b[0])
			b = b[1:]
			continue
		}
		name := a[0]
		a, b = a[1:], b[1:]
		if err := r.entry(name, filepath.Join(want, name), filepath.Join(got, name), links, twins); err != nil {
			return nil, err
		}
	}
	return r, nil
}

// list returns all names below dir, sorted. filepath.WalkDir would do, were it not for trees deeper than a
// path may be long.
func list(dir string) ([]string, error) {
	var names []string
	err := filepath.WalkDir(dir, func(p string, _ fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		rel, err := filepath.Rel(dir, p)
		names = append(names, rel)
		return err
	})
	sort.Strings(names)
	return names, err
}

func (r *Report) differ(format string, args ...any) {
	r.Differences = append(r.Differences, fmt.Sprintf(format, args...))
}

func (r *Report) entry(name, want, got string, links map[uint64]string, twins map[uint64]uint64) error {
	a, err := os.Lstat(want)
	if err != nil {
		return err
	}
	b, err := os.Lstat(got)
	if err != nil {
		return err
	}
	r.Entries++
	sa, sb := a.Sys().(*syscall.Stat_t), b.Sys().(*syscall.Stat_t)
	if a.Mode() != b.Mode() {
		r.differ("%q: mode %v, want %v", name, b.Mode(), a.Mode())
		if a.Mode().Type() != b.Mode().Type() {
			return nil
		}
	}
	if !a.ModTime().Equal(b.ModTime()) {
		r.differ("%q: modified %v, want %v", name, b.ModTime(), a.ModTime())
	}
	if os.Geteuid() == 0 && (sa.Uid != sb.Uid || sa.Gid != sb.Gid) {
		r.differ("%q: owner %d:%d, want %d:%d", name, sb.Uid, sb.Gid, sa.Uid, sa.Gid)
	}
	if err := r.xattrs(name, want, got); err != nil {
		return err
	}
	switch {
	case a.Mode()&fs.ModeSymlink != 0:
		la, err := os.Readlink(want)
		if err != nil {
			return err
		}
		lb, err := os.Readlink(got)
		if err != nil {
			return err
		}
		if la != lb {
			r.differ("%q: points to %q, want %q", name, lb, la)
		}
	case a.Mode().IsRegular():
		r.Files++
		r.Bytes += a.Size()
		if sa.Nlink > 1 {
			if first, ok := links[sa.Ino]; !ok {
				links[sa.Ino], twins[sa.Ino] = name, sb.Ino
			} else if r.Links++; twins[sa.Ino] != sb.Ino {
				r.differ("%q: no hard link to %q any more", name, first)
			}
		}
		if a.Size() != b.Size() {
			r.differ("%q: %d bytes, want %d", name, b.Size(), a.Size())
			return nil
		}
		return r.content(name, want, got)
	}
	return nil
}

func (r *Report) content(name, want, got string) error {
	a, err := os.Open(want)
	if err != nil {
		return err
	}
	defer a.Close()
	b, err := os.Open(got)
	if err != nil {
		return err
	}
	defer b.Close()
	bufA, bufB := make([]byte, 256<<10), make([]byte, 256<<10)
	for off := int64(0); ; {
		n, err := io.ReadFull(a, bufA)
		if err != nil && err != io.EOF && err != io.ErrUnexpectedEOF {
			return err
		}
		if n == 0 {
			return nil
		}
		if _, err := io.ReadFull(b, bufB[:n]); err != nil {
			return err
		}
		if !bytes.Equal(bufA[:n], bufB[:n]) {
			r.differ("%q: other content within %d bytes of offset %d", name, n, off)
			return nil
		}
		off += int64(n)
	}
}

func (r *Report) xattrs(name, want, got string) error {
	a, err := xattrs(want)
	if err != nil {
		return err
	}
	b, err := xattrs(got)
	if err != nil {
		return err
	}
	for k, v := range a {
		r.Xattrs++
		if b[k] != v {
			r.differ("%q: attribute %s is %q, want %q", name, k, b[k], v)
		}
	}
	for k := range b {
		if _, ok := a[k]; !ok {
			r.differ("%q: attribute %s should not be there", name, k)
		}
	}
	return nil
}

func xattrs(p string) (map[string]string, error) {
	size, err := unix.Llistxattr(p, nil)
	if errors.Is(err, unix.ENOTSUP) || size == 0 {
		return nil, nil
	} else if err != nil {
		return nil, &fs.PathError{Op: "listxattr", Path: p, Err: err}
	}
	buf := make([]byte, size)
	if size, err = unix.Llistxattr(p, buf); err != nil {
		return nil, &fs.PathError{Op: "listxattr", Path: p, Err: err}
	}
	found := map[string]string{}
	for _, k := range strings.Split(strings.TrimSuffix(string(buf[:size]), "\x00"), "\x00") {
		v := make([]byte, 64<<10)
		n, err := unix.Lgetxattr(p, k, v)
		if err != nil {
			return nil, &fs.PathError{Op: "getxattr", Path: p, Err: err}
		}
		found[k] = string(v[:n])
	}
	return found, nil
}
