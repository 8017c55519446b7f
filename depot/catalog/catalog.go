package catalog

import (
	"context"
	"time"

	"github.com/jmoiron/sqlx"

	"github.com/holdfast-backup/holdfast/depot/blob"
	"github.com/holdfast-backup/holdfast/depot/catalog/record"
	"github.com/holdfast-backup/holdfast/wire/id"
)

// Limits of single calls.
const (
	MaxIDs      = 20_000             // objects asked for at once
	MaxManifest = record.MaxManifest // bytes of a sealed manifest
	MaxPage     = 200                // snapshots of a page
	MaxListed   = 1_000              // ids that OBJECTS_MISSING lists
)

// Bus is what the package needs of depot/bus.
type Bus interface {
	Publish(ctx context.Context, topic string, msg []byte)
}

// Chunk is the chunk sizes that new spaces get, in bytes. A space keeps its own for ever.
type Chunk struct{ Min, Avg, Max int }

// Config is what a Service stands on.
type Config struct {
	DB         *sqlx.DB
	Store      blob.Store
	Bus        Bus           // nil: nobody is told
	SessionTTL time.Duration // 0: two minutes
	Chunk      Chunk         // zero: 256 KiB, 1 MiB, 4 MiB
	URLTTL     time.Duration // how long presigned addresses of packs live; 0: one hour

	UndoWindow time.Duration // how long a deletion can be taken back; 0: seven days; negative: not at all
	Quarantine time.Duration // how long swept packs wait before they are unlinked: longer than addresses live; 0: a day; negative: not at all
	Grace      time.Duration // how long what no snapshot refers to waits for the next try of a backup that broke off; 0: seven days; negative: not at all

	// Undo, if not nil, is asked for the UndoWindow at every deletion.
	Undo func(ctx context.Context) (time.Duration, error)

	// Quota, if not nil, refuses a backup that begins when its owner has stored too much already.
	Quota func(ctx context.Context, q sqlx.QueryerContext, owner id.User) error

	// Spares, if not nil, gives other stores that hold what Store holds, to mend it with: the first that has the right bytes is taken.
	Spares func(ctx context.Context) []blob.Store

	// Committed, if not nil, is told of every new snapshot. It must not wait.
	Committed func(ctx context.Context)

	// Sign makes an address from which this server hands out a pack, for stores that cannot do it themselves.
	Sign func(space id.Space, pack id.Pack, size int64) (url string, expires time.Time)
}

// Service is the noun catalog. It is safe for concurrent use.
type Service struct {
	cfg   Config
	fence fence
}

// fence is how tests look at what keeps cleaning and writers apart: they act in the moment between marking and sweeping, and
// take parts of the fence away to see that these are needed. Its zero value is the whole fence.
type fence struct {
	before              func() // is called before the lock is taken
	noSessions, noRoots bool
}

// New returns the service.
func New(cfg Config) *Service {
	if cfg.SessionTTL == 0 {
		cfg.SessionTTL = 2 * time.Minute
	}
	if cfg.Chunk == (Chunk{}) {
		cfg.Chunk = Chunk{256 << 10, 1 << 20, 4 << 20}
	}
	if cfg.URLTTL == 0 {
		cfg.URLTTL = time.Hour
	}
	cfg.UndoWindow = orDefault(cfg.UndoWindow, 7*24*time.Hour)
	cfg.Quarantine = orDefault(cfg.Quarantine, 24*time.Hour)
	cfg.Grace = orDefault(cfg.Grace, 7*24*time.Hour)
	return &Service{cfg: cfg}
}

// orDefault returns d, def if it is zero, and zero if it is negative.
func orDefault(d, def time.Duration) time.Duration {
	if d == 0 {
		return def
	}
	return max(d, 0)
}

// Begun is a fresh backup session.
type Begun struct {
	ID           id.Backup
	Fence        int64         // to be shown with every call
	TTL          time.Duration // without a heartbeat for so long the session is void
	ParentUsable bool          // all that the parent refers to is stored for as long as the session lives
	SpaceEmpty   bool          // nothing is stored yet: asking is idle
	ChunkMin     int           // bytes
	ChunkAvg     int
	ChunkMax     int
	MaxPack      int
}

// BackupState is a state of a backup session.
type BackupState string

// The states. All but Active are final.
const (
	Active    BackupState = "active"
	Committed BackupState = "committed"
	Aborted   BackupState = "aborted"
	Void      BackupState = "void"
)

// Backup is one attempt of one device to write one snapshot.
type Backup struct {
	ID         id.Backup
	DeviceID   id.Device
	State      BackupState
	StartedAt  time.Time
	LastSeenAt time.Time
	EndedAt    *time.Time
	Progress   *BackupProgress
	SnapshotID *id.Snapshot // what came of it
}

// BackupProgress is how far a backup is, as its device reports it.
type BackupProgress struct {
	Phase         string
	Files         int64
	Bytes         int64
	TotalFiles    int64
	TotalBytes    int64
	UploadedBytes int64
	Problems      int64
}

// UploadInput says what is about to be sent.
type UploadInput struct {
	Backup id.Backup
	Fence  int64
	Name   id.Pack
	Size   int64 // bytes
}

// CommitInput is what becomes a snapshot.
type CommitInput struct {
	Backup        id.Backup
	Fence         int64
	Root          id.Object
	Manifest      []byte // sealed to the owner
	Files         int64
	Bytes         int64
	Problems      int64
	UploadedBytes int64
	Label         *Label // nil: files of the device
}

// Snapshot is a device's files, or an application of one, at one time.
type Snapshot struct {
	ID            id.Snapshot
	DeviceID      id.Device
	CreatedAt     time.Time // by the server's clock
	Root          []byte    // 16 bytes
	Manifest      []byte    // sealed to the owner
	Files         int64
	Bytes         int64
	Problems      int64
	UploadedBytes int64
	Scheduled     bool       // a policy made it: only such snapshots are deleted by rule
	PinnedAt      *time.Time // no rule deletes it
	DeletedAt     *time.Time
	PurgeAfter    *time.Time // until then a deletion can be taken back; nil while it is live
	Label         *Label     // nil: files of the device
}

// SnapshotFilter narrows a list of snapshots. A nil field does not, but without an application the list has files of devices only.
type SnapshotFilter struct {
	Device      *id.Device
	Application *id.Application
	Origin      *Origin // of the application's
	Part        *Part   // likewise
}

// SnapshotPage is a part of a list of snapshots, newest first.
type SnapshotPage struct {
	Snapshots  []*Snapshot
	HasNext    bool
	TotalCount int
}

// ObjectLocations says where objects lie.
type ObjectLocations struct {
	Packs []*PackLocation
	Table []byte // 12 bytes an object: index in Packs (0xffffffff: absent), offset, length, big-endian
}

// PackLocation is a pack to read from.
type PackLocation struct {
	Name      string
	Size      int // bytes
	URL       string
	ExpiresAt time.Time
}

// Usage is what a space holds.
type Usage struct {
	Snapshots      int
	Objects        int64
	StoredBytes    int64 // of packs, without those in quarantine
	ProtectedBytes int64 // by the newest snapshot of the files of each device, and of each application
	LogicalBytes   int64 // by all live snapshots
}

// Report is what a [Service.Scrub] or a [Service.RebuildIndex] did and found.
type Report struct {
	Packs      int64 // packs seen in the store
	Verified   int64 // packs whose hash was computed and is right
	BytesRead  int64
	Adopted    int64 // packs that the store had and the index had not
	Objects    int64 // object rows that were added
	Healed     int64 // packs that were flagged and are right again
	Mended     int64 // packs that were wrong or lost and were fetched back from a spare store
	Damaged    int64 // packs whose bytes are wrong
	Missing    int64 // packs that the index has and the store has not
	Foreign    int64 // blobs that are neither pack nor record
	Snapshots  int64 // snapshot records read
	Restored   int64 // snapshots that were added
	Incomplete int64 // snapshots that refer to objects which are not stored
	Rewritten  int64 // records that were missing or wrong and were written again
	Ownerless  int64 // spaces whose owner is not known
	Problems   []Problem
}

// Problem is one finding of a [Report].
type Problem struct {
	Name string // of the blob or the snapshot
	Text string
}

// Check is one line of [Service.Doctor].
type Check struct {
	Name string
	OK   bool
	Text string
}
