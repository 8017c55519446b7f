package walk

import (
	"path/filepath"
	"strings"

	"github.com/holdfast-backup/holdfast/plan/pattern"
	"github.com/holdfast-backup/holdfast/vault/tree"
	"github.com/holdfast-backup/holdfast/wire/fault"
)

// rule is a [Rule] that was checked.
type rule struct {
	roots []string // that are there, or should be: clean, merged
	filter
	maxSize int64
}

// newRule checks a rule. Without roots, none of them is there.
func newRule(def Rule, expected []string) (*rule, error) {
	r := &rule{maxSize: def.MaxSize}
	for _, root := range def.Roots {
		if err := checkAbsolute(root); err != nil {
			return nil, err
		}
		if root = filepath.Clean(root); !def.Optional || isExpected(root, expected) || !absent(root) {
			r.roots = append(r.roots, root)
		}
	}
	r.roots = merge(r.roots)
	for _, text := range def.Exclude {
		p, err := pattern.Parse(filepath.ToSlash(text), foldNames)
		if err != nil {
			return nil, fault.Wrap(err, fault.Invalid, "%s", err)
		}
		if p != nil {
			r.patterns = append(r.patterns, p)
		}
	}
	for _, ext := range def.Extensions {
		ext = strings.ToLower(strings.TrimPrefix(strings.TrimSpace(ext), "*"))
		if strings.ContainsAny(ext, `/*?[\`) || strings.Trim(ext, ".") == "" {
			return nil, fault.New(fault.Invalid, "%q is not an extension: write it like .docx", ext)
		}
		r.exts = append(r.exts, "."+strings.TrimPrefix(ext, "."))
	}
	return r, nil
}

func checkAbsolute(path string) error {
	if !filepath.IsAbs(path) {
		return fault.New(fault.Invalid, "the path %q is relative: name it from the top of the file system", path)
	}
	return nil
}

// takes reports whether a rule takes an entry that is no folder. in is nil if nothing is known of it.
func (r *rule) takes(path, name string, in *info) bool {
	if in != nil && in.typ == tree.File && r.maxSize > 0 && in.size > r.maxSize {
		return false
	}
	return r.wanted(name) && !r.excluded(path, name, false)
}

// anyTakes reports whether one of the rules takes an entry that is no folder.
func anyTakes(rules []*rule, path, name string, in *info) bool {
	for _, r := range rules {
		if r.takes(path, name, in) {
			return true
		}
	}
	return false
}

// inFolder returns those of the rules that do not exclude a folder: rules itself if none does.
func inFolder(rules []*rule, path, name string) []*rule {
	for i, r := range rules {
		if !r.excluded(path, name, true) {
			continue
		}
		kept := append([]*rule(nil), rules[:i]...)
		for _, r := range rules[i+1:] {
			if !r.excluded(path, name, true) {
				kept = append(kept, r)
			}
		}
		return kept
	}
	return rules
}

// everyFile reports whether one of the rules has no extension filter, so that it keeps empty folders, too.
func everyFile(rules []*rule) bool {
	for _, r := range rules {
		if len(r.exts) == 0 {
			return true
		}
	}
	return false
}
