package safe

import (
	"context"
	"errors"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/holdfast-backup/holdfast/app/safe/safetest"
	"github.com/holdfast-backup/holdfast/app/talk"
	"github.com/holdfast-backup/holdfast/vault/restore"
	"github.com/holdfast-backup/holdfast/wire/fault"
	"github.com/holdfast-backup/holdfast/wire/id"
)

// Every way in which a server may refuse a part of a pack has its kind.
func TestRefusals(t *testing.T) {
	t.Parallel()
	for status, want := range map[int]fault.Kind{403: fault.Forbidden, 401: fault.Forbidden, 410: fault.Forbidden, 400: fault.Forbidden, 404: fault.BadPack, 416: fault.BadPack, 200: fault.Internal} {
		r := opened(t)
		s := r.snap(safetest.Text("x", "one"))
		asked := 0
		r.World.Refuse = func(q *http.Request) int {
			if strings.HasPrefix(q.URL.Path, "/packs/") {
				asked++
				return status
			}
			return 0
		}
		refused(r, want, talk.MethodStat, talk.Path{Snapshot: s, Path: "x"})
		if asked == 0 {
			t.Errorf("%d: nobody asked", status)
		}
	}
}

func TestAStaleAddressIsRenewed(t *testing.T) {
	t.Parallel()
	r := opened(t)
	s := r.snap(safetest.Text("x", "one"))
	n := 0
	r.World.Refuse = func(q *http.Request) int {
		if strings.HasPrefix(q.URL.Path, "/packs/") {
			if n++; n == 1 {
				return 403
			}
		}
		return 0
	}
	if got := must[talk.Stat](r, talk.MethodStat, talk.Path{Snapshot: s, Path: "x"}); got.Size != 3 || n != 2 || r.Calls("Locate") != 2 {
		t.Errorf("%+v after %d requests, located %d times", got, n, r.Calls("Locate"))
	}
}

func TestBusyServersAndBadLines(t *testing.T) {
	t.Parallel()
	r := opened(t)
	s := r.snap(safetest.Text("x", "one"))
	n := 0
	r.World.Refuse = func(q *http.Request) int {
		if n++; n == 1 {
			return 503 // the question where it lies
		} else if n == 3 {
			return 502 // the pack
		}
		return 0
	}
	must[talk.Stat](r, talk.MethodStat, talk.Path{Snapshot: s, Path: "x"})
	if n != 4 {
		t.Errorf("%d requests", n)
	}
}

func TestPatienceEnds(t *testing.T) {
	t.Parallel()
	busy := fault.New(fault.TooMany, "wait")
	busy.RetryAfter = 3600
	began := make(chan struct{})
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() {
		ended <- repeat(ctx, func() error {
			close(began) // a second time would panic
			return busy
		})
	}()
	<-began
	cancel()
	if err := <-ended; !errors.Is(err, context.Canceled) {
		t.Errorf("given up while it waits: %v", err)
	}
	calls := 0
	if err := repeat(t.Context(), func() error { calls++; return fault.New(fault.Forbidden, "no") }); !errors.Is(err, fault.Forbidden) || calls != 1 {
		t.Errorf("%v after %d calls", err, calls)
	}
}

func TestPatienceHasALimit(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		calls, start := 0, time.Now()
		err := repeat(t.Context(), func() error { calls++; return fault.New(fault.Unavailable, "down") })
		waited := time.Since(start)
		if !errors.Is(err, fault.Unavailable) || calls != repeats+1 || waited < firstWait || waited > 60*firstWait {
			t.Errorf("%v after %d calls in %v", err, calls, waited)
		}
		busy := fault.New(fault.TooMany, "wait")
		busy.RetryAfter = 30
		calls, start = 0, time.Now()
		if err := repeat(t.Context(), func() error {
			if calls++; calls == 1 {
				return busy
			}
			return nil
		}); err != nil || time.Since(start) != 30*time.Second {
			t.Errorf("%v in %v, and the server had said 30 s", err, time.Since(start))
		}
	})
}

func TestNoAnswerAtAll(t *testing.T) {
	t.Parallel()
	r := opened(t)
	down := errors.New("no network")
	s := New(Outside{Post: r.World.Post, Range: func(context.Context, string, int64, []byte) (int, error) { return 0, down }})
	_, err := s.get(t.Context(), id.Pack{}, restore.Address{URL: "/packs/x"}, 0, nil)
	if !errors.Is(err, fault.Unavailable) || !errors.Is(err, down) {
		t.Errorf("%v", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := s.get(ctx, id.Pack{}, restore.Address{URL: "/packs/x"}, 0, nil); !errors.Is(err, context.Canceled) {
		t.Errorf("%v", err)
	}
	for _, elsewhere := range []string{"https://store.example.org/x", "//store.example.org/x", "packs/x", ""} {
		if stale, err := s.get(t.Context(), id.Pack{}, restore.Address{URL: elsewhere}, 0, nil); stale || !errors.Is(err, fault.Forbidden) {
			t.Errorf("%q: %v", elsewhere, err)
		}
	}
}
