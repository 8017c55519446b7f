package state

import (
	"context"
	"encoding/json"
	"slices"
	"strings"
	"time"

	"github.com/holdfast-backup/holdfast/app/api"
	"github.com/holdfast-backup/holdfast/app/talk"
)

// Sources are where models get what they show.
type Sources struct {
	API  *api.Client
	Keys Keys
	Live Live

	Imports *Imports // of the page; nil: there can be none
}

// runChanges calls fn with each run that changes, first with those that are open, until stop is called.
func (s Sources) runChanges(fn func(*api.RunFields)) (stop func()) {
	return s.Live.Subscribe(api.RunChanges_Operation, nil, func(data json.RawMessage, err error) {
		var r api.RunChangesResponse
		if err == nil && json.Unmarshal(data, &r) == nil && r.RunChanges != nil {
			fn(r.RunChanges)
		}
	})
}

// Over reports whether a run has ended.
func Over(s api.RunState) bool { return s != api.RunStateWaiting && s != api.RunStateRunning }

// mergeRun puts a run into a list, newest first, in place of its older self. isNew: it was not there.
func mergeRun(list []*api.RunFields, r *api.RunFields) (merged []*api.RunFields, before *api.RunFields) {
	for i, old := range list {
		if old.Id == r.Id {
			list = slices.Clone(list)
			list[i] = r
			return list, old
		}
	}
	list = append([]*api.RunFields{r}, list...)
	slices.SortStableFunc(list, func(a, b *api.RunFields) int { return b.CreatedAt.Compare(a.CreatedAt) })
	return list, nil
}

// worst is the order in which devices want attention.
var worst = map[api.HealthState]int{
	api.HealthStateBad: 0, api.HealthStateWarning: 1, api.HealthStateNew: 2, api.HealthStateWorking: 3, api.HealthStateGood: 4, api.HealthStateRevoked: 5,
}

// byWorst sorts devices: the worst health first, then by name.
func byWorst(list []*api.DeviceFields) []*api.DeviceFields {
	list = slices.Clone(list)
	slices.SortStableFunc(list, func(a, b *api.DeviceFields) int {
		if d := worst[a.Health.State] - worst[b.Health.State]; d != 0 {
			return d
		}
		return strings.Compare(strings.ToLower(a.Name), strings.ToLower(b.Name))
	})
	return list
}

// Trust is what the keys say about a device.
type Trust int

// The trusts.
const (
	Unproven Trust = iota // not asked yet, or nobody could answer
	Genuine               // it was enrolled with the account's keys
	Foreign               // it was not: somebody else put it there
)

// prove asks the keys which devices are the account's own.
func (s Sources) prove(ctx context.Context, list []*api.DeviceFields) map[string]Trust {
	trust := map[string]Trust{}
	for _, d := range list {
		if len(d.PublicKey) == 0 {
			continue // the server lost the device and kept its place: nothing can be sealed for it
		}
		var v talk.Verified
		if s.Keys.Call(ctx, talk.MethodVerifyDevice, talk.Device{ID: d.Id, PublicKey: d.PublicKey, MAC: d.Mac}, &v) != nil {
			continue
		}
		trust[d.Id] = Foreign
		if v.Genuine {
			trust[d.Id] = Genuine
		}
	}
	return trust
}

// refresh is how often a screen that is open loads anew what no subscription tells: when a device was last seen, and how it is.
const refresh = 30 * time.Second

// every calls fn now and then until ctx is over.
func every(ctx context.Context, d time.Duration, fn func()) {
	tick := time.NewTicker(d)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
			fn()
		}
	}
}
