package backup

import (
	"context"
	"time"

	"github.com/holdfast-backup/holdfast/vault/chunk"
	"github.com/holdfast-backup/holdfast/wire/id"
)

// A Remote is the keeping half, as a backup sees it.
type Remote interface {
	// Begin begins a session. parent is the snapshot that the local cache describes, zero if none.
	Begin(ctx context.Context, parent id.Snapshot) (Session, error)
}

// A Session is one attempt to write one snapshot. Its methods may be called from several goroutines at once.
// Each repeats by itself what can be repeated (a lost connection, a busy server): the error that it returns
// is final. Once the session is void they fail with fault.SessionExpired.
type Session interface {
	// Info says what Begin learned.
	Info() Info

	// Missing reports for each id whether the space lacks it. At most [MaxAsk] ids at once. What is not missing stays
	// stored while the session lives.
	Missing(ctx context.Context, ids []id.Object) ([]bool, error)

	// Upload stores a pack. When it returns, the pack is durable. Repeating it is harmless. The bytes may be
	// reused after the return.
	Upload(ctx context.Context, name id.Pack, pack []byte) error

	// Progress is the heartbeat.
	Progress(ctx context.Context, p Progress) error

	// Commit makes the snapshot, or fails with fault.ObjectsMissing, whose Data lists ids that are not stored.
	Commit(ctx context.Context, c Commit) (id.Snapshot, error)

	// Abort gives the session up. What was stored stays for a while, so that the next session finds it.
	Abort(ctx context.Context) error
}

// MaxAsk is the largest number of ids in one question of [Session.Missing].
const MaxAsk = 20_000

// Info is the server's side of a session.
type Info struct {
	ID           id.Backup
	ParentUsable bool          // the parent is there: everything it refers to is stored while the session lives
	SpaceEmpty   bool          // the space held nothing at the beginning: asking for missing objects is idle
	Chunk        chunk.Params  // of the space
	MaxPack      int           // bytes
	TTL          time.Duration // without a heartbeat for so long the session is void
}

// Progress is how far a backup is.
type Progress struct {
	Phase         string // scan, upload or commit
	Files         int64  // files done, reused ones included
	Bytes         int64  // bytes of them
	TotalFiles    int64  // expected in all; 0 while unknown
	TotalBytes    int64
	UploadedBytes int64 // bytes of packs
	Problems      int64
}

// The phases of a [Progress].
const (
	PhaseScan   = "scan"   // walking, reading, uploading as it goes
	PhaseUpload = "upload" // everything was read, the last packs are on their way
	PhaseCommit = "commit"
)

// Commit is what makes a snapshot.
type Commit struct {
	Root          id.Object // of the tree
	Manifest      []byte    // sealed to the owner
	Files         int64
	Bytes         int64
	Problems      int64
	UploadedBytes int64
}
