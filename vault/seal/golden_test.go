package seal

import (
	"bytes"
	"strings"
	"testing"

	"github.com/holdfast-backup/holdfast/wire/goldentest"
	"github.com/holdfast-backup/holdfast/wire/id"
)

type golden struct {
	ContentKey goldentest.Hex
	Objects    []goldenObject
}

type goldenObject struct {
	About string
	Plain goldentest.Hex
	Key   goldentest.Hex
	ID    string
	Codec byte
	Nonce goldentest.Hex
	Body  goldentest.Hex
}

var goldenContentKey = ContentKey(bytes.Repeat([]byte{0x42}, 32))

func generate() golden {
	g := golden{ContentKey: goldenContentKey[:]}
	s := New(goldenContentKey)
	for i, c := range []struct {
		about string
		plain []byte
		level Level
	}{
		{"nothing", nil, LevelNone},
		{"a few bytes", []byte("hello, world"), LevelDefault},
		{"raw, though it could be shorter", []byte(strings.Repeat("ab", 50)), LevelNone},
		{"compressed", []byte(strings.Repeat("Holdfast keeps what it is given.\n", 20)), LevelDefault},
		{"compressed, in several blocks of zstd", bytes.Repeat([]byte{0}, 300_000), LevelDefault},
	} {
		k := s.Key(c.plain)
		nonce := bytes.Repeat([]byte{byte(i)}, nonceSize)
		body := appendBody(nil, k, [nonceSize]byte(nonce), c.plain, c.level)
		g.Objects = append(g.Objects, goldenObject{
			About: c.about, Plain: c.plain, Key: k[:], ID: k.ID().String(), Codec: codecOf(k, body), Nonce: nonce, Body: body,
		})
	}
	return g
}

// codecOf looks under the seal.
func codecOf(k Key, body []byte) byte {
	o := k.ID()
	b, err := newAEAD(k).Open(nil, body[:nonceSize], body[nonceSize:], o[:])
	if err != nil {
		panic(err)
	}
	return b[0]
}

func TestGoldenV1(t *testing.T) {
	t.Parallel()
	g := goldentest.Load(t, "objects-v1.json", generate)
	s := New(ContentKey(g.ContentKey))
	if len(g.Objects) < 5 {
		t.Fatalf("%d objects", len(g.Objects))
	}
	for _, o := range g.Objects {
		k := s.Key(o.Plain)
		if k != Key(o.Key) {
			t.Errorf("%s: key %x, want %x", o.About, k[:], o.Key)
		}
		if want, err := id.ParseObject(o.ID); err != nil || k.ID() != want {
			t.Errorf("%s: id %s, want %s", o.About, k.ID(), o.ID)
		}
		if got, err := s.Open(nil, k, o.Body); err != nil || !bytes.Equal(got, o.Plain) {
			t.Errorf("%s: opened as %q, %v", o.About, got, err)
		}
		if got := codecOf(k, o.Body); got != o.Codec {
			t.Errorf("%s: codec %d, want %d", o.About, got, o.Codec)
		}
		if !bytes.Equal(o.Body[:nonceSize], o.Nonce) {
			t.Errorf("%s: the body does not begin with its nonce", o.About)
		}
		// What zstd makes of a plaintext may change with its next release; raw bodies may not.
		if o.Codec == codecRaw {
			if got := appendBody(nil, k, [nonceSize]byte(o.Nonce), o.Plain, LevelNone); !bytes.Equal(got, o.Body) {
				t.Errorf("%s: sealed as %x, want %x", o.About, got, o.Body)
			}
		}
	}
}
