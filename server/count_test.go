package server_test

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"fmt"
	"math"
	"sync/atomic"
	"testing"

	"github.com/jmoiron/sqlx"
	"github.com/lib/pq"

	"github.com/holdfast-backup/holdfast/depot/actor"
	"github.com/holdfast-backup/holdfast/depot/application"
	"github.com/holdfast-backup/holdfast/depot/blob/mem"
	"github.com/holdfast-backup/holdfast/depot/carelog"
	"github.com/holdfast-backup/holdfast/depot/catalog"
	"github.com/holdfast-backup/holdfast/depot/pg/pgtest"
	"github.com/holdfast-backup/holdfast/depot/policy"
	"github.com/holdfast-backup/holdfast/depot/run"
	"github.com/holdfast-backup/holdfast/wire/id"
)

// counting is a database/sql connector that counts statements.
type counting struct {
	driver.Connector
	n *atomic.Int64
}

func (c counting) Connect(ctx context.Context) (driver.Conn, error) {
	conn, err := c.Connector.Connect(ctx)
	return &countingConn{conn, c.n}, err
}

type countingConn struct {
	driver.Conn
	n *atomic.Int64
}

func (c *countingConn) QueryContext(ctx context.Context, q string, args []driver.NamedValue) (driver.Rows, error) {
	c.n.Add(1)
	return c.Conn.(driver.QueryerContext).QueryContext(ctx, q, args)
}

func (c *countingConn) ExecContext(ctx context.Context, q string, args []driver.NamedValue) (driver.Result, error) {
	c.n.Add(1)
	return c.Conn.(driver.ExecerContext).ExecContext(ctx, q, args)
}

func (c *countingConn) BeginTx(ctx context.Context, o driver.TxOptions) (driver.Tx, error) {
	return c.Conn.(driver.ConnBeginTx).BeginTx(ctx, o)
}

func (c *countingConn) CheckNamedValue(v *driver.NamedValue) error {
	if n, ok := c.Conn.(driver.NamedValueChecker); ok {
		return n.CheckNamedValue(v)
	}
	return driver.ErrSkip
}

// TestStatements pins how many statements the main queries make, and that rows do not add to them.
func TestStatements(t *testing.T) {
	t.Parallel()
	_, url := pgtest.NewURL(t)
	connector, err := pq.NewConnector(url)
	if err != nil {
		t.Fatal(err)
	}
	n := new(atomic.Int64)
	db := sqlx.NewDb(sql.OpenDB(counting{connector, n}), "postgres")
	t.Cleanup(func() { db.Close() })
	w := newWorldOn(t, db, mem.New(), nil)
	ada, boss := w.person("ada", actor.Staff), w.person("boss", actor.Admin)

	ctx := context.Background()
	w.nightly(boss, "Office")
	var last *device
	grow := func(round int) {
		for i := range 4 {
			d := w.device(ada, fmt.Sprint("d", round, i))
			last = d
			sn, _, _ := w.snapshot(d, 100)
			_, err := w.runs.OrderRestore(ctx, ada.Actor, d.ID, sn.ID, random(100))
			w.ok(err)
			work, err := w.runs.Take(ctx, d.Actor)
			w.ok(err)
			_, err = w.runs.End(ctx, d.Actor, run.EndInput{Runs: []id.Run{work.Runs[0].ID}, Lease: work.Lease, Outcome: run.OutcomeSucceeded})
			w.ok(err)
			_, err = w.runs.BackUpNow(ctx, boss.Actor, d.ID)
			w.ok(err)
			w.session(d)
			app := w.shop(d, "Shop")
			w.schedule(ada, app, "nightly")
			w.saved(d, app, catalog.MadeByBackup)
			_, err = w.runs.BackUpApplication(ctx, ada.Actor, run.ApplicationInput{Application: app.ID, Part: catalog.Full, Options: application.Options{Level: policy.Default}})
			w.ok(err)
			w.session(d)
			w.person("extra", actor.Staff)
			_, err = w.notices.SendTest(ctx, boss.Actor)
			w.ok(err)
			_, err = carelog.Begin(ctx, w.db, "gc", id.Space{})
			w.ok(err)
		}
	}
	tests := []struct {
		name, token, query string
		want               int64
	}{
		{"me", ada.Token, `{ me { id email } }`, 0},
		{"devices", ada.Token, `{ devices { id name owner { email } latestSnapshot { id device { name owner { name } } } activeBackup { id device { name } } } }`, 0},
		{"snapshots", ada.Token, `{ snapshots { edges { node { id device { id name owner { email } } } } totalCount } }`, 0},
		{"audit", boss.Token, `{ auditEvents { edges { node { text actor { name } } } } }`, 0},
		{"runs", ada.Token, `{ runs { edges { node { id state text device { name owner { email } } policy { name } askedBy { name } snapshot { id device { name } } } } totalCount } }`, 0},
		{"fleet's runs", boss.Token, `{ runs(fleet: true) { edges { node { id device { name owner { email } } askedBy { name } snapshot { id } } } totalCount } }`, 0},
		{"health", ada.Token, `{ devices { id health { state lastRun { id state } nextDueAt } runs(first: 3) { id state } } }`, 0},
		{"users", boss.Token, `{ users { edges { node { id email role } } totalCount } }`, 0},
		{"notifications", ada.Token, `{ notifications { edges { node { id title device { name owner { name } } run { id } } } unreadCount } }`, 0},
		{"mails", boss.Token, `{ mails { edges { node { id subject } } } }`, 0},
		{"applications", ada.Token, `{ applications { id name device { name owner { name } } stats { backups bytes lastRun { id state } trend { bytes } } schedules { id name next application { name } } nextDueAt } }`, 0},
		{"fleet's applications", boss.Token, `{ applications(fleet: true) { id device { name owner { name } } stats { failed } schedules { id } nextDueAt } }`, 0},
		{"labels", ada.Token, `{ runs { edges { node { id application { name } schedule { name } } } } }`, 0},
		{"jobs", boss.Token, `{ jobs { edges { node { id text } } } }`, 0},
	}
	grow(0)
	for i := range tests {
		tt := &tests[i]
		if r := w.gql(tt.token, tt.query, nil); r.code() != "" {
			t.Fatal(tt.name, r.Raw)
		}
		tt.want = least(n, func() { w.gql(tt.token, tt.query, nil) })
		t.Logf("%s: %d statements", tt.name, tt.want)
	}
	most := map[string]int64{"me": 2, "devices": 10, "snapshots": 8, "audit": 4, "users": 4, "runs": 8, "fleet's runs": 6, "health": 8, "notifications": 6, "mails": 2, "jobs": 2, "applications": 9, "fleet's applications": 7, "labels": 4}
	grow(1)
	for _, tt := range tests {
		got := least(n, func() { w.gql(tt.token, tt.query, nil) })
		if got > tt.want || got > most[tt.name] {
			t.Errorf("%s: %d statements, with fewer rows it made %d; the limit is %d", tt.name, got, tt.want, most[tt.name])
		}
	}

	// What every device does every few minutes, and every few seconds while it is at work. BEGIN and COMMIT are not counted.
	take := `mutation { takeWork { runs { id } lease lookAgain } }`
	work := w.fine(last.Token, take, nil)
	keep := func() {
		w.fine(last.Token, `mutation($input: KeepRunsInput!) { keepRuns(input: $input) { cancel } }`, input("runs", []any{at(work, "runs", 0, "id")}, "lease", work["lease"], "phase", "scan"))
	}
	for _, c := range []struct {
		name string
		do   func()
		most int64
	}{
		{"keepRuns", keep, 5},
		{"takeWork without work", func() { w.fine(last.Token, take, nil) }, 7},
	} {
		c.do() // seen
		n.Store(0)
		if c.do(); n.Load() > c.most {
			t.Errorf("%s: %d statements, the limit is %d", c.name, n.Load(), c.most)
		}
		t.Logf("%s: %d statements", c.name, n.Load())
	}
}

// least counts the statements that something needs: the fewest of a few tries. On a busy machine a loader's moment may
// end before all have asked, and it asks twice; statements that grow with the rows do so in every try.
func least(n *atomic.Int64, do func()) int64 {
	fewest := int64(math.MaxInt64)
	for range 5 {
		n.Store(0)
		do()
		fewest = min(fewest, n.Load())
	}
	return fewest
}
