package intake

import (
	"bytes"
	"strconv"

	"github.com/holdfast-backup/holdfast/vault/dump"
)

// headSize is how much of a file is looked at to tell its kind.
const headSize = dump.SniffLen

// A kind is what a file is by its first bytes.
type kind uint8

const (
	unknownKind kind = iota
	gzipKind
	zstdKind
	zipKind
	tarKind
	dumpKind
	portableKind
	spannedKind // a ZIP in parts
	sqliteKind  // a database itself
	utf16Kind
	bzip2Kind
	xzKind
	sevenKind
	rarKind
	ageKind
	gpgKind
)

// magics are first bytes.
var magics = []struct {
	text string
	kind kind
}{
	{"\x1f\x8b", gzipKind},
	{"\x28\xb5\x2f\xfd", zstdKind},
	{"PK\x03\x04", zipKind},
	{"PK\x05\x06", zipKind}, // an empty one
	{"PK\x07\x08", spannedKind},
	{"SQLite format 3\x00", sqliteKind},
	{"\xff\xfe", utf16Kind},
	{"\xfe\xff", utf16Kind},
	{"BZh", bzip2Kind},
	{"\xfd7zXZ\x00", xzKind},
	{"7z\xbc\xaf\x27\x1c", sevenKind},
	{"Rar!\x1a\x07", rarKind},
	{"age-encryption.org/", ageKind},
	{"-----BEGIN PGP MESSAGE", gpgKind},
}

// recognise tells what a file is by its first headSize bytes, or all there are.
func recognise(head []byte) kind {
	for _, m := range magics {
		if bytes.HasPrefix(head, []byte(m.text)) {
			return m.kind
		}
	}
	switch {
	case len(head) >= 4 && head[0]>>4 == 5 && bytes.Equal(head[1:4], []byte("\x2a\x4d\x18")): // a frame to skip
		return zstdKind
	case isTar(head):
		return tarKind
	case dump.Sniff(head) != dump.Unknown:
		return dumpKind
	case isPortable(head):
		return portableKind
	}
	return unknownKind
}

// isTar reports whether the head begins with a tar's header, in any of its formats: its sum is right.
func isTar(head []byte) bool {
	if len(head) < 512 {
		return false
	}
	var unsigned, signed int64 // old programs summed signed bytes
	for i, b := range head[:512] {
		if i >= 148 && i < 156 {
			b = ' '
		}
		unsigned += int64(b)
		signed += int64(int8(b))
	}
	want, err := strconv.ParseInt(string(bytes.Trim(head[148:156], " \x00")), 8, 64)
	return err == nil && (want == unsigned || want == signed) && unsigned > 8*' '
}

// known refuses what is not a dump.
func known(k kind, name string) error {
	const dumps = "what pg_dump, mysqldump, mariadb-dump or sqlite3 .dump write, as it is or with gzip or zstd, or a tar or ZIP archive"
	switch k {
	case dumpKind, portableKind:
		return nil
	case spannedKind:
		return refuse("%s is a part of a ZIP archive in several parts: make one archive of it", name)
	case sqliteKind:
		return refuse("%s is a database of SQLite itself, which may have been in use when it was copied: make a dump of it with sqlite3 FILE .dump", name)
	case utf16Kind:
		return refuse("%s is text in UTF-16, as > makes it in PowerShell: let the program write the dump itself, with pg_dump --file or mysqldump --result-file", name)
	case bzip2Kind, xzKind, sevenKind, rarKind:
		word := map[kind]string{bzip2Kind: "bzip2", xzKind: "xz", sevenKind: "7z", rarKind: "RAR"}[k]
		return refuse("%s is packed with %s, which cannot be read here: unpack it, or pack it with gzip, zstd or ZIP", name, word)
	case ageKind, gpgKind:
		return refuse("%s is encrypted: decrypt it first", name)
	}
	return refuse("%s is none of the files that can be taken in: %s", name, dumps)
}
