package ingest

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/holdfast-backup/holdfast/app/talk"
	"github.com/holdfast-backup/holdfast/vault/archive"
	"github.com/holdfast-backup/holdfast/wire/fault"
)

const dump = "PRAGMA foreign_keys=OFF;\nBEGIN TRANSACTION;\nCREATE TABLE birds (name TEXT);\nINSERT INTO birds VALUES('Wilhelmina Sandpiper');\nINSERT INTO birds VALUES('Heron');\nCOMMIT;\n"

// noise does not compress.
func noise(n int) string {
	b := make([]byte, n)
	rand.NewChaCha8([32]byte{9}).Read(b) //nolint:errcheck // it never fails
	return string(b)
}

// checked has a file checked for the application of an upload.
func checked(t *testing.T, d *Desk, in talk.Send, name, content string) (talk.Recognised, error) {
	t.Helper()
	return ask[talk.Recognised](t, d, talk.MethodCheck, talk.Check{Name: name, ID: in.Application, Application: in.Name}, Request{File: memory(content)})
}

func TestADumpIsSealed(t *testing.T) {
	t.Parallel()
	s, d, in := newServer(t)
	got, err := checked(t, d, in, "birds-of-2019.txt", dump)
	if err != nil {
		t.Fatal(err)
	}
	if want := (talk.Recognised{Kind: "SQL dump", Part: "database", Engine: "sqlite", Tables: 1, Rows: 2, DumpBytes: int64(len(dump))}); got != want {
		t.Errorf("recognised as %+v", got)
	}
	var told []talk.Sealing
	sent, err := ask[talk.Sent](t, d, talk.MethodSend, in, Request{Lent: lent, Emit: func(e any) { told = append(told, e.(talk.Sealing)) }})
	if err != nil {
		t.Fatal(err)
	}
	files := s.stored()
	if files[archive.SQL] != dump || len(files) != 2 || !strings.Contains(files[archive.Name], `"application":"Shop"`) && !strings.Contains(files[archive.Name], `"application": "Shop"`) {
		t.Errorf("stored %q", files)
	}
	if sent.Snapshot != s.depot.Snapshots()[0].ID.String() || sent.Bytes < int64(len(dump)) || sent.Uploaded == 0 {
		t.Errorf("%+v", sent)
	}
	label := s.committed["application"].(map[string]any)
	if label["part"] != "DATABASE" || label["origin"] != "IMPORT" || label["title"] != "from elsewhere" || label["id"] != in.Application {
		t.Errorf("it was committed as %v", s.committed)
	}
	if len(told) == 0 || told[len(told)-1].Bytes == 0 {
		t.Errorf("of how far it is it said %v", told)
	}
	key := account().SpaceKey()
	for _, secret := range []string{"Sandpiper", "birds", string(key[:])} {
		if bytes.Contains(s.heard.Bytes(), []byte(secret)) {
			t.Errorf("the server heard %q", secret)
		}
	}
	if _, err := ask[talk.Sent](t, d, talk.MethodSend, in, Request{Lent: lent}); fault.KindOf(err) != fault.Invalid {
		t.Errorf("what was stored is sent again: %v", err)
	}
}

func TestAnArchiveIsSealed(t *testing.T) {
	t.Parallel()
	s, d, in := newServer(t)
	film := noise(300_000)
	got, err := checked(t, d, in, "all.zip", zipped(t, map[string]string{"old/database.sql": dump, "old/media/a/film.mp4": film, "old/notes.txt": "beside"}))
	if err != nil {
		t.Fatal(err)
	}
	if got.Part != "full" || got.MediaFiles != 1 || got.MediaBytes != int64(len(film)) || got.Rows != 2 || got.LeftOut != 1 || got.Portable {
		t.Errorf("recognised as %+v", got)
	}
	s.fail["uploadPack"] = errGone // once
	s.fail["missingObjects"] = fault.New(fault.TooMany, "not so fast")
	if _, err := ask[talk.Sent](t, d, talk.MethodSend, in, Request{Lent: lent}); err != nil {
		t.Fatal(err)
	}
	if files := s.stored(); files["media/a/film.mp4"] != film || files[archive.SQL] != dump {
		t.Errorf("stored %d files", len(files))
	}
	if label := s.committed["application"].(map[string]any); label["part"] != "FULL" {
		t.Errorf("it was committed as %v", label)
	}
}

func TestWhatIsRefusedIsNotSent(t *testing.T) {
	t.Parallel()
	s, d, in := newServer(t)
	if _, err := checked(t, d, in, "good.sql", dump); err != nil {
		t.Fatal(err)
	}
	for name, content := range map[string]string{"notes.sql": "Dear diary", "cut.sql": dump[:60], "empty.sql": "", "out.zip": zipped(t, map[string]string{"../out.txt": "x"})} {
		_, err := checked(t, d, in, name, content)
		if k := fault.KindOf(err); k != fault.Invalid {
			t.Errorf("%s: %v", name, err)
		}
		// Nor is the one before it, which a person no longer sees.
		if _, err := ask[talk.Sent](t, d, talk.MethodSend, in, Request{Lent: lent}); fault.KindOf(err) != fault.Invalid {
			t.Errorf("after %s something was sent: %v", name, err)
		}
	}
	if len(s.asked) > 0 {
		t.Errorf("the server was asked %q", s.asked)
	}
}

// TestOneFileForEachApplication has a file that was checked for one not become a backup of another.
func TestOneFileForEachApplication(t *testing.T) {
	t.Parallel()
	s, d, in := newServer(t)
	other := in
	other.Application = "app_of_somebody"
	if _, err := checked(t, d, in, "good.sql", dump); err != nil {
		t.Fatal(err)
	}
	if _, err := checked(t, d, other, "other.zip", zipped(t, map[string]string{"media/x": "x"})); err != nil {
		t.Fatal(err)
	}
	if _, err := ask[talk.Sent](t, d, talk.MethodSend, in, Request{Lent: lent}); err != nil {
		t.Fatal(err)
	}
	if files := s.stored(); files[archive.SQL] != dump {
		t.Errorf("stored %q", files)
	}
}

// faulty is a file that cannot be read any more.
type faulty struct{ File }

var errRead = errors.New("the file cannot be read")

func (faulty) ReadAt([]byte, int64) (int, error) { return 0, errRead }

func TestAFileIsGone(t *testing.T) {
	t.Parallel()
	s, d, in := newServer(t)
	_, err := ask[talk.Recognised](t, d, talk.MethodCheck, talk.Check{Name: "x.sql", ID: in.Application}, Request{File: faulty{memory(dump)}})
	if !errors.Is(err, errRead) {
		t.Errorf("while it is checked: %v", err)
	}
	// Changed after it was checked: nothing is committed.
	file := &changing{fileOf{bytes.NewReader([]byte(dump))}}
	if _, err := ask[talk.Recognised](t, d, talk.MethodCheck, talk.Check{Name: "x.sql", ID: in.Application}, Request{File: file}); err != nil {
		t.Fatal(err)
	}
	file.fileOf = fileOf{bytes.NewReader([]byte(strings.Replace(dump, "Heron", "Robin", 1)))}
	_, err = ask[talk.Sent](t, d, talk.MethodSend, in, Request{Lent: lent})
	if fault.KindOf(err) != fault.Invalid || !strings.Contains(err.Error(), "changed while it was taken in") {
		t.Errorf("changed meanwhile: %v", err)
	}
	if !s.was("abortBackup") || s.was("commitSnapshot") {
		t.Errorf("the server was asked %q", s.asked)
	}
}

type changing struct{ fileOf }

func TestTheServerRefuses(t *testing.T) {
	t.Parallel()
	s, d, in := newServer(t)
	if _, err := checked(t, d, in, "good.sql", dump); err != nil {
		t.Fatal(err)
	}
	s.fail["uploadPack"] = fault.New(fault.StorageFull, "the server has no room")
	_, err := ask[talk.Sent](t, d, talk.MethodSend, in, Request{Lent: lent})
	if fault.KindOf(err) != fault.StorageFull || !strings.Contains(err.Error(), "no room") {
		t.Errorf("%v", err)
	}
	if !s.was("abortBackup") {
		t.Error("the server was not told that nothing comes of it")
	}
	for name, change := range map[string]func(*talk.Send){
		"a pack":    func(s *talk.Send) { s.MaxPack = 10 },
		"chunks":    func(s *talk.Send) { s.ChunkMin = 0 },
		"a time":    func(s *talk.Send) { s.TTL = 0 },
		"a session": func(s *talk.Send) { s.Backup = "x" },
		"a device":  func(s *talk.Send) { s.Device = "x" },
	} {
		bad := in
		change(&bad)
		if _, err := ask[talk.Sent](t, d, talk.MethodSend, bad, Request{Lent: lent}); fault.KindOf(err) != fault.Internal {
			t.Errorf("%s that makes no sense: %v", name, err)
		}
	}
	locked := fault.New(fault.Unauthenticated, "the keys are closed")
	_, err = ask[talk.Sent](t, d, talk.MethodSend, in, Request{Lent: func(context.Context) ([]byte, error) { return nil, locked }})
	if !errors.Is(err, locked) {
		t.Errorf("without keys: %v", err)
	}
	for _, method := range []string{talk.MethodCheck, talk.MethodSend, "x"} {
		if _, err := d.Do(t.Context(), Request{Method: method, In: []byte("{}")}); err == nil {
			t.Errorf("%s with nothing is done", method)
		}
	}
}

func TestItIsStopped(t *testing.T) {
	t.Parallel()
	s, d, in := newServer(t)
	content := zipped(t, map[string]string{"media/a": noise(200_000)})
	ctx, cancel := context.WithCancel(t.Context())
	file := &stopping{File: memory(content), stop: cancel}
	_, err := d.Do(ctx, Request{Method: talk.MethodCheck, In: []byte(`{"name":"a.zip","id":"` + in.Application + `"}`), File: file})
	if !errors.Is(err, context.Canceled) {
		t.Errorf("while it is checked: %v", err)
	}
	if _, err := checked(t, d, in, "a.zip", content); err != nil {
		t.Fatal(err)
	}
	ctx, cancel = context.WithCancel(t.Context())
	text, err := json.Marshal(in)
	if err != nil {
		t.Fatal(err)
	}
	s.hear = func(name string) {
		if name == "uploadPack" {
			cancel()
		}
	}
	_, err = d.Do(ctx, Request{Method: talk.MethodSend, In: text, Lent: lent})
	if !errors.Is(err, context.Canceled) {
		t.Errorf("while it is sent: %v", err)
	}
	if s.was("commitSnapshot") {
		t.Error("it was committed")
	}
}

// stopping is a file by whose reading somebody stops it.
type stopping struct {
	File
	stop func()
}

func (s *stopping) ReadAt(b []byte, at int64) (int, error) {
	s.stop()
	return s.File.ReadAt(b, at)
}
