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
// # Rules
//
// What is walked is the union of what each [Rule] takes: an entry is in it once, if any rule takes it. Every rule has
// its own filters, which leave nothing out for another rule. A folder is listed once, if any rule may want something
// in it, so several rules cost hardly more than the largest of them.
//
// A root of an optional rule that does not exist is left out without a word, unless it is expected: then it is reported like any
// other root that is gone, so that a disk that is not mounted is never dropped silently. A root whose way leads over a symbolic link
// that leads nowhere is reported, too. What this does not find: a disk that is not mounted, but whose mount
// point is there, looks like a folder that somebody emptied.
//
// # What is left out
//
// Sockets; what a rule's exclude patterns, extension filter or size limit leave out; the agent's own state;
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

// Rule says what is wanted in which places.
type Rule struct {
	Roots      []string // absolute paths of files or folders; overlapping ones are merged
	Exclude    []string // gitignore-like patterns; see pattern
	Extensions []string // such as ".docx", in any case; empty: every file
	MaxSize    int64    // files of more bytes are left out; 0: no limit
	Optional   bool     // roots that do not exist are left out
}

// Options says what is to be walked.
type Options struct {
	Rules         []Rule
	Expected      []string // roots that the last backup had: reported if they, or what they lie in, are roots and gone
	OneFileSystem bool     // do not enter folders on other file systems than the folder they lie in, unless they are roots
	Pseudo        bool     // also walk /proc, /sys, /dev and their like
	Skip          []string // absolute paths that are never walked: the agent's own state
	TempDir       string   // for sorting folders of millions of entries; the system's if empty
}

// Tree is a [backup.Source] over the local file system. It keeps some folders open until Close.
type Tree struct {
	o       Options
	rules   []*rule
	roots   []string
	skip    map[string]bool // paths as entries have them
	folders *folders
}

// New checks the options. Of the file system it looks only at the roots of optional rules. A wrong pattern or a
// relative root is a fault.Invalid; that no root of optional rules exists, and there are no others, is a fault.NotFound.
func New(o Options) (*Tree, error) {
	t := &Tree{o: o, skip: map[string]bool{}, folders: newFolders()}
	asked := 0
	for _, def := range o.Rules {
		r, err := newRule(def, o.Expected)
		if err != nil {
			return nil, err
		}
		asked += len(def.Roots)
		if len(r.roots) > 0 {
			t.rules = append(t.rules, r)
			t.roots = append(t.roots, r.roots...)
		}
	}
	switch {
	case asked == 0:
		return nil, fault.New(fault.Invalid, "there is nothing to back up: name at least one folder or file")
	case len(t.roots) == 0:
		return nil, fault.New(fault.NotFound, "nothing can be backed up: not one of the %d folders exists on this machine", asked)
	}
	t.roots = merge(t.roots)
	for _, s := range o.Skip {
		if err := checkAbsolute(s); err != nil {
			return nil, err
		}
		if real, err := filepath.EvalSymlinks(s); err == nil {
			s = real
		}
		t.skip[strings.Join(split(filepath.Clean(s)), "/")] = true
	}
	set := t.folders
	runtime.AddCleanup(t, func(f *folders) { f.closeAll() }, set) // a Tree that nobody closed
	return t, nil
}

// Roots returns the roots as they will be walked: clean, overlapping ones merged, in order. Roots of optional rules that do
// not exist are among them only if they were expected. The next backup's Expected are these.
func (t *Tree) Roots() []string { return t.roots }

// Close releases the folders that are kept open. Items of the last Walk can still be opened, more slowly.
func (t *Tree) Close() error {
	t.folders.closeAll()
	return nil
}

// Walk implements [backup.Source]. It may be called again, after the call before has returned. That no root exists is a
// fault.NotFound.
func (t *Tree) Walk(ctx context.Context, emit func(*backup.Item) error) error {
	p, err := t.plan()
	if err != nil {
		return err
	}
	w := &walker{tree: t, ctx: ctx, emit: emit}
	return w.top(p)
}
