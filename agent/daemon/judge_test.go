//go:build unix

package daemon

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"syscall"
	"testing"

	"github.com/holdfast-backup/holdfast/vault/backup"
	"github.com/holdfast-backup/holdfast/vault/keyring"
	"github.com/holdfast-backup/holdfast/vault/manifest"
	"github.com/holdfast-backup/holdfast/vault/order"
	"github.com/holdfast-backup/holdfast/vault/remote"
	"github.com/holdfast-backup/holdfast/vault/restore"
	"github.com/holdfast-backup/holdfast/vault/seal"
	"github.com/holdfast-backup/holdfast/wire/fault"
)

func TestJudge(t *testing.T) {
	t.Parallel()
	failed := func(kind fault.Kind, retry bool) verdict { return verdict{remote.Failed, string(kind), retry} }
	of := func(kind fault.Kind) error { return fmt.Errorf("while at it: %w", fault.New(kind, "x")) }
	for name, c := range map[string]struct {
		err, cause error
		stopping   bool
		want       verdict
	}{
		"done":                         {nil, nil, false, verdict{outcome: remote.Succeeded}},
		"done, and cancelled too late": {nil, errCancelled, false, verdict{outcome: remote.Succeeded}},
		"done, and stopped too late":   {nil, context.Canceled, true, verdict{outcome: remote.Succeeded}},
		"cancelled":                    {errCancelled, errCancelled, false, verdict{outcome: remote.Cancelled}},
		"cancelled while stopping":     {errCancelled, errCancelled, true, verdict{outcome: remote.Cancelled}},
		"lost":                         {errLost, errLost, false, verdict{}},
		"stopped":                      {context.Canceled, context.Canceled, true, verdict{remote.Failed, codeStopped, true}},
		"offline":                      {of(fault.Unavailable), nil, false, failed(fault.Unavailable, true)},
		"asleep":                       {of(fault.SessionExpired), nil, false, failed(fault.SessionExpired, true)},
		"server full":                  {of(fault.StorageFull), nil, false, failed(fault.StorageFull, true)},
		"this disk full":               {fmt.Errorf("writing: %w", syscall.ENOSPC), nil, false, verdict{remote.Failed, codeDiskFull, true}},
		"what nobody foresaw":          {errors.New("x"), nil, false, failed(fault.Internal, true)},
		"nothing there":                {of(fault.NotFound), nil, false, verdict{remote.Failed, codeNothingFound, false}},
		"too old":                      {of(fault.ClientTooOld), nil, false, failed(fault.ClientTooOld, false)},
		"forbidden":                    {of(fault.Forbidden), nil, false, failed(fault.Forbidden, false)},
		"refused":                      {refusal(order.ErrExpired), nil, false, verdict{remote.Failed, codeRefused, false}},
	} {
		if got := judge(c.err, c.cause, c.stopping); got != c.want {
			t.Errorf("%s: %+v, want %+v", name, got, c.want)
		}
	}
}

func TestRefusal(t *testing.T) {
	t.Parallel()
	for err, kind := range map[error]fault.Kind{
		order.ErrExpired: fault.Conflict, order.ErrTooEarly: fault.Conflict, order.ErrForged: fault.Forbidden, order.ErrNotOurs: fault.Forbidden,
		keyring.ErrWrongKey: fault.Forbidden, order.ErrMalformed: fault.Invalid, keyring.ErrMalformed: fault.Invalid,
	} {
		if got := refusal(fmt.Errorf("opening: %w", err)); fault.KindOf(got) != kind || !errors.Is(got, err) {
			t.Errorf("%v: %v", err, got)
		}
	}
}

func TestCauses(t *testing.T) {
	t.Parallel()
	got := causes(backup.Result{ProblemCount: 7, Problems: []manifest.Problem{{Cause: "io"}, {Cause: "permission"}, {Cause: "io"}}})
	if !maps.Equal(got, map[string]int64{"io": 2, "permission": 1, "other": 4}) {
		t.Errorf("a backup: %v", got)
	}
	if got := causes(backup.Result{}); len(got) != 0 {
		t.Errorf("nothing: %v", got)
	}
	got = failureCauses(restore.Result{FailureCount: 4, Failures: []restore.Failure{{Err: fs.ErrPermission}, {Err: fault.New(fault.Conflict, "x")}, {Err: errors.New("x")}}})
	if !maps.Equal(got, map[string]int64{"permission": 1, "other": 3}) {
		t.Errorf("a restore: %v", got)
	}
}

func TestLeftAlone(t *testing.T) {
	t.Parallel()
	r := leftAlone(restore.Result{Skipped: 1, FailureCount: 3, Failures: []restore.Failure{
		{Path: "a", Err: fault.New(fault.Conflict, "x")}, {Path: "b", Err: fs.ErrPermission}, {Path: "c", Err: fault.New(fault.Conflict, "x")}}})
	if r.Skipped != 3 || r.FailureCount != 1 || len(r.Failures) != 1 || r.Failures[0].Path != "b" {
		t.Errorf("%+v", r)
	}
}

func TestLevels(t *testing.T) {
	t.Parallel()
	for word, want := range map[string]seal.Level{"NONE": seal.LevelNone, "FAST": seal.LevelFast, "DEFAULT": seal.LevelDefault, "BETTER": seal.LevelBetter, "": seal.LevelDefault, "HARDER": seal.LevelDefault} {
		if got := levelOf(word); got != want {
			t.Errorf("%q: %v", word, got)
		}
	}
}
