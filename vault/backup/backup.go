// Package backup writes a snapshot: it walks a [Source], reads what changed, and stores it at a [Remote].
//
// # The pipeline
//
//	planner -> order ----------------------------------------------> builder -> tree nodes, new cache
//	   |                                                    (waits for each batch's readers)  |
//	   +----> todo -> readers -> arenas -> asker -> arenas -> sealers -> packs -> uploaders <-+
//
// The planner walks the source and joins it with the cache of the previous snapshot; both are in tree order, so it is one
// pass over each. An entry that is as it was is taken over; nothing of it is opened. The others go to the readers,
// in batches of some hundred small files or one big one.
//
// A reader reads file after file into an arena, a few megabytes of plaintext, cuts it, and names each chunk by its
// key. Chunks of the file's previous version, and those that this session has met already, end here. What may be new
// stays in the arena, which travels on as a whole: what is handed from goroutine to goroutine is megabytes, never a file.
//
// The asker asks the server which chunks it lacks, thousands at a time, and is left out if the space was empty at the
// beginning. Sealers compress and encrypt straight into a pack; uploaders send packs, two at a time.
//
// The builder takes the entries in order as soon as their keys are known, which is before they are stored, and builds
// the tree. Its nodes go to packs of their own. When all packs are durable, the commit makes the snapshot, and the server
// checks that nothing is missing from it; then the new cache takes the place of the old.
//
// # Memory
//
// Arenas and packs come from pools of fixed size. Whoever needs one waits for one, and so a slow line slows the walk down.
// A list of chunks too long for an entry is written to nodes as it grows. So memory depends on the number of
// processors (about 130 MiB with two) and not on the data: see TestBoundedMemory.
//
// # Changes under the reader
//
// A file is asked for its state after it was read. If that is not what the walk saw, it is read once more and
// described as it was when it was opened again; if it changed during that as well, it is saved as it was read, and listed. A file
// is never read beyond the size that it had, so one that grows for ever comes to an end.
//
// # What is not promised
//
// A snapshot is not of one moment: files are read one after another. A change that leaves size, modification time and
// status change time as they were is not seen. Memory that a system maps into a file and has not written back yet is
// whatever the system returns when read.
package backup

import (
	"time"

	"github.com/holdfast-backup/holdfast/vault/keyring"
	"github.com/holdfast-backup/holdfast/vault/manifest"
	"github.com/holdfast-backup/holdfast/vault/seal"
	"github.com/holdfast-backup/holdfast/wire/id"
)

// Config says what a backup is to be.
type Config struct {
	Space    *keyring.Space
	Identity []byte            // the owner's public key, to which the manifest is sealed
	Manifest manifest.Manifest // Device, DeviceName, Hostname, OS, Roots and AgentVersion; the rest is filled in
	Level    seal.Level

	// OnProgress is called a few times a second from one goroutine, and once at the end. May be nil.
	OnProgress func(Progress)
}

// Result is what came of a backup.
type Result struct {
	Snapshot id.Snapshot
	Root     seal.Key

	Files, Dirs, Bytes int64 // that the snapshot holds
	Reused             int64 // files taken over unopened from the previous snapshot
	NewBytes           int64 // plaintext that was not stored yet
	UploadedBytes      int64 // bytes of packs

	Problems     []manifest.Problem // at most manifest.MaxProblems
	ProblemCount int64

	CacheErr error // why the cache could not be read or written; the next backup will read everything again

	Started  time.Time
	Duration time.Duration
}
