// Package record writes and reads the small files that the depot keeps in the store beside the packs: what a
// rebuild of the index could not know from packs alone. The format is described in docs/format-snapshot.md.
//
// Every record is one deterministic CBOR array (wire/cbor): a text that says what it is and in which version,
// the fields, and the SHA-256 of all bytes before that last item. A reader therefore knows at once whether it
// holds what was written. It does not know who wrote it: a record is as trustworthy as the store. What must
// not be forged, the manifest, is sealed and authenticated by the vault.
package record

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"fmt"
	"time"

	"github.com/holdfast-backup/holdfast/wire/cbor"
	"github.com/holdfast-backup/holdfast/wire/id"
)

// MaxManifest is the length of the longest sealed manifest in bytes, and MaxSize that of the longest record.
const (
	MaxManifest = 8 << 20
	MaxSize     = MaxManifest + 1<<10
)

// ErrCorrupt is the kind of every error that reading a record gives.
var ErrCorrupt = errors.New("not a sound record")

// What each record begins with.
const (
	snapshotKind = "holdfast/v1/snapshot"
	labelledKind = "holdfast/v2/snapshot" // of an application
	deletionKind = "holdfast/v1/deletion"
	spaceKind    = "holdfast/v1/space"
)

// Snapshot is a committed snapshot: all that the catalog knows of it.
type Snapshot struct {
	ID            id.Snapshot
	Space         id.Space
	Device        id.Device
	Backup        id.Backup
	Root          id.Object
	Created       time.Time // in microseconds, as PostgreSQL keeps it
	Files         int64
	Bytes         int64
	Problems      int64
	UploadedBytes int64
	Manifest      []byte
	Application   *Application // nil: files of the device
}

// Application says of which application a snapshot is.
type Application struct {
	ID       id.Application
	Name     string // at the time
	Part     string // database, media, full
	Origin   string // backup, safety, import
	Title    string // may be empty
	Schedule *id.ApplicationSchedule
}

// Lengths of the texts of an [Application], in bytes.
const (
	maxText = 320
	maxWord = 20
)

// Deletion says that its owner deleted a snapshot. The snapshot's record stays until the space is cleaned.
type Deletion struct {
	ID    id.Snapshot
	Space id.Space
	At    time.Time // in microseconds
}

// Space says whose a space is and how it cuts files.
type Space struct {
	ID                           id.Space
	Owner                        id.User
	ChunkMin, ChunkAvg, ChunkMax int // bytes
	Created                      time.Time
}

// Append appends the record to b: in version 1, or in version 2 if it is of an application.
func (r *Snapshot) Append(b []byte) []byte {
	kind, n := snapshotKind, 12
	if r.Application != nil {
		kind, n = labelledKind, 18
	}
	return seal(b, kind, n, func(b []byte) []byte {
		b = cbor.AppendBytes(b, r.ID[:])
		b = cbor.AppendBytes(b, r.Space[:])
		b = cbor.AppendBytes(b, r.Device[:])
		b = cbor.AppendBytes(b, r.Backup[:])
		b = cbor.AppendBytes(b, r.Root[:])
		b = cbor.AppendInt(b, r.Created.UnixMicro())
		b = cbor.AppendUint(b, uint64(r.Files))
		b = cbor.AppendUint(b, uint64(r.Bytes))
		b = cbor.AppendUint(b, uint64(r.Problems))
		b = cbor.AppendUint(b, uint64(r.UploadedBytes))
		b = cbor.AppendBytes(b, r.Manifest)
		if a := r.Application; a != nil {
			b = a.append(b)
		}
		return b
	})
}

func (a *Application) append(b []byte) []byte {
	b = cbor.AppendBytes(b, a.ID[:])
	b = cbor.AppendText(b, a.Name)
	b = cbor.AppendText(b, a.Part)
	b = cbor.AppendText(b, a.Origin)
	b = cbor.AppendText(b, a.Title)
	if a.Schedule == nil {
		return cbor.AppendBytes(b, nil)
	}
	return cbor.AppendBytes(b, a.Schedule[:])
}

func parseApplication(r *cbor.Reader) *Application {
	var a Application
	r.Fixed(a.ID[:])
	a.Name = words(r, maxText)
	a.Part, a.Origin = words(r, maxWord), words(r, maxWord)
	a.Title = words(r, maxText)
	switch b := r.Bytes(); len(b) {
	case 0:
	case len(id.ApplicationSchedule{}):
		a.Schedule = new(id.ApplicationSchedule)
		copy(a.Schedule[:], b)
	default:
		r.Fail("a schedule's id of %d bytes", len(b))
	}
	if r.Err() == nil {
		switch {
		case a.Part != "database" && a.Part != "media" && a.Part != "full":
			r.Fail("a part %q", a.Part)
		case a.Origin != "backup" && a.Origin != "safety" && a.Origin != "import":
			r.Fail("an origin %q", a.Origin)
		}
	}
	return &a
}

func words(r *cbor.Reader, most int) string {
	s := r.Text()
	if len(s) > most {
		r.Fail("a text of %d bytes", len(s))
	}
	return s
}

// ParseSnapshot reads what [Snapshot.Append] wrote. The manifest aliases b.
func ParseSnapshot(b []byte) (*Snapshot, error) {
	var s Snapshot
	kind, n := snapshotKind, 12
	if isLabelled(b) {
		kind, n = labelledKind, 18
	}
	err := open(b, kind, n, func(r *cbor.Reader) {
		r.Fixed(s.ID[:])
		r.Fixed(s.Space[:])
		r.Fixed(s.Device[:])
		r.Fixed(s.Backup[:])
		r.Fixed(s.Root[:])
		s.Created = moment(r)
		s.Files = count(r)
		s.Bytes = count(r)
		s.Problems = count(r)
		s.UploadedBytes = count(r)
		s.Manifest = r.Bytes()
		if n := len(s.Manifest); n == 0 || n > MaxManifest {
			r.Fail("a manifest of %d bytes", n)
		}
		if kind == labelledKind {
			s.Application = parseApplication(r)
		}
	})
	if err != nil {
		return nil, err
	}
	return &s, nil
}

// isLabelled reports whether b begins as a record of version 2 does.
func isLabelled(b []byte) bool {
	return bytes.HasPrefix(b, cbor.AppendText(cbor.AppendArray(nil, 19), labelledKind))
}

// Append appends the record to b.
func (r *Deletion) Append(b []byte) []byte {
	return seal(b, deletionKind, 4, func(b []byte) []byte {
		b = cbor.AppendBytes(b, r.ID[:])
		b = cbor.AppendBytes(b, r.Space[:])
		return cbor.AppendInt(b, r.At.UnixMicro())
	})
}

// ParseDeletion reads what [Deletion.Append] wrote.
func ParseDeletion(b []byte) (*Deletion, error) {
	var d Deletion
	err := open(b, deletionKind, 4, func(r *cbor.Reader) {
		r.Fixed(d.ID[:])
		r.Fixed(d.Space[:])
		d.At = moment(r)
	})
	if err != nil {
		return nil, err
	}
	return &d, nil
}

// Append appends the record to b.
func (r *Space) Append(b []byte) []byte {
	return seal(b, spaceKind, 7, func(b []byte) []byte {
		b = cbor.AppendBytes(b, r.ID[:])
		b = cbor.AppendBytes(b, r.Owner[:])
		b = cbor.AppendUint(b, uint64(r.ChunkMin))
		b = cbor.AppendUint(b, uint64(r.ChunkAvg))
		b = cbor.AppendUint(b, uint64(r.ChunkMax))
		return cbor.AppendInt(b, r.Created.UnixMicro())
	})
}

// ParseSpace reads what [Space.Append] wrote.
func ParseSpace(b []byte) (*Space, error) {
	var s Space
	err := open(b, spaceKind, 7, func(r *cbor.Reader) {
		r.Fixed(s.ID[:])
		r.Fixed(s.Owner[:])
		for _, n := range []*int{&s.ChunkMin, &s.ChunkAvg, &s.ChunkMax} {
			v := r.Uint()
			if v > 1<<30 {
				r.Fail("chunks of %d bytes", v)
			}
			*n = int(v)
		}
		s.Created = moment(r)
	})
	if err != nil {
		return nil, err
	}
	return &s, nil
}

// seal appends an array of the kind, the fields that body appends (together with the kind, n items) and the
// checksum.
func seal(b []byte, kind string, n int, body func([]byte) []byte) []byte {
	start := len(b)
	b = cbor.AppendArray(b, n+1)
	b = cbor.AppendText(b, kind)
	b = body(b)
	sum := sha256.Sum256(b[start:])
	return cbor.AppendBytes(b, sum[:])
}

// checksumItem is the encoded length of the last item: a head of two bytes and 32 bytes.
const checksumItem = 2 + sha256.Size

func open(b []byte, kind string, n int, body func(*cbor.Reader)) error {
	if len(b) < checksumItem || len(b) > MaxSize {
		return fmt.Errorf("%w: %d bytes", ErrCorrupt, len(b))
	}
	want := sha256.Sum256(b[:len(b)-checksumItem])
	if !bytes.Equal(b[len(b)-sha256.Size:], want[:]) {
		return fmt.Errorf("%w: it does not match its checksum", ErrCorrupt)
	}
	r := cbor.NewReader(b)
	if got := r.Array(); r.Err() == nil && got != n+1 {
		r.Fail("%d items where %d are due", got, n+1)
	}
	if got := r.Text(); r.Err() == nil && got != kind {
		r.Fail("a record %q where %q is due", got, kind)
	}
	body(r)
	var sum [sha256.Size]byte
	r.Fixed(sum[:])
	if err := r.Finish(); err != nil {
		return fmt.Errorf("%w: %w", ErrCorrupt, err)
	}
	return nil
}

func moment(r *cbor.Reader) time.Time {
	us := r.Int()
	if us < 0 || us > 1<<53 { // the year 2255
		r.Fail("an instant of %d µs", us)
	}
	return time.UnixMicro(us).UTC()
}

func count(r *cbor.Reader) int64 {
	v := r.Uint()
	if v > 1<<62 {
		r.Fail("a count of %d", v)
	}
	return int64(v)
}
