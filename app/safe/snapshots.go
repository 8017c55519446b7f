package safe

import (
	"context"
	"errors"
	"slices"

	"github.com/holdfast-backup/holdfast/app/talk"
	"github.com/holdfast-backup/holdfast/vault/keyring"
	"github.com/holdfast-backup/holdfast/vault/manifest"
	"github.com/holdfast-backup/holdfast/wire/fault"
	"github.com/holdfast-backup/holdfast/wire/id"
)

// maxManifests is how many manifests one call opens: each takes a millisecond.
const maxManifests = 1000

// openManifests opens what snapshots say about themselves. One that cannot be opened says why; the others are none the worse for it.
func (s *Safe) openManifests(ctx context.Context, c call, in []talk.Sealed) ([]talk.Manifest, error) {
	if len(in) > maxManifests {
		return nil, fault.New(fault.TooLarge, "%d snapshots at once, and %d are the most", len(in), maxManifests)
	}
	out := make([]talk.Manifest, len(in))
	for i := range in {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		m, err := c.openManifest(&in[i])
		if err != nil {
			out[i] = talk.Manifest{ID: in[i].ID, Error: err.Error()}
			continue
		}
		out[i] = talk.Manifest{ID: in[i].ID, DeviceName: m.DeviceName, Hostname: m.Hostname, OS: m.OS, Started: m.Started, Finished: m.Finished,
			Files: m.Files, Bytes: m.Bytes, Dirs: m.Dirs, Problems: m.ProblemCount, AgentVersion: m.AgentVersion}
		for _, r := range m.Roots {
			out[i].Roots = append(out[i].Roots, talk.Text(r))
		}
		if !m.Parent.IsZero() {
			out[i].Parent = m.Parent.String()
		}
	}
	return out, nil
}

// openManifest opens one and makes sure that it is the snapshot's: the server could show another one's.
func (a *account) openManifest(in *talk.Sealed) (*manifest.Manifest, error) {
	snapshot, err := parse[id.Snapshot](in.ID)
	if err != nil {
		return nil, errors.New("the server's reply makes no sense")
	}
	device, err := parse[id.Device](in.Device)
	if err != nil {
		return nil, errors.New("the server's reply makes no sense")
	}
	a.mu.Lock()
	m := a.manifests[snapshot]
	a.mu.Unlock()
	if m == nil {
		m, err = manifest.Open(a.keys, in.Manifest)
		switch {
		case errors.Is(err, manifest.ErrForged):
			return nil, errors.New("this snapshot was not made by a device of this account")
		case errors.Is(err, keyring.ErrWrongKey):
			return nil, errors.New("this snapshot was not sealed to this account, or is damaged")
		case err != nil:
			return nil, errors.New("this snapshot was made by a newer version, or is damaged")
		}
	}
	root := m.Root.ID()
	if m.Device != device || !slices.Equal(root[:], in.Root) {
		return nil, errors.New("the server shows the description of another snapshot for this one")
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	a.manifests[snapshot] = m
	return m, nil
}

// problems lists a page of what a snapshot lacks.
func (s *Safe) problems(_ context.Context, c call, in talk.Problems) ([]talk.Problem, error) {
	_, m, err := c.manifest(in.Snapshot)
	if err != nil {
		return nil, err
	}
	if in.Offset < 0 || in.Limit < 0 {
		return nil, fault.New(fault.Invalid, "a page begins at 0 or later and has 0 entries or more, not %d and %d", in.Offset, in.Limit)
	}
	list := m.Problems[min(in.Offset, len(m.Problems)):]
	out := []talk.Problem{}
	for _, p := range list[:min(in.Limit, len(list))] {
		out = append(out, talk.Problem{Path: talk.Text(p.Path), Cause: p.Cause, Text: p.Text})
	}
	return out, nil
}
