package intake

import (
	"strings"

	"github.com/holdfast-backup/holdfast/vault/tree"
)

// clean returns the path of an entry with that name, and "" for the top itself. It refuses every name that some system
// would take for a place elsewhere.
func clean(name string) (string, error) {
	q := short(name)
	switch {
	case strings.ContainsRune(name, 0):
		return "", refuse("the archive holds a name with a zero byte, %s: it was not made by a program that is to be trusted", q)
	case strings.ContainsRune(name, '\\'):
		return "", refuse("the archive holds the name %s, which has a backslash: make the archive with / between folders, or rename the file", q)
	case strings.HasPrefix(name, "/"):
		return "", refuse("the archive holds the absolute path %s: make it again from within the folder", q)
	case hasDrive(name):
		return "", refuse("the archive holds the path %s, which names a drive: make it again from within the folder", q)
	}
	var parts []string
	for part := range strings.SplitSeq(name, "/") {
		switch part {
		case "", ".":
		case "..":
			return "", refuse("the archive holds the path %s, which leads out of it: make it again from within the folder", q)
		default:
			parts = append(parts, part)
		}
	}
	path := strings.Join(parts, "/")
	if path == "" {
		return "", nil
	}
	return path, tree.CheckPath(path)
}

// hasDrive reports whether a name begins as C: does.
func hasDrive(name string) bool {
	return len(name) >= 2 && name[1] == ':' && name[0]|0x20 >= 'a' && name[0]|0x20 <= 'z'
}

// stays refuses a symbolic link at path that may lead out of root. It takes no target with ".." behind a name, for the name may be
// a link itself: so every ".." is of real folders, and can be counted.
func stays(root, path, target string) error {
	q, to := short(path), short(target)
	out := func() error {
		return refuse("the archive holds the link %s to %s, which leads out of it: leave it out, or make the archive with what it leads to (tar --dereference)", q, to)
	}
	if target == "" || strings.ContainsRune(target, 0) || len(target) > tree.MaxLink {
		return refuse("the archive holds the link %s without a proper target: leave it out", q)
	}
	if strings.HasPrefix(target, "/") || strings.ContainsRune(target, '\\') || hasDrive(target) {
		return out()
	}
	up := strings.Count(strings.TrimPrefix(path, root+"/"), "/") // folders that are left to climb
	named := false
	for part := range strings.SplitSeq(target, "/") {
		switch part {
		case "", ".":
		case "..":
			if up--; up < 0 || named {
				return out()
			}
		default:
			named = true
		}
	}
	return nil
}

// short quotes a name that may be long.
func short(name string) string {
	const most = 80
	if len(name) > most {
		name = name[:most] + "…"
	}
	return "“" + strings.ToValidUTF8(strings.Map(func(r rune) rune {
		if r < ' ' || r == 0x7f {
			return '?'
		}
		return r
	}, name), "?") + "”"
}

func (c *check) quoted() string { return short(c.file.name) }
