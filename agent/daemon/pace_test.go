package daemon

import (
	"testing"
	"time"
)

func TestBackoff(t *testing.T) {
	t.Parallel()
	const spread = 20 * time.Second
	for n, bound := range map[int]time.Duration{0: spread, 1: 2 * time.Second, 2: 4 * time.Second, 3: 8 * time.Second, 8: 256 * time.Second, 9: maxPause, 15: maxPause, 16: maxPause, 1 << 30: maxPause} {
		if got := backoff(n, spread, 0); got != 0 {
			t.Errorf("attempt %d, at least: %v", n, got)
		}
		if got := backoff(n, spread, 0.5); got != bound/2 {
			t.Errorf("attempt %d, in the middle: %v, want %v", n, got, bound/2)
		}
		if got := backoff(n, spread, 0.999999); got >= bound || got < bound*9/10 {
			t.Errorf("attempt %d, at most: %v, want almost %v", n, got, bound)
		}
	}
}

func TestNextLook(t *testing.T) {
	t.Parallel()
	for wait, want := range map[time.Duration]time.Duration{
		10 * time.Minute: 10 * time.Minute, 0: minLook, -time.Hour: minLook, time.Second: minLook, 1000 * time.Hour: maxLook,
	} {
		if got := nextLook(wait, 0.5); got != want {
			t.Errorf("%v: %v, want %v", wait, got, want)
		}
		if low, high := nextLook(wait, 0), nextLook(wait, 0.999999); low != want*3/4 || high < want*12/10 || high > want*5/4 {
			t.Errorf("%v: from %v to %v", wait, low, high)
		}
	}
}

func TestSlept(t *testing.T) {
	t.Parallel()
	a := moment{time.Unix(1000, 0), time.Minute}
	for name, c := range map[string]struct {
		wall, run time.Duration
		want      bool
	}{
		"awake":          {10 * time.Second, 10 * time.Second, false},
		"a busy machine": {50 * time.Second, 50 * time.Second, false},
		"a slow clock":   {10 * time.Second, 12 * time.Second, false},
		"asleep":         {8 * time.Hour, 10 * time.Second, true},
		"clock set back": {-time.Hour, 10 * time.Second, true},
	} {
		if got := slept(a, moment{a.wall.Add(c.wall), a.run + c.run}); got != c.want {
			t.Errorf("%s: %v", name, got)
		}
	}
	c := newClock()
	if slept(c.now(), c.now()) {
		t.Error("asleep between two lines")
	}
}
