package state

import (
	"testing"
	"time"
)

func TestSize(t *testing.T) {
	t.Parallel()
	for n, want := range map[int64]string{
		0: "0 B", 1023: "1023 B", 1024: "1.00 KiB", 1536: "1.50 KiB", 10 << 10: "10.0 KiB", 1000 << 10: "0.98 MiB", 123 << 20: "123 MiB", 5 << 40: "5.00 TiB", -2048: "-2.00 KiB",
		1<<63 - 1: "8.00 EiB",
	} {
		if got := Size(n); got != want {
			t.Errorf("%d: %s, want %s", n, got, want)
		}
	}
}

func TestNumbers(t *testing.T) {
	t.Parallel()
	for n, want := range map[int64]string{0: "0", 999: "999", 1000: "1\u202f000", -1234567: "-1\u202f234\u202f567"} {
		if got := Number(n); got != want {
			t.Errorf("%d: %q", n, got)
		}
	}
	if Count(1, "file", "files") != "1 file" || Count(0, "file", "files") != "0 files" {
		t.Error("nouns")
	}
}

func TestAgo(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 11, 25, 12, 0, 0, 0, time.UTC)
	for d, want := range map[time.Duration]string{
		0: "just now", 30 * time.Second: "just now", -30 * time.Second: "in a moment", time.Minute: "1 minute ago", 59*time.Minute + 50*time.Second: "60 minutes ago",
		-2 * time.Hour: "in 2 hours", 23 * time.Hour: "yesterday", -25 * time.Hour: "tomorrow", 3 * 24 * time.Hour: "3 days ago",
		30 * 24 * time.Hour: "26 Oct", 400 * 24 * time.Hour: "21 Oct 2025",
	} {
		if got := Ago(now.Add(-d), now); got != want {
			t.Errorf("%v: %s, want %s", d, got, want)
		}
	}
	for d, want := range map[time.Duration]string{400 * time.Millisecond: "0.4 s", 12 * time.Second: "12 s", 200 * time.Second: "3 min 20 s", 125 * time.Minute: "2 h 5 min"} {
		if got := Duration(d); got != want {
			t.Errorf("%v: %s", d, got)
		}
	}
}
