package id

import (
	"bytes"
	"encoding/json"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"
)

func TestPublicFormsRead(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		d := Device(rapid.SliceOfN(rapid.Byte(), 16, 16).Draw(t, "id"))
		if got, err := Parse[deviceNoun](d.String()); err != nil || got != d {
			t.Fatalf("%s read as %s, %v", d, got, err)
		}
		var got Device
		if err := got.Scan(d.UUID()); err != nil || got != d {
			t.Fatalf("%s scanned as %s, %v", d.UUID(), got, err)
		}
		b, err := json.Marshal(map[string]Device{"d": d})
		if err != nil {
			t.Fatal(err)
		}
		var m map[string]Device
		if err := json.Unmarshal(b, &m); err != nil || m["d"] != d {
			t.Fatalf("%s read as %s, %v", b, m["d"], err)
		}
		var w bytes.Buffer
		d.MarshalGQL(&w)
		if err := got.UnmarshalGQL(strings.Trim(w.String(), `"`)); err != nil || got != d {
			t.Fatalf("%s read as %s, %v", w.String(), got, err)
		}
		o := Object(d)
		if got, err := ParseObject(o.String()); err != nil || got != o {
			t.Fatalf("%s read as %s, %v", o, got, err)
		}
		p := Pack(rapid.SliceOfN(rapid.Byte(), 32, 32).Draw(t, "pack"))
		if got, err := ParsePack(p.String()); err != nil || got != p {
			t.Fatalf("%s read as %s, %v", p, got, err)
		}
	})
}

// An id has one spelling, so that a URL names one thing and a cache holds it once.
func TestNothingElseReads(t *testing.T) {
	t.Parallel()
	good := Device{0xab, 0xcd, 0xef}.String()
	if _, err := Parse[deviceNoun](good); err != nil {
		t.Fatal(err)
	}
	for _, s := range []string{
		"", "dev", "dev_", "_", good[1:], good[:len(good)-1], good + "0", " " + good, good + "\n",
		strings.ToUpper(good), "dev_" + strings.ToUpper(good[4:]),
		"usr_" + good[4:], "dev-" + good[4:], good[4:],
		good[:29] + "1",                  // bits that belong to no byte
		"dev_" + strings.Repeat("i", 26), // not in the alphabet
		"dev_" + strings.Repeat("0", 25) + "\n",
		"dev_\n" + good[4:29], strings.Repeat("dev_", 1000),
	} {
		if got, err := Parse[deviceNoun](s); err == nil {
			t.Errorf("%q read as %s", s, got)
		} else if len(err.Error()) > 400 {
			t.Errorf("an error of %d bytes", len(err.Error()))
		}
		d := Device{9}
		if d.UnmarshalText([]byte(s)) == nil || d != (Device{9}) {
			t.Errorf("%q changed an id", s)
		}
	}
	if _, err := Parse[userNoun](good); err == nil {
		t.Error("a device was read as a user")
	}
	var d Device
	if d.UnmarshalGQL(17) == nil || d.UnmarshalGQL(nil) == nil {
		t.Error("a number was read as an id")
	}
	hexed := strings.Repeat("ab", 32)
	for _, s := range []string{"", hexed[1:], hexed + "00", strings.ToUpper(hexed), strings.Repeat("zz", 32), strings.Repeat("/.", 32), hexed[:63] + "é"} {
		if p, err := ParsePack(s); err == nil || p != (Pack{}) {
			t.Errorf("%q read as pack %s", s, p)
		}
	}
	for _, s := range []string{"", hexed[:31], hexed[:33], strings.ToUpper(hexed[:32]), strings.Repeat("zz", 16)} {
		if o, err := ParseObject(s); err == nil || o != (Object{}) {
			t.Errorf("%q read as object %s", s, o)
		}
	}
}

func TestNewIDsAreUUIDsInTheOrderOfTime(t *testing.T) {
	t.Parallel()
	seen := map[Snapshot]bool{}
	var last uint64
	for range 1000 {
		o := New[snapshotNoun]()
		if seen[o] || o.IsZero() {
			t.Fatalf("%s came twice", o)
		}
		seen[o] = true
		if o[6]>>4 != 7 || o[8]>>6 != 2 {
			t.Fatalf("%s is no UUID version 7", o.UUID())
		}
		var ms uint64
		for _, b := range o[:6] {
			ms = ms<<8 | uint64(b)
		}
		if d := time.Since(time.UnixMilli(int64(ms))); d < -time.Second || d > time.Minute {
			t.Fatalf("%s was made %v ago", o, d)
		}
		if ms < last {
			t.Fatal("time went back")
		}
		last = ms
	}
	if !(Snapshot{}).IsZero() {
		t.Error("zero is not zero")
	}
}

func TestPrefixes(t *testing.T) {
	t.Parallel()
	forms := []string{User{}.String(), Session{}.String(), APIToken{}.String(), Invitation{}.String(), Device{}.String(),
		Enrolment{}.String(), Space{}.String(), Backup{}.String(), Snapshot{}.String(), Event{}.String()}
	seen := map[string]bool{"": true}
	for _, s := range forms {
		if k := Kind(s); seen[k] || len(k) != 3 {
			t.Errorf("%s is of kind %q", s, k)
		}
		seen[Kind(s)] = true
	}
	if Kind("nothing") != "" {
		t.Error("a word has a kind")
	}
}

func TestPostgreSQL(t *testing.T) {
	t.Parallel()
	o := Object{0x01, 0x23, 0x45, 0x67, 0x89, 0xab, 0xcd, 0xef, 0xfe, 0xdc, 0xba, 0x98, 0x76, 0x54, 0x32, 0x10}
	const want = "01234567-89ab-cdef-fedc-ba9876543210"
	if v, err := o.Value(); err != nil || v != want || o.UUID() != want {
		t.Errorf("%v, %v", v, err)
	}
	if v, err := Device(o).Value(); err != nil || v != want {
		t.Errorf("%v, %v", v, err)
	}
	for _, src := range []any{want, []byte(want), o[:], strings.ToUpper(want)} {
		var got Object
		if err := got.Scan(src); err != nil || got != o {
			t.Errorf("%v scanned as %s, %v", src, got, err)
		}
	}
	for _, src := range []any{nil, 7, "", want[1:], want + "0", []byte(want[:35] + "x"), strings.Repeat("-", 36), strings.Repeat("0", 36), make([]byte, 15)} {
		var got Device
		if err := got.Scan(src); err == nil {
			t.Errorf("%v scanned as %s", src, got)
		}
	}
	p := Pack{1, 2, 3}
	v, err := p.Value()
	if err != nil {
		t.Fatal(err)
	}
	var q Pack
	if err := q.Scan(v); err != nil || q != p {
		t.Errorf("%v scanned as %s, %v", v, q, err)
	}
	for _, src := range []any{nil, "x", make([]byte, 31), make([]byte, 33)} {
		if q.Scan(src) == nil {
			t.Errorf("%v scanned as a pack", src)
		}
	}
}

func FuzzParse(f *testing.F) {
	f.Add(Device{}.String())
	f.Add(User{1}.String())
	f.Add("dev_")
	f.Fuzz(func(t *testing.T, s string) {
		if d, err := Parse[deviceNoun](s); err == nil && d.String() != s {
			t.Fatalf("%q and %s are the same device", s, d)
		}
		if p, err := ParsePack(s); err == nil && p.String() != s {
			t.Fatalf("%q and %s are the same pack", s, p)
		}
		if o, err := ParseObject(s); err == nil && o.String() != s {
			t.Fatalf("%q and %s are the same object", s, o)
		}
	})
}
