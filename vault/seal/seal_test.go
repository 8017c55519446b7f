package seal

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"runtime"
	"strings"
	"sync"
	"testing"

	"github.com/klauspost/compress/zstd"
	"pgregory.net/rapid"
)

// poolsForget is set under the race detector.
var poolsForget bool

var levels = []Level{LevelDefault, LevelFast, LevelBetter, LevelNone, Level(99)}

func TestWhatIsSealedOpens(t *testing.T) {
	t.Parallel()
	s := New(ContentKey{1, 2, 3})
	rapid.Check(t, func(t *rapid.T) {
		p := text(rapid.IntRange(0, 300_000).Draw(t, "text"), rapid.Uint64().Draw(t, "seed"))
		p = append(p, noise(rapid.IntRange(0, 3000).Draw(t, "noise"), 1)...)
		level := rapid.SampledFrom(levels).Draw(t, "level")
		prefix := rapid.SliceOf(rapid.Byte()).Draw(t, "before")
		k := s.Key(p)
		body := s.Append(bytes.Clone(prefix), k, p, level)
		if !bytes.HasPrefix(body, prefix) {
			t.Fatal("Append changed what was there")
		}
		body = body[len(prefix):]
		if len(body) > len(p)+Overhead {
			t.Fatalf("a body of %d bytes for %d", len(body), len(p))
		}
		before := bytes.Clone(body)
		got, err := s.Open(bytes.Clone(prefix), k, body)
		if err != nil || !bytes.HasPrefix(got, prefix) || !bytes.Equal(got[len(prefix):], p) {
			t.Fatalf("Open: %v", err)
		}
		if !bytes.Equal(before, body) {
			t.Fatal("Open changed the body")
		}
	})
}

func TestSizesAtTheEdges(t *testing.T) {
	t.Parallel()
	s := New(ContentKey{9})
	for _, n := range []int{0, 1, 255, 256, 257, 1023, 1024, 1025, 8191, 8192, 8193, 128 << 10, 128<<10 + 1, window, window + 1, MaxPlain - 1, MaxPlain} {
		for _, p := range [][]byte{noise(n, 3), make([]byte, n)} {
			for _, level := range []Level{LevelDefault, LevelFast, LevelNone} {
				k := s.Key(p)
				body := s.Append(nil, k, p, level)
				if len(body) > MaxBody {
					t.Errorf("%d bytes, level %d: a body of %d", n, level, len(body))
				}
				if got, err := s.Open(nil, k, body); err != nil || !bytes.Equal(got, p) {
					t.Errorf("%d bytes, level %d: %v", n, level, err)
				}
			}
		}
	}
}

func TestTooMuchPlaintextPanics(t *testing.T) {
	t.Parallel()
	defer func() {
		if recover() == nil {
			t.Error("sealed more than an object may hold")
		}
	}()
	New(ContentKey{}).Append(nil, Key{}, make([]byte, MaxPlain+1), LevelNone)
}

func TestBodiesOfOneObjectDiffer(t *testing.T) {
	t.Parallel()
	s := New(ContentKey{1})
	p := []byte("twice the same")
	k := s.Key(p)
	a := s.Append(nil, k, p, LevelNone)
	b := s.Append(nil, k, p, LevelNone)
	if bytes.Equal(a[:nonceSize], b[:nonceSize]) {
		t.Error("a nonce was used twice")
	}
}

func TestKeysBelongToASpace(t *testing.T) {
	t.Parallel()
	p := []byte("a file that two people have")
	a, b := New(ContentKey{1}), New(ContentKey{2})
	if again := New(ContentKey{1}).Key(p); again != a.Key(p) || again.ID() != a.Key(p).ID() {
		t.Error("the same plaintext has two keys in one space")
	}
	if a.Key(p) == b.Key(p) || a.Key(p).ID() == b.Key(p).ID() {
		t.Error("two spaces have the same key")
	}
	// The right key opens it, and yet the plaintext is not the one that has this key in b.
	if _, err := b.Open(nil, a.Key(p), a.Append(nil, a.Key(p), p, LevelNone)); !errors.Is(err, ErrDamaged) {
		t.Errorf("an object of another space: %v", err)
	}
}

func TestEveryFlippedByteShows(t *testing.T) {
	t.Parallel()
	s := New(ContentKey{5})
	for _, p := range [][]byte{nil, []byte("short"), text(2000, 1)} {
		k := s.Key(p)
		body := s.Append(nil, k, p, LevelDefault)
		for i := range body {
			for _, bit := range []byte{1, 0x80, 0xff} {
				bad := bytes.Clone(body)
				bad[i] ^= bit
				mustRefuse(t, s, k, bad, fmt.Sprintf("byte %d of %d flipped", i, len(body)))
			}
		}
		for n := range body {
			mustRefuse(t, s, k, body[:n], fmt.Sprintf("cut to %d of %d", n, len(body)))
			mustRefuse(t, s, k, body[n+1:], fmt.Sprintf("%d of %d cut off the front", n+1, len(body)))
		}
		mustRefuse(t, s, k, append(bytes.Clone(body), 0), "a byte more")
	}
}

// mustRefuse checks that Open gives the right error and gives dst back as it was.
func mustRefuse(t *testing.T, s *Sealer, k Key, body []byte, what string) {
	t.Helper()
	before := []byte("what was there")
	dst := append(make([]byte, 0, 4096), before...)
	got, err := s.Open(dst, k, body)
	if !errors.Is(err, ErrDamaged) {
		t.Errorf("%s: got %v, want ErrDamaged", what, err)
	}
	if !bytes.Equal(got, before) {
		t.Errorf("%s: got %d bytes along with the error", what, len(got))
	}
}

func TestWrongKey(t *testing.T) {
	t.Parallel()
	s := New(ContentKey{5})
	p, q := []byte("this one"), []byte("that one")
	body := s.Append(nil, s.Key(p), p, LevelDefault)
	mustRefuse(t, s, s.Key(q), body, "the key of another object")
	mustRefuse(t, s, Key{}, body, "no key")
	// A holder of the key who seals something else under it.
	mustRefuse(t, s, s.Key(p), s.Append(nil, s.Key(p), q, LevelDefault), "another plaintext under the key")
}

func TestLengthsAreBoundedFirst(t *testing.T) {
	t.Parallel()
	s := New(ContentKey{5})
	mustRefuse(t, s, Key{}, nil, "nothing")
	mustRefuse(t, s, Key{}, make([]byte, Overhead-1), "too short")
	mustRefuse(t, s, Key{}, make([]byte, MaxBody+1), "too long")
	// Sealed soundly by somebody who does not keep to the limits.
	p := noise(MaxPlain+1, 1)
	mustRefuse(t, s, s.Key(p), sealAs(s.Key(p), codecRaw, p), "more plaintext than an object may hold")
}

// sealAs seals what nobody should: any codec with any payload.
func sealAs(k Key, codec byte, payload []byte) []byte {
	var nonce [nonceSize]byte
	o := k.ID()
	return newAEAD(k).Seal(nonce[:], nonce[:], append([]byte{codec}, payload...), o[:])
}

// frame builds a zstd frame that declares size bytes and holds blocks of zeros: n in all.
func frame(size uint64, n int) []byte {
	b := binary.LittleEndian.AppendUint32(nil, 0xFD2FB528)
	b = append(b, 0b11_1_00000) // 8 bytes of size, one segment, no checksum, no dictionary
	b = binary.LittleEndian.AppendUint64(b, size)
	for n > 0 {
		block := min(n, 128<<10)
		n -= block
		head := uint32(block)<<3 | 1<<1 // a run of one byte
		if n == 0 {
			head |= 1 // the last block
		}
		b = append(b, byte(head), byte(head>>8), byte(head>>16), 0)
	}
	return b
}

func TestBombs(t *testing.T) {
	t.Parallel()
	s := New(ContentKey{5})
	zeros := func(n int) Key { return s.Key(make([]byte, n)) }

	// The tool first: a frame of this kind that is honest opens.
	if p, err := s.Open(nil, zeros(300_000), sealAs(zeros(300_000), codecZstd, frame(300_000, 300_000))); err != nil || len(p) != 300_000 {
		t.Fatalf("an honest frame: %d bytes, %v", len(p), err)
	}
	if p, err := s.Open(nil, zeros(MaxPlain), sealAs(zeros(MaxPlain), codecZstd, frame(MaxPlain, MaxPlain))); err != nil || len(p) != MaxPlain {
		t.Fatalf("the largest honest frame: %d bytes, %v", len(p), err)
	}

	stream := func(opts ...zstd.EOption) []byte { // without a size
		var b bytes.Buffer
		e, err := zstd.NewWriter(&b, opts...)
		if err != nil {
			t.Fatal(err)
		}
		for range 100 {
			e.Write(make([]byte, 100<<10))
		}
		e.Close()
		return b.Bytes()
	}
	windowed := binary.LittleEndian.AppendUint32(nil, 0xFD2FB528)
	windowed = append(windowed, 0b10_0_00000, 0xff)             // a window of terabytes …
	windowed = binary.LittleEndian.AppendUint32(windowed, 1000) // … for 1,000 bytes
	windowed = append(windowed, 1|1<<1|byte(1000<<3&0xff), 1000>>5, 0, 0)
	withDict := binary.LittleEndian.AppendUint32(nil, 0xFD2FB528)
	withDict = append(withDict, 0b10_1_00001, 7) // dictionary 7
	withDict = binary.LittleEndian.AppendUint32(withDict, 1000)
	withDict = append(withDict, 1|1<<1|byte(1000<<3&0xff), 1000>>5, 0, 0)

	for what, payload := range map[string][]byte{
		"nothing":                       {},
		"no frame":                      []byte("what is this?"),
		"a frame's magic":               {0x28, 0xb5, 0x2f, 0xfd},
		"more than it says":             frame(1000, 1_000_000),
		"less than it says":             frame(1_000_000, 1000),
		"a byte more than it says":      frame(1000, 1001),
		"a byte less than it says":      frame(1001, 1000),
		"more than an object":           frame(MaxPlain+1, MaxPlain+1),
		"a terabyte":                    frame(1<<40, 1000),
		"all that 64 bits can say":      frame(1<<64-1, 1000),
		"the sign bit":                  frame(1<<63, 1000),
		"two frames":                    append(frame(1000, 1000), frame(1000, 1000)...),
		"a frame and a skippable one":   append(frame(1000, 1000), 0x50, 0x2a, 0x4d, 0x18, 0, 0, 0, 0),
		"a frame and a byte":            append(frame(1000, 1000), 0),
		"a skippable frame":             {0x50, 0x2a, 0x4d, 0x18, 4, 0, 0, 0, 1, 2, 3, 4},
		"a frame that does not say":     stream(),
		"a frame with a window of gigs": windowed,
		"a frame with a dictionary":     withDict,
		"a frame that ends early":       frame(1_000_000, 1_000_000)[:20],
	} {
		for _, n := range []int{0, 1000, 1001, 1_000_000} {
			mustRefuse(t, s, zeros(n), sealAs(zeros(n), codecZstd, payload), what)
		}
	}
	for codec := 2; codec < 256; codec++ {
		mustRefuse(t, s, zeros(1000), sealAs(zeros(1000), byte(codec), make([]byte, 1000)), "a codec of the future")
	}
}

// A frame that says eight mebibytes may cost that. One that says more, or is found out, costs nothing.
func TestBombsTakeNoMemory(t *testing.T) {
	s := New(ContentKey{5})
	k := s.Key(nil)
	var before, after runtime.MemStats
	for _, payload := range [][]byte{frame(1<<40, MaxPlain), frame(1<<30, 1<<20), frame(1000, 1<<26)} {
		body := sealAs(k, codecZstd, payload)
		s.Open(nil, k, body) // fills the pools
		runtime.ReadMemStats(&before)
		if _, err := s.Open(nil, k, body); err == nil {
			t.Fatal("a bomb opened")
		}
		runtime.ReadMemStats(&after)
		if n := after.TotalAlloc - before.TotalAlloc; n > 2<<20 && !poolsForget {
			t.Errorf("refusing a bomb took %d KiB", n>>10)
		}
	}
}

func TestNoMemoryInSteadyState(t *testing.T) {
	s := New(ContentKey{5})
	for _, p := range [][]byte{text(1<<20, 1), noise(1<<20, 1), text(3000, 1)} {
		k := s.Key(p)
		dst := make([]byte, 0, len(p)+len(p)/200+1000)
		body := s.Append(nil, k, p, LevelDefault)
		out := make([]byte, 0, len(p)+100)
		for what, c := range map[string]struct {
			most float64
			f    func()
		}{
			"Key":    {0, func() { s.Key(p) }},
			"ID":     {0, func() { k.ID() }},
			"Append": {4, func() { s.Append(dst, k, p, LevelDefault) }}, // the AES key schedule and GCM's tables
			"Open":   {4, func() { s.Open(out, k, body) }},
		} {
			if n := testing.AllocsPerRun(20, c.f); n > c.most && !poolsForget {
				t.Errorf("%s of %d bytes: %.0f allocations, want %.0f at most", what, len(p), n, c.most)
			}
		}
		if got := s.Append(dst, k, p, LevelDefault); &got[0] != &dst[:1][0] {
			t.Errorf("Append of %d bytes did not use dst", len(p))
		}
	}
}

func TestManyAtOnce(t *testing.T) {
	t.Parallel()
	s := New(ContentKey{6})
	var wg sync.WaitGroup
	for i := range 8 {
		wg.Go(func() {
			for j := range 50 {
				p := text(1+1000*j, uint64(i))
				k := s.Key(p)
				body := s.Append(nil, k, p, levels[j%len(levels)])
				if got, err := s.Open(nil, k, body); err != nil || !bytes.Equal(got, p) {
					t.Errorf("%d bytes: %v", len(p), err)
				}
			}
		})
	}
	wg.Wait()
}

func TestKeysDoNotPrint(t *testing.T) {
	t.Parallel()
	k, ck := Key(bytes.Repeat([]byte{0xab}, 32)), ContentKey(bytes.Repeat([]byte{0xab}, 32))
	for _, verb := range []string{"%v", "%+v", "%s", "%x"} {
		for _, v := range []any{k, ck, &k, struct{ K Key }{k}} {
			if s := fmt.Sprintf(verb, v); strings.Contains(s, "abab") || strings.Contains(s, "171 171") {
				t.Errorf("%s of %T prints %s", verb, v, s)
			}
		}
	}
}

// FuzzPayload seals whatever it is given, as a hostile holder of the keys could, and opens it.
func FuzzPayload(f *testing.F) {
	s := New(ContentKey{7})
	f.Add(byte(codecRaw), []byte("hello"))
	f.Add(byte(codecZstd), frame(1000, 1000))
	f.Add(byte(codecZstd), frame(1<<40, 1000))
	e, _ := zstd.NewWriter(nil)
	f.Add(byte(codecZstd), e.EncodeAll(text(5000, 1), nil))
	k := s.Key(make([]byte, 1000))
	f.Fuzz(func(t *testing.T, codec byte, payload []byte) {
		p, err := s.Open(nil, k, sealAs(k, codec, payload))
		if err == nil && !bytes.Equal(p, make([]byte, 1000)) {
			t.Fatalf("%d bytes that have another key", len(p))
		}
		if err != nil && !errors.Is(err, ErrDamaged) {
			t.Fatal(err)
		}
	})
}

// FuzzOpen opens whatever it is given.
func FuzzOpen(f *testing.F) {
	s := New(ContentKey{7})
	p := []byte("hello")
	k := s.Key(p)
	f.Add(s.Append(nil, k, p, LevelDefault))
	f.Fuzz(func(t *testing.T, body []byte) {
		if got, err := s.Open(nil, k, body); err == nil && !bytes.Equal(got, p) {
			t.Fatalf("opened as %q", got)
		}
	})
}
