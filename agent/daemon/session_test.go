//go:build unix

package daemon

import (
	"bytes"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"slices"
	"sync"
	"testing"

	"github.com/holdfast-backup/holdfast/agent"
)

// The server knows which session works for a run before anything is committed, however small the backup: if the agent is killed after the
// commit, its snapshot is the run's.
func TestSessionIsNamed(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	at, err := url.Parse(r.w.URL)
	r.ok(err)
	var mu sync.Mutex
	var said []string
	through := httputil.NewSingleHostReverseProxy(at)
	proxy := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, q *http.Request) {
		body, err := io.ReadAll(q.Body)
		if err != nil {
			t.Error(err)
		}
		q.Body = io.NopCloser(bytes.NewReader(body))
		var in struct {
			OperationName string
			Variables     struct{ Input struct{ Backup string } }
		}
		if json.Unmarshal(body, &in) == nil {
			mu.Lock()
			said = append(said, in.OperationName)
			if in.OperationName == "KeepRuns" && in.Variables.Input.Backup != "" {
				said = append(said, "named")
			}
			mu.Unlock()
		}
		through.ServeHTTP(w, q)
	}))
	defer proxy.Close()
	r.file("a", []byte("a"))
	r.w.Policy("all", []string{"~"}, nil)
	v := r.now()
	cfg := r.config()
	cfg.Server = func(s *agent.Server) { s.URL = proxy.URL }
	done, err := Once(t.Context(), cfg)
	r.ok(err)
	if len(done) != 1 || done[0].Err != nil || done[0].Unheard != nil {
		t.Fatalf("done: %+v", done)
	}
	r.ends(v.ID, "SUCCEEDED")
	begun, named, committed := slices.Index(said, "BeginBackup"), slices.Index(said, "named"), slices.Index(said, "CommitSnapshot")
	if begun < 0 || named < begun || committed < named {
		t.Errorf("the server heard, in this order: %q", said)
	}
}
