package state

import (
	"strings"

	"github.com/holdfast-backup/holdfast/app/api"
)

// ReplicaState says in a colour and a word how a replica is doing.
func ReplicaState(r *api.ReplicaFields) (color, word string) {
	switch {
	case !r.Configured:
		return "secondary", "not configured"
	case r.Trouble != "":
		return "danger", "look at it"
	case r.FailingSince != nil:
		return "warning", "failing"
	case r.LagSince != nil:
		return "info", "copying"
	case r.ReachedAt == nil:
		return "info", "new"
	}
	return "success", "complete"
}

// ReplicaNote is what there is to say of a replica beside its numbers; "" if nothing.
func ReplicaNote(r *api.ReplicaFields) string {
	var notes []string
	switch {
	case r.Trouble != "":
		notes = append(notes, Capital(r.Trouble)+".")
	case r.Error != "":
		notes = append(notes, "The last try failed: "+r.Error+". It is tried again by itself.")
	}
	if r.Missing > 0 {
		notes = append(notes, "Missing from it when it was last compared, and copied again: "+Count(r.Missing, "pack", "packs")+".")
	}
	if r.Damaged > 0 {
		notes = append(notes, "Found wrong in it so far, and replaced: "+Count(r.Damaged, "copy", "copies")+".")
	}
	if r.Strays > 0 {
		notes = append(notes, "In it, not known here, and left alone: "+Count(r.Strays, "pack", "packs")+".")
	}
	return strings.Join(notes, " ")
}
