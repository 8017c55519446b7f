package mem_test

import (
	"testing"

	"github.com/holdfast-backup/holdfast/depot/blob"
	"github.com/holdfast-backup/holdfast/depot/blob/blobtest"
	"github.com/holdfast-backup/holdfast/depot/blob/mem"
)

func TestLaw(t *testing.T) {
	t.Parallel()
	blobtest.Run(t, func(*testing.T) blob.Store { return mem.New() })
}

func TestFaultyWithoutRules(t *testing.T) {
	t.Parallel()
	blobtest.Run(t, func(*testing.T) blob.Store { return blobtest.NewFaulty(mem.New()) })
}

func TestCorrupt(t *testing.T) {
	t.Parallel()
	s := mem.New()
	blobtest.Put(t, s, "a", []byte("right"))
	if !s.Corrupt("a", func(b []byte) []byte { return b[:3] }) || s.Corrupt("b", nil) {
		t.Error("wrong report")
	}
	if got := blobtest.Get(t, s, "a", 0, -1); string(got) != "rig" {
		t.Errorf("got %q", got)
	}
}
