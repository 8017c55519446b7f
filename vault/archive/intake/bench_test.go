package intake

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
)

// BenchmarkOpen reads 64 MiB of a dump and 64 MiB of media, whose bytes do not compress.
func BenchmarkOpen(b *testing.B) {
	var rows strings.Builder
	for r := rand.New(rand.NewPCG(1, 1)); rows.Len() < 64<<20; {
		fmt.Fprintf(&rows, "%d\tcustomer %d\t2026-01-02 03:%02d:05\t%d.%02d\n", r.IntN(1e6), r.IntN(1e5), r.IntN(60), r.IntN(1e4), r.IntN(100))
	}
	things := []thing{{name: "database.sql", text: strings.Replace(postgresDump, "1\n2\n", rows.String(), 1)}}
	things = append(things, media(256, 512<<10)...)
	raw := tarOf(b, things...)
	for _, c := range []struct {
		kind string
		p    []byte
	}{{"tar", raw}, {"tar.gz", gz(b, raw)}, {"tar.zst", zst(b, raw)}, {"zip", zipOf(b, things...)}} {
		b.Run(c.kind, func(b *testing.B) {
			b.SetBytes(total(things))
			b.ReportAllocs()
			for b.Loop() {
				if _, err := Open(b.Context(), bytes.NewReader(c.p), int64(len(c.p)), "x", Options{}); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

// BenchmarkBomb refuses 100 GB in gzip.
func BenchmarkBomb(b *testing.B) {
	first, piece := deflated(b, sqliteDump[:30])
	size := int64(100 << 10 * len(piece))
	b.ReportAllocs()
	for b.Loop() {
		r := &endless{[]byte("\x1f\x8b\x08\x00\x00\x00\x00\x00\x00\x03" + string(first)), piece, size, 0}
		if _, err := Open(b.Context(), r, size, "x", Options{}); err == nil {
			b.Fatal("it was taken")
		}
	}
}
