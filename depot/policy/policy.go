package policy

import (
	"slices"
	"time"

	"github.com/holdfast-backup/holdfast/plan"
	"github.com/holdfast-backup/holdfast/wire/fault"
	"github.com/holdfast-backup/holdfast/wire/id"
)

// Policy is what is saved, when, of which devices, and how long it is kept.
type Policy struct {
	ID              id.Policy
	Name            string
	Enabled         bool
	Revision        int      // rises with every change
	Targets         *Targets // nil where nobody may know them
	Roots           []string // see plan.CheckRoot
	Presets         []string // kinds of files, by name
	Extensions      []string // single ones, such as ".docx"; with no preset and none of these: every file
	ExcludePresets  []string
	Excludes        []string
	MaxFileSize     int64 // bytes; 0: no limit
	Schedule        plan.Schedule
	Zone            string       // IANA name: of schedule, window and retention; Schedule.Zone is the same
	Window          *plan.Window // in which backups may begin; nil: always
	DeadlineMinutes int          // after a slot; not begun by then: missed. 0: see [Policy.DeadlineAt]
	SpreadMinutes   int          // over which the devices' beginnings are spread
	UploadLimit     int64        // bytes a second; 0: no limit
	Level           Level
	Retention       plan.Retention
	CreatedAt       time.Time
	UpdatedAt       time.Time

	tickedAt time.Time // every slot up to here is accounted for
	asOf     time.Time // when it was read, by the database's clock
}

// Level is how hard an agent compresses. Its text is what PostgreSQL stores.
type Level string

// The levels.
const (
	None    Level = "none"
	Fast    Level = "fast"
	Default Level = "default"
	Better  Level = "better"
)

// Check refuses what is none of the levels.
func (l Level) Check() error {
	if !slices.Contains([]Level{None, Fast, Default, Better}, l) {
		return fault.New(fault.Invalid, "level: want none, fast, default or better")
	}
	return nil
}

// Targets says whom a policy is for. A device is meant if everyone, a group of its owner's or itself is named,
// and neither itself nor a group of its owner's is excepted.
type Targets struct {
	Everyone      bool
	Groups        []id.Group
	Devices       []id.Device
	ExceptGroups  []id.Group
	ExceptDevices []id.Device
}

// Group is people who belong together, such as a department.
type Group struct {
	ID          id.Group
	Name        string
	MemberCount int
}

// Effective is all policies of one device, merged by plan.Merge.
type Effective struct {
	Policies []*Policy // enabled ones, by name
	plan.Effective
}

// Slot is a time at which a policy is due.
type Slot struct {
	At     time.Time
	Policy string // its name
}
