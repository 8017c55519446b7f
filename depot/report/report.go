package report

// Row counts the runs of one day, policy, group, user or device.
type Row struct {
	Key           string // of what: the day, or an id; "" for what has none
	Label         string
	Succeeded     int
	Warned        int
	Failed        int
	Missed        int
	Cancelled     int
	Open          int
	SuccessRate   *float64 // among all that ended and were not cancelled, 0 to 1; nil if none did
	Files         int64    // of those that ended well
	Bytes         int64    // likewise
	UploadedBytes int64    // of all
	MeanSeconds   *float64 // from start to end, of those that ended well
}

// Runs is a report about runs.
type Runs struct {
	Rows  []*Row
	Total *Row
}
