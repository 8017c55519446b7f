package intake

import (
	"archive/tar"
	"archive/zip"
	"bytes"
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"strings"
	"testing"
	"time"

	"github.com/klauspost/compress/zstd"

	"github.com/holdfast-backup/holdfast/vault/backup"
	"github.com/holdfast-backup/holdfast/vault/tree"
	"github.com/holdfast-backup/holdfast/wire/fault"
)

const postgresDump = `--
-- PostgreSQL database dump
--

-- Dumped from database version 17.2 (Debian 17.2-1)
-- Dumped by pg_dump version 17.4

SET statement_timeout = 0;
CREATE TABLE public.items (id integer);
COPY public.items (id) FROM stdin;
1
2
3
\.

--
-- PostgreSQL database dump complete
--

`

const mysqlDump = "-- MariaDB dump 10.19  Distrib 10.11.6-MariaDB, for debian-linux-gnu (x86_64)\n--\n" +
	"-- Host: localhost    Database: shop\n-- Server version\t10.11.6-MariaDB-0+deb12u1\n\n" +
	"CREATE TABLE `t` (`a` int);\nINSERT INTO `t` VALUES (1),(2);\n-- Dump completed\n"

const sqliteDump = "PRAGMA foreign_keys=OFF;\nBEGIN TRANSACTION;\nCREATE TABLE t (a);\nINSERT INTO t VALUES(1);\nCOMMIT;\n"

const portableDump = `{"format": "holdfast-portable", "version": 1, "engine": "mysql", "server": "10.11.6", "taken_at": "2026-01-02T03:04:05Z",
 "tables": [
  {"name": "o\"rders", "columns": [{"name": "rows", "type": "int"}, {"name": "name"}], "primary_key": ["rows"], "rows": [["1", "a]\"[\\"], ["2", null], [3, {"x": [[1], [2]]}]]},
  {"rows": [], "name": "empty"}
 ]}
`

var when = time.Date(2025, 5, 6, 7, 8, 10, 0, time.UTC)

// a thing is an entry of an archive.
type thing struct {
	name string
	text string
	typ  byte // of tar; 0: a file, or a folder if the name ends with a slash
	link string
	mode int64 // 0: 0640
}

func tarOf(t testing.TB, things ...thing) []byte {
	t.Helper()
	var b bytes.Buffer
	w := tar.NewWriter(&b)
	for _, x := range things {
		h := &tar.Header{Name: x.name, Typeflag: x.typ, Linkname: x.link, Mode: x.mode, Size: int64(len(x.text)), ModTime: when}
		if h.Typeflag == 0 {
			h.Typeflag = tar.TypeReg
			if strings.HasSuffix(x.name, "/") {
				h.Typeflag = tar.TypeDir
			}
		}
		if h.Mode == 0 {
			h.Mode = 0o640
		}
		if err := w.WriteHeader(h); err != nil {
			t.Fatal(err)
		}
		if _, err := io.WriteString(w, x.text); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func zipOf(t testing.TB, things ...thing) []byte {
	t.Helper()
	var b bytes.Buffer
	w := zip.NewWriter(&b)
	for _, x := range things {
		h := &zip.FileHeader{Name: x.name, Method: zip.Deflate, Modified: when}
		mode := fs.FileMode(x.mode)
		if mode == 0 {
			mode = 0o640
		}
		switch {
		case x.typ == tar.TypeSymlink:
			mode |= fs.ModeSymlink
			x.text = x.link
		case x.typ == tar.TypeFifo:
			mode |= fs.ModeNamedPipe
		case strings.HasSuffix(x.name, "/"):
			mode |= fs.ModeDir
		}
		h.SetMode(mode)
		f, err := w.CreateHeader(h)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := io.WriteString(f, x.text); err != nil && x.text != "" {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func gz(t testing.TB, p []byte) []byte {
	t.Helper()
	var b bytes.Buffer
	w := gzip.NewWriter(&b)
	if _, err := w.Write(p); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func zst(t testing.TB, p []byte) []byte {
	t.Helper()
	w, err := zstd.NewWriter(nil, zstd.WithEncoderConcurrency(1))
	if err != nil {
		t.Fatal(err)
	}
	return w.EncodeAll(p, nil)
}

func take(t testing.TB, p []byte, o Options) (*Import, error) {
	t.Helper()
	return Open(t.Context(), bytes.NewReader(p), int64(len(p)), "upload", o)
}

func taken(t testing.TB, p []byte) *Import {
	t.Helper()
	im, err := take(t, p, Options{})
	if err != nil {
		t.Fatal(err)
	}
	return im
}

// contents walks and reads everything: files with their texts, links with their targets, folders with a slash.
func contents(t testing.TB, im *Import) map[string]string {
	t.Helper()
	got := map[string]string{}
	last := ""
	ctx, cancel := context.WithCancelCause(t.Context())
	defer cancel(nil)
	var items []*backup.Item
	err := im.Source(cancel).Walk(ctx, func(it *backup.Item) error {
		if last != "" && tree.Compare(last, it.Path) >= 0 {
			return fmt.Errorf("%s after %s", it.Path, last)
		}
		if i := strings.LastIndexByte(it.Path, '/'); i > 0 {
			if _, ok := got[it.Path[:i]+"/"]; !ok {
				return fmt.Errorf("%s before its folder", it.Path)
			}
		}
		last = it.Path
		switch it.Type {
		case tree.Dir:
			got[it.Path+"/"] = ""
		case tree.Symlink:
			got[it.Path] = "-> " + it.Link
		default:
			got[it.Path] = ""
			items = append(items, it)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	for _, it := range items {
		p, err := read(it)
		if err != nil {
			t.Fatalf("%s: %v", it.Path, err)
		}
		got[it.Path] = string(p)
	}
	return got
}

// read reads an item as a backup does.
func read(it *backup.Item) ([]byte, error) {
	f, err := it.Open()
	if err != nil {
		return nil, err
	}
	defer f.Close()
	p, err := io.ReadAll(f)
	if err != nil {
		return nil, err
	}
	if s, err := f.Stat(); err != nil || s.Size != int64(len(p)) || s.Size != it.Size || s.ModTime != it.ModTime || s.Mode != it.Mode {
		return nil, fmt.Errorf("%+v, %v", s, err)
	}
	return p, nil
}

// refused checks that a file is refused, with a word of the sentence.
func refused(t *testing.T, what string, p []byte, o Options, words ...string) {
	t.Helper()
	_, err := take(t, p, o)
	if !errors.Is(err, fault.Invalid) && !errors.Is(err, fault.TooLarge) {
		t.Errorf("%s: %v", what, err)
		return
	}
	var f *fault.Error
	errors.As(err, &f)
	for _, w := range words {
		if !strings.Contains(f.Message, w) {
			t.Errorf("%s: %q does not say %q", what, f.Message, w)
		}
	}
}
