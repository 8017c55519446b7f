package remote_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/coder/websocket"
	"github.com/coder/websocket/wsjson"

	"github.com/holdfast-backup/holdfast/vault/remote"
	"github.com/holdfast-backup/holdfast/vault/remote/remotetest"
	"github.com/holdfast-backup/holdfast/wire/fault"
	"github.com/holdfast-backup/holdfast/wire/id"
)

// The runs themselves are tested on the real server, by agent/daemon and cmd/holdfast-agent. Here is what a client makes of
// replies, good and bad.

// canned is a server that gives the replies that it was told, by operation, one after another, and notes what was sent.
type canned struct {
	*remotetest.Server
	client *remote.Client

	mu   sync.Mutex
	data map[string][]string
	sent map[string]string // the last variables
}

func newCanned(t *testing.T, data map[string][]string) *canned {
	t.Helper()
	c := &canned{Server: remotetest.New(t), data: data, sent: map[string]string{}}
	c.Hook = c.hook
	c.client = dial(t, c.URL, remote.Options{Token: "hfd_x"})
	return c
}

func (c *canned) hook(op string, w http.ResponseWriter, r *http.Request) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	list := c.data[op]
	if len(list) == 0 {
		return false
	}
	c.data[op] = list[1:]
	var req struct{ Variables json.RawMessage }
	b, _ := io.ReadAll(r.Body)
	json.Unmarshal(b, &req)
	c.sent[op] = string(req.Variables)
	w.Header().Set("Content-Type", "application/json")
	io.WriteString(w, `{"data":`+list[0]+`}`)
	return true
}

func (c *canned) variables(op string) string {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.sent[op]
}

const when = `"2026-01-02T03:04:05Z"`

func dueJSON(r id.Run) string {
	return fmt.Sprintf(`{"id":%q,"kind":"BACKUP","trigger":"SCHEDULE","state":"RUNNING","dueAt":%s,"deadlineAt":%s,"attempts":2}`, r, when, when)
}

func TestTakeWork(t *testing.T) {
	t.Parallel()
	run := id.Run{}.New()
	c := newCanned(t, map[string][]string{"TakeWork": {
		`{"takeWork":{"runs":[` + dueJSON(run) + `],"lease":7,"ttl":180,"order":null,"lookAgain":600,"policy":{"level":"BETTER","uploadLimit":5,
			"selections":[{"policy":"p","roots":["~"],"extensions":[".a"],"excludes":["b"],"maxFileSize":9}]}}}`,
		`{"takeWork":{"runs":[],"lease":0,"ttl":0,"lookAgain":30}}`,
		`{"takeWork":{"runs":[` + dueJSON(run) + `],"lease":7,"ttl":0,"lookAgain":600}}`,
		`{"takeWork":{"runs":[{"id":"rubbish"}],"lease":7,"ttl":180,"lookAgain":600}}`,
	}, "StartBackup": {`{"startBackup":{"run":` + dueJSON(run) + `}}`}})
	w, err := c.client.TakeWork(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	at := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	if len(w.Runs) != 1 || w.Runs[0] != (remote.Due{ID: run, Kind: remote.KindBackup, Trigger: "SCHEDULE", State: "RUNNING", DueAt: at, DeadlineAt: at, Attempts: 2}) ||
		w.Lease != 7 || w.TTL != 3*time.Minute || w.LookAgain != 10*time.Minute || len(w.Order) != 0 {
		t.Errorf("work: %+v", w)
	}
	if p := w.Policy; p.Level != "BETTER" || p.UploadLimit != 5 || len(p.Selections) != 1 || p.Selections[0].Policy != "p" || p.Selections[0].MaxFileSize != 9 ||
		!slices.Equal(p.Selections[0].Roots, []string{"~"}) || !slices.Equal(p.Selections[0].Extensions, []string{".a"}) || !slices.Equal(p.Selections[0].Excludes, []string{"b"}) {
		t.Errorf("policy: %+v", p)
	}
	if w, err := c.client.TakeWork(t.Context()); err != nil || len(w.Runs) != 0 || w.Policy != nil || w.LookAgain != 30*time.Second {
		t.Errorf("nothing due: %+v, %v", w, err)
	}
	_, err = c.client.TakeWork(t.Context())
	want(t, err, fault.Internal, "lease")
	_, err = c.client.TakeWork(t.Context())
	want(t, err, fault.Internal, "makes no sense")
	if d, err := c.client.StartBackup(t.Context()); err != nil || d.ID != run {
		t.Errorf("start: %+v, %v", d, err)
	}
	_, err = c.client.StartBackup(t.Context())
	want(t, err, fault.Unauthenticated, "login")
}

func TestKeepAndEnd(t *testing.T) {
	t.Parallel()
	run, backup, snap := id.Run{}.New(), id.Backup{}.New(), id.Snapshot{}.New()
	c := newCanned(t, map[string][]string{
		"KeepRuns": {`{"keepRuns":{"cancel":true}}`, `{"keepRuns":{"cancel":false}}`},
		"EndRuns":  {`{"endRuns":{"runs":[` + dueJSON(run) + `]}}`, `{"endRuns":{"runs":[]}}`, `{"endRuns":{"runs":[{"id":"rubbish"}]}}`},
	})
	in := remote.KeepInput{Runs: []id.Run{run}, Lease: 7, Backup: backup, Progress: remote.Progress{Phase: "scan", Files: 1, Bytes: 2, TotalFiles: 3, TotalBytes: 4, UploadedBytes: 5, Problems: 6}}
	if cancel, err := c.client.KeepRuns(t.Context(), in); err != nil || !cancel {
		t.Errorf("keep: %v, %v", cancel, err)
	}
	sent := fmt.Sprintf(`{"input":{"runs":[%q],"lease":7,"backup":%q,"phase":"scan","files":1,"bytes":2,"totalFiles":3,"totalBytes":4,"uploadedBytes":5,"problems":6}}`, run, backup)
	if got := c.variables("KeepRuns"); got != sent {
		t.Errorf("sent %s", got)
	}
	if cancel, err := c.client.KeepRuns(t.Context(), remote.KeepInput{Runs: []id.Run{run}}); err != nil || cancel || !strings.Contains(c.variables("KeepRuns"), `"backup":null`) {
		t.Errorf("keep without a session: %v, %v, %s", cancel, err, c.variables("KeepRuns"))
	}
	if _, err := c.client.KeepRuns(t.Context(), in); !errors.Is(err, fault.Unauthenticated) || c.Calls("KeepRuns") != 3 {
		t.Errorf("a heartbeat is not repeated: %v after %d calls", err, c.Calls("KeepRuns"))
	}
	runs, err := c.client.EndRuns(t.Context(), remote.EndInput{Runs: []id.Run{run}, Lease: 7, Outcome: remote.Failed, Snapshot: snap, Code: "X", Retry: true,
		Files: 1, Bytes: 2, UploadedBytes: 3, Causes: map[string]int64{"io": 4}, Report: []byte("r")})
	if err != nil || len(runs) != 1 || runs[0].ID != run {
		t.Errorf("end: %+v, %v", runs, err)
	}
	sent = fmt.Sprintf(`{"input":{"runs":[%q],"lease":7,"outcome":"FAILED","snapshot":%q,"safety":null,"code":"X","retry":true,"files":1,"bytes":2,"uploadedBytes":3,"causes":[{"cause":"io","count":4}],"report":"cg=="}}`, run, snap)
	if got := c.variables("EndRuns"); got != sent {
		t.Errorf("sent %s", got)
	}
	if _, err := c.client.EndRuns(t.Context(), remote.EndInput{Runs: []id.Run{run}, Outcome: remote.Succeeded}); err != nil {
		t.Error(err)
	}
	if got := c.variables("EndRuns"); !strings.Contains(got, `"snapshot":null,"safety":null,"code":null`) || !strings.Contains(got, `"causes":[],"report":null`) {
		t.Errorf("sent %s", got)
	}
	_, err = c.client.EndRuns(t.Context(), remote.EndInput{})
	want(t, err, fault.Internal, "makes no sense")
	_, err = c.client.EndRuns(t.Context(), remote.EndInput{})
	want(t, err, fault.Unauthenticated, "login")
}

func runJSON(r id.Run, d id.Device, state, more string) string {
	return fmt.Sprintf(`{"id":%q,"device":{"id":%q,"name":"laptop"},"kind":"RESTORE","trigger":"OWNER","policy":null,"state":%q,"createdAt":%s,"dueAt":%s,"deadlineAt":%s,
		"startedAt":null,"endedAt":null,"cancelling":false,"attempts":0,"progress":{"phase":"","files":0,"bytes":0,"totalFiles":0,"totalBytes":0,"uploadedBytes":0,"problems":0},
		"code":null,"text":null,"causes":[],"snapshot":null,"sealedReport":null%s}`, r, d, state, when, when, when, more)
}

func TestRuns(t *testing.T) {
	t.Parallel()
	a, b, d, snap := id.Run{}.New(), id.Run{}.New(), id.Device{}.New(), id.Snapshot{}.New()
	page := func(more bool, end string, runs ...string) string {
		for i := range runs {
			runs[i] = `{"node":` + runs[i] + `}`
		}
		return fmt.Sprintf(`{"runs":{"edges":[%s],"pageInfo":{"hasNextPage":%v,"endCursor":%s}}}`, strings.Join(runs, ","), more, end)
	}
	full := runJSON(b, d, "WARNED", `,"policy":{"id":"p","name":"nightly","schedule":{"text":"x"}},"causes":[{"cause":"io","count":3}],"snapshot":{"id":"`+snap.String()+`"},"sealedReport":"cg==","code":"C","text":"T"`)
	c := newCanned(t, map[string][]string{
		"Runs": {page(true, `"x"`, runJSON(a, d, "WAITING", "")), page(false, "null", full),
			page(true, "null", full), page(true, `"x"`, full), page(true, `"x"`, full), page(false, "null", strings.Replace(full, d.String(), "rubbish", 1))},
		"Run":          {`{"run":null}`, `{"run":` + full + `}`},
		"BackUpNow":    {`{"backUpNow":{"run":` + full + `}}`},
		"CancelRun":    {`{"cancelRun":{"run":` + full + `}}`},
		"OrderRestore": {`{"orderRestore":{"run":` + full + `}}`},
	})
	list := func(of id.Device, stop int) (got []*remote.Run, err error) {
		err = c.client.Runs(t.Context(), of, func(r *remote.Run) (bool, error) {
			got = append(got, r)
			return len(got) != stop, nil
		})
		return got, err
	}
	got, err := list(d, 0)
	if err != nil || len(got) != 2 || got[0].ID != a || got[0].Over() || !got[1].Over() {
		t.Fatalf("runs: %+v, %v", got, err)
	}
	if r := got[1]; r.Policy != "nightly" || !maps.Equal(r.Causes, map[string]int64{"io": 3}) || r.Snapshot != snap || string(r.Report) != "r" || r.Code != "C" || r.Text != "T" || r.DeviceName != "laptop" {
		t.Errorf("the full one: %+v", r)
	}
	if got := c.variables("Runs"); !strings.Contains(got, `"device":"`+d.String()) || !strings.Contains(got, `"after":"x"`) {
		t.Errorf("sent %s", got)
	}
	_, err = list(id.Device{}, 0)
	want(t, err, fault.Internal, "does not end")
	_, err = list(id.Device{}, 0)
	want(t, err, fault.Internal, "does not end")
	_, err = list(id.Device{}, 0)
	want(t, err, fault.Internal, "makes no sense")
	_, err = list(id.Device{}, 0)
	want(t, err, fault.Unauthenticated, "login")
	_, err = c.client.Run(t.Context(), a)
	want(t, err, fault.NotFound, a.String())
	for what, call := range map[string]func() (*remote.Run, error){
		"run":     func() (*remote.Run, error) { return c.client.Run(t.Context(), b) },
		"now":     func() (*remote.Run, error) { return c.client.BackUpNow(t.Context(), d) },
		"cancel":  func() (*remote.Run, error) { return c.client.CancelRun(t.Context(), b) },
		"restore": func() (*remote.Run, error) { return c.client.OrderRestore(t.Context(), d, snap, []byte("o")) },
	} {
		if r, err := call(); err != nil || r.ID != b {
			t.Errorf("%s: %+v, %v", what, r, err)
		}
		_, err := call()
		want(t, err, fault.Unauthenticated, "login")
	}
	if got := c.variables("OrderRestore"); got != fmt.Sprintf(`{"input":{"device":%q,"snapshot":%q,"order":"bw=="}}`, d, snap) {
		t.Errorf("sent %s", got)
	}
}

func TestTrash(t *testing.T) {
	t.Parallel()
	snap, d := id.Snapshot{}.New(), id.Device{}.New()
	one := fmt.Sprintf(`{"id":%q,"device":{"id":%q,"name":"laptop"},"createdAt":%s,"root":"AAAAAAAAAAAAAAAAAAAAAA==","manifest":"","files":1,"bytes":2,"problems":0,"uploadedBytes":3,
		"scheduled":true,"pinnedAt":%s,"deletedAt":null,"purgeAfter":null}`, snap, d, when, when)
	c := newCanned(t, map[string][]string{
		"DeletedSnapshots":       {`{"deletedSnapshots":[` + one + `]}`, `{"deletedSnapshots":[{"id":"rubbish"}]}`},
		"PinSnapshot":            {`{"pinSnapshot":{"snapshot":` + one + `}}`},
		"RestoreDeletedSnapshot": {`{"restoreDeletedSnapshot":{"snapshot":` + one + `}}`},
		"DeleteSnapshot":         {`{"deleteSnapshot":{"id":"` + snap.String() + `"}}`},
	})
	list, err := c.client.DeletedSnapshots(t.Context())
	if err != nil || len(list) != 1 || list[0].ID != snap || !list[0].Scheduled || list[0].PinnedAt.IsZero() || !list[0].PurgeAfter.IsZero() {
		t.Errorf("deleted: %+v, %v", list, err)
	}
	_, err = c.client.DeletedSnapshots(t.Context())
	want(t, err, fault.Internal, "makes no sense")
	for what, call := range map[string]func() error{
		"list":   func() error { _, err := c.client.DeletedSnapshots(t.Context()); return err },
		"pin":    func() error { _, err := c.client.PinSnapshot(t.Context(), snap, true); return err },
		"undo":   func() error { _, err := c.client.RestoreDeletedSnapshot(t.Context(), snap); return err },
		"delete": func() error { return c.client.DeleteSnapshot(t.Context(), snap) },
	} {
		if what != "list" {
			if err := call(); err != nil {
				t.Errorf("%s: %v", what, err)
			}
		}
		want(t, call(), fault.Unauthenticated, "login")
	}
}

// What a restore run reads comes by its own question, and its packs are its own.
func TestRunRemote(t *testing.T) {
	t.Parallel()
	s := remotetest.New(t)
	w := newWorld(t, s, remote.Options{})
	name, b, _, data := makePack(1000, 3)
	if err := w.begin(t).Upload(t.Context(), name, b); err != nil {
		t.Fatal(err)
	}
	run := id.Run{}.New()
	var asked string
	s.Set(func(s *remotetest.Server) {
		s.Hook = func(op string, rw http.ResponseWriter, r *http.Request) bool {
			if op != "RunObjectLocations" {
				return false
			}
			body, _ := io.ReadAll(r.Body)
			asked = string(body)
			table := append(make([]byte, 12), bytes.Repeat([]byte{0xff}, 12)...)
			table[11] = 10 // the first ten bytes of the pack, and an object that is not there
			rw.Header().Set("Content-Type", "application/json")
			json.NewEncoder(rw).Encode(map[string]any{"data": map[string]any{"runObjectLocations": map[string]any{"table": table, "packs": []any{
				map[string]any{"name": name.String(), "size": len(b), "url": "/packs/" + name.String(), "expiresAt": time.Now().Add(time.Hour)}}}}})
			return true
		}
	})
	r := w.device.RunRemote(run, 7)
	places, err := r.Locate(t.Context(), []id.Object{data, {9}})
	if err != nil || len(places) != 2 || !places[0].Stored || places[1].Stored {
		t.Fatalf("places: %+v, %v", places, err)
	}
	if !strings.Contains(asked, fmt.Sprintf(`{"run":%q,"lease":7,"ids":`, run)) {
		t.Errorf("asked %s", asked)
	}
	got := make([]byte, 10)
	if err := r.ReadPack(t.Context(), name, 0, got); err != nil || !bytes.Equal(got, b[:10]) {
		t.Errorf("read %q, %v", got, err)
	}
	want(t, w.device.ReadPack(t.Context(), name, 0, got), fault.Internal, "never located")
	s.Set(func(s *remotetest.Server) { s.Hook = nil })
	_, err = r.Locate(t.Context(), []id.Object{data})
	want(t, err, fault.Unauthenticated, "login")
}

// socket is a server of subscriptions that does what it is told.
func socket(t *testing.T, serve func(ctx context.Context, n int, send func(kind, payload string))) *remote.Client {
	t.Helper()
	c := newCanned(t, nil)
	c.subscriptions(serve)
	return c.client
}

// subscriptions makes the server answer subscriptions by serve; n counts the connections.
func (c *canned) subscriptions(serve func(ctx context.Context, n int, send func(kind, payload string))) {
	var mu sync.Mutex
	n := 0
	c.Hook = func(op string, rw http.ResponseWriter, r *http.Request) bool {
		if op != "Watch" {
			return c.hook(op, rw, r)
		}
		mu.Lock()
		n++
		mine := n
		mu.Unlock()
		conn, err := websocket.Accept(rw, r, &websocket.AcceptOptions{Subprotocols: []string{"graphql-transport-ws"}})
		if err != nil {
			return true
		}
		defer conn.CloseNow()
		var m map[string]any
		if wsjson.Read(r.Context(), conn, &m) != nil || wsjson.Write(r.Context(), conn, map[string]any{"type": "connection_ack"}) != nil || wsjson.Read(r.Context(), conn, &m) != nil {
			return true
		}
		serve(r.Context(), mine, func(kind, payload string) {
			wsjson.Write(r.Context(), conn, map[string]any{"id": "0", "type": kind, "payload": json.RawMessage(payload)})
		})
		conn.Close(websocket.StatusGoingAway, "")
		return true
	}
}

func TestRings(t *testing.T) {
	t.Parallel()
	c := socket(t, func(ctx context.Context, n int, send func(kind, payload string)) {
		switch n {
		case 1: // two rings, then the server goes away
			send("next", `{"data":{"rings":{"at":`+when+`}}}`)
			send("next", `{"data":{"rings":{"at":`+when+`}}}`)
		case 2:
			send("complete", `null`)
		case 3:
			send("error", `[{"message":"no","extensions":{"code":"FORBIDDEN"}}]`)
		case 4:
			send("next", `{"errors":[{"message":"no"}],"data":null}`)
		case 5:
			send("next", `{"data":{"rings":5}}`)
		default:
			<-ctx.Done()
		}
	})
	rings := 0
	ring := func(at time.Time) { rings++ }
	want(t, c.Rings(t.Context(), ring), fault.Unavailable, "closed the connection")
	if rings != 2 {
		t.Errorf("%d rings", rings)
	}
	want(t, c.Rings(t.Context(), ring), fault.Unavailable, "ended the subscription")
	want(t, c.Rings(t.Context(), ring), fault.Forbidden, "no")
	want(t, c.Rings(t.Context(), ring), fault.Unavailable, "could not read")
	want(t, c.Rings(t.Context(), ring), fault.Internal, "makes no sense")
	ctx, cancel := context.WithCancelCause(t.Context())
	enough := errors.New("enough")
	cancel(enough)
	if err := c.Rings(ctx, ring); !errors.Is(err, enough) {
		t.Errorf("ended: %v", err)
	}
}

func TestFollowRun(t *testing.T) {
	t.Parallel()
	mine, other, d := id.Run{}.New(), id.Run{}.New(), id.Device{}.New()
	follow := func(answers []string, serve func(ctx context.Context, n int, send func(kind, payload string))) (seen []string, last *remote.Run, err error) {
		c := newCanned(t, map[string][]string{"Run": answers})
		c.subscriptions(serve)
		last, err = c.client.FollowRun(t.Context(), mine, func(r *remote.Run) { seen = append(seen, r.State) })
		return seen, last, err
	}
	change := func(r id.Run, state string) string { return `{"data":{"runChanges":` + runJSON(r, d, state, "") + `}}` }
	waiting := `{"run":` + runJSON(mine, d, "WAITING", "") + `}`
	idle := func(ctx context.Context, n int, send func(kind, payload string)) { <-ctx.Done() }

	seen, last, err := follow([]string{waiting}, func(ctx context.Context, n int, send func(kind, payload string)) {
		if n == 1 { // lost, and made again
			send("next", change(mine, "RUNNING"))
			return
		}
		send("next", change(other, "FAILED"))
		send("next", change(mine, "SUCCEEDED"))
		<-ctx.Done()
	})
	if err != nil || last.State != "SUCCEEDED" || !slices.Equal(seen, []string{"WAITING", "RUNNING", "SUCCEEDED"}) {
		t.Errorf("followed: %v, %+v, %v", seen, last, err)
	}
	if seen, last, err := follow([]string{`{"run":` + runJSON(mine, d, "MISSED", "") + `}`}, idle); err != nil || last.State != "MISSED" || len(seen) != 1 {
		t.Errorf("over already: %v, %+v, %v", seen, last, err)
	}
	_, _, err = follow([]string{`{"run":null}`}, idle)
	want(t, err, fault.NotFound, mine.String())
	for name, c := range map[string]struct {
		kind, payload string
		fault         fault.Kind
	}{
		"refused":         {"error", `[{"message":"no","extensions":{"code":"FORBIDDEN"}}]`, fault.Forbidden},
		"no run":          {"next", `{"data":{"runChanges":5}}`, fault.Internal},
		"a senseless run": {"next", strings.Replace(change(mine, "RUNNING"), d.String(), "rubbish", 1), fault.Internal},
	} {
		_, _, err := follow([]string{waiting}, func(ctx context.Context, n int, send func(kind, payload string)) {
			send(c.kind, c.payload)
			<-ctx.Done()
		})
		if !errors.Is(err, c.fault) {
			t.Errorf("%s: %v", name, err)
		}
	}
}
