// Package audit keeps the log of what was done to accounts, devices and snapshots.
//
// A line is written in the same transaction as the deed, so neither exists without the other. It names who did
// it, whom it concerns, a stable word for programs and a sentence for people. It never holds a secret, and
// nothing in the product changes or deletes a line.
package audit

import (
	"context"
	"fmt"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/jmoiron/sqlx"

	"github.com/holdfast-backup/holdfast/depot/actor"
	"github.com/holdfast-backup/holdfast/depot/keyset"
	"github.com/holdfast-backup/holdfast/wire/fault"
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
	ID      id.Event  `db:"id"`
	At      time.Time `db:"at"`
	Kind    string    `db:"kind"`
	ActorID *id.User  `db:"actor_id"` // nil for the system, devices and deleted users
	OwnerID *id.User  `db:"owner_id"`
	Text    string    `db:"text"`
}

// Page is a part of the log, newest first.
type Page struct {
	Entries []*Entry
	HasNext bool // whether List with the last entry's cursor would give more
}

// MaxPage is the largest page that List gives.
const MaxPage = 200

// Write adds a line to the log as part of tx.
func Write(ctx context.Context, tx *sqlx.Tx, e Event) error {
	line := Entry{ID: id.Event{}.New(), Kind: e.Kind, Text: e.Text}
	if !e.Actor.IsDevice() && !e.Actor.User.IsZero() {
		line.ActorID = &e.Actor.User
	}
	if !e.Owner.IsZero() {
		line.OwnerID = &e.Owner
	}
	return insert(ctx, tx, line)
}

// Filter is which lines somebody looks for. Empty fields do not narrow it.
type Filter struct {
	Search string     // in the sentence, in any case
	Kind   string     // the word, or what it begins with before a dot: user finds user.suspended
	From   *time.Time // inclusive
	To     *time.Time // exclusive
}

// maxSearch is the length of a text that is looked for, in bytes.
const maxSearch = 200

func (f Filter) check() error {
	for field, s := range map[string]string{"search": f.Search, "kind": f.Kind} {
		if len(s) > maxSearch || !utf8.ValidString(s) || strings.ContainsRune(s, 0) {
			return fault.New(fault.Invalid, "%s: at most %d bytes of text", field, maxSearch)
		}
	}
	if f.From != nil && f.To != nil && !f.From.Before(*f.To) {
		return fault.New(fault.Invalid, "to: must be after from")
	}
	return nil
}

// List returns up to first lines that follow the cursor after (empty: from the newest on). Administrators see
// all of the log, others the lines that concern them or that they caused.
func List(ctx context.Context, db *sqlx.DB, a actor.Actor, first int, after string) (*Page, error) {
	return Find(ctx, db, a, Filter{}, first, after)
}

// Find is [List] of the lines that a filter lets through.
func Find(ctx context.Context, db *sqlx.DB, a actor.Actor, f Filter, first int, after string) (*Page, error) {
	if err := f.check(); err != nil {
		return nil, err
	}
	var scope *id.User
	if a.Require(actor.Admin) != nil {
		u, err := a.Person()
		if err != nil {
			return nil, err
		}
		scope = &u
	}
	if first < 0 || first > MaxPage {
		return nil, fault.New(fault.Invalid, "first: ask for 0 to %d", MaxPage)
	}
	from, err := keyset.Parse[id.Event](after, "the audit log")
	if err != nil {
		return nil, err
	}
	lines, err := list(ctx, db, scope, f, from, first+1)
	if err != nil {
		return nil, err
	}
	page := &Page{Entries: lines}
	if len(lines) > first {
		page.Entries, page.HasNext = lines[:first], true
	}
	return page, nil
}

// Cursor returns where e stands in the log, for [List].
func (e *Entry) Cursor() string { return keyset.Position[id.Event]{At: e.At, ID: e.ID}.Cursor() }

func wrap(err error) error {
	if err != nil {
		return fmt.Errorf("audit: %w", err)
	}
	return nil
}
