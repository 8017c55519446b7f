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

// IdleLock locks the keys when nobody has touched the page for a while. Make it with [NewIdleLock].
type IdleLock struct {
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

// NewIdleLock returns what calls lock. now is the clock: one that goes on while the machine sleeps.
func NewIdleLock(settings Settings, lock func(), now func() time.Time) *IdleLock {
	return &IdleLock{settings: settings, lock: lock, now: now, last: now()}
}

// Minutes returns how long the page may be left alone.
func (i *IdleLock) Minutes() int {
	n, _ := strconv.Atoi(i.settings.Get(idleSetting))
	for _, c := range IdleChoices {
		if c == n {
			return n
		}
	}
	return idleDefault
}

// SetMinutes sets that, to one of [IdleChoices].
func (i *IdleLock) SetMinutes(n int) {
	i.settings.Set(idleSetting, strconv.Itoa(n))
	i.change(func() { i.last = i.now() })
}

// Touch says that somebody is there. Whoever comes back too late finds the keys locked.
func (i *IdleLock) Touch() {
	i.Check()
	i.read(func() { i.last = i.now() })
}

// Check locks if it is time. It is called now and then.
func (i *IdleLock) Check() {
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
