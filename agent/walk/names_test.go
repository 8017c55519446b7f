package walk

import (
	"os"
	"slices"
	"testing"

	"pgregory.net/rapid"
)

// Names come back sorted, whether they fitted into memory or not, and leave no file behind.
func TestNames(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	rapid.Check(t, func(rt *rapid.T) {
		n := newNames(dir)
		n.limit = rapid.SampledFrom([]int{1, 20, 100, 1 << 20}).Draw(rt, "limit")
		for range 2 { // the second time with used memory
			want := rapid.SliceOfDistinct(rapid.StringN(1, 12, 30), rapid.ID).Draw(rt, "names")
			for _, s := range want {
				if err := n.add([]byte(s)); err != nil {
					rt.Fatal(err)
				}
			}
			if err := n.sort(); err != nil {
				rt.Fatal(err)
			}
			var got []string
			for {
				b, err := n.next()
				if err != nil {
					rt.Fatal(err)
				}
				if b == nil {
					break
				}
				got = append(got, string(b))
			}
			slices.Sort(want)
			if !slices.Equal(got, want) {
				rt.Fatalf("got %q, want %q", got, want)
			}
			n.reset()
		}
	})
	if left, err := os.ReadDir(dir); err != nil || len(left) > 0 {
		t.Errorf("left behind: %v, %v", left, err)
	}
}

func TestNamesWithoutRoom(t *testing.T) {
	t.Parallel()
	n := newNames("/nowhere/at/all")
	n.limit = 1
	if err := n.add([]byte("a")); err != nil {
		t.Fatal(err)
	}
	if err := n.add([]byte("b")); err == nil {
		t.Error("no error")
	}
}
