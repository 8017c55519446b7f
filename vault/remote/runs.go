package remote

import (
	"context"
	"encoding/json"
	"strings"
	"time"

	"github.com/holdfast-backup/holdfast/vault/remote/internal/api"
	"github.com/holdfast-backup/holdfast/wire/fault"
	"github.com/holdfast-backup/holdfast/wire/id"
)

// Run is a backup or restore of a device that is due, under way or over, as its owner sees it.
type Run struct {
	ID                           id.Run
	Device                       id.Device
	DeviceName                   string
	Kind                         string // BACKUP, RESTORE, PROBE
	Trigger                      string // SCHEDULE, OWNER, ADMIN, DEVICE
	Policy                       string // its name; "" if none asked for it
	State                        string // WAITING, RUNNING, SUCCEEDED, WARNED, FAILED, MISSED, CANCELLED
	CreatedAt, DueAt, DeadlineAt time.Time
	StartedAt, EndedAt           time.Time // zero: not yet
	Cancelling                   bool
	Attempts                     int
	Progress                     Progress
	Code, Text                   string           // why it failed; Text is a sentence
	Causes                       map[string]int64 // unreadable files by cause
	Snapshot                     id.Snapshot      // that it made, or restores; zero: none
	Report                       []byte           // sealed to the owner; nil: none

	Application     id.Application // zero: files of the device
	ApplicationName string
	Part            string      // of the application: database, media, full
	Title           string      // of the backup
	Safety          id.Snapshot // that was made before the restore; zero: none
}

// Over reports whether the run is at its end.
func (r *Run) Over() bool { return r.State != "WAITING" && r.State != "RUNNING" }

// runPage is how many runs are asked for at once.
const runPage = 50

// Runs calls fn for the runs of the account's devices, newest first, until it returns false. device is zero for those of
// all devices.
func (c *Client) Runs(ctx context.Context, device id.Device, fn func(*Run) (bool, error)) error {
	var filter *api.RunFilter
	if !device.IsZero() {
		s := device.String()
		filter = &api.RunFilter{Device: &s}
	}
	first, after := runPage, (*string)(nil)
	for {
		r, err := api.Runs(ctx, c.gql(always), filter, &first, after)
		if err != nil {
			return err
		}
		for _, e := range r.Runs.Edges {
			v, err := run(e.Node)
			if err != nil {
				return err
			}
			if more, err := fn(v); err != nil || !more {
				return err
			}
		}
		info := r.Runs.PageInfo
		if !info.HasNextPage {
			return nil
		}
		if info.EndCursor == nil || deref(after) == *info.EndCursor {
			return fault.New(fault.Internal, "the server's list of runs does not end")
		}
		after = info.EndCursor
	}
}

// Run returns one run of the account's devices, or fault.NotFound.
func (c *Client) Run(ctx context.Context, v id.Run) (*Run, error) {
	r, err := api.Run(ctx, c.gql(always), v.String())
	if err != nil {
		return nil, err
	}
	if r.Run == nil {
		return nil, fault.New(fault.NotFound, "there is no run %s", v)
	}
	return run(*r.Run)
}

// BackUpNow asks a device of the account's to back up by its policies as soon as it can.
func (c *Client) BackUpNow(ctx context.Context, d id.Device) (*Run, error) {
	r, err := api.BackUpNow(ctx, c.gql(always), api.BackUpNowInput{Device: d.String()})
	if err != nil {
		return nil, err
	}
	return run(r.BackUpNow.Run)
}

// CancelRun asks a run to stop.
func (c *Client) CancelRun(ctx context.Context, v id.Run) (*Run, error) {
	r, err := api.CancelRun(ctx, c.gql(always), api.CancelRunInput{Id: v.String()})
	if err != nil {
		return nil, err
	}
	return run(r.CancelRun.Run)
}

// OrderRestore hands over an order that is sealed for a device.
func (c *Client) OrderRestore(ctx context.Context, d id.Device, s id.Snapshot, sealed []byte) (*Run, error) {
	r, err := api.OrderRestore(ctx, c.gql(ifUnsent), api.OrderRestoreInput{Device: d.String(), Snapshot: s.String(), Order: sealed})
	if err != nil {
		return nil, err
	}
	return run(r.OrderRestore.Run)
}

// askEvery is how often FollowRun asks, whatever the subscription says: it may have been cut when the run ended.
const askEvery = 10 * time.Second

// FollowRun calls fn, from one goroutine, for the changes of a run until it is over, and returns it then.
func (c *Client) FollowRun(ctx context.Context, v id.Run, fn func(*Run)) (*Run, error) {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	changes := make(chan *Run)
	go func() {
		cancel(c.follow(ctx, []subscription{{"RunChanges", api.RunChanges_Operation, nil}}, func(_ int, data json.RawMessage) error {
			var r api.RunChangesResponse
			if json.Unmarshal(data, &r) != nil {
				return senseless()
			}
			if r.RunChanges.Id != v.String() {
				return nil
			}
			change, err := run(r.RunChanges)
			if err != nil {
				return err
			}
			select {
			case changes <- change:
			case <-ctx.Done():
			}
			return nil
		}))
	}()
	ask := time.NewTicker(askEvery)
	defer ask.Stop()
	now, err := c.Run(ctx, v)
	for err == nil {
		fn(now)
		if now.Over() {
			return now, nil
		}
		select {
		case now = <-changes:
		case <-ask.C:
			now, err = c.Run(ctx, v)
		case <-ctx.Done():
			return nil, context.Cause(ctx)
		}
	}
	return nil, err
}

func run(f api.RunFields) (*Run, error) {
	r := &Run{DeviceName: f.Device.Name, Kind: string(f.Kind), Trigger: string(f.Trigger), State: string(f.State),
		CreatedAt: f.CreatedAt, DueAt: f.DueAt, DeadlineAt: f.DeadlineAt, StartedAt: deref(f.StartedAt), EndedAt: deref(f.EndedAt),
		Cancelling: f.Cancelling, Attempts: f.Attempts, Code: deref(f.Code), Text: deref(f.Text), Report: deref(f.SealedReport),
		Progress: Progress{f.Progress.Phase, f.Progress.Files, f.Progress.Bytes, f.Progress.TotalFiles, f.Progress.TotalBytes,
			f.Progress.UploadedBytes, f.Progress.Problems}}
	if f.Policy != nil {
		r.Policy = f.Policy.Name
	}
	if len(f.Causes) > 0 {
		r.Causes = map[string]int64{}
		for _, c := range f.Causes {
			r.Causes[c.Cause] = c.Count
		}
	}
	var err error
	if r.ID, err = parse[id.Run](f.Id); err != nil {
		return nil, err
	}
	if r.Device, err = parse[id.Device](f.Device.Id); err != nil {
		return nil, err
	}
	if f.Application != nil {
		r.ApplicationName, r.Part, r.Title = f.Application.Name, strings.ToLower(string(deref(f.Part))), deref(f.Title)
		if r.Application, err = parse[id.Application](f.Application.Id); err != nil {
			return nil, err
		}
	}
	if f.Safety != nil {
		if r.Safety, err = parse[id.Snapshot](f.Safety.Id); err != nil {
			return nil, err
		}
	}
	if f.Snapshot != nil {
		r.Snapshot, err = parse[id.Snapshot](f.Snapshot.Id)
	}
	return r, err
}
