package walk

import (
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/holdfast-backup/holdfast/vault/tree"
	"github.com/holdfast-backup/holdfast/wire/fault"
)

// split returns the components of a clean absolute path. A volume ("C:", `\\server\share`) is one.
func split(path string) []string {
	vol := filepath.VolumeName(path)
	rest := strings.Split(filepath.ToSlash(path[len(vol):]), "/")
	rest = slices.DeleteFunc(rest, func(s string) bool { return s == "" || s == "." })
	if vol != "" {
		return append([]string{vol}, rest...)
	}
	return rest
}

// join is the inverse of split.
func join(components []string) string {
	if len(components) > 0 && filepath.VolumeName(components[0]) != "" {
		return components[0] + string(filepath.Separator) + filepath.Join(components[1:]...)
	}
	return string(filepath.Separator) + filepath.Join(components...)
}

// merge returns the roots clean and sorted, without those that lie in others.
func merge(roots []string) []string {
	paths := make([]string, len(roots))
	for i, r := range roots {
		paths[i] = filepath.Clean(r)
	}
	key := func(p string) string { return strings.Join(split(p), "/") }
	slices.SortFunc(paths, func(a, b string) int { return tree.Compare(key(a), key(b)) })
	var kept []string
	for _, p := range paths {
		if n := len(kept); n > 0 && tree.Within(key(p), key(kept[n-1])) {
			continue
		}
		kept = append(kept, p)
	}
	return kept
}

// plan says what is wanted of a folder that leads to roots.
type plan struct {
	children map[string]*plan
	whole    bool  // a root: the entry and everything below it
	err      error // a root ended here: this component could not be read
}

// add inserts a path and returns its plan.
func (p *plan) add(components []string) *plan {
	for _, c := range components {
		if p.children == nil {
			p.children = map[string]*plan{}
		}
		if p.children[c] == nil {
			p.children[c] = &plan{}
		}
		p = p.children[c]
	}
	return p
}

// plan resolves the roots. If not one of them exists, that is an error.
func (t *Tree) plan() (*plan, error) {
	top := &plan{}
	var missing error
	found := false
	for _, root := range t.roots {
		if err := top.resolve(root); err == nil {
			found = true
		} else if missing == nil {
			missing = err
		}
	}
	switch {
	case found:
		return top, nil
	case errors.Is(missing, os.ErrPermission):
		return nil, fault.Wrap(missing, fault.Forbidden, "nothing can be backed up: %s cannot be read by this user", t.roots[0])
	case len(t.roots) == 1:
		return nil, fault.Wrap(missing, fault.NotFound, "nothing can be backed up: %s does not exist", t.roots[0])
	}
	return nil, fault.Wrap(missing, fault.NotFound, "nothing can be backed up: not one of the %d folders exists", len(t.roots))
}

// resolve adds a root and the symbolic links on the way to it.
func (p *plan) resolve(root string) error {
	rest := split(root)
	var done []string
	for links := 0; len(rest) > 0; {
		c := rest[0]
		rest = rest[1:]
		if c == ".." { // of a link's target; done has no links, so going up is dropping the last component
			done = done[:max(0, len(done)-1)]
			continue
		}
		done = append(done, c)
		info, err := os.Lstat(join(done))
		if err == nil && info.Mode()&os.ModeSymlink != 0 {
			var target string
			p.add(done)
			if links++; links > 40 {
				err = errors.New("too many symbolic links")
			} else if target, err = os.Readlink(join(done)); err == nil {
				rest = append(split(target), rest...)
				if filepath.IsAbs(target) {
					done = nil
				} else {
					done = done[:len(done)-1]
				}
				continue
			}
		}
		if err != nil {
			p.add(done).err = err
			return err
		}
		done = slices.Clip(done)
	}
	p.add(done).whole = true
	return nil
}
