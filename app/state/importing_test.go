package state

import (
	"context"
	"sync"
	"testing"

	"github.com/holdfast-backup/holdfast/app/api"
	"github.com/holdfast-backup/holdfast/app/talk"
	"github.com/holdfast-backup/holdfast/wire/fault"
)

// sealer is a program that takes files in as tests want it.
type sealer struct {
	mu    sync.Mutex
	check func(ctx context.Context, file any, progress func(talk.Sealing)) (talk.Recognised, error)
	send  func(ctx context.Context, in talk.Send, progress func(talk.Sealing)) (talk.Sent, error)
	asked talk.Check
	sent  talk.Send
}

func (s *sealer) Check(ctx context.Context, file any, in talk.Check, progress func(talk.Sealing)) (talk.Recognised, error) {
	s.mu.Lock()
	s.asked = in
	s.mu.Unlock()
	return s.check(ctx, file, progress)
}

func (s *sealer) Send(ctx context.Context, in talk.Send, progress func(talk.Sealing)) (talk.Sent, error) {
	s.mu.Lock()
	s.sent = in
	s.mu.Unlock()
	return s.send(ctx, in, progress)
}

// good is a program for which every file is a dump, and every upload goes well.
func good() *sealer {
	return &sealer{
		check: func(context.Context, any, func(talk.Sealing)) (talk.Recognised, error) {
			return talk.Recognised{Kind: "SQL dump", Tables: 3}, nil
		},
		send: func(context.Context, talk.Send, func(talk.Sealing)) (talk.Sent, error) {
			return talk.Sent{Snapshot: "snp_9", Bytes: 10, Uploaded: 7}, nil
		},
	}
}

// slow waits until it is told to stop.
func slow[T any](ctx context.Context, progress func(talk.Sealing)) (none T, err error) {
	progress(talk.Sealing{Phase: "upload", Bytes: 5, Total: 10})
	<-ctx.Done()
	return none, ctx.Err()
}

var shop = Importer{ID: "app_1", Name: "Shop", Device: "dev_1", DeviceName: "web-host"}

// newImports is the uploads of a page with this program, and the server that it needs.
func newImports(t *testing.T, s *sealer) (*world, *Imports) {
	w := newWorld(t)
	w.server["BeginImport"] = say(`{"beginImport":{"token":"hfi_1","session":{"id":"bak_1","fence":4,"ttl":300,"spaceEmpty":true,"chunkMin":1,"chunkAvg":2,"chunkMax":3,"maxPack":9}}}`)
	return w, NewImports(w.client(), s)
}

func step(m *Importing, s ImportStep) func() bool { return func() bool { return m.View().Step == s } }

func TestAnUpload(t *testing.T) {
	t.Parallel()
	s := good()
	_, all := newImports(t, s)
	m := all.Of(shop)
	m.Choose("the file", "ledger.sql")
	await(t, m, step(m, ImportReady))
	v := m.View()
	if v.File != "ledger.sql" || v.Found.Tables != 3 || v.Title != "" {
		t.Errorf("%+v", v) // no title either: the server would learn what the file is called
	}
	if want := (talk.Check{Name: "ledger.sql", ID: "app_1", Application: "Shop"}); s.asked != want {
		t.Errorf("asked to check %+v", s.asked)
	}
	m.Name("  from elsewhere ")
	m.Send()
	await(t, m, step(m, ImportDone))
	if v := m.View(); v.Sent.Snapshot != "snp_9" || v.Stored != 1 || v.Err != nil {
		t.Errorf("%+v", v)
	}
	want := talk.Send{Application: "app_1", Name: "Shop", Device: "dev_1", DeviceName: "web-host", Title: "from elsewhere", Token: "hfi_1", Backup: "bak_1", Fence: 4, TTL: 300, Empty: true,
		ChunkMin: 1, ChunkAvg: 2, ChunkMax: 3, MaxPack: 9}
	if s.sent != want {
		t.Errorf("sent %+v", s.sent)
	}
	m.Choose("another", "more.sql") // at once: nothing has to be taken away first
	await(t, m, step(m, ImportReady))
	m.Cancel()
	if v := m.View(); v != (ImportingView{Stored: 1}) {
		t.Errorf("after the file was taken away: %+v", v)
	}
}

func TestAFileIsRefused(t *testing.T) {
	t.Parallel()
	s := good()
	_, all := newImports(t, s)
	m := all.Of(shop)
	s.check = func(context.Context, any, func(talk.Sealing)) (talk.Recognised, error) {
		return talk.Recognised{}, fault.New(fault.Invalid, "“notes.txt” is none of the files that can be taken in")
	}
	m.Choose("the file", "notes.txt")
	await(t, m, func() bool { return m.View().Err != nil })
	fails(t, m.View().Err, fault.Invalid, "none of the files")
	if v := m.View(); v.Step != ImportNothing {
		t.Errorf("%+v", v)
	}
	m.Refuse(fault.New(fault.Invalid, "these are 2 files"))
	fails(t, m.View().Err, fault.Invalid, "2 files")
	s.check = good().check
	m.Choose("the file", "good.sql")
	await(t, m, step(m, ImportReady))
	if m.View().Err != nil {
		t.Error("the refusal stays, although another file is good")
	}
}

func TestAnUploadFails(t *testing.T) {
	t.Parallel()
	s := good()
	w, all := newImports(t, s)
	m := all.Of(shop)
	m.Choose("the file", "good.sql")
	await(t, m, step(m, ImportReady))
	begin := w.server["BeginImport"]
	w.set(w.server, "BeginImport", refuse(fault.StorageFull, "there is no room left"))
	m.Send()
	await(t, m, func() bool { return m.View().Err != nil })
	fails(t, m.View().Err, fault.StorageFull, "no room")
	w.set(w.server, "BeginImport", begin)
	s.send = func(context.Context, talk.Send, func(talk.Sealing)) (talk.Sent, error) {
		return talk.Sent{}, fault.New(fault.Unavailable, "the server cannot be reached")
	}
	m.Send()
	await(t, m, func() bool { return fault.KindOf(m.View().Err) == fault.Unavailable })
	if v := m.View(); v.Step != ImportReady || v.Stored != 0 { // it can be tried again
		t.Errorf("%+v", v)
	}
	s.send = good().send
	m.Send()
	await(t, m, step(m, ImportDone))
}

func TestAnUploadIsStopped(t *testing.T) {
	t.Parallel()
	s := good()
	_, all := newImports(t, s)
	m := all.Of(shop)
	s.check = func(ctx context.Context, _ any, progress func(talk.Sealing)) (talk.Recognised, error) {
		return slow[talk.Recognised](ctx, progress)
	}
	m.Choose("the file", "large.zip")
	await(t, m, func() bool { return m.View().How.Bytes == 5 })
	m.Cancel()
	await(t, m, step(m, ImportNothing))
	if v := m.View(); v.Err != nil {
		t.Errorf("who stops something is told %v", v.Err)
	}

	// A file that takes the place of one that is still looked at.
	m.Choose("the file", "large.zip")
	s.mu.Lock()
	s.check = good().check
	s.mu.Unlock()
	m.Choose("another", "good.sql")
	await(t, m, step(m, ImportReady))
	if v := m.View(); v.File != "good.sql" || v.Err != nil {
		t.Errorf("%+v", v)
	}

	s.send = func(ctx context.Context, _ talk.Send, progress func(talk.Sealing)) (talk.Sent, error) {
		return slow[talk.Sent](ctx, progress)
	}
	m.Send()
	await(t, m, func() bool { return m.View().How.Bytes == 5 })
	m.Choose("a third", "third.sql") // nothing is taken in its place while it is sent
	if v := m.View(); v.Step != ImportSending || v.File != "good.sql" {
		t.Errorf("%+v", v)
	}
	m.Cancel()
	await(t, m, step(m, ImportReady))
	if v := m.View(); v.Err != nil || v.File != "good.sql" {
		t.Errorf("%+v", v)
	}
}

// TestUploadsOfAPage goes from screen to screen, and then somebody else comes.
func TestUploadsOfAPage(t *testing.T) {
	t.Parallel()
	s := good()
	_, all := newImports(t, s)
	held := 0
	all.Hold = func() func() { held++; return func() { held-- } }
	m := all.Of(shop)
	m.Choose("the file", "a.sql")
	await(t, m, step(m, ImportReady))
	other := all.Of(Importer{ID: "app_2", Name: "Wiki"})
	if other == m || other.View().Step != ImportNothing {
		t.Error("two applications have one upload")
	}
	s.send = func(ctx context.Context, _ talk.Send, progress func(talk.Sealing)) (talk.Sent, error) {
		return slow[talk.Sent](ctx, progress)
	}
	m.Send()
	await(t, all, func() bool { return all.View("app_1").How.Bytes == 5 })
	all.read(func() {
		if held != 1 {
			t.Errorf("while something is sent the window is held %d times", held)
		}
	})
	again := shop
	again.DeviceName = "renamed"
	if all.Of(again) != m {
		t.Error("an upload was lost on the way to another screen and back")
	}
	all.End()
	await(t, all, func() bool { return all.View("app_1") == (ImportingView{}) })
	all.read(func() {
		if held != 0 {
			t.Error("the window is held although nothing is sent")
		}
	})
	if v := all.Of(shop).View(); v != (ImportingView{}) {
		t.Errorf("whoever comes next sees %+v", v)
	}
}

// TestUploadedIsShown has a list that is filtered show what was uploaded.
func TestUploadedIsShown(t *testing.T) {
	t.Parallel()
	s := good()
	w, all := newImports(t, s)
	w.server["Application"] = say(`{"application":null}`)
	w.server["ApplicationSnapshots"] = say(`{"application":null}`)
	w.server["ApplicationRuns"] = say(`{"application":null}`)
	a := NewApplication(Sources{API: w.client(), Keys: w, Live: w, Imports: all}, "app_1")
	a.Open()
	defer a.Close()
	a.Choose(api.SnapshotOriginBackup, "")
	m := all.Of(shop)
	m.Choose("the file", "a.sql")
	await(t, m, step(m, ImportReady))
	m.Send()
	await(t, a, func() bool { return a.View().Origin == "" })
	a.Choose(api.SnapshotOriginImport, "")
	m.Choose("the file", "b.sql")
	await(t, m, step(m, ImportReady))
	m.Send()
	await(t, m, step(m, ImportDone))
	if o := a.View().Origin; o != api.SnapshotOriginImport {
		t.Errorf("a filter that shows uploads became %q", o)
	}
}
