package main

import (
	"bytes"
	"encoding/json"
	"io"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"pgregory.net/rapid"

	"github.com/holdfast-backup/holdfast/vault/tree"
	"github.com/holdfast-backup/holdfast/wire/fault"
)

func failing(kind string) *fault.Error { return fault.New(fault.Kind(kind), "on demand") }

func TestSizes(t *testing.T) {
	t.Parallel()
	for s, want := range map[string]int64{"1": 1, "500k": 500 << 10, "5MiB": 5 << 20, "5MB": 5 << 20, "1.5M": 3 << 19, "2 G": 2 << 30, "1T": 1 << 40, "0": 0} {
		if got, err := parseSize(s); err != nil || got != want {
			t.Errorf("%q: %d, %v; want %d", s, got, err, want)
		}
	}
	for _, s := range []string{"", "k", "-1", "5X", "1e30T", "NaN", "five"} {
		if got, err := parseSize(s); err == nil {
			t.Errorf("%q: %d", s, got)
		}
	}
	var r rate
	if err := r.Set("2MiB/s"); err != nil || r != 2<<20 {
		t.Errorf("rate: %d, %v", r, err)
	}
}

func TestExtensions(t *testing.T) {
	t.Parallel()
	got, err := extensions([]string{"docx", ".PDF", "*.txt", " tar.gz "})
	if err != nil || strings.Join(got, " ") != ".docx .PDF .txt .tar.gz" {
		t.Errorf("%q, %v", got, err)
	}
	for _, bad := range [][]string{{"a/b"}, {"."}, {"?x"}, {""}} {
		if got, err := extensions(bad); err == nil {
			t.Errorf("%q: %q", bad, got)
		}
	}
}

func TestPrintable(t *testing.T) {
	t.Parallel()
	for in, want := range map[string]string{
		"plain": "plain", "ärger «x»": "ärger «x»", `with "quotes" and \`: `with "quotes" and \`,
		"\x1b[2J": `\x1b[2J`, "a\nb": `a\nb`, "\xff\xfe": `\xff\xfe`, "\u202etxt.exe": `\u202etxt.exe`,
	} {
		if got := printable(in); got != want {
			t.Errorf("%q: %q, want %q", in, got, want)
		}
	}
	rapid.Check(t, func(t *rapid.T) {
		for _, r := range printable(string(rapid.SliceOf(rapid.Byte()).Draw(t, "name"))) {
			if r < ' ' || r == 0x7f || r == utf8.RuneError || r >= 0x80 && r < 0xa0 {
				t.Fatalf("%q is left", r)
			}
		}
	})
}

func TestMode(t *testing.T) {
	t.Parallel()
	for want, e := range map[string]tree.Entry{
		"-rw-r--r--": {Mode: 0o644}, "drwxrwxrwt": {Type: tree.Dir, Mode: 0o1777}, "-rwsr-Sr-T": {Mode: 0o7744}, "lrwxrwxrwx": {Type: tree.Symlink, Mode: 0o777},
	} {
		if got := mode(&e); got != want {
			t.Errorf("%o: %s, want %s", e.Mode, got, want)
		}
	}
}

func TestArray(t *testing.T) {
	t.Parallel()
	for n := range 4 {
		for _, fields := range []map[string]any{nil, {"x": 1}} {
			var b bytes.Buffer
			a, err := newArray(&b, fields, "list")
			if err != nil {
				t.Fatal(err)
			}
			for i := range n {
				if err := a.add(i); err != nil {
					t.Fatal(err)
				}
			}
			if err := a.close(); err != nil {
				t.Fatal(err)
			}
			var v struct {
				X    int
				List []int
			}
			if err := json.Unmarshal(b.Bytes(), &v); err != nil || len(v.List) != n || v.X != len(fields) {
				t.Errorf("%s: %+v, %v", b.String(), v, err)
			}
		}
	}
}

func TestThousands(t *testing.T) {
	t.Parallel()
	for n, want := range map[int64]string{0: "0", 999: "999", 1000: "1,000", 1234567: "1,234,567", -1000: "-1,000", -100: "-100"} {
		if got := thousands(n); got != want {
			t.Errorf("%d: %s", n, got)
		}
	}
}

func TestBar(t *testing.T) {
	t.Parallel()
	var none *bar
	none.show(step{})
	none.say(io.Discard, "x")
	none.done()

	full := step{phase: "scan", files: 12345, bytes: 512 << 20, all: 1 << 30, sent: 100 << 20, problems: 2, problemsAre: "unreadable"}
	if got := line(full, 128<<20, 200); got != "scan      50%  [==========          ]  12,345 files  512.0 MiB  128.0 MiB/s  ETA 0:04  sent 100.0 MiB  2 unreadable" {
		t.Error(got)
	}
	for w := range 120 {
		if got := line(full, 128<<20, w); utf8.RuneCountInString(got) > w {
			t.Errorf("%d columns: %q", w, got)
		}
	}
	if got := line(step{phase: "scan", files: 1, bytes: 5}, 0, 80); got != "scan     1 files  5 B" {
		t.Error(got)
	}

	// What is drawn leaves exactly the newest line, whatever was there before.
	var out bytes.Buffer
	b := &bar{out: &out, width: func() int { return 60 }}
	for i := range 20 {
		b.last = time.Time{}
		b.show(step{phase: "scan", files: int64(i * i * i), bytes: 1 << (2 * i)})
	}
	if got := screen(out.String()); strings.TrimRight(got, " ") != line(step{phase: "scan", files: 19 * 19 * 19, bytes: 1 << 38}, b.meter.rate(), 59) {
		t.Errorf("screen: %q", got)
	}
	b.done()
	if got := screen(out.String()); strings.TrimSpace(got) != "" {
		t.Errorf("after the end: %q", got)
	}
}

// screen plays a line with carriage returns.
func screen(s string) string {
	var row []rune
	at := 0
	for _, r := range s {
		if r == '\r' {
			at = 0
			continue
		}
		if at < len(row) {
			row[at] = r
		} else {
			row = append(row, r)
		}
		at++
	}
	return string(row)
}

func TestMeter(t *testing.T) {
	t.Parallel()
	var m meter
	begin := time.Now()
	for i := range 200 { // 20 s at 1000 B/s, then 10 s at 5000 B/s
		m.add(begin.Add(time.Duration(i)*100*time.Millisecond), int64(i*100))
	}
	if r := m.rate(); r < 999 || r > 1001 {
		t.Errorf("rate %v", r)
	}
	for i := range 100 {
		m.add(begin.Add(20*time.Second+time.Duration(i)*100*time.Millisecond), int64(20000+i*500))
	}
	if r := m.rate(); r < 4999 || r > 5001 || len(m.at) > 60 {
		t.Errorf("rate %v of %d", r, len(m.at))
	}
	if clock(75*time.Second) != "1:15" || clock(2*time.Hour+3*time.Minute) != "2:03:00" || clock(200*time.Hour) != "days" {
		t.Error("clock")
	}
}
