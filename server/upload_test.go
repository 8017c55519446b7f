package server_test

import (
	"bufio"
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/holdfast-backup/holdfast/depot/actor"
	"github.com/holdfast-backup/holdfast/depot/blob"
	"github.com/holdfast-backup/holdfast/wire/fault"
	"github.com/holdfast-backup/holdfast/wire/id"
	"github.com/holdfast-backup/holdfast/wire/pack"
)

func TestUpload(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	d := w.device(w.person("ada", actor.Staff), "laptop")
	b := w.session(d)
	body, name, _, chunk := smallPack(1 << 20)
	for i, existed := range []bool{false, true, true} {
		r := w.upload(d.Token, b.ID, b.Fence, name.String(), body)
		if r.code() != "" || at(r.Data, "uploadPack", "existed") != existed {
			t.Fatalf("upload %d: %s", i, r.Raw)
		}
	}
	absent, err := w.catalog.Missing(context.Background(), d.Actor, b.ID, b.Fence, []id.Object{chunk})
	if err != nil || absent[0] {
		t.Fatal("the object of an acknowledged pack is missing", err)
	}
}

// raw sends the head of an upload and whatever of its body the test writes, and reads the answer. The server
// must answer without the rest: that is how a refusal is known to come before the body is read.
type raw struct {
	conn net.Conn
	t    *testing.T
}

func (w *world) raw(t *testing.T, headers string) *raw {
	t.Helper()
	conn, err := net.Dial("tcp", w.web.Listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	conn.SetDeadline(time.Now().Add(20 * time.Second))
	fmt.Fprintf(conn, "POST /graphql/upload HTTP/1.1\r\nHost: x\r\n%s\r\n", headers)
	return &raw{conn, t}
}

func (c *raw) write(b []byte) *raw {
	c.conn.Write(b)
	return c
}

// answer reads the answer and then the end of the connection.
func (c *raw) answer() (status int, body string) {
	c.t.Helper()
	r := bufio.NewReader(c.conn)
	resp, err := http.ReadResponse(r, nil)
	if err != nil {
		c.t.Fatalf("no answer to a request whose body is held back: %v", err)
	}
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		c.t.Fatal(err)
	}
	if !resp.Close {
		c.t.Error("the refusal leaves the connection open for the rest of the body")
	}
	if _, err := r.ReadByte(); err == nil || errors.Is(err, os.ErrDeadlineExceeded) {
		c.t.Error("the connection was not closed after the answer:", err)
	}
	return resp.StatusCode, string(b)
}

func TestUploadRefusedBeforeItsBody(t *testing.T) {
	t.Parallel()
	c := newCast(t)
	b := c.begun()
	body, name, _, _ := smallPack(200_000)
	form, contentType := uploadForm(b.ID, b.Fence, name.String(), body)
	head := form[:bytes.Index(form, body[:64])] // all that comes before the pack
	length := fmt.Sprintf("Content-Length: %d\r\n", len(form))
	auth := func(token string) string { return "Authorization: Bearer " + token + "\r\n" }
	kind := "Content-Type: " + contentType + "\r\n"

	// The answer comes to the headers alone.
	for name, tt := range map[string]struct {
		headers string
		status  int
		code    fault.Kind
	}{
		"no token":             {kind + length, 401, fault.Unauthenticated},
		"unknown token":        {kind + length + auth("hfd_"+strings.Repeat("A", 43)), 401, fault.Unauthenticated},
		"rubbish for a token":  {kind + length + "Authorization: Basic eDp5\r\n", 401, fault.Unauthenticated},
		"revoked device":       {kind + length + auth(c.lost.Token), 401, fault.Unauthenticated},
		"suspended user":       {kind + length + auth(c.sue.Token), 401, fault.Unauthenticated},
		"a person":             {kind + length + auth(c.ada.Token), 403, fault.Forbidden},
		"a cookie":             {kind + length + "Cookie: holdfast=" + c.ada.Token + "\r\n", 403, fault.Forbidden},
		"a cookie, and header": {kind + length + "Holdfast-Request: 1\r\nSec-Fetch-Site: same-origin\r\nCookie: holdfast=" + c.ada.Token + "\r\n", 401, fault.Unauthenticated},
		"chunked, no length":   {kind + "Transfer-Encoding: chunked\r\n" + auth(c.laptop.Token), 411, fault.Invalid},
		"oversized":            {kind + "Content-Length: 60000000\r\n" + auth(c.laptop.Token), 413, fault.TooLarge},
		"no form":              {"Content-Type: application/json\r\n" + length + auth(c.laptop.Token), 400, fault.Invalid},
		"no boundary":          {"Content-Type: multipart/form-data\r\n" + length + auth(c.laptop.Token), 400, fault.Invalid},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			status, body := c.raw(t, tt.headers).answer()
			if status != tt.status || !strings.Contains(body, string(tt.code)) {
				t.Errorf("%d %s, want %d %s", status, body, tt.status, tt.code)
			}
		})
	}

	// The answer comes to what precedes the file, with not one byte of it.
	ok := kind + length + auth(c.laptop.Token)
	replace := func(old, new string) []byte { return bytes.Replace(head, []byte(old), []byte(new), 1) }
	lengthOf := func(b []byte) string {
		return kind + fmt.Sprintf("Content-Length: %d\r\n", len(form)-len(head)+len(b)) + auth(c.laptop.Token)
	}
	foreign := c.session(c.malloryBox)
	foreignForm, foreignKind := uploadForm(foreign.ID, foreign.Fence, name.String(), body)
	tooBig, tooBigKind := uploadForm(b.ID, b.Fence, name.String(), make([]byte, pack.MaxSize+1))
	tiny, tinyKind := uploadForm(b.ID, b.Fence, name.String(), []byte("x"))
	for name, tt := range map[string]struct {
		headers string
		sent    []byte
		code    fault.Kind
	}{
		"another device's session":      {kind + length + auth(c.malloryBox.Token), head, fault.NotFound},
		"another user's session":        {"Content-Type: " + foreignKind + "\r\n" + length + auth(c.laptop.Token), foreignForm[:len(head)], fault.NotFound},
		"wrong fence":                   {lengthOf(replace(fmt.Sprintf(`"fence":%d`, b.Fence), `"fence":0`)), replace(fmt.Sprintf(`"fence":%d`, b.Fence), `"fence":0`), fault.SessionExpired},
		"larger than a pack":            {"Content-Type: " + tooBigKind + "\r\n" + fmt.Sprintf("Content-Length: %d\r\n", len(tooBig)) + auth(c.laptop.Token), tooBig[:len(head)+8], fault.TooLarge},
		"smaller than a pack":           {"Content-Type: " + tinyKind + "\r\n" + fmt.Sprintf("Content-Length: %d\r\n", len(tiny)) + auth(c.laptop.Token), tiny[:len(tiny)-len("x")-8], fault.Invalid},
		"another operation":             {lengthOf(replace("uploadPack(input: $input) { existed }", "reportProgress(input: $input) { ok }")), replace("uploadPack(input: $input) { existed }", "reportProgress(input: $input) { ok }"), "GRAPHQL_VALIDATION_FAILED"},
		"two operations":                {lengthOf(replace("uploadPack(input: $input) { existed }", "uploadPack(input: $input) { existed } b: uploadPack(input: $input) { existed }")), replace("uploadPack(input: $input) { existed }", "uploadPack(input: $input) { existed } b: uploadPack(input: $input) { existed }"), fault.Invalid},
		"garbage":                       {ok, bytes.Repeat([]byte("garbage\r\n"), 10_000), fault.Invalid},
		"garbage without a line":        {ok, bytes.Repeat([]byte("garbage "), 10_000), fault.TooLarge},
		"a thousand parts":              {ok, bytes.Repeat([]byte("--"+strings.TrimPrefix(contentType, "multipart/form-data; boundary=")+"\r\nContent-Disposition: form-data; name=\"x\"\r\n\r\ny\r\n"), 1000), fault.Invalid},
		"an operations part of 100 KiB": {kind + "Content-Length: 1000000\r\n" + auth(c.laptop.Token), replace(`{"query"`, `{"x":"`+strings.Repeat("y", 100_000)+`","query"`), fault.TooLarge},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			status, body := c.raw(t, tt.headers).write(tt.sent).answer()
			if !strings.Contains(body, string(tt.code)) {
				t.Errorf("%d %s, want %s", status, body, tt.code)
			}
		})
	}
}

// TestUploadRefusalArrives sends whole uploads as net/http does, which learns of the refusal while it writes.
func TestUploadRefusalArrives(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	for _, size := range []int{1_000, 200_000, 16 << 20} {
		form, contentType := uploadForm(id.Backup{}.New(), 1, strings.Repeat("ab", 32), make([]byte, size))
		for range 10 {
			r, _ := http.NewRequest(http.MethodPost, w.web.URL+"/graphql/upload", bytes.NewReader(form))
			r.Header.Set("Content-Type", contentType)
			if got := w.send(r, "hfd_"+strings.Repeat("A", 43)); got.code() != fault.Unauthenticated {
				t.Fatalf("%d bytes: %s", size, got.Raw)
			}
		}
	}
}

func TestUploadThatIsWrong(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	d := w.device(w.person("ada", actor.Staff), "laptop")
	b := w.session(d)
	body, name, _, chunk := smallPack(100_000)
	before := w.dump()

	damaged := bytes.Clone(body)
	damaged[50_000] ^= 1
	if r := w.upload(d.Token, b.ID, b.Fence, name.String(), damaged); r.code() != fault.HashMismatch {
		t.Error("a flipped bit:", r.Raw)
	}
	rubbish := random(100_000)
	if r := w.upload(d.Token, b.ID, b.Fence, fmt.Sprintf("%x", sha256.Sum256(rubbish)), rubbish); r.code() != fault.BadPack {
		t.Error("no pack:", r.Raw)
	}
	if r := w.upload(d.Token, b.ID, b.Fence, "../../etc/passwd", body); r.code() != fault.Invalid {
		t.Error("a bad name:", r.Raw)
	}

	// Bodies that end early.
	form, contentType := uploadForm(b.ID, b.Fence, name.String(), body)
	for _, sent := range []int{0, 10, 300, len(form) / 2, len(form) - 5} {
		c := w.raw(t, fmt.Sprintf("Content-Type: %s\r\nContent-Length: %d\r\nAuthorization: Bearer %s\r\n", contentType, len(form), d.Token)).write(form[:sent])
		c.conn.(*net.TCPConn).CloseWrite()
		if resp, err := http.ReadResponse(bufio.NewReader(c.conn), nil); err == nil {
			b, _ := io.ReadAll(resp.Body)
			if !strings.Contains(string(b), `"code"`) {
				t.Errorf("after %d of %d bytes: %d %s", sent, len(form), resp.StatusCode, b)
			}
		}
	}
	if absent, err := w.catalog.Missing(context.Background(), d.Actor, b.ID, b.Fence, []id.Object{chunk}); err != nil || !absent[0] {
		t.Error("a pack that never arrived counts as stored", err)
	}
	if n := strings.Count(w.dump(), "\n"); n != strings.Count(before, "\n") {
		t.Error("broken uploads left something behind:\n" + difference(before, w.dump()))
	}
	// The whole one still goes, by another route: without a length of the part.
	plain := bytes.Replace(form, fmt.Appendf(nil, "Content-Length: %d\r\n", len(body)), nil, 1)
	req, _ := http.NewRequest(http.MethodPost, w.web.URL+"/graphql/upload", bytes.NewReader(plain))
	req.Header.Set("Content-Type", contentType)
	if r := w.send(req, d.Token); r.code() != "" {
		t.Error("without a length of the part:", r.Raw)
	}
}

// sink is a store that counts what it is sent and keeps nothing.
type sink struct {
	blob.Store
	bytes atomic.Int64
	hold  chan struct{} // uploads wait here in mid-body
}

func (s *sink) Create(ctx context.Context) (blob.Pending, error) { return &sunk{sink: s}, nil }

type sunk struct {
	sink *sink
	n    int64
}

func (p *sunk) Write(b []byte) (int, error) {
	if p.n < 8<<20 && p.n+int64(len(b)) >= 8<<20 {
		<-p.sink.hold
	}
	p.n += int64(len(b))
	p.sink.bytes.Add(int64(len(b)))
	return len(b), nil
}
func (p *sunk) ReadAt([]byte, int64) (int, error)    { return 0, io.EOF }
func (p *sunk) Size() int64                          { return p.n }
func (p *sunk) Commit(context.Context, string) error { return nil }
func (p *sunk) Abort()                               {}

// TestUploadsAreNotInMemory holds 64 uploads of 16 MiB in the middle and looks at the heap.
func TestUploadsAreNotInMemory(t *testing.T) {
	store := &sink{hold: make(chan struct{})}
	w := newWorldStore(t, store)
	ada := w.person("ada", actor.Staff)
	const uploads, perDevice, size = 64, 16, 16 << 20
	body := make([]byte, size) // one for all; its hash is wrong, which is found at the end
	var devices []*device
	for i := range uploads / perDevice {
		devices = append(devices, w.device(ada, fmt.Sprint("d", i)))
	}
	heap := func() uint64 {
		runtime.GC()
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		return m.HeapAlloc
	}
	before := heap()
	var wait sync.WaitGroup
	for _, d := range devices {
		b := w.session(d)
		for range perDevice {
			form, contentType := uploadHead(b.ID, b.Fence, strings.Repeat("ab", 32), size)
			tail := "\r\n--bnd--\r\n"
			wait.Go(func() {
				r, _ := http.NewRequest(http.MethodPost, w.web.URL+"/graphql/upload", io.MultiReader(strings.NewReader(form), bytes.NewReader(body), strings.NewReader(tail)))
				r.ContentLength = int64(len(form) + size + len(tail))
				r.Header.Set("Content-Type", contentType)
				if got := w.send(r, d.Token); got.code() != fault.HashMismatch {
					t.Error(got.Raw)
				}
			})
		}
	}
	deadline := time.Now().Add(30 * time.Second)
	for store.bytes.Load() < uploads*(8<<20-512<<10) && time.Now().Before(deadline) {
		time.Sleep(10 * time.Millisecond)
	}
	during := heap()
	close(store.hold)
	wait.Wait()
	each := int64(during-before) / uploads
	t.Logf("%d uploads in mid-body: %d KiB of heap each", uploads, each>>10)
	if int64(during) > int64(before) && each > 2<<20 {
		t.Errorf("%d uploads in mid-body hold %d KiB of heap each", uploads, each>>10)
	}
}

func uploadHead(backup id.Backup, fence int64, name string, size int) (head, contentType string) {
	return fmt.Sprintf("--bnd\r\nContent-Disposition: form-data; name=\"operations\"\r\n\r\n"+
		`{"query":%q,"variables":{"input":{"backup":%q,"fence":%d,"name":%q,"size":%d,"pack":null}}}`+
		"\r\n--bnd\r\nContent-Disposition: form-data; name=\"map\"\r\n\r\n"+`{"0":["variables.input.pack"]}`+
		"\r\n--bnd\r\nContent-Disposition: form-data; name=\"0\"; filename=\"pack\"\r\nContent-Length: %d\r\n\r\n",
		uploadQuery, backup, fence, name, size, size), "multipart/form-data; boundary=bnd"
}
