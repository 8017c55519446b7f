package open

import (
	"errors"
	"strings"
	"testing"

	"github.com/holdfast-backup/holdfast/agent/source"
	"github.com/holdfast-backup/holdfast/vault/dump"
	"github.com/holdfast-backup/holdfast/wire/fault"
)

func TestDatabase(t *testing.T) {
	t.Parallel()
	for address, engine := range map[string]dump.Engine{"postgres://a:secret@b/shop": dump.Postgres, "postgresql://a@b/shop": dump.Postgres} {
		d, err := Database(address, source.Options{Journal: t.TempDir()})
		if err != nil || d.Engine() != engine || d.Name() != "shop" {
			t.Errorf("%s: %v, %v", address, d, err)
			continue
		}
		if err := d.Close(); err != nil {
			t.Error(err)
		}
	}
	for _, address := range []string{"", "shop", "oracle://a:secret@b/c", "postgres://a:secret@b/", "postgres://a:secret%zz@b/c"} {
		d, err := Database(address, source.Options{})
		if !errors.Is(err, fault.Invalid) || d != nil || strings.Contains(err.Error(), "secret") {
			t.Errorf("%q: %v, %v", address, d, err)
		}
	}
}
