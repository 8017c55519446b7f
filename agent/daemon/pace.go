package daemon

import "time"

const (
	defaultSpread = 20 * time.Second
	firstPause    = 2 * time.Second
	maxPause      = 5 * time.Minute

	minLook = 10 * time.Second
	maxLook = time.Hour
)

// backoff returns the pause before the nth attempt in a row to reach a server, drawn by r from [0, 1). The first one, after a
// connection that worked, is anywhere within spread: whatever ended it ended others at the same moment. The following ones
// are anywhere below a bound that doubles from firstPause to maxPause.
func backoff(n int, spread time.Duration, r float64) time.Duration {
	bound := spread
	if n > 0 {
		bound = maxPause
		if n < 16 {
			bound = min(firstPause<<(n-1), maxPause)
		}
	}
	return time.Duration(r * float64(bound))
}

// nextLook returns when to look again if the server said after wait: up to a quarter earlier or later, by r from [0, 1), so
// that devices which were told the same do not stay together.
func nextLook(wait time.Duration, r float64) time.Duration {
	wait = min(max(wait, minLook), maxLook)
	return time.Duration(float64(wait) * (0.75 + r/2))
}

// moment is a point in time by two clocks.
type moment struct {
	wall time.Time     // that people go by: it runs on while the machine sleeps, and may be set
	run  time.Duration // since the process began, without sleep
}

// drift is how far two clocks may part between two looks before the machine was asleep, or its clock was set.
const drift = 20 * time.Second

// slept reports whether the machine was asleep between two moments, or its clock was set.
func slept(a, b moment) bool {
	return (b.wall.Sub(a.wall) - (b.run - a.run)).Abs() > drift
}

// clock tells the moment.
type clock struct{ began time.Time }

func newClock() clock { return clock{time.Now()} }

func (c clock) now() moment {
	t := time.Now()
	return moment{wall: t.Round(0), run: t.Sub(c.began)}
}
