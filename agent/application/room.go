package application

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/holdfast-backup/holdfast/agent"
	"github.com/holdfast-backup/holdfast/vault/restore"
	"github.com/holdfast-backup/holdfast/vault/tree"
	"github.com/holdfast-backup/holdfast/wire/fault"
)

// fits refuses a folder that cannot be written, or has no room for the media at from. Each folder is looked at by itself:
// several on one disk may still fill it, which then ends the restore between two files.
func (r *restoring) fits(ctx context.Context, from, to string) error {
	if err := writable(to); err != nil {
		return err
	}
	need, err := r.need(ctx, from, to)
	if err != nil {
		return err
	}
	free, err := room(to)
	if err != nil {
		return err
	}
	if free < need {
		return fault.New(fault.StorageFull, "%s has room for %s, and this restore needs %s there: nothing was restored", to, agent.Size(free), agent.Size(need))
	}
	return nil
}

// need is how many bytes the files at from need in to, in place of what is there: by how much they are longer, and once more the
// largest of them, because a file replaces another only when all of it is there.
func (r *restoring) need(ctx context.Context, from, to string) (int64, error) {
	var need, largest int64
	err := r.tree.Search(ctx, func(e *tree.Entry) bool {
		return e.Type == tree.File && strings.HasPrefix(e.Path, from+"/")
	}, func(e *tree.Entry) error {
		old := int64(0)
		if fi, err := os.Lstat(filepath.Join(to, filepath.FromSlash(strings.TrimPrefix(e.Path, from+"/")))); err == nil {
			if r.in.Conflict == restore.Skip {
				return nil
			}
			if fi.Mode().IsRegular() {
				old = fi.Size()
			}
		}
		size := int64(0) // without holes
		err := r.tree.Chunks(ctx, e, func(c tree.Chunk) error {
			if !c.Hole {
				size += c.Size
			}
			return nil
		})
		need += max(0, size-old)
		largest = max(largest, min(size, old))
		return err
	})
	return need + largest, err
}

// writable refuses a folder in which nothing can be made; one that is not there yet is made in the first above it that is.
func writable(dir string) error {
	f, err := os.CreateTemp(dir, ".holdfast-*")
	if errors.Is(err, fs.ErrNotExist) && filepath.Dir(dir) != dir {
		return writable(filepath.Dir(dir))
	}
	if err != nil {
		return fault.Wrap(err, fault.Invalid, "%s cannot be written (%s): let this service write there", dir, plain(err))
	}
	f.Close()
	return os.Remove(f.Name())
}
