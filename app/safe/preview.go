package safe

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"io"
	"unicode/utf16"
	"unicode/utf8"

	"github.com/holdfast-backup/holdfast/app/talk"
	"github.com/holdfast-backup/holdfast/vault/restore"
	"github.com/holdfast-backup/holdfast/vault/tree"
)

// Limits of a preview, in bytes.
const (
	maxText  = 256 << 10
	maxImage = 32 << 20
)

// images are the pictures that every browser shows, by how they begin. Those that may hold scripts are not among them.
var images = []struct {
	begin  string
	offset int
	kind   string
}{
	{"\x89PNG\r\n\x1a\n", 0, "image/png"},
	{"\xff\xd8\xff", 0, "image/jpeg"},
	{"GIF87a", 0, "image/gif"},
	{"GIF89a", 0, "image/gif"},
	{"WEBP", 8, "image/webp"},
	{"ftypavif", 4, "image/avif"},
	{"BM", 0, "image/bmp"},
}

func image(b []byte) string {
	for _, i := range images {
		if len(b) >= i.offset && bytes.HasPrefix(b[i.offset:], []byte(i.begin)) {
			return i.kind
		}
	}
	return ""
}

// preview looks into a file: what it is shows in what it holds, not in its name.
func (s *Safe) preview(ctx context.Context, c call, in talk.Path) (talk.Preview, error) {
	e, err := c.entry(ctx, in)
	if err != nil {
		return talk.Preview{}, err
	}
	out := talk.Preview{Kind: "none", Size: e.Size}
	if e.Type != tree.File {
		out.Why = "This is not a file."
		return out, nil
	}
	b, err := head(ctx, c.objects, e, maxText)
	if err != nil {
		return talk.Preview{}, err
	}
	out.Truncated = int64(len(b)) < e.Size
	kind := image(b)
	text, isText := decode(b, out.Truncated)
	switch {
	case kind != "" && e.Size > maxImage:
		out.Why = "This picture is too large for a preview: download it."
	case kind != "":
		m := s.out.Memory(kind)
		if _, err := copyFile(ctx, m, c.objects, e, func(int64) {}); err != nil {
			m.Abort(err.Error())
			return talk.Preview{}, err
		}
		out.Kind, out.URL, out.Truncated = "image", m.URL(), false
	case isText:
		out.Kind, out.Text = "text", text
	default:
		out.Why = "There is no preview for this sort of file: download it."
	}
	return out, nil
}

// head reads the first n bytes of a file, or all of it.
func head(ctx context.Context, objects *restore.Objects, e *tree.Entry, n int64) ([]byte, error) {
	enough := errors.New("enough")
	part := tree.Entry{Path: e.Path, Type: tree.File}
	err := tree.Chunks(ctx, objects, e, func(c tree.Chunk) error {
		part.Chunks = append(part.Chunks, c)
		if part.Size += c.Size; part.Size >= n {
			return enough
		}
		return nil
	})
	if err != nil && err != enough {
		return nil, err
	}
	r := restore.OpenFile(ctx, objects, &part)
	defer r.Close()
	return io.ReadAll(io.LimitReader(r, n))
}

// decode reads a text: UTF-8, or UTF-16 that says so. cut says that it may end within a character.
func decode(b []byte, cut bool) (string, bool) {
	var order binary.ByteOrder
	switch {
	case bytes.HasPrefix(b, []byte{0xff, 0xfe}):
		order = binary.LittleEndian
	case bytes.HasPrefix(b, []byte{0xfe, 0xff}):
		order = binary.BigEndian
	default:
		b = bytes.TrimPrefix(b, []byte("\xef\xbb\xbf"))
		for i := 0; cut && i < utf8.UTFMax-1 && len(b) > 0 && !utf8.Valid(b); i++ {
			b = b[:len(b)-1]
		}
		return string(b), utf8.Valid(b) && bytes.IndexByte(b, 0) < 0
	}
	units := make([]uint16, 0, len(b)/2)
	for b = b[2:]; len(b) >= 2; b = b[2:] {
		units = append(units, order.Uint16(b))
	}
	return string(utf16.Decode(units)), true
}
