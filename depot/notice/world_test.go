package notice_test

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/jmoiron/sqlx"

	"github.com/holdfast-backup/holdfast/depot/actor"
	"github.com/holdfast-backup/holdfast/depot/mail"
	"github.com/holdfast-backup/holdfast/depot/mail/mailtest"
	"github.com/holdfast-backup/holdfast/depot/notice"
	"github.com/holdfast-backup/holdfast/depot/pg"
	"github.com/holdfast-backup/holdfast/depot/pg/pgtest"
	"github.com/holdfast-backup/holdfast/depot/setting"
	"github.com/holdfast-backup/holdfast/wire/id"
)

// world is a service on a database whose clock the test moves, with a mail server.
type world struct {
	*notice.Service
	t     testing.TB
	db    *sqlx.DB
	smtp  *mailtest.Server
	bus   *recorder
	cfg   notice.Config
	shift func(time.Duration)
}

// recorder is a bus that remembers who was rung.
type recorder struct {
	mu     sync.Mutex
	topics []string
}

func (r *recorder) Publish(_ context.Context, topic string, _ []byte) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.topics = append(r.topics, topic)
}

// rung returns who was, and forgets it.
func (r *recorder) rung() []string {
	r.mu.Lock()
	defer r.mu.Unlock()
	t := r.topics
	r.topics = nil
	return t
}

func newWorld(t testing.TB) *world {
	t.Helper()
	w := &world{t: t, bus: &recorder{}, smtp: mailtest.New(t, mailtest.Config{})}
	w.db, _, w.shift = pgtest.NewShifted(t)
	server, err := mail.ParseURL(w.smtp.URL("Backup <backup@example.org>"))
	w.ok(err)
	server.Timeout = 10 * time.Second
	w.cfg = notice.Config{DB: w.db, Bus: w.bus, Mail: mail.New(server), URL: "https://backup.example.org/"}
	w.Service = w.another()
	w.ok(w.startAt(3)) // an hour at which no digest is due
	return w
}

// another returns a service as on another server: it has read no settings yet.
func (w *world) another() *notice.Service {
	cfg := w.cfg
	cfg.Settings = setting.New(setting.Config{DB: w.db}).ForNotices
	return notice.New(cfg)
}

// set changes a setting, for a service that reads it anew.
func (w *world) set(key string, v any) {
	w.t.Helper()
	q := setSetting
	if _, ok := v.(int); ok {
		q = setNumber
	}
	w.exec(q, key, v)
	w.Service = w.another()
}

func (w *world) now() (t time.Time) {
	w.t.Helper()
	w.ok(w.db.Get(&t, atHour))
	return t.UTC()
}

// startAt moves the clock on to the next Monday, at the given hour of UTC.
func (w *world) startAt(hour int) error {
	now := w.now()
	next := time.Date(now.Year(), now.Month(), now.Day(), hour, 0, 0, 0, time.UTC)
	for next.Weekday() != time.Monday || !next.After(now) {
		next = next.AddDate(0, 0, 1)
	}
	w.shift(next.Sub(now))
	return nil
}

func (w *world) person(name string, role actor.Role) actor.Actor {
	w.t.Helper()
	a := actor.Actor{User: id.User{}.New(), Role: role}
	w.exec(insertUser, a.User, name+"@example.org", strings.ToUpper(name[:1])+name[1:], role)
	return a
}

func (w *world) device(owner actor.Actor) id.Device {
	w.t.Helper()
	d := id.Device{}.New()
	w.exec(insertDevice, d, owner.User, d[:])
	return d
}

// tell writes an event, a moment after the one before.
func (w *world) tell(to actor.Actor, kind, title string) {
	w.t.Helper()
	w.write(notice.Event{User: to.User, Kind: kind, Title: title, Body: "It happened. Look at it."})
}

func (w *world) write(e notice.Event) {
	w.t.Helper()
	w.ok(pg.InTx(context.Background(), w.db, func(tx *sqlx.Tx) error { return notice.Write(context.Background(), tx, e) }))
}

func (w *world) exec(q string, args ...any) {
	w.t.Helper()
	_, err := w.db.Exec(q, args...)
	w.ok(err)
}

func (w *world) lines(q string, args ...any) string {
	w.t.Helper()
	var l []string
	w.ok(w.db.Select(&l, q, args...))
	return strings.Join(l, ", ")
}

func (w *world) ok(err error) {
	if err != nil {
		w.t.Helper()
		w.t.Fatal(err)
	}
}

func (w *world) same(what string, got, want any) {
	w.t.Helper()
	if fmt.Sprint(got) != fmt.Sprint(want) {
		w.t.Errorf("%s: got  %v\nwant %v", what, got, want)
	}
}

// subjects of the mails that the server has, by address.
func (w *world) subjects() []string {
	var s []string
	for _, m := range w.smtp.Messages() {
		s = append(s, strings.Join(m.To, " ")+": "+m.Subject)
	}
	slices.Sort(s)
	return s
}

func titlesOf(list []*notice.Notification) string {
	var s []string
	for _, n := range list {
		s = append(s, n.Title)
	}
	return strings.Join(s, ", ")
}
