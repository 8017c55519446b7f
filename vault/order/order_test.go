package order

import (
	"bytes"
	"errors"
	"reflect"
	"strings"
	"sync"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/holdfast-backup/holdfast/vault/keyring"
	"github.com/holdfast-backup/holdfast/vault/restore"
	"github.com/holdfast-backup/holdfast/vault/seal"
	"github.com/holdfast-backup/holdfast/wire/id"
)

// people are an account, its device, another account, and another device.
type people struct {
	account, stranger *keyring.Account
	device, other     *keyring.Device
}

// cast is made once: tests change none of it.
var cast = sync.OnceValue(func() people {
	var p people
	var errs [4]error
	p.account, errs[0] = keyring.NewAccount()
	p.stranger, errs[1] = keyring.NewAccount()
	p.device, errs[2] = keyring.NewDevice()
	p.other, errs[3] = keyring.NewDevice()
	if err := errors.Join(errs[:]...); err != nil {
		panic(err)
	}
	return p
})

var issued = time.Unix(1_800_000_000, 123_456_789).UTC()

func fill(b byte, n int) []byte { return bytes.Repeat([]byte{b}, n) }

func example() *Order {
	return &Order{
		ID:         ID(fill(6, 16)),
		Device:     id.Device(fill(8, 16)),
		Snapshot:   id.Snapshot(fill(9, 16)),
		Root:       seal.Key(fill(7, 32)),
		Paths:      []string{"home/zoë/thesis", "srv/\xff\xfe"},
		Extensions: []string{".docx", ".pdf"},
		To:         "/home/zoë/restored",
		Conflict:   KeepBoth,
		Issued:     issued,
		Expires:    issued.Add(7 * 24 * time.Hour),
	}
}

func paths() *rapid.Generator[string] {
	name := rapid.SliceOfN(rapid.ByteRange('0', 0xff), 1, 20)
	return rapid.Map(rapid.SliceOfN(name, 1, 4), func(names [][]byte) string { return string(bytes.Join(names, []byte{'/'})) })
}

func drawIDs[T ~[16]byte](t *rapid.T, label string) T {
	b := rapid.SliceOfN(rapid.Byte(), 16, 16).Draw(t, label)
	b[0] |= 1
	return T(b)
}

func orders() *rapid.Generator[*Order] {
	return rapid.Custom(func(t *rapid.T) *Order {
		at := time.Unix(0, rapid.Int64Range(-1<<62, 1<<62).Draw(t, "issued")).UTC()
		o := &Order{
			ID: drawIDs[ID](t, "id"), Device: drawIDs[id.Device](t, "device"), Snapshot: drawIDs[id.Snapshot](t, "snapshot"),
			Root:     seal.Key(append(rapid.SliceOfN(rapid.Byte(), 31, 31).Draw(t, "root"), 1)),
			To:       rapid.SampledFrom([]string{"", "/", "/srv/x", `C:\x`, "d:/y", `\\server\share`}).Draw(t, "to"),
			Conflict: Conflict(rapid.IntRange(0, int(conflicts)-1).Draw(t, "conflict")),
			Issued:   at, Expires: at.Add(time.Duration(rapid.Int64Range(0, int64(MaxLife)).Draw(t, "life"))),
		}
		if n := rapid.IntRange(0, 5).Draw(t, "paths"); n > 0 {
			o.Paths = rapid.SliceOfN(paths(), n, n).Draw(t, "list")
		}
		if n := rapid.IntRange(0, 3).Draw(t, "extensions"); n > 0 {
			o.Extensions = rapid.SliceOfN(rapid.StringMatching(`\.[a-zé]{1,9}`), n, n).Draw(t, "exts")
		}
		return o
	})
}

func TestOrdersArrive(t *testing.T) {
	t.Parallel()
	p := cast()
	space := p.account.Space()
	rapid.Check(t, func(t *rapid.T) {
		o := orders().Draw(t, "order")
		b, err := o.Seal(space, p.device.Public())
		if err != nil {
			t.Fatal(err)
		}
		got, err := Open(p.device, space, b, o.Device, o.Issued)
		if err != nil {
			t.Fatal(err)
		}
		if !reflect.DeepEqual(got, o) {
			t.Fatalf("got  %+v\nwant %+v", got, o)
		}
		if !bytes.Equal(got.encode(), o.encode()) {
			t.Fatal("the same order has two encodings")
		}
	})
}

func mustSeal(t *testing.T, o *Order, space *keyring.Space, public []byte) []byte {
	t.Helper()
	b, err := o.Seal(space, public)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func TestOnlyItsDeviceObeysAndOnlyItsAccountOrders(t *testing.T) {
	t.Parallel()
	p := cast()
	space, o := p.account.Space(), example()
	b := mustSeal(t, o, space, p.device.Public())
	for name, c := range map[string]struct {
		device *keyring.Device
		space  *keyring.Space
		sealed []byte
		self   id.Device
		now    time.Time
		want   error
	}{
		"as it should be":          {p.device, space, b, o.Device, issued, nil},
		"another device's key":     {p.other, space, b, o.Device, issued, keyring.ErrWrongKey},
		"another device's name":    {p.device, space, b, id.Device(fill(5, 16)), issued, ErrNotOurs},
		"a clock that is slow":     {p.device, space, b, o.Device, issued.Add(-Tolerance), nil},
		"a clock that is too slow": {p.device, space, b, o.Device, issued.Add(-Tolerance - 1), ErrTooEarly},
		"the last moment":          {p.device, space, b, o.Device, o.Expires.Add(Tolerance), nil},
		"too late":                 {p.device, space, b, o.Device, o.Expires.Add(Tolerance + 1), ErrExpired},
		// A server knows every public key, and not the space key.
		"another account's order": {p.device, space, mustSeal(t, o, p.stranger.Space(), p.device.Public()), o.Device, issued, ErrForged},
		"too long":                {p.device, space, make([]byte, MaxSealed+1), o.Device, issued, ErrMalformed},
		"nothing":                 {p.device, space, nil, o.Device, issued, keyring.ErrMalformed},
	} {
		got, err := Open(c.device, c.space, c.sealed, c.self, c.now)
		if !errors.Is(err, c.want) {
			t.Errorf("%s: %v, want %v", name, err, c.want)
		}
		genuine := err == nil || errors.Is(err, ErrNotOurs) || errors.Is(err, ErrTooEarly) || errors.Is(err, ErrExpired)
		if (got != nil) != genuine {
			t.Errorf("%s: the order is %v beside %v", name, got, err)
		}
	}
	if _, err := o.Seal(space, []byte("no key")); err == nil {
		t.Error("sealed to no key")
	}
}

// What was made for one purpose serves no other, even if it is sealed again by whoever could open it.
func TestKindsAreNotMixedUp(t *testing.T) {
	t.Parallel()
	p := cast()
	space, body := p.account.Space(), example().encode()
	for _, info := range []string{InfoReport, InfoNote, "holdfast/v1/manifest"} {
		b, err := keyring.SealTo(p.device.Public(), InfoOrder, signed(space, info, body))
		if err != nil {
			t.Fatal(err)
		}
		if _, err := Open(p.device, space, b, example().Device, issued); !errors.Is(err, ErrForged) {
			t.Errorf("signed for %s: %v", info, err)
		}
		if b, err = keyring.SealTo(p.device.Public(), info, signed(space, InfoOrder, body)); err != nil {
			t.Fatal(err)
		}
		if _, err := Open(p.device, space, b, example().Device, issued); !errors.Is(err, keyring.ErrWrongKey) {
			t.Errorf("sealed for %s: %v", info, err)
		}
	}
	infos := []string{InfoOrder, InfoReport, InfoNote}
	for i, a := range infos {
		for j, b := range infos {
			if i != j && strings.HasPrefix(a, b) {
				t.Errorf("%s begins %s", b, a)
			}
		}
	}
}

func TestEveryFlippedByteShows(t *testing.T) {
	t.Parallel()
	p := cast()
	space := p.account.Space()
	plain := signed(space, InfoOrder, example().encode())
	for i := range plain {
		bad := bytes.Clone(plain)
		bad[i] ^= 1
		want := ErrForged
		if i == 0 {
			want = ErrMalformed
		}
		if _, err := verify(space, InfoOrder, bad); !errors.Is(err, want) {
			t.Fatalf("byte %d of the plaintext flipped: %v", i, err)
		}
	}
	for n := range plain {
		if _, err := verify(space, InfoOrder, plain[:n]); !errors.Is(err, ErrForged) && !errors.Is(err, ErrMalformed) {
			t.Fatalf("the plaintext cut to %d bytes: %v", n, err)
		}
	}
	b := mustSeal(t, example(), space, p.device.Public())
	for i := range b {
		bad := bytes.Clone(b)
		bad[i] ^= 1
		if _, err := Open(p.device, space, bad, example().Device, issued); !errors.Is(err, keyring.ErrWrongKey) && !errors.Is(err, keyring.ErrMalformed) {
			t.Fatalf("byte %d flipped: %v", i, err)
		}
	}
}

// wrong are orders that are neither sealed nor obeyed.
func wrong() map[string]func(*Order) {
	return map[string]func(*Order){
		"no id":                  func(o *Order) { o.ID = ID{} },
		"no device":              func(o *Order) { o.Device = id.Device{} },
		"no snapshot":            func(o *Order) { o.Snapshot = id.Snapshot{} },
		"no root":                func(o *Order) { o.Root = seal.Key{} },
		"an unknown rule":        func(o *Order) { o.Conflict = conflicts },
		"too many paths":         func(o *Order) { o.Paths = make([]string, MaxPaths+1) },
		"an empty path":          func(o *Order) { o.Paths[0] = "" },
		"an absolute path":       func(o *Order) { o.Paths[0] = "/etc" },
		"a path that climbs":     func(o *Order) { o.Paths[0] = "home/../etc" },
		"a path with a NUL":      func(o *Order) { o.Paths[0] = "a\x00b" },
		"too many extensions":    func(o *Order) { o.Extensions = make([]string, MaxExtensions+1) },
		"no dot":                 func(o *Order) { o.Extensions[0] = "docx" },
		"only a dot":             func(o *Order) { o.Extensions[0] = "." },
		"an extension of dirs":   func(o *Order) { o.Extensions[0] = ".a/b" },
		"an endless extension":   func(o *Order) { o.Extensions[0] = "." + strings.Repeat("x", maxExtension) },
		"not UTF-8":              func(o *Order) { o.Extensions[0] = ".\xff" },
		"a relative destination": func(o *Order) { o.To = "restored" },
		"no drive":               func(o *Order) { o.To = `1:\x` },
		"only a drive":           func(o *Order) { o.To = `C:` },
		"a drive's own folder":   func(o *Order) { o.To = `C:x` },
		"a destination of bytes": func(o *Order) { o.To = "/\xff" },
		"a destination with NUL": func(o *Order) { o.To = "/a\x00" },
		"an endless destination": func(o *Order) { o.To = "/" + strings.Repeat("x", maxTo) },
		"over before it begins":  func(o *Order) { o.Expires = o.Issued.Add(-1) },
		"lives too long":         func(o *Order) { o.Expires = o.Issued.Add(MaxLife + 1) },
	}
}

func TestSealRefuses(t *testing.T) {
	t.Parallel()
	p := cast()
	bad := wrong()
	bad["never issued"] = func(o *Order) { o.Issued = time.Time{} }
	bad["far future"] = func(o *Order) { o.Expires = time.Date(2300, 1, 1, 0, 0, 0, 0, time.UTC) }
	bad["too many bytes"] = func(o *Order) {
		for range MaxPaths - 2 {
			o.Paths = append(o.Paths, strings.Repeat("x", 60))
		}
	}
	for name, change := range bad {
		o := example()
		change(o)
		if _, err := o.Seal(p.account.Space(), p.device.Public()); err == nil {
			t.Errorf("%s: sealed", name)
		}
	}
}

// A member of the account could sign nonsense: the decoder does not rely on the MAC.
func TestDecoderIsStrict(t *testing.T) {
	t.Parallel()
	body := example().encode()
	strict(t, body, func(b []byte) (encoder, error) { return decode(b) })
	for name, change := range wrong() {
		o := example()
		change(o)
		if _, err := decode(o.encode()); !errors.Is(err, ErrMalformed) {
			t.Errorf("%s: %v", name, err)
		}
	}
	b := mustSign(t, []byte("nonsense"))
	if _, err := Open(cast().device, cast().account.Space(), b, example().Device, issued); !errors.Is(err, ErrMalformed) {
		t.Errorf("signed nonsense: %v", err)
	}
}

func mustSign(t *testing.T, body []byte) []byte {
	t.Helper()
	b, err := keyring.SealTo(cast().device.Public(), InfoOrder, signed(cast().account.Space(), InfoOrder, body))
	if err != nil {
		t.Fatal(err)
	}
	return b
}

type encoder interface{ encode() []byte }

// strict shows that a decoder takes no part of a body, nothing more than a body, and each value in one encoding only.
func strict(t *testing.T, body []byte, decode func([]byte) (encoder, error)) {
	t.Helper()
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
			if v, err := decode(bad); err == nil && !bytes.Equal(v.encode(), bad) {
				t.Fatalf("byte %d flipped: the same value in two encodings", i)
			}
		}
	}
	if _, err := decode(append([]byte{body[0], 2}, body[2:]...)); !errors.Is(err, ErrMalformed) {
		t.Errorf("another key: %v", err)
	}
	if _, err := decode(append([]byte{body[0] - 1}, body[1:]...)); !errors.Is(err, ErrMalformed) {
		t.Errorf("a field fewer: %v", err)
	}
}

// The rules have the numbers that vault/restore gives them, and the command line's names.
func TestConflicts(t *testing.T) {
	t.Parallel()
	for c, want := range map[Conflict]restore.Conflict{Skip: restore.Skip, Overwrite: restore.Overwrite, KeepBoth: restore.KeepBoth} {
		if restore.Conflict(c) != want {
			t.Errorf("%v is %d", c, c)
		}
	}
	for c, want := range []string{"skip", "overwrite", "keep-both", "conflict rule 3"} {
		if got := Conflict(c).String(); got != want {
			t.Errorf("%d is %q, want %q", c, got, want)
		}
	}
}

func TestNothingSecretPrints(t *testing.T) {
	t.Parallel()
	o := example()
	o.ID = NewID()
	if s := o.String(); s != "order "+o.ID.String() || len(s) != 38 {
		t.Errorf("%q", s)
	}
	if other := NewID(); other == o.ID {
		t.Error("two orders have one id")
	}
}
