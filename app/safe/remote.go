package safe

import (
	"context"
	"errors"
	"math/rand/v2"
	"strings"
	"time"

	"github.com/holdfast-backup/holdfast/vault/restore"
	"github.com/holdfast-backup/holdfast/wire/fault"
	"github.com/holdfast-backup/holdfast/wire/id"
)

// remote returns the keeping half as this browser sees it.
func (s *Safe) remote() restore.Remote { return patient{&restore.Packs{Ask: s.locate, Get: s.get}} }

// get is one ranged request.
func (s *Safe) get(ctx context.Context, pack id.Pack, at restore.Address, offset int64, dst []byte) (stale bool, err error) {
	if !strings.HasPrefix(at.URL, "/") || strings.HasPrefix(at.URL, "//") {
		return false, fault.New(fault.Forbidden, "this server hands files out from a store elsewhere, from which a page may not read: use holdfast-agent restore, or restore to a device")
	}
	status, err := s.out.Range(ctx, at.URL, offset, dst)
	if ctx.Err() != nil {
		return false, context.Cause(ctx)
	}
	if err != nil {
		return false, fault.Wrap(err, fault.Unavailable, "the server cannot be reached: check the connection")
	}
	switch {
	case status == 206:
		return false, nil
	case status == 400, status == 401, status == 403, status == 410:
		return true, fault.New(fault.Forbidden, "the server does not honour the address that it gave for pack %s: if it has several machines, their clocks or secrets differ", pack)
	case status == 404:
		return false, fault.New(fault.NotFound, "pack %s is missing from the server's store: its administrator should run holdfast scrub", pack)
	case status == 416:
		return false, fault.New(fault.BadPack, "pack %s is shorter in the server's store than it should be: its administrator should run holdfast scrub", pack)
	case status == 200:
		return false, fault.New(fault.Internal, "whatever stands between here and the server ignores range requests")
	}
	return false, fault.New(fault.Unavailable, "the server answered %d when it was asked for a pack: try again in a moment", status)
}

// How often a call is repeated, and the mean wait before the first repetition; each one waits twice as long as the one before.
const (
	repeats   = 5
	firstWait = 300 * time.Millisecond
)

// patient repeats what a bad connection or a busy server refused.
type patient struct{ restore.Remote }

// Locate implements [restore.Remote].
func (p patient) Locate(ctx context.Context, ids []id.Object) (list []restore.Location, err error) {
	err = repeat(ctx, func() error {
		list, err = p.Remote.Locate(ctx, ids)
		return err
	})
	return list, err
}

// ReadPack implements [restore.Remote]. That a pack is not there must not look as if a file were not.
func (p patient) ReadPack(ctx context.Context, pack id.Pack, offset int64, dst []byte) error {
	err := repeat(ctx, func() error { return p.Remote.ReadPack(ctx, pack, offset, dst) })
	var f *fault.Error
	if errors.As(err, &f) && f.Kind == fault.NotFound {
		return fault.New(fault.BadPack, "%s", f.Message)
	}
	return err
}

func repeat(ctx context.Context, fn func() error) error {
	wait := firstWait
	for n := 0; ; n++ {
		err := fn()
		kind := fault.KindOf(err)
		if err == nil || ctx.Err() != nil || n == repeats || kind != fault.Unavailable && kind != fault.TooMany {
			return err
		}
		pause := time.Duration(float64(wait) * (0.5 + rand.Float64()))
		var f *fault.Error
		if errors.As(err, &f) && f.RetryAfter > 0 {
			pause = max(pause, time.Duration(f.RetryAfter)*time.Second)
		}
		wait *= 2
		select {
		case <-time.After(pause):
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}
