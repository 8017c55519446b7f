package record

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"flag"
	"math"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/holdfast-backup/holdfast/wire/cbor"
	"github.com/holdfast-backup/holdfast/wire/id"
)

var update = flag.Bool("update", false, "write the golden files anew (only before the format is released)")

// seq returns n bytes that count up from first.
func seq(first byte, n int) []byte {
	b := make([]byte, n)
	for i := range b {
		b[i] = first + byte(i)
	}
	return b
}

var (
	vectorSnapshot = &Snapshot{
		ID: id.Snapshot(seq(0x10, 16)), Space: id.Space(seq(0x20, 16)), Device: id.Device(seq(0x30, 16)), Backup: id.Backup(seq(0x40, 16)),
		Root: id.Object(seq(0x50, 16)), Created: time.Date(2026, 3, 1, 2, 3, 4, 567891000, time.UTC),
		Files: 20_000, Bytes: 2 << 30, Problems: 0, UploadedBytes: 123_456_789, Manifest: seq(0x80, 40),
	}
	vectorSchedule = id.ApplicationSchedule(seq(0xa0, 16))
	vectorLabelled = func() *Snapshot {
		s := *vectorSnapshot
		s.Application = &Application{ID: id.Application(seq(0x90, 16)), Name: "Shop", Part: "full", Origin: "backup", Title: "Nightly", Schedule: &vectorSchedule}
		return &s
	}()
	vectorDeletion = &Deletion{ID: id.Snapshot(seq(0x10, 16)), Space: id.Space(seq(0x20, 16)), At: time.Date(2026, 4, 1, 0, 0, 0, 0, time.UTC)}
	vectorSpace    = &Space{ID: id.Space(seq(0x20, 16)), Owner: id.User(seq(0x60, 16)), ChunkMin: 256 << 10, ChunkAvg: 1 << 20, ChunkMax: 4 << 20,
		Created: time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)}
)

// forms are the records with their readers behind one shape.
var forms = []struct {
	name   string // of its golden file
	vector interface{ Append([]byte) []byte }
	parse  func([]byte) (any, error)
}{
	{"snapshot.v1", vectorSnapshot, func(b []byte) (any, error) { return ParseSnapshot(b) }},
	{"deletion.v1", vectorDeletion, func(b []byte) (any, error) { return ParseDeletion(b) }},
	{"snapshot.v2", vectorLabelled, func(b []byte) (any, error) { return ParseSnapshot(b) }},
	{"space.v1", vectorSpace, func(b []byte) (any, error) { return ParseSpace(b) }},
}

// Records are read and written like this for ever.
func TestGolden(t *testing.T) {
	t.Parallel()
	for _, f := range forms {
		name := filepath.Join("testdata", f.name+".hex")
		got := f.vector.Append(nil)
		if *update {
			if err := os.WriteFile(name, []byte(hex.EncodeToString(got)+"\n"), 0o644); err != nil {
				t.Fatal(err)
			}
		}
		text, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		want, err := hex.DecodeString(string(bytes.TrimSpace(text)))
		if err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(got, want) {
			t.Errorf("%s is written as\n%x, the golden file says\n%x", f.name, got, want)
		}
		read, err := f.parse(want)
		if err != nil || !reflect.DeepEqual(read, f.vector) {
			t.Errorf("%s is read as %+v, %v", f.name, read, err)
		}
		if got := f.vector.Append([]byte("before")); !bytes.Equal(got, append([]byte("before"), want...)) {
			t.Errorf("%s does not append", f.name)
		}
	}
}

// Every flipped bit, every truncation and every other kind of record is refused.
func TestReadersRefuse(t *testing.T) {
	t.Parallel()
	for i, f := range forms {
		good := f.vector.Append(nil)
		refused := func(what string, b []byte) {
			if r, err := f.parse(b); !errors.Is(err, ErrCorrupt) {
				t.Errorf("%s, %s: %+v, %v", f.name, what, r, err)
			}
		}
		for bit := range 8 * len(good) {
			b := bytes.Clone(good)
			b[bit/8] ^= 1 << (bit % 8)
			refused("a flipped bit", b)
		}
		for n := range good {
			refused("truncated", good[:n])
		}
		refused("longer", append(bytes.Clone(good), 0))
		refused("too long", make([]byte, MaxSize+1))
		refused("another kind", forms[(i+1)%len(forms)].vector.Append(nil))
	}
}

// Values that no writer makes are refused although the checksum is right.
func TestBounds(t *testing.T) {
	t.Parallel()
	for name, change := range map[string]func(*Snapshot){
		"no manifest":    func(s *Snapshot) { s.Manifest = nil },
		"long manifest":  func(s *Snapshot) { s.Manifest = make([]byte, MaxManifest+1) },
		"before 1970":    func(s *Snapshot) { s.Created = time.Unix(-1, 0) },
		"far future":     func(s *Snapshot) { s.Created = time.UnixMicro(1<<53 + 1) },
		"negative count": func(s *Snapshot) { s.Bytes = -1 },
		"huge count":     func(s *Snapshot) { s.Bytes = math.MaxInt64 },
	} {
		s := *vectorSnapshot
		change(&s)
		if _, err := ParseSnapshot(s.Append(nil)); !errors.Is(err, ErrCorrupt) {
			t.Errorf("%s: %v", name, err)
		}
	}
	for name, change := range map[string]func(*Application){
		"no part":         func(a *Application) { a.Part = "" },
		"no origin":       func(a *Application) { a.Origin = "luck" },
		"a long word":     func(a *Application) { a.Part = strings.Repeat("x", 21) },
		"a long name":     func(a *Application) { a.Name = strings.Repeat("x", 321) },
		"a long title":    func(a *Application) { a.Title = strings.Repeat("x", 321) },
		"a broken letter": func(a *Application) { a.Title = "\xff" },
	} {
		s, a := *vectorLabelled, *vectorLabelled.Application
		change(&a)
		s.Application = &a
		if _, err := ParseSnapshot(s.Append(nil)); !errors.Is(err, ErrCorrupt) {
			t.Errorf("%s: %v", name, err)
		}
	}
	short := seal(nil, labelledKind, 18, func(b []byte) []byte { // a schedule's id of three bytes
		full := vectorLabelled.Append(nil)
		start := len(seal(nil, labelledKind, 18, func(b []byte) []byte { return b })) - checksumItem
		return append(append(b, full[start:len(full)-checksumItem-17]...), 0x43, 1, 2, 3)
	})
	if _, err := ParseSnapshot(short); !errors.Is(err, ErrCorrupt) || !strings.Contains(err.Error(), "3 bytes") {
		t.Error("a short id:", err)
	}
	largest, all := *vectorLabelled, *vectorLabelled.Application
	all.Name, all.Title, all.Part = strings.Repeat("x", maxText), strings.Repeat("x", maxText), "database"
	largest.Application, largest.Manifest = &all, make([]byte, MaxManifest)
	largest.Files, largest.Bytes, largest.Problems, largest.UploadedBytes = 1<<62, 1<<62, 1<<62, 1<<62
	if b := largest.Append(nil); len(b) > MaxSize {
		t.Errorf("the largest record has %d bytes", len(b))
	} else if _, err := ParseSnapshot(b); err != nil {
		t.Error("the largest record:", err)
	}
	sp := *vectorSpace
	sp.ChunkMax = 1<<30 + 1
	if _, err := ParseSpace(sp.Append(nil)); !errors.Is(err, ErrCorrupt) {
		t.Error("chunks of a gigabyte:", err)
	}
}

func TestRoundTrip(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		bytes16 := rapid.SliceOfN(rapid.Byte(), 16, 16)
		count := rapid.Int64Range(0, 1<<62)
		s := &Snapshot{
			ID: id.Snapshot(bytes16.Draw(t, "id")), Space: id.Space(bytes16.Draw(t, "space")), Device: id.Device(bytes16.Draw(t, "device")),
			Backup: id.Backup(bytes16.Draw(t, "backup")), Root: id.Object(bytes16.Draw(t, "root")),
			Created: time.UnixMicro(rapid.Int64Range(0, 1<<53).Draw(t, "created")).UTC(),
			Files:   count.Draw(t, "files"), Bytes: count.Draw(t, "bytes"), Problems: count.Draw(t, "problems"), UploadedBytes: count.Draw(t, "uploaded"),
			Manifest: rapid.SliceOfN(rapid.Byte(), 1, 2000).Draw(t, "manifest"),
		}
		if rapid.Bool().Draw(t, "labelled") {
			word := rapid.StringN(0, 80, maxText)
			s.Application = &Application{ID: id.Application(bytes16.Draw(t, "application")), Name: word.Draw(t, "name"), Title: word.Draw(t, "title"),
				Part: rapid.SampledFrom([]string{"database", "media", "full"}).Draw(t, "part"), Origin: rapid.SampledFrom([]string{"backup", "safety", "import"}).Draw(t, "origin")}
			if rapid.Bool().Draw(t, "scheduled") {
				n := id.ApplicationSchedule(bytes16.Draw(t, "schedule"))
				s.Application.Schedule = &n
			}
		}
		got, err := ParseSnapshot(s.Append(nil))
		if err != nil || !reflect.DeepEqual(got, s) {
			t.Fatalf("%+v came back as %+v, %v", s, got, err)
		}
	})
}

// Whatever the bytes, a reader ends without panic, and what it accepts is the one encoding of what it read.
func FuzzParse(f *testing.F) {
	for _, form := range forms {
		f.Add(form.vector.Append(nil))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		for _, form := range forms {
			r, err := form.parse(b)
			if err != nil {
				if !errors.Is(err, ErrCorrupt) {
					t.Fatalf("%s: %v", form.name, err)
				}
				continue
			}
			if again := r.(interface{ Append([]byte) []byte }).Append(nil); !bytes.Equal(again, b) {
				t.Fatalf("%s: %x was accepted, but its encoding is %x", form.name, b, again)
			}
		}
	})
}

// FuzzFields lets the fuzzer write the fields: it could never guess a checksum.
func FuzzFields(f *testing.F) {
	good := vectorSnapshot.Append(nil)
	f.Add(good[:len(good)-checksumItem])
	f.Fuzz(func(t *testing.T, fields []byte) {
		b := resum(fields)
		for _, form := range forms {
			r, err := form.parse(b)
			if err != nil {
				continue
			}
			if again := r.(interface{ Append([]byte) []byte }).Append(nil); !bytes.Equal(again, b) {
				t.Fatalf("%s: %x was accepted, but its encoding is %x", form.name, b, again)
			}
		}
	})
}

func resum(fields []byte) []byte {
	sum := sha256.Sum256(fields)
	return cbor.AppendBytes(bytes.Clone(fields), sum[:])
}
