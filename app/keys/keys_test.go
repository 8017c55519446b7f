package main_test

import (
	"archive/zip"
	"bytes"
	"context"
	"fmt"
	"image"
	"image/png"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/chromedp/cdproto/browser"
	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/serviceworker"
	"github.com/chromedp/cdproto/target"
	"github.com/chromedp/chromedp"

	"github.com/holdfast-backup/holdfast/app/safe/safetest"
	"github.com/holdfast-backup/holdfast/app/talk"
	"github.com/holdfast-backup/holdfast/vault/seal"
	"github.com/holdfast-backup/holdfast/wire/fault"
	"github.com/holdfast-backup/holdfast/wire/id"
)

// kept looks at what the browser's database holds, as a script on the page could.
const kept = `new Promise((yes, no) => {
  const open = indexedDB.open("holdfast-keys", 1);
  open.onerror = () => no(open.error);
  open.onsuccess = () => {
    const get = open.result.transaction("kept").objectStore("kept").get("keys");
    get.onsuccess = async () => {
      const r = get.result;
      open.result.close();
      if (!r) return yes("nothing");
      let exported = "refused";
      try { await crypto.subtle.exportKey("raw", r.key); exported = "exported"; } catch { }
      yes(r.user + " " + r.key.extractable + " " + exported + " " + r.wrapped.length);
    };
  };
})`

// The keys come back after a reload, from what no script can read, and are gone everywhere after a lock.
func TestKeysAcrossReloadsAndTabs(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.login()
	user := talk.Resume{User: r.w.User.String()}
	if got, want := eval[string](r, r.ctx, kept), user.User+" false refused 48"; got != want {
		t.Errorf("kept: %q, want %q", got, want)
	}
	r.load(r.ctx)
	if a := r.call(r.ctx, "ask", talk.MethodEnrolCode, "{}"); a.Kind != fault.Unauthenticated {
		t.Errorf("keys without a password: %+v", a)
	}
	ask[any](r, r.ctx, talk.MethodResume, user)
	ask[talk.Enrolment](r, r.ctx, talk.MethodEnrolCode, talk.EnrolCode{})
	if a := r.call(r.ctx, "ask", talk.MethodResume, `{"user":"another"}`); a.Kind != fault.NotFound {
		t.Errorf("another user's: %+v", a)
	}

	other, cancel := chromedp.NewContext(r.ctx)
	defer cancel()
	r.load(other)
	ask[any](r, other, talk.MethodResume, user)
	eval[bool](r, other, `ask("locked", "null").then(() => { document.title = "locked" }), true`)
	ask[any](r, r.ctx, talk.MethodLock, nil)
	_, err := chromedp.Run(other, chromedp.Poll[bool](`document.title === "locked"`))
	r.ok(err)
	for _, tab := range []context.Context{r.ctx, other} {
		if a := r.call(tab, "ask", talk.MethodResume, user); a.Kind != fault.NotFound {
			t.Errorf("after a lock: %+v", a)
		}
	}
	if got := eval[string](r, r.ctx, kept); got != "nothing" {
		t.Errorf("after a lock: %q is kept", got)
	}
	// What was kept and is damaged is of no use, and goes.
	r.login()
	eval[bool](r, r.ctx, `new Promise((yes) => { const o = indexedDB.open("holdfast-keys", 1); o.onsuccess = () => {
		const s = o.result.transaction("kept", "readwrite").objectStore("kept"), g = s.get("keys");
		g.onsuccess = () => { g.result.wrapped[3] ^= 1; s.put(g.result, "keys").onsuccess = () => { o.result.close(); yes(true) } } } })`)
	r.load(r.ctx)
	if a := r.call(r.ctx, "ask", talk.MethodResume, user); a.Kind != fault.NotFound {
		t.Errorf("damaged: %+v", a)
	}
	if got := eval[string](r, r.ctx, kept); got != "nothing" {
		t.Errorf("damaged: %q is kept", got)
	}
}

func TestFilesInABrowser(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.login()
	var picture bytes.Buffer
	r.ok(png.Encode(&picture, image.NewGray(image.Rect(0, 0, 30, 20))))
	large, piece := safetest.Large("home/film [1] 'ü'.bin", 48, 12)
	files := []safetest.File{large, safetest.Text("home/a.txt", "alpha"), {Entry: safetest.Text("home/p.png", "").Entry, Pieces: [][]byte{picture.Bytes()}}}
	for i := range 300 {
		files = append(files, safetest.Text(fmt.Sprintf("home/many/%d.txt", i), fmt.Sprint("content ", i)))
	}
	s := r.snap(files...)
	if l := ask[talk.Listing](r, r.ctx, talk.MethodSearch, talk.Search{Snapshot: s, Text: "17", Page: talk.Page{Limit: 100}}); l.Total != 13 { // 17, 117, 217, and 170 to 179
		t.Errorf("%d found", l.Total)
	}

	p := ask[talk.Preview](r, r.ctx, talk.MethodPreview, talk.Path{Snapshot: s, Path: "home/p.png"})
	const width = `new Promise((yes) => { const i = new Image(); i.onload = () => yes(i.naturalWidth); i.onerror = () => yes(-1); i.src = %q })`
	if w := eval[int](r, r.ctx, fmt.Sprintf(width, p.URL)); w != 30 {
		t.Errorf("a preview of width %d", w)
	}
	ask[any](r, r.ctx, talk.MethodRelease, talk.URL{URL: p.URL})
	if w := eval[int](r, r.ctx, fmt.Sprintf(width, p.URL)); w != -1 {
		t.Errorf("a preview of width %d after it was released", w)
	}

	save := func(what talk.Selection) (string, answer, browser.DownloadProgressState) {
		t.Helper()
		what.Snapshot = s
		plan := ask[talk.Plan](r, r.ctx, talk.MethodPlan, what)
		events := chromedp.BrowserEvents(r.ctx, browser.DownloadProgress)
		ans := r.call(r.ctx, "save", plan, what)
		state, _, err := saved(events)
		r.ok(err)
		return filepath.Join(r.downloads, plan.Name), ans, state
	}
	read := func(path string, ans answer, state browser.DownloadProgressState) []byte {
		t.Helper()
		if ans.Error != "" || state != browser.DownloadProgressStateCompleted {
			t.Fatalf("%s: %s, %s", path, ans.Error, state)
		}
		b, err := os.ReadFile(path)
		r.ok(err)
		return b
	}
	if b := read(save(talk.Selection{Paths: []string{"home/a.txt"}})); string(b) != "alpha" {
		t.Errorf("a small file: %q", b)
	}
	path, ans, state := save(talk.Selection{Paths: []string{large.Path}})
	b := read(path, ans, state)
	if filepath.Base(path) != "film [1] 'ü'.bin" || len(b) != 48<<20 {
		t.Fatalf("%s has %d bytes", path, len(b))
	}
	for i := range 48 {
		if !bytes.Equal(b[i<<20:][:1<<20], piece(i)) {
			t.Fatalf("piece %d is wrong", i)
		}
	}
	b = read(save(talk.Selection{Paths: []string{"home"}}))
	z, err := zip.NewReader(bytes.NewReader(b), int64(len(b)))
	r.ok(err)
	for i := range 300 {
		f, err := z.Open(fmt.Sprintf("home/many/%d.txt", i))
		r.ok(err)
		content, err := io.ReadAll(f)
		if err != nil || string(content) != fmt.Sprint("content ", i) {
			t.Errorf("%d: %q, %v", i, content, err)
		}
	}

	// A file that is damaged in its middle is no file.
	r.w.Drop(seal.New(r.w.Account.Space().Content).Key(piece(11)).ID())
	_, ans, state = save(talk.Selection{Paths: []string{large.Path}})
	if ans.Kind != fault.ObjectsMissing || state != browser.DownloadProgressStateCanceled {
		t.Errorf("%+v, %s", ans, state)
	}
	if got, err := filepath.Glob(filepath.Join(r.downloads, "film*.bin")); err != nil || len(got) != 1 {
		t.Errorf("%q, %v: what was cut off looks like a file", got, err)
	}
	if eval[int](r, r.ctx, `document.querySelectorAll("iframe").length`) != 0 {
		t.Error("frames stay")
	}
}

// inWorker evaluates JavaScript in the first tab's worker that holds the keys.
func inWorker[T any](r *rig, script string) T {
	r.Helper()
	list, err := chromedp.Targets(r.ctx)
	r.ok(err)
	i := slices.IndexFunc(list, func(i *target.Info) bool { return strings.HasSuffix(i.URL, "/assets/keys.js") })
	if i < 0 {
		r.Fatal("there is no worker")
	}
	ctx, cancel := chromedp.NewContext(r.ctx, chromedp.WithTargetID(list[i].TargetID))
	defer cancel()
	return eval[T](r, ctx, script)
}

// between stands between the worker and what opens objects faster than Go: it counts, and on demand lies.
const between = `(() => {
  globalThis.hashed = globalThis.decrypted = 0;
  globalThis.wrongHash = globalThis.wrongPlaintext = false;
  const make = hashwasm.createBLAKE3, decrypt = crypto.subtle.decrypt;
  hashwasm.createBLAKE3 = async (...args) => {
    const hasher = await make(...args), digest = hasher.digest;
    hasher.digest = (...args) => {
      const sum = digest.apply(hasher, args);
      hashed++;
      if (wrongHash) sum[0] ^= 1;
      return sum;
    };
    return hasher;
  };
  crypto.subtle.decrypt = async (...args) => {
    const plain = await decrypt.apply(crypto.subtle, args);
    decrypted++;
    if (wrongPlaintext && plain.byteLength > 1 << 20) new Uint8Array(plain)[1 << 19] ^= 1;
    return plain;
  };
  return true;
})()`

// What opens objects fast is used, and not believed: neither damage on the way nor a wrong answer of the browser's becomes a file.
func TestNothingDamagedIsSaved(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	ask[talk.Verdict](r, r.ctx, talk.MethodStrength, talk.Strength{Password: "x"}) // so that it is there
	inWorker[bool](r, between)
	r.login()
	large, piece := safetest.Large("large.bin", 40, 10)
	s := r.snap(large)
	what := talk.Selection{Snapshot: s, Paths: []string{"large.bin"}}
	plan := ask[talk.Plan](r, r.ctx, talk.MethodPlan, what)
	save := func() (answer, browser.DownloadProgressState) {
		t.Helper()
		events := chromedp.BrowserEvents(r.ctx, browser.DownloadProgress)
		a := r.call(r.ctx, "save", plan, what)
		state, _, err := saved(events)
		r.ok(err)
		return a, state
	}
	good := func(how string) {
		t.Helper()
		path := filepath.Join(r.downloads, "large.bin")
		if a, state := save(); a.Error != "" || state != browser.DownloadProgressStateCompleted {
			t.Fatalf("%s: %s, %s", how, a.Error, state)
		}
		b, err := os.ReadFile(path)
		r.ok(err)
		if len(b) != 40<<20 {
			t.Fatalf("%s: %d bytes", how, len(b))
		}
		for i := range 40 {
			if !bytes.Equal(b[i<<20:][:1<<20], piece(i)) {
				t.Fatalf("%s: piece %d is wrong", how, i)
			}
		}
		r.ok(os.Remove(path))
	}
	refused := func(how string) {
		t.Helper()
		if a, state := save(); a.Kind != fault.Internal || !strings.Contains(a.Error, "damaged") || state != browser.DownloadProgressStateCanceled {
			t.Errorf("%s: %+v, %s", how, a, state)
		}
		if list, err := filepath.Glob(filepath.Join(r.downloads, "*.bin")); err != nil || len(list) != 0 {
			t.Errorf("%s: %q looks like a file, %v", how, list, err)
		}
	}

	good("all is well")
	if n, m := inWorker[int](r, "decrypted"), inWorker[int](r, "hashed"); n < 40 || m < 40 {
		t.Errorf("%d pieces were decrypted by WebCrypto and %d hashed by the library, of 40", n, m)
	}
	inWorker[bool](r, "wrongHash = true")
	good("a hash that is wrong") // Go's own has the last word
	inWorker[bool](r, "wrongHash = false, wrongPlaintext = true")
	refused("a plaintext that is wrong")
	inWorker[bool](r, "wrongPlaintext = false, true")
	r.w.Do(func() {
		r.w.Corrupt = func(_ id.Pack, _ int64, dst []byte) {
			if len(dst) > 1<<16 {
				dst[len(dst)/2] ^= 1
			}
		}
	})
	refused("a body that is wrong")
	r.w.Do(func() { r.w.Corrupt = nil })
	// Browsers that fill no memory but their own.
	inWorker[bool](r, `(() => {
	  const get = ReadableStream.prototype.getReader;
	  ReadableStream.prototype.getReader = function(options) {
	    if (options) throw new TypeError("no such mode");
	    return get.call(this);
	  };
	  return true;
	})()`)
	good("without a reader into given memory")
	// An answer that is too long, then one that is too short.
	r.mu.Lock()
	r.longer = []int{1, -1}
	r.mu.Unlock()
	good("answers of another length")
	r.mu.Lock()
	defer r.mu.Unlock()
	if len(r.longer) != 0 {
		t.Error("no answer had another length")
	}
}

// A download that a person stops, on the page or in the browser, ends on both sides.
func TestStoppedDownloads(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.login()
	large, _ := safetest.Large("large.bin", 2000, 4)
	s := r.snap(large)
	what := talk.Selection{Snapshot: s, Paths: []string{"large.bin"}}
	plan := ask[talk.Plan](r, r.ctx, talk.MethodPlan, what)
	for _, c := range []struct {
		how  string
		stop func(guid string)
	}{
		{"on the page", func(string) { eval[bool](r, r.ctx, `stop(), true`) }},
		{"in the browser", func(guid string) {
			_, err := chromedp.CallBrowser(r.ctx, browser.CancelDownload, browser.CancelDownloadParams{GUID: guid})
			r.ok(err)
		}},
		{"with its service worker", func(string) {
			_, err := chromedp.Call(r.ctx, serviceworker.Enable, cdp.Empty{})
			r.ok(err)
			_, err = chromedp.Call(r.ctx, serviceworker.StopAllWorkers, cdp.Empty{})
			r.ok(err)
		}},
		{"by a lock", func(string) { ask[any](r, r.ctx, talk.MethodLock, nil) }},
	} {
		t.Run(c.how, func(t *testing.T) { stopped(t, r, plan, what, c.stop) })
	}
}

func stopped(t *testing.T, r *rig, plan talk.Plan, what talk.Selection, stop func(guid string)) {
	events := chromedp.BrowserEvents(r.ctx, browser.DownloadProgress)
	done := make(chan answer, 1)
	go func() { done <- r.call(r.ctx, "save", plan, what) }()
	stopping := false
	for e, err := range events {
		r.ok(err)
		if e.State != browser.DownloadProgressStateInProgress {
			if e.State != browser.DownloadProgressStateCanceled || e.ReceivedBytes >= 2000<<20 {
				t.Errorf("the browser has %v bytes, %s", e.ReceivedBytes, e.State)
			}
			break
		}
		if e.ReceivedBytes > 0 && !stopping {
			stopping = true
			stop(e.GUID)
		}
	}
	if a := <-done; a.Error == "" {
		t.Errorf("the page takes it for complete: %s", a.Out)
	}
}
