package seal

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"testing"
)

// text returns n bytes that compress about as well as office files and source code do.
func text(n int, seed uint64) []byte {
	r := rand.New(rand.NewPCG(seed, 1))
	words := make([][]byte, 2000)
	for i := range words {
		w := make([]byte, 2+r.IntN(9))
		for j := range w {
			w[j] = byte('a' + r.IntN(26))
		}
		words[i] = w
	}
	b := make([]byte, 0, n+16)
	for len(b) < n {
		b = append(append(b, words[int(r.ExpFloat64()*200)%len(words)]...), ' ')
	}
	return b[:n]
}

// noise returns n bytes that do not compress.
func noise(n int, seed uint64) []byte {
	b := make([]byte, n)
	var s [32]byte
	s[0], s[1] = byte(seed), byte(seed>>8)
	rand.NewChaCha8(s).Read(b)
	return b
}

func BenchmarkKey(b *testing.B) {
	s := New(ContentKey{1})
	for _, n := range []int{1 << 10, 64 << 10, 1 << 20} {
		p := noise(n, 1)
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			b.SetBytes(int64(n))
			b.ReportAllocs()
			for b.Loop() {
				s.Key(p)
			}
		})
	}
}

func BenchmarkAppend(b *testing.B) { benchmark(b, true) }
func BenchmarkOpen(b *testing.B)   { benchmark(b, false) }

func benchmark(b *testing.B, sealing bool) {
	s := New(ContentKey{1})
	levels := map[Level]string{LevelDefault: "default", LevelFast: "fast", LevelBetter: "better", LevelNone: "none"}
	for _, n := range []int{4 << 10, 1 << 20} {
		for kind, p := range map[string][]byte{"text": text(n, 1), "noise": noise(n, 1)} {
			for level, name := range levels {
				b.Run(fmt.Sprintf("%s/%s/%d", kind, name, n), func(b *testing.B) {
					k := s.Key(p)
					body := s.Append(nil, k, p, level)
					dst := make([]byte, 0, 2*n+1024)
					b.SetBytes(int64(n))
					b.ReportAllocs()
					for b.Loop() {
						if sealing {
							s.Append(dst, k, p, level)
						} else if got, err := s.Open(dst, k, body); err != nil || !bytes.Equal(got[:8], p[:8]) {
							b.Fatal(err)
						}
					}
					b.ReportMetric(float64(len(body))/float64(n), "ratio")
				})
			}
		}
	}
}
