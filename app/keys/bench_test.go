package main_test

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/cdproto/browser"
	"github.com/chromedp/chromedp"

	"github.com/holdfast-backup/holdfast/app/safe/safetest"
	"github.com/holdfast-backup/holdfast/app/talk"
)

// renderer returns the memory in bytes of this test's page: the largest of what its browser's renderers have for themselves.
func renderer(t testing.TB) (most int64) {
	t.Helper()
	list, err := filepath.Glob("/proc/[0-9]*/cmdline")
	if err != nil {
		t.Fatal(err)
	}
	for _, path := range list {
		text, err := os.ReadFile(path)
		if err != nil || !strings.Contains(string(text), "--type=renderer") || !ours(filepath.Dir(path)) {
			continue
		}
		smaps, err := os.ReadFile(filepath.Join(filepath.Dir(path), "smaps_rollup"))
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

// watch asks for memory while something runs, and returns the most that it saw.
func watch(t testing.TB) (stop func() int64) {
	end, most := make(chan struct{}), make(chan int64)
	go func() {
		var m int64
		for {
			select {
			case <-time.After(100 * time.Millisecond):
				m = max(m, renderer(t))
			case <-end:
				most <- m
				return
			}
		}
	}()
	return func() int64 {
		close(end)
		return <-most
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
		memory := watch(b)
		events := chromedp.BrowserEvents(r.ctx, browser.DownloadProgress)
		ans := r.call(r.ctx, "save", plan, what)
		state, n, err := saved(events)
		r.ok(err)
		b.ReportMetric(float64(memory())/1e6, "MB-tab")
		if ans.Error != "" || state != browser.DownloadProgressStateCompleted || n != plan.Size {
			b.Fatalf("%s, %s, %d bytes", ans.Error, state, n)
		}
		os.Remove(filepath.Join(r.downloads, plan.Name)) //nolint:errcheck // it is removed in the end
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
		memory := watch(b)
		events := chromedp.BrowserEvents(r.ctx, browser.DownloadProgress)
		ans := r.call(r.ctx, "save", plan, what)
		state, _, err := saved(events)
		r.ok(err)
		b.ReportMetric(float64(memory())/1e6, "MB-tab")
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
	memory := watch(b)
	if c := ask[talk.Contents](r, r.ctx, talk.MethodLoad, talk.Snapshot{Snapshot: s}); c.Files != 100_000 {
		b.Fatal(c)
	}
	b.Logf("loaded in %v, %d MB more memory", time.Since(start).Round(time.Millisecond), (memory()-before)/1e6)
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
