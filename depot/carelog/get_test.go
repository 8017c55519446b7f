package carelog_test

import (
	"errors"
	"testing"

	"github.com/holdfast-backup/holdfast/depot/actor"
	"github.com/holdfast-backup/holdfast/depot/carelog"
	"github.com/holdfast-backup/holdfast/depot/pg/pgtest"
	"github.com/holdfast-backup/holdfast/wire/fault"
	"github.com/holdfast-backup/holdfast/wire/id"
)

func TestGet(t *testing.T) {
	t.Parallel()
	db, ctx := pgtest.New(t), t.Context()
	boss := actor.Actor{User: id.User{}.New(), Role: actor.Admin}
	for want, end := range map[string]func(id.Job) error{
		"It is under way.": func(id.Job) error { return nil },
		"It is done.":      func(j id.Job) error { return carelog.End(ctx, db, j, map[string]int{"packs": 3}, nil) },
		"the disk is full": func(j id.Job) error { return carelog.End(ctx, db, j, nil, errors.New("the disk is full")) },
	} {
		job, err := carelog.Begin(ctx, db, "gc", id.Space{})
		if err != nil {
			t.Fatal(err)
		}
		if err := end(job); err != nil {
			t.Fatal(err)
		}
		e, err := carelog.Get(ctx, db, boss, job)
		if err != nil {
			t.Fatal(err)
		}
		if e.ID != job || e.Kind != "gc" || e.Text() != want {
			t.Errorf("%+v: %s, want %s", e, e.Text(), want)
		}
	}
	if _, err := carelog.Get(ctx, db, boss, id.Job{}.New()); !errors.Is(err, fault.NotFound) {
		t.Error(err)
	}
	for _, a := range []actor.Actor{{}, {User: boss.User, Role: actor.Staff}} {
		if _, err := carelog.Get(ctx, db, a, id.Job{}.New()); err == nil || errors.Is(err, fault.NotFound) {
			t.Errorf("%+v: %v", a, err)
		}
	}
	db.Close()
	if _, err := carelog.Get(ctx, db, boss, id.Job{}.New()); err == nil {
		t.Error("it answers without a database")
	}
}
