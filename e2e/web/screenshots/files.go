//go:build linux

package main

import (
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"time"
)

// kinds are kinds of files, as an office has them: an extension, folders where they are, and sizes in KiB from and to.
var kinds = []struct {
	ext      string
	folders  []string
	from, to int
	random   bool // as what is compressed already
}{
	{".docx", []string{"Documents", "Documents/Letters", "Documents/Minutes of the council"}, 20, 300, true},
	{".xlsx", []string{"Documents/Budget 2026", "Documents/Budget 2027"}, 15, 400, true},
	{".pdf", []string{"Documents/Contracts", "Documents/Reading"}, 60, 900, true},
	{".pptx", []string{"Documents/Talks"}, 200, 1500, true},
	{".txt", []string{"Documents", "Desktop"}, 1, 8, false},
	{".csv", []string{"Documents/Measurements"}, 30, 600, false},
	{".jpg", []string{"Pictures/Summer school", "Pictures/Portraits"}, 200, 1200, true},
	{".mp4", []string{"Videos"}, 2000, 4000, true},
}

var (
	firsts  = strings.Fields("draft final report notes plan summary overview list letter proposal agenda review statement invoice protocol survey appendix programme")
	seconds = strings.Fields("library seminar tides laboratory archive council students harbour winter building network press travel library marine acoustics museum")
)

// office fills a folder with files, as many of each kind.
func office(home string, seed uint64, each int) error {
	r := rand.New(rand.NewPCG(seed, 1))
	for _, k := range kinds {
		for n := range each {
			name := fmt.Sprintf("%s %s %02d%s", firsts[r.IntN(len(firsts))], seconds[r.IntN(len(seconds))], n+1, k.ext)
			path := filepath.Join(home, k.folders[r.IntN(len(k.folders))], name)
			if err := write(path, content(r, (k.from+r.IntN(k.to-k.from))<<10, k.random)); err != nil {
				return err
			}
			when := time.Now().Add(-time.Duration(r.IntN(400*24)) * time.Hour)
			if err := os.Chtimes(path, when, when); err != nil {
				return err
			}
		}
	}
	long := "Minutes of the extraordinary meeting of the committee for the renovation of the reading room, second half of the afternoon (corrected).docx"
	return write(filepath.Join(home, "Documents", long), content(r, 40<<10, true))
}

// work changes a little, as a day does.
func work(home string, seed uint64) error {
	r := rand.New(rand.NewPCG(seed, 2))
	for range 2 + r.IntN(4) {
		name := fmt.Sprintf("%s %s of day %d.docx", firsts[r.IntN(len(firsts))], seconds[r.IntN(len(seconds))], seed)
		if err := write(filepath.Join(home, "Documents", name), content(r, (20+r.IntN(600))<<10, true)); err != nil {
			return err
		}
	}
	return nil
}

// content makes a file: noise, or lines of a table.
func content(r *rand.Rand, size int, random bool) []byte {
	if !random {
		var b strings.Builder
		for b.Len() < size {
			fmt.Fprintf(&b, "%s;%s;%d;%.3f\n", firsts[r.IntN(len(firsts))], seconds[r.IntN(len(seconds))], r.IntN(1000), r.Float64())
		}
		return []byte(b.String())
	}
	return noise(r.Uint64(), size)
}

// noise is what no program can make smaller.
func noise(seed uint64, size int) []byte {
	var key [32]byte
	binary.LittleEndian.PutUint64(key[:], seed)
	b := make([]byte, size)
	rand.NewChaCha8(key).Read(b) //nolint:errcheck // it never fails
	return b
}

func write(path string, b []byte) error {
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return err
	}
	return os.WriteFile(path, b, 0o644)
}
