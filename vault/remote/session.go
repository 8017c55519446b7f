package remote

import (
	"bytes"
	"context"
	"errors"
	"time"

	"github.com/holdfast-backup/holdfast/vault/backup"
	"github.com/holdfast-backup/holdfast/vault/chunk"
	"github.com/holdfast-backup/holdfast/vault/remote/internal/api"
	"github.com/holdfast-backup/holdfast/wire/fault"
	"github.com/holdfast-backup/holdfast/wire/id"
)

var _ backup.Remote = (*Client)(nil)

// Begin implements [backup.Remote]. It needs a device's token.
func (c *Client) Begin(ctx context.Context, parent id.Snapshot) (backup.Session, error) {
	var in api.BeginBackupInput
	if !parent.IsZero() {
		s := parent.String()
		in.Parent = &s
	}
	// Begun twice after a lost reply, the first session becomes void: no harm.
	r, err := api.BeginBackup(ctx, c.gql(always), in)
	if err != nil {
		return nil, err
	}
	b := r.BeginBackup
	s := &session{c: c, fence: b.Fence, info: backup.Info{
		ParentUsable: b.ParentUsable, SpaceEmpty: b.SpaceEmpty,
		Chunk:   chunk.Params{Min: b.ChunkMin, Avg: b.ChunkAvg, Max: b.ChunkMax},
		MaxPack: b.MaxPack, TTL: time.Duration(b.Ttl) * time.Second,
	}}
	if s.info.ID, err = parse[id.Backup](b.Id); err != nil {
		return nil, err
	}
	if err := s.sane(); err != nil {
		return nil, err
	}
	return s, nil
}

// session implements [backup.Session].
type session struct {
	c     *Client
	fence int64
	info  backup.Info
	label *api.CommitApplicationInput // nil: files of the device
}

// Info implements [backup.Session].
func (s *session) Info() backup.Info { return s.info }

// Missing implements [backup.Session].
func (s *session) Missing(ctx context.Context, ids []id.Object) ([]bool, error) {
	if len(ids) == 0 {
		return nil, nil
	}
	r, err := api.MissingObjects(ctx, s.c.gql(always), api.MissingObjectsInput{Backup: s.info.ID.String(), Fence: s.fence, Ids: join(ids)})
	if err != nil {
		return nil, err
	}
	bits := r.MissingObjects.Missing
	if len(bits) != (len(ids)+7)/8 {
		return nil, fault.New(fault.Internal, "the server answered %d bytes about %d objects", len(bits), len(ids))
	}
	missing := make([]bool, len(ids))
	for i := range missing {
		missing[i] = bits[i/8]>>(i%8)&1 != 0
	}
	return missing, nil
}

// Upload implements [backup.Session].
func (s *session) Upload(ctx context.Context, name id.Pack, pack []byte) error {
	return s.c.uploadPack(ctx, s.info.ID, s.fence, name, pack)
}

// Progress implements [backup.Session].
func (s *session) Progress(ctx context.Context, p backup.Progress) error {
	_, err := api.ReportProgress(ctx, s.c.gql(always), api.ReportProgressInput{
		Backup: s.info.ID.String(), Fence: s.fence, Phase: p.Phase, Files: p.Files, Bytes: p.Bytes,
		TotalFiles: p.TotalFiles, TotalBytes: p.TotalBytes, UploadedBytes: p.UploadedBytes, Problems: p.Problems,
	})
	return err
}

// Commit implements [backup.Session]. If the reply to a commit is lost, its repetition finds the session
// closed. Whether it was this snapshot that closed it is then seen on the device's newest one.
func (s *session) Commit(ctx context.Context, k backup.Commit) (id.Snapshot, error) {
	in := api.CommitSnapshotInput{
		Backup: s.info.ID.String(), Fence: s.fence, Root: k.Root[:], Manifest: k.Manifest,
		Files: k.Files, Bytes: k.Bytes, Problems: k.Problems, UploadedBytes: k.UploadedBytes,
		Application: s.label,
	}
	r, err := api.CommitSnapshot(ctx, s.c.gql(slowAnswer), in)
	if errors.Is(err, fault.SessionExpired) || errors.Is(err, fault.Conflict) {
		if snap, ok := s.committed(ctx, k); ok {
			return snap, nil
		}
	}
	if err != nil {
		return id.Snapshot{}, err
	}
	return parse[id.Snapshot](r.CommitSnapshot.Snapshot.Id)
}

// committed looks for the snapshot with exactly this manifest: sealing is randomised, so no other has it.
func (s *session) committed(ctx context.Context, k backup.Commit) (id.Snapshot, bool) {
	r, err := api.ThisDeviceLatest(ctx, s.c.gql(always))
	if err != nil || r.ThisDevice.LatestSnapshot == nil {
		return id.Snapshot{}, false
	}
	l := r.ThisDevice.LatestSnapshot
	if !bytes.Equal(l.Manifest, k.Manifest) || !bytes.Equal(l.Root, k.Root[:]) {
		return id.Snapshot{}, false
	}
	snap, err := parse[id.Snapshot](l.Id)
	return snap, err == nil
}

// Abort implements [backup.Session].
func (s *session) Abort(ctx context.Context) error {
	_, err := api.AbortBackup(ctx, s.c.gql(never), api.AbortBackupInput{Backup: s.info.ID.String(), Fence: s.fence})
	return err
}

// join lays ids end to end.
func join(ids []id.Object) []byte {
	b := make([]byte, 0, 16*len(ids))
	for i := range ids {
		b = append(b, ids[i][:]...)
	}
	return b
}
