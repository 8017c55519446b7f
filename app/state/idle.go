package state

import (
	"strconv"
	"time"
)

// Settings keeps small choices of this browser's that are no secret. A setting that was never made is "".
type Settings interface {
	Get(name string) string
	Set(name, value string)
}

// Idle locks the keys when nobody has touched the page for a while. Make it with [NewIdle].
type Idle struct {
	Model
	settings Settings
	lock     func()
	now      func() time.Time
	last     time.Time
}

// IdleChoices are how many minutes the page may be left alone before it locks.
var IdleChoices = []int{5, 15, 60}

const (
	idleSetting = "holdfast.idle"
	idleDefault = 15
)

// NewIdle returns what calls lock. now is the clock: one that goes on while the machine sleeps.
func NewIdle(settings Settings, lock func(), now func() time.Time) *Idle {
	return &Idle{settings: settings, lock: lock, now: now, last: now()}
}

// Minutes returns how long the page may be left alone.
func (i *Idle) Minutes() int {
	n, _ := strconv.Atoi(i.settings.Get(idleSetting))
	for _, c := range IdleChoices {
		if c == n {
			return n
		}
	}
	return idleDefault
}

// SetMinutes sets that, to one of [IdleChoices].
func (i *Idle) SetMinutes(n int) {
	i.settings.Set(idleSetting, strconv.Itoa(n))
	i.change(func() { i.last = i.now() })
}

// Touch says that somebody is there. Whoever comes back too late finds the keys locked.
func (i *Idle) Touch() {
	i.Check()
	i.read(func() { i.last = i.now() })
}

// Check locks if it is time. It is called now and then.
func (i *Idle) Check() {
	limit, due := time.Duration(i.Minutes())*time.Minute, false
	i.read(func() {
		now := i.now()
		if due = now.Sub(i.last) >= limit; due {
			i.last = now
		}
	})
	if due {
		i.lock()
	}
}
