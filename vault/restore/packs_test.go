package restore_test

import (
	"context"
	"encoding/binary"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/holdfast-backup/holdfast/vault/restore"
	"github.com/holdfast-backup/holdfast/wire/fault"
	"github.com/holdfast-backup/holdfast/wire/id"
)

// shelf is a server with one pack of 1000 bytes, in which every object has 10 bytes at the place that its first byte says.
type shelf struct {
	name    id.Pack
	asks    int
	expires time.Time
	answer  func(packs []restore.Address, table []byte) ([]restore.Address, []byte) // may spoil it
	fail    error
}

func (s *shelf) ask(_ context.Context, ids []byte) ([]restore.Address, []byte, error) {
	s.asks++
	if s.fail != nil {
		return nil, nil, s.fail
	}
	var table []byte
	for ; len(ids) > 0; ids = ids[16:] {
		row := []uint32{0, uint32(ids[0]), 10}
		if ids[0] == 0xff {
			row = []uint32{0xffffffff, 0xffffffff, 0xffffffff}
		}
		for _, n := range row {
			table = binary.BigEndian.AppendUint32(table, n)
		}
	}
	packs := []restore.Address{{Name: s.name.String(), Size: 1000, URL: strings.Repeat("x", s.asks), Expires: s.expires}}
	if s.answer != nil {
		packs, table = s.answer(packs, table)
	}
	return packs, table, nil
}

func TestPacksAreLocated(t *testing.T) {
	t.Parallel()
	s := &shelf{name: id.Pack{7}}
	p := &restore.Packs{Ask: s.ask}
	list, err := p.Locate(t.Context(), []id.Object{{3}, {0xff}, {5}})
	if err != nil || list[0] != (restore.Location{Pack: s.name, Offset: 3, Length: 10, Stored: true}) || list[1] != (restore.Location{}) || list[2].Offset != 5 {
		t.Errorf("%+v, %v", list, err)
	}
	if list, err := p.Locate(t.Context(), nil); err != nil || list != nil || s.asks != 1 {
		t.Errorf("no question: %v, %v", list, err)
	}
	for name, spoil := range map[string]func([]restore.Address, []byte) ([]restore.Address, []byte){
		"bytes for":    func(p []restore.Address, b []byte) ([]restore.Address, []byte) { return p, b[:11] },
		"pack name":    func(p []restore.Address, b []byte) ([]restore.Address, []byte) { p[0].Name = "x"; return p, b },
		"unknown pack": func(p []restore.Address, b []byte) ([]restore.Address, []byte) { return nil, b },
		"beyond":       func(p []restore.Address, b []byte) ([]restore.Address, []byte) { p[0].Size = 12; return p, b },
		"the end":      func(p []restore.Address, b []byte) ([]restore.Address, []byte) { clear(b[8:]); return p, b },
	} {
		s.answer = spoil
		if _, err := p.Locate(t.Context(), []id.Object{{3}}); !errors.Is(err, fault.Internal) || !strings.Contains(err.Error(), name) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestAddressesAreRenewed(t *testing.T) {
	t.Parallel()
	now := time.Now()
	s := &shelf{name: id.Pack{7}, expires: now.Add(time.Hour)}
	var got []string
	stale := 0
	p := &restore.Packs{Ask: s.ask, Now: func() time.Time { return now },
		Get: func(_ context.Context, name id.Pack, at restore.Address, offset int64, dst []byte) (bool, error) {
			got = append(got, at.URL)
			if stale > 0 {
				stale--
				return true, fault.New(fault.Forbidden, "stale")
			}
			return false, nil
		}}
	read := func() error { return p.ReadPack(t.Context(), s.name, 3, make([]byte, 10)) }
	if err := read(); !errors.Is(err, fault.Internal) {
		t.Errorf("a pack that was never located: %v", err)
	}
	if err := p.ReadPack(t.Context(), s.name, 3, nil); err != nil || got != nil {
		t.Errorf("nothing to read: %v", err)
	}
	if _, err := p.Locate(t.Context(), []id.Object{{3}}); err != nil {
		t.Fatal(err)
	}
	if err := read(); err != nil || len(got) != 1 || got[0] != "x" {
		t.Errorf("%v, %q", err, got)
	}
	stale = 1
	if err := read(); err != nil || len(got) != 3 || got[2] != "xx" {
		t.Errorf("refused once: %v, %q", err, got)
	}
	stale = 2
	if err := read(); !errors.Is(err, fault.Forbidden) || len(got) != 5 {
		t.Errorf("refused twice: %v, %q", err, got)
	}
	now = s.expires.Add(-time.Second) // about to expire
	asks := s.asks
	if err := read(); err != nil || s.asks != asks+1 {
		t.Errorf("expired: %v, asked %d times", err, s.asks-asks)
	}
	p.Now = nil // nobody knows: it is used until it is refused
	asks = s.asks
	if err := read(); err != nil || s.asks != asks {
		t.Errorf("without a clock: %v", err)
	}
	stale = 1
	s.fail = fault.New(fault.Unavailable, "down")
	if err := read(); !errors.Is(err, fault.Unavailable) {
		t.Errorf("renewing fails: %v", err)
	}
	stale, s.fail, s.name = 1, nil, id.Pack{8}
	if err := p.ReadPack(t.Context(), id.Pack{7}, 3, make([]byte, 10)); !errors.Is(err, fault.NotFound) {
		t.Errorf("the object lies in another pack now: %v", err)
	}
}
