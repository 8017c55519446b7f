package agent

import (
	"context"
	"path"
	"path/filepath"
	"runtime"
	"strings"

	"github.com/holdfast-backup/holdfast/vault/manifest"
	"github.com/holdfast-backup/holdfast/vault/remote"
	"github.com/holdfast-backup/holdfast/vault/restore"
	"github.com/holdfast-backup/holdfast/vault/tree"
	"github.com/holdfast-backup/holdfast/wire/fault"
	"github.com/holdfast-backup/holdfast/wire/id"
)

// Snapshot is a snapshot whose manifest was opened.
type Snapshot struct {
	*remote.Snapshot
	Manifest *manifest.Manifest
	// Err says why the manifest could not be opened, or that it does not belong to this snapshot; Manifest is
	// nil then. One forged or damaged snapshot must not hide the others.
	Err error
}

func (a *Account) open(s *remote.Snapshot) *Snapshot {
	m, err := manifest.Open(a.Keys, s.Manifest)
	switch {
	case err != nil:
		return &Snapshot{s, nil, fault.Wrap(err, fault.Internal, "snapshot %s was not made by this account's devices, or is damaged", ShortID(s.ID, 10))}
	case m.Root.ID() != s.Root || m.Device != s.Device:
		return &Snapshot{s, nil, fault.New(fault.Internal, "the server shows the manifest of another snapshot for %s", ShortID(s.ID, 10))}
	}
	return &Snapshot{s, m, nil}
}

// Snapshots calls fn for the account's snapshots, newest first, until it returns false. device is zero for all.
func (a *Account) Snapshots(ctx context.Context, device id.Device, fn func(*Snapshot) (bool, error)) error {
	return a.Client.Snapshots(ctx, device, func(s *remote.Snapshot) (bool, error) { return fn(a.open(s)) })
}

// hasIDPrefix reports whether ref begins the id, with or without the id's own prefix such as "snp_".
func hasIDPrefix(full, ref string) bool {
	_, body, _ := strings.Cut(full, "_")
	ref = strings.ToLower(ref)
	return ref != "" && (strings.HasPrefix(body, ref) || strings.Contains(ref, "_") && strings.HasPrefix(full, ref))
}

// ShortID returns the first n characters of an id without its prefix.
func ShortID(v interface{ String() string }, n int) string {
	_, body, _ := strings.Cut(v.String(), "_")
	return body[:min(n, len(body))]
}

// ShortIDs returns how many characters tell these ids apart, at least 10.
func ShortIDs[T interface{ String() string }](ids []T) int {
	n := 10
	for ; n < 26; n++ {
		seen := map[string]bool{}
		for _, v := range ids {
			seen[ShortID(v, n)] = true
		}
		if len(seen) == len(ids) {
			break
		}
	}
	return n
}

// TreePath turns a path as a person writes it into one of a tree: "/home/u/" and "home/u" both mean home/u,
// and "" the whole. On Windows, so does C:\Users.
func TreePath(p string) string { return treePath(p, runtime.GOOS == "windows") }

func treePath(p string, windows bool) string {
	if windows {
		p = strings.ReplaceAll(p, `\`, "/")
		if len(p) >= 2 && p[1] == ':' {
			p = strings.ToUpper(p[:1]) + p[1:]
		}
	}
	p = path.Clean("/" + p)
	return strings.TrimPrefix(p, "/")
}

// LocalPath shows a tree's path as this system writes it.
func LocalPath(p string) string {
	if runtime.GOOS == "windows" {
		return filepath.FromSlash(p)
	}
	return "/" + p
}

// Objects returns the account's objects.
func (a *Account) Objects() *restore.Objects {
	return restore.NewObjects(a.Client, a.sealer, restore.Options{})
}

// Tree opens a snapshot's tree.
func (a *Account) Tree(s *Snapshot) *tree.Reader { return tree.Open(a.Objects(), s.Manifest.Root) }
