package intake

import (
	"archive/tar"
	"archive/zip"
	"bytes"
	"compress/flate"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"strings"
	"testing"
	"unicode/utf16"

	"github.com/klauspost/compress/zstd"
)

func TestFilesThatAreNoneToTake(t *testing.T) {
	t.Parallel()
	var utf16text []byte
	for _, u := range utf16.Encode([]rune("\ufeff" + postgresDump)) {
		utf16text = binary.LittleEndian.AppendUint16(utf16text, u)
	}
	for what, c := range map[string]struct{ text, word string }{
		"nothing":                    {"", "is empty"},
		"a PDF":                      {"%PDF-1.7\n%âãÏÓ\n", "none of the files"},
		"SQL that no program writes": {"select 1;\n", "none of the files"},
		"zeros":                      {strings.Repeat("\x00", 5000), "none of the files"},
		"a database of SQLite":       {"SQLite format 3\x00" + strings.Repeat("\x00", 1000), "sqlite3 FILE .dump"},
		"UTF-16":                     {string(utf16text), "UTF-16"},
		"bzip2":                      {"BZh91AY&SY", "bzip2"},
		"xz":                         {"\xfd7zXZ\x00\x00", "xz"},
		"7z":                         {"7z\xbc\xaf\x27\x1c\x00", "7z"},
		"RAR":                        {"Rar!\x1a\x07\x01\x00", "RAR"},
		"age":                        {"age-encryption.org/v1\n", "decrypt"},
		"PGP":                        {"-----BEGIN PGP MESSAGE-----\n", "decrypt"},
		"a part of a ZIP":            {"PK\x07\x08PK\x03\x04", "several parts"},
		"an empty ZIP":               {"PK\x05\x06" + strings.Repeat("\x00", 18), "empty archive"},
		"an empty tar":               {string(tarOf(t, thing{name: "./"})), "empty archive"},
		"a tar of folders":           {string(tarOf(t, thing{name: "a/"})), "holds no files"},
		"a dump that is cut off":     {postgresDump[:len(postgresDump)-40], "breaks off"},
		"one of MariaDB":             {mysqlDump[:len(mysqlDump)-20], "breaks off"},
		"one of SQLite":              {sqliteDump[:len(sqliteDump)-9], "breaks off"},
		"a portable one":             {portableDump[:len(portableDump)-4], "cut off"},
		"gzip of nothing":            {string(gz(t, nil)), "holds nothing"},
		"gzip of a PDF":              {string(gz(t, []byte("%PDF-1.7"))), "none of the files"},
		"gzip in gzip":               {string(gz(t, gz(t, []byte(postgresDump)))), "packed twice"},
		"a ZIP in zstd":              {string(zst(t, zipOf(t, every...))), "packed twice"},
		"half a header of gzip":      {"\x1f\x8b\x08", "cut off"},
		"a broken one":               {"\x1f\x8b\x09\x00\x00\x00\x00\x00\x00\x00", "damaged"},
		"something behind gzip":      {string(gz(t, []byte(postgresDump))) + "and more than ten bytes", "damaged"},
		"zstd of a reserved kind":    {"\x28\xb5\x2f\xfd\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff", ""},
	} {
		refused(t, what, []byte(c.text), Options{}, c.word)
	}
}

func TestArchivesThatAreRefused(t *testing.T) {
	t.Parallel()
	for what, c := range map[string]struct {
		word   string
		things []thing
	}{
		"a path that climbs":       {"leads out", []thing{{name: "media/../../etc/passwd", text: "x"}}},
		"an absolute path":         {"absolute path", []thing{{name: "/etc/passwd", text: "x"}}},
		"a drive":                  {"names a drive", []thing{{name: "C:/Windows/x", text: "x"}}},
		"a backslash":              {"backslash", []thing{{name: `..\..\x`, text: "x"}}},
		"a long name":              {"limit", []thing{{name: strings.Repeat("x", 1100), text: "x"}}},
		"a long path":              {"limit", []thing{{name: "media/" + strings.Repeat("abcdefghi/", 3276) + "xy", text: "x"}}},
		"a link that climbs":       {"leads out", []thing{{name: "media/l", typ: tar.TypeSymlink, link: "../x"}}},
		"one to a deep place":      {"leads out", []thing{{name: "media/a/b/l", typ: tar.TypeSymlink, link: "../../../x"}}},
		"one through a link":       {"leads out", []thing{{name: "media/a/b/l", typ: tar.TypeSymlink, link: "m/../x"}, {name: "media/a/b/m", typ: tar.TypeSymlink, link: "../.."}}},
		"an absolute link":         {"leads out", []thing{{name: "media/l", typ: tar.TypeSymlink, link: "/etc"}}},
		"a link to a drive":        {"leads out", []thing{{name: "media/l", typ: tar.TypeSymlink, link: "c:x"}}},
		"a link with a backslash":  {"leads out", []thing{{name: "media/l", typ: tar.TypeSymlink, link: `..\x`}}},
		"a link to nothing":        {"proper target", []thing{{name: "media/l", typ: tar.TypeSymlink, link: ""}}},
		"a file under a link":      {"no folder", []thing{{name: "media/l", typ: tar.TypeSymlink, link: "x"}, {name: "media/l/x", text: "x"}}},
		"a file under a file":      {"no folder", []thing{{name: "media/f", text: "x"}, {name: "media/f/x", text: "x"}}},
		"two of one name":          {"two entries", []thing{{name: "media/f", text: "x"}, {name: "./media//f", text: "y"}}},
		"a pipe":                   {"device or pipe", []thing{{name: "media/p", typ: tar.TypeFifo}}},
		"two dumps":                {"several dumps", []thing{{name: "a.sql", text: sqliteDump}, {name: "b.sql", text: sqliteDump}}},
		"an .sql that is none":     {"none of the files", []thing{{name: "database.sql", text: "hello"}}},
		"an empty one":             {"is empty", []thing{{name: "database.sql", text: ""}}},
		"one that breaks off":      {"breaks off", []thing{{name: "database.sql", text: postgresDump[:250]}}},
		"a packed one that does":   {"cut off", []thing{{name: "database.sql.gz", text: string(gz(t, []byte(postgresDump)))[:100]}}},
		"half a header":            {"cut off", []thing{{name: "database.sql.gz", text: "\x1f\x8b\x08"}}},
		"one that is damaged":      {"damaged", []thing{{name: "database.sql.gz", text: string(gz(t, []byte(postgresDump))[:8]) + strings.Repeat("\xff", 300)}}},
		"a dump that is a link":    {"is a link", []thing{{name: "database.sql", typ: tar.TypeSymlink, link: "x.sql"}, {name: "media/a", text: "x"}}},
		"media that is a link":     {"is no folder", []thing{{name: "media", typ: tar.TypeSymlink, link: "x"}, {name: "database.sql", text: sqliteDump}}},
		"pg_dump's tar format":     {"--format=custom", []thing{{name: "toc.dat", text: "PGDMP\x01"}, {name: "restore.sql", text: "--"}}},
		"its directory, in a tar":  {"--format=custom", []thing{{name: "dump/toc.dat", text: "PGDMP\x01"}, {name: "dump/1.dat.gz", text: "x"}}},
		"only what archivers add":  {"holds no files", []thing{{name: "__MACOSX/x", text: "x"}, {name: ".DS_Store", text: "x"}}},
		"a lot of dumps":           {"several dumps", manyDumps(30)},
		"a path too long in media": {"limit", []thing{{name: strings.Repeat("abcdefghi/", 3276) + "xy", text: "x"}, {name: "b", text: "y"}}},
	} {
		refused(t, what+" in a ZIP", zipOf(t, c.things...), Options{}, c.word)
		raw := tarOf(t, c.things...)
		refused(t, what+" in a tar", raw, Options{}, c.word)
		refused(t, what+" in a tar.gz", gz(t, raw), Options{}, c.word)
	}
	zero := zipOf(t, thing{name: "a\x00b", text: "x"})
	refused(t, "a zero byte", zero, Options{}, "zero byte")
	refused(t, "a hard link to nothing", tarOf(t, thing{name: "media/a", typ: tar.TypeLink, link: "media/b"}), Options{}, "no file in it")
	refused(t, "one to a folder", tarOf(t, thing{name: "media/b/"}, thing{name: "media/a", typ: tar.TypeLink, link: "media/b"}), Options{}, "no file in it")
	refused(t, "two in a circle", tarOf(t, thing{name: "a", typ: tar.TypeLink, link: "b"}, thing{name: "b", typ: tar.TypeLink, link: "a"}), Options{}, "no file in it")
	refused(t, "one that climbs", tarOf(t, thing{name: "a", typ: tar.TypeLink, link: "../b"}), Options{}, "leads out")
	refused(t, "a device", tarOf(t, thing{name: "a", typ: tar.TypeBlock}), Options{}, "device")
	refused(t, "an unknown kind", tarOf(t, thing{name: "a", typ: 'Z'}), Options{}, "unknown kind")
	refused(t, "a folder with content", zipOf(t, thing{name: "a", typ: tar.TypeSymlink, link: strings.Repeat("x", 1<<18)}), Options{}, "with content")
}

func manyDumps(n int) []thing {
	list := make([]thing, n)
	for i := range list {
		list[i] = thing{name: fmt.Sprintf("%02d.sql", i), text: sqliteDump}
	}
	return list
}

// Wherever a file is cut off, it is refused; and so is nearly every file of which a byte is another one.
func TestDamage(t *testing.T) {
	t.Parallel()
	raw := tarOf(t, every[:5]...)
	for kind, p := range map[string][]byte{
		"sql.gz": gz(t, []byte(postgresDump)), "sql.zst": zst(t, []byte(postgresDump)), "zip": zipOf(t, every[:5]...), "tar": raw, "tar.gz": gz(t, raw), "tar.zst": zst(t, raw),
	} {
		end := len(p)
		if kind == "tar" {
			end -= 1024 // it may lack the second block of zeros; the first must be there
			if _, err := take(t, p[:end+512], Options{}); err != nil {
				t.Errorf("a tar with one block at its end: %v", err)
			}
		}
		for n := 0; n <= end; n += 1 + end/150 {
			if _, err := take(t, p[:min(n, end-1)], Options{}); err == nil {
				t.Fatalf("%s: %d of %d bytes are taken", kind, min(n, end-1), len(p))
			}
		}
		if kind == "tar" {
			continue // it has no sums
		}
		for at := 0; at < len(p); at += 1 + len(p)/150 {
			bad := bytes.Clone(p)
			bad[at] ^= 0x55
			im, err := take(t, bad, Options{})
			if err != nil {
				continue
			}
			if got := contents(t, im); got["database.sql"] != "" && got["database.sql"] != postgresDump { // a time, say, has no sum
				t.Fatalf("%s: with byte %d changed: %q", kind, at, got)
			}
		}
	}
	bad := gz(t, tarOf(t, media(5, 200<<10)...))
	bad[len(bad)-5] ^= 1
	refused(t, "a tar.gz with a bad sum", bad, Options{}, "damaged")
	refused(t, "a tar with something behind it", append(bytes.Clone(raw), raw...), Options{}, "behind its end")
	refused(t, "a ZIP with something behind it", append(zipOf(t, every...), 'x'), Options{})
	refused(t, "a ZIP with something before it", append([]byte("PK\x03\x04"), zipOf(t, every...)...), Options{}, "before or behind")
	bad = bytes.Clone(raw)
	bad[512+100] ^= 1
	refused(t, "a tar with a bad header", bad, Options{}, "damaged")
}

func TestEncryptedAndUnknownMethods(t *testing.T) {
	t.Parallel()
	p := zipOf(t, thing{name: "database.sql", text: postgresDump})
	at := bytes.Index(p, []byte("PK\x01\x02"))
	encrypted := bytes.Clone(p)
	encrypted[at+8] |= 1
	refused(t, "an encrypted ZIP", encrypted, Options{}, "is encrypted")
	for _, method := range []byte{12, 14, 93, 99} {
		other := bytes.Clone(p)
		other[at+10] = method
		word := "cannot be read here"
		if method == 99 {
			word = "is encrypted"
		}
		refused(t, fmt.Sprint("method ", method), other, Options{}, word)
	}
	other := bytes.Clone(p) // which has no room for a size of 64 bits
	copy(other[at+20:], "\xff\xff\xff\xff")
	refused(t, "a size that is not there", other, Options{}, "damaged")
	lying := bytes.Clone(p) // about the size of what is unpacked
	binary.LittleEndian.PutUint32(lying[at+24:], uint32(len(postgresDump)-7))
	refused(t, "a file that is longer than it says", lying, Options{}, "database.sql")
	binary.LittleEndian.PutUint32(lying[at+24:], uint32(len(postgresDump)+7))
	refused(t, "a file that is shorter", lying, Options{}, "database.sql")
	parts := bytes.Clone(p)
	parts[len(parts)-18] = 1
	refused(t, "one of several parts", parts, Options{}, "several parts")
}

// overlapping is a ZIP of n entries that are all the same bytes.
func overlapping(n int) []byte {
	var file, dir bytes.Buffer
	kernel := bytes.Repeat([]byte("x"), 1000)
	header := func(w *bytes.Buffer, sig string, name string, central bool) {
		le := binary.LittleEndian
		w.WriteString(sig)
		var h []byte
		if central {
			h = le.AppendUint16(h, 20)
		}
		h = le.AppendUint16(h, 20)
		h = append(h, make([]byte, 8)...) // flags, method, time
		h = le.AppendUint32(h, crc32.ChecksumIEEE(kernel))
		h = le.AppendUint32(h, 1000)
		h = le.AppendUint32(h, 1000)
		h = le.AppendUint16(h, uint16(len(name)))
		h = le.AppendUint16(h, 0)
		if central {
			h = append(h, make([]byte, 14)...) // comment, disk, attributes, offset 0
		}
		w.Write(h)
		w.WriteString(name)
	}
	header(&file, "PK\x03\x04", "0000", false)
	file.Write(kernel)
	for i := range n {
		header(&dir, "PK\x01\x02", fmt.Sprintf("%04d", i), true)
	}
	start, length := file.Len(), dir.Len()
	file.Write(dir.Bytes())
	end := append([]byte("PK\x05\x06"), make([]byte, 18)...)
	binary.LittleEndian.PutUint16(end[8:], uint16(n))
	binary.LittleEndian.PutUint16(end[10:], uint16(n))
	binary.LittleEndian.PutUint32(end[12:], uint32(length))
	binary.LittleEndian.PutUint32(end[16:], uint32(start))
	file.Write(end)
	return file.Bytes()
}

func TestEntriesThatShareBytes(t *testing.T) {
	t.Parallel()
	if _, err := take(t, overlapping(1), Options{}); err != nil {
		t.Fatal(err)
	}
	refused(t, "entries that share bytes", overlapping(2), Options{}, "share their bytes")
	p := overlapping(1) // its bytes go on to behind the file
	at := bytes.Index(p, []byte("PK\x01\x02"))
	binary.LittleEndian.PutUint32(p[at+20:], 1<<20)
	refused(t, "an entry beyond the end", p, Options{}, "cut off")
}

// TestDirectories lies about the directory of a ZIP in every field of its end.
func TestDirectories(t *testing.T) {
	t.Parallel()
	p := zipOf(t, every...)
	end := len(p) - 22
	for at := 4; at < 20; at++ {
		for _, v := range []byte{0x01, 0x0f, 0x7f, 0xff} {
			bad := bytes.Clone(p)
			bad[end+at] ^= v
			im, err := take(t, bad, Options{})
			if err == nil && (at < 6 || at > 9) { // which say in which of several parts it is
				t.Errorf("byte %d ^ %x: taken: %+v", at, v, im)
			}
		}
	}
	for _, at := range []int{8, 12, 16} { // to be found in a ZIP64 directory, which is not there
		bad := bytes.Clone(p)
		copy(bad[end+at:], "\xff\xff\xff\xff")
		refused(t, "no ZIP64", bad, Options{}, "damaged")
	}
	refused(t, "no room for ZIP64", []byte("PK\x05\x06\x00\x00\x00\x00\x00\x00\x00\x00\xff\xff\xff\xff\x00\x00\x00\x00\x00\x00"), Options{}, "damaged")
	sig := bytes.Index(p, []byte("PK\x01\x02"))
	bad := bytes.Clone(p)
	bad[sig+1] = 'X'
	refused(t, "no header in the directory", bad, Options{}, "damaged")
	bad = bytes.Clone(p)
	binary.LittleEndian.PutUint16(bad[sig+30:], 60_000)
	refused(t, "a header that goes on behind its end", bad, Options{}, "cut off")
}

// big64 is a ZIP of so many small files that it needs ZIP64.
func TestManyEntries(t *testing.T) {
	t.Parallel()
	var b bytes.Buffer
	w := zip.NewWriter(&b)
	for i := range 70_000 {
		f, err := w.CreateHeader(&zip.FileHeader{Name: fmt.Sprintf("%d/%d", i%100, i)})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := f.Write([]byte{byte(i)}); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	if im := taken(t, b.Bytes()); im.Files != 70_000 {
		t.Errorf("%d files", im.Files)
	}
	refused(t, "too many in a ZIP", b.Bytes(), Options{MaxEntries: 69_999}, "more than 69999 entries")
	refused(t, "too many in a tar", tarOf(t, every...), Options{MaxEntries: 3}, "more than 3 entries")
	locator := bytes.LastIndex(b.Bytes(), []byte("PK\x06\x07"))
	bad := bytes.Clone(b.Bytes())
	binary.LittleEndian.PutUint64(bad[locator+8:], 1<<60)
	refused(t, "a ZIP64 directory elsewhere", bad, Options{}, "damaged")
	bad = bytes.Clone(b.Bytes())
	bad[bytes.LastIndex(bad, []byte("PK\x06\x06"))] = 'X'
	refused(t, "none where it should be", bad, Options{}, "damaged")
}

// endless is a file that repeats a piece, up to its size.
type endless struct {
	head, piece []byte
	size        int64
	read        int64
}

func (e *endless) ReadAt(p []byte, at int64) (int, error) {
	e.read += int64(len(p))
	n := 0
	for n < len(p) && at+int64(n) < e.size {
		i := at + int64(n)
		if i < int64(len(e.head)) {
			n += copy(p[n:], e.head[i:])
			continue
		}
		from := (i - int64(len(e.head))) % int64(len(e.piece))
		n += copy(p[n:min(int64(len(p)), e.size-at)], e.piece[from:])
	}
	if n < len(p) {
		return n, io.EOF
	}
	return n, nil
}

// deflated is a piece of a deflate stream that is a megabyte of a letter, wherever it stands.
func deflated(t testing.TB, head string) (first, piece []byte) {
	t.Helper()
	var b bytes.Buffer
	w, err := flate.NewWriter(&b, 9)
	if err != nil {
		t.Fatal(err)
	}
	write := func(p []byte) []byte {
		from := b.Len()
		if _, err := w.Write(p); err != nil {
			t.Fatal(err)
		}
		if err := w.Flush(); err != nil {
			t.Fatal(err)
		}
		return bytes.Clone(b.Bytes()[from:])
	}
	first = write([]byte(head + strings.Repeat(" ", 64<<10)))
	return first, write(bytes.Repeat([]byte(" "), 1<<20))
}

// TestBombs takes in files that would unpack to a hundred gigabytes and more.
func TestBombs(t *testing.T) {
	t.Parallel()
	gzipHead := "\x1f\x8b\x08\x00\x00\x00\x00\x00\x00\x03"
	bomb := func(what string, r io.ReaderAt, size int64, word string) {
		t.Helper()
		_, err := Open(t.Context(), r, size, "bomb", Options{})
		if err == nil || !strings.Contains(err.Error(), word) {
			t.Errorf("%s: %v", what, err)
		}
		if e, ok := r.(*endless); ok && e.read > 2<<20 {
			t.Errorf("%s: %d bytes were looked at", what, e.read)
		}
	}
	first, piece := deflated(t, sqliteDump[:30])
	size := int64(100 << 10 * len(piece)) // 100 GB
	bomb("a dump in gzip", &endless{[]byte(gzipHead + string(first)), piece, size, 0}, size, "to fill disks")

	h := tarOf(t, thing{name: "media/big", text: "x"})[:512]
	copy(h[124:], "\x80\x00\x00\x00\x00\x00\x00\x19\x00\x00\x00\x00") // 100 GiB
	copy(h[148:], "        ")
	sum := 0
	for _, b := range h {
		sum += int(b)
	}
	copy(h[148:], fmt.Sprintf("%06o\x00 ", sum))
	first, piece = deflated(t, string(h))
	bomb("a tar in gzip", &endless{[]byte(gzipHead + string(first)), piece, size, 0}, size, "to fill disks")

	rle := "\x02\x00\x10\x20" // a block of 128 KiB of one byte
	frame := "\x28\xb5\x2f\xfd\x00\x58"
	n := len(sqliteDump[:30])
	frame += string([]byte{byte(n << 3), byte(n >> 5), 0}) + sqliteDump[:30]
	bomb("a dump in zstd", &endless{[]byte(frame), []byte(rle), 4 << 20, 0}, 4<<20, "to fill disks")

	p := zipOf(t, thing{name: "media/a", text: "x"})
	at := bytes.Index(p, []byte("PK\x01\x02"))
	binary.LittleEndian.PutUint32(p[at+24:], 1<<31)
	bomb("a ZIP that says what it is", bytes.NewReader(p), int64(len(p)), "to fill disks")

	inner := make([]byte, 0, 200<<10) // packed once more in the archive
	inner = append(inner, frame...)
	for range 40_000 {
		inner = append(inner, rle...)
	}
	p = zipOf(t, thing{name: "database.sql.zst", text: string(inner)})
	bomb("a dump in a ZIP", bytes.NewReader(p), int64(len(p)), "to fill disks")

	things := []thing{{name: "media/a", text: strings.Repeat("x", 1<<20)}}
	for i := range 300 {
		things = append(things, thing{name: fmt.Sprint("media/l", i), typ: tar.TypeLink, link: "media/a"})
	}
	p = gz(t, tarOf(t, things...))
	bomb("hard links", bytes.NewReader(p), int64(len(p)), "to fill disks")
}

func TestLimits(t *testing.T) {
	t.Parallel()
	small := Options{MaxBytes: 1 << 20}
	text := strings.Repeat("some text ", 200_000)
	refused(t, "a ZIP", zipOf(t, thing{name: "media/a", text: text}), small, "more than 1 MiB")
	raw := tarOf(t, thing{name: "media/a", text: text})
	refused(t, "a tar", raw, small, "more than 1 MiB")
	refused(t, "a tar.gz", gz(t, raw), small, "more than 1 MiB")
	dump := strings.Replace(postgresDump, "1\n2\n", strings.Repeat("1\n", 600_000), 1)
	refused(t, "a dump", []byte(dump), small, "more than 1 MiB")
	refused(t, "a packed one", gz(t, []byte(dump)), small, "more than 1 MiB")
	refused(t, "a table whose name is no UTF-8", []byte(strings.ReplaceAll(mysqlDump, "`t`", "`\xff`")), Options{}, "no UTF-8")
	refused(t, "a packed one in a ZIP", zipOf(t, thing{name: "a.sql.gz", text: string(gz(t, []byte(dump)))}), small, "more than 1 MiB")

	alike := strings.Replace(postgresDump, "1\n2\n", strings.Repeat("1\n", 20<<20), 1) // gzip makes a thousandth of it
	if im, err := take(t, gz(t, []byte(alike)), Options{}); err != nil || im.Manifest.Tables[0].Rows != 20<<20+1 {
		t.Errorf("rows that are all alike: %v", err)
	}
	w, err := zstd.NewWriter(nil, zstd.WithWindowSize(32<<20))
	if err != nil {
		t.Fatal(err)
	}
	var b bytes.Buffer
	w.Reset(&b)
	if _, err := io.Copy(w, strings.NewReader(alike)); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	refused(t, "zstd that needs memory", b.Bytes(), Options{Window: 16 << 20}, "too much memory")
}

// brokenAt fails where somebody reads on from a place.
type brokenAt struct {
	io.ReaderAt
	from int64
	err  error
}

func (b *brokenAt) ReadAt(p []byte, at int64) (int, error) {
	if at+int64(len(p)) > b.from {
		return 0, b.err
	}
	return b.ReaderAt.ReadAt(p, at)
}

// A medium that fails is no damage, and neither is a person who changes his mind.
func TestErrorsThatAreNotTheFiles(t *testing.T) {
	t.Parallel()
	medium := errors.New("the medium failed")
	raw := tarOf(t, append(every[:5:5], thing{name: "media/z", text: strings.Repeat("0123456789", 100_000)})...)
	for kind, p := range map[string][]byte{"sql": []byte(postgresDump), "tar": raw, "tar.gz": gz(t, raw), "zip": zipOf(t, append(every[:5:5], media(5, 200<<10)...)...)} {
		for from := int64(0); from < int64(len(p)); from += 1 + int64(len(p))/7 {
			_, err := Open(t.Context(), &brokenAt{bytes.NewReader(p), from, medium}, int64(len(p)), "x", Options{})
			if !errors.Is(err, medium) {
				t.Errorf("%s from %d: %v", kind, from, err)
			}
		}
		gone := errors.New("never mind")
		ctx, cancel := context.WithCancelCause(t.Context())
		o := Options{Progress: func(done, total int64) {
			if total != int64(len(p)) || done > total {
				t.Errorf("%d of %d", done, total)
			}
			cancel(gone)
		}}
		if _, err := Open(ctx, bytes.NewReader(p), int64(len(p)), "x", o); err != gone {
			t.Errorf("%s: %v", kind, err)
		}
	}
	var last int64
	if _, err := take(t, raw, Options{Progress: func(done, _ int64) { last = done }}); err != nil || last != int64(len(raw)) {
		t.Errorf("%d, %v", last, err)
	}
}

// hooked calls a function before it reads.
type hooked struct {
	io.ReaderAt
	before func(at int64)
}

func (h *hooked) ReadAt(p []byte, at int64) (int, error) {
	h.before(at)
	return h.ReaderAt.ReadAt(p, at)
}

func TestAMindThatChangesAtTheEnd(t *testing.T) {
	t.Parallel()
	raw := tarOf(t, every...)
	p := append(bytes.Clone(raw), make([]byte, 1<<20)...)
	ctx, cancel := context.WithCancel(t.Context())
	h := &hooked{bytes.NewReader(p), func(at int64) {
		if at > int64(len(raw)) {
			cancel()
		}
	}}
	if _, err := Open(ctx, h, int64(len(p)), "x", Options{}); err != context.Canceled {
		t.Error(err)
	}
	if _, err := take(t, p, Options{}); err != nil {
		t.Errorf("a tar with many blocks at its end: %v", err)
	}
}
