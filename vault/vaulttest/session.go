package vaulttest

import (
	"context"
	"time"

	"github.com/holdfast-backup/holdfast/vault/backup"
	"github.com/holdfast-backup/holdfast/vault/chunk"
	"github.com/holdfast-backup/holdfast/wire/fault"
	"github.com/holdfast-backup/holdfast/wire/id"
	"github.com/holdfast-backup/holdfast/wire/pack"
)

// session implements [backup.Session].
type session struct {
	r    *Remote
	info backup.Info
	void bool
}

// Begin implements [backup.Remote]. An older session becomes void.
func (r *Remote) Begin(ctx context.Context, parent id.Snapshot) (backup.Session, error) {
	after, err := r.call(ctx, "Begin")
	if err != nil {
		return nil, err
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.session != nil {
		r.session.void = true
	}
	s := &session{r: r, info: backup.Info{
		SpaceEmpty: len(r.objects) == 0, Chunk: r.Chunk, MaxPack: r.MaxPack, TTL: r.TTL,
	}}
	fresh(&s.info.ID)
	if s.info.Chunk == (chunk.Params{}) {
		s.info.Chunk = chunk.DefaultParams
	}
	if s.info.MaxPack == 0 {
		s.info.MaxPack = pack.MaxSize
	}
	if s.info.TTL == 0 {
		s.info.TTL = time.Minute
	}
	for i := range r.snapshots {
		s.info.ParentUsable = s.info.ParentUsable || r.snapshots[i].ID == parent
	}
	r.session = s
	if err := after(nil); err != nil {
		return nil, err
	}
	return s, nil
}

// Expire makes the present session void, as a lapsed heartbeat does.
func (r *Remote) Expire() {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.session != nil {
		r.session.void = true
	}
}

// Forget removes the snapshots, so that no parent is usable; the objects stay.
func (r *Remote) Forget() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.snapshots = nil
}

// call is [Remote.call] for a session that must not be void.
func (s *session) call(ctx context.Context, op string) (func(error) error, error) {
	after, err := s.r.call(ctx, op)
	if err != nil {
		return nil, err
	}
	s.r.mu.Lock()
	defer s.r.mu.Unlock()
	if s.void {
		return nil, fault.New(fault.SessionExpired, "the session is void")
	}
	return after, nil
}

func (s *session) Info() backup.Info { return s.info }

func (s *session) Missing(ctx context.Context, ids []id.Object) ([]bool, error) {
	after, err := s.call(ctx, "Missing")
	if err != nil {
		return nil, err
	}
	if len(ids) > backup.MaxAsk {
		return nil, fault.New(fault.TooLarge, "%d ids in one question", len(ids))
	}
	s.r.mu.Lock()
	defer s.r.mu.Unlock()
	list := make([]bool, len(ids))
	for i, o := range ids {
		_, ok := s.r.objects[o]
		list[i] = !ok || s.r.hidden[o]
	}
	return list, after(nil)
}

func (s *session) Upload(ctx context.Context, name id.Pack, b []byte) error {
	after, err := s.call(ctx, "Upload")
	if err != nil {
		return err
	}
	if len(b) > s.info.MaxPack {
		return fault.New(fault.TooLarge, "a pack of %d bytes", len(b))
	}
	return after(s.r.Store(name, b))
}

func (s *session) Progress(ctx context.Context, _ backup.Progress) error {
	after, err := s.call(ctx, "Progress")
	if err != nil {
		return err
	}
	return after(nil)
}

func (s *session) Commit(ctx context.Context, c backup.Commit) (id.Snapshot, error) {
	after, err := s.call(ctx, "Commit")
	if err != nil {
		return id.Snapshot{}, err
	}
	s.r.mu.Lock()
	defer s.r.mu.Unlock()
	if missing := s.r.missing(c.Root); len(missing) > 0 {
		f := fault.New(fault.ObjectsMissing, "%d objects of the snapshot are not stored", len(missing))
		for _, o := range missing {
			f.Data = append(f.Data, o[:]...)
		}
		return id.Snapshot{}, f
	}
	snap := Snapshot{Commit: c}
	fresh(&snap.ID)
	s.r.snapshots = append(s.r.snapshots, snap)
	s.void = true
	return snap.ID, after(nil)
}

func (s *session) Abort(ctx context.Context) error {
	after, err := s.call(ctx, "Abort")
	if err != nil {
		return err
	}
	s.r.mu.Lock()
	s.void = true
	s.r.mu.Unlock()
	return after(nil)
}

// missing returns what is reachable from root and not stored.
func (r *Remote) missing(root id.Object) []id.Object {
	seen := map[id.Object]bool{root: true}
	var missing []id.Object
	for todo := []id.Object{root}; len(todo) > 0; {
		o := todo[len(todo)-1]
		todo = todo[:len(todo)-1]
		at, ok := r.objects[o]
		if !ok || r.hidden[o] {
			missing = append(missing, o)
			continue
		}
		for _, list := range [][]id.Object{at.nodes, at.data} {
			for _, n := range list {
				if !seen[n] {
					seen[n] = true
					todo = append(todo, n)
				}
			}
		}
	}
	return missing
}

// fresh gives o a new id.
func fresh[N id.Noun](o *id.Of[N]) { *o = id.New[N]() }
