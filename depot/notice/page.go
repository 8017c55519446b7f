package notice

import (
	"github.com/holdfast-backup/holdfast/depot/keyset"
	"github.com/holdfast-backup/holdfast/wire/fault"
)

// MaxPage is the largest page of notifications and of mails, and the most that [Service.MarkRead] takes at once.
const MaxPage = 200

// parsePage checks the arguments of a list. An empty cursor is nil: from the newest on.
func parsePage[ID ~[16]byte](first int, after string) (*keyset.Position[ID], error) {
	if first < 0 || first > MaxPage {
		return nil, fault.New(fault.Invalid, "first: ask for 0 to %d", MaxPage)
	}
	return keyset.Parse[ID](after, "this list")
}
