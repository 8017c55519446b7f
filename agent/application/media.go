package application

import (
	"context"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/holdfast-backup/holdfast/agent/walk"
	"github.com/holdfast-backup/holdfast/vault/archive"
	"github.com/holdfast-backup/holdfast/vault/backup"
	"github.com/holdfast-backup/holdfast/vault/tree"
	"github.com/holdfast-backup/holdfast/wire/fault"
)

func itoa(n int) string { return strconv.Itoa(n) }

// logPatterns are what "logs excluded" leaves out.
var logPatterns = []string{"*.log", "*.log.[0-9]*", "*.log.gz", "*.log.*.gz", "log/", "logs/"}

// mediaPath is where a folder lies in the tree: media itself if it is the only one.
func (a *App) mediaPath(f Folder) string {
	if len(a.Media) == 1 {
		return archive.MediaDir
	}
	return archive.MediaDir + "/" + f.Label
}

// walkMedia emits the media, under their names in the tree.
func (a *App) walkMedia(ctx context.Context, excludeLogs bool, skip string, emit func(*backup.Item) error) error {
	exclude := a.Exclude
	if excludeLogs {
		exclude = append(append([]string{}, exclude...), logPatterns...)
	}
	if len(a.Media) > 1 {
		if err := emit(&backup.Item{Entry: tree.Entry{Path: archive.MediaDir, Type: tree.Dir, Mode: 0o755}}); err != nil {
			return err
		}
	}
	for _, f := range a.Media {
		if err := walkFolder(ctx, f, a.mediaPath(f), exclude, skip, emit); err != nil {
			return err
		}
	}
	return nil
}

// walkFolder emits a folder as if it were called to. That it is not there, or no folder, is an error.
func walkFolder(ctx context.Context, f Folder, to string, exclude []string, skip string, emit func(*backup.Item) error) error {
	root, err := filepath.EvalSymlinks(f.Path)
	if err != nil {
		return fault.Wrap(err, fault.NotFound, "the media folder %s is not there: mount it, or name another with holdfast-agent app add", f.Path)
	}
	if fi, err := os.Stat(root); err != nil || !fi.IsDir() {
		return fault.Wrap(err, fault.Invalid, "%s is no folder", f.Path)
	}
	t, err := walk.New(walk.Options{Rules: []walk.Rule{{Roots: []string{root}, Exclude: exclude}}, Skip: []string{skip}})
	if err != nil {
		return err
	}
	defer t.Close()
	from := treePath(root)
	return t.Walk(ctx, func(walked *backup.Item) error {
		it := new(backup.Item) // the walker goes on with its own
		*it = *walked
		switch rest, ok := strings.CutPrefix(it.Path, from); {
		case it.Path == from:
			it.Path = to
		case from == "":
			it.Path = to + "/" + it.Path
		case ok && rest[0] == '/':
			it.Path = to + rest
		default:
			return nil // a folder above it
		}
		return emit(it)
	})
}

// treePath writes a clean absolute path as walk does.
func treePath(path string) string { return strings.Trim(filepath.ToSlash(path), "/") }
