package ingest

import (
	"context"
	"encoding/json"
	"io"
	"sync"

	"github.com/holdfast-backup/holdfast/app/talk"
	"github.com/holdfast-backup/holdfast/vault/archive/intake"
	"github.com/holdfast-backup/holdfast/vault/backup"
	"github.com/holdfast-backup/holdfast/vault/keyring"
	"github.com/holdfast-backup/holdfast/vault/manifest"
	"github.com/holdfast-backup/holdfast/vault/seal"
	"github.com/holdfast-backup/holdfast/wire/fault"
	"github.com/holdfast-backup/holdfast/wire/id"
)

// Outside is what an upload needs of the world around it. The errors of its functions say that no answer came.
type Outside struct {
	// Post sends a GraphQL operation with a bearer token.
	Post func(ctx context.Context, token string, body []byte) (status int, answer []byte, err error)

	// Upload sends a GraphQL operation with a file, as multipart/form-data.
	Upload func(ctx context.Context, token string, operations, file []byte) (status int, answer []byte, err error)
}

// File is a file that a person chose.
type File interface {
	io.ReaderAt
	Size() int64
}

// Request is a call of the page's.
type Request struct {
	Method string
	In     json.RawMessage
	File   File                                      // of talk.MethodCheck
	Lent   func(ctx context.Context) ([]byte, error) // of talk.MethodSend: what the keys lend
	Emit   func(event any)                           // may be nil
}

// Desk is where uploads are made, one at a time for each application. It is safe for concurrent use.
type Desk struct {
	out Outside

	mu      sync.Mutex
	checked map[string]taken // the last file that was checked, by application
}

// taken is a file that was found good.
type taken struct {
	*intake.Import
	file *pace
}

// New returns a desk without a file.
func New(out Outside) *Desk { return &Desk{out: out, checked: map[string]taken{}} }

// window is how much of an archive that is not in order may be held at once, in bytes.
const window = 48 << 20

// Do answers a call.
func (d *Desk) Do(ctx context.Context, r Request) (any, error) {
	if r.Emit == nil {
		r.Emit = func(any) {}
	}
	switch r.Method {
	case talk.MethodCheck:
		var in talk.Check
		if err := json.Unmarshal(r.In, &in); err != nil || r.File == nil {
			return nil, fault.New(fault.Invalid, "choose a file first")
		}
		return d.check(ctx, r, in)
	case talk.MethodSend:
		var in talk.Send
		if err := json.Unmarshal(r.In, &in); err != nil || r.Lent == nil {
			return nil, fault.New(fault.Invalid, "the upload was asked for in a way that cannot be understood: reload the page")
		}
		return d.send(ctx, r, in)
	}
	return nil, fault.New(fault.NotFound, "there is no method %q: reload the page", r.Method)
}

// check reads all of a file and says what is in it.
func (d *Desk) check(ctx context.Context, r Request, in talk.Check) (talk.Recognised, error) {
	d.mu.Lock()
	delete(d.checked, in.ID)
	d.mu.Unlock()
	file := newPace(r.File, r.Emit)
	imp, err := intake.Open(ctx, file, file.Size(), in.Name, intake.Options{Window: window, Application: in.Application, Progress: func(n, all int64) {
		file.tell(talk.Sealing{Phase: "check", Bytes: n, Total: all})
	}})
	if err != nil {
		return talk.Recognised{}, err
	}
	d.mu.Lock()
	d.checked[in.ID] = taken{imp, file}
	d.mu.Unlock()
	return recognised(imp), nil
}

// send seals and stores what was checked last for an application. If it fails it can be sent again.
func (d *Desk) send(ctx context.Context, r Request, in talk.Send) (talk.Sent, error) {
	var out talk.Sent
	d.mu.Lock()
	imp, ok := d.checked[in.Application]
	d.mu.Unlock()
	if !ok {
		return out, fault.New(fault.Invalid, "choose a file first")
	}
	device, err := parse[id.Device](in.Device)
	if err != nil {
		return out, err
	}
	remote, err := newRemote(d.out, in, string(imp.Manifest.Part))
	if err != nil {
		return out, err
	}
	text, err := r.Lent(ctx)
	if err != nil {
		return out, err
	}
	var lent talk.Lent
	if err := json.Unmarshal(text, &lent); err != nil || len(lent.SpaceKey) != 32 {
		return out, fault.New(fault.Internal, "the keys could not be had: reload the page")
	}
	space := keyring.NewSpace([32]byte(lent.SpaceKey))
	clear(lent.SpaceKey)
	clear(text)
	imp.file.forget()
	ctx, end := context.WithCancelCause(ctx)
	defer end(nil)
	got, err := backup.Run(ctx, backup.Config{
		Space: space, Identity: lent.Identity, Level: seal.LevelDefault,
		Manifest:   manifest.Manifest{Device: device, DeviceName: in.DeviceName, OS: "web", AgentVersion: "web"},
		OnProgress: func(p backup.Progress) { r.Emit(talk.Sealing{Phase: p.Phase, Bytes: p.Bytes, Total: p.TotalBytes}) },
	}, imp.Source(end), remote, none{})
	if err != nil {
		if ctx.Err() != nil {
			err = context.Cause(ctx)
		}
		return out, err
	}
	d.mu.Lock()
	delete(d.checked, in.Application)
	d.mu.Unlock()
	return talk.Sent{Snapshot: got.Snapshot.String(), Bytes: got.Bytes, Uploaded: got.UploadedBytes}, nil
}

// none is a cache that knows nothing.
type none struct{}

func (none) Open() (backup.CacheReader, error)   { return nil, nil }
func (none) Create() (backup.CacheWriter, error) { return forgetful{}, nil }

type forgetful struct{}

func (forgetful) Add(*backup.Cached) error      { return nil }
func (forgetful) Commit(backup.CacheMeta) error { return nil }
func (forgetful) Abort()                        {}

// recognised is what a page is told of an import.
func recognised(imp *intake.Import) talk.Recognised {
	m := imp.Manifest
	out := talk.Recognised{Kind: imp.Kind, Part: string(m.Part), Engine: string(m.Engine), Tables: len(m.Tables), Portable: imp.Portable, LeftOut: imp.LeftOut}
	out.MediaFiles, out.MediaBytes = imp.Files, imp.Bytes
	if m.Dump != nil {
		out.DumpBytes = m.Dump.Bytes
	}
	for _, t := range m.Tables {
		out.Rows += t.Rows
	}
	return out
}
