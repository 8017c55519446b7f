package state

import (
	"context"
	"slices"
	"strings"
	"time"

	"github.com/holdfast-backup/holdfast/app/api"
	"github.com/holdfast-backup/holdfast/app/talk"
	"github.com/holdfast-backup/holdfast/wire/fault"
)

// Devices is the account's devices, what they do at the moment, and how one is added. Make it with [NewDevices].
type Devices struct {
	Model
	Sources
	v    DevicesView
	stop func()
}

// DevicesView is what pages show of [Devices].
type DevicesView struct {
	Devices Load[[]*api.DeviceFields]
	Trust   map[string]Trust          // by device
	Runs    map[string]*api.RunFields // the run that is open, by device
	Usage   Load[[]*api.UsageDay]     // of the dashboard only
	Recent  Load[[]*api.RunFields]    // likewise
	Busy    bool                      // a rename, a revocation or a backup is being asked for
	Err     error                     // of the last one
	Enrol   *Enrolment                // nil: no device is being added
}

// Enrolment is the adding of a device.
type Enrolment struct {
	Code        string
	Fingerprint string // of the server's own authority; "" with a public certificate
	ExpiresAt   time.Time
	Err         error
	Connected   *api.DeviceFields // the device, as soon as it is there
	known       map[string]bool
	cancel      context.CancelFunc
}

// Protected sums up what the newest snapshots of all devices hold.
func (v DevicesView) Protected() (files, bytes int64) {
	for _, d := range v.Devices.Value {
		if d.LatestSnapshot != nil {
			files += d.LatestSnapshot.Files
			bytes += d.LatestSnapshot.Bytes
		}
	}
	return files, bytes
}

// Last returns the newest backup that succeeded on any device, nil if there is none.
func (v DevicesView) Last() (at *time.Time, device string) {
	for _, d := range v.Devices.Value {
		if t := d.Health.LastSuccessAt; t != nil && (at == nil || t.After(*at)) {
			at, device = t, d.Name
		}
	}
	return at, device
}

// Next returns when the next backup of any device is due, nil if nobody knows.
func (v DevicesView) Next() (at *time.Time, device string) {
	for _, d := range v.Devices.Value {
		if t := d.Health.NextDueAt; t != nil && d.RevokedAt == nil && (at == nil || t.Before(*at)) {
			at, device = t, d.Name
		}
	}
	return at, device
}

// Find returns a device by its id, nil if it is not there.
func (v DevicesView) Find(id string) *api.DeviceFields {
	for _, d := range v.Devices.Value {
		if d.Id == id {
			return d
		}
	}
	return nil
}

// NewDevices returns a model that knows nothing yet.
func NewDevices(s Sources) *Devices { return &Devices{Sources: s} }

// View returns what to show.
func (m *Devices) View() (v DevicesView) {
	m.read(func() {
		v = m.v
		if v.Enrol != nil {
			e := *v.Enrol
			v.Enrol = &e
		}
	})
	return v
}

// recentRuns is how many runs the dashboard shows.
const recentRuns = 8

// Open loads the devices and follows their runs until [Devices.Close]; with dashboard also what was done and stored lately.
func (m *Devices) Open(dashboard bool) {
	ctx, cancel := context.WithCancel(context.Background())
	m.change(func() {
		m.v.Devices.begin()
		if dashboard {
			m.v.Usage.begin()
			m.v.Recent.begin()
		}
	})
	end := m.runChanges(func(r *api.RunFields) { m.run(ctx, r) })
	m.read(func() {
		m.stop = func() { end(); cancel() }
	})
	go m.load(ctx)
	if dashboard {
		go m.loadDashboard(ctx)
	}
	go every(ctx, refresh, func() { m.load(ctx) })
}

// Close ends what Open began.
func (m *Devices) Close() {
	m.CancelEnrol()
	var stop func()
	m.read(func() { stop, m.stop = m.stop, nil })
	if stop != nil {
		stop()
	}
}

// Reload loads everything that failed again.
func (m *Devices) Reload() {
	m.change(func() {
		m.v.Devices.begin()
		if m.v.Usage.Status != Idle {
			m.v.Usage.begin()
			m.v.Recent.begin()
		}
	})
	go m.load(context.Background())
	if m.View().Usage.Status != Idle {
		go m.loadDashboard(context.Background())
	}
}

func (m *Devices) load(ctx context.Context) {
	r, err := api.Devices(ctx, m.API)
	if ctx.Err() != nil {
		return
	}
	var list []*api.DeviceFields
	if err == nil {
		list = byWorst(r.Devices)
	}
	m.change(func() { m.v.Devices.end(list, err) })
	if trust := m.prove(ctx, list); err == nil && ctx.Err() == nil {
		m.change(func() { m.v.Trust = trust })
	}
}

func (m *Devices) loadDashboard(ctx context.Context) {
	usage, err := api.Usage(ctx, m.API, usageDays)
	m.change(func() {
		if err != nil {
			m.v.Usage.end(nil, err)
			return
		}
		m.v.Usage.end(usage.MyUsage, nil)
	})
	runs, err := api.Runs(ctx, m.API, nil, recentRuns, nil)
	m.change(func() {
		if err != nil {
			m.v.Recent.end(nil, err)
			return
		}
		list := make([]*api.RunFields, 0, recentRuns)
		for _, e := range runs.Runs.Edges {
			list = append(list, e.Node)
		}
		m.v.Recent.end(list, nil)
	})
}

// usageDays is how far the dashboard's chart looks back.
const usageDays = 30

// run takes in a run that changed.
func (m *Devices) run(ctx context.Context, r *api.RunFields) {
	ended := false
	m.change(func() {
		open := map[string]*api.RunFields{}
		for device, o := range m.v.Runs {
			open[device] = o
		}
		was := open[r.Device.Id]
		switch {
		case !Over(r.State) && (was == nil || was.Id == r.Id || r.State == api.RunStateRunning):
			open[r.Device.Id] = r
		case Over(r.State):
			if was != nil && was.Id == r.Id {
				delete(open, r.Device.Id)
			}
			ended = true
		}
		m.v.Runs = open
		if m.v.Recent.Status == Ready {
			list, _ := mergeRun(m.v.Recent.Value, r)
			m.v.Recent.Value = list[:min(len(list), recentRuns)]
		}
	})
	if ended {
		go m.load(ctx)
	}
}

// do asks the server for something, one thing at a time, then loads the devices again and calls then, which may be nil.
func (m *Devices) do(fn func(ctx context.Context) error) {
	busy := false
	m.change(func() {
		busy = m.v.Busy
		if !busy {
			m.v.Busy, m.v.Err = true, nil
		}
	})
	if busy {
		return
	}
	go func() {
		ctx := context.Background()
		err := fn(ctx)
		m.change(func() { m.v.Busy, m.v.Err = false, err })
		if err == nil {
			m.load(ctx)
		}
	}()
}

// Rename gives a device another name.
func (m *Devices) Rename(id, name string) {
	m.do(func(ctx context.Context) error {
		name = strings.TrimSpace(name)
		if name == "" {
			return fault.New(fault.Invalid, "type a name for the device")
		}
		_, err := api.RenameDevice(ctx, m.API, &api.RenameDeviceInput{Id: id, Name: name})
		return err
	})
}

// Revoke withdraws a device's access.
func (m *Devices) Revoke(id string) {
	m.do(func(ctx context.Context) error {
		_, err := api.RevokeDevice(ctx, m.API, &api.RevokeDeviceInput{Id: id})
		return err
	})
}

// BackUpNow asks a device for a backup.
func (m *Devices) BackUpNow(id string) {
	m.do(func(ctx context.Context) error {
		r, err := api.BackUpNow(ctx, m.API, &api.BackUpNowInput{Device: id})
		if err == nil {
			m.run(ctx, r.BackUpNow.Run)
		}
		return err
	})
}

// enrolPoll is how often the list is looked at for the device that is being added.
const enrolPoll = 2 * time.Second

// Enrol makes a one-time code for a new device, and waits for that device.
func (m *Devices) Enrol() {
	m.CancelEnrol()
	ctx, cancel := context.WithCancel(context.Background())
	e := &Enrolment{known: map[string]bool{}, cancel: cancel}
	m.change(func() { m.v.Enrol = e })
	go func() {
		err := m.enrol(ctx, e)
		if err != nil && ctx.Err() == nil {
			m.change(func() { e.Err = err })
		}
	}()
}

func (m *Devices) enrol(ctx context.Context, e *Enrolment) error {
	server, err := api.ServerInfo(ctx, m.API)
	if err != nil {
		return err
	}
	fingerprint := ""
	if f := server.Server.Fingerprint; f != nil {
		fingerprint = *f
	}
	before, err := api.Devices(ctx, m.API)
	if err != nil {
		return err
	}
	var made talk.Enrolment
	if err := m.Keys.Call(ctx, talk.MethodEnrolCode, talk.EnrolCode{Fingerprint: fingerprint}, &made); err != nil {
		return err
	}
	stored, err := api.CreateEnrolment(ctx, m.API, &api.CreateEnrolmentInput{TokenHash: made.TokenHash, Sealed: made.Sealed})
	if err != nil {
		return err
	}
	m.change(func() {
		for _, d := range before.Devices {
			e.known[d.Id] = true
		}
		e.Code, e.Fingerprint, e.ExpiresAt = made.Code, fingerprint, stored.CreateEnrolment.ExpiresAt
	})
	go every(ctx, time.Second, func() { m.change(func() {}) }) // the countdown
	every(ctx, enrolPoll, func() { m.lookForNew(ctx, e) })
	return nil
}

// lookForNew looks whether the device that is being added is there.
func (m *Devices) lookForNew(ctx context.Context, e *Enrolment) {
	r, err := api.Devices(ctx, m.API)
	if err != nil || ctx.Err() != nil { // the next look may do better
		return
	}
	i := slices.IndexFunc(r.Devices, func(d *api.DeviceFields) bool { return !e.known[d.Id] })
	if i < 0 {
		return
	}
	m.change(func() {
		e.Connected = r.Devices[i]
		m.v.Devices.end(byWorst(r.Devices), nil)
	})
	e.cancel()
	trust := m.prove(context.Background(), r.Devices)
	m.change(func() { m.v.Trust = trust })
}

// CancelEnrol stops waiting for a device. A code that was made stays valid until it expires.
func (m *Devices) CancelEnrol() {
	m.change(func() {
		if m.v.Enrol != nil {
			m.v.Enrol.cancel()
			m.v.Enrol = nil
		}
	})
}

// Dismiss forgets the last error.
func (m *Devices) Dismiss() { m.change(func() { m.v.Err = nil }) }
