package notice

// Kind is a kind of event that somebody is told.
type Kind struct {
	Name     string
	Title    string // for the list of preferences
	Severity Severity
	Mail     MailMode // by default
	Admin    bool     // told to administrators, about the installation
}

// Kinds is the closed set, in the order of the list of preferences.
var Kinds = []Kind{
	{"run.failed", "A backup failed", Error, Instant, false},
	{"run.missed", "A backup was missed", Error, Instant, false},
	{"run.warned", "A backup had unreadable files", Warning, Digest, false},
	{"run.succeeded", "A backup succeeded", Success, Digest, false},
	{"run.first", "A device's first backup is done", Success, Instant, false},
	{"application.failed", "A backup of an application failed", Error, Instant, false},
	{"application.missed", "A backup of an application was missed", Error, Instant, false},
	{"application.warned", "A backup of an application had unreadable files", Warning, Instant, false},
	{"application.succeeded", "A backup of an application succeeded", Success, None, false},
	{"application.removed", "A device has an application no more, and its schedules rest", Warning, Instant, false},
	{"application.reported", "A backup of an application that reports always succeeded", Success, Instant, false},
	{"restore.finished", "A restore has ended", Success, Instant, false},
	{"restore.failed", "A restore failed", Error, Instant, false},
	{"device.stale", "A device has not backed up for days", Error, Instant, false},
	{"device.enrolled", "A device was enrolled", Info, Instant, false},
	{"device.revoked", "A device was revoked", Info, Digest, false},
	{"account.login", "A login from a new place", Info, Instant, false},
	{"account.password", "The password was changed", Warning, Instant, false},
	{"account.recovery", "The recovery code was used or renewed", Warning, Instant, false},
	{"account.email", "The e-mail address was changed", Warning, Instant, false},
	{"account.second_factor", "The second factor was changed, or a wrong code was typed", Warning, Instant, false},
	{"account.reset", "The account was reset", Warning, Instant, false},
	{"account.role", "The role was changed", Info, Instant, false},
	{"quota.near", "The quota is nearly used up", Warning, Instant, false},
	{"storage.low", "The store is nearly full", Error, Instant, true},
	{"care.failed", "Care of the installation failed", Error, Instant, true},
	{"pack.damaged", "Stored data is damaged", Error, Instant, true},
	{"replica.behind", "A replica of the store fails or is behind", Error, Instant, true},
	{"fleet.stale", "Devices of the fleet have not backed up for days", Warning, Digest, true},
}

// kindOf returns a kind by its name, and for one that this program does not know, because a newer one wrote it, a quiet one
// and false.
func kindOf(name string) (Kind, bool) {
	for _, k := range Kinds {
		if k.Name == name {
			return k, true
		}
	}
	return Kind{Name: name, Severity: Info, Mail: Digest}, false
}

func isAdmin(kind string) bool {
	k, _ := kindOf(kind)
	return k.Admin
}
