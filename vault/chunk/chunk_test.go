package chunk

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"strings"
	"testing"
	"testing/iotest"

	"pgregory.net/rapid"
)

var small = Params{Min: 512, Avg: 2048, Max: 8192}

// noise returns n bytes that depend on the seed only.
func noise(n int, seed byte) []byte {
	b := make([]byte, n)
	rand.NewChaCha8([32]byte{seed}).Read(b)
	return b
}

// split cuts data that is in memory as a whole.
func split(t *Table, p Params, data []byte) [][]byte {
	var chunks [][]byte
	for len(data) > 0 {
		n := t.Cut(p, data, true)
		chunks, data = append(chunks, data[:n]), data[n:]
	}
	return chunks
}

// read cuts through a Chunker, whose slices it copies.
func read(c *Chunker) ([][]byte, error) {
	var chunks [][]byte
	for {
		b, err := c.Next()
		if err == io.EOF {
			return chunks, nil
		}
		if err != nil {
			return chunks, err
		}
		chunks = append(chunks, bytes.Clone(b))
	}
}

// slow reads 1 to most bytes at a time, sometimes none, and ends as readers may: with the last bytes or after.
type slow struct {
	data []byte
	r    *rand.Rand
	most int
}

func (s *slow) Read(p []byte) (int, error) {
	n := min(s.r.IntN(s.most+1), len(p), len(s.data))
	copy(p, s.data[:n])
	s.data = s.data[n:]
	if len(s.data) == 0 && (n == 0 || s.r.IntN(2) == 0) {
		return n, io.EOF
	}
	return n, nil
}

func TestChunksAreTheInputHoweverItIsRead(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		p := Params{Min: rapid.IntRange(128, 600).Draw(t, "min")}
		p.Avg = rapid.IntRange(2*p.Min, 4*p.Min).Draw(t, "avg")
		p.Max = rapid.IntRange(2*p.Avg, 4*p.Avg).Draw(t, "max")
		data := noise(rapid.IntRange(0, 40000).Draw(t, "size"), rapid.Byte().Draw(t, "seed"))
		if flat := rapid.IntRange(0, len(data)).Draw(t, "flat"); rapid.Bool().Draw(t, "has a flat part") {
			clear(data[flat:])
		}
		table := NewTable([32]byte{rapid.Byte().Draw(t, "key")})
		want := split(table, p, data)
		if !bytes.Equal(bytes.Join(want, nil), data) {
			t.Fatal("the chunks are not the input")
		}
		for i, c := range want {
			if len(c) > p.Max || len(c) < p.Min && i < len(want)-1 {
				t.Fatalf("chunk %d of %d has %d bytes, with %+v", i, len(want), len(c), p)
			}
		}
		r := rand.New(rand.NewPCG(rapid.Uint64().Draw(t, "reads"), 0))
		buf := make([]byte, rapid.IntRange(0, 4*p.Max).Draw(t, "buffer"))
		most := rapid.SampledFrom([]int{1, 7, 1000, 100000}).Draw(t, "most")
		got, err := read(New(&slow{data, r, most}, table, p, buf))
		if err != nil {
			t.Fatal(err)
		}
		if len(got) != len(want) {
			t.Fatalf("%d chunks when read slowly, %d when cut at once", len(got), len(want))
		}
		for i := range got {
			if !bytes.Equal(got[i], want[i]) {
				t.Fatalf("chunk %d differs when it is read slowly", i)
			}
		}
	})
}

// Cut answers early when it can, and its answer does not depend on how much it is shown.
func TestCutNeverChangesItsMind(t *testing.T) {
	t.Parallel()
	table := NewTable([32]byte{7})
	for seed := range byte(20) {
		data := noise(small.Max+100, seed)
		want := table.Cut(small, data, true)
		for n := range len(data) {
			got := table.Cut(small, data[:n], false)
			if n >= want && got != want || n < want && got != 0 {
				t.Fatalf("seed %d: Cut of %d bytes says %d, of all says %d", seed, n, got, want)
			}
		}
	}
}

func TestCutOfLittle(t *testing.T) {
	t.Parallel()
	table := NewTable([32]byte{1})
	for n := range small.Min + 1 {
		data := noise(n, 3)
		if got := table.Cut(small, data, true); got != n {
			t.Fatalf("the last %d bytes: got a chunk of %d", n, got)
		}
		if got := table.Cut(small, data[:min(n, small.Min-1)], false); got != 0 {
			t.Fatalf("%d bytes of more: got a chunk of %d", n, got)
		}
	}
}

// A file that says the same for ever is cut, and its chunks are equal.
func TestFlatInput(t *testing.T) {
	t.Parallel()
	for key := range byte(50) {
		chunks := split(NewTable([32]byte{key}), small, make([]byte, 10*small.Max))
		for _, c := range chunks[:len(chunks)-1] {
			if len(c) != len(chunks[0]) {
				t.Fatalf("key %d: chunks of %d and %d zeros", key, len(chunks[0]), len(c))
			}
		}
	}
}

// statistics returns the mean length of chunks, and the share of those at Max.
func statistics(chunks [][]byte, p Params) (mean, atMax float64) {
	var sum, most int
	for _, c := range chunks {
		sum += len(c)
		if len(c) == p.Max {
			most++
		}
	}
	return float64(sum) / float64(len(chunks)), float64(most) / float64(len(chunks))
}

func TestDistribution(t *testing.T) {
	t.Parallel()
	for i, p := range []Params{
		small,
		{Min: 1024, Avg: 4096, Max: 16384},
		{Min: 700, Avg: 3001, Max: 12000}, // no powers of two
		{Min: 128, Avg: 4096, Max: 16384}, // hardly a minimum
		{Min: 2048, Avg: 4096, Max: 8192}, // as tight as Validate allows
		{Min: 4096, Avg: 16384, Max: 65536},
	} {
		t.Run(fmt.Sprintf("%+v", p), func(t *testing.T) {
			t.Parallel()
			if err := p.Validate(); err != nil {
				t.Fatal(err)
			}
			chunks := split(NewTable([32]byte{byte(i)}), p, noise(4000*p.Avg, byte(i)))
			mean, atMax := statistics(chunks, p)
			if mean < 0.85*float64(p.Avg) || mean > 1.15*float64(p.Avg) {
				t.Errorf("chunks have %.0f bytes on average, want %d ± 15 %%", mean, p.Avg)
			}
			if atMax > 0.02 {
				t.Errorf("%.1f %% of the chunks were cut by force", 100*atMax)
			}
		})
	}
}

// Text is the other kind of input: few values, much order.
func TestDistributionOfText(t *testing.T) {
	t.Parallel()
	var b strings.Builder
	r := rand.New(rand.NewPCG(1, 1))
	for b.Len() < 4000*small.Avg {
		fmt.Fprintf(&b, "%d the quick brown %x\n", r.IntN(1000), r.IntN(1<<20))
	}
	mean, _ := statistics(split(NewTable([32]byte{}), small, []byte(b.String())), small)
	if mean < 0.85*float64(small.Avg) || mean > 1.15*float64(small.Avg) {
		t.Errorf("chunks have %.0f bytes on average, want %d ± 15 %%", mean, small.Avg)
	}
}

// An edit changes the chunks around it and no others.
func TestEditsStayLocal(t *testing.T) {
	t.Parallel()
	table := NewTable([32]byte{9})
	data := noise(1000*small.Avg, 1)
	known := map[[32]byte]bool{}
	for _, c := range split(table, small, data) {
		known[sha256.Sum256(c)] = true
	}
	edits := map[string]func(at int) []byte{
		"insert":  func(at int) []byte { return bytes.Join([][]byte{data[:at], []byte("x"), data[at:]}, nil) },
		"delete":  func(at int) []byte { return bytes.Join([][]byte{data[:at], data[at+17:]}, nil) },
		"replace": func(at int) []byte { return bytes.Join([][]byte{data[:at], noise(17, 2), data[at+17:]}, nil) },
		"prepend": func(int) []byte { return append(noise(10000, 3), data...) },
	}
	for name, edit := range edits {
		for at := 0; at < len(data)-17; at += len(data)/37 + 1 {
			var changed int
			for _, c := range split(table, small, edit(at)) {
				if !known[sha256.Sum256(c)] {
					changed++
				}
			}
			if changed > 25 {
				t.Errorf("%s at %d: %d new chunks", name, at, changed)
			}
		}
	}
}

// Another key cuts elsewhere, else the lengths of chunks would name a file.
func TestTheKeyDecides(t *testing.T) {
	t.Parallel()
	data := noise(500*small.Avg, 1)
	cuts := func(key byte) map[int]bool {
		m, at := map[int]bool{}, 0
		for _, c := range split(NewTable([32]byte{key}), small, data) {
			at += len(c)
			m[at] = true
		}
		return m
	}
	a, b, same := cuts(1), cuts(2), 0
	for at := range a {
		if b[at] {
			same++
		}
	}
	if same > 5 { // the end is one
		t.Errorf("%d of %d cuts are the same under two keys", same, len(a))
	}
}

func TestReadErrors(t *testing.T) {
	t.Parallel()
	table := NewTable([32]byte{4})
	data := noise(100*small.Avg, 1)
	broken := errors.New("broken disk")
	want := split(table, small, data)

	c := New(io.MultiReader(bytes.NewReader(data), iotest.ErrReader(broken)), table, small, nil)
	chunks, err := read(c)
	if err != broken {
		t.Fatalf("got %v", err)
	}
	if got := bytes.Join(chunks, nil); !bytes.HasPrefix(data, got) || len(data)-len(got) > small.Max || len(chunks) < len(want)-2 {
		t.Errorf("%d chunks before the error, of %d bytes, want about %d", len(chunks), len(got), len(want))
	}
	if _, err := c.Next(); err != broken {
		t.Errorf("the next call forgets the error: %v", err)
	}

	if _, err := New(idle{}, table, small, nil).Next(); err != io.ErrNoProgress {
		t.Errorf("a reader that never reads: %v", err)
	}
	if _, err := New(liar{}, table, small, nil).Next(); err == nil {
		t.Error("a reader that claims too much was believed")
	}
	c = New(bytes.NewReader(nil), table, small, nil)
	for range 3 {
		if _, err := c.Next(); err != io.EOF {
			t.Errorf("an empty stream: %v", err)
		}
	}
}

type idle struct{}

func (idle) Read([]byte) (int, error) { return 0, nil }

type liar struct{}

func (liar) Read(p []byte) (int, error) { return len(p) + 1, nil }

func TestValidate(t *testing.T) {
	t.Parallel()
	if err := DefaultParams.Validate(); err != nil {
		t.Error(err)
	}
	for _, p := range []Params{
		{},
		{Min: 127, Avg: 1024, Max: 4096},
		{Min: 513, Avg: 1024, Max: 4096},
		{Min: 256, Avg: 1024, Max: 2047},
		{Min: 256 << 10, Avg: 1 << 20, Max: 8<<20 + 1},
		{Min: -1, Avg: 1024, Max: 4096},
		{Min: 1 << 62, Avg: 1 << 62, Max: 1 << 62},
		{Min: 256, Avg: -1024, Max: 4096},
	} {
		if p.Validate() == nil {
			t.Errorf("%+v was accepted", p)
		}
	}
}

func TestTableKeepsItsSecret(t *testing.T) {
	t.Parallel()
	if s := fmt.Sprintf("%v %+v %s", NewTable([32]byte{}), NewTable([32]byte{}), NewTable([32]byte{})); len(s) > 60 {
		t.Errorf("printed: %s", s)
	}
}

func TestNextTakesNoMemory(t *testing.T) {
	data := noise(64*small.Max, 1)
	table, buf, r := NewTable([32]byte{}), make([]byte, 2*small.Max), bytes.NewReader(nil)
	allocs := testing.AllocsPerRun(20, func() {
		r.Reset(data)
		c := New(r, table, small, buf)
		for {
			if _, err := c.Next(); err != nil {
				return
			}
		}
	})
	if allocs > 1 {
		t.Errorf("%.0f allocations for a stream, want the Chunker at most", allocs)
	}
}

func BenchmarkCut(b *testing.B) {
	data := noise(64<<20, 1)
	table := NewTable([32]byte{})
	b.SetBytes(int64(len(data)))
	for b.Loop() {
		split(table, DefaultParams, data)
	}
}

func BenchmarkChunker(b *testing.B) {
	data := noise(64<<20, 1)
	table, buf := NewTable([32]byte{}), make([]byte, 2*DefaultParams.Max)
	b.SetBytes(int64(len(data)))
	for b.Loop() {
		c := New(bytes.NewReader(data), table, DefaultParams, buf)
		for {
			if _, err := c.Next(); err != nil {
				break
			}
		}
	}
}

// reference is docs/format.md, word for word.
func reference(t *Table, p Params, data []byte) int {
	const most = 1<<64 - 1
	normal := p.Min + 3*((p.Avg-p.Min)/4)
	for n := p.Min; n <= len(data); n++ {
		var h uint64
		for _, b := range data[n-64 : n] {
			h = 2*h + t.gear[b]
		}
		if n < normal && h < most/(4*uint64(p.Avg)) || n >= normal && h < 4*(most/uint64(p.Avg)) || n == p.Max {
			return n
		}
	}
	return len(data)
}

func TestCutIsAsThePageSays(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		p := Params{Min: rapid.IntRange(128, 300).Draw(t, "min")}
		p.Avg = rapid.IntRange(2*p.Min, 4*p.Min).Draw(t, "avg")
		p.Max = rapid.IntRange(2*p.Avg, 4*p.Avg).Draw(t, "max")
		table := NewTable([32]byte{rapid.Byte().Draw(t, "key")})
		data := noise(rapid.IntRange(0, 2*p.Max).Draw(t, "size"), rapid.Byte().Draw(t, "seed"))
		if got, want := table.Cut(p, data, true), reference(table, p, data); got != want {
			t.Fatalf("Cut says %d, want %d, of %d bytes with %+v", got, want, len(data), p)
		}
	})
}
