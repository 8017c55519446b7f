package sink

import (
	"strings"
	"sync"

	"github.com/holdfast-backup/holdfast/vault/restore"
	"github.com/holdfast-backup/holdfast/vault/tree"
)

// Original returns a sink that puts files back where they were: the paths of a tree are those of a whole machine. A
// folder that exists keeps its metadata: somebody lives in it, and only what was in it is wanted back.
func Original(o Options) (restore.Sink, error) {
	s, err := whole(o)
	if err != nil {
		return nil, err
	}
	return &original{Sink: s, made: map[string]bool{}}, nil
}

// original remembers which folders it made.
type original struct {
	restore.Sink
	mu   sync.Mutex
	made map[string]bool // and did not finish yet
}

// Mkdir implements [restore.Sink].
func (s *original) Mkdir(path string, e *tree.Entry, replace bool) error {
	before, err := s.Sink.Stat(path, &tree.Entry{Path: path, Type: tree.Dir})
	if err != nil {
		return err
	}
	if err := s.Sink.Mkdir(path, e, replace); err != nil {
		return err
	}
	if before != restore.Folder {
		s.mu.Lock()
		s.made[path] = true
		s.mu.Unlock()
	}
	return nil
}

// FinishDir implements [restore.Sink].
func (s *original) FinishDir(path string, e *tree.Entry) error {
	s.mu.Lock()
	made := s.made[path]
	delete(s.made, path)
	s.mu.Unlock()
	if !made {
		return nil
	}
	return s.Sink.FinishDir(path, e)
}

// volumes is a sink of several: the first component of a path says which ("C:/Users/ada").
type volumes struct {
	open func(volume string) (restore.Sink, error)

	mu   sync.Mutex
	list map[string]restore.Sink
}

// in returns the sink of a path's volume and the rest of the path, "" for the volume itself.
func (s *volumes) in(path string) (restore.Sink, string, error) {
	if err := tree.CheckPath(path); err != nil {
		return nil, "", err
	}
	volume, rest, _ := strings.Cut(path, "/")
	s.mu.Lock()
	defer s.mu.Unlock()
	if v := s.list[volume]; v != nil {
		return v, rest, nil
	}
	v, err := s.open(volume)
	if err != nil {
		return nil, "", err
	}
	s.list[volume] = v
	return v, rest, nil
}

// Stat implements [restore.Sink].
func (s *volumes) Stat(path string, e *tree.Entry) (restore.State, error) {
	v, rest, err := s.in(path)
	switch {
	case err != nil:
		return restore.Different, err
	case rest == "":
		return restore.Folder, nil
	}
	return v.Stat(rest, e)
}

// Mkdir implements [restore.Sink].
func (s *volumes) Mkdir(path string, e *tree.Entry, replace bool) error {
	v, rest, err := s.in(path)
	if err != nil || rest == "" {
		return err
	}
	return v.Mkdir(rest, e, replace)
}

// FinishDir implements [restore.Sink].
func (s *volumes) FinishDir(path string, e *tree.Entry) error {
	v, rest, err := s.in(path)
	if err != nil || rest == "" {
		return err
	}
	return v.FinishDir(rest, e)
}

// Create implements [restore.Sink].
func (s *volumes) Create(path string, e *tree.Entry, replace bool) (restore.File, error) {
	v, rest, err := s.in(path)
	if err != nil {
		return nil, err
	}
	return v.Create(rest, e, replace)
}

// Make implements [restore.Sink].
func (s *volumes) Make(path string, e *tree.Entry, replace bool) error {
	v, rest, err := s.in(path)
	if err != nil {
		return err
	}
	return v.Make(rest, e, replace)
}

// Link implements [restore.Sink]. Names of one file are of one volume: where they are not, the system says so.
func (s *volumes) Link(path, old string, e *tree.Entry, replace bool) error {
	v, rest, err := s.in(path)
	if err != nil {
		return err
	}
	_, from, _ := strings.Cut(old, "/")
	return v.Link(rest, from, e, replace)
}

// Close implements [restore.Sink].
func (s *volumes) Close(ok bool) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	var first error
	for _, v := range s.list {
		if err := v.Close(ok); err != nil && first == nil {
			first = err
		}
	}
	return first
}
