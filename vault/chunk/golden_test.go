package chunk

import (
	"bytes"
	"encoding/binary"
	"slices"
	"testing"

	"github.com/zeebo/blake3"

	"github.com/holdfast-backup/holdfast/wire/goldentest"
)

// Another writer of the same space must cut in the same places, or nothing is found again.
type golden struct {
	Key   goldentest.Hex
	Gear  goldentest.Hex // the first eight of the table, as little-endian bytes
	Input string         // the stream is BLAKE3 of this, as long as it is needed
	Size  int
	Cuts  []goldenCut
}

type goldenCut struct {
	Params  Params
	Lengths []int
}

func generate() golden {
	g := golden{Key: make([]byte, 32), Input: "holdfast", Size: 8 << 20}
	for i := range g.Key {
		g.Key[i] = byte(i)
	}
	table := NewTable([32]byte(g.Key))
	g.Gear = gear(table)
	for _, p := range []Params{DefaultParams, {Min: 128 << 10, Avg: 512 << 10, Max: 2 << 20}} {
		g.Cuts = append(g.Cuts, goldenCut{p, lengths(table, p, g.stream())})
	}
	return g
}

func (g golden) stream() []byte {
	h := blake3.New()
	h.WriteString(g.Input)
	b := make([]byte, g.Size)
	h.Digest().Read(b)
	return b
}

func gear(t *Table) []byte {
	var b []byte
	for _, v := range t.gear[:8] {
		b = binary.LittleEndian.AppendUint64(b, v)
	}
	return b
}

func lengths(t *Table, p Params, data []byte) []int {
	var list []int
	for _, c := range split(t, p, data) {
		list = append(list, len(c))
	}
	return list
}

func TestGoldenV1(t *testing.T) {
	t.Parallel()
	g := goldentest.Load(t, "cuts-v1.json", generate)
	table := NewTable([32]byte(g.Key))
	if !bytes.Equal(gear(table), g.Gear) {
		t.Errorf("the table begins %x, want %x", gear(table), g.Gear)
	}
	if len(g.Cuts) < 2 {
		t.Fatalf("%d cuts", len(g.Cuts))
	}
	for _, c := range g.Cuts {
		if got := lengths(table, c.Params, g.stream()); !slices.Equal(got, c.Lengths) {
			t.Errorf("%+v: chunks of %d bytes, want %d", c.Params, got, c.Lengths)
		}
	}
}
