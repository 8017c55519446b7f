// Package carelog remembers what was done to look after the store: cleaning, scrubs, retention, copies of the database. It
// is what administrators look at when they ask whether all of that still happens.
//
// A run has one row, from its beginning on, so that one that is under way or was killed shows too. The row says nothing that
// decides anything: whether something is due is asked of the things themselves. Rows are kept for [Keep].
//
// A row without an end belongs to a run that is under way, or whose process was killed. After a day it counts as broken
// off; whoever begins the next run writes that down.
package carelog

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"github.com/jmoiron/sqlx"

	"github.com/holdfast-backup/holdfast/depot/actor"
	"github.com/holdfast-backup/holdfast/depot/keyset"
	"github.com/holdfast-backup/holdfast/wire/fault"
	"github.com/holdfast-backup/holdfast/wire/id"
)

// Keep is for how long rows are kept, by the database's clock.
const Keep = 90 * 24 * time.Hour

// MaxPage is the largest page that List gives.
const MaxPage = 200

// endWithin bounds the writing of an end whose run was cancelled.
const endWithin = 5 * time.Second

// Entry is one run.
type Entry struct {
	ID        id.Job     `db:"id"`
	Kind      string     `db:"kind"`  // gc, scrub, rebuild, retention, selfbackup, replicate, replica-check
	Space     *id.Space  `db:"space"` // nil: it was about the whole store
	StartedAt time.Time  `db:"started_at"`
	EndedAt   *time.Time `db:"ended_at"` // nil: under way, or killed
	OK        *bool      `db:"ok"`       // nil: likewise
	Report    []byte     `db:"report"`   // JSON; nil: none
	Error     *string    `db:"error"`
}

// Page is a part of the log, newest first.
type Page struct {
	Entries []*Entry
	HasNext bool // whether List with the last entry's cursor would give more
}

// Begin writes that a run of some kind has begun, about one space or, if it is zero, the whole store. Rows that are too old
// go, and runs that never ended count as broken off.
func Begin(ctx context.Context, db *sqlx.DB, kind string, space id.Space) (id.Job, error) {
	job := id.Job{}.New()
	if err := tidy(ctx, db, Keep); err != nil {
		return job, err
	}
	return job, insert(ctx, db, job, kind, space)
}

// End writes how a run ended: with cause, if that is not nil, and with a report that encoding/json can write. It does so though ctx
// is cancelled, since that is how many runs end. An unknown run is ignored.
func End(ctx context.Context, db *sqlx.DB, job id.Job, report any, cause error) error {
	b, err := json.Marshal(report)
	if err != nil {
		return fmt.Errorf("carelog: %w", err)
	}
	var text *string
	if cause != nil {
		s := cause.Error()
		text = &s
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), endWithin)
	defer cancel()
	return finish(ctx, db, job, b, text)
}

// Drop forgets a run that had nothing to do.
func Drop(ctx context.Context, db *sqlx.DB, job id.Job) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), endWithin)
	defer cancel()
	return remove(ctx, db, job)
}

// List returns up to first runs of a kind (empty: of all) that follow the cursor after (empty: from the newest on).
// Administrators and the system may ask.
func List(ctx context.Context, db *sqlx.DB, a actor.Actor, kind string, first int, after string) (*Page, error) {
	if err := a.Require(actor.Admin); err != nil {
		return nil, err
	}
	if first < 0 || first > MaxPage {
		return nil, fault.New(fault.Invalid, "first: ask for 0 to %d", MaxPage)
	}
	from, err := keyset.Parse[id.Job](after, "the log of care")
	if err != nil {
		return nil, err
	}
	rows, err := list(ctx, db, kind, from, first+1)
	if err != nil {
		return nil, err
	}
	page := &Page{Entries: rows}
	if len(rows) > first {
		page.Entries, page.HasNext = rows[:first], true
	}
	return page, nil
}

// Get returns one run. Administrators and the system may ask.
func Get(ctx context.Context, db *sqlx.DB, a actor.Actor, job id.Job) (*Entry, error) {
	if err := a.Require(actor.Admin); err != nil {
		return nil, err
	}
	rows, err := byID(ctx, db, job)
	switch {
	case err != nil:
		return nil, err
	case len(rows) == 0:
		return nil, fault.New(fault.NotFound, "there is no such job")
	}
	return rows[0], nil
}

// Text says in a sentence what came of a run.
func (e *Entry) Text() string {
	switch {
	case e.EndedAt == nil:
		return "It is under way."
	case e.Error != nil:
		return *e.Error
	}
	return "It is done."
}

// Cursor returns where e stands in the log, for [List].
func (e *Entry) Cursor() string { return keyset.Position[id.Job]{At: e.StartedAt, ID: e.ID}.Cursor() }
