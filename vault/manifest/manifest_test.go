package manifest

import (
	"bytes"
	"errors"
	"fmt"
	"math"
	"reflect"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/holdfast-backup/holdfast/vault/keyring"
	"github.com/holdfast-backup/holdfast/vault/seal"
	"github.com/holdfast-backup/holdfast/wire/cbor"
	"github.com/holdfast-backup/holdfast/wire/goldentest"
	"github.com/holdfast-backup/holdfast/wire/id"
)

func newAccount(t testing.TB) *keyring.Account {
	t.Helper()
	a, err := keyring.NewAccount()
	if err != nil {
		t.Fatal(err)
	}
	return a
}

func example() *Manifest {
	return &Manifest{
		Root:         seal.Key(bytes.Repeat([]byte{7}, 32)),
		Device:       id.Device(bytes.Repeat([]byte{8}, 16)),
		DeviceName:   "Zoë's laptop",
		Hostname:     "laptop-17",
		OS:           "linux/amd64",
		Roots:        []string{"/home/zoë", "/srv/\xff\xfe"},
		Started:      time.Unix(1_800_000_000, 123_456_789).UTC(),
		Finished:     time.Unix(1_800_000_012, 1).UTC(),
		Files:        20_000,
		Bytes:        2 << 30,
		Dirs:         900,
		Parent:       id.Snapshot(bytes.Repeat([]byte{9}, 16)),
		Problems:     []Problem{{"home/zoë/\xffsecret", "permission", "open: permission denied"}, {"home/zoë/tmp", "vanished", ""}},
		ProblemCount: 2,
		AgentVersion: "0.1.0",
	}
}

func manifests() *rapid.Generator[*Manifest] {
	return rapid.Custom(func(t *rapid.T) *Manifest {
		text := rapid.StringN(0, 100, maxText)
		path := rapid.Map(rapid.SliceOf(rapid.Byte()), func(b []byte) string { return string(b) })
		nanos := rapid.Map(rapid.Int64(), func(n int64) time.Time { return time.Unix(0, n).UTC() })
		m := &Manifest{
			Root:       seal.Key(rapid.SliceOfN(rapid.Byte(), 32, 32).Draw(t, "root")),
			Device:     id.Device(rapid.SliceOfN(rapid.Byte(), 16, 16).Draw(t, "device")),
			Parent:     id.Snapshot(rapid.SliceOfN(rapid.Byte(), 16, 16).Draw(t, "parent")),
			DeviceName: text.Draw(t, "name"), Hostname: text.Draw(t, "host"), OS: text.Draw(t, "os"), AgentVersion: text.Draw(t, "version"),
			Started: nanos.Draw(t, "started"), Finished: nanos.Draw(t, "finished"),
			Files: rapid.Int64Min(0).Draw(t, "files"), Bytes: rapid.Int64Min(0).Draw(t, "bytes"), Dirs: rapid.Int64Min(0).Draw(t, "dirs"),
		}
		for range rapid.IntRange(0, 5).Draw(t, "roots") {
			m.Roots = append(m.Roots, path.Draw(t, "root"))
		}
		for range rapid.IntRange(0, 5).Draw(t, "problems") {
			m.Problems = append(m.Problems, Problem{path.Draw(t, "path"), text.Draw(t, "cause"), text.Draw(t, "text")})
		}
		m.ProblemCount = rapid.Int64Min(int64(len(m.Problems))).Draw(t, "count")
		return m
	})
}

func TestSealedManifestsOpen(t *testing.T) {
	t.Parallel()
	a := newAccount(t)
	rapid.Check(t, func(t *rapid.T) {
		m := manifests().Draw(t, "manifest")
		sealed, err := m.Seal(a.Space(), a.IdentityPublic())
		if err != nil {
			t.Fatal(err)
		}
		got, err := Open(a, sealed)
		if err != nil {
			t.Fatal(err)
		}
		if !reflect.DeepEqual(got, m) {
			t.Fatalf("got  %+v\nwant %+v", got, m)
		}
		if body := m.encode(nil); !bytes.Equal(got.encode(nil), body) {
			t.Fatal("the same manifest has two encodings")
		}
	})
}

func TestOnlyTheAccountCanOpenAndItsDevicesMake(t *testing.T) {
	t.Parallel()
	a, b := newAccount(t), newAccount(t)
	m := example()
	sealed, err := m.Seal(a.Space(), a.IdentityPublic())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := Open(b, sealed); !errors.Is(err, keyring.ErrWrongKey) {
		t.Errorf("another account: %v", err)
	}
	// A server knows the public key, and not the space key.
	forged, err := m.Seal(b.Space(), a.IdentityPublic())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := Open(a, forged); !errors.Is(err, ErrForged) {
		t.Errorf("a forged manifest: %v", err)
	}
	other, err := keyring.SealTo(a.IdentityPublic(), "holdfast/v1/other", m.signed(a.Space()))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := Open(a, other); !errors.Is(err, keyring.ErrWrongKey) {
		t.Errorf("sealed for another purpose: %v", err)
	}
	if _, err := m.Seal(a.Space(), []byte("no key")); err == nil {
		t.Error("sealed to no key")
	}
}

func TestEveryFlippedByteShows(t *testing.T) {
	t.Parallel()
	a := newAccount(t)
	sp := a.Space()
	plain := example().signed(sp)
	for i := range plain {
		bad := bytes.Clone(plain)
		bad[i] ^= 1
		want := ErrForged
		if i == 0 {
			want = ErrMalformed
		}
		if _, err := verify(sp, bad); !errors.Is(err, want) {
			t.Fatalf("byte %d of the plaintext flipped: %v", i, err)
		}
	}
	for n := range plain {
		if _, err := verify(sp, plain[:n]); !errors.Is(err, ErrForged) && !errors.Is(err, ErrMalformed) {
			t.Fatalf("the plaintext cut to %d bytes: %v", n, err)
		}
	}
	sealed, err := example().Seal(sp, a.IdentityPublic())
	if err != nil {
		t.Fatal(err)
	}
	for i := range sealed {
		bad := bytes.Clone(sealed)
		bad[i] ^= 1
		if _, err := Open(a, bad); !errors.Is(err, keyring.ErrWrongKey) && !errors.Is(err, keyring.ErrMalformed) {
			t.Fatalf("byte %d flipped: %v", i, err)
		}
	}
	for n := range sealed {
		if _, err := Open(a, sealed[:n]); !errors.Is(err, keyring.ErrWrongKey) && !errors.Is(err, keyring.ErrMalformed) {
			t.Fatalf("cut to %d bytes: %v", n, err)
		}
	}
	if _, err := Open(a, make([]byte, MaxSealed+1)); !errors.Is(err, ErrMalformed) {
		t.Errorf("too long: %v", err)
	}
}

// A device could sign nonsense: the decoder does not rely on the MAC.
func TestDecoderIsStrict(t *testing.T) {
	t.Parallel()
	body := example().encode(nil)
	if _, err := decode(body); err != nil {
		t.Fatal(err)
	}
	for n := range body {
		if _, err := decode(body[:n]); !errors.Is(err, ErrMalformed) {
			t.Fatalf("cut to %d bytes: %v", n, err)
		}
	}
	if _, err := decode(append(bytes.Clone(body), 0)); !errors.Is(err, ErrMalformed) {
		t.Errorf("a byte more: %v", err)
	}
	for i := range body {
		for bit := range 8 {
			bad := bytes.Clone(body)
			bad[i] ^= 1 << bit
			if m, err := decode(bad); err == nil && !bytes.Equal(m.encode(nil), bad) {
				t.Fatalf("byte %d flipped: the same manifest in two encodings", i)
			}
		}
	}
	for name, change := range map[string]func(*Manifest){
		"negative files":         func(m *Manifest) { m.Files = -1 },
		"negative bytes":         func(m *Manifest) { m.Bytes = -1 },
		"negative folders":       func(m *Manifest) { m.Dirs = math.MinInt64 },
		"negative problems":      func(m *Manifest) { m.ProblemCount, m.Problems = -1, nil },
		"more listed than there": func(m *Manifest) { m.ProblemCount = 1 },
		"too many roots":         func(m *Manifest) { m.Roots = make([]string, MaxRoots+1) },
		"too many problems":      func(m *Manifest) { m.Problems = make([]Problem, MaxProblems+1); m.ProblemCount = 1 << 40 },
		"a long text":            func(m *Manifest) { m.Hostname = strings.Repeat("a", maxText+1) },
		"a long cause":           func(m *Manifest) { m.Problems[0].Cause = strings.Repeat("a", maxText+1) },
		"text that is not UTF-8": func(m *Manifest) { m.OS = "\xff" },
	} {
		m := example()
		change(m)
		if _, err := decode(m.encode(nil)); !errors.Is(err, ErrMalformed) {
			t.Errorf("%s: %v", name, err)
		}
	}
	// A parent of zeros would be none, and none has its own encoding.
	m := example()
	bad := bytes.Replace(m.encode(nil), m.Parent[:], make([]byte, 16), 1)
	if _, err := decode(bad); !errors.Is(err, ErrMalformed) {
		t.Errorf("a parent of zeros: %v", err)
	}
	for name, bad := range map[string][]byte{
		"nothing":      nil,
		"another map":  cbor.AppendMap(nil, 3),
		"14 fields":    append(cbor.AppendMap(nil, 14), body[1:]...),
		"another key":  append([]byte{body[0], 2}, body[2:]...),
		"giant arrays": append(bytes.Clone(body[:1+1+34+1+17]), 0x03, 0x60, 0x04, 0x60, 0x05, 0x60, 0x06, 0x9b, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff),
	} {
		if _, err := decode(bad); !errors.Is(err, ErrMalformed) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestSealMendsWhatItCan(t *testing.T) {
	t.Parallel()
	a := newAccount(t)
	m := example()
	m.Hostname = "caf\xe9"
	m.DeviceName = strings.Repeat("é", maxText)
	m.Problems = nil
	for i := range MaxProblems + 5 {
		m.Problems = append(m.Problems, Problem{Path: fmt.Sprint("p", i), Cause: "io", Text: "bad \xff sector"})
	}
	m.ProblemCount = 3 // fewer than there are
	got := sealAndOpen(t, a, m)
	if got.Hostname != "caf\ufffd" || got.DeviceName != strings.Repeat("é", maxText/2) {
		t.Errorf("names %q, %q", got.Hostname, got.DeviceName)
	}
	if len(got.Problems) != MaxProblems || got.ProblemCount != MaxProblems+5 || got.Problems[0].Text != "bad \ufffd sector" {
		t.Errorf("%d problems of %d, the first %v", len(got.Problems), got.ProblemCount, got.Problems[0])
	}
	if len(m.Problems) != MaxProblems+5 || m.Hostname != "caf\xe9" || m.ProblemCount != 3 {
		t.Error("Seal changed the manifest")
	}

	// Ten thousand of the longest paths do not fit: some are only counted.
	for i := range m.Problems {
		m.Problems[i].Path = strings.Repeat("x", 4096)
	}
	if got := sealAndOpen(t, a, m); len(got.Problems) < 700 || len(got.Problems) > 800 || got.ProblemCount != MaxProblems+5 {
		t.Errorf("%d problems of %d", len(got.Problems), got.ProblemCount)
	}
}

func sealAndOpen(t *testing.T, a *keyring.Account, m *Manifest) *Manifest {
	t.Helper()
	sealed, err := m.Seal(a.Space(), a.IdentityPublic())
	if err != nil {
		t.Fatal(err)
	}
	if len(sealed) > MaxSealed {
		t.Errorf("%d bytes", len(sealed))
	}
	got, err := Open(a, sealed)
	if err != nil {
		t.Fatal(err)
	}
	return got
}

func TestSealRefusesTheRest(t *testing.T) {
	t.Parallel()
	a := newAccount(t)
	for name, change := range map[string]func(*Manifest){
		"no start":       func(m *Manifest) { m.Started = time.Time{} },
		"no end":         func(m *Manifest) { m.Finished = time.Time{} },
		"a far future":   func(m *Manifest) { m.Finished = time.Date(2300, 1, 1, 0, 0, 0, 0, time.UTC) },
		"negative files": func(m *Manifest) { m.Files = -1 },
		"many roots":     func(m *Manifest) { m.Roots = make([]string, MaxRoots+1) },
		"long roots":     func(m *Manifest) { m.Roots = []string{strings.Repeat("x", MaxSealed)} },
	} {
		m := example()
		change(m)
		if _, err := m.Seal(a.Space(), a.IdentityPublic()); err == nil {
			t.Errorf("%s: sealed", name)
		}
	}
}

func TestNoParentNoRootsNoProblems(t *testing.T) {
	t.Parallel()
	m := &Manifest{Started: time.Unix(0, 0).UTC(), Finished: time.Unix(0, 0).UTC()}
	if got := sealAndOpen(t, newAccount(t), m); !reflect.DeepEqual(got, m) {
		t.Errorf("got %+v", got)
	}
}

type golden struct {
	Wrap   goldentest.Hex
	Bundle goldentest.Hex // the account, under Wrap
	Body   goldentest.Hex // of example
	Signed goldentest.Hex
	Sealed goldentest.Hex
}

func generate() golden {
	a, err := keyring.NewAccount()
	if err != nil {
		panic(err)
	}
	m := example()
	sealed, err := m.Seal(a.Space(), a.IdentityPublic())
	if err != nil {
		panic(err)
	}
	w := keyring.WrapKey(bytes.Repeat([]byte{0x33}, 32))
	return golden{w[:], a.SealBundle(w), m.encode(nil), m.signed(a.Space()), sealed}
}

func TestGoldenV1(t *testing.T) {
	t.Parallel()
	g := goldentest.Load(t, "manifest-v1.json", generate)
	a, err := keyring.OpenBundle(keyring.WrapKey(g.Wrap), g.Bundle)
	if err != nil {
		t.Fatal(err)
	}
	m, err := Open(a, g.Sealed)
	if err != nil {
		t.Fatal(err)
	}
	if !reflect.DeepEqual(m, example()) {
		t.Errorf("got %+v", m)
	}
	if got := example().encode(nil); !bytes.Equal(got, g.Body) {
		t.Errorf("body %x, want %x", got, g.Body)
	}
	if got := example().signed(a.Space()); !bytes.Equal(got, g.Signed) {
		t.Errorf("signed %x, want %x", got, g.Signed)
	}
}

func FuzzDecode(f *testing.F) {
	f.Add([]byte{})
	f.Add(example().encode(nil))
	f.Add((&Manifest{Started: time.Unix(0, 0), Finished: time.Unix(0, 0)}).encode(nil))
	f.Fuzz(func(t *testing.T, body []byte) {
		m, err := decode(body)
		if err != nil {
			if !errors.Is(err, ErrMalformed) {
				t.Fatal(err)
			}
			return
		}
		if got := m.encode(nil); !bytes.Equal(got, body) {
			t.Fatalf("%x and %x are the same manifest", body, got)
		}
	})
}
