package tree

import (
	"fmt"
	"math"
	"slices"
	"strings"

	"github.com/holdfast-backup/holdfast/vault/seal"
	"github.com/holdfast-backup/holdfast/wire/fault"
)

// CheckPath returns an error if path cannot be the path of an entry.
func CheckPath(path string) error { return checkTail(path, 0) }

// checkTail checks the components of path from the one that holds byte number from on; those before it are
// known to be sound.
func checkTail(path string, from int) error {
	if path == "" {
		return fault.New(fault.Invalid, "a path is empty")
	}
	if len(path) > MaxPath {
		return fault.New(fault.TooLarge, "a path has %d bytes, the limit is %d: it begins %q", len(path), MaxPath, path[:60])
	}
	start := strings.LastIndexByte(path[:min(from, len(path))], '/') + 1
	for i := start; i <= len(path); i++ {
		if i < len(path) && path[i] != '/' {
			if path[i] == 0 {
				return fault.New(fault.Invalid, "path %q holds a zero byte", path)
			}
			continue
		}
		switch name := path[start:i]; {
		case name == "" || name == "." || name == "..":
			return fault.New(fault.Invalid, "path %q has the component %q", path, name)
		case len(name) > MaxName:
			return fault.New(fault.TooLarge, "a name in path %q… has %d bytes, the limit is %d", path[:min(60, len(path))], len(name), MaxName)
		}
		start = i + 1
	}
	return nil
}

// check returns an error if e cannot be stored.
func (e *Entry) check() error {
	invalid := func(format string, args ...any) error {
		return fault.New(fault.Invalid, "%q: %s", e.Path, fmt.Sprintf(format, args...))
	}
	if e.Type > BlockDevice {
		return invalid("type %d is unknown", e.Type)
	}
	if e.Mode > 0o7777 {
		return invalid("mode %o has bits beyond 07777", e.Mode)
	}
	if e.Type == File {
		if err := e.checkContent(); err != nil {
			return err
		}
	} else if e.Size != 0 || len(e.Chunks) != 0 || e.ChunkCount != 0 || !e.Inline() {
		return invalid("a %s has no content", e.Type)
	}
	if (e.Type == Symlink) != (e.Link != "") {
		return invalid("a symbolic link, and nothing else, has a target")
	}
	if e.Type != CharDevice && e.Type != BlockDevice && e.Rdev != 0 {
		return invalid("a %s has no device number", e.Type)
	}
	if e.Type == Dir && e.HardLink != 0 {
		return invalid("a folder has no hard links")
	}
	if len(e.Link) > MaxLink {
		return fault.New(fault.TooLarge, "%q: the link's target has %d bytes, the limit is %d", e.Path, len(e.Link), MaxLink)
	}
	if len(e.User) > MaxOwner || len(e.Group) > MaxOwner {
		return fault.New(fault.TooLarge, "%q: the name of its user or group is longer than %d bytes", e.Path, MaxOwner)
	}
	return e.checkXattrs()
}

func (e *Entry) checkContent() error {
	if e.Size < 0 {
		return fault.New(fault.Invalid, "%q: a size of %d bytes", e.Path, e.Size)
	}
	if !e.Inline() {
		if len(e.Chunks) != 0 || e.ChunkCount <= InlineMax || e.Size < e.ChunkCount {
			return fault.New(fault.Invalid, "%q: a list of %d chunks for %d bytes, with %d more chunks", e.Path, e.ChunkCount, e.Size, len(e.Chunks))
		}
		return nil
	}
	if len(e.Chunks) > InlineMax {
		return fault.New(fault.Invalid, "%q: %d chunks do not go into an entry, the limit is %d", e.Path, len(e.Chunks), InlineMax)
	}
	var sum int64
	for i := range e.Chunks {
		c := &e.Chunks[i]
		if err := c.check(); err != nil {
			return fault.New(fault.Invalid, "%q: chunk %d: %v", e.Path, i, err)
		}
		if sum > math.MaxInt64-c.Size {
			return fault.New(fault.Invalid, "%q: its chunks are longer than any file", e.Path)
		}
		sum += c.Size
	}
	if sum != e.Size {
		return fault.New(fault.Invalid, "%q: chunks of %d bytes for a file of %d", e.Path, sum, e.Size)
	}
	return nil
}

func (c *Chunk) check() error {
	switch {
	case c.Size <= 0:
		return fmt.Errorf("%d bytes", c.Size)
	case c.Hole && c.Key != seal.Key{}:
		return fmt.Errorf("a hole with a key")
	case !c.Hole && c.Size > seal.MaxPlain:
		return fmt.Errorf("%d bytes, the limit is %d", c.Size, seal.MaxPlain)
	}
	return nil
}

func (e *Entry) checkXattrs() error {
	total := 0
	for i := range e.Xattrs {
		x := &e.Xattrs[i]
		if x.Name == "" || strings.IndexByte(x.Name, 0) >= 0 {
			return fault.New(fault.Invalid, "%q: an extended attribute is named %q", e.Path, x.Name)
		}
		if i > 0 && x.Name <= e.Xattrs[i-1].Name {
			return fault.New(fault.Invalid, "%q: extended attribute %q comes after %q", e.Path, x.Name, e.Xattrs[i-1].Name)
		}
		total += len(x.Name) + len(x.Value) + 10
	}
	if total > MaxXattrs {
		return fault.New(fault.TooLarge, "%q: its extended attributes have %d bytes, the limit is %d", e.Path, total, MaxXattrs)
	}
	return nil
}

// sortXattrs puts attributes into the order in which they are stored.
func sortXattrs(list []Xattr) []Xattr {
	less := func(a, b Xattr) int { return strings.Compare(a.Name, b.Name) }
	if slices.IsSortedFunc(list, less) {
		return list
	}
	list = slices.Clone(list)
	slices.SortFunc(list, less)
	return list
}
