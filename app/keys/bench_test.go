package main_test

import (
	"cmp"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/cdproto/browser"
	"github.com/chromedp/chromedp"

	"github.com/holdfast-backup/holdfast/app/safe/safetest"
	"github.com/holdfast-backup/holdfast/app/talk"
	"github.com/holdfast-backup/holdfast/wire/id"
)

// browsers returns the folders in /proc of this test's browser, with their command lines.
func browsers(t testing.TB) map[string]string {
	t.Helper()
	list, err := filepath.Glob("/proc/[0-9]*/cmdline")
	if err != nil {
		t.Fatal(err)
	}
	found := map[string]string{}
	for _, path := range list {
		if text, err := os.ReadFile(path); err == nil && ours(filepath.Dir(path)) {
			found[filepath.Dir(path)] = string(text)
		}
	}
	return found
}

// renderer returns the memory in bytes of this test's page: the largest of what its browser's renderers have for themselves.
func renderer(t testing.TB) (most int64) {
	t.Helper()
	for dir, command := range browsers(t) {
		if !strings.Contains(command, "--type=renderer") {
			continue
		}
		smaps, err := os.ReadFile(filepath.Join(dir, "smaps_rollup"))
		if err != nil {
			continue // it ended
		}
		for line := range strings.Lines(string(smaps)) {
			if f := strings.Fields(line); len(f) == 3 && f[0] == "Pss:" {
				n, _ := strconv.ParseInt(f[1], 10, 64)
				most = max(most, n<<10)
			}
		}
	}
	return most
}

// times returns how many seconds of a processor this test's browser has used so far: for itself, and for what the system did for it.
func times(t testing.TB) (user, system float64) {
	t.Helper()
	for dir := range browsers(t) {
		stat, err := os.ReadFile(filepath.Join(dir, "stat"))
		if err != nil {
			continue // it ended
		}
		_, rest, _ := strings.Cut(string(stat), ") ") // after the name
		f := strings.Fields(rest)
		u, _ := strconv.ParseFloat(f[11], 64)
		s, _ := strconv.ParseFloat(f[12], 64)
		user, system = user+u/100, system+s/100 // Linux counts in hundredths
	}
	return user, system
}

// ours reports whether a process, given by its folder in /proc, comes from this one.
func ours(dir string) bool {
	for {
		stat, err := os.ReadFile(filepath.Join(dir, "stat"))
		if err != nil {
			return false
		}
		_, rest, _ := strings.Cut(string(stat), ") ") // after the name
		f := strings.Fields(rest)
		if len(f) < 2 || f[1] == "0" {
			return false
		}
		if f[1] == strconv.Itoa(os.Getpid()) {
			return true
		}
		dir = "/proc/" + f[1]
	}
}

// watch looks on while something runs, and stop says what it took: the most memory, and the time of processors for so many bytes.
func watch(b *testing.B) (stop func(bytes int64)) {
	end, most := make(chan struct{}), make(chan int64)
	user, system := times(b)
	go func() {
		var m int64
		for {
			select {
			case <-time.After(500 * time.Millisecond): // who asks for memory stops who takes it
				m = max(m, renderer(b))
			case <-end:
				most <- m
				return
			}
		}
	}()
	return func(bytes int64) {
		close(end)
		u, s := times(b)
		gib := float64(bytes) / (1 << 30)
		b.ReportMetric((u-user)/gib, "user-s/GiB")
		b.ReportMetric((s-system)/gib, "system-s/GiB")
		b.ReportMetric(float64(<-most)/1e6, "MB-tab")
	}
}

// BenchmarkSave saves a file of 1 GiB, decrypted and verified, to disk.
func BenchmarkSave(b *testing.B) {
	r := newRig(b)
	r.login()
	large, _ := safetest.Large("large.bin", 1024, 32)
	s := r.snap(large)
	what := talk.Selection{Snapshot: s, Paths: []string{"large.bin"}}
	plan := ask[talk.Plan](r, r.ctx, talk.MethodPlan, what)
	b.SetBytes(plan.Size)
	for b.Loop() {
		stop := watch(b)
		events := chromedp.BrowserEvents(r.ctx, browser.DownloadProgress)
		ans := r.call(r.ctx, "save", plan, what)
		state, n, err := saved(events)
		r.ok(err)
		stop(plan.Bytes)
		if ans.Error != "" || state != browser.DownloadProgressStateCompleted || n != plan.Size {
			b.Fatalf("%s, %s, %d bytes", ans.Error, state, n)
		}
		os.Remove(filepath.Join(r.downloads, plan.Name)) //nolint:errcheck // it is removed in the end
	}
}

// plain saves what a worker hands on without looking at it.
const plain = `(async () => {
  const registration = await navigator.serviceWorker.register("/dl/download.js", { scope: "/dl/", updateViaCache: "none" });
  const server = registration.active ?? await new Promise((yes) => {
    const coming = registration.installing;
    coming.onstatechange = () => { if (coming.state === "activated") yes(coming); };
  });
  const pieces = new MessageChannel(), answer = new MessageChannel();
  const offered = new Promise((yes) => { answer.port1.onmessage = yes; });
  server.postMessage({ id: "plain", name: "plain.bin", type: "application/octet-stream", size: %d }, [pieces.port2, answer.port2]);
  await offered;
  const frame = document.createElement("iframe");
  frame.hidden = true;
  frame.src = "/dl/plain";
  document.body.append(frame);
  const worker = new Worker("/assets/plain.js");
  const done = new Promise((yes) => { worker.onmessage = yes; });
  worker.postMessage({ port: pieces.port1, parts: %s, reads: 3 }, [pieces.port1]);
  await done;
  frame.remove();
  return true;
})()`

// BenchmarkPlain is what BenchmarkSave could be at best: it saves as many bytes in the same way, neither decrypted nor verified.
func BenchmarkPlain(b *testing.B) {
	r := newRig(b)
	large, _ := safetest.Large("large.bin", 32, 32)
	r.w.Snapshot(b, nil, large)
	pack := slices.MaxFunc(r.w.Packs(), func(a, b id.Pack) int { return cmp.Compare(len(r.w.Pack(a)), len(r.w.Pack(b))) })
	type part struct {
		URL  string `json:"url"`
		From int    `json:"from"`
		To   int    `json:"to"`
	}
	n := min(8<<20, len(r.w.Pack(pack)))
	parts := slices.Repeat([]part{{"/packs/" + pack.String(), 0, n - 1}}, 1<<30/n)
	size := int64(len(parts) * n)
	list, err := json.Marshal(parts)
	r.ok(err)
	b.SetBytes(size)
	for b.Loop() {
		stop := watch(b)
		events := chromedp.BrowserEvents(r.ctx, browser.DownloadProgress)
		eval[bool](r, r.ctx, fmt.Sprintf(plain, size, list))
		state, got, err := saved(events)
		r.ok(err)
		stop(size)
		if state != browser.DownloadProgressStateCompleted || got != size {
			b.Fatalf("%s, %d bytes", state, got)
		}
		os.Remove(filepath.Join(r.downloads, "plain.bin")) //nolint:errcheck // it is removed in the end
	}
}

// BenchmarkZIP saves 2,000 files of 64 KiB as a ZIP.
func BenchmarkZIP(b *testing.B) {
	r := newRig(b)
	r.login()
	var files []safetest.File
	for i := range 2000 {
		f := safetest.Text(fmt.Sprintf("home/%d/%d.bin", i%50, i), "")
		f.Pieces = [][]byte{append(safetest.Noise(64<<10, byte(i)), byte(i), byte(i>>8))}
		files = append(files, f)
	}
	s := r.snap(files...)
	what := talk.Selection{Snapshot: s, Paths: []string{"home"}}
	plan := ask[talk.Plan](r, r.ctx, talk.MethodPlan, what)
	b.SetBytes(plan.Bytes)
	for b.Loop() {
		stop := watch(b)
		events := chromedp.BrowserEvents(r.ctx, browser.DownloadProgress)
		ans := r.call(r.ctx, "save", plan, what)
		state, _, err := saved(events)
		r.ok(err)
		stop(plan.Bytes)
		if ans.Error != "" || state != browser.DownloadProgressStateCompleted {
			b.Fatalf("%s, %s", ans.Error, state)
		}
		os.Remove(filepath.Join(r.downloads, plan.Name)) //nolint:errcheck
	}
}

// BenchmarkBrowse loads a tree of 100,000 files and asks for what a person asks for.
func BenchmarkBrowse(b *testing.B) {
	r := newRig(b)
	r.login()
	var files []safetest.File
	for i := range 100_000 {
		dir := "pictures"
		if i%2 == 0 {
			dir = fmt.Sprintf("projects/%d", i%1000)
		}
		files = append(files, safetest.Text(fmt.Sprintf("home/ada/%s/file %d of many.%s", dir, i, []string{"txt", "docx", "jpg", "xlsx"}[i/2%4]), fmt.Sprint(i)))
	}
	s := r.snap(files...)
	before := renderer(b)
	start := time.Now()
	if c := ask[talk.Contents](r, r.ctx, talk.MethodLoad, talk.Snapshot{Snapshot: s}); c.Files != 100_000 {
		b.Fatal(c)
	}
	b.Logf("loaded in %v, %d MB more memory", time.Since(start).Round(time.Millisecond), (renderer(b)-before)/1e6)
	page := talk.Page{Limit: 200}
	n := 0
	for name, q := range map[string]func() (string, any){
		"list": func() (string, any) {
			return talk.MethodList, talk.List{Snapshot: s, Path: "home/ada/pictures", Sort: talk.Sort{By: talk.BySize}, Page: page}
		},
		"filter": func() (string, any) {
			return talk.MethodList, talk.List{Snapshot: s, Path: "home/ada/pictures", Filter: talk.Filter{Kinds: []talk.Kind{talk.Image}}, Page: page}
		},
		"search": func() (string, any) { return talk.MethodSearch, talk.Search{Snapshot: s, Text: "many.j", Page: page} },
		"glob": func() (string, any) {
			return talk.MethodSearch, talk.Search{Snapshot: s, Text: "*7*many.j*", Page: page}
		},
	} {
		b.Run(name, func(b *testing.B) {
			for b.Loop() {
				method, in := q()
				n++ // another question each time, or the answer is kept
				switch v := in.(type) {
				case talk.List:
					v.Extensions = append(v.Extensions, fmt.Sprintf("x%d", n))
					if len(v.Kinds) == 0 {
						v.Extensions = append(v.Extensions, "jpg", "txt", "docx", "xlsx")
					}
					in = v
				case talk.Search:
					v.Extensions = []string{fmt.Sprintf("x%d", n), "jpg"}
					in = v
				}
				if l := ask[talk.Listing](r, r.ctx, method, in); l.Total == 0 {
					b.Fatal("nothing")
				}
			}
		})
	}
}
