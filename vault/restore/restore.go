// Package restore brings a snapshot back: it walks the tree, reads the objects from a [Remote] in large pieces,
// verifies each, and hands files to a [Sink].
package restore

import (
	"context"
	"io"
	"time"

	"github.com/holdfast-backup/holdfast/vault/seal"
	"github.com/holdfast-backup/holdfast/vault/tree"
	"github.com/holdfast-backup/holdfast/wire/id"
)

// MaxLocate is the largest number of ids in one question of [Remote.Locate].
const MaxLocate = 20_000

// Location says where an object's body lies.
type Location struct {
	Pack   id.Pack
	Offset uint32 // bytes from the beginning of the pack
	Length uint32 // bytes of the body
	Stored bool   // false: the space holds no such object, and the rest is zero
}

// A Remote is the keeping half, as a restore sees it. Its methods may be called from several goroutines at once.
// Each repeats by itself what can be repeated: the error that it returns is final.
type Remote interface {
	// Locate says where objects lie, in the order of ids; at most [MaxLocate] of them.
	Locate(ctx context.Context, ids []id.Object) ([]Location, error)

	// ReadPack fills dst with the bytes of a pack from offset on. It is only asked for packs that Locate named.
	// It need not verify them: every body is verified by its reader.
	ReadPack(ctx context.Context, pack id.Pack, offset int64, dst []byte) error
}

// A Sink is where files are restored to. Paths are those of the tree (see [tree.Entry]), relative to the place that
// the Sink stands for; a Sink never writes outside of it, whatever they are and whatever symbolic links it
// finds there. Its methods may be called from several goroutines at once.
//
// An error of a method is about that path only, unless it is a fault.StorageFull: then the restore ends.
type Sink interface {
	// Stat compares what is at path with e, by type, size and modification time, or target of a link. It follows no symbolic link.
	Stat(path string, e *tree.Entry) (State, error)

	// Mkdir makes the folder at path, for its owner alone and without metadata, and the folders above it
	// that are missing. One that exists already is left as it is. e is nil for a folder of which the snapshot has no entry.
	// replace says that something else in its place, a symbolic link too, is to be removed first.
	Mkdir(path string, e *tree.Entry, replace bool) error

	// FinishDir gives the folder at path its metadata. Nothing will be made in it any more.
	FinishDir(path string, e *tree.Entry) error

	// Create begins a regular file. Nothing appears at path before [File.Commit], which replaces a file there only if replace is set.
	Create(path string, e *tree.Entry, replace bool) (File, error)

	// Make makes what has no content: a symbolic link, a FIFO, a device.
	Make(path string, e *tree.Entry, replace bool) error

	// Link makes path another name of the file at old, which this restore made or found identical.
	Link(path, old string, e *tree.Entry, replace bool) error

	// Close ends the restore: what was begun and not committed is removed. If ok is set the restore succeeded
	// as far as it could, and a Sink that is to be durable makes it so.
	Close(ok bool) error
}

// A File is a regular file that is being restored. WriteAt may be called from several goroutines at once.
type File interface {
	io.WriterAt

	// Commit gives the file its size, its metadata and its name. The File is of no use afterwards.
	Commit() error

	// Discard removes what was written.
	Discard()
}

// State is what a Sink finds at a path.
type State int

// The states.
const (
	Absent    State = iota // nothing
	Identical              // what the entry describes
	Different              // something else of the kind that can be replaced
	Folder                 // a folder
)

// Conflict says what becomes of a file that exists already. A file of the same type, size and modification time
// is identical: it is skipped whatever the rule, except under Overwrite.
type Conflict int

// The rules.
const (
	Skip      Conflict = iota // leave it, and report it as a failure of cause "exists" if it is not identical
	Overwrite                 // replace it, even if it looks identical
	KeepBoth                  // restore beside it, under a name with "(restored)"
)

// Select chooses what is restored. The zero value chooses everything.
type Select struct {
	Paths      []string // files, or folders with everything in them; none: everything
	Extensions []string // such as ".docx", in any case; none: everything. Folders without such a file are left out
}

// Config says what a restore is to be.
type Config struct {
	Objects  *Objects
	Root     seal.Key
	Select   Select
	Conflict Conflict

	// OnProgress is called a few times a second from one goroutine, and once at the end. May be nil.
	OnProgress func(Progress)
}

// Progress is how far a restore or verification is.
type Progress struct {
	Files, Bytes           int64 // done, skipped ones included
	TotalFiles, TotalBytes int64 // of the selection; 0 while unknown
	Failures               int64
}

// Failure is a path that could not be restored.
type Failure struct {
	Path string // raw bytes
	Err  error  // a sentence
}

// MaxFailures is how many failures a Result lists; all are counted.
const MaxFailures = 10_000

// Result is what came of a restore or verification.
type Result struct {
	Files   int64 // regular files restored (verified), hard links included
	Dirs    int64
	Others  int64 // symbolic links, FIFOs, devices
	Bytes   int64 // sizes of Files
	Skipped int64 // files found identical, and left as they were

	Failures     []Failure
	FailureCount int64

	Objects   int64 // read and verified
	ReadBytes int64 // fetched from the remote
	Duration  time.Duration
}
