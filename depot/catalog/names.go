package catalog

import "github.com/holdfast-backup/holdfast/wire/id"

// The names of blobs, for depot/replica, which copies them. docs/format-snapshot.md lists them.

// Prefix is what the names of all packs and records begin with.
const Prefix = spacesPrefix

// PackName returns the name of a pack's blob.
func PackName(space id.Space, p id.Pack) string { return packName(space, p) }

// ParsePackName takes the name of a pack's blob apart; false: it is none.
func ParsePackName(name string) (id.Space, id.Pack, bool) {
	p := parseName(name)
	return p.space, p.pack, p.kind == packBlob
}

// SpaceName returns the name of a space's record.
func SpaceName(space id.Space) string { return spaceName(space) }

// SnapshotsPrefix is what the names of the records of a space's snapshots, and of their deletions, begin with.
func SnapshotsPrefix(space id.Space) string { return snapshotsPrefix(space) }

// SnapshotName returns the name of a snapshot's record.
func SnapshotName(space id.Space, sn id.Snapshot) string { return snapshotName(space, sn) }

// DeletionName returns the name of the record of a snapshot's deletion.
func DeletionName(space id.Space, sn id.Snapshot) string { return deletionName(space, sn) }

// ParseSnapshotName takes the name of a snapshot's record apart, or of that of its deletion; false: it is neither.
func ParseSnapshotName(name string) (sn id.Snapshot, deletion, ok bool) {
	p := parseName(name)
	return p.snapshot, p.kind == deletionBlob, p.kind == snapshotBlob || p.kind == deletionBlob
}
