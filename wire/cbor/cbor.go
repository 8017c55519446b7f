// Package cbor writes and reads the small, deterministic subset of CBOR (RFC 8949, section 4.2.1) in which
// Holdfast stores everything that is not a pack: unsigned and negative integers, byte strings, text strings,
// arrays, maps, booleans and null, all of definite length and in shortest form.
//
// A value has exactly one encoding. The reader refuses every other one, so that equal things have equal
// bytes, and bounds every length by the bytes that are really there before it allocates.
package cbor

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"unicode/utf8"
)

// Major types, in the top three bits of an item's first byte.
const (
	majorUint  = 0
	majorNeg   = 1
	majorBytes = 2
	majorText  = 3
	majorArray = 4
	majorMap   = 5
	majorOther = 7
)

// AppendUint appends an unsigned integer.
func AppendUint(b []byte, v uint64) []byte { return appendHead(b, majorUint, v) }

// AppendInt appends a signed integer.
func AppendInt(b []byte, v int64) []byte {
	if v < 0 {
		return appendHead(b, majorNeg, uint64(-(v + 1)))
	}
	return appendHead(b, majorUint, uint64(v))
}

// AppendBytes appends a byte string.
func AppendBytes(b, v []byte) []byte { return append(appendHead(b, majorBytes, uint64(len(v))), v...) }

// AppendText appends a text string, which must be valid UTF-8: the reader refuses any other.
func AppendText(b []byte, v string) []byte {
	return append(appendHead(b, majorText, uint64(len(v))), v...)
}

// AppendArray appends the head of an array of n items; the caller appends the items.
func AppendArray(b []byte, n int) []byte { return appendHead(b, majorArray, uint64(n)) }

// AppendMap appends the head of a map of n pairs; the caller appends keys and values, with the keys in
// ascending order of their encodings.
func AppendMap(b []byte, n int) []byte { return appendHead(b, majorMap, uint64(n)) }

// AppendBool appends true or false.
func AppendBool(b []byte, v bool) []byte {
	if v {
		return append(b, majorOther<<5|21)
	}
	return append(b, majorOther<<5|20)
}

// AppendNull appends null.
func AppendNull(b []byte) []byte { return append(b, majorOther<<5|22) }

func appendHead(b []byte, major byte, v uint64) []byte {
	major <<= 5
	switch {
	case v < 24:
		return append(b, major|byte(v))
	case v <= math.MaxUint8:
		return append(b, major|24, byte(v))
	case v <= math.MaxUint16:
		return binary.BigEndian.AppendUint16(append(b, major|25), uint16(v))
	case v <= math.MaxUint32:
		return binary.BigEndian.AppendUint32(append(b, major|26), uint32(v))
	default:
		return binary.BigEndian.AppendUint64(append(b, major|27), v)
	}
}

// ErrMalformed is the kind of every error that a [Reader] gives.
var ErrMalformed = errors.New("malformed CBOR")

// Reader reads items one after another. The first error stays: every later read returns zero values, so a
// caller reads a whole record and asks [Reader.Err] once.
type Reader struct {
	buf []byte
	err error
}

// NewReader reads from b, which must not change while slices that [Reader.Bytes] returned are in use.
func NewReader(b []byte) *Reader { return &Reader{buf: b} }

// Err returns the first error, or nil.
func (r *Reader) Err() error { return r.err }

// Finish returns the first error; bytes left over are one.
func (r *Reader) Finish() error {
	if r.err == nil && len(r.buf) != 0 {
		r.fail("%d bytes after the end", len(r.buf))
	}
	return r.err
}

// More reports whether items may be left.
func (r *Reader) More() bool { return r.err == nil && len(r.buf) > 0 }

// Fail records an error of the caller's, such as a value out of range, unless there is one already.
func (r *Reader) Fail(format string, args ...any) { r.fail(format, args...) }

// Uint reads an unsigned integer.
func (r *Reader) Uint() uint64 { return r.want(majorUint) }

// Int reads a signed integer.
func (r *Reader) Int() int64 {
	major, v := r.head()
	switch {
	case r.err != nil:
		return 0
	case v > math.MaxInt64:
		r.fail("an integer beyond 64 bits")
		return 0
	case major == majorUint:
		return int64(v)
	case major == majorNeg:
		return -int64(v) - 1
	}
	r.fail("major type %d where an integer is due", major)
	return 0
}

// Bytes reads a byte string. The slice aliases the input.
func (r *Reader) Bytes() []byte { return r.take(r.want(majorBytes)) }

// Fixed reads a byte string of exactly len(dst) bytes into dst.
func (r *Reader) Fixed(dst []byte) {
	b := r.Bytes()
	if r.err == nil && len(b) != len(dst) {
		r.fail("%d bytes where %d are due", len(b), len(dst))
		return
	}
	copy(dst, b)
}

// Text reads a text string.
func (r *Reader) Text() string {
	b := r.take(r.want(majorText))
	if !utf8.Valid(b) {
		r.fail("text that is not UTF-8")
		return ""
	}
	return string(b)
}

// Array reads the head of an array and returns the number of its items, which is never more than there are
// bytes left: it is safe to allocate for.
func (r *Reader) Array() int { return r.count(r.want(majorArray), 1) }

// Map reads the head of a map and returns the number of its pairs, safe to allocate for. Order and uniqueness
// of the keys are the caller's to check.
func (r *Reader) Map() int { return r.count(r.want(majorMap), 2) }

// Bool reads true or false.
func (r *Reader) Bool() bool {
	switch major, v := r.head(); {
	case r.err != nil:
	case major == majorOther && v == 21:
		return true
	case major == majorOther && v == 20:
	default:
		r.fail("no boolean where one is due")
	}
	return false
}

// Null reads null if it comes next, and reports whether it did.
func (r *Reader) Null() bool {
	if r.err == nil && len(r.buf) > 0 && r.buf[0] == majorOther<<5|22 {
		r.buf = r.buf[1:]
		return true
	}
	return false
}

func (r *Reader) want(major byte) uint64 {
	m, v := r.head()
	if r.err == nil && m != major {
		r.fail("major type %d where %d is due", m, major)
	}
	if r.err != nil {
		return 0
	}
	return v
}

func (r *Reader) count(n uint64, each int) int {
	if r.err == nil && n > uint64(len(r.buf)/each) {
		r.fail("%d items in %d bytes", n, len(r.buf))
	}
	if r.err != nil {
		return 0
	}
	return int(n)
}

func (r *Reader) take(n uint64) []byte {
	if r.err == nil && n > uint64(len(r.buf)) {
		r.fail("a string of %d bytes in %d", n, len(r.buf))
	}
	if r.err != nil {
		return nil
	}
	b := r.buf[:n:n]
	r.buf = r.buf[n:]
	return b
}

// head reads an item's first bytes: its major type and the integer in shortest form.
func (r *Reader) head() (byte, uint64) {
	if r.err != nil {
		return 0, 0
	}
	if len(r.buf) == 0 {
		r.fail("it ends early")
		return 0, 0
	}
	major, info := r.buf[0]>>5, r.buf[0]&31
	r.buf = r.buf[1:]
	if info < 24 {
		return major, uint64(info)
	}
	if info > 27 || major == majorOther {
		r.fail("an item outside the subset")
		return 0, 0
	}
	n := 1 << (info - 24)
	if len(r.buf) < n {
		r.fail("it ends early")
		return 0, 0
	}
	var v uint64
	for _, c := range r.buf[:n] {
		v = v<<8 | uint64(c)
	}
	r.buf = r.buf[n:]
	if v < 24 || n > 1 && v>>(4*n) == 0 {
		r.fail("an integer that is not in shortest form")
		return 0, 0
	}
	return major, v
}

func (r *Reader) fail(format string, args ...any) {
	if r.err == nil {
		r.err = fmt.Errorf("%w: %s", ErrMalformed, fmt.Sprintf(format, args...))
		r.buf = nil
	}
}
