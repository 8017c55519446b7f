package restore

import (
	"fmt"
	"strings"

	"github.com/holdfast-backup/holdfast/vault/tree"
	"github.com/holdfast-backup/holdfast/wire/fault"
)

// folder is a folder of the tree that is not finished: the planner is in it, or something in it is still to be
// written. It gets its metadata when the last thing in it is done: writing into it would change its time, and
// could be forbidden by its mode. So there are never more folders in memory than the planner's depth and the
// windows at work account for.
type folder struct {
	own     string      // its path in the tree
	path    string      // where it goes
	entry   *tree.Entry // nil if the tree has none
	parent  *folder     // nil for the top
	made    bool
	err     error // why it could not be made: then nothing in it can
	pending int   // what is unfinished in it, and one while the planner is in it
}

// onStack reports whether the planner is in the folder at path.
func (r *run) onStack(path string) bool {
	for _, f := range r.stack {
		if f.own == path {
			return true
		}
	}
	return false
}

// enter moves the planner into the folder at path, leaving others. Folders above it that the tree does not
// have are taken to exist. e is the folder's entry, or nil if it was met before, or has none.
func (r *run) enter(path string, e *tree.Entry) *folder {
	r.leave(path)
	top := r.stack[len(r.stack)-1]
	for top.own != path {
		rest := path
		if top.own != "" {
			rest = path[len(top.own)+1:]
		}
		name, _, _ := strings.Cut(rest, "/")
		f := &folder{own: path[:len(path)-len(rest)+len(name)], parent: top, pending: 1}
		f.path = join(top.path, name)
		if f.own == path {
			f.entry = e
		}
		r.mu.Lock()
		top.pending++
		r.mu.Unlock()
		r.stack = append(r.stack, f)
		top = f
	}
	return top
}

// leave moves the planner up until path lies in the folder where it is; "" is the top.
func (r *run) leave(path string) {
	for len(r.stack) > 1 {
		top := r.stack[len(r.stack)-1]
		if path != "" && tree.Within(path, top.own) {
			return
		}
		r.stack = r.stack[:len(r.stack)-1]
		r.release(top)
	}
}

// make makes a folder and those above it. Where that fails, whatever is in it fails with it.
func (r *run) make(f *folder) {
	if f.made || f.err != nil {
		return
	}
	r.make(f.parent)
	f.path = join(f.parent.path, f.own[strings.LastIndexByte(f.own, '/')+1:])
	err := f.parent.err
	if err == nil {
		err = r.mkdir(f)
		if r.fatal(err) != nil {
			f.err = err
			return
		}
	}
	if err != nil {
		f.err = fmt.Errorf("its folder could not be made: %w", err)
		if f.entry != nil {
			r.fail(f.own, f.entry, err)
		}
		return
	}
	f.made = true
}

func (r *run) mkdir(f *folder) error {
	e := f.entry
	if e == nil {
		e = &tree.Entry{Path: f.own, Type: tree.Dir, Mode: 0o755}
	}
	state, err := r.sink.Stat(f.path, e)
	replace := false
	if err == nil && state != Absent && state != Folder {
		switch r.cfg.Conflict {
		case Overwrite:
			replace = true
		case KeepBoth:
			f.path, _, err = r.beside(f.path, e)
		default:
			err = fault.New(fault.Conflict, "something that is not a folder is in its place")
		}
	}
	if err != nil {
		return err
	}
	return r.sink.Mkdir(f.path, f.entry, replace)
}

// release says that something in f is done. The last one gives f its metadata.
func (r *run) release(f *folder) {
	for f != nil {
		r.mu.Lock()
		f.pending--
		last := f.pending == 0
		r.mu.Unlock()
		if !last {
			return
		}
		if f.made && f.entry != nil {
			if err := r.sink.FinishDir(f.path, f.entry); err != nil {
				r.fail(f.own, f.entry, err)
			} else {
				r.dirs.Add(1)
			}
		}
		f = f.parent
	}
}

func join(dir, name string) string {
	if dir == "" {
		return name
	}
	return dir + "/" + name
}
