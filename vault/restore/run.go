package restore

import (
	"context"
	"errors"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/holdfast-backup/holdfast/vault/seal"
	"github.com/holdfast-backup/holdfast/vault/tree"
	"github.com/holdfast-backup/holdfast/wire/fault"
)

// A window is full at one of these. Two are at work while a third is being planned.
const (
	windowBytes   = 64 << 20 // of plaintext that it brings; none of it is held
	windowKeys    = 10_000
	windowsAtWork = 2
)

// run is a restore under way.
//
// One goroutine, the planner, walks the tree, makes folders, decides conflicts and collects the wanted pieces of
// files in windows. A window is read by [Objects.Read], whose goroutines write each piece to the files that
// want it; whoever brings a file's last piece commits it.
type run struct {
	cfg     Config
	objects *Objects
	reader  *tree.Reader
	sink    Sink
	match   func(*tree.Entry) bool // nil: everything
	sample  func(seal.Key) bool    // nil: every object is read

	ctx    context.Context
	cancel context.CancelCauseFunc
	window *window
	atWork chan struct{}
	wg     sync.WaitGroup

	files, dirs, others, bytes, skipped, done, doneBytes atomic.Int64

	mu       sync.Mutex // guards what follows, and every folder and group
	failures []Failure
	failed   int64
	lost     int64 // regular files among them
	again    []*file
	groups   map[uint64]*group

	stack []*folder // the planner's place in the tree
	seen  tree.Root // what the planner has met
	total tree.Root // of the whole tree
}

// Run restores the selection into sink and closes it. The error is about the whole, and says that the restore ended early:
// what concerns single paths is in Result.Failures.
func Run(ctx context.Context, cfg Config, sink Sink) (Result, error) {
	return start(ctx, cfg, sink, nil)
}

func start(ctx context.Context, cfg Config, sink Sink, sample func(seal.Key) bool) (Result, error) {
	began := time.Now()
	r := &run{
		cfg: cfg, objects: cfg.Objects, reader: tree.Open(cfg.Objects, cfg.Root), sink: sink, sample: sample,
		window: newWindow(), atWork: make(chan struct{}, windowsAtWork), groups: map[uint64]*group{},
	}
	if len(cfg.Select.Extensions) > 0 {
		r.match = tree.Extensions(cfg.Select.Extensions...)
	}
	r.ctx, r.cancel = context.WithCancelCause(ctx)
	defer r.cancel(nil)
	objects, bytes := r.objects.objects.Load(), r.objects.bytes.Load()

	quiet := r.report()
	err := r.plan()
	if err != nil {
		r.cancel(err)
	}
	r.wg.Wait()
	if cause := context.Cause(r.ctx); cause != nil {
		err = cause
	}
	err = errors.Join(err, sink.Close(err == nil))
	quiet()
	return Result{
		Files: r.files.Load(), Dirs: r.dirs.Load(), Others: r.others.Load(), Bytes: r.bytes.Load(), Skipped: r.skipped.Load(),
		Failures: r.failures, FailureCount: r.failed,
		Objects: r.objects.objects.Load() - objects, ReadBytes: r.objects.bytes.Load() - bytes, Duration: time.Since(began),
	}, err
}

// plan walks the selection and waits until all of it is restored.
func (r *run) plan() error {
	total, err := r.reader.Root(r.ctx)
	if err != nil {
		return err
	}
	r.mu.Lock()
	r.total = total
	r.mu.Unlock()
	r.stack = []*folder{{made: true, pending: 1}}
	paths := selection(r.cfg.Select.Paths)
	for _, path := range paths {
		met := false
		err := r.reader.Walk(r.ctx, path, func(e *tree.Entry) error {
			if !met {
				met = true
				if err := r.ancestors(path); err != nil {
					return err
				}
			}
			return r.entry(e)
		})
		if err != nil {
			return err
		}
		if !met && path != "" {
			r.fail(path, nil, fault.New(fault.NotFound, "it is not in this snapshot"))
		}
	}
	r.leave("")
	if err := r.dispatch(); err != nil {
		return err
	}
	r.wg.Wait()
	if err := r.leftOver(); err != nil {
		return err
	}
	if err := context.Cause(r.ctx); err != nil {
		return err
	}
	return r.account(len(paths) == 1 && paths[0] == "")
}

// account compares what was done with what the tree says that there is.
func (r *run) account(all bool) error {
	if all && (r.seen.Entries != r.total.Entries || r.seen.Files != r.total.Files || r.seen.Bytes != r.total.Bytes) {
		return fault.New(fault.Internal, "the snapshot says that it has %d entries, but %d were met", r.total.Entries, r.seen.Entries)
	}
	if done := r.files.Load() + r.skipped.Load() + r.lost; r.match == nil && done != r.seen.Files {
		return fault.New(fault.Internal, "of %d files only %d are accounted for", r.seen.Files, done)
	}
	return nil
}

// selection returns the paths to walk: clean, in order, none within another.
func selection(paths []string) []string {
	if len(paths) == 0 {
		return []string{""}
	}
	sorted := make([]string, len(paths))
	for i, p := range paths {
		sorted[i] = strings.Trim(p, "/")
	}
	slices.SortFunc(sorted, tree.Compare)
	list := sorted[:1]
	for _, p := range sorted[1:] {
		if !tree.Within(p, list[len(list)-1]) {
			list = append(list, p)
		}
	}
	return list
}

// ancestors enters the folders above a selected path, so that they get their metadata too.
func (r *run) ancestors(path string) error {
	for i := range path {
		if path[i] != '/' || r.onStack(path[:i]) {
			continue
		}
		e, err := r.reader.Get(r.ctx, path[:i])
		if errors.Is(err, fault.NotFound) {
			continue
		}
		if err != nil {
			return err
		}
		if e.Type == tree.Dir {
			r.enter(e.Path, e)
		}
	}
	return nil
}

// entry plans one entry. It is called in the tree's order.
func (r *run) entry(e *tree.Entry) error {
	r.seen.Entries++
	if e.Type == tree.File {
		r.seen.Files++
		r.seen.Bytes += e.Size
	}
	if e.Type == tree.Dir {
		f := r.enter(e.Path, e)
		if r.match == nil {
			r.make(f)
		}
		return context.Cause(r.ctx)
	}
	if r.match != nil && !r.match(e) {
		return nil
	}
	parent := ""
	if i := strings.LastIndexByte(e.Path, '/'); i >= 0 {
		parent = e.Path[:i]
	}
	f := r.enter(parent, nil)
	r.make(f)
	r.mu.Lock()
	f.pending++
	r.mu.Unlock()
	j := &file{run: r, entry: e, folder: f, left: 1}
	if err := r.join(j); err != nil {
		return err
	}
	return context.Cause(r.ctx)
}

// begin decides what becomes of a file whose content is to be restored, and asks for the content.
func (r *run) begin(j *file) error {
	switch verdict, err := r.place(j); {
	case err != nil:
		j.finish(err, false)
		return r.fatal(err)
	case verdict == leave:
		j.finish(nil, true)
		return nil
	}
	if j.entry.Type != tree.File {
		err := r.sink.Make(j.path, j.entry, j.replace)
		j.finish(err, false)
		return r.fatal(err)
	}
	var offset int64
	err := tree.Chunks(r.ctx, r.objects, j.entry, func(c tree.Chunk) error {
		at := offset
		offset += c.Size
		if c.Hole || r.sample != nil && !r.sample(c.Key) {
			r.doneBytes.Add(c.Size)
			return nil
		}
		r.window.add(c, j, at)
		if r.window.full() {
			return r.dispatch()
		}
		return nil
	})
	if err != nil {
		if whole := r.whole(err); whole != nil {
			return whole
		}
		j.fail(err)
	}
	return r.fatal(j.release())
}

// whole returns err if it is about more than one file.
func (r *run) whole(err error) error {
	if cause := context.Cause(r.ctx); cause != nil {
		return cause
	}
	if errors.Is(err, tree.ErrMalformed) || errors.Is(err, fault.ObjectsMissing) || local(err) {
		return nil
	}
	return err
}

// fatal returns err if it ends the restore: no other file would fare better.
func (r *run) fatal(err error) error {
	if errors.Is(err, fault.StorageFull) {
		r.cancel(err)
		return err
	}
	return context.Cause(r.ctx)
}

// dispatch sends the window to work and begins another. It waits while enough are at work.
func (r *run) dispatch() error {
	w := r.window
	if len(w.keys) == 0 {
		return context.Cause(r.ctx)
	}
	r.window = newWindow()
	select {
	case r.atWork <- struct{}{}:
	case <-r.ctx.Done():
		return context.Cause(r.ctx)
	}
	r.wg.Go(func() {
		defer func() { <-r.atWork }()
		err := r.objects.Read(r.ctx, w.keys, func(i int, plain []byte, err error) error { return w.deliver(r, i, plain, err) })
		if err != nil {
			r.cancel(err)
		}
	})
	return nil
}

// fail records that a path could not be restored. e is nil if it is not an entry.
func (r *run) fail(path string, e *tree.Entry, err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.failed++
	if e != nil && e.Type == tree.File {
		r.lost++
	}
	if len(r.failures) < MaxFailures {
		r.failures = append(r.failures, Failure{path, err})
	}
}

// report begins to call OnProgress, and returns what ends it.
func (r *run) report() (stop func()) {
	if r.cfg.OnProgress == nil {
		return func() {}
	}
	all := len(r.cfg.Select.Paths) == 0 && r.match == nil
	send := func() {
		r.mu.Lock()
		p := Progress{Files: r.done.Load(), Bytes: r.doneBytes.Load(), Failures: r.failed}
		if all {
			p.TotalFiles, p.TotalBytes = r.total.Files, r.total.Bytes
		}
		r.mu.Unlock()
		r.cfg.OnProgress(p)
	}
	end, ended := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(ended)
		tick := time.NewTicker(200 * time.Millisecond)
		defer tick.Stop()
		for {
			select {
			case <-tick.C:
				send()
			case <-end:
				send()
				return
			}
		}
	}()
	return func() { close(end); <-ended }
}
