package restore

import (
	"fmt"
	"sync"

	"github.com/holdfast-backup/holdfast/vault/seal"
	"github.com/holdfast-backup/holdfast/vault/tree"
	"github.com/holdfast-backup/holdfast/wire/fault"
)

// file is an entry other than a folder, from when it was planned until it is done.
type file struct {
	run     *run
	entry   *tree.Entry
	folder  *folder
	path    string // where it goes: the entry's path, or one beside it
	replace bool
	group   *group // of hard links, which this file leads; nil if none

	mu   sync.Mutex
	left int   // pieces to come, and one while the planner is at it
	out  File  // once the first piece has come
	err  error // the first failure; later pieces are dropped
}

// use says where a piece goes.
type use struct {
	file   *file
	offset int64
	size   int64
	next   int32 // index of another use of the same piece, -1 if there is none
}

// window is a set of pieces that are read together, each once.
type window struct {
	keys  []seal.Key
	heads []int32 // of each key, its first use
	index map[seal.Key]int32
	uses  []use
	bytes int64
}

func newWindow() *window { return &window{index: map[seal.Key]int32{}} }

func (w *window) full() bool {
	return w.bytes >= windowBytes || len(w.keys) >= windowKeys || len(w.uses) >= 4*windowKeys
}

// add asks for a piece of j.
func (w *window) add(c tree.Chunk, j *file, offset int64) {
	j.mu.Lock()
	j.left++
	j.mu.Unlock()
	next := int32(-1)
	i, ok := w.index[c.Key]
	if ok {
		next = w.heads[i]
	} else {
		i = int32(len(w.keys))
		w.index[c.Key] = i
		w.keys = append(w.keys, c.Key)
		w.heads = append(w.heads, 0)
		w.bytes += c.Size
	}
	w.heads[i] = int32(len(w.uses))
	w.uses = append(w.uses, use{j, offset, c.Size, next})
}

// deliver hands a piece to every file that wants it.
func (w *window) deliver(r *run, i int, plain []byte, err error) error {
	for at := w.heads[i]; at >= 0; at = w.uses[at].next {
		u := &w.uses[at]
		switch {
		case err != nil:
			u.file.fail(err)
		case int64(len(plain)) != u.size:
			u.file.fail(fmt.Errorf("%w: a piece has %d bytes, the tree says %d", seal.ErrDamaged, len(plain), u.size))
		default:
			u.file.write(plain, u.offset)
		}
		if err := r.fatal(u.file.release()); err != nil {
			return err
		}
	}
	return nil
}

// open begins the file at the sink, unless that has been done.
func (j *file) open() (File, error) {
	j.mu.Lock()
	defer j.mu.Unlock()
	if j.out == nil && j.err == nil {
		j.out, j.err = j.run.sink.Create(j.path, j.entry, j.replace)
	}
	return j.out, j.err
}

func (j *file) write(plain []byte, offset int64) {
	out, err := j.open()
	if err != nil {
		return
	}
	if _, err := out.WriteAt(plain, offset); err != nil {
		j.fail(err)
	}
	j.run.doneBytes.Add(int64(len(plain)))
}

func (j *file) fail(err error) {
	j.mu.Lock()
	defer j.mu.Unlock()
	if j.err == nil {
		j.err = err
	}
}

// release says that a piece, or the planner, is done with the file. The last one commits it. The error is the
// file's, and has been recorded.
func (j *file) release() error {
	j.mu.Lock()
	j.left--
	last, err := j.left == 0, j.err
	j.mu.Unlock()
	if !last {
		if fault.KindOf(err) == fault.StorageFull {
			return err
		}
		return nil
	}
	// From here on the file is this goroutine's alone.
	if err == nil {
		_, err = j.open()
	}
	switch {
	case err == nil:
		err = j.out.Commit()
	case j.out != nil:
		j.out.Discard()
	}
	j.finish(err, false)
	return err
}

// finish records what came of the file.
func (j *file) finish(err error, skipped bool) {
	r := j.run
	switch {
	case err != nil:
		r.fail(j.entry.Path, j.entry, err)
	case j.entry.Type != tree.File:
		r.others.Add(1)
	case skipped:
		r.skipped.Add(1)
	default:
		r.files.Add(1)
		r.bytes.Add(j.entry.Size)
	}
	if j.entry.Type == tree.File {
		r.done.Add(1)
		if skipped {
			r.doneBytes.Add(j.entry.Size)
		}
	}
	if j.group != nil {
		r.settle(j, err)
	}
	r.release(j.folder)
}
