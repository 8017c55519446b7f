package run

import (
	"cmp"
	"database/sql/driver"
	"encoding/json"
	"fmt"
	"slices"
	"time"

	"github.com/holdfast-backup/holdfast/depot/application"
	"github.com/holdfast-backup/holdfast/depot/catalog"
	"github.com/holdfast-backup/holdfast/wire/id"
)

// row is a run as the statements read it, with what else is needed to decide about it and to speak of it.
type row struct {
	ID            id.Run
	DeviceID      id.Device `db:"device_id"`
	OwnerID       id.User   `db:"user_id"`
	Device        string    // its name
	Revoked       bool      // the device
	Kind          Kind
	Trigger       Trigger
	AskedBy       *id.User   `db:"asked_by"`
	PolicyID      *id.Policy `db:"policy_id"`
	Policy        *string    // its name
	Zone          *string    // of the policy
	Slot          *time.Time
	State         State
	CreatedAt     time.Time `db:"created_at"`
	DueAt         time.Time `db:"due_at"`
	DeadlineAt    time.Time `db:"deadline_at"`
	Attempts      int
	StartedAt     *time.Time   `db:"started_at"`
	EndedAt       *time.Time   `db:"ended_at"`
	Lease         int64        // 0: what was said under the last one is void
	LeaseUntil    *time.Time   `db:"lease_until"`
	CancelAsked   *time.Time   `db:"cancel_asked_at"`
	BackupID      *id.Backup   `db:"backup_id"`
	SnapshotID    *id.Snapshot `db:"snapshot_id"`
	Code          *string
	Problems      int64
	Causes        causes
	Phase         string
	Files         int64
	Bytes         int64
	TotalFiles    int64     `db:"total_files"`
	TotalBytes    int64     `db:"total_bytes"`
	UploadedBytes int64     `db:"uploaded_bytes"`
	AsOf          time.Time `db:"as_of"`

	ApplicationID *id.Application         `db:"application_id"`
	Application   *string                 // its name
	Removed       bool                    // the device has the application no more
	Notify        *application.Notify     // of the application
	ScheduleID    *id.ApplicationSchedule `db:"schedule_id"`
	ScheduleName  *string                 `db:"schedule"`
	Part          *catalog.Part
	Title         *string
	Options       *options     // of a backup of an application
	SafetyID      *id.Snapshot `db:"safety_snapshot_id"`

	was State // before move
}

// of reports whether the run is about an application; nil: about the device's files.
func (r *row) of(app *id.Application) bool { return same(r.ApplicationID, app) }

// options is how an application is to be backed up, as jsonb keeps it.
type options application.Options

// Scan implements [database/sql.Scanner].
func (o *options) Scan(src any) error {
	b, ok := src.([]byte)
	if !ok {
		return fmt.Errorf("run: cannot scan %T as options", src)
	}
	return json.Unmarshal(b, o)
}

// Value implements [database/sql/driver.Valuer].
func (o options) Value() (driver.Value, error) {
	b, err := json.Marshal(o)
	return string(b), err
}

// causes is a count by cause, as jsonb keeps it.
type causes map[string]int64

// Scan implements [database/sql.Scanner].
func (c *causes) Scan(src any) error {
	b, ok := src.([]byte)
	if !ok {
		return fmt.Errorf("run: cannot scan %T as causes", src)
	}
	return json.Unmarshal(b, c)
}

func (c causes) sum() (n int64) {
	for _, v := range c {
		n += v
	}
	return n
}

// list gives the causes, the most frequent first.
func (c causes) list() []Cause {
	list := make([]Cause, 0, len(c))
	for cause, n := range c {
		list = append(list, Cause{cause, n})
	}
	slices.SortFunc(list, func(a, b Cause) int { return cmp.Or(cmp.Compare(b.Count, a.Count), cmp.Compare(a.Cause, b.Cause)) })
	return list
}

// noun gives the run as its owner sees it.
func (r *row) noun() *Run {
	return &Run{
		ID: r.ID, DeviceID: r.DeviceID, OwnerID: r.OwnerID, Kind: r.Kind, Trigger: r.Trigger, AskedBy: r.AskedBy, PolicyID: r.PolicyID,
		Slot: utc(r.Slot), State: r.State, CreatedAt: r.CreatedAt.UTC(), DueAt: r.DueAt.UTC(), DeadlineAt: r.DeadlineAt.UTC(),
		Attempts: r.Attempts, StartedAt: utc(r.StartedAt), EndedAt: utc(r.EndedAt), Cancelling: r.CancelAsked != nil && !r.State.Over(),
		TooLate:  r.CancelAsked != nil && r.State.good(),
		BackupID: r.BackupID, SnapshotID: r.SnapshotID, Code: r.Code, Causes: r.Causes.list(),
		ApplicationID: r.ApplicationID, Part: r.Part, Title: r.Title, ScheduleID: r.ScheduleID, SafetyID: r.SafetyID,
		Progress: Progress{r.Phase, r.Files, r.Bytes, r.TotalFiles, r.TotalBytes, r.UploadedBytes, r.Problems},
		asOf:     r.AsOf,
	}
}

func utc(t *time.Time) *time.Time {
	if t == nil {
		return nil
	}
	u := t.UTC()
	return &u
}

func nouns(rows []*row) []*Run {
	list := make([]*Run, len(rows))
	for i, r := range rows {
		list[i] = r.noun()
	}
	return list
}

// Rate returns how many bytes a second the run has gone through since it started; 0 while nothing is known.
func (r *Run) Rate() int64 {
	if r.StartedAt == nil || r.State == Waiting {
		return 0
	}
	end := r.asOf
	if r.EndedAt != nil {
		end = *r.EndedAt
	}
	took := end.Sub(*r.StartedAt)
	if took < time.Second {
		return 0
	}
	return int64(float64(r.Progress.Bytes) / took.Seconds())
}

// Sketch is what makes two readings of a run differ: a small value that can be compared.
type Sketch struct {
	state      State
	attempts   int
	cancelling bool
	due        int64
	progress   Progress
}

// Sketch returns the run's.
func (r *Run) Sketch() Sketch {
	return Sketch{r.State, r.Attempts, r.Cancelling, r.DueAt.UnixMicro(), r.Progress}
}
