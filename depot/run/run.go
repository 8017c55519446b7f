package run

import (
	"time"

	"github.com/holdfast-backup/holdfast/depot/catalog"
	"github.com/holdfast-backup/holdfast/wire/id"
)

// Kind is what a run does.
type Kind string

// The kinds.
const (
	Backup  Kind = "backup"
	Restore Kind = "restore"
	Probe   Kind = "probe" // of an application: look whether everything is there that a backup needs
)

// Trigger is what made a run.
type Trigger string

// The triggers.
const (
	Schedule Trigger = "schedule" // a slot of a policy, or of a schedule of an application
	Owner    Trigger = "owner"    // the device's owner
	Admin    Trigger = "admin"    // an administrator
	Device   Trigger = "device"   // somebody at the device
)

// State is a state of a run. All but Waiting and Running are final.
type State string

// The states.
const (
	Waiting   State = "waiting"
	Running   State = "running"
	Succeeded State = "succeeded"
	Warned    State = "warned" // some files could not be read, or restored; or a probe found something to mend
	Failed    State = "failed"
	Missed    State = "missed" // not begun before its deadline
	Cancelled State = "cancelled"
)

// Outcome is what a device says of a run's end.
type Outcome string

// The outcomes.
const (
	OutcomeSucceeded Outcome = "succeeded"
	OutcomeFailed    Outcome = "failed"
	OutcomeCancelled Outcome = "cancelled"
)

// Run is a backup or restore of one device's files, or of an application on it, that is due, under way or over.
type Run struct {
	ID         id.Run
	DeviceID   id.Device
	OwnerID    id.User // of the device
	Kind       Kind
	Trigger    Trigger
	AskedBy    *id.User
	PolicyID   *id.Policy
	Slot       *time.Time
	State      State
	CreatedAt  time.Time
	DueAt      time.Time
	DeadlineAt time.Time
	Attempts   int
	StartedAt  *time.Time // of the latest attempt
	EndedAt    *time.Time
	Cancelling bool // somebody asked it to stop
	TooLate    bool // somebody did, and it came to its end all the same
	BackupID   *id.Backup
	SnapshotID *id.Snapshot // nil for whoever does not own it
	Code       *string      // why it failed, or why the last attempt did
	Causes     []Cause      // unreadable files, the most frequent first
	Progress   Progress

	ApplicationID *id.Application // nil: files of the device
	Part          *catalog.Part   // of the application
	Title         *string         // that the backup is to have
	ScheduleID    *id.ApplicationSchedule
	SafetyID      *id.Snapshot // of a restore: what was made before it; nil for whoever does not own it

	asOf time.Time // when it was read, by the database's clock
}

// Cause counts unreadable files of one cause.
type Cause struct {
	Cause string
	Count int64
}

// Progress is how far a run is, as its device reports it.
type Progress struct {
	Phase         string
	Files         int64
	Bytes         int64
	TotalFiles    int64
	TotalBytes    int64
	UploadedBytes int64
	Problems      int64
}

// HealthState is how a device is doing.
type HealthState string

// The states of health.
const (
	HealthGood    HealthState = "good"
	HealthWorking HealthState = "working"
	HealthWarning HealthState = "warning"
	HealthBad     HealthState = "bad"
	HealthNew     HealthState = "new"
	HealthRevoked HealthState = "revoked"
)

// Health is how a device is doing, by the server's records.
type Health struct {
	DeviceID      id.Device `db:"device_id"`
	State         HealthState
	LastSuccessAt *time.Time `db:"last_success_at"`
	LastRunID     *id.Run    `db:"last_run_id"`
	StaleDays     int        `db:"stale_days"` // whole days without a backup
}
