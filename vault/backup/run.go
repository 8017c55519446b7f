package backup

import (
	"context"
	"errors"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/holdfast-backup/holdfast/vault/chunk"
	"github.com/holdfast-backup/holdfast/vault/manifest"
	"github.com/holdfast-backup/holdfast/vault/seal"
	"github.com/holdfast-backup/holdfast/vault/tree"
	"github.com/holdfast-backup/holdfast/wire/fault"
	"github.com/holdfast-backup/holdfast/wire/id"
)

const (
	maxSessions = 3               // sessions in a row that may expire without having stored anything
	politeness  = 5 * time.Second // how long Abort may take after the backup has failed
)

// Run makes one snapshot of src at remote.
//
// A session that expires is replaced by a new one, and what was stored is found again: a laptop may sleep as often as it
// likes during a long backup. Run gives up when sessions expire that stored nothing, [maxSessions] in a row.
// If objects that should be there are missing at the commit, the cached entries that refer to them are no
// longer believed and the backup runs again; if that is not enough, it runs once more without the cache. Every other
// error of the remote ends the backup: the session is aborted, what was stored stays, the cache stays as it was.
//
// What cannot be read does not end a backup: Result lists it.
func Run(ctx context.Context, cfg Config, src Source, remote Remote, cache Cache) (Result, error) {
	started := time.Now()
	r := &runner{cfg: &cfg, src: src, remote: remote, cache: cache, sealer: seal.New(cfg.Space.Content), started: started}
	stop := r.showProgress()
	defer stop()
	expired, missing := 0, 0
	for {
		res, err := r.try(ctx)
		switch {
		case err == nil:
			res.Started, res.Duration = started, time.Since(started)
			return res, nil
		case ctx.Err() != nil:
			return res, err
		case errors.Is(err, fault.SessionExpired) && res.UploadedBytes > 0:
			expired = 0
		case errors.Is(err, fault.SessionExpired) && expired < maxSessions-1:
			expired++
		case errors.Is(err, fault.ObjectsMissing) && missing < 2:
			missing++
			r.distrust(err, missing)
		default:
			return res, err
		}
	}
}

// runner is what lasts over the attempts of a Run.
type runner struct {
	cfg     *Config
	src     Source
	remote  Remote
	cache   Cache
	sealer  *seal.Sealer
	started time.Time

	distrusted map[id.Object]struct{} // objects that the server turned out not to have
	noCache    bool
	meter      meter
}

// distrust remembers what a commit found missing. Data may not list everything, and what it lists may be
// referred to from a place that the cache does not show: the second time the cache is not read at all.
func (r *runner) distrust(err error, times int) {
	var f *fault.Error
	if errors.As(err, &f) {
		if r.distrusted == nil {
			r.distrusted = map[id.Object]struct{}{}
		}
		for ids := range slices.Chunk(f.Data, 16) {
			if len(ids) == 16 {
				r.distrusted[id.Object(ids)] = struct{}{}
			}
		}
	}
	r.noCache = times > 1 || len(r.distrusted) == 0
}

// attempt is one session.
type attempt struct {
	*runner
	session  Session
	info     Info
	table    *chunk.Table
	binding  id.Object
	problems problems
	known    known
	nodes    nodes
	prev     CacheReader // nil: nothing is taken over
	cacheErr error
	ask      bool // chunks are asked about before they are sealed

	arenas *pool[*arena]
	packs  *pool[*packBuffer]
	upload chan *packBuffer

	newBytes atomic.Int64
	uploaded atomic.Int64
	reused   int64
	dirs     int64
	root     tree.Root
}

// try makes one attempt, from Begin to Commit.
func (r *runner) try(ctx context.Context) (Result, error) {
	a := &attempt{runner: r}
	r.meter.reset()
	var parent id.Snapshot
	if !r.noCache && r.cache != nil {
		a.prev, a.cacheErr = r.cache.Open()
		if a.prev != nil {
			defer a.prev.Close()
			parent = a.prev.Meta().Snapshot
		}
	}
	session, err := r.remote.Begin(ctx, parent)
	if err != nil {
		return a.result(), err
	}
	a.session, a.info = session, session.Info()
	if err := a.info.Chunk.Validate(); err != nil {
		return a.result(), a.abort(ctx, fault.Wrap(err, fault.Internal, "the server asks for chunk sizes that do not work"))
	}

	beating, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	stop := a.heartbeat(beating, cancel)
	res, err := a.run(beating)
	if err != nil && ctx.Err() == nil && beating.Err() != nil {
		err = context.Cause(beating) // the heartbeat knew first
	}
	stop()
	if err != nil {
		err = a.abort(ctx, err)
	}
	return res, err
}

// abort gives the session up, in time of its own, and returns err.
func (a *attempt) abort(ctx context.Context, err error) error {
	if errors.Is(err, fault.SessionExpired) {
		return err
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), politeness)
	defer cancel()
	_ = a.session.Abort(ctx) // it expires by itself if this fails
	return err
}

// run walks, stores and commits.
func (a *attempt) run(ctx context.Context) (Result, error) {
	a.prepare()
	var cache CacheWriter
	if a.cache != nil {
		var err error
		if cache, err = a.cache.Create(); err != nil {
			a.cacheErr = err
		} else {
			defer cache.Abort()
		}
	}
	if err := a.store(ctx, cache); err != nil {
		return a.result(), err
	}
	a.meter.phase.Store(PhaseCommit)
	sealed, err := a.manifest()
	if err != nil {
		return a.result(), err
	}
	snapshot, err := a.session.Commit(ctx, Commit{
		Root: a.root.Key.ID(), Manifest: sealed, Files: a.root.Files, Bytes: a.root.Bytes,
		Problems: a.problems.count(), UploadedBytes: a.uploaded.Load(),
	})
	if err != nil {
		return a.result(), err
	}
	if cache != nil {
		err := cache.Commit(CacheMeta{
			Snapshot: snapshot, Binding: a.binding, Nodes: a.nodes.list, Files: a.root.Files, Bytes: a.root.Bytes,
		})
		if a.cacheErr == nil {
			a.cacheErr = err
		}
	}
	res := a.result()
	res.Snapshot = snapshot
	return res, nil
}

// prepare decides what may be believed.
func (a *attempt) prepare() {
	a.table = chunk.NewTable(a.cfg.Space.Chunker)
	a.binding = a.bind()
	a.ask = !a.info.SpaceEmpty
	a.known.init()
	a.nodes.init(a)
	if a.prev == nil {
		return
	}
	meta := a.prev.Meta()
	if !a.info.ParentUsable || meta.Binding != a.binding {
		a.prev = nil // Close is deferred in try
		return
	}
	a.nodes.believe(meta.Nodes)
	a.meter.totalFiles.Store(meta.Files)
	a.meter.totalBytes.Store(meta.Bytes)
}

// bind names the space and everything on which the bytes of a cached entry depend. It is an object's id, so
// it says nothing to somebody without the space's key.
func (a *attempt) bind() id.Object {
	c := a.info.Chunk
	b := []byte("holdfast/v1/cache")
	for _, v := range []int{c.Min, c.Avg, c.Max} {
		b = append(b, byte(v>>24), byte(v>>16), byte(v>>8), byte(v))
	}
	return a.sealer.Key(b).ID()
}

// manifest describes the snapshot, sealed.
func (a *attempt) manifest() ([]byte, error) {
	m := a.cfg.Manifest
	m.Root, m.Files, m.Bytes, m.Dirs = a.root.Key, a.root.Files, a.root.Bytes, a.dirs
	m.Started, m.Finished = a.started, time.Now()
	if a.prev != nil {
		m.Parent = a.prev.Meta().Snapshot
	}
	m.Problems, m.ProblemCount = a.problems.all()
	return m.Seal(a.cfg.Space, a.cfg.Identity)
}

func (a *attempt) result() Result {
	res := Result{
		Root: a.root.Key, Files: a.root.Files, Bytes: a.root.Bytes, Dirs: a.dirs, Reused: a.reused,
		NewBytes: a.newBytes.Load(), UploadedBytes: a.uploaded.Load(), CacheErr: a.cacheErr,
		Started: a.started, Duration: time.Since(a.started),
	}
	res.Problems, res.ProblemCount = a.problems.all()
	return res
}

// store runs the pipeline: everything that is needed for a commit is durable when it returns nil.
func (a *attempt) store(ctx context.Context, cache CacheWriter) error {
	w := workers()
	a.arenas = newPool(w.arenas, func() *arena { return newArena(a.info.Chunk.Max) })
	a.packs = newPool(w.packs, func() *packBuffer { return newPackBuffer(a.info.Chunk.Max) })
	a.upload = make(chan *packBuffer)

	g, ctx := errgroup.WithContext(ctx)
	order := make(chan *batch, 64)
	todo := make(chan *batch, 64)
	filled := make(chan *arena)
	sealing := filled
	if a.ask {
		sealing = make(chan *arena)
		g.Go(func() error { return a.asker(ctx, filled, sealing) })
	}
	g.Go(func() error { return a.planner(ctx, order, todo) })
	together(g, w.readers, func() error { return a.reader(ctx, todo, filled) }, func() error {
		close(filled)
		a.meter.phase.Store(PhaseUpload)
		return nil
	})
	sealers := make(chan struct{})
	open := &openPacks{a: a}
	together(g, w.sealers, func() error { return a.sealWorker(ctx, sealing, open) }, func() error {
		defer close(sealers)
		return open.finish(ctx)
	})
	g.Go(func() error {
		if err := a.builder(ctx, order, cache); err != nil {
			return err
		}
		select {
		case <-sealers:
			close(a.upload)
			return nil
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	})
	for range w.uploads {
		g.Go(func() error { return a.uploader(ctx) })
	}
	return g.Wait()
}

// together runs n workers; the last one to succeed runs then. If one fails, then is not run.
func together(g *errgroup.Group, n int, work, then func() error) {
	var left atomic.Int32
	left.Store(int32(n))
	for range n {
		g.Go(func() error {
			if err := work(); err != nil {
				return err
			}
			if left.Add(-1) == 0 {
				return then()
			}
			return nil
		})
	}
}

// sortProblems orders problems by path, so that equal backups have equal lists.
func sortProblems(p []manifest.Problem) {
	slices.SortStableFunc(p, func(x, y manifest.Problem) int { return strings.Compare(x.Path, y.Path) })
}
