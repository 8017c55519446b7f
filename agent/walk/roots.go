package walk

import (
	"errors"
	"maps"
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

// key is a clean absolute path as entries have it, for comparing: without regard to case where names have none.
func key(path string) string {
	k := strings.Join(split(path), "/")
	if foldNames {
		return strings.ToLower(k)
	}
	return k
}

// merge returns the roots clean and sorted, without those that lie in others.
func merge(roots []string) []string {
	paths := make([]string, len(roots))
	for i, r := range roots {
		paths[i] = filepath.Clean(r)
	}
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

// isExpected reports whether the last backup had a clean root, or one inside it.
func isExpected(root string, expected []string) bool {
	return slices.ContainsFunc(expected, func(e string) bool { return tree.Within(key(filepath.Clean(e)), key(root)) })
}

// absent reports whether a clean root does not exist, and nothing says that it should: a symbolic link on the way to it
// that leads nowhere does say so.
func absent(root string) bool {
	for path := root; ; path = filepath.Dir(path) {
		switch info, err := os.Lstat(path); {
		case err == nil && path == root:
			return false
		case err == nil && info.Mode()&os.ModeSymlink != 0:
			_, err := os.Stat(path)
			return err == nil
		case err == nil:
			return true
		case !errors.Is(err, os.ErrNotExist):
			return false
		case path == filepath.Dir(path): // a volume that is not there
			return true
		}
	}
}

// plan says what is wanted of a folder that leads to roots.
type plan struct {
	children map[string]*plan
	rules    []*rule // that have a root here: the entry, and what they take of everything below it
	err      error   // a root ended here: this component could not be read
}

// names returns the names of the children, in order.
func (p *plan) names() []string {
	if p == nil {
		return nil
	}
	return slices.Sorted(maps.Keys(p.children))
}

// failure returns why the component could not be read.
func (p *plan) failure() error {
	if p == nil {
		return nil
	}
	return p.err
}

// join returns the rules and those that have a root here: rules itself if there are no more.
func (p *plan) join(rules []*rule) []*rule {
	if p == nil {
		return rules
	}
	for _, r := range p.rules {
		if !slices.Contains(rules, r) {
			rules = append(slices.Clip(rules), r)
		}
	}
	return rules
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
	for _, r := range t.rules {
		for _, root := range r.roots {
			if err := top.resolve(root, r); err == nil {
				found = true
			} else if missing == nil {
				missing = err
			}
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

// resolve adds a root of a rule and the symbolic links on the way to it.
func (p *plan) resolve(root string, r *rule) error {
	rest := split(root)
	var done []string
	for links := 0; len(rest) > 0; {
		c := rest[0]
		rest = rest[1:]
		if c == ".." { // of a link's target; done has no links, so going up is dropping the last component
			done = done[:max(0, len(done)-1)]
			continue
		}
		if foldNames {
			c = spelled(done, c)
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
	if at := p.add(done); !slices.Contains(at.rules, r) {
		at.rules = append(at.rules, r)
	}
	return nil
}

// spelled returns a name as the folder itself spells it, where names have no case: the entries of two roots that are spelled
// differently must meet. What cannot be found out stays as it is.
func spelled(folder []string, name string) string {
	if vol := filepath.VolumeName(name); len(folder) == 0 && vol != "" {
		if len(vol) == len("C:") {
			return strings.ToUpper(vol)
		}
		return name
	}
	d, err := os.Open(join(folder))
	if err != nil {
		return name
	}
	defer d.Close()
	names, _ := d.Readdirnames(-1)
	return spelling(names, name)
}

// spelling returns the one of the names that is meant.
func spelling(names []string, name string) string {
	if !slices.Contains(names, name) {
		if i := slices.IndexFunc(names, func(n string) bool { return strings.EqualFold(n, name) }); i >= 0 {
			return names[i]
		}
	}
	return name
}
