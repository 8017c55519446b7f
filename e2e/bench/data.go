//go:build linux

package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"sort"
	"strings"
)

// A dataset is made from real files of this machine, the same ones in the same order every time, cut to
// sizes that are drawn from a fixed seed.
type dataset struct {
	name  string
	about string
	make  func(dir string, scale float64) error
}

var datasets = []dataset{
	{"office", "2 GiB in 20,000 files: documents, texts, programs, archives; sizes as in a home directory", func(dir string, scale float64) error {
		return manyFiles(dir, int(20_000*scale), int64(scale*(2<<30)), 1.9, 100)
	}},
	{"small", "200,000 files of 1.5 KiB on average", func(dir string, scale float64) error {
		return manyFiles(dir, int(200_000*scale), int64(scale*200_000*1536), 0.8, 500)
	}},
	{"large", "2 files of 1 GiB: one of texts and programs, one of compressed archives", largeFiles},
}

// sources finds real files, text-like and already compressed ones apart, sorted by name.
func sources() (plain, packed []string, err error) {
	env, err := exec.Command("go", "env", "GOROOT", "GOMODCACHE").Output()
	if err != nil {
		return nil, nil, fmt.Errorf("go env: %w", err)
	}
	for _, root := range append(strings.Fields(string(env)), "/usr/share", "/usr/lib", "/usr/bin") {
		err := filepath.WalkDir(root, func(p string, d fs.DirEntry, err error) error {
			if err != nil {
				if errors.Is(err, fs.ErrNotExist) || errors.Is(err, fs.ErrPermission) {
					return nil
				}
				return err
			}
			if !d.Type().IsRegular() {
				return nil
			}
			if info, err := d.Info(); err != nil || info.Size() < 512 {
				return nil
			}
			switch strings.ToLower(filepath.Ext(p)) {
			case ".zip", ".gz", ".xz", ".png", ".jpg", ".jar", ".woff2", ".pdf", ".deb":
				packed = append(packed, p)
			default:
				plain = append(plain, p)
			}
			return nil
		})
		if err != nil {
			return nil, nil, err
		}
	}
	sort.Strings(plain)
	sort.Strings(packed)
	if len(plain) < 1000 || len(packed) < 10 {
		return nil, nil, fmt.Errorf("only %d plain and %d compressed files on this machine to make data from", len(plain), len(packed))
	}
	return plain, packed, nil
}

// stream hands out the bytes of files one after another, in a seeded order, and starts over with an offset
// of its own when they end, so that repeats do not line up.
type stream struct {
	names []string
	rng   *rand.Rand
	cur   *os.File
	next  int
}

func newStream(names []string, seed uint64) *stream {
	rng := rand.New(rand.NewPCG(seed, 1))
	names = append([]string(nil), names...)
	rng.Shuffle(len(names), func(i, j int) { names[i], names[j] = names[j], names[i] })
	return &stream{names: names, rng: rng}
}

func (s *stream) Read(p []byte) (int, error) {
	for {
		if s.cur == nil {
			f, err := os.Open(s.names[s.next%len(s.names)])
			if s.next >= len(s.names) && err == nil {
				_, err = f.Seek(s.rng.Int64N(64), io.SeekStart)
			}
			s.next++
			if err != nil {
				continue
			}
			s.cur = f
		}
		n, err := s.cur.Read(p)
		if n > 0 {
			return n, nil
		}
		s.cur.Close()
		s.cur = nil
		if err != nil && err != io.EOF {
			continue
		}
	}
}

// manyFiles writes count files of total bytes, with log-normal sizes of the given spread, a third of them
// compressed, perFolder in a folder.
func manyFiles(dir string, count int, total int64, sigma float64, perFolder int) error {
	plain, packed, err := sources()
	if err != nil {
		return err
	}
	rng := rand.New(rand.NewPCG(42, 7))
	weights := make([]float64, count)
	var sum float64
	for i := range weights {
		weights[i] = math.Exp(rng.NormFloat64() * sigma)
		sum += weights[i]
	}
	text, arch := newStream(plain, 11), newStream(packed, 13)
	words := strings.Fields("budget report draft final minutes photo scan invoice plan lecture thesis notes letter data table model survey archive project review")
	for i, w := range weights {
		folder := filepath.Join(dir, fmt.Sprintf("%s %02d", words[i/perFolder/20%len(words)], i/perFolder/20), fmt.Sprintf("%s-%03d", words[i/perFolder%len(words)], i/perFolder))
		if i%perFolder == 0 {
			if err := os.MkdirAll(folder, 0o755); err != nil {
				return err
			}
		}
		from, ext := text, ".txt"
		if rng.IntN(3) == 0 {
			from, ext = arch, ".zip"
		}
		size := int64(w / sum * float64(total))
		if err := write(filepath.Join(folder, fmt.Sprintf("%s %d%s", words[rng.IntN(len(words))], i, ext)), from, size); err != nil {
			return err
		}
	}
	return nil
}

func largeFiles(dir string, scale float64) error {
	plain, packed, err := sources()
	if err != nil {
		return err
	}
	size := int64(scale * (1 << 30))
	if err := write(filepath.Join(dir, "texts.tar"), newStream(plain, 17), size); err != nil {
		return err
	}
	return write(filepath.Join(dir, "archives.tar"), newStream(packed, 19), size)
}

func write(name string, from io.Reader, size int64) error {
	f, err := os.Create(name)
	if err != nil {
		return err
	}
	if _, err := io.CopyBuffer(struct{ io.Writer }{f}, io.LimitReader(from, size), make([]byte, 1<<20)); err != nil {
		f.Close()
		return err
	}
	return f.Close()
}

// cat counts what a dataset holds and reads it all once, as `cat` would: the floor of any backup.
func cat(ctx context.Context, dir string) (files, total int64, err error) {
	buf := make([]byte, 1<<20)
	err = filepath.WalkDir(dir, func(p string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if err := ctx.Err(); err != nil {
			return err
		}
		if !d.Type().IsRegular() {
			return nil
		}
		f, err := os.Open(p)
		if err != nil {
			return err
		}
		defer f.Close()
		files++
		for {
			n, err := f.Read(buf)
			total += int64(n)
			if err == io.EOF {
				return nil
			} else if err != nil {
				return err
			}
		}
	})
	return files, total, err
}

// mutate changes a dataset as a working day would, always in the same way: one file in fifty gets a piece
// replaced (large files: three pieces inserted), some are added, deleted and renamed. undo brings all back.
// originals is a folder on the same file system, for what mutate takes out.
func mutate(dir, originals string) (undo func() error, err error) {
	if err := os.MkdirAll(originals, 0o755); err != nil {
		return nil, err
	}
	var names []string
	err = filepath.WalkDir(dir, func(p string, d fs.DirEntry, err error) error {
		if err == nil && d.Type().IsRegular() {
			names = append(names, p)
		}
		return err
	})
	if err != nil {
		return nil, err
	}
	rng := rand.New(rand.NewPCG(3, 5))
	var undos []func() error
	step := max(1, min(50, len(names)/2))
	for i, name := range names {
		var back func() error
		var err error
		switch {
		case i%step == 0:
			back, err = edit(name, originals, rng)
		case i%500 == 1:
			back, err = move(name, name+".away") // undone by moving back
			undos = append(undos, back)
			if err == nil {
				add := filepath.Join(filepath.Dir(name), fmt.Sprintf("new %d.txt", i))
				err = os.WriteFile(add, bytes.Repeat(fmt.Appendf(nil, "written on day two, line %d\n", rng.Uint64()), 200), 0o644)
				back = func() error { return os.Remove(add) }
			}
		}
		if err != nil {
			return nil, err
		}
		if back != nil {
			undos = append(undos, back)
		}
	}
	return func() error {
		for i := len(undos) - 1; i >= 0; i-- {
			if err := undos[i](); err != nil {
				return err
			}
		}
		return nil
	}, nil
}

func move(from, to string) (func() error, error) {
	return func() error { return os.Rename(to, from) }, os.Rename(from, to)
}

// edit replaces a file by a changed copy, and keeps the original for undo.
func edit(name, originals string, rng *rand.Rand) (func() error, error) {
	info, err := os.Stat(name)
	if err != nil {
		return nil, err
	}
	keep := filepath.Join(originals, fmt.Sprintf("%x", rng.Uint64()))
	if err := os.Rename(name, keep); err != nil {
		return nil, err
	}
	src, err := os.Open(keep)
	if err != nil {
		return nil, err
	}
	defer src.Close()
	dst, err := os.Create(name)
	if err != nil {
		return nil, err
	}
	defer dst.Close()
	if info.Size() < 64<<20 {
		if _, err := io.Copy(dst, src); err != nil {
			return nil, err
		}
		piece := []byte(fmt.Sprintf("edited %d;", rng.Uint64()))
		if _, err := dst.WriteAt(piece, rng.Int64N(info.Size()+1)); err != nil {
			return nil, err
		}
	} else {
		for range 3 {
			if _, err := io.CopyN(dst, src, info.Size()/4); err != nil {
				return nil, err
			}
			if _, err := fmt.Fprintf(dst, "inserted %d;", rng.Uint64()); err != nil {
				return nil, err
			}
		}
		if _, err := io.Copy(dst, src); err != nil {
			return nil, err
		}
	}
	return func() error { return os.Rename(keep, name) }, nil
}
