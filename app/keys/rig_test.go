package main_test

import (
	"context"
	"encoding/json"
	"fmt"
	"io/fs"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/chromedp/cdproto/browser"
	"github.com/chromedp/chromedp"

	"github.com/holdfast-backup/holdfast/app/safe/safetest"
	"github.com/holdfast-backup/holdfast/app/talk"
	"github.com/holdfast-backup/holdfast/vault/keyring"
	"github.com/holdfast-backup/holdfast/wire/fault"
)

// policy is the server's for the web app: what it forbids must not be needed here.
const policy = "default-src 'none'; script-src 'self' 'wasm-unsafe-eval'; style-src 'self'; img-src 'self' data: blob:; font-src 'self'; " +
	"connect-src 'self'; worker-src 'self'; manifest-src 'self'; frame-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"

// page is the whole page.
const page = `<!doctype html><title>loading</title><script src="/assets/wasm_exec.js"></script><script src="/assets/start.js"></script><body></body>`

const start = `const go = new Go(); WebAssembly.instantiateStreaming(fetch("/assets/page.wasm"), go.importObject).then((r) => go.run(r.instance));`

// programs builds the worker and the page around it, once, and returns the files of the site.
var programs = sync.OnceValues(func() (map[string][]byte, error) {
	// The go command keeps results of tests as long as what they looked at is the same, and does not see what they build: so look at that.
	for _, dir := range []string{".", "../browser", "../safe", "../talk", "../../vault", "../../wire"} {
		if err := filepath.WalkDir(dir, func(path string, _ fs.DirEntry, err error) error {
			if err == nil {
				_, err = os.Stat(path)
			}
			return err
		}); err != nil {
			return nil, err
		}
	}
	dir, err := os.MkdirTemp("", "holdfast-keys-")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(dir)
	files := map[string][]byte{"start.js": []byte(start)}
	for name, pkg := range map[string]string{"keys.wasm": ".", "page.wasm": "./testdata/page"} {
		cmd := exec.Command("go", "build", "-ldflags", "-s -w", "-o", filepath.Join(dir, name), pkg)
		cmd.Env = append(os.Environ(), "GOOS=js", "GOARCH=wasm", "CGO_ENABLED=0")
		if out, err := cmd.CombinedOutput(); err != nil {
			return nil, fmt.Errorf("%s: %w\n%s", pkg, err, out)
		}
		if files[name], err = os.ReadFile(filepath.Join(dir, name)); err != nil {
			return nil, err
		}
	}
	root, err := exec.Command("go", "env", "GOROOT").Output()
	if err != nil {
		return nil, err
	}
	if files["wasm_exec.js"], err = os.ReadFile(filepath.Join(strings.TrimSpace(string(root)), "lib", "wasm", "wasm_exec.js")); err != nil {
		return nil, err
	}
	text, err := os.ReadFile("../static/keys.js")
	if err != nil {
		return nil, err
	}
	files["keys.js"] = []byte(strings.NewReplacer(`{{asset "wasm_exec.js"}}`, "/assets/wasm_exec.js", `{{asset "keys.wasm"}}`, "/assets/keys.wasm", `{{asset "blake3.js"}}`, "/assets/blake3.js").Replace(string(text)))
	if files["blake3.js"], err = os.ReadFile("../../node_modules/hash-wasm/dist/blake3.umd.min.js"); err != nil {
		return nil, err
	}
	if files["plain.js"], err = os.ReadFile("testdata/plain.js"); err != nil {
		return nil, err
	}
	files["download.js"], err = os.ReadFile("../static/download.js")
	return files, err
})

// rig is a browser on a site that is a world's server and the page.
type rig struct {
	testing.TB
	w         *safetest.World
	url       string
	ctx       context.Context // of the first tab
	downloads string          // folder

	mu     sync.Mutex
	longer []int // by how many bytes the next answers with a part of a pack are longer than they should be
}

func newRig(t testing.TB) *rig {
	t.Helper()
	files, err := programs()
	if err != nil {
		t.Fatal(err)
	}
	r := &rig{TB: t, w: safetest.New(t), downloads: t.TempDir()}
	srv := httptest.NewServer(http.HandlerFunc(func(out http.ResponseWriter, q *http.Request) {
		name, isAsset := strings.CutPrefix(q.URL.Path, "/assets/")
		switch h := out.Header(); {
		case q.URL.Path == "/":
			h.Set("Content-Security-Policy", policy)
			h.Set("Content-Type", "text/html")
			fmt.Fprint(out, page)
		case q.URL.Path == "/dl/download.js":
			h.Set("Content-Security-Policy", "default-src 'none'")
			h.Set("Content-Type", "text/javascript")
			out.Write(files["download.js"]) //nolint:errcheck
		case isAsset && files[name] != nil:
			h.Set("Content-Security-Policy", policy)
			h.Set("Content-Type", map[string]string{".js": "text/javascript", ".wasm": "application/wasm"}[filepath.Ext(name)])
			out.Write(files[name]) //nolint:errcheck
		case strings.HasPrefix(q.URL.Path, "/packs/"):
			r.pack(out, q)
		default:
			r.w.ServeHTTP(out, q)
		}
	}))
	t.Cleanup(srv.Close)
	r.url = srv.URL

	program := ""
	for _, name := range []string{"chromium", "chromium-browser", "google-chrome"} {
		if program, err = exec.LookPath(name); err == nil {
			break
		}
	}
	if err != nil {
		t.Fatal("this test needs Chromium: make setup installs it")
	}
	ctx, cancel := chromedp.NewExecAllocator(context.Background(), append(chromedp.DefaultExecAllocatorOptions[:], chromedp.ExecPath(program), chromedp.NoSandbox)...)
	t.Cleanup(cancel)
	ctx, cancel = context.WithTimeout(ctx, 4*time.Minute)
	t.Cleanup(cancel)
	r.ctx, cancel = chromedp.NewContext(ctx)
	t.Cleanup(func() {
		chromedp.Cancel(r.ctx) //nolint:errcheck // it is over
		cancel()
	})
	r.load(r.ctx)
	on := true
	_, err = chromedp.CallBrowser(r.ctx, browser.SetDownloadBehavior, browser.SetDownloadBehaviorParams{Behavior: browser.SetDownloadBehaviorBehaviorAllow,
		DownloadPath: r.downloads, EventsEnabled: &on})
	r.ok(err)
	return r
}

// pack answers with a part of a pack, or with another one than was asked for.
func (r *rig) pack(out http.ResponseWriter, q *http.Request) {
	r.mu.Lock()
	more := 0
	if len(r.longer) > 0 {
		more, r.longer = r.longer[0], r.longer[1:]
	}
	r.mu.Unlock()
	if more != 0 {
		var from, to int
		fmt.Sscanf(q.Header.Get("Range"), "bytes=%d-%d", &from, &to) //nolint:errcheck // the world looks at it
		q.Header.Set("Range", fmt.Sprintf("bytes=%d-%d", from, to+more))
	}
	r.w.ServeHTTP(out, q)
}

func (r *rig) ok(err error) {
	r.Helper()
	if err != nil {
		r.Fatal(err)
	}
}

// load opens the page in a tab and waits until it can be asked.
func (r *rig) load(tab context.Context) {
	r.Helper()
	r.ok(chromedp.Do(tab, chromedp.Navigate(r.url+"/")))
	_, err := chromedp.Run(tab, chromedp.Poll[bool](`document.title === "ready"`))
	r.ok(err)
}

// eval evaluates JavaScript, whose promise it waits for.
func eval[T any](r *rig, tab context.Context, script string) T {
	r.Helper()
	v, err := chromedp.Run(tab, chromedp.Evaluate[T](script, chromedp.EvalAwaitPromise))
	r.ok(err)
	return v
}

// answer is what the page says.
type answer struct {
	Out    json.RawMessage
	Kind   fault.Kind
	Error  string
	Events []talk.Progress
}

func (r *rig) call(tab context.Context, fn string, a, b any) (ans answer) {
	r.Helper()
	text := func(v any) string {
		if s, ok := v.(string); ok {
			return s
		}
		b, err := json.Marshal(v)
		r.ok(err)
		return string(b)
	}
	args, err := json.Marshal([]string{text(a), text(b)})
	r.ok(err)
	r.ok(json.Unmarshal([]byte(eval[string](r, tab, fmt.Sprintf("%s(...%s)", fn, args))), &ans))
	return ans
}

// ask asks the worker of a tab.
func ask[O any](r *rig, tab context.Context, method string, in any) (out O) {
	r.Helper()
	ans := r.call(tab, "ask", method, in)
	if ans.Error != "" {
		r.Fatalf("%s: %s", method, ans.Error)
	}
	r.ok(json.Unmarshal(ans.Out, &out))
	return out
}

// login opens the keys, as the page does with what the server tells it.
func (r *rig) login() {
	r.Helper()
	kdf := keyring.NewKDF()
	_, wrap, err := keyring.FromPassword([]byte("correct horse battery staple"), kdf)
	r.ok(err)
	ask[talk.AuthKey](r, r.ctx, talk.MethodDerive, talk.Derive{Password: "correct horse battery staple", Salt: kdf.Salt, Time: int(kdf.Time), Memory: int(kdf.MemoryKiB), Threads: int(kdf.Threads)})
	ask[any](r, r.ctx, talk.MethodOpen, talk.Open{Bundle: r.w.Account.SealBundle(wrap), User: r.w.User.String(), IdentityPublic: r.w.Account.IdentityPublic()})
}

// snap stores a snapshot and opens it.
func (r *rig) snap(files ...safetest.File) string {
	r.Helper()
	s := r.w.Snapshot(r, nil, files...)
	if m := ask[[]talk.Manifest](r, r.ctx, talk.MethodOpenManifests, []talk.Sealed{s}); m[0].Error != "" {
		r.Fatal(m[0].Error)
	}
	return s.ID
}

// saved waits for the browser to end a download, and returns how.
func saved(events func(func(browser.EventDownloadProgress, error) bool)) (state browser.DownloadProgressState, bytes int64, err error) {
	for e, err := range events {
		if err != nil {
			return state, bytes, err
		}
		if e.State != browser.DownloadProgressStateInProgress {
			return e.State, int64(e.ReceivedBytes), nil
		}
	}
	return state, bytes, context.Canceled
}
