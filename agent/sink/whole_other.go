//go:build !windows

package sink

import "github.com/holdfast-backup/holdfast/vault/restore"

// whole returns a sink for the paths of this machine.
func whole(o Options) (restore.Sink, error) { return open("/", o) }
