package setting

// Settings is what can be set for the whole installation.
type Settings struct {
	ProductName       string
	StaleDays         int // without a backup, after which a device is stale
	UndoDays          int // in which a deleted snapshot can be taken back
	DefaultQuota      int64
	StorageLowPercent int
	DigestHour        int // in Zone
	Zone              string
	AdminDigest       Period
	MailsPerHour      int // instant ones to one address; more are gathered
	RunHistoryDays    int
}

// Period is how often administrators get their digest.
type Period string

// The periods.
const (
	Never  Period = "never"
	Daily  Period = "daily"
	Weekly Period = "weekly"
)
