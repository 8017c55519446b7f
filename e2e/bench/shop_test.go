//go:build linux

package main

import (
	"bytes"
	"errors"
	"fmt"
	"testing"

	"github.com/holdfast-backup/holdfast/vault/dump"
)

// dumpOf returns a small dump, the rows that it has beyond the first day's, and what it says that it wrote.
func dumpOf(t *testing.T, next *spread) (text, differ []byte, w written) {
	t.Helper()
	var out, rows bytes.Buffer
	w, err := shop{0.02}.dump(&out, next, &rows)
	if err != nil {
		t.Fatal(err)
	}
	return out.Bytes(), rows.Bytes(), w
}

func TestDumpIsOne(t *testing.T) {
	t.Parallel()
	text, differ, w := dumpOf(t, nil)
	if again, _, _ := dumpOf(t, nil); !bytes.Equal(text, again) {
		t.Error("the dump of the first day is another one the second time")
	}
	if f := dump.Sniff(text); f != dump.PostgresSQL {
		t.Errorf("it looks like %q", f)
	}
	s := dump.NewScanner(dump.PostgresSQL)
	if _, err := s.Write(text); err != nil {
		t.Fatal(err)
	}
	if err := s.Whole(); err != nil {
		t.Error(err)
	}
	want := map[string]int64{"public.customers": 1440, "public.events": 11_000, "public.order_items": 33_000, "public.orders": 11_000, "public.products": 480}
	for _, table := range s.Tables() {
		if table.Rows != want[table.Name] {
			t.Errorf("%s has %d rows, want %d", table.Name, table.Rows, want[table.Name])
		}
		delete(want, table.Name)
	}
	if len(want) > 0 || len(differ) > 0 || w != (written{rows: 56_920}) {
		t.Errorf("missing %v, %d bytes differ, %+v", want, len(differ), w)
	}
}

// On the second day exactly one row in a hundred is another, in its place, and one in a hundred is new.
func TestDumpOfTheNextDay(t *testing.T) {
	t.Parallel()
	first, _, _ := dumpOf(t, nil)
	known := map[string]bool{}
	for line := range bytes.Lines(first) {
		known[string(line)] = true
	}
	for _, s := range spreads {
		t.Run(s.name, func(t *testing.T) {
			t.Parallel()
			second, differ, w := dumpOf(t, &s)
			if want := (written{rows: 57_488, changed: 568, added: 568}); w != want {
				t.Errorf("wrote %+v, want %+v", w, want)
			}
			var others []byte
			lines := 0
			for line := range bytes.Lines(second) {
				if !known[string(line)] {
					others = append(others, line...)
				}
				lines++
			}
			if !bytes.Equal(others, differ) {
				t.Errorf("%d bytes of lines are not those of the first day, and %d were said to be", len(others), len(differ))
			}
			if want := bytes.Count(first, []byte("\n")) + 568; lines != want {
				t.Errorf("%d lines, want %d", lines, want)
			}
		})
	}
}

func TestDumpThatCannotBeWritten(t *testing.T) {
	t.Parallel()
	full := errors.New("no space left")
	if _, err := (shop{0.02}).dump(failing{full}, nil, nil); !errors.Is(err, full) {
		t.Errorf("the dump: %v", err)
	}
	if _, err := (shop{0.02}).dump(&bytes.Buffer{}, &spreads[0], failing{full}); !errors.Is(err, full) {
		t.Errorf("its changed rows: %v", err)
	}
}

type failing struct{ err error }

func (f failing) Write([]byte) (int, error) { return 0, f.err }

func TestSpreads(t *testing.T) {
	t.Parallel()
	const n = 10_000
	for name, most := range map[string]int{"together": n / 100, "recent": n / 20, "scattered": n} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			for _, s := range spreads {
				if s.name != name {
					continue
				}
				least, greatest := n, -1
				picked := s.pick(newRow().rng, n)
				for i := range picked {
					least, greatest = min(least, i), max(greatest, i)
				}
				if len(picked) != n/100 || least < 0 || greatest >= n || greatest-least >= most || greatest-least < most*9/10 {
					t.Error(fmt.Sprint(len(picked), " rows from ", least, " to ", greatest))
				}
				return
			}
			t.Error("there is no such spread")
		})
	}
}
