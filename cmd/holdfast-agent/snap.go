package main

import (
	"fmt"

	"github.com/spf13/pflag"

	"github.com/holdfast-backup/holdfast/agent"
	"github.com/holdfast-backup/holdfast/agent/state"
	"github.com/holdfast-backup/holdfast/vault/remote"
	"github.com/holdfast-backup/holdfast/wire/fault"
	"github.com/holdfast-backup/holdfast/wire/id"
)

// ofDevice returns the device that --device names, or this one, or none.
func (c *call) ofDevice(a *agent.Account, name string, this *state.Device) (id.Device, error) {
	if name != "" {
		d, err := a.FindDevice(c.ctx, name)
		if err != nil {
			return id.Device{}, err
		}
		return d.ID, nil
	}
	if this != nil {
		return this.ID, nil
	}
	return id.Device{}, nil
}

// which narrows what SNAP may mean.
type which struct{ device, application string }

func (w *which) flags(fs *pflag.FlagSet) {
	fs.StringVar(&w.device, "device", "", "SNAP is of this device's files; latest is its newest (default: this device's)")
	fs.StringVar(&w.application, "application", "", "SNAP is a backup of this application; latest is its newest")
}

// check finds flags that contradict each other, before anybody is asked for a password.
func (w *which) check() error {
	if w.device != "" && w.application != "" {
		return usagef("--device is for files, and --application for its backups: give one of them")
	}
	return nil
}

// snapshot opens the account and the snapshot that the first argument names.
func (c *call) snapshot(w which) (*agent.Account, *agent.Snapshot, error) {
	if err := w.check(); err != nil {
		return nil, nil, err
	}
	a, this, err := c.unlock()
	if err != nil {
		return nil, nil, err
	}
	s, err := c.pick(a, this, w, c.args[0])
	if err != nil {
		a.Close(c.ctx)
		return nil, nil, err
	}
	return a, s, nil
}

// pick returns the snapshot that ref names. What the flags do not allow is never taken in its place.
func (c *call) pick(a *agent.Account, this *state.Device, w which, ref string) (*agent.Snapshot, error) {
	if w.application != "" {
		app, err := a.FindApplication(c.ctx, w.application)
		if err != nil {
			return nil, err
		}
		return a.FindApplicationSnapshot(c.ctx, app, ref)
	}
	of, err := c.ofDevice(a, w.device, this)
	if err != nil {
		return nil, err
	}
	s, err := a.FindSnapshot(c.ctx, ref, of)
	switch {
	case err != nil || w.device == "":
		return s, err
	case s.Label != nil:
		return nil, fault.New(fault.Invalid, "%s is a backup of the application %q, and not of a device's files: leave --device out", agent.ShortID(s.ID, 10), s.Label.Name)
	case s.Device != of:
		return nil, fault.New(fault.Invalid, "%s is a snapshot of %q, not of %q: leave --device out", agent.ShortID(s.ID, 10), s.DeviceName, w.device)
	}
	return s, nil
}

const snapUsage = `SNAP is an id, the beginning of one that no other has, or latest; also of a backup of an application, as
holdfast-agent app backups lists them. latest is of files, unless --application says of which application.`

// held says what a snapshot is of.
func held(s *agent.Snapshot) string {
	if s.Label != nil {
		return fmt.Sprintf("the application %q", s.Label.Name)
	}
	return fmt.Sprintf("files of %q", s.DeviceName)
}

// applicationOf is the name of the application that a snapshot is of; "": it is of files.
func applicationOf(s *remote.Snapshot) string {
	if s.Label == nil {
		return ""
	}
	return s.Label.Name
}

// whose is what a list calls the owner of what a snapshot holds: a device, or an application of it.
func whose(s *remote.Snapshot) string {
	if s.Label != nil {
		return s.DeviceName + "/" + s.Label.Name
	}
	return s.DeviceName
}

// called names a snapshot in a sentence.
func called(s *agent.Snapshot) string {
	if s.Label != nil {
		return fmt.Sprintf("Backup %s of the application %s of %s", agent.ShortID(s.ID, 10), printable(s.Label.Name), stamp(s.CreatedAt))
	}
	return fmt.Sprintf("Snapshot %s of %s", agent.ShortID(s.ID, 10), stamp(s.CreatedAt))
}
