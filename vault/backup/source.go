package backup

import (
	"context"
	"io"

	"github.com/holdfast-backup/holdfast/vault/tree"
)

// A Source yields what is to be saved.
type Source interface {
	// Walk calls emit for every entry, strictly ascending in the order of [tree.Compare], with every
	// entry's ancestors before it. It calls emit from one goroutine. Each Item is a fresh one: emit keeps it.
	//
	// What cannot be read is not an error of Walk: it is an Item with Err set. Walk fails only when the whole
	// is pointless (no root exists), when ctx ends, or with the error that emit returned.
	Walk(ctx context.Context, emit func(*Item) error) error
}

// An Item is one entry of a [Source], still without its content.
type Item struct {
	// Entry is what the source knows at no extra cost. Chunks, ChunkList and ChunkCount stay empty. A file's
	// Size may be -1: unknown until it was read to its end; then it is read before the source is asked for more.
	tree.Entry

	// Fingerprint tells versions of a file apart. An entry is reused from the previous snapshot, without
	// opening it, when its type, size, modification time and Fingerprint are as they were. The zero
	// Fingerprint never matches.
	Fingerprint Fingerprint

	// Open opens a regular file for reading; nil for every other type. It may be called twice.
	Open func() (File, error)

	// Load completes Entry with what costs system calls of its own: owner names, link target, extended
	// attributes. It is called only for an entry that is not reused, from any goroutine, at most once per
	// opened file; f is that file, nil for other types. Nil if there is nothing to load.
	Load func(f File, e *tree.Entry) error

	// Err says that the entry could not be read. A directory with Err set is still saved, without the
	// children that could not be listed; anything else is left out. Either way it becomes a problem.
	Err error
}

// Fingerprint is what a file system says about a file beside its size and modification time.
type Fingerprint struct {
	Ctime int64  // status change, in nanoseconds; 0 where there is no such thing
	Inode uint64 // or file index
	Dev   uint64
}

// A File is an open regular file, read from its beginning. A File is used by one goroutine.
type File interface {
	io.Reader
	io.Closer

	// Stat asks again for what may have changed since the file was listed.
	Stat() (Stat, error)
}

// Sparse is implemented by files of systems that know about holes.
type Sparse interface {
	// NextData finds the next run of data at or after from and positions the file at start, so that Read
	// goes on there. start == end means that nothing but a hole follows. Bytes between from and start are zero.
	NextData(from int64) (start, end int64, err error)
}

// Stat is the part of an entry that changes with the file.
type Stat struct {
	Size        int64
	ModTime     int64 // nanoseconds
	Mode        uint32
	UID, GID    uint32
	Fingerprint Fingerprint
}

// A Cause is the word for why something could not be read, as manifests list it.
type Cause string

// The causes.
const (
	Permission Cause = "permission" // not allowed
	Vanished   Cause = "vanished"   // it was listed, and gone when it was to be read
	Changed    Cause = "changed"    // it kept changing while it was read: saved as it was read
	IO         Cause = "io"         // the medium or the file system failed
	TooLong    Cause = "too-long"   // the path is longer than the system can open
	Other      Cause = "other"
)

// Unreadable is an error with a cause that the source knows better than [CauseOf] could guess.
type Unreadable struct {
	Cause Cause
	Err   error
}

// Error returns the message of the error inside.
func (u *Unreadable) Error() string { return u.Err.Error() }

// Unwrap returns the error inside.
func (u *Unreadable) Unwrap() error { return u.Err }
