package restore

import (
	"fmt"
	"strings"

	"github.com/holdfast-backup/holdfast/vault/tree"
	"github.com/holdfast-backup/holdfast/wire/fault"
)

// verdict is what becomes of a file.
type verdict int

const (
	write verdict = iota
	leave         // it is there already
)

// place decides what becomes of a file, given what is at its place, and sets j.path and j.replace.
func (r *run) place(j *file) (verdict, error) {
	if j.folder.err != nil {
		return leave, j.folder.err
	}
	j.path = join(j.folder.path, j.entry.Base())
	state, err := r.sink.Stat(j.path, j.entry)
	switch {
	case err != nil:
		return leave, err
	case state == Absent:
		return write, nil
	case state == Identical && r.cfg.Conflict != Overwrite:
		return leave, nil
	case r.cfg.Conflict == KeepBoth:
		j.path, state, err = r.beside(j.path, j.entry)
		if state == Identical {
			return leave, err
		}
		return write, err
	case state == Folder:
		return leave, fault.New(fault.Conflict, "a folder is in its place")
	case r.cfg.Conflict == Overwrite:
		j.replace = true
		return write, nil
	}
	return leave, fault.New(fault.Conflict, "something else is in its place: choose to overwrite it, or to keep both")
}

// maxName is how long a name may be everywhere.
const maxName = 255

// beside finds a name beside path that is free, or taken by what e describes.
func (r *run) beside(path string, e *tree.Entry) (string, State, error) {
	i := strings.LastIndexByte(path, '/') + 1
	dir, stem, ext := path[:i], path[i:], ""
	if dot := strings.LastIndexByte(stem, '.'); dot > 0 && e.Type != tree.Dir {
		stem, ext = stem[:dot], stem[dot:]
	}
	for n := 1; n < 1000; n++ {
		mark := " (restored)"
		if n > 1 {
			mark = fmt.Sprintf(" (restored %d)", n)
		}
		if len(mark)+len(ext) >= maxName {
			ext = ""
		}
		beside := dir + stem[:min(len(stem), maxName-len(mark)-len(ext))] + mark + ext
		state, err := r.sink.Stat(beside, e)
		if err != nil || state == Absent || state == Identical {
			return beside, state, err
		}
	}
	return "", Different, fault.New(fault.Conflict, "a thousand restored copies are beside it already")
}
