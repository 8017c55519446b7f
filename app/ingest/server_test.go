package ingest

import (
	"archive/zip"
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"io"
	"strings"
	"sync"
	"testing"

	"github.com/holdfast-backup/holdfast/app/talk"
	"github.com/holdfast-backup/holdfast/vault/backup"
	"github.com/holdfast-backup/holdfast/vault/chunk"
	"github.com/holdfast-backup/holdfast/vault/keyring"
	"github.com/holdfast-backup/holdfast/vault/manifest"
	"github.com/holdfast-backup/holdfast/vault/restore"
	"github.com/holdfast-backup/holdfast/vault/seal"
	"github.com/holdfast-backup/holdfast/vault/tree"
	"github.com/holdfast-backup/holdfast/vault/vaulttest"
	"github.com/holdfast-backup/holdfast/wire/fault"
	"github.com/holdfast-backup/holdfast/wire/id"
)

// server answers the operations of one upload with a depot in memory.
type server struct {
	t       *testing.T
	depot   *vaulttest.Remote
	session backup.Session

	mu        sync.Mutex
	asked     []string
	heard     bytes.Buffer // all that was sent
	committed map[string]any
	fail      map[string]error  // what an operation is answered; taken back once it was
	hear      func(name string) // is called for every operation, before it is done; may be nil
}

var account = sync.OnceValue(func() *keyring.Account {
	a, err := keyring.NewAccount()
	if err != nil {
		panic(err)
	}
	return a
})

// newServer returns a server, its desk, and what it says of an upload that it began.
func newServer(t *testing.T) (*server, *Desk, talk.Send) {
	t.Helper()
	s := &server{t: t, depot: &vaulttest.Remote{Chunk: chunk.Params{Min: 512, Avg: 2048, Max: 8192}}, fail: map[string]error{}}
	var err error
	if s.session, err = s.depot.Begin(t.Context(), id.Snapshot{}); err != nil {
		t.Fatal(err)
	}
	info := s.session.Info()
	in := talk.Send{Application: id.Application{}.New().String(), Name: "Shop", Device: id.Device{}.New().String(), DeviceName: "web-host", Title: "from elsewhere", Token: "hfi_token",
		Backup: id.Backup{}.New().String(), Fence: 4, TTL: 300, Empty: info.SpaceEmpty, ChunkMin: info.Chunk.Min, ChunkAvg: info.Chunk.Avg, ChunkMax: info.Chunk.Max, MaxPack: 32 << 20}
	return s, New(Outside{Post: s.post, Upload: s.upload}), in
}

func (s *server) post(ctx context.Context, token string, body []byte) (int, []byte, error) {
	return s.answer(ctx, token, body, nil)
}

func (s *server) upload(ctx context.Context, token string, operations, file []byte) (int, []byte, error) {
	return s.answer(ctx, token, operations, file)
}

func (s *server) answer(ctx context.Context, token string, body, file []byte) (int, []byte, error) {
	var req struct {
		Query     string
		Variables struct{ Input map[string]any }
	}
	if err := json.Unmarshal(body, &req); err != nil {
		s.t.Error(err)
	}
	_, name, _ := strings.Cut(req.Query, "{ ")
	name, _, _ = strings.Cut(name, "(")
	s.mu.Lock()
	s.asked = append(s.asked, name)
	s.heard.Write(body)
	s.heard.Write(file)
	err := s.fail[name]
	delete(s.fail, name)
	s.mu.Unlock()
	if s.hear != nil {
		s.hear(name)
	}
	if token != "hfi_token" {
		s.t.Errorf("%s came with the token %q", name, token)
	}
	if errors.Is(err, errGone) {
		return 0, nil, err
	}
	var out any
	if err == nil {
		out, err = s.do(ctx, name, req.Variables.Input, file)
	}
	if err != nil {
		text, _ := json.Marshal(map[string]any{"errors": []any{map[string]any{"message": err.Error(), "extensions": map[string]any{"code": fault.KindOf(err)}}}})
		return 200, text, nil
	}
	text, _ := json.Marshal(map[string]any{"data": map[string]any{name: out}})
	return 200, text, nil
}

// errGone is what a network says that is not there.
var errGone = errors.New("no route")

func (s *server) do(ctx context.Context, name string, in map[string]any, file []byte) (any, error) {
	decoded := func(field string) []byte {
		b, err := base64.StdEncoding.DecodeString(in[field].(string))
		if err != nil {
			s.t.Error(err)
		}
		return b
	}
	ok := map[string]any{"ok": true}
	switch name {
	case "missingObjects":
		var list []id.Object
		for b := decoded("ids"); len(b) > 0; b = b[16:] {
			list = append(list, id.Object(b[:16]))
		}
		missing, err := s.session.Missing(ctx, list)
		bits := make([]byte, (len(missing)+7)/8)
		for i, m := range missing {
			if m {
				bits[i/8] |= 1 << (i % 8)
			}
		}
		return map[string]any{"missing": bits}, err
	case "uploadPack":
		p, err := id.ParsePack(in["name"].(string))
		if err != nil || int(in["size"].(float64)) != len(file) {
			s.t.Errorf("a pack of %d bytes came as %v: %v", len(file), in, err)
		}
		return map[string]any{"existed": false}, s.session.Upload(ctx, p, bytes.Clone(file))
	case "reportProgress":
		return ok, s.session.Progress(ctx, backup.Progress{})
	case "abortBackup":
		return ok, s.session.Abort(ctx)
	case "commitSnapshot":
		s.mu.Lock()
		s.committed = in
		s.mu.Unlock()
		made, err := s.session.Commit(ctx, backup.Commit{Root: id.Object(decoded("root")), Manifest: decoded("manifest"), Files: int64(in["files"].(float64)), Bytes: int64(in["bytes"].(float64))})
		return map[string]any{"snapshot": map[string]any{"id": made.String()}}, err
	}
	s.t.Errorf("nobody knows %s", name)
	return ok, nil
}

// was reports whether something was asked.
func (s *server) was(name string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, a := range s.asked {
		if a == name {
			return true
		}
	}
	return false
}

// stored is what the newest snapshot holds, opened with the owner's keys: by path, without folders.
func (s *server) stored() map[string]string {
	s.t.Helper()
	all := s.depot.Snapshots()
	if len(all) != 1 {
		s.t.Fatalf("%d snapshots were made", len(all))
	}
	m, err := manifest.Open(account(), all[0].Manifest)
	if err != nil {
		s.t.Fatal(err)
	}
	got := map[string]string{}
	objects := restore.NewObjects(s.depot, seal.New(account().Space().Content), restore.Options{})
	if err := tree.Open(objects, m.Root).Walk(s.t.Context(), "", func(e *tree.Entry) error {
		if e.Type != tree.File {
			return nil
		}
		b, err := io.ReadAll(restore.OpenFile(s.t.Context(), objects, e))
		got[e.Path] = string(b)
		return err
	}); err != nil {
		s.t.Fatal(err)
	}
	return got
}

// lent is what the keys lend.
func lent(context.Context) ([]byte, error) {
	key := account().SpaceKey()
	return json.Marshal(talk.Lent{SpaceKey: key[:], Identity: account().IdentityPublic()})
}

// ask asks a desk for something.
func ask[T any](t *testing.T, d *Desk, method string, in any, r Request) (out T, err error) {
	t.Helper()
	r.Method = method
	if r.In, err = json.Marshal(in); err != nil {
		t.Fatal(err)
	}
	got, err := d.Do(t.Context(), r)
	if err == nil {
		out = got.(T)
	}
	return out, err
}

// zipped is a ZIP of files.
func zipped(t *testing.T, files map[string]string) string {
	t.Helper()
	var b bytes.Buffer
	z := zip.NewWriter(&b)
	for name, content := range files {
		w, err := z.Create(name)
		if err != nil {
			t.Fatal(err)
		}
		io.WriteString(w, content) //nolint:errcheck // into memory
	}
	if err := z.Close(); err != nil {
		t.Fatal(err)
	}
	return b.String()
}
