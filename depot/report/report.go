package report

import "time"

// Row counts the runs of one day, policy, group, user or device.
type Row struct {
	Key           string // of what: the day, or an id
	Label         string
	Succeeded     int
	Warned        int
	Failed        int
	Missed        int
	Cancelled     int
	Open          int
	SuccessRate   *float64 // among all that ended and were not cancelled, 0 to 1
	Files         int64
	Bytes         int64
	UploadedBytes int64
	MeanSeconds   *float64
}

// Runs is a report about runs.
type Runs struct {
	Rows  []*Row
	Total *Row
}

// Day is what was stored at the end of a day.
type Day struct {
	Day            string // YYYY-MM-DD
	StoredBytes    int64
	LogicalBytes   int64
	ProtectedBytes int64
	UploadedBytes  int64 // on that day
	FreeBytes      *int64
}

// Storage is what is stored, and how it grows.
type Storage struct {
	StoredBytes      int64
	LogicalBytes     int64
	ProtectedBytes   int64
	Objects          int64
	Snapshots        int
	QuarantinedBytes int64
	FreeBytes        *int64
	TotalBytes       *int64
	Days             []*Day
	GrowthPerDay     *float64
	FullAt           *time.Time
	Spaces           []*Space
}
