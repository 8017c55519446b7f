//go:build unix

package main

import (
	"bytes"
	"crypto/rand"
	"encoding/base64"
	"errors"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/holdfast-backup/holdfast/depot"
	"github.com/holdfast-backup/holdfast/wire/fault"
)

// The installation's secret is a file: what stands in it, without white space at its ends. Whoever loses it
// loses every password with it, and whoever has both it and the database can try passwords.

// readSecret reads a secret that somebody made.
func readSecret(file string) ([]byte, error) {
	b, err := os.ReadFile(file)
	if err != nil {
		return nil, fault.Wrap(err, fault.Unavailable, "cannot read the secret")
	}
	b = bytes.TrimSpace(b)
	if len(b) < depot.MinSecret {
		return nil, fault.New(fault.Unavailable, "the secret in %s has %d characters: it needs at least %d", file, len(b), depot.MinSecret)
	}
	return b, nil
}

// makeSecret reads the secret in a file, which it makes first if there is none; made says so. The file is
// complete and on disk before it has its name, and never replaced.
func makeSecret(file string) (secret []byte, made bool, err error) {
	if _, err := os.Lstat(file); err == nil {
		secret, err = readSecret(file)
		return secret, false, err
	} else if !errors.Is(err, fs.ErrNotExist) {
		return nil, false, fault.Wrap(err, fault.Unavailable, "cannot read the secret")
	}
	b := make([]byte, depot.MinSecret)
	rand.Read(b)
	secret = []byte(base64.RawURLEncoding.EncodeToString(b))
	err = writeSecret(file, secret)
	if errors.Is(err, fs.ErrExist) { // somebody else was faster
		secret, err = readSecret(file)
		return secret, false, err
	}
	if err != nil {
		return nil, false, fault.Wrap(err, fault.Unavailable, "cannot make the secret %s", file)
	}
	return secret, true, nil
}

// writeSecret writes a secret into a file that is not there yet: fs.ErrExist if it is.
func writeSecret(file string, secret []byte) error {
	f, err := os.CreateTemp(filepath.Dir(file), ".secret-*") // mode 0600
	if err != nil {
		return err
	}
	defer os.Remove(f.Name())
	_, err = f.Write(append(bytes.Clone(secret), '\n'))
	if err = errors.Join(err, f.Sync(), f.Close()); err != nil {
		return err
	}
	if err := os.Link(f.Name(), file); err != nil {
		return err
	}
	return syncDir(filepath.Dir(file))
}

func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}
