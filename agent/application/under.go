package application

import (
	"strings"

	"github.com/holdfast-backup/holdfast/vault/restore"
	"github.com/holdfast-backup/holdfast/vault/tree"
)

// under is a sink for what lies under a folder of the tree: the folder itself is the place that the sink stands for.
type under struct {
	restore.Sink
	from  string
	owner *owner // whose everything is to be; nil: as the backup says
}

// owner is who owns a file, by number.
type owner struct{ uid, gid uint32 }

// owned is an entry with the owner that it is to have.
func (u under) owned(e *tree.Entry) *tree.Entry {
	if u.owner == nil || e == nil {
		return e
	}
	c := *e
	c.UID, c.GID, c.User, c.Group = u.owner.uid, u.owner.gid, "", ""
	return &c
}

// rel returns a path below the folder; "" for the folder itself, and for those above it.
func (u under) rel(path string) string {
	rest, ok := strings.CutPrefix(path, u.from+"/")
	if !ok {
		return ""
	}
	return rest
}

// Stat implements [restore.Sink].
func (u under) Stat(path string, e *tree.Entry) (restore.State, error) {
	if p := u.rel(path); p != "" {
		return u.Sink.Stat(p, e)
	}
	return restore.Folder, nil
}

// Mkdir implements [restore.Sink].
func (u under) Mkdir(path string, e *tree.Entry, replace bool) error {
	if p := u.rel(path); p != "" {
		return u.Sink.Mkdir(p, e, replace)
	}
	return nil
}

// FinishDir implements [restore.Sink]. The folder itself keeps the metadata that it has.
func (u under) FinishDir(path string, e *tree.Entry) error {
	if p := u.rel(path); p != "" {
		return u.Sink.FinishDir(p, u.owned(e))
	}
	return nil
}

// Create implements [restore.Sink].
func (u under) Create(path string, e *tree.Entry, replace bool) (restore.File, error) {
	return u.Sink.Create(u.rel(path), u.owned(e), replace)
}

// Make implements [restore.Sink].
func (u under) Make(path string, e *tree.Entry, replace bool) error {
	return u.Sink.Make(u.rel(path), u.owned(e), replace)
}

// Link implements [restore.Sink].
func (u under) Link(path, old string, e *tree.Entry, replace bool) error {
	return u.Sink.Link(u.rel(path), u.rel(old), e, replace)
}
