// Package cache keeps a backup.Cache in a file.
package cache

import "github.com/holdfast-backup/holdfast/vault/backup"

// File is a [backup.Cache] in one file.
type File struct{ path string }

// New returns the cache that lives at path. The folder must exist; the file need not.
func New(path string) *File { return &File{path: path} }

// Open implements [backup.Cache].
func (f *File) Open() (backup.CacheReader, error) { panic("soon") }

// Create implements [backup.Cache].
func (f *File) Create() (backup.CacheWriter, error) { panic("soon") }
