// Package sink writes restored files to the local disk.
package sink

import "github.com/holdfast-backup/holdfast/vault/restore"

// Options says how.
type Options struct {
	// Sync makes everything durable before Close reports success: one sync of the file system, not one a file.
	Sync bool
}

// Open returns a sink that restores under dir, which is made if it does not exist.
func Open(dir string, o Options) (restore.Sink, error) { panic("soon") }
