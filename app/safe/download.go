package safe

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/holdfast-backup/holdfast/app/safe/index"
	"github.com/holdfast-backup/holdfast/app/talk"
	"github.com/holdfast-backup/holdfast/vault/archive/export"
	"github.com/holdfast-backup/holdfast/vault/restore"
	"github.com/holdfast-backup/holdfast/vault/tree"
	"github.com/holdfast-backup/holdfast/wire/fault"
)

// Sizes of a download.
const (
	pieceSize   = 512 << 10 // bytes up to which what is small is put together before it is handed to the browser
	maxFailures = 1000      // that are listed
	maxMemory   = 256 << 20 // bytes of a download in memory: browsers lose larger ones (measured in Chromium)
)

// plan says what a download of a selection would be.
func (s *Safe) plan(ctx context.Context, c call, in talk.Selection) (talk.Plan, error) {
	var out talk.Plan
	x, err := c.tree(ctx, in.Snapshot, quiet)
	if err != nil {
		return out, err
	}
	if out.Totals, err = x.Totals(raw(in.Paths), in.Extensions); err != nil {
		return out, err
	}
	e, err := c.single(ctx, in)
	if err != nil {
		return out, err
	}
	if e != nil {
		out.Name, out.Type, out.Size = fileName(e.Base()), "application/octet-stream", e.Size
		return out, nil
	}
	_, m, err := c.manifest(in.Snapshot)
	if err != nil {
		return out, err
	}
	out.Name = "Holdfast " + m.Finished.UTC().Format("2006-01-02 15.04")
	if top := index.Outermost(raw(in.Paths)); len(top) == 1 && top[0] != "" {
		out.Name = top[0][strings.LastIndexByte(top[0], '/')+1:]
	}
	out.Name, out.Type, out.Size, out.ZIP = fileName(out.Name)+".zip", "application/zip", -1, true
	return out, nil
}

// single returns the file that a selection, which is known to exist, consists of; nil if it is more than that, or something else.
func (a *account) single(ctx context.Context, in talk.Selection) (*tree.Entry, error) {
	if len(in.Paths) != 1 || in.Paths[0] == "" {
		return nil, nil
	}
	e, err := a.entry(ctx, talk.Path{Snapshot: in.Snapshot, Path: in.Paths[0]})
	switch {
	case errors.Is(err, fault.NotFound): // a folder of which only the content was saved
		return nil, nil
	case err != nil || e.Type != tree.File:
		return nil, err
	}
	return e, nil
}

// fileName makes a name of what may be one on every system.
func fileName(s string) string {
	s = strings.Map(func(r rune) rune {
		if r < ' ' || strings.ContainsRune(`<>:"/\|?*`, r) {
			return '_'
		}
		return r
	}, talk.Text(s))
	if s = strings.TrimRight(s, ". "); s == "" {
		return "download"
	}
	return s
}

// download writes a selection to the stream that came along, or to memory: a file as it is, anything else as a ZIP.
func (s *Safe) download(ctx context.Context, c call, in talk.Selection) (out talk.Downloaded, err error) {
	p, err := s.plan(ctx, c, in)
	if err != nil {
		return out, err
	}
	to := c.Out
	var memory Memory
	switch {
	case in.InMemory && p.Bytes > maxMemory:
		return out, fault.New(fault.TooLarge, "this browser window cannot take files of this size: use a window that is not private, choose less, or restore to a device")
	case in.InMemory:
		memory = s.out.Memory(p.Type)
		to = memory
	case to == nil:
		return out, fault.New(fault.Invalid, "a download came without a place to go: reload the page")
	}
	defer func() {
		if err != nil {
			to.Abort(err.Error())
		}
	}()
	progress := c.reporter(p.Totals)
	if p.ZIP {
		out, err = c.zip(ctx, to, in, progress)
	} else {
		out.Failures = []talk.Failure{}
		var e *tree.Entry
		if e, err = c.single(ctx, in); err == nil {
			out.Files = 1
			out.Bytes, err = copyFile(ctx, to, c.objects, e, func(n int64) { progress(talk.Totals{Bytes: n}) })
		}
	}
	if err != nil {
		return out, err
	}
	if memory != nil {
		out.URL = memory.URL()
	}
	return out, nil
}

// reporter returns a function that tells the page of progress, but not all the time.
func (c call) reporter(total talk.Totals) func(talk.Totals) {
	var last time.Time
	return func(t talk.Totals) {
		if now := time.Now(); now.Sub(last) >= tick {
			last = now
			c.Emit(talk.Progress{Files: t.Files, Bytes: t.Bytes, TotalFiles: total.Files, TotalBytes: total.Bytes})
		}
	}
}

// toStream makes an io.Writer of a Stream.
type toStream struct {
	ctx context.Context
	Stream
	wrote func(n int) // is told what was written
}

func (w toStream) Write(p []byte) (int, error) {
	if err := w.Stream.Write(w.ctx, p); err != nil {
		return 0, err
	}
	w.wrote(len(p))
	return len(p), nil
}

// copyFile writes a file to a stream and closes it. progress is told how many bytes were written.
func copyFile(ctx context.Context, to Stream, objects *restore.Objects, e *tree.Entry, progress func(int64)) (done int64, err error) {
	r := restore.OpenFile(ctx, objects, e)
	defer r.Close()
	w := bufio.NewWriterSize(toStream{ctx, to, func(n int) {
		done += int64(n)
		progress(done)
	}}, pieceSize)
	if _, err := io.Copy(w, r); err != nil {
		return done, err
	}
	if err := w.Flush(); err != nil {
		return done, err
	}
	if done != e.Size {
		return done, fmt.Errorf("the file has %d bytes, the tree says %d", done, e.Size)
	}
	return done, to.Close(ctx)
}

// zip writes a selection as a ZIP to a stream and closes it.
func (c call) zip(ctx context.Context, to Stream, in talk.Selection, progress func(talk.Totals)) (talk.Downloaded, error) {
	var out talk.Downloaded
	_, m, err := c.manifest(in.Snapshot)
	if err != nil {
		return out, err
	}
	top := index.Outermost(raw(in.Paths))
	cut := len(above(top))
	reader := tree.Open(c.objects, m.Root)
	w := bufio.NewWriterSize(toStream{ctx, to, func(int) {}}, pieceSize)
	r, err := export.WriteZIP(ctx, w, export.Options{
		Objects: c.objects,
		Walk: func(ctx context.Context, fn func(*tree.Entry) error) error {
			return walk(ctx, reader, top, in.Extensions, fn)
		},
		Name:     func(path string) string { return talk.Text(path[cut:]) },
		Text:     talk.Text,
		Progress: func(t export.Totals) { progress(talk.Totals(t)) },
	})
	if err == nil {
		err = w.Flush()
	}
	if err == nil {
		err = to.Close(ctx)
	}
	out = talk.Downloaded{Totals: talk.Totals(r.Totals), Failures: []talk.Failure{}, Failed: r.Failed}
	for _, f := range r.Failures {
		out.Failures = append(out.Failures, talk.Failure{Path: talk.Text(f.Path), Text: f.Err.Error()})
	}
	return out, err
}

// walk calls fn for what is selected, in order. With extensions, folders are left out: an archive needs none.
func walk(ctx context.Context, r *tree.Reader, top, extensions []string, fn func(*tree.Entry) error) error {
	match := func(*tree.Entry) bool { return true }
	if len(extensions) > 0 {
		match = tree.Extensions(extensions...)
	}
	for _, path := range top {
		err := r.Walk(ctx, path, func(e *tree.Entry) error {
			if !match(e) {
				return nil
			}
			return fn(e)
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// above returns the folder in which all of the paths lie, with the slash behind it; "" for the top.
func above(paths []string) string {
	dir := paths[0][:strings.LastIndexByte(paths[0], '/')+1]
	for _, p := range paths[1:] {
		for !strings.HasPrefix(p, dir) {
			dir = dir[:strings.LastIndexByte(dir[:len(dir)-1], '/')+1]
		}
	}
	return dir
}
