package walk_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/holdfast-backup/holdfast/agent/cache"
	"github.com/holdfast-backup/holdfast/agent/walk"
	"github.com/holdfast-backup/holdfast/vault/backup"
	"github.com/holdfast-backup/holdfast/vault/chunk"
	"github.com/holdfast-backup/holdfast/vault/keyring"
	"github.com/holdfast-backup/holdfast/wire/id"
	"github.com/holdfast-backup/holdfast/wire/pack"
)

// sink is a Remote that takes everything and keeps nothing: what is measured is the agent alone.
type sink struct {
	empty bool
	snap  byte
	asked int
}

func (s *sink) Begin(_ context.Context, parent id.Snapshot) (backup.Session, error) {
	return sinkSession{s, backup.Info{
		ParentUsable: !parent.IsZero(), SpaceEmpty: s.empty, Chunk: chunk.DefaultParams, MaxPack: pack.MaxSize, TTL: time.Minute,
	}}, nil
}

type sinkSession struct {
	s    *sink
	info backup.Info
}

func (s sinkSession) Info() backup.Info { return s.info }
func (s sinkSession) Missing(_ context.Context, ids []id.Object) ([]bool, error) {
	s.s.asked++
	missing := make([]bool, len(ids))
	for i := range missing {
		missing[i] = true
	}
	return missing, nil
}
func (s sinkSession) Upload(_ context.Context, _ id.Pack, b []byte) error { return nil }
func (s sinkSession) Progress(_ context.Context, _ backup.Progress) error { return nil }
func (s sinkSession) Abort(context.Context) error                         { return nil }
func (s sinkSession) Commit(context.Context, backup.Commit) (id.Snapshot, error) {
	s.s.snap++
	return id.Snapshot{s.s.snap, 1}, nil
}

// trees are what is backed up: made once, in the system's temporary folder or HOLDFAST_BENCH_DIR.
var trees = map[string]func(dir string) error{
	"small":  func(dir string) error { return plant(dir, 200_000, 500, 8<<10) },    // 200,000 small files
	"office": func(dir string) error { return plant(dir, 5_000, 20<<10, 190<<10) }, // 5,000 files, 512 MiB
	"large":  func(dir string) error { return plant(dir, 1, 1<<30, 1<<30) },        // one file of 1 GiB
}

// plant makes n files of about from to to bytes, three quarters of them noise, the others text.
func plant(dir string, n, from, to int) error {
	if _, err := os.Stat(filepath.Join(dir, "done")); err == nil {
		return nil
	}
	r := rand.New(rand.NewPCG(1, 2))
	noise := make([]byte, to)
	rand.NewChaCha8([32]byte{1}).Read(noise)
	words := strings.Fields("the of and to in a is that for it as was with be by on not he his but at are this have from or had an they which one")
	for i := range n {
		sub := filepath.Join(dir, fmt.Sprintf("%03d", i/100/100), fmt.Sprintf("%03d", i/100))
		if i%100 == 0 {
			if err := os.MkdirAll(sub, 0o755); err != nil {
				return err
			}
		}
		size := from
		if to > from {
			size += r.IntN(to - from)
		}
		var b []byte
		if i%4 == 0 && n > 1 {
			for len(b) < size {
				b = append(append(b, words[r.IntN(len(words))]...), ' ')
			}
		} else {
			at := r.IntN(len(noise) - size + 1)
			b = append(b, noise[at:at+size]...)
			for k := 0; k < len(b); k += 512 {
				b[k] = byte(r.Uint32())
			}
		}
		if err := os.WriteFile(filepath.Join(sub, fmt.Sprintf("file-%06d.dat", i)), b, 0o644); err != nil {
			return err
		}
	}
	return os.WriteFile(filepath.Join(dir, "done"), nil, 0o644)
}

// BenchmarkBackup measures a whole backup but for the server.
func BenchmarkBackup(b *testing.B) {
	a, err := keyring.NewAccount()
	if err != nil {
		b.Fatal(err)
	}
	base := os.Getenv("HOLDFAST_BENCH_DIR")
	if base == "" {
		base = b.TempDir()
	}
	for _, name := range []string{"small", "office", "large"} {
		dir := filepath.Join(base, name)
		cfg := backup.Config{Space: a.Space(), Identity: a.IdentityPublic()}
		once := func(b *testing.B, s *sink, c backup.Cache) backup.Result {
			b.Helper()
			w, err := walk.New(walk.Options{Rules: []walk.Rule{{Roots: []string{dir}}}})
			if err != nil {
				b.Fatal(err)
			}
			defer w.Close()
			res, err := backup.Run(b.Context(), cfg, w, s, c)
			if err != nil {
				b.Fatal(err)
			}
			return res
		}
		b.Run(name+"/first", func(b *testing.B) {
			if err := trees[name](dir); err != nil {
				b.Fatal(err)
			}
			b.ReportAllocs()
			for b.Loop() {
				res := once(b, &sink{empty: true}, cache.New(filepath.Join(b.TempDir(), "cache")))
				b.SetBytes(res.Bytes)
				b.ReportMetric(float64(res.UploadedBytes), "stored")
			}
		})
		b.Run(name+"/unchanged", func(b *testing.B) {
			if err := trees[name](dir); err != nil {
				b.Fatal(err)
			}
			s, c := &sink{}, cache.New(filepath.Join(b.TempDir(), "cache"))
			once(b, s, c)
			b.ReportAllocs()
			for b.Loop() {
				res := once(b, s, c) // the temporary folder itself may have changed: one leaf
				b.ReportMetric(float64(res.UploadedBytes), "stored")
			}
		})
	}
}

// BenchmarkWalk measures the walk alone, of 20,000 files in 200 folders: by one rule, with filters, and by four rules of
// which two overlap.
func BenchmarkWalk(b *testing.B) {
	dir := b.TempDir()
	if err := plant(dir, 20_000, 10, 10); err != nil {
		b.Fatal(err)
	}
	filtered := walk.Rule{Roots: []string{dir}, Extensions: []string{".docx", ".dat"}, Exclude: []string{"*.tmp", "/home/*/cache", "node_modules/"}}
	for name, rules := range map[string][]walk.Rule{
		"one":      {{Roots: []string{dir}}},
		"filtered": {filtered},
		"four": {filtered, {Roots: []string{filepath.Join(dir, "000")}}, {Roots: []string{filepath.Join(dir, "001")}, MaxSize: 5},
			{Roots: []string{dir}, Extensions: []string{".pdf"}}},
	} {
		b.Run(name, func(b *testing.B) {
			w, err := walk.New(walk.Options{Rules: rules})
			if err != nil {
				b.Fatal(err)
			}
			defer w.Close()
			b.ReportAllocs()
			for b.Loop() {
				n := 0
				if err := w.Walk(b.Context(), func(*backup.Item) error { n++; return nil }); err != nil || n < 20_000 {
					b.Fatal(n, err)
				}
			}
		})
	}
}
