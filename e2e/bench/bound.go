//go:build linux

package main

import (
	"errors"
	"io"
	"os"

	"github.com/holdfast-backup/holdfast/vault/chunk"
	"github.com/holdfast-backup/holdfast/vault/seal"
)

// averages are the chunk sizes that are tried, in bytes; the last is that of a space.
var averages = []int{4 << 10, 16 << 10, 64 << 10, 256 << 10, chunk.DefaultParams.Avg}

// bound is what two dumps would take with another chunk size: bodies of objects and their 20 bytes in a pack's index,
// without the tree.
type bound struct {
	avg             int
	chunks          int   // of the first dump
	first           int64 // bytes, stored
	second          int64 // bytes, added
	plain, newPlain int64 // bytes of the second dump, and of its chunks that the first did not have
}

// bounds cuts and seals both dumps with every size.
func bounds(first, second string) ([]bound, error) {
	var list []bound
	for _, avg := range averages {
		b := bound{avg: avg}
		c := &cutter{params: chunk.Params{Min: avg / 4, Avg: avg, Max: 4 * avg}, seen: map[seal.Key]bool{}, sealer: seal.New(seal.ContentKey{1})}
		var err error
		if b.first, _, _, err = c.cut(first); err != nil {
			return nil, err
		}
		b.chunks = len(c.seen)
		if b.second, b.newPlain, b.plain, err = c.cut(second); err != nil {
			return nil, err
		}
		list = append(list, b)
	}
	return list, nil
}

// A cutter cuts and seals as a backup does, and counts instead of storing.
type cutter struct {
	params chunk.Params
	seen   map[seal.Key]bool
	sealer *seal.Sealer
	body   []byte
}

// indexEntry is what an object takes in the index of its pack, in bytes.
const indexEntry = 20

// cut returns what a file would add to what was cut before: stored bytes, and bytes of plaintext; and its size.
func (c *cutter) cut(name string) (stored, added, size int64, err error) {
	f, err := os.Open(name)
	if err != nil {
		return 0, 0, 0, err
	}
	defer f.Close()
	for ch := chunk.New(f, chunk.NewTable([32]byte{1}), c.params, make([]byte, 8<<20)); ; {
		p, err := ch.Next()
		if errors.Is(err, io.EOF) {
			return stored, added, size, nil
		} else if err != nil {
			return 0, 0, 0, err
		}
		size += int64(len(p))
		k := c.sealer.Key(p)
		if c.seen[k] {
			continue
		}
		c.seen[k] = true
		c.body = c.sealer.Append(c.body[:0], k, p, seal.LevelDefault)
		stored += int64(len(c.body)) + indexEntry
		added += int64(len(p))
	}
}

// alone returns what a file takes that is stored by itself, in chunks of the size of a space.
func alone(name string) (int64, error) {
	c := &cutter{params: chunk.DefaultParams, seen: map[seal.Key]bool{}, sealer: seal.New(seal.ContentKey{1})}
	stored, _, _, err := c.cut(name)
	return stored, err
}
