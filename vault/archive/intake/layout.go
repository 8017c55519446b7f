package intake

import (
	"cmp"
	"encoding/hex"
	"path"
	"slices"
	"sort"
	"strings"
	"time"

	"github.com/holdfast-backup/holdfast/vault/archive"
	"github.com/holdfast-backup/holdfast/vault/dump"
	"github.com/holdfast-backup/holdfast/vault/tree"
)

// layout puts what was read where it belongs in the tree.
func (c *check) layout(kind string, from container) (*Import, error) {
	if err := c.sort(); err != nil {
		return nil, err
	}
	if err := c.resolve(); err != nil {
		return nil, err
	}
	p, err := c.pick()
	if err != nil {
		return nil, err
	}
	im := &Import{Kind: kind, file: c.file, from: from, window: c.o.Window}
	if err := p.fill(c, im); err != nil {
		return nil, err
	}
	if im.Manifest, err = p.manifest(c, im); err != nil {
		return nil, err
	}
	if im.encoded, err = im.Manifest.Encode(); err != nil {
		return nil, err
	}
	im.list = append(im.list, &entry{path: archive.Name, mode: 0o600, size: int64(len(im.encoded)), data: im.encoded, mtime: unixNano(im.Manifest.TakenAt)})
	im.list = complete(im.list)
	return im, nil
}

// complete sorts entries of the tree, and adds the folders that no archive has to name.
func complete(list []*entry) []*entry {
	seen := map[string]bool{}
	for _, e := range list {
		if e.typ == tree.Dir {
			seen[e.path] = true
		}
	}
	for _, e := range list {
		for dir := path.Dir(e.path); dir != "." && !seen[dir]; dir = path.Dir(dir) {
			seen[dir] = true
			list = append(list, &entry{path: dir, typ: tree.Dir, mode: 0o755})
		}
	}
	slices.SortFunc(list, func(a, b *entry) int { return tree.Compare(a.path, b.path) })
	return list
}

// sort puts the entries into the order of the tree, and sees whether they can be in one.
func (c *check) sort() error {
	slices.SortStableFunc(c.list, func(a, b *entry) int { return tree.Compare(a.path, b.path) })
	list := c.list[:0]
	var leaf *entry // the last one that is no folder
	for _, e := range c.list {
		if n := len(list); n > 0 && list[n-1].path == e.path {
			if list[n-1].typ == tree.Dir && e.typ == tree.Dir {
				continue // tar names a folder again when it adds to an archive
			}
			return refuse("%s holds two entries called %s: make the archive again, from an empty one", c.quoted(), short(e.path))
		}
		if leaf != nil && tree.Within(e.path, leaf.path) {
			return refuse("%s holds %s in %s, which is no folder: make the archive again", c.quoted(), short(e.path), short(leaf.path))
		}
		if e.typ != tree.Dir {
			leaf = e
		}
		list = append(list, e)
	}
	c.list = list
	return nil
}

// at returns the entry with that path, or nil.
func (c *check) at(path string) *entry {
	i := sort.Search(len(c.list), func(i int) bool { return tree.Compare(c.list[i].path, path) >= 0 })
	if i < len(c.list) && c.list[i].path == path {
		return c.list[i]
	}
	return nil
}

// maxHops is how many hard links may lead to one another.
const maxHops = 8

// resolve makes files of hard links.
func (c *check) resolve() error {
	var links []*entry // others may lead to them, until all are resolved
	for _, e := range c.list {
		if !e.hard {
			continue
		}
		to := e
		for hops := 0; to != nil && to.hard && hops < maxHops; hops++ {
			to = c.at(to.link)
		}
		if to == nil || to.hard || to.typ != tree.File {
			return refuse("%s holds the hard link %s to %s, which is no file in it: make the archive with all files", c.quoted(), short(e.path), short(e.link))
		}
		if err := c.grow(to.size); err != nil {
			return damage(c.quoted(), err)
		}
		e.size, e.stored, e.crc, e.at, e.found = to.size, to.stored, to.crc, to.at, to.found
		links = append(links, e)
	}
	for _, e := range links {
		e.hard, e.link = false, ""
	}
	return nil
}

// picked is what an archive has of the layout.
type picked struct {
	base                     string // the folder around all, with the slash behind it; "" if there is none
	dump, portable, exported *entry
	media                    string // the folder of the media; "" with all: everything is media
	all                      bool
}

// pick finds the parts of the layout: at the top, or in the one folder around all.
func (c *check) pick() (picked, error) {
	wrapper := c.wrapper()
	for _, base := range []string{"", wrapper} {
		p, found, err := c.parts(base)
		if err != nil || found {
			return p, err
		}
	}
	files := 0
	for _, e := range c.list {
		if e.typ != tree.Dir && !junk(e.path) {
			files++
		}
	}
	if files == 0 {
		return picked{}, refuse("%s holds no files", c.quoted())
	}
	return picked{base: wrapper, all: true, media: strings.TrimSuffix(wrapper, "/")}, nil
}

// junk reports whether a file is one that archivers and file managers add.
func junk(p string) bool {
	return tree.Within(p, "__MACOSX") || !strings.Contains(p, "/") && (p == ".DS_Store" || p == "Thumbs.db" || p == "desktop.ini" || strings.HasPrefix(p, "._"))
}

// wrapper returns the only folder at the top with its slash, or "".
func (c *check) wrapper() string {
	top := ""
	for _, e := range c.list {
		first, _, nested := strings.Cut(e.path, "/")
		switch {
		case junk(e.path):
		case !nested && e.typ != tree.Dir, top != "" && top != first+"/":
			return ""
		default:
			top = first + "/"
		}
	}
	return top
}

// parts finds the parts directly in a folder.
func (c *check) parts(base string) (p picked, found bool, err error) {
	p.base = base
	if toc := c.at(base + "toc.dat"); toc != nil && toc.found != nil && toc.found.toc {
		return p, false, refuse("%s is a dump in the tar or directory format of pg_dump: make it with --format=custom or --format=plain", c.quoted())
	}
	for _, e := range c.list {
		rel, ok := strings.CutPrefix(e.path, base)
		if !ok || strings.Contains(rel, "/") {
			continue
		}
		if rel == archive.MediaDir {
			if e.typ != tree.Dir {
				return p, false, refuse("%s: %s is no folder: make the archive with what it leads to", c.quoted(), short(e.path))
			}
			p.media = e.path
			continue
		}
		as := roleOf(e.path)
		if as == noRole || e.typ == tree.Dir {
			continue
		}
		if e.typ != tree.File || e.found == nil { // a hard link to what was not looked into
			return p, false, refuse("%s: %s is a link: make the archive with what it leads to", c.quoted(), short(e.path))
		}
		if as == tocRole || e.found.other && !strings.Contains(strings.ToLower(rel), ".sql") {
			continue
		}
		if e.found.err != nil {
			return p, false, e.found.err
		}
		if e.found.portable != nil {
			as = portableRole
		}
		to := map[role]**entry{dumpRole: &p.dump, portableRole: &p.portable, manifestRole: &p.exported}[as]
		if *to != nil {
			return p, false, refuse("%s holds several dumps, %s and %s: make an archive with one, and put what is no dump of the application into a folder media", c.quoted(), short((*to).path), short(e.path))
		}
		*to = e
	}
	if p.media == "" && c.inside(base+archive.MediaDir) {
		p.media = base + archive.MediaDir
	}
	return p, p.dump != nil || p.portable != nil || p.exported != nil || p.media != "", nil
}

// inside reports whether there is something in a folder.
func (c *check) inside(dir string) bool {
	i := sort.Search(len(c.list), func(i int) bool { return tree.Compare(c.list[i].path, dir) > 0 })
	return i < len(c.list) && tree.Within(c.list[i].path, dir)
}

// fill makes the entries of the tree, but for the manifest.
func (p *picked) fill(c *check, im *Import) error {
	roots := []string{archive.MediaDir}
	if p.exported != nil {
		roots = roots[:0]
		for i := range p.exported.found.manifest.Media {
			roots = append(roots, p.exported.found.manifest.Folder(i))
		}
	}
	for _, e := range c.list {
		switch {
		case e == p.dump || e == p.portable:
			im.list = append(im.list, e.unpacked(e == p.portable))
			continue
		case e == p.exported || junk(e.path):
			continue
		case !p.all && (p.media == "" || !tree.Within(e.path, p.media)):
			if e.typ == tree.Dir {
				continue
			}
			if im.LeftOut++; len(im.Left) < maxLeft {
				im.Left = append(im.Left, e.path)
			}
			continue
		}
		m := *e
		m.path = strings.TrimSuffix(archive.MediaDir+"/"+strings.TrimPrefix(strings.TrimPrefix(e.path, p.media), "/"), "/")
		if err := tree.CheckPath(m.path); err != nil {
			return err
		}
		root := ""
		for _, r := range roots {
			if tree.Within(m.path, r) {
				root = r
			}
		}
		if root == "" && m.path != archive.MediaDir {
			return refuse("%s: %s is in no media folder that %s lists: make the export again", c.quoted(), short(e.path), archive.Name)
		}
		if m.typ == tree.Symlink {
			if err := stays(root, m.path, m.link); err != nil {
				return err
			}
		}
		if m.typ == tree.File {
			im.Files++
			im.Bytes += m.size
		}
		im.list = append(im.list, &m)
	}
	im.Portable = p.portable != nil
	return nil
}

// unpacked returns the dump in e as it goes into the tree.
func (e *entry) unpacked(portable bool) *entry {
	n, f := *e, e.found
	n.pack, n.size, n.crc, n.mode = f.pack, f.size, f.crc, 0o600
	n.path = archive.Portable
	if !portable {
		n.path = (&archive.Dump{Format: f.format}).Path()
	}
	return &n
}

// manifest describes the import. An export's own is kept, if it is true.
func (p *picked) manifest(c *check, im *Import) (archive.Manifest, error) {
	m := archive.Manifest{Application: c.o.Application, TakenAt: archive.Clock(c.o.ModTime), Origin: archive.Import}
	media := p.all || p.media != ""
	if media {
		m.Part, m.Media = archive.Media, []archive.Folder{{}}
	}
	if d := cmp.Or(p.dump, p.portable); d != nil {
		m.Part = archive.Database
		if media {
			m.Part = archive.Full
		}
		if d.mtime != 0 {
			m.TakenAt = archive.Clock(time.Unix(0, d.mtime))
		}
	}
	if p.portable != nil {
		f := p.portable.found.portable
		m.Engine, m.EngineVersion, m.Tables = dump.Engine(f.engine), f.server, f.tables
	}
	if p.dump != nil {
		f := p.dump.found
		m.Engine, m.EngineVersion, m.Tool, m.Tables = f.format.Engine(), f.told.version, f.told.tool, f.tables
		m.Dump = &archive.Dump{Format: f.format, Bytes: f.size, SHA256: hex.EncodeToString(f.sum[:])}
	}
	if p.exported == nil {
		return m, nil
	}
	own := *p.exported.found.manifest
	own.Origin = archive.Import
	if c.at(p.base+archive.Lacking) != nil {
		return m, refuse("%s lacks files that could not be read when it was made, as %s in it says: export the backup again, or take that text out of the archive to take in what is there", c.quoted(), short(archive.Lacking))
	}
	switch {
	case own.Part != m.Part:
		return m, differs(c, "the part")
	case (own.Dump == nil) != (m.Dump == nil), own.Dump != nil && *own.Dump != *m.Dump:
		return m, differs(c, "the dump")
	case own.Engine != m.Engine:
		return m, differs(c, "the engine")
	case !slices.Equal(own.Tables, m.Tables):
		return m, differs(c, "the number of rows")
	}
	return own, nil
}

func differs(c *check, what string) error {
	return refuse("%s was changed after it was exported: %s is not what its %s says. Export the backup again, or take that file out of the archive", c.quoted(), what, archive.Name)
}

func unixNano(t time.Time) int64 {
	if y := t.Year(); y < 1900 || y > 2200 { // what 64 bits reach
		return 0
	}
	return t.UnixNano()
}
