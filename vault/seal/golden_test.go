package seal

import (
	"bytes"
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
	Times int // the plaintext is Plain this many times
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
		plain string
		times int
		level Level
	}{
		{"nothing", "", 1, LevelNone},
		{"a few bytes", "hello, world", 1, LevelDefault},
		{"raw, though it could be shorter", "ab", 50, LevelNone},
		{"compressed", "Holdfast keeps what it is given.\n", 20, LevelDefault},
		{"compressed, in several blocks of zstd", "\x00", 300_000, LevelDefault},
	} {
		plain := bytes.Repeat([]byte(c.plain), c.times)
		k := s.Key(plain)
		nonce := bytes.Repeat([]byte{byte(i)}, nonceSize)
		body := appendBody(nil, k, [nonceSize]byte(nonce), plain, c.level)
		g.Objects = append(g.Objects, goldenObject{
			About: c.about, Plain: []byte(c.plain), Times: c.times,
			Key: k[:], ID: k.ID().String(), Codec: codecOf(k, body), Nonce: nonce, Body: body,
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
		plain := bytes.Repeat(o.Plain, o.Times)
		k := s.Key(plain)
		if k != Key(o.Key) {
			t.Errorf("%s: key %x, want %x", o.About, k[:], o.Key)
		}
		if want, err := id.ParseObject(o.ID); err != nil || k.ID() != want {
			t.Errorf("%s: id %s, want %s", o.About, k.ID(), o.ID)
		}
		if got, err := s.Open(nil, k, o.Body); err != nil || !bytes.Equal(got, plain) {
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
			if got := appendBody(nil, k, [nonceSize]byte(o.Nonce), plain, LevelNone); !bytes.Equal(got, o.Body) {
				t.Errorf("%s: sealed as %x, want %x", o.About, got, o.Body)
			}
		}
	}
}
