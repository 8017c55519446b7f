package main

import (
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"encoding/hex"
	"io"
	"os"
	"path/filepath"

	"github.com/andybalholm/brotli"
)

// compressed returns the content, compressed in a way that browsers name, from the cache if it is there.
func (b *build) compressed(content []byte, way string) ([]byte, error) {
	level := "best"
	if b.fast {
		level = "fast"
	}
	sum := sha256.Sum256(content)
	path := filepath.Join(".cache", "web", hex.EncodeToString(sum[:])+"."+level+"."+way)
	if kept, err := os.ReadFile(path); err == nil {
		return kept, nil
	}
	var buf bytes.Buffer
	var w io.WriteCloser
	switch {
	case way == "br" && b.fast:
		w = brotli.NewWriterLevel(&buf, 4)
	case way == "br":
		w = brotli.NewWriterLevel(&buf, brotli.BestCompression)
	case b.fast:
		w, _ = gzip.NewWriterLevel(&buf, gzip.BestSpeed)
	default:
		w, _ = gzip.NewWriterLevel(&buf, gzip.BestCompression)
	}
	if _, err := w.Write(content); err != nil {
		return nil, err
	}
	if err := w.Close(); err != nil {
		return nil, err
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return nil, err
	}
	// Under another name first: a build that is interrupted leaves no half file.
	tmp, err := os.CreateTemp(filepath.Dir(path), ".new-*")
	if err != nil {
		return nil, err
	}
	defer os.Remove(tmp.Name())
	if _, err := tmp.Write(buf.Bytes()); err != nil {
		tmp.Close()
		return nil, err
	}
	if err := tmp.Close(); err != nil {
		return nil, err
	}
	return buf.Bytes(), os.Rename(tmp.Name(), path)
}
