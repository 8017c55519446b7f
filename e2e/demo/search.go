//go:build unix

package main

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"

	"github.com/holdfast-backup/holdfast/e2e/stack"
)

// findings is what a search for readable traces brought.
type findings struct {
	names, lines int
	searched     int64 // bytes
	hits         []hit
	control      int // of the same traces, how many the search finds in the files themselves
}

type hit struct{ text, file string }

// search looks for names and lines of the user's files in everything that the server has: each file of its
// data directory (packs, database, write-ahead log, queue) and a dump of its database.
func search(ctx context.Context, server *stack.Server, files string) (*findings, error) {
	names, lines, err := traces(files)
	if err != nil {
		return nil, err
	}
	found := &findings{names: len(names), lines: len(lines)}
	all := append(names, lines...)

	dump, err := os.CreateTemp("", "holdfast-demo-dump-")
	if err != nil {
		return nil, err
	}
	defer os.Remove(dump.Name())
	defer dump.Close()
	database, err := server.DatabaseURL()
	if err != nil {
		return nil, err
	}
	cmd := exec.CommandContext(ctx, pgDump(), "--dbname", database)
	var stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = dump, &stderr
	if err := cmd.Run(); err != nil {
		return nil, fmt.Errorf("pg_dump: %w: %s", err, stderr.Bytes())
	}

	m := newMatcher(all)
	for _, place := range []string{server.Data, dump.Name()} {
		n, err := m.tree(place, &found.hits)
		if err != nil {
			return nil, err
		}
		found.searched += n
	}
	// The control: the same matcher over the files and a listing of their names.
	var present []hit
	if _, err := m.tree(files, &present); err != nil {
		return nil, err
	}
	listing, err := exec.CommandContext(ctx, "find", files).Output()
	if err != nil {
		return nil, fmt.Errorf("find: %w", err)
	}
	m.search("a listing", listing, &present)
	seen := map[string]bool{}
	for _, h := range present {
		seen[h.text] = true
	}
	found.control = len(seen)
	return found, nil
}

// pgDump finds the program on PATH or where Debian keeps it.
func pgDump() string {
	if p, err := exec.LookPath("pg_dump"); err == nil {
		return p
	}
	places, _ := filepath.Glob("/usr/lib/postgresql/*/bin/pg_dump")
	if len(places) > 0 {
		return places[len(places)-1]
	}
	return "pg_dump"
}

// traces picks names of at least 14 and lines of at least 40 bytes, a few hundred of each: long enough not to
// turn up by chance, or as words that the server uses itself.
func traces(dir string) (names, lines [][]byte, err error) {
	n := 0
	once := map[string]bool{}
	err = filepath.WalkDir(dir, func(p string, d fs.DirEntry, err error) error {
		if err != nil || !d.Type().IsRegular() {
			return err
		}
		if n++; n%23 != 0 {
			return nil
		}
		if base := filepath.Base(p); len(base) >= 14 && !once[base] && len(names) < 400 {
			once[base] = true
			names = append(names, []byte(base))
		}
		content, err := os.ReadFile(p)
		if err != nil {
			return err
		}
		for _, line := range bytes.Split(content, []byte("\n")) {
			if line = bytes.TrimSpace(line); len(line) >= 40 && len(line) < 120 && !once[string(line)] && len(lines) < 600 {
				once[string(line)] = true
				lines = append(lines, bytes.Clone(line))
				break
			}
		}
		return nil
	})
	return names, lines, err
}

// matcher finds many strings in one pass: by their first eight bytes, of which the first two are looked up in
// a bitmap.
type matcher struct {
	pairs [1 << 16]bool
	heads map[uint64][][]byte
	text  map[string]string // an encoded form -> what it stands for
}

// newMatcher looks for the texts and for their hexadecimal and base64 forms, in which a dump or a log shows
// what is binary.
func newMatcher(texts [][]byte) *matcher {
	m := &matcher{heads: map[uint64][][]byte{}, text: map[string]string{}}
	add := func(form []byte, text []byte) {
		m.pairs[binary.LittleEndian.Uint16(form)] = true
		head := binary.LittleEndian.Uint64(form)
		m.heads[head] = append(m.heads[head], form)
		m.text[string(form)] = string(text)
	}
	for _, t := range texts {
		add(t, t)
		add([]byte(hex.EncodeToString(t)), t)
		// Base64 has three phases; the inner part of each does not depend on its neighbours.
		for phase := range 3 {
			e := base64.StdEncoding.EncodeToString(append(make([]byte, phase), t...))
			if inner := e[4 : len(e)-4]; len(inner) >= 12 {
				add([]byte(inner), t)
			}
		}
	}
	return m
}

// tree searches every file below a place, or the file itself, and returns how many bytes that were.
func (m *matcher) tree(place string, hits *[]hit) (int64, error) {
	var total int64
	err := filepath.WalkDir(place, func(p string, d fs.DirEntry, err error) error {
		if err != nil || !d.Type().IsRegular() {
			return err
		}
		b, err := os.ReadFile(p)
		if os.IsNotExist(err) { // the database recycles its files
			return nil
		} else if err != nil {
			return err
		}
		total += int64(len(b))
		m.search(p, b, hits)
		return nil
	})
	return total, err
}

func (m *matcher) search(place string, b []byte, hits *[]hit) {
	for i := 0; i+8 <= len(b); i++ {
		if !m.pairs[binary.LittleEndian.Uint16(b[i:])] {
			continue
		}
		for _, form := range m.heads[binary.LittleEndian.Uint64(b[i:])] {
			if bytes.HasPrefix(b[i:], form) {
				*hits = append(*hits, hit{m.text[string(form)], place})
			}
		}
	}
}
