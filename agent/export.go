package agent

import (
	"context"
	"io"

	"github.com/holdfast-backup/holdfast/vault/archive/export"
	"github.com/holdfast-backup/holdfast/vault/tree"
)

// Export writes a snapshot as a ZIP: paths as they are, without the slash at their beginning. progress, which may be nil, is told what was
// written. An error says that what was written is of no use; files that could not be read are in the result.
func (a *Account) Export(ctx context.Context, s *Snapshot, w io.Writer, progress func(export.Totals)) (export.Result, error) {
	objects := a.Objects()
	return export.WriteZIP(ctx, w, export.Options{Objects: objects, Walk: export.Tree(tree.Open(objects, s.Manifest.Root)), Compress: true, Progress: progress})
}
