// Package walk is a [backup.Source] over the local file system.
//
// A [Tree] walks its roots in the order of tree.Compare: depth first, the entries of every folder sorted by
// the bytes of their names. Paths are those of the whole machine without the leading slash ("home/u/x"; on Windows
// "C:/Users/u/x"), so that a snapshot of several roots is one tree. The folders above a root are part of it, as
// entries without their other content.
//
// On Linux and macOS everything below a root is reached by descriptor and name, never by a long path: trees
// deeper than the system's longest path are walked like any other, and a folder that somebody replaces by a symbolic
// link in mid-walk leads nowhere. At most [maxOpen] folders are open at once; one that is needed again after
// it was closed is opened again from its parent. Of a folder that is being walked only the sorted names are in
// memory, and of a folder with millions of entries not even those (see names).
//
// # What is left out
//
// Sockets; what an exclude pattern, the extension filter or the size limit leaves out; the agent's own state;
// the content of kernel file systems such as /proc (the mount point stays, as an empty folder), unless a root
// lies inside; with OneFileSystem, the content of every mount point. With an extension filter a folder
// is kept only if something kept lies in it, so that a restore makes no skeleton of empty folders; the roots
// themselves are always kept.
//
// # Symbolic links
//
// A symbolic link is saved as one and never followed, with one exception: a root. Whoever names ~/Documents
// as a root and has it as a link to another disk wants the documents. So a root's links are resolved, the
// content is saved under its real path, and every link on the way is saved as a link: after a restore the old
// name works.
package walk

import (
	"context"
	"path/filepath"
	"runtime"
	"strings"

	"github.com/holdfast-backup/holdfast/vault/backup"
	"github.com/holdfast-backup/holdfast/wire/fault"
)

// Options says what is to be walked.
type Options struct {
	Roots         []string // absolute paths of files or folders; overlapping ones are merged
	Exclude       []string // gitignore-like patterns; see pattern
	Extensions    []string // such as ".docx", in any case; empty: every file
	MaxSize       int64    // files of more bytes are left out; 0: no limit
	OneFileSystem bool     // do not enter folders on other file systems than their root's
	Pseudo        bool     // also walk /proc, /sys, /dev and their like
	Skip          []string // absolute paths that are never walked: the agent's own state
	TempDir       string   // for sorting folders of millions of entries; the system's if empty
}

// Tree is a [backup.Source] over the local file system. It keeps some folders open until Close.
type Tree struct {
	o       Options
	roots   []string
	skip    map[string]bool // paths as entries have them
	filter  filter
	folders *folders
}

// New checks the options; the file system is not touched yet. A wrong pattern or a relative root is a
// fault.Invalid.
func New(o Options) (*Tree, error) {
	t := &Tree{o: o, skip: map[string]bool{}, folders: newFolders()}
	if len(o.Roots) == 0 {
		return nil, fault.New(fault.Invalid, "there is nothing to back up: name at least one folder or file")
	}
	for _, r := range o.Roots {
		if !filepath.IsAbs(r) {
			return nil, fault.New(fault.Invalid, "the path %q is relative: name it from the top of the file system", r)
		}
	}
	t.roots = merge(o.Roots)
	for _, s := range o.Skip {
		if !filepath.IsAbs(s) {
			return nil, fault.New(fault.Invalid, "the path %q is relative: name it from the top of the file system", s)
		}
		if real, err := filepath.EvalSymlinks(s); err == nil {
			s = real
		}
		t.skip[strings.Join(split(filepath.Clean(s)), "/")] = true
	}
	for _, text := range o.Exclude {
		p, err := parsePattern(filepath.ToSlash(text), foldNames)
		if err != nil {
			return nil, err
		}
		if p != nil {
			t.filter.patterns = append(t.filter.patterns, p)
		}
	}
	for _, ext := range o.Extensions {
		ext = strings.ToLower(strings.TrimPrefix(strings.TrimSpace(ext), "*"))
		if strings.ContainsAny(ext, `/*?[\`) || strings.Trim(ext, ".") == "" {
			return nil, fault.New(fault.Invalid, "%q is not an extension: write it like .docx", ext)
		}
		t.filter.exts = append(t.filter.exts, "."+strings.TrimPrefix(ext, "."))
	}
	set := t.folders
	runtime.AddCleanup(t, func(f *folders) { f.closeAll() }, set) // a Tree that nobody closed
	return t, nil
}

// Roots returns the roots as they will be walked: clean, overlapping ones merged, in order.
func (t *Tree) Roots() []string { return t.roots }

// Close releases the folders that are kept open. Items of the last Walk can still be opened, more slowly.
func (t *Tree) Close() error {
	t.folders.closeAll()
	return nil
}

// Walk implements [backup.Source]. It may be called again, after the call before has returned.
func (t *Tree) Walk(ctx context.Context, emit func(*backup.Item) error) error {
	p, err := t.plan()
	if err != nil {
		return err
	}
	w := &walker{tree: t, ctx: ctx, emit: emit}
	return w.planned(top(t.folders), "", p)
}
