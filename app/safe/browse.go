package safe

import (
	"context"
	"encoding/binary"
	"errors"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/holdfast-backup/holdfast/app/safe/index"
	"github.com/holdfast-backup/holdfast/app/talk"
	"github.com/holdfast-backup/holdfast/vault/seal"
	"github.com/holdfast-backup/holdfast/vault/tree"
	"github.com/holdfast-backup/holdfast/wire/fault"
	"github.com/holdfast-backup/holdfast/wire/id"
)

// maxLoaded is how many rows the trees in memory may have together. The one that was used last stays in any case.
const maxLoaded = 1_000_000

// tick is how often progress is told.
const tick = 200 * time.Millisecond

// loading is a tree that is in memory, or on its way there.
type loading struct {
	done    chan struct{} // closed when index or err is set
	index   *index.Index
	err     error
	entries atomic.Int64 // read so far
	total   atomic.Int64
	cancel  context.CancelFunc
	waiting int // how many wait for it; guarded by account.mu
}

// load reads a snapshot's tree into memory and says what is in it.
func (s *Safe) load(ctx context.Context, c call, in talk.Snapshot) (talk.Contents, error) {
	x, err := c.tree(ctx, in.Snapshot, func(p talk.Progress) { c.Emit(p) })
	if err != nil {
		return talk.Contents{}, err
	}
	return x.Summary(), nil
}

// tree returns the index of a snapshot that was opened. When nobody waits for it any more, it is not loaded.
func (a *account) tree(ctx context.Context, snapshot string, progress func(talk.Progress)) (*index.Index, error) {
	id, m, err := a.manifest(snapshot)
	if err != nil {
		return nil, err
	}
	a.mu.Lock()
	l := a.trees[id]
	if l == nil {
		l = &loading{done: make(chan struct{})}
		var loadCtx context.Context
		loadCtx, l.cancel = context.WithCancel(a.ctx)
		a.trees[id] = l
		go func() {
			x, err := a.read(loadCtx, l, m.Root)
			l.cancel()
			a.settle(id, l, x, err)
		}()
	}
	l.waiting++
	a.touch(id)
	a.mu.Unlock()
	defer func() {
		a.mu.Lock()
		defer a.mu.Unlock()
		if l.waiting--; l.waiting == 0 && ctx.Err() != nil {
			l.cancel()
		}
	}()
	timer := time.NewTicker(tick)
	defer timer.Stop()
	for {
		select {
		case <-l.done:
			return l.index, l.err
		case <-ctx.Done():
			return nil, context.Cause(ctx)
		case <-timer.C:
			progress(talk.Progress{Files: l.entries.Load(), TotalFiles: l.total.Load()})
		}
	}
}

// touch makes a tree the one that was used last.
func (a *account) touch(id id.Snapshot) {
	if i := slices.Index(a.recent, id); i >= 0 {
		a.recent = slices.Delete(a.recent, i, i+1)
	}
	a.recent = append(a.recent, id)
}

// settle hands a tree to those who wait for it. One that could not be loaded is dropped; for one that was, those that were not used for
// longest, until there is room.
func (a *account) settle(id id.Snapshot, l *loading, x *index.Index, err error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	l.index, l.err = x, err
	close(l.done)
	if err != nil {
		a.drop(id)
		return
	}
	rows := 0
	for _, t := range a.trees {
		if t.index != nil {
			rows += t.index.Rows()
		}
	}
	for _, old := range slices.Clone(a.recent) {
		if rows <= a.room || old == id {
			return
		}
		if t := a.trees[old]; t.index != nil {
			rows -= t.index.Rows()
			a.drop(old)
		}
	}
}

func (a *account) drop(id id.Snapshot) {
	delete(a.trees, id)
	if i := slices.Index(a.recent, id); i >= 0 {
		a.recent = slices.Delete(a.recent, i, i+1)
	}
}

func (a *account) read(ctx context.Context, l *loading, root seal.Key) (*index.Index, error) {
	r := tree.Open(a.objects, root)
	total, err := r.Root(ctx)
	if err != nil {
		return nil, err
	}
	l.total.Store(total.Entries)
	b, err := index.NewBuilder(total.Entries)
	if err != nil {
		return nil, err
	}
	if err := r.Walk(ctx, "", func(e *tree.Entry) error {
		l.entries.Add(1)
		return b.Add(e)
	}); err != nil {
		return nil, err
	}
	return b.Finish(), nil
}

func quiet(talk.Progress) {}

// list lists a page of a folder.
func (s *Safe) list(ctx context.Context, c call, in talk.List) (*talk.Listing, error) {
	x, err := c.tree(ctx, in.Snapshot, quiet)
	if err != nil {
		return nil, err
	}
	return x.List(in)
}

// search lists a page of what is called so.
func (s *Safe) search(ctx context.Context, c call, in talk.Search) (*talk.Listing, error) {
	x, err := c.tree(ctx, in.Snapshot, quiet)
	if err != nil {
		return nil, err
	}
	return x.Search(in)
}

// totals counts what a selection holds.
func (s *Safe) totals(ctx context.Context, c call, in talk.Selection) (talk.Totals, error) {
	x, err := c.tree(ctx, in.Snapshot, quiet)
	if err != nil {
		return talk.Totals{}, err
	}
	return x.Totals(raw(in.Paths), in.Extensions)
}

// raw turns texts of paths back.
func raw(texts []string) []string {
	list := make([]string, len(texts))
	for i, t := range texts {
		list[i] = talk.Raw(t)
	}
	return list
}

// entry reads one entry of a snapshot's tree.
func (a *account) entry(ctx context.Context, in talk.Path) (*tree.Entry, error) {
	_, m, err := a.manifest(in.Snapshot)
	if err != nil {
		return nil, err
	}
	return tree.Open(a.objects, m.Root).Get(ctx, talk.Raw(in.Path))
}

// stat says everything about a file or folder.
func (s *Safe) stat(ctx context.Context, c call, in talk.Path) (talk.Stat, error) {
	e, err := c.entry(ctx, in)
	if err != nil {
		return talk.Stat{}, err
	}
	out := talk.Stat{
		Entry: talk.Entry{Name: talk.Text(e.Base()), Path: in.Path, Kind: kindOf(e), Size: e.Size, ModTime: e.ModTime},
		Type:  e.Type.String(), Mode: e.Mode, UID: e.UID, GID: e.GID, User: e.User, Group: e.Group, Link: talk.Text(e.Link), HardLink: e.HardLink != 0, Chunks: e.ChunkCount,
	}
	for _, x := range e.Xattrs {
		out.Xattrs = append(out.Xattrs, x.Name)
	}
	return out, nil
}

func kindOf(e *tree.Entry) talk.Kind {
	switch e.Type {
	case tree.Dir:
		return talk.Folder
	case tree.File:
		return talk.KindOf(e.Base())
	case tree.Symlink:
		return talk.Link
	}
	return talk.Special
}

// maxVersions is how many snapshots one question is about, and lookups how many are looked at at once.
const (
	maxVersions = 1000
	lookups     = 4
)

// versions says how a path fared in some snapshots, in their order.
func (s *Safe) versions(ctx context.Context, c call, in talk.Versions) ([]talk.Version, error) {
	if len(in.Snapshots) > maxVersions {
		return nil, fault.New(fault.TooLarge, "%d snapshots at once, and %d are the most", len(in.Snapshots), maxVersions)
	}
	out := make([]talk.Version, len(in.Snapshots))
	contents := make([]content, len(in.Snapshots))
	var wg sync.WaitGroup
	var next atomic.Int64
	for range min(lookups, len(out)) {
		wg.Go(func() {
			for i := int(next.Add(1)) - 1; i < len(out) && ctx.Err() == nil; i = int(next.Add(1)) - 1 {
				out[i], contents[i] = c.version(ctx, in.Snapshots[i], in.Path)
			}
		})
	}
	wg.Wait()
	if ctx.Err() != nil {
		return nil, context.Cause(ctx)
	}
	numbers := map[content]int{}
	for i := range out {
		if contents[i] == (content{}) {
			continue
		}
		if numbers[contents[i]] == 0 {
			numbers[contents[i]] = len(numbers) + 1
		}
		out[i].Content = numbers[contents[i]]
	}
	return out, nil
}

// content stands for a file's content.
type content struct {
	size   int64
	chunks string // lengths and keys of its pieces, or the key of the list of them
	file   bool
}

func (a *account) version(ctx context.Context, snapshot, path string) (talk.Version, content) {
	v := talk.Version{Snapshot: snapshot}
	_, m, err := a.manifest(snapshot)
	if err != nil {
		v.Error = err.Error()
		return v, content{}
	}
	e, err := tree.Open(a.objects, m.Root).Get(ctx, talk.Raw(path))
	switch {
	case err == nil:
	case errors.Is(err, fault.NotFound):
		v.Absent = true
		return v, content{}
	default:
		v.Error = err.Error()
		return v, content{}
	}
	v.Type, v.Size, v.ModTime = e.Type.String(), e.Size, e.ModTime
	if e.Type != tree.File {
		return v, content{}
	}
	keys := e.ChunkList[:]
	if e.Inline() {
		keys = nil
		for i := range e.Chunks {
			keys = append(binary.AppendVarint(keys, e.Chunks[i].Size), e.Chunks[i].Key[:]...) // of a hole: zeros
		}
	}
	return v, content{e.Size, string(keys), true}
}
