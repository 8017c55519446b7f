package run

import (
	"context"
	"fmt"

	"github.com/jmoiron/sqlx"

	"github.com/holdfast-backup/holdfast/depot/notice"
	"github.com/holdfast-backup/holdfast/plan"
	"github.com/holdfast-backup/holdfast/wire/fault"
	"github.com/holdfast-backup/holdfast/wire/id"
)

// tell tells the owners of runs that have ended, as part of tx. Runs of one device's files, or of one application, that ended alike are one
// notification: one backup has answered them, or one night of absence has missed them.
func tell(ctx context.Context, tx *sqlx.Tx, rows []*row, n *news) error {
	type key struct {
		device id.Device
		app    id.Application // zero: files of the device
		kind   Kind
		state  State
	}
	groups := map[key][]*row{}
	var order []key
	for _, r := range rows {
		k := key{device: r.DeviceID, kind: r.Kind, state: r.State}
		if r.ApplicationID != nil {
			k.app = *r.ApplicationID
		}
		if groups[k] == nil {
			order = append(order, k)
		}
		groups[k] = append(groups[k], r)
	}
	for _, k := range order {
		group := groups[k]
		events := events(group)
		if k.app.IsZero() && k.kind == Backup && k.state.good() {
			ids := make([]id.Run, len(group))
			for i, r := range group {
				ids[i] = r.ID
			}
			old, err := hasSucceeded(ctx, tx, k.device, ids)
			if err != nil {
				return err
			}
			if !old {
				events = first(group[0], events)
			}
		}
		for _, e := range events {
			e.User, e.Device, e.Run = group[0].OwnerID, k.device, group[0].ID
			if err := notice.Write(ctx, tx, e); err != nil {
				return err
			}
			n.readers = append(n.readers, e.User)
		}
	}
	return nil
}

// first adds that it is the device's first backup, which stands for the news of its success.
func first(r *row, events []notice.Event) []notice.Event {
	e := notice.Event{Kind: "run.first", Title: fmt.Sprintf("The first backup of “%s” is done", r.Device),
		Body: fmt.Sprintf("%s of this device %s saved. From now on every backup stores only what has changed.", files(r.Files), verb(r.Files, "is", "are"))}
	if r.State == Succeeded {
		return []notice.Event{e}
	}
	return append(events, e)
}

// events gives what to say of runs of one device that ended alike.
func events(group []*row) []notice.Event {
	r := group[0]
	if r.ApplicationID != nil {
		return eventsOf(group)
	}
	e := notice.Event{}
	switch {
	case r.Kind == Restore && r.State.good():
		e.Kind = "restore.finished"
		e.Title = fmt.Sprintf("A restore on “%s” has ended", r.Device)
		e.Body = fmt.Sprintf("%s %s restored.", files(r.Files), verb(r.Files, "was", "were"))
		if r.State == Warned {
			e.Severity = notice.Warning
			e.Body = fmt.Sprintf("%s %s restored, %s %s not. Open the restore to see which, and why.",
				files(r.Files), verb(r.Files, "was", "were"), number(r.Problems), verb(r.Problems, "was", "were"))
		}
	case r.Kind == Restore && r.State == Failed:
		e.Kind = "restore.failed"
		e.Title = fmt.Sprintf("A restore on “%s” failed", r.Device)
		e.Body = sentence(r.Code) + " Order it again once that is mended."
	case r.Kind == Restore && r.State == Missed:
		e.Kind = "restore.failed"
		e.Title = fmt.Sprintf("A restore on “%s” was not begun", r.Device)
		e.Body = "The device was not heard of until its deadline. Switch it on, and order the restore again."
	case r.State == Succeeded:
		e.Kind = "run.succeeded"
		e.Title = fmt.Sprintf("“%s” is backed up", r.Device)
		e.Body = fmt.Sprintf("%s %s saved%s.", files(r.Files), verb(r.Files, "is", "are"), whose(group))
	case r.State == Warned:
		e.Kind = "run.warned"
		e.Title = fmt.Sprintf("%s of “%s” could not be read", files(r.Problems), r.Device)
		e.Body = fmt.Sprintf("%s %s saved%s. Open the backup to see what is missing, and why.", files(r.Files), verb(r.Files, "is", "are"), whose(group))
	case r.State == Failed:
		e.Kind = "run.failed"
		e.Title = fmt.Sprintf("The backup of “%s” failed", r.Device)
		e.Body = sentence(r.Code) + been(group)
	case r.State == Missed && len(group) == 1:
		e.Kind = "run.missed"
		e.Title = fmt.Sprintf("A backup of “%s” was missed", r.Device)
		e.Body = fmt.Sprintf("It was due%s, and the device was not heard of until its deadline. Switch it on and connect it, or ask for a backup now.", whose(group))
	case r.State == Missed:
		e.Kind = "run.missed"
		e.Title = fmt.Sprintf("%d backups of “%s” were missed", len(group), r.Device)
		e.Body = fmt.Sprintf("They were due%s, and the device was not heard of until their deadlines. Switch it on and connect it, or ask for a backup now.", whose(group))
	default:
		return nil // cancelled, or not over
	}
	return []notice.Event{e}
}

// whose says by which policy or schedule and for when the runs were due.
func whose(group []*row) string {
	var earliest, latest *row
	policies, kind, kinds := map[string]bool{}, "policy", "policies"
	for _, r := range group {
		if r.Policy != nil {
			policies[*r.Policy] = true
		}
		if r.ScheduleName != nil {
			policies[*r.ScheduleName], kind, kinds = true, "schedule", "schedules"
		}
		if r.Slot == nil {
			continue
		}
		if earliest == nil || r.Slot.Before(*earliest.Slot) {
			earliest = r
		}
		if latest == nil || r.Slot.After(*latest.Slot) {
			latest = r
		}
	}
	s := ""
	switch {
	case len(policies) == 1:
		for name := range policies {
			s = fmt.Sprintf(" by the %s “%s”", kind, name)
		}
	case len(policies) > 1:
		s = fmt.Sprintf(" by %d %s", len(policies), kinds)
	}
	switch {
	case latest == nil:
	case earliest.Slot.Equal(*latest.Slot):
		s += " for " + when(latest)
	default:
		s += " from " + when(earliest) + " to " + when(latest)
	}
	return s
}

// been says so too, in a sentence after another one; nothing of runs that somebody asked for.
func been(group []*row) string {
	if s := whose(group); s != "" {
		return " It had been due" + s + "."
	}
	return ""
}

// when gives the slot of a run on the clocks of its policy.
func when(r *row) string {
	name := "UTC"
	if r.Zone != nil {
		name = *r.Zone
	}
	zone, err := plan.LoadZone(name)
	if err != nil {
		return r.Slot.UTC().Format("2 January 2006, 15:04 UTC")
	}
	return r.Slot.In(zone).Format("2 January 2006, 15:04 MST")
}

func files(n int64) string {
	if n == 1 {
		return "1 file"
	}
	return number(n) + " files"
}

func verb(n int64, one, more string) string {
	if n == 1 {
		return one
	}
	return more
}

// number writes a count with commas.
func number(n int64) string {
	s := fmt.Sprint(n)
	for i := len(s) - 3; i > 0; i -= 3 {
		s = s[:i] + "," + s[i:]
	}
	return s
}

// Text returns a sentence about why the run, or its last attempt, failed; nil if it did not.
func (r *Run) Text() *string {
	s := "Somebody asked it to stop when it was too late for that: it came to its end."
	switch {
	case r.TooLate && r.State == Warned:
		s += " Not all files could be read or restored."
	case r.TooLate:
	case r.Code == nil:
		return nil
	default:
		s = sentence(r.Code)
	}
	return &s
}

func sentence(code *string) string {
	if code == nil {
		return "The device gave no reason."
	}
	if s, ok := sentences[*code]; ok {
		return s
	}
	return fmt.Sprintf("The device reports %s.", *code)
}

// sentences says for people what the codes mean. Those of wire/fault are what the server answered the device, or what the device
// found out by itself.
var sentences = map[string]string{
	AgentLost:                     "The device fell silent while it was at work: it was switched off, went to sleep or lost its connection.",
	AgentStopped:                  "The agent on the device was stopped while it was at work.",
	NoPolicy:                      "No policy says any more what to save on this device.",
	DeviceRevoked:                 "The device was revoked.",
	ApplicationRemoved:            "The device has the application no more.",
	"NOTHING_FOUND":               "None of the folders that are to be saved was found on the device, or they held less than can be true.",
	"DISK_FULL":                   "The disk of the device is full.",
	"NOT_READY":                   "Something that the application's backup or restore needs is not as it must be: the device says what to its owner.",
	"ORDER_REFUSED":               "The device refused the order: it was not sealed for it by its owner, has expired, or was carried out before.",
	string(fault.Invalid):         "The agent and the server do not understand one another: update the agent.",
	string(fault.NotFound):        "Something that it needed is not there any more.",
	string(fault.Unauthenticated): "The device's token is not valid any more: enrol it again.",
	string(fault.Forbidden):       "The device was not allowed to do this.",
	string(fault.Conflict):        "Something else on the device, or on the server, was in the way.",
	string(fault.SessionExpired):  "The device was silent for too long, so that its backup session ended.",
	string(fault.ObjectsMissing):  "Some of what the snapshot refers to is not stored.",
	string(fault.TooLarge):        "Something was larger than the server takes.",
	string(fault.TooMany):         "The server was asked too much at once.",
	string(fault.HashMismatch):    "What was sent arrived damaged.",
	string(fault.BadPack):         "What the agent sent is not a pack: update the agent.",
	string(fault.StorageFull):     "The server has no room left, or the quota is used up.",
	string(fault.Unavailable):     "The server could not be reached, or could not take the backup.",
	string(fault.ClientTooOld):    "The agent is too old for the server: update it.",
	string(fault.Internal):        "Something went wrong that should not: the agent's log has the details.",
}
