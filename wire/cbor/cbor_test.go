package cbor

import (
	"bytes"
	"encoding/hex"
	"errors"
	"fmt"
	"math"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

func unhex(t testing.TB, s string) []byte {
	t.Helper()
	b, err := hex.DecodeString(strings.ReplaceAll(s, " ", ""))
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// The examples of RFC 8949, appendix A, that lie in the subset.
func TestExamplesOfTheRFC(t *testing.T) {
	t.Parallel()
	for want, got := range map[string][]byte{
		"00":                 AppendUint(nil, 0),
		"01":                 AppendUint(nil, 1),
		"0a":                 AppendUint(nil, 10),
		"17":                 AppendUint(nil, 23),
		"1818":               AppendUint(nil, 24),
		"1819":               AppendUint(nil, 25),
		"1864":               AppendUint(nil, 100),
		"1903e8":             AppendUint(nil, 1000),
		"1a000f4240":         AppendUint(nil, 1000000),
		"1b000000e8d4a51000": AppendUint(nil, 1000000000000),
		"1bffffffffffffffff": AppendUint(nil, 18446744073709551615),
		"20":                 AppendInt(nil, -1),
		"29":                 AppendInt(nil, -10),
		"3863":               AppendInt(nil, -100),
		"3903e7":             AppendInt(nil, -1000),
		"1903e7":             AppendInt(nil, 999),
		"1b7fffffffffffffff": AppendInt(nil, math.MaxInt64),
		"3b7fffffffffffffff": AppendInt(nil, math.MinInt64),
		"f4":                 AppendBool(nil, false),
		"f5":                 AppendBool(nil, true),
		"f6":                 AppendNull(nil),
		"40":                 AppendBytes(nil, nil),
		"4401020304":         AppendBytes(nil, []byte{1, 2, 3, 4}),
		"60":                 AppendText(nil, ""),
		"6449455446":         AppendText(nil, "IETF"),
		"62c3bc":             AppendText(nil, "ü"),
		"63e6b0b4":           AppendText(nil, "水"),
		"80":                 AppendArray(nil, 0),
		"83010203":           AppendUint(AppendUint(AppendUint(AppendArray(nil, 3), 1), 2), 3),
		"a0":                 AppendMap(nil, 0),
		"a201020304":         AppendUint(AppendUint(AppendUint(AppendUint(AppendMap(nil, 2), 1), 2), 3), 4),
	} {
		if hex.EncodeToString(got) != want {
			t.Errorf("got %x, want %s", got, want)
		}
		if b, err := again(unhex(t, want)); err != nil || hex.EncodeToString(b) != want {
			t.Errorf("%s read and written again is %x, %v", want, b, err)
		}
	}
}

// again reads everything in b and writes it.
func again(b []byte) ([]byte, error) {
	r := NewReader(b)
	var out []byte
	for r.More() {
		out = item(r, out, 0)
	}
	return out, r.Finish()
}

// item reads one item, whatever it is, and writes it.
func item(r *Reader, out []byte, depth int) []byte {
	if depth > 100 {
		r.Fail("too deep for a test")
		return out
	}
	switch first := r.buf[0]; first >> 5 {
	case majorUint:
		return AppendUint(out, r.Uint())
	case majorNeg:
		return AppendInt(out, r.Int())
	case majorBytes:
		return AppendBytes(out, r.Bytes())
	case majorText:
		return AppendText(out, r.Text())
	case majorArray, majorMap:
		var n int
		if first>>5 == majorArray {
			n = r.Array()
			out = AppendArray(out, n)
		} else {
			n = r.Map()
			out = AppendMap(out, n)
			n *= 2
		}
		for range n {
			if !r.More() {
				r.Uint() // says that it ends early
				return out
			}
			out = item(r, out, depth+1)
		}
		return out
	default:
		if r.Null() {
			return AppendNull(out)
		}
		return AppendBool(out, r.Bool())
	}
}

func TestWhatIsWrittenReads(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		u, i := rapid.Uint64().Draw(t, "uint"), rapid.Int64().Draw(t, "int")
		b, s := rapid.SliceOf(rapid.Byte()).Draw(t, "bytes"), rapid.String().Draw(t, "text")
		n, v := rapid.IntRange(0, 70000).Draw(t, "items"), rapid.Bool().Draw(t, "bool")
		w := AppendText(AppendBytes(AppendInt(AppendUint(nil, u), i), b), s)
		w = AppendNull(AppendBool(w, v))
		w = append(AppendArray(w, n), make([]byte, n)...)
		w = append(AppendMap(w, n/2), make([]byte, n)...)
		r := NewReader(w)
		if got := r.Uint(); got != u {
			t.Fatalf("Uint: %d, want %d", got, u)
		}
		if got := r.Int(); got != i {
			t.Fatalf("Int: %d, want %d", got, i)
		}
		if got := r.Bytes(); !bytes.Equal(got, b) || cap(got) != len(got) {
			t.Fatalf("Bytes: %x, want %x", got, b)
		}
		if got := r.Text(); got != s {
			t.Fatalf("Text: %q, want %q", got, s)
		}
		if r.Null() {
			t.Fatal("a boolean is null")
		}
		if got := r.Bool(); got != v {
			t.Fatalf("Bool: %v, want %v", got, v)
		}
		if !r.Null() {
			t.Fatal("null is not null")
		}
		if got := r.Array(); got != n {
			t.Fatalf("Array: %d, want %d", got, n)
		}
		for range n {
			r.Uint()
		}
		if got := r.Map(); got != n/2 {
			t.Fatalf("Map: %d, want %d", got, n/2)
		}
		for range n {
			r.Uint()
		}
		if r.More() {
			t.Fatal("more than was written")
		}
		if err := r.Finish(); err != nil {
			t.Fatal(err)
		}
	})
}

func TestMalformed(t *testing.T) {
	t.Parallel()
	uintOf := func(r *Reader) { r.Uint() }
	intOf := func(r *Reader) { r.Int() }
	bytesOf := func(r *Reader) { r.Bytes() }
	textOf := func(r *Reader) { r.Text() }
	arrayOf := func(r *Reader) { r.Array() }
	mapOf := func(r *Reader) { r.Map() }
	boolOf := func(r *Reader) { r.Bool() }
	fixed := func(r *Reader) { r.Fixed(make([]byte, 2)) }
	for _, c := range []struct {
		about string
		hex   string
		read  func(*Reader)
		want  string
	}{
		{"nothing", "", uintOf, "ends early"},
		{"nothing", "", intOf, "ends early"},
		{"nothing", "", boolOf, "ends early"},
		{"nothing", "", arrayOf, "ends early"},
		{"half an integer", "18", uintOf, "ends early"},
		{"half an integer", "19 01", uintOf, "ends early"},
		{"half an integer", "1b 01020304050607", uintOf, "ends early"},
		{"23 in two bytes", "18 17", uintOf, "shortest"},
		{"255 in three bytes", "19 00ff", uintOf, "shortest"},
		{"65535 in five bytes", "1a 0000ffff", uintOf, "shortest"},
		{"2^32-1 in nine bytes", "1b 00000000ffffffff", uintOf, "shortest"},
		{"a length not in shortest form", "58 01 00", bytesOf, "shortest"},
		{"reserved 28", "1c", uintOf, "subset"},
		{"reserved 30", "1e", uintOf, "subset"},
		{"a string of no definite length", "5f", bytesOf, "subset"},
		{"an array of no definite length", "9f", arrayOf, "subset"},
		{"a map of no definite length", "bf", mapOf, "subset"},
		{"a half float", "f9 0000", boolOf, "subset"},
		{"a double", "fb 0000000000000000", boolOf, "subset"},
		{"undefined", "f7", boolOf, "boolean"},
		{"a simple value", "f0", boolOf, "boolean"},
		{"null for a boolean", "f6", boolOf, "boolean"},
		{"21 for a boolean", "15", boolOf, "boolean"},
		{"a tag", "c1 00", uintOf, "major type 6"},
		{"text for bytes", "60", bytesOf, "major type 3"},
		{"bytes for text", "40", textOf, "major type 2"},
		{"a map for an array", "a0", arrayOf, "major type 5"},
		{"an array for a map", "80", mapOf, "major type 4"},
		{"-1 for an unsigned integer", "20", uintOf, "major type 1"},
		{"bytes for an integer", "40", intOf, "integer is due"},
		{"true for an integer", "f5", intOf, "integer is due"},
		{"2^63", "1b 8000000000000000", intOf, "beyond"},
		{"-2^63-1", "3b 8000000000000000", intOf, "beyond"},
		{"a long string", "41", bytesOf, "1 bytes in 0"},
		{"a very long string", "5b ffffffffffffffff 00", bytesOf, "in 1"},
		{"text that is not UTF-8", "61 ff", textOf, "UTF-8"},
		{"a surrogate", "63 eda080", textOf, "UTF-8"},
		{"more items than bytes", "82 00", arrayOf, "2 items"},
		{"very many items", "9b ffffffffffffffff 00", arrayOf, "items"},
		{"more pairs than bytes", "a2 00 00 00", mapOf, "2 items"},
		{"2^63 pairs", "bb 8000000000000000 00", mapOf, "items"},
		{"a byte too few", "41 00", fixed, "1 bytes where 2"},
		{"a byte too many", "43 000000", fixed, "3 bytes where 2"},
		{"text where two bytes are due", "62 6161", fixed, "major type 3"},
	} {
		r := NewReader(unhex(t, c.hex))
		c.read(r)
		err := r.Err()
		if !errors.Is(err, ErrMalformed) || !strings.Contains(fmt.Sprint(err), c.want) {
			t.Errorf("%s (%s): got %v, want …%s…", c.about, c.hex, err, c.want)
		}
		if r.Finish() != err || r.More() {
			t.Errorf("%s: the error does not stay", c.about)
		}
	}
}

func TestTheFirstErrorStays(t *testing.T) {
	t.Parallel()
	r := NewReader(unhex(t, "40 01 f5 f6"))
	r.Uint()
	first := r.Err()
	dst := []byte{1, 2}
	r.Fixed(dst)
	if r.Uint() != 0 || r.Int() != 0 || r.Bytes() != nil || r.Text() != "" || r.Array() != 0 || r.Map() != 0 || r.Bool() || r.Null() || dst[0] != 1 {
		t.Error("something was read after an error")
	}
	r.Fail("another")
	if r.Err() != first || r.Finish() != first {
		t.Error("a later error took the place of the first")
	}
	r = NewReader([]byte{1, 2})
	r.Uint()
	if err := r.Finish(); !errors.Is(err, ErrMalformed) || !strings.Contains(err.Error(), "1 bytes after the end") {
		t.Errorf("bytes left over: %v", err)
	}
	r = NewReader([]byte{1})
	if r.Uint(); r.Null() {
		t.Error("null at the end")
	}
	r.Fail("%d is out of range", 1)
	if err := r.Err(); !errors.Is(err, ErrMalformed) || !strings.Contains(err.Error(), "1 is out of range") {
		t.Errorf("the caller's error: %v", err)
	}
}

func TestBytesCannotBeGrownIntoTheInput(t *testing.T) {
	t.Parallel()
	in := unhex(t, "41 01 41 02")
	r := NewReader(in)
	_ = append(r.Bytes(), 0xff)
	if !bytes.Equal(in, unhex(t, "41 01 41 02")) {
		t.Error("append to a slice that was read changed the input")
	}
}

// FuzzReader finds bytes that read without an error and would be written otherwise.
func FuzzReader(f *testing.F) {
	for _, s := range []string{"", "00", "1818", "3863", "4401020304", "62c3bc", "83010203", "a201020304", "f4f5f6", "9bffffffffffffffff", "5f"} {
		f.Add(unhex(f, s))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		out, err := again(b)
		if err != nil {
			if !errors.Is(err, ErrMalformed) {
				t.Fatal(err)
			}
			return
		}
		if !bytes.Equal(out, b) {
			t.Fatalf("%x and %x are the same", b, out)
		}
	})
}
