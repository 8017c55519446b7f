package backup

import (
	"errors"
	"io/fs"
	"slices"
	"sync"

	"github.com/holdfast-backup/holdfast/vault/manifest"
)

// problems collects what could not be read: all are counted, the first ones are listed.
type problems struct {
	mu   sync.Mutex
	n    int64
	list []manifest.Problem
}

func (p *problems) add(path string, cause Cause, text string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.n++
	if len(p.list) < manifest.MaxProblems {
		p.list = append(p.list, manifest.Problem{Path: path, Cause: string(cause), Text: text})
	}
}

func (p *problems) count() int64 {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.n
}

// all returns the list, by path, and the count.
func (p *problems) all() ([]manifest.Problem, int64) {
	p.mu.Lock()
	defer p.mu.Unlock()
	list := slices.Clone(p.list)
	sortProblems(list)
	return list, p.n
}

// Reason is what an error of a [Source] or [File] says, without the path that a list of problems has beside it.
func Reason(err error) string {
	var u *Unreadable
	if errors.As(err, &u) {
		err = u.Err
	}
	if p, ok := err.(*fs.PathError); ok {
		err = p.Err
	}
	return err.Error()
}

// CauseOf finds the word for an error of a [Source] or [File].
func CauseOf(err error) Cause {
	var u *Unreadable
	switch {
	case errors.As(err, &u):
		return u.Cause
	case errors.Is(err, fs.ErrPermission):
		return Permission
	case errors.Is(err, fs.ErrNotExist):
		return Vanished
	}
	return Other
}
