package application

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"hash"
	"io"
	"strings"
	"sync"
	"time"

	"github.com/holdfast-backup/holdfast/agent/source"
	"github.com/holdfast-backup/holdfast/vault/archive"
	"github.com/holdfast-backup/holdfast/vault/backup"
	"github.com/holdfast-backup/holdfast/vault/dump"
	"github.com/holdfast-backup/holdfast/vault/tree"
	"github.com/holdfast-backup/holdfast/wire/fault"
)

// snapshot is a [backup.Source] of an application. What cannot be read of its database ends the backup: end is called
// with the reason, and the backup's context must end by it.
type snapshot struct {
	app         *App
	part        archive.Part
	origin      archive.Origin
	db          source.Database // nil unless the part has one
	portable    bool
	excludeLogs bool
	skip        string // the state folder
	end         context.CancelCauseFunc

	check  source.Check // of the database, for the manifest
	tables []dump.Table // of the latest walk
}

// Walk implements [backup.Source]. Each walk reads the database anew, as it is then.
func (s *snapshot) Walk(ctx context.Context, emit func(*backup.Item) error) error {
	m := archive.Manifest{Application: s.app.Name, Part: s.part, Origin: s.origin, TakenAt: time.Now().UTC().Truncate(time.Second)}
	if s.part.HasDatabase() {
		if err := s.walkDatabase(ctx, &m, emit); err != nil {
			return err
		}
	}
	if s.part.HasMedia() {
		for _, f := range s.app.Media {
			m.Media = append(m.Media, archive.Folder{Label: f.Label, Root: f.Path})
		}
	}
	b, err := m.Encode()
	if err != nil {
		return err
	}
	if err := emit(memory(archive.Name, b, m.TakenAt)); err != nil {
		return err
	}
	if !s.part.HasMedia() {
		return nil
	}
	return s.app.walkMedia(ctx, s.excludeLogs, s.skip, emit)
}

// walkDatabase emits the dump and, if asked for, the portable export, and describes the database in m. An item of unknown
// size is read at once, so the walk can wait for its end: what follows tells of it.
func (s *snapshot) walkDatabase(ctx context.Context, m *archive.Manifest, emit func(*backup.Item) error) error {
	session, err := s.db.Begin(ctx)
	if err != nil {
		return err
	}
	defer session.Close()
	d := s.stream(archive.SQL, m.TakenAt, func() (io.ReadCloser, error) { return session.Dump(ctx) })
	if err := s.emitAndWait(ctx, d, emit); err != nil {
		return err
	}
	s.tables = d.tables
	m.Engine, m.EngineVersion, m.Tool, m.Tables = s.check.Engine, s.check.Version, s.check.Tool, d.tables
	m.Dump = &archive.Dump{Format: nativeFormat(s.check.Engine), Bytes: d.bytes, SHA256: d.sum}
	if !s.portable {
		return nil
	}
	return s.emitAndWait(ctx, s.stream(archive.Portable, m.TakenAt, func() (io.ReadCloser, error) { return session.Portable(ctx) }), emit)
}

func nativeFormat(e dump.Engine) dump.Format {
	switch e {
	case dump.Postgres:
		return dump.PostgresSQL
	case dump.MySQL:
		return dump.MySQLSQL
	}
	return dump.SQLiteSQL
}

func (s *snapshot) emitAndWait(ctx context.Context, t *stream, emit func(*backup.Item) error) error {
	if err := emit(t.item()); err != nil {
		return err
	}
	select {
	case <-t.done:
		return t.err
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// stream is what a database's tool writes, as an entry of a snapshot.
type stream struct {
	name string
	at   time.Time
	open func() (io.ReadCloser, error)
	end  context.CancelCauseFunc

	once sync.Once
	done chan struct{} // closed when it was read to its end, or failed

	// Once done is closed:
	err    error
	bytes  int64
	sum    string
	tables []dump.Table
}

func (s *snapshot) stream(name string, at time.Time, open func() (io.ReadCloser, error)) *stream {
	return &stream{name: name, at: at, open: open, end: s.end, done: make(chan struct{})}
}

func (t *stream) stat() backup.Stat {
	return backup.Stat{Size: -1, ModTime: t.at.UnixNano(), Mode: 0o600}
}

func (t *stream) item() *backup.Item {
	st := t.stat()
	return &backup.Item{
		Entry: tree.Entry{Path: t.name, Type: tree.File, Mode: st.Mode, Size: st.Size, ModTime: st.ModTime},
		Open: func() (backup.File, error) {
			r, err := t.open()
			if err != nil {
				t.over(err)
				return nil, err
			}
			return &streamFile{t: t, r: r, hash: sha256.New()}, nil
		},
	}
}

// over settles how the stream ended, and ends the backup if it failed.
func (t *stream) over(err error) {
	t.once.Do(func() {
		t.err = err
		close(t.done)
		if err != nil {
			t.end(err)
		}
	})
}

// streamFile is an open stream.
type streamFile struct {
	t    *stream
	r    io.ReadCloser
	hash hash.Hash
	n    int64
}

// Read implements [io.Reader].
func (f *streamFile) Read(p []byte) (int, error) {
	n, err := f.r.Read(p)
	f.hash.Write(p[:n])
	f.n += int64(n)
	switch {
	case errors.Is(err, io.EOF):
		f.t.bytes, f.t.sum = f.n, hex.EncodeToString(f.hash.Sum(nil))
		if d, ok := f.r.(source.Dump); ok {
			f.t.tables = d.Tables()
		}
		f.t.over(nil)
	case err != nil:
		f.t.over(err)
	}
	return n, err
}

// Stat implements [backup.File]: a stream does not change.
func (f *streamFile) Stat() (backup.Stat, error) { return f.t.stat(), nil }

// Close implements [io.Closer]. A stream that is closed before its end has failed, unless somebody knows why already.
func (f *streamFile) Close() error {
	err := f.r.Close()
	f.t.over(fault.New(fault.Internal, "%s was not read to its end", f.t.name))
	return err
}

// memory is a small file that is there already.
func memory(name string, b []byte, at time.Time) *backup.Item {
	st := backup.Stat{Size: int64(len(b)), ModTime: at.UnixNano(), Mode: 0o600}
	return &backup.Item{
		Entry: tree.Entry{Path: name, Type: tree.File, Mode: st.Mode, Size: st.Size, ModTime: st.ModTime},
		Open:  func() (backup.File, error) { return memoryFile{strings.NewReader(string(b)), st}, nil },
	}
}

type memoryFile struct {
	*strings.Reader
	stat backup.Stat
}

func (f memoryFile) Stat() (backup.Stat, error) { return f.stat, nil }
func (f memoryFile) Close() error               { return nil }
