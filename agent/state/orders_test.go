package state

import (
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/holdfast-backup/holdfast/wire/fault"
	"github.com/holdfast-backup/holdfast/wire/id"
)

func TestOrdersAreObeyedOnce(t *testing.T) {
	t.Parallel()
	d := open(t)
	now := time.Now()
	run, other := id.Run{}.New(), id.Run{}.New()
	begin := func(order string, r id.Run, now time.Time) ([]byte, error) {
		return d.BeginOrder(order, r, now.Add(time.Hour), now)
	}
	if end, err := begin("a", run, now); err != nil || end != nil {
		t.Fatalf("the first time: %q, %v", end, err)
	}
	if end, err := begin("a", run, now); err != nil || end != nil {
		t.Errorf("the same run again, after a crash: %q, %v", end, err)
	}
	if _, err := begin("a", other, now); !errors.Is(err, fault.Conflict) {
		t.Errorf("replayed in another run: %v", err)
	}
	if err := d.EndOrder("a", []byte("done")); err != nil {
		t.Fatal(err)
	}
	if end, err := begin("a", run, now); err != nil || string(end) != "done" {
		t.Errorf("ended, and the server did not hear: %q, %v", end, err)
	}
	if _, err := begin("a", other, now); !errors.Is(err, fault.Conflict) {
		t.Errorf("ended, and replayed in another run: %v", err)
	}
	if err := d.EndOrder("a", nil); err != nil {
		t.Fatal(err)
	}
	if _, err := begin("a", run, now); !errors.Is(err, fault.Conflict) {
		t.Errorf("replayed in its own run: %v", err)
	}
	if err := d.EndOrder("b", nil); !errors.Is(err, fault.Internal) {
		t.Errorf("ended without a beginning: %v", err)
	}

	// It is remembered until it is over, and no longer.
	if _, err := begin("b", other, now.Add(30*time.Minute)); err != nil {
		t.Fatal(err)
	}
	if all, err := d.orders(); err != nil || len(all) != 2 {
		t.Errorf("before the first is over: %v, %v", all, err)
	}
	if _, err := begin("c", other, now.Add(61*time.Minute)); err != nil {
		t.Fatal(err)
	}
	if all, err := d.orders(); err != nil || len(all) != 2 || all["a"] != nil {
		t.Errorf("after the first is over: %v, %v", all, err)
	}

	if err := os.WriteFile(filepath.Join(d.Path(), "orders.json"), []byte("{"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := begin("d", run, now); !errors.Is(err, fault.Internal) || !strings.Contains(err.Error(), "damaged") {
		t.Errorf("damaged: %v", err)
	}
	if err := d.EndOrder("c", nil); !errors.Is(err, fault.Internal) {
		t.Errorf("damaged: %v", err)
	}
	if err := os.Remove(filepath.Join(d.Path(), "orders.json")); err != nil {
		t.Fatal(err)
	}
	if err := os.Mkdir(filepath.Join(d.Path(), "orders.json"), 0o700); err != nil {
		t.Fatal(err)
	}
	if _, err := begin("d", run, now); err == nil {
		t.Error("unreadable: no error")
	}
}

func TestRoots(t *testing.T) {
	t.Parallel()
	d := open(t)
	if d.Roots() != nil {
		t.Error("a new folder knows roots")
	}
	want := []string{"/home/ada", "/srv"}
	if err := d.SaveRoots(want); err != nil {
		t.Fatal(err)
	}
	if got := d.Roots(); !slices.Equal(got, want) {
		t.Errorf("roots: %q", got)
	}
}

func TestServiceLock(t *testing.T) {
	t.Parallel()
	d := open(t)
	unlock, err := d.LockService()
	if err != nil {
		t.Fatal(err)
	}
	if _, err := d.LockService(); !errors.Is(err, fault.Conflict) || !strings.Contains(err.Error(), "service") {
		t.Errorf("the second service: %v", err)
	}
	if backup, err := d.Lock(); err != nil {
		t.Errorf("a backup beside the service: %v", err)
	} else {
		backup()
	}
	unlock()
	if unlock, err = d.LockService(); err != nil {
		t.Fatalf("after unlocking: %v", err)
	}
	unlock()
}
