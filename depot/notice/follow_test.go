package notice_test

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/holdfast-backup/holdfast/depot/actor"
	"github.com/holdfast-backup/holdfast/depot/notice"
)

func TestFollow(t *testing.T) {
	t.Parallel()
	w, ctx := newWorld(t), t.Context()
	ada, bob := w.person("ada", actor.Staff), w.person("bob", actor.Staff)
	w.tell(ada, "run.failed", "before")
	late, err := w.db.BeginTxx(ctx, nil) // begun before, seen after
	w.ok(err)
	defer late.Rollback()
	w.ok(notice.Write(ctx, late, notice.Event{User: ada.User, Kind: "run.failed", Title: "late"}))

	f, err := w.Follow(ctx, ada)
	w.ok(err)
	look := func(want string, unread int) {
		t.Helper()
		got, n, err := f.Look(ctx)
		w.ok(err)
		w.same("what came", titlesOf(got), want)
		w.same("unread", n, unread)
	}
	look("", 1)
	w.tell(ada, "run.failed", "first")
	w.tell(bob, "run.failed", "bob's")
	w.tell(ada, "run.failed", "second")
	look("first, second", 3)
	look("", 3)
	w.ok(late.Commit())
	look("late", 4)
	look("", 4)
	_, err = w.MarkRead(ctx, ada, nil)
	w.ok(err)
	look("", 0)

	// More than one look gives, and none twice or left out, though they are within the overlap.
	want := []string{}
	for i := range 250 {
		w.tell(ada, "run.failed", fmt.Sprintf("n%03d", i))
		want = append(want, fmt.Sprintf("n%03d", i))
	}
	got := []string{}
	for {
		rows, n, err := f.Look(ctx)
		w.ok(err)
		if len(rows) == 0 {
			w.same("unread", n, 250)
			break
		}
		got = append(got, titlesOf(rows))
	}
	w.same("all of many", strings.Join(got, ", "), strings.Join(want, ", "))
	w.same("looks", len(got), 3)
	w.shift(time.Hour)
	w.tell(ada, "run.failed", "an hour later")
	look("an hour later", 251)
	look("", 251)
}

func TestFollowErrors(t *testing.T) {
	t.Parallel()
	w, ctx := newWorld(t), context.Background()
	ada := w.person("ada", actor.Staff)
	f, err := w.Follow(ctx, ada)
	w.ok(err)
	w.ok(w.db.Close())
	if rows, _, err := f.Look(ctx); err == nil {
		t.Error("it saw", rows)
	}
}
