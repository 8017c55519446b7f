// Package setting keeps what can be set for the whole installation, its logo, and how much a user may store.
//
// A setting that nobody has changed has no row: its default is in the program, and changes with it. Whoever works by
// the settings asks [Service.Get] each time; it reads the database every few seconds at most. So a change that was made at one server is known to the
// others a few seconds later, and nothing may depend on their agreeing at once.
//
// # Quotas
//
// A quota limits the bytes of packs in a user's space, which is what the user costs: equal pieces count once, and what waits in
// quarantine does not count. A user without a quota of their own has the default one. [OverQuota] is asked when a backup begins. One that has begun
// may end, however much it adds: an interrupted backup would be of no use to anybody.
package setting

// Settings is what can be set for the whole installation.
type Settings struct {
	ProductName       string
	StaleDays         int   // without a backup, after which a device is stale
	UndoDays          int   // in which a deleted snapshot can be taken back
	DefaultQuota      int64 // bytes; 0: no limit
	StorageLowPercent int
	DigestHour        int // in Zone
	Zone              string
	AdminDigest       Period
	MailsPerHour      int // instant ones to one address; more are gathered
	RunHistoryDays    int
	ReplicaKeepDays   int // for which replicas keep what has left the store
	RetentionDays     int // with which new policies begin; 0: for ever

	// AdminsNeedSecondFactor says that administrators without one can only set one up. depot/account reads it where it says who asks, at once on every server.
	AdminsNeedSecondFactor bool
}

// Period is how often administrators get their digest.
type Period string

// The periods.
const (
	Never  Period = "never"
	Daily  Period = "daily"
	Weekly Period = "weekly"
)

// Defaults returns the settings of an installation that nobody has set.
func Defaults() Settings {
	return Settings{
		ProductName: "Holdfast", StaleDays: 7, UndoDays: 7, StorageLowPercent: 10, DigestHour: 7, Zone: "UTC", AdminDigest: Weekly,
		MailsPerHour: 10, RunHistoryDays: 400, ReplicaKeepDays: 30, RetentionDays: 30,
	}
}

// field is a setting by the key under which it is stored.
type field struct {
	key  string
	name string // for people
	at   any    // pointer to the value
}

// fields lists every setting, in the order of the struct.
func (s *Settings) fields() []field {
	return []field{
		{"productName", "the product's name", &s.ProductName},
		{"staleDays", "the days until a device is stale", &s.StaleDays},
		{"undoDays", "the days of undoing", &s.UndoDays},
		{"defaultQuota", "the default quota", &s.DefaultQuota},
		{"storageLowPercent", "the per cent of free room that is low", &s.StorageLowPercent},
		{"digestHour", "the hour of digests", &s.DigestHour},
		{"zone", "the time zone", &s.Zone},
		{"adminDigest", "the administrators' digest", &s.AdminDigest},
		{"mailsPerHour", "the mails an hour", &s.MailsPerHour},
		{"runHistoryDays", "the days for which runs are kept", &s.RunHistoryDays},
		{"replicaKeepDays", "the days for which replicas keep what has left the store", &s.ReplicaKeepDays},
		{"retentionDays", "the days for which new policies keep snapshots", &s.RetentionDays},
		{"adminsNeedSecondFactor", "whether administrators need a second factor", &s.AdminsNeedSecondFactor},
	}
}
