package catalog

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/holdfast-backup/holdfast/depot/blob"
	"github.com/holdfast-backup/holdfast/wire/fault"
	"github.com/holdfast-backup/holdfast/wire/id"
)

// elsewhere is a store that hands out packs itself.
type elsewhere struct {
	blob.Store
	err error
}

func (e elsewhere) URL(_ context.Context, name string, _ time.Duration) (string, bool, error) {
	return "https://store.example.org/" + name, true, e.err
}

// A page may read from this server only, whatever the store can do.
func TestAddressesForPages(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	anna := w.user()
	_, packs := w.backup(w.device(anna), 1)
	w.cfg.Store = elsewhere{Store: w.mem}
	w.Service = New(w.cfg)
	name := packs[0].name
	own := must(w.Locations(w.ctx, anna, packs[0].ids))(t)
	if got := own.Packs[0]; got.URL != "https://store.example.org/"+packName(w.spaceOf(anna), name) || time.Until(got.ExpiresAt) < time.Minute {
		t.Errorf("%+v", got)
	}
	l := must(w.RelayedLocations(w.ctx, anna, packs[0].ids))(t)
	if got := l.Packs[0]; got.URL != "/packs/"+name.String() || got.Size != own.Packs[0].Size || time.Until(got.ExpiresAt) < time.Minute {
		t.Errorf("%+v", got)
	}
	_, err := w.RelayedLocations(w.ctx, w.device(anna), packs[0].ids)
	wantKind(t, err, fault.Forbidden)

	down := errors.New("the store is down")
	w.cfg.Store = elsewhere{w.mem, down}
	w.Service = New(w.cfg)
	if _, err := w.Locations(w.ctx, anna, packs[0].ids); !errors.Is(err, down) {
		t.Error(err)
	}
	w.cfg.Sign = nil
	w.Service = New(w.cfg)
	if _, err := w.RelayedLocations(w.ctx, anna, []id.Object{packs[0].ids[0]}); err == nil {
		t.Error("an address without a way to sign it")
	}
}
