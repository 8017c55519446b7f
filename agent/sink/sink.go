// Package sink writes restored files to the local disk.
//
// A file is written under a temporary name (.holdfast-….part) in the folder where it belongs, and gets its own
// name once all of its content has been verified and its metadata set. So whatever happens, a file under its
// own name is a whole one: a restore that is killed leaves temporary files at worst, which the next restore
// into the same place removes.
//
// # What is not promised
//
// By default nothing is forced to the disk: a crash of the whole machine soon after a restore may lose files, or
// leave empty ones, as it may after copying files with cp. To force each file would take
// minutes for what takes seconds. Options.Sync forces the whole file system once, before success is reported.
//
// # Safety
//
// Names come from a snapshot, and the place where they are restored may be writable for others. So no name is
// ever resolved by the system as a path: every folder is opened from the one above it, as a folder and not as a
// symbolic link, and everything is done relative to it. A snapshot with a symbolic link "a" to /etc and a file
// "a/passwd" cannot write to /etc, nor can somebody who swaps a folder for a link meanwhile. The folder
// that the restore is to go to is the one exception: it is opened as the caller named it.
//
// Owners are restored by root only. A set-user-id bit is restored only together with the owner for whom it was
// meant. Extended attributes are restored where the system has them; symbolic links get none. On Windows there are
// neither owners, nor attributes, nor modes beyond read-only, and a name that Windows cannot have is a failure of its file.
package sink

import (
	"crypto/rand"
	"encoding/hex"
	"fmt"
	"strings"
	"sync/atomic"

	"github.com/holdfast-backup/holdfast/vault/restore"
	"github.com/holdfast-backup/holdfast/wire/fault"
)

// Options says how files are restored.
type Options struct {
	// Sync makes everything durable before Close reports success: one sync of the file system, not one a file.
	Sync bool
}

// Open returns a sink that restores under dir, which is made if it does not exist.
func Open(dir string, o Options) (restore.Sink, error) { return open(dir, o) }

const (
	tempPrefix = ".holdfast-"
	tempSuffix = ".part"
)

// temps makes temporary names that no other restore makes.
type temps struct {
	random string
	last   atomic.Uint64
}

func newTemps() temps {
	var b [6]byte
	rand.Read(b[:])
	return temps{random: hex.EncodeToString(b[:])}
}

func (t *temps) next() string {
	return fmt.Sprintf("%s%s-%x%s", tempPrefix, t.random, t.last.Add(1), tempSuffix)
}

// isTemp reports whether a file of this name was left by a restore.
func isTemp(name string) bool {
	return strings.HasPrefix(name, tempPrefix) && strings.HasSuffix(name, tempSuffix)
}

// full is the failure that ends a restore: no file after it would fare better.
func full(dir string, err error) error {
	return fault.Wrap(err, fault.StorageFull, "the disk at %s is full: make room there, or restore to another place", dir)
}

func split(path string) (dir, name string) {
	i := strings.LastIndexByte(path, '/')
	if i < 0 {
		return "", path
	}
	return path[:i], path[i+1:]
}
