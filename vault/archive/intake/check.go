package intake

import (
	"bufio"
	"context"
	"crypto/sha256"
	"hash/crc32"
	"io"
	"path"
	"strings"

	"github.com/holdfast-backup/holdfast/vault/archive"
	"github.com/holdfast-backup/holdfast/vault/dump"
	"github.com/holdfast-backup/holdfast/vault/tree"
	"github.com/holdfast-backup/holdfast/wire/fault"
)

// entry is a file, a folder or a link: first as an archive has it, then as the tree will.
type entry struct {
	path   string
	typ    tree.Type
	mode   uint32
	mtime  int64
	link   string // of a symbolic link: its target; of a hard one: the path of the file
	hard   bool   // a hard link, until it is resolved
	size   int64  // of what is read
	stored int64  // of what lies in the archive
	crc    uint32
	pack   codec  // that what lies in the archive is unpacked with when it is read
	at     int64  // where its container finds it
	data   []byte // all of it, if it is not in the archive
	found  *found // in a file that may be one that the layout has a place for
}

// found is what a file turned out to be when it was read.
type found struct {
	pack     codec
	size     int64 // unpacked
	crc      uint32
	sum      [sha256.Size]byte
	format   dump.Format
	tables   []dump.Table
	told     told
	portable *portable
	manifest *archive.Manifest
	toc      bool  // of a dump in pg_dump's tar or directory format
	other    bool  // nothing that is known
	err      error // why it is not what it is called
}

// A container holds files.
type container interface {
	// opener returns a function that returns the stored content of a file of the list. They will be asked for in this order, until
	// ctx ends.
	opener(ctx context.Context, list []*entry) func(*entry) (io.ReadCloser, error)
}

// check reads a file once.
type check struct {
	ctx  context.Context
	o    *Options
	file *file
	read *counted // of the file

	list   []*entry
	total  int64 // bytes unpacked so far
	looked int   // files looked into
	buf    []byte
}

// maxLooked is how many files of an archive are looked into: a good one has three.
const maxLooked = 16

// role is what a file may be by its name and place.
type role uint8

const (
	noRole role = iota
	dumpRole
	portableRole
	manifestRole
	tocRole
)

// roleOf returns the role of a file at the top of an archive, or in a folder there.
func roleOf(p string) role {
	if strings.Count(p, "/") > 1 || tree.Within(p, archive.MediaDir) {
		return noRole
	}
	switch path.Base(p) {
	case archive.Portable:
		return portableRole
	case archive.Name:
		return manifestRole
	case "toc.dat":
		return tocRole
	}
	p = strings.ToLower(p)
	for _, c := range []codec{gzipped, zstdded} {
		p = strings.TrimSuffix(p, c.String())
	}
	switch path.Ext(p) {
	case ".sql", ".dump", ".pgdump", ".backup":
		return dumpRole
	}
	return noRole
}

// add takes an entry, with its path cleaned, and refuses one too many.
func (c *check) add(e *entry) error {
	if len(c.list) >= c.o.MaxEntries {
		return c.tooMany()
	}
	c.list = append(c.list, e)
	return nil
}

func (c *check) tooMany() error {
	return fault.New(fault.TooLarge, "%s holds more than %d entries: make an archive of less", c.quoted(), c.o.MaxEntries)
}

// grow counts n more bytes of content, and refuses what comes to be too much.
func (c *check) grow(n int64) error {
	if n > c.o.MaxBytes-c.total {
		return c.tooMuch()
	}
	if c.total += n; c.total > ratioFrom && c.total/maxRatio > c.file.size {
		return errBomb
	}
	return nil
}

func (c *check) tooMuch() error {
	return fault.New(fault.TooLarge, "%s unpacks to more than %d MiB, which is more than can be taken in: make an archive of less", c.quoted(), c.o.MaxBytes>>20)
}

// content reads what a file holds, to its end.
func (c *check) content(e *entry, r io.Reader, as role) error {
	s := &summed{c: c, r: r}
	if as != noRole {
		e.found = new(found)
		if c.looked++; c.looked > maxLooked {
			e.found.err = refuse("%s holds too many dumps: make an archive with one", c.quoted())
		} else {
			e.found.err = c.look(e, s, as)
		}
	}
	if _, err := io.CopyBuffer(io.Discard, onlyReader{s}, c.buffer()); err != nil {
		return err
	}
	e.size, e.stored, e.crc = s.n, s.n, s.crc
	if as == portableRole {
		e.found.size, e.found.crc = s.n, s.crc
	}
	return nil
}

// onlyReader hides all other methods.
type onlyReader struct{ io.Reader }

func (c *check) buffer() []byte {
	if c.buf == nil {
		c.buf = make([]byte, 128<<10)
	}
	return c.buf
}

// summed counts and sums what is read.
type summed struct {
	c   *check
	r   io.Reader
	n   int64
	crc uint32
	err error // for ever
}

func (s *summed) Read(p []byte) (int, error) {
	if s.err != nil {
		return 0, s.err
	}
	if s.err = context.Cause(s.c.ctx); s.err != nil {
		return 0, s.err
	}
	n, err := s.r.Read(p)
	s.n += int64(n)
	s.crc = crc32.Update(s.crc, crc32.IEEETable, p[:n])
	if grown := s.c.grow(int64(n)); grown != nil {
		err = grown
	}
	if s.c.o.Progress != nil {
		s.c.o.Progress(min(s.c.read.n, s.c.file.size), s.c.file.size)
	}
	s.err = err
	return n, err
}

// look finds out whether a file is what its name says. Its error is about the file only.
func (c *check) look(e *entry, s *summed, as role) error {
	name := short(e.path)
	switch as {
	case tocRole:
		head := make([]byte, 5)
		_, err := io.ReadFull(s, head)
		e.found.toc = string(head) == "PGDMP"
		return err
	case manifestRole:
		p, err := io.ReadAll(io.LimitReader(s, archive.MaxSize+1))
		if err == nil {
			e.found.manifest, err = archive.Decode(p)
		}
		return err
	case portableRole:
		e.found.portable = newPortable()
		if _, err := io.CopyBuffer(e.found.portable, onlyReader{s}, c.buffer()); err != nil {
			return damage(name, err)
		}
		return e.found.portable.close()
	}
	return c.dump(e.found, name, s)
}

// dump reads a dump, unpacked if it is packed.
func (c *check) dump(f *found, name string, s io.Reader) error {
	in := bufio.NewReaderSize(s, headSize)
	head, err := in.Peek(headSize)
	if err != nil && err != io.EOF {
		return damage(name, err)
	}
	f.pack = codecOf(recognise(head))
	up, err := unpack(f.pack, in, c.o.Window)
	if err != nil {
		return damage(name, err)
	}
	defer up.Close()
	in = bufio.NewReaderSize(up, headSize)
	if head, err = in.Peek(headSize); err != nil && err != io.EOF {
		return damage(name, err)
	}
	if len(head) == 0 {
		return refuse("%s is empty", name)
	}
	k := recognise(head)
	f.other = k == unknownKind
	if k == portableKind { // a lone one, whatever it is called
		f.portable = newPortable()
	} else if err := known(k, name); err != nil {
		return err
	}
	f.format = dump.Sniff(head)
	f.told = tell(head)
	sha := sha256.New()
	var to io.Writer = f.portable
	scanner := dump.NewScanner(f.format)
	if f.portable == nil {
		to = scanner
	}
	for buf := c.buffer(); ; {
		n, err := in.Read(buf)
		f.size += int64(n)
		f.crc = crc32.Update(f.crc, crc32.IEEETable, buf[:n])
		sha.Write(buf[:n])
		if _, err := to.Write(buf[:n]); err != nil {
			return err
		}
		if f.pack != plain {
			if err := c.grow(int64(n)); err != nil {
				return err
			}
		}
		if err == io.EOF {
			break
		}
		if err != nil {
			return damage(name, err)
		}
	}
	sha.Sum(f.sum[:0])
	if f.portable != nil {
		return f.portable.close()
	}
	f.tables = scanner.Tables()
	return scanner.Whole()
}

// told is what a dump says about its making; "" where it does not.
type told struct {
	version string // of the server
	tool    string
}

// tell reads what the dump programs write at the beginning.
func tell(head []byte) told {
	var t told
	for line := range strings.Lines(string(head[:min(len(head), 4<<10)])) {
		line = strings.ToValidUTF8(strings.TrimSpace(line), "?")
		if v, ok := strings.CutPrefix(line, "-- Dumped from database version "); ok {
			t.version = v
		} else if v, ok := strings.CutPrefix(line, "-- Dumped by pg_dump version "); ok {
			t.tool = "pg_dump " + v
		} else if v, ok := strings.CutPrefix(line, "-- Server version\t"); ok {
			t.version = v
		} else if _, v, ok := strings.Cut(line, "-- MySQL dump "); ok {
			t.tool = "mysqldump " + untilComma(v)
		} else if _, v, ok := strings.Cut(line, "-- MariaDB dump "); ok {
			t.tool = "mariadb-dump " + untilComma(v)
		}
	}
	return t
}

func untilComma(s string) string {
	s, _, _ = strings.Cut(s, ",")
	return strings.Join(strings.Fields(s), " ")
}
