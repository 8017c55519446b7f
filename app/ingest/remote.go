package ingest

import (
	"context"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"strings"
	"time"

	"github.com/holdfast-backup/holdfast/app/talk"
	"github.com/holdfast-backup/holdfast/vault/backup"
	"github.com/holdfast-backup/holdfast/vault/chunk"
	"github.com/holdfast-backup/holdfast/wire/fault"
	"github.com/holdfast-backup/holdfast/wire/id"
	"github.com/holdfast-backup/holdfast/wire/pack"
)

// remote is the one session of an upload. It is written by hand like app/safe's: the page's generated client, and the network that is
// linked with it, would make the program far larger.
type remote struct {
	out  Outside
	send talk.Send
	app  id.Application
	part string // as the API spells it: DATABASE, MEDIA, FULL
	used bool
	info backup.Info
}

func newRemote(out Outside, in talk.Send, part string) (*remote, error) {
	r := &remote{out: out, send: in, part: strings.ToUpper(part)}
	b, err := parse[id.Backup](in.Backup)
	if err != nil {
		return nil, err
	}
	if r.app, err = parse[id.Application](in.Application); err != nil {
		return nil, err
	}
	r.info = backup.Info{ID: b, SpaceEmpty: in.Empty, Chunk: chunk.Params{Min: in.ChunkMin, Avg: in.ChunkAvg, Max: in.ChunkMax}, MaxPack: in.MaxPack, TTL: time.Duration(in.TTL) * time.Second}
	if err := r.info.Chunk.Validate(); err != nil || in.MaxPack < pack.Target || in.TTL <= 0 {
		return nil, fault.New(fault.Internal, "the server names limits that make no sense: reload the page")
	}
	return r, nil
}

func parse[T any, P interface {
	*T
	UnmarshalText([]byte) error
}](s string) (v T, err error) {
	if err := P(&v).UnmarshalText([]byte(s)); err != nil {
		return v, fault.Wrap(err, fault.Internal, "the server's reply makes no sense: reload the page")
	}
	return v, nil
}

// Begin implements [backup.Remote]: there is one session.
func (r *remote) Begin(context.Context, id.Snapshot) (backup.Session, error) {
	if r.used {
		return nil, fault.New(fault.SessionExpired, "the upload was interrupted for too long: begin it again, and what was stored will not be sent twice")
	}
	r.used = true
	return r, nil
}

// Info implements [backup.Session].
func (r *remote) Info() backup.Info { return r.info }

// object is a JSON object.
type object map[string]any

// input is the input of an operation of the session, with more in it.
func (r *remote) input(more object) object {
	in := object{"backup": r.send.Backup, "fence": r.send.Fence}
	for k, v := range more {
		in[k] = v
	}
	return in
}

// ask sends an operation until it is answered, and reads the field of its answer that is called like it into into.
func (r *remote) ask(ctx context.Context, name, kind, fields string, in object, into any) error {
	body, err := json.Marshal(object{"operationName": "Import", "query": fmt.Sprintf("mutation Import($input: %s!) { %s(input: $input) { %s } }", kind, name, fields), "variables": object{"input": in}})
	if err != nil {
		return err
	}
	return r.patient(ctx, func() error {
		status, text, err := r.out.Post(ctx, r.send.Token, body)
		return answer(status, text, err, name, into)
	})
}

// tries is how often something is tried that may pass.
const tries = 8

// patient repeats what may be repeated without harm.
func (r *remote) patient(ctx context.Context, fn func() error) error {
	wait := 500 * time.Millisecond
	for n := 1; ; n++ {
		err := fn()
		kind := fault.KindOf(err)
		switch {
		case err == nil:
			return nil
		case ctx.Err() != nil:
			return context.Cause(ctx)
		case n == tries || kind != fault.Unavailable && kind != fault.TooMany && kind != fault.HashMismatch:
			return err
		}
		select {
		case <-time.After(wait/2 + rand.N(wait/2)):
		case <-ctx.Done():
			return context.Cause(ctx)
		}
		wait = min(2*wait, 20*time.Second)
	}
}

// answer reads what the server answered.
func answer(status int, text []byte, err error, name string, into any) error {
	if err != nil {
		return fault.Wrap(err, fault.Unavailable, "the server cannot be reached: check the connection")
	}
	var a struct {
		Data   map[string]json.RawMessage
		Errors []struct {
			Message    string
			Extensions struct {
				Code       string
				RetryAfter float64
				Missing    []byte // ids of objects
			}
		}
	}
	err = json.Unmarshal(text, &a)
	switch {
	case err == nil && len(a.Errors) > 0:
		e := a.Errors[0]
		if e.Extensions.Code == "" {
			e.Extensions.Code = string(fault.Internal)
		}
		return &fault.Error{Kind: fault.Kind(e.Extensions.Code), Message: e.Message, RetryAfter: int(e.Extensions.RetryAfter), Data: e.Extensions.Missing}
	case err != nil || a.Data[name] == nil:
		return fault.New(fault.Unavailable, "the server answered %d and nothing that can be understood: try again in a moment", status)
	case into == nil:
		return nil
	}
	return json.Unmarshal(a.Data[name], into)
}

// Missing implements [backup.Session].
func (r *remote) Missing(ctx context.Context, ids []id.Object) ([]bool, error) {
	if len(ids) == 0 {
		return nil, nil
	}
	b := make([]byte, 0, 16*len(ids))
	for i := range ids {
		b = append(b, ids[i][:]...)
	}
	var out struct{ Missing []byte }
	if err := r.ask(ctx, "missingObjects", "MissingObjectsInput", "missing", r.input(object{"ids": b}), &out); err != nil {
		return nil, err
	}
	if len(out.Missing) != (len(ids)+7)/8 {
		return nil, fault.New(fault.Internal, "the server answered %d bytes about %d objects", len(out.Missing), len(ids))
	}
	missing := make([]bool, len(ids))
	for i := range missing {
		missing[i] = out.Missing[i/8]>>(i%8)&1 != 0
	}
	return missing, nil
}

// Upload implements [backup.Session].
func (r *remote) Upload(ctx context.Context, name id.Pack, pack []byte) error {
	operations, err := json.Marshal(object{"operationName": "Import", "query": "mutation Import($input: UploadPackInput!) { uploadPack(input: $input) { existed } }",
		"variables": object{"input": r.input(object{"name": name.String(), "size": len(pack), "pack": nil})}})
	if err != nil {
		return err
	}
	return r.patient(ctx, func() error {
		status, text, err := r.out.Upload(ctx, r.send.Token, operations, pack)
		return answer(status, text, err, "uploadPack", nil)
	})
}

// Progress implements [backup.Session].
func (r *remote) Progress(ctx context.Context, p backup.Progress) error {
	return r.ask(ctx, "reportProgress", "ReportProgressInput", "ok", r.input(object{"phase": p.Phase, "files": p.Files, "bytes": p.Bytes, "totalFiles": p.TotalFiles,
		"totalBytes": p.TotalBytes, "uploadedBytes": p.UploadedBytes, "problems": p.Problems}), nil)
}

// Commit implements [backup.Session]. Said twice it is the same.
func (r *remote) Commit(ctx context.Context, k backup.Commit) (snapshot id.Snapshot, err error) {
	var out struct{ Snapshot struct{ ID string } }
	err = r.ask(ctx, "commitSnapshot", "CommitSnapshotInput", "snapshot { id }", r.input(object{"root": k.Root[:], "manifest": k.Manifest, "files": k.Files, "bytes": k.Bytes,
		"problems": k.Problems, "uploadedBytes": k.UploadedBytes,
		"application": object{"id": r.send.Application, "part": r.part, "origin": "IMPORT", "title": r.send.Title}}), &out)
	if err != nil {
		return snapshot, err
	}
	return parse[id.Snapshot](out.Snapshot.ID)
}

// Abort implements [backup.Session].
func (r *remote) Abort(ctx context.Context) error {
	return r.ask(ctx, "abortBackup", "AbortBackupInput", "ok", r.input(nil), nil)
}
