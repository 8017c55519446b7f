package sink

import "github.com/holdfast-backup/holdfast/vault/restore"

// whole returns a sink for the paths of this machine: one of each drive that a path begins with.
func whole(o Options) (restore.Sink, error) {
	return &volumes{open: func(volume string) (restore.Sink, error) { return open(volume+`\`, o) }, list: map[string]restore.Sink{}}, nil
}
