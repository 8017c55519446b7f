// Package walk reads the local file system for a backup.
package walk

import (
	"context"

	"github.com/holdfast-backup/holdfast/vault/backup"
)

// Options says what is to be walked.
type Options struct {
	Roots         []string // absolute paths of files or folders; overlapping ones are merged
	Exclude       []string // gitignore-like patterns
	Extensions    []string // such as ".docx", in any case; empty: every file
	MaxSize       int64    // files larger than this are left out; 0: no limit
	OneFileSystem bool     // do not enter folders on other file systems than their root's
	Pseudo        bool     // also walk /proc, /sys, /dev and their like
	Skip          []string // absolute paths that are never walked: the agent's own state
	TempDir       string   // for sorting folders of millions of entries; the system's if empty
}

// Tree is a [backup.Source] over the local file system.
type Tree struct{}

// New checks the options. A wrong pattern or a relative root is a fault.Invalid.
func New(o Options) (*Tree, error) { panic("soon") }

// Roots returns the roots as they will be walked: absolute, clean, overlapping ones merged, in order.
func (t *Tree) Roots() []string { panic("soon") }

// Walk implements [backup.Source].
func (t *Tree) Walk(ctx context.Context, emit func(*backup.Item) error) error { panic("soon") }
