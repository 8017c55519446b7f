package state

import (
	"encoding/json"
	"errors"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/holdfast-backup/holdfast/wire/fault"
)

// ReadPrivate reads a JSON file of the folder, which holds secrets and is refused if others can read it, into v. Without the
// file v stays as it is.
func (d *Dir) ReadPrivate(name string, v any) error {
	path := filepath.Join(d.path, name)
	info, err := os.Stat(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	} else if err != nil {
		return unusable(err, path)
	}
	if err := private(path, info); err != nil {
		return err
	}
	b, err := os.ReadFile(path)
	if err != nil {
		return unusable(err, path)
	}
	if err := json.Unmarshal(b, v); err != nil {
		return fault.Wrap(err, fault.Internal, "%s is damaged: restore it from a copy, or remove it and say again what was in it", path)
	}
	return nil
}

// WritePrivate replaces a JSON file of the folder, durably and for its owner only.
func (d *Dir) WritePrivate(name string, v any) error { return d.write(name, v) }

// Sub returns the path of a folder within the folder, and makes it, for its owner only.
func (d *Dir) Sub(name string) (string, error) {
	path := filepath.Join(d.path, name)
	if err := os.MkdirAll(path, 0o700); err != nil {
		return "", unusable(err, path)
	}
	return path, nil
}
