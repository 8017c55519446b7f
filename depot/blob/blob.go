// Package blob keeps named, immutable byte strings: packs and snapshot records.
//
// # The law
//
// Every store obeys these sentences, and blobtest checks them; the rest of the depot stands on them.
//
//   - Durable before acknowledged. When [Pending.Commit] returns nil, the whole blob survives a power cut at
//     that instant, name and all. When it returns an error the blob may or may not be there: commit again, with
//     the same bytes.
//   - All or nothing. A reader never meets a blob that is partly written. What was created and not
//     committed has no name, is never listed, and is gone or swept after a crash.
//   - Immutable. A name is given to one byte string for ever. Committing the same bytes under the
//     same name again succeeds and changes nothing that a reader can see. The depot names blobs by their content or by a
//     fresh id, so different bytes under one name mean a bug: the store may keep either.
//   - An answer is the truth. [Store.Stat] and [Store.Open] answer fault.NotFound only when the store was reached and
//     has no such blob. [Store.List] calls fn for every blob under the prefix or fails: a store
//     that cannot be reached, or whose disk is not mounted, is an error and never "empty". Deletion is decided by listings;
//     an empty answer given on doubt would cost somebody their backups.
//   - A list is not a snapshot. Blobs committed or deleted while it runs may or may not appear; all others do, once each, in
//     no promised order.
//   - Delete is idempotent: no such blob is success. When it returns nil the name is gone for readers (though a power cut may bring it back); an open reader may go on or fail, but never
//     gets wrong bytes.
//
// What a store does not promise: that bytes stay undamaged on the medium (the depot re-hashes packs), ordering
// between blobs, or a transaction over two of them. Any number of processes may use one store at once.
//
// # Errors
//
// fault.NotFound, fault.StorageFull (no room: the message says where), fault.Unavailable (unreachable, not mounted, not
// allowed, read-only: the message says which and what to do), fault.Invalid for a malformed name. A cancelled context
// gives the context's error. Read errors in the middle of a stream come from Read, never as an early io.EOF.
package blob

import (
	"context"
	"io"
	"strings"
	"time"

	"github.com/holdfast-backup/holdfast/wire/fault"
)

// Store keeps blobs. It is safe for concurrent use.
type Store interface {
	// Create begins a new blob in the store's spool. The caller ends it with Commit or Abort, whatever happens.
	Create(ctx context.Context) (Pending, error)

	// Open reads n bytes of a blob from offset off on; n < 0 means to the end. A range beyond the blob's end
	// yields the bytes that exist; an offset at or beyond the end yields none.
	Open(ctx context.Context, name string, off, n int64) (io.ReadCloser, error)

	// Stat says how large a blob is and since when it is there.
	Stat(ctx context.Context, name string) (Info, error)

	// List calls fn for every blob whose name begins with prefix; any string is a prefix, "" is all. An error of fn
	// ends the listing and is returned.
	List(ctx context.Context, prefix string, fn func(Info) error) error

	// Delete removes a blob. No such blob is success.
	Delete(ctx context.Context, name string) error

	// URL returns an address from which anyone can read the blob with ranged GETs during ttl, or false if the store cannot
	// make one: then the server hands the bytes out itself. It does not check that the blob exists.
	URL(ctx context.Context, name string, ttl time.Duration) (string, bool, error)
}

// Pending is a blob without a name yet. It is used by one goroutine at a time.
type Pending interface {
	io.Writer
	io.ReaderAt // what was written so far

	// Size is the number of bytes written so far.
	Size() int64

	// Commit makes the blob durable under the name. The Pending is over when it returns, even with an error.
	Commit(ctx context.Context, name string) error

	// Abort throws the bytes away. After Commit, and the second time, it does nothing: defer it.
	Abort()
}

// Info describes a blob.
type Info struct {
	Name    string
	Size    int64     // bytes
	ModTime time.Time // of the commit, by the store's clock
}

// MaxName is the length of the longest name, in bytes.
const MaxName = 512

// CheckName refuses names that some store could not keep as they are. A name is one or more parts joined by
// slashes; a part is made of a-z, 0-9, '.', '_' and '-', and does not begin with a dot.
func CheckName(name string) error {
	if name == "" || len(name) > MaxName {
		return fault.New(fault.Invalid, "a blob's name has 1 to %d characters, not %d", MaxName, len(name))
	}
	for part := range strings.SplitSeq(name, "/") {
		if part == "" || part[0] == '.' || len(part) > 200 {
			return fault.New(fault.Invalid, "blob name %q: every part between slashes must be 1 to 200 characters and not begin with a dot", name)
		}
		for i := range len(part) {
			c := part[i]
			if !('a' <= c && c <= 'z' || '0' <= c && c <= '9' || c == '.' || c == '_' || c == '-') {
				return fault.New(fault.Invalid, "blob name %q: only a-z, 0-9, '.', '_', '-' and '/' may be used", name)
			}
		}
	}
	return nil
}

// ErrNotFound returns the fault for a blob that is not there.
func ErrNotFound(name string) error {
	return fault.New(fault.NotFound, "the store has no blob %s", name)
}
