package strength

import (
	"fmt"
	"strings"
	"testing"
)

func TestScores(t *testing.T) {
	t.Parallel()
	me := []string{"ada.lovelace@example.org", "Ada Lovelace"}
	for _, c := range []struct {
		password string
		min, max int
	}{
		{"", 0, 0}, {"password", 0, 0}, {"Password1!", 0, 1}, {"P@ssw0rd", 0, 0}, {"qwertz1234", 0, 0}, {"1234567890", 0, 0}, {"aaaaaaaaaaaa", 0, 0},
		{"abcdefghij", 0, 0}, {"jihgfedcba", 0, 0}, {"abcabcabcabc", 0, 0}, {"lovelace1815", 0, 0}, {"Ada.Lovelace", 0, 0}, {"administration", 0, 0}, {"Sommer2024", 0, 0},
		{"elephant", 0, 0}, {"Elephant7", 0, 1}, {"elephantgarden", 0, 1}, {"elephant garden", 1, 3}, {"hunter2hunter2", 0, 1}, {"x7", 0, 0},
		{"kV9#pL2x", 3, 4}, {"correct horse battery staple", 4, 4}, {"drei gelbe Tassen fliegen", 4, 4}, {"xkqzjvwpmtrb", 4, 4}, {"8f3b1c9e2a7d", 3, 4},
		{strings.Repeat("x9$", 200), 0, 2}, {"пароль", 0, 0},
	} {
		score, sentence := Judge(c.password, me)
		if score < c.min || score > c.max {
			t.Errorf("%q: %d (%.1f bits), want %d to %d", c.password, score, Bits(c.password, me), c.min, c.max)
		}
		if sentence == "" || !strings.HasSuffix(sentence, ".") {
			t.Errorf("%q: %q", c.password, sentence)
		}
	}
}

// More of a password is never easier to guess than its beginning alone, but for a word that it completes.
func TestLongerRandomIsStronger(t *testing.T) {
	t.Parallel()
	text := "x#7Kq!z9Vw$2Bt&m4Rp@d6Ht"
	last := 0.0
	for i := range len(text) {
		bits := Bits(text[:i+1], nil)
		if bits <= last {
			t.Errorf("%q has %.1f bits, one less had %.1f", text[:i+1], bits, last)
		}
		last = bits
	}
}

func TestOwnWordsCountForNothing(t *testing.T) {
	t.Parallel()
	if with, without := Bits("Zyxomma99", []string{"zyxomma@example.org"}), Bits("Zyxomma99", nil); with >= without-5 {
		t.Errorf("%.1f bits with the word known, %.1f without", with, without)
	}
}

func TestDurations(t *testing.T) {
	t.Parallel()
	for s, want := range map[float64]string{0.2: "at once", 1: "in about one second", 59: "in about 59 seconds", 61: "in about one minute", 7200: "in about 2 hours",
		86400 * 5: "in about 5 days", 86400 * 60: "in about 2 months", 86400 * 365 * 20: "in about 20 years", 1e30: "not in a lifetime"} {
		if got := duration(s); got != want {
			t.Errorf("%v: %q, want %q", s, got, want)
		}
	}
}

func BenchmarkJudge(b *testing.B) {
	for _, n := range []int{12, MaxLength} {
		p := strings.Repeat("correct horse ", 10)[:n]
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			for b.Loop() {
				Judge(p, []string{"ada@example.org"})
			}
		})
	}
}
