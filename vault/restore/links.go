package restore

import (
	"context"

	"github.com/holdfast-backup/holdfast/wire/fault"
)

// group is a set of hard links: entries that are one file. The first of them that is met leads: it is restored
// as a file; the others are linked to it once it is there.
type group struct {
	leader  *file
	done    bool
	waiting []*file
}

// join begins a file, or makes it wait for the one that it is linked with.
func (r *run) join(j *file) error {
	n := j.entry.HardLink
	if n == 0 {
		return r.begin(j)
	}
	r.mu.Lock()
	g := r.groups[n]
	switch {
	case g == nil:
		g = &group{leader: j}
		r.groups[n] = g
	case g.done:
	default:
		g.waiting = append(g.waiting, j)
		r.mu.Unlock()
		return nil
	}
	r.mu.Unlock()
	if g.leader != j {
		return r.link(j, g.leader)
	}
	j.group = g
	return r.begin(j)
}

// settle is called when the leader of a group is done. If it failed, another takes its place: perhaps only
// its name was wrong for this disk.
func (r *run) settle(j *file, err error) {
	g := j.group
	r.mu.Lock()
	waiting := g.waiting
	g.waiting = nil
	if err == nil {
		g.done = true
	} else {
		delete(r.groups, j.entry.HardLink)
		r.again = append(r.again, waiting...)
	}
	r.mu.Unlock()
	if err == nil {
		for _, w := range waiting {
			if r.link(w, j) != nil {
				return
			}
		}
	}
}

// link makes j another name of leader.
func (r *run) link(j, leader *file) error {
	verdict, err := r.place(j)
	if err == nil && verdict == write {
		err = r.sink.Link(j.path, leader.path, j.entry, j.replace)
		if err == nil {
			r.doneBytes.Add(j.entry.Size)
		}
	}
	if j.entry.Type != leader.entry.Type || j.entry.Size != leader.entry.Size {
		err = fault.New(fault.Internal, "the snapshot says that it is one file with %q, which is different", leader.entry.Path)
	}
	j.finish(err, verdict == leave)
	return r.fatal(err)
}

// leftOver restores files whose leaders failed.
func (r *run) leftOver() error {
	for {
		r.mu.Lock()
		list := r.again
		r.again = nil
		r.mu.Unlock()
		if len(list) == 0 {
			return context.Cause(r.ctx)
		}
		for _, j := range list {
			if err := r.join(j); err != nil {
				return err
			}
		}
		if err := r.dispatch(); err != nil {
			return err
		}
		r.wg.Wait()
	}
}
