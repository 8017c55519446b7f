// Package audit keeps the log of what was done to accounts, devices and snapshots.
//
// A line is written in the same transaction as the deed, so neither exists without the other. It names who did
// it, whom it concerns, a stable word for programs and a sentence for people. It never holds a secret, and
// nothing in the product changes or deletes a line.
package audit

import (
	"context"
	"time"

	"github.com/jmoiron/sqlx"

	"github.com/holdfast-backup/holdfast/depot/actor"
	"github.com/holdfast-backup/holdfast/wire/id"
)

// Event is what to write.
type Event struct {
	Kind  string      // a stable word such as user.suspended
	Actor actor.Actor // who did it; devices and the system are written as nobody: the text names them
	Owner id.User     // whom it concerns, who may read the line; zero: only administrators may
	Text  string      // a sentence for people
}

// Entry is a line of the log: GraphQL's AuditEvent.
type Entry struct {
	ID      id.Event
	At      time.Time
	Kind    string
	ActorID *id.User // null for the system, devices and deleted users
	OwnerID *id.User
	Text    string
}

// Page is a part of the log, newest first.
type Page struct {
	Entries []*Entry
	HasNext bool // whether List with the last entry's cursor would give more
}

// Cursor returns where e stands in the log, for [List].
func (e *Entry) Cursor() string { panic("unwritten") }

// MaxPage is the largest page that List gives.
const MaxPage = 200

// Write adds a line to the log as part of tx.
func Write(ctx context.Context, tx *sqlx.Tx, e Event) error { panic("unwritten") }

// List returns up to first lines that follow the cursor after (empty: from the newest on). Administrators see
// all of the log, others the lines that concern them or that they caused.
func List(ctx context.Context, db *sqlx.DB, a actor.Actor, first int, after string) (*Page, error) {
	panic("unwritten")
}
