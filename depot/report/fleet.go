package report

import "github.com/holdfast-backup/holdfast/wire/id"

// Space is what one owner stores.
type Space struct {
	OwnerID      *id.User
	StoredBytes  int64
	LogicalBytes int64
	QuotaBytes   *int64
}

// Overview is the fleet at a glance.
type Overview struct {
	Users          int
	Devices        int
	Good           int
	Working        int
	Warning        int
	Bad            int
	New            int
	SuccessRate    *float64 // of the last 24 hours
	RunsToday      *Row
	OpenRuns       int
	RecentFailures []id.Run
	Stale          []id.Device
}
