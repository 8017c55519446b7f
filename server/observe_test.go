package server_test

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/holdfast-backup/holdfast/depot"
	"github.com/holdfast-backup/holdfast/depot/actor"
	"github.com/holdfast-backup/holdfast/depot/blob/mem"
	"github.com/holdfast-backup/holdfast/depot/pg/pgtest"
	"github.com/holdfast-backup/holdfast/server"
	"github.com/holdfast-backup/holdfast/server/metrics"
	"github.com/holdfast-backup/holdfast/wire/fault"
)

// TestMetrics: what was done is counted, by names that strangers cannot make up; and not everybody may see it.
func TestMetrics(t *testing.T) {
	t.Parallel()
	db := pgtest.New(t)
	d := &depot.Depot{DB: db}
	var down atomic.Bool
	w := newWorldOn(t, db, mem.New(), func(c *server.Config) {
		c.Metrics = metrics.New(func(ctx context.Context) ([]depot.Gauge, error) {
			if down.Load() {
				return nil, errors.New("full moon")
			}
			return d.Gauges(ctx)
		}, slog.New(slog.DiscardHandler))
	})
	ada, boss := w.person("ada", actor.Staff), w.person("boss", actor.Admin)
	w.device(ada, "laptop")
	w.gql(ada.Token, `query Screen { me { id } }`, nil)
	w.gql(ada.Token, `query Wrong { backup(id: "x") { id } }`, nil)
	w.gql("", `query Invented { server { product } }`, nil)
	w.gql(ada.Token, `{ me { id } }`, nil)
	w.get("/healthz")

	// On this machine nobody is asked.
	text := w.get("/metrics").Raw
	for _, line := range []string{
		`holdfast_graphql_operation_seconds_count{kind="query",operation="Screen"} 1`,
		`holdfast_graphql_operation_seconds_count{kind="query",operation="other"} 1`,
		`holdfast_graphql_operation_seconds_count{kind="query",operation="unnamed"} 1`,
		`holdfast_graphql_errors_total{code="BAD_INPUT",operation="Wrong"} 1`,
		`holdfast_http_requests_total{route="/graphql",status="200"} 4`,
		`holdfast_http_requests_total{route="/healthz",status="200"} 1`,
		`holdfast_devices 1`,
		`holdfast_depot_up 1`,
		`holdfast_build_info{version=`,
		`go_goroutines`,
	} {
		if !strings.Contains(text, "\n"+line) {
			t.Errorf("there is no %s", line)
		}
	}
	if strings.Contains(text, "Invented") {
		t.Error("a stranger's name became a label")
	}
	if log := w.log.String(); !strings.Contains(log, "operation=Screen") {
		t.Error("the access log does not name the operation")
	}

	// Elsewhere, or behind a proxy, an administrator's token is.
	proxied := header{"X-Forwarded-For": "192.0.2.7"}
	as := func(token string) header {
		return header{"X-Forwarded-For": "192.0.2.7", "Authorization": "Bearer " + token}
	}
	for name, c := range map[string]struct {
		h    header
		want int
	}{
		"nobody":   {proxied, http.StatusUnauthorized},
		"rubbish":  {as("hfs_rubbish"), http.StatusUnauthorized},
		"staff":    {as(ada.Token), http.StatusForbidden},
		"admin":    {as(boss.Token), http.StatusOK},
		"a cookie": {header{"X-Forwarded-For": "192.0.2.7", "Cookie": "holdfast=" + boss.Token}, http.StatusUnauthorized},
	} {
		if r := w.get("/metrics", c.h); r.Status != c.want {
			t.Errorf("%s: %d: %s", name, r.Status, r.Raw)
		}
	}
	// A page of somebody's whose name was made to lead here is not this machine asking.
	r, err := http.NewRequest(http.MethodGet, w.web.URL+"/metrics", nil)
	w.ok(err)
	r.Host = "evil.example"
	if got := w.send(r, ""); got.Status != http.StatusUnauthorized {
		t.Errorf("rebinding: %d", got.Status)
	}
}

// TestMetricsWithoutDepot: a database that is away costs its own numbers, no others.
func TestMetricsWithoutDepot(t *testing.T) {
	t.Parallel()
	w := newWorldOn(t, pgtest.New(t), mem.New(), func(c *server.Config) {
		c.Metrics = metrics.New(func(context.Context) ([]depot.Gauge, error) { return nil, errors.New("full moon") }, slog.New(slog.DiscardHandler))
		c.Metrics.Task("packs.scrub", 1, errors.New("no"))
	})
	text := w.get("/metrics").Raw
	for _, line := range []string{"holdfast_depot_up 0", "go_goroutines", `holdfast_task_failures_total{task="packs.scrub"} 1`} {
		if !strings.Contains(text, "\n"+line) {
			t.Errorf("there is no %s", line)
		}
	}
	if r := newWorld(t).get("/metrics"); r.Status != http.StatusNotFound {
		t.Errorf("without metrics: %d", r.Status)
	}
}

func TestAgents(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	write := func(name string, b string) {
		t.Helper()
		if err := os.WriteFile(filepath.Join(dir, name), []byte(b), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	write("holdfast-agent-linux-amd64", "ELF, say")
	write("holdfast-agent-windows-arm64.exe", "MZ, say")
	if err := os.Mkdir(filepath.Join(dir, "holdfast-agent-darwin-arm64"), 0o755); err != nil {
		t.Fatal(err)
	}
	w := newWorldOn(t, pgtest.New(t), mem.New(), func(c *server.Config) { c.Agents = dir })
	if r := w.get("/download/agent/linux/amd64"); r.Raw != "ELF, say" || !strings.Contains(r.Header.Get("Content-Disposition"), `"holdfast-agent"`) {
		t.Errorf("%d %s %v", r.Status, r.Raw, r.Header)
	}
	if r := w.get("/download/agent/windows/arm64"); r.Raw != "MZ, say" || !strings.Contains(r.Header.Get("Content-Disposition"), `"holdfast-agent.exe"`) {
		t.Errorf("%d %s %v", r.Status, r.Raw, r.Header)
	}
	if r := w.get("/download/agent/linux/amd64", header{"Range": "bytes=0-2"}); r.Status != http.StatusPartialContent || r.Raw != "ELF" {
		t.Errorf("a range: %d %s", r.Status, r.Raw)
	}
	for path, want := range map[string]fault.Kind{
		"/download/agent/linux/arm64":   fault.NotFound, // known, but not at hand
		"/download/agent/plan9/amd64":   fault.NotFound,
		"/download/agent/linux/..%2f..": fault.NotFound,
		"/download/agent/darwin/arm64":  fault.Internal, // a folder
	} {
		if r := w.get(path); r.code() != want {
			t.Errorf("%s: %s", path, r.Raw)
		}
	}
	if r := newWorld(t).get("/download/agent/linux/amd64"); r.code() != fault.NotFound {
		t.Errorf("without a folder: %s", r.Raw)
	}
}
