// Package backup writes a snapshot: it walks a [Source], reads what changed, and stores it at a [Remote].
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
