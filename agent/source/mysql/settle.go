package mysql

import (
	"bytes"
	"context"
	"database/sql"
	"errors"
	"slices"

	"github.com/go-sql-driver/mysql"
)

// settle makes the triggers, routines, views and events of a database those that are wanted, and drops the others of which it is told.
// What is as it should be is left alone, with the rights that were granted on it. Triggers come first: as long as they are missing, rows can be
// written without them. Views that are broken are not made again.
func (d *Database) settle(ctx context.Context, database string, want, others definitions, broken []string) error {
	have, err := d.definitions(ctx, database)
	if err != nil {
		return err
	}
	c, done, err := d.connect(ctx, database)
	if err != nil {
		return err
	}
	defer done()
	if err := d.settleTriggers(ctx, c, database, have.Triggers, want.Triggers); err != nil {
		return err
	}
	for _, k := range []struct{ have, want, others []object }{
		{have.Routines, want.Routines, others.Routines}, {have.Views, want.Views, others.Views}, {have.Events, want.Events, others.Events},
	} {
		var missing, unwanted []object
		for _, w := range k.want {
			if w.Kind == "VIEW" && slices.Contains(broken, w.Name) {
				continue
			}
			if i := find(k.have, w); i < 0 {
				missing = append(missing, w)
			} else if !equal(k.have[i], w) {
				if missing = append(missing, w); w.Kind != "VIEW" { // which is replaced
					unwanted = append(unwanted, w)
				}
			}
		}
		for _, o := range k.others {
			if find(k.want, o) < 0 && find(k.have, o) >= 0 {
				unwanted = append(unwanted, o)
			}
		}
		if err := d.take(ctx, c, database, unwanted); err != nil {
			return err
		}
		if err := d.create(ctx, c, missing); err != nil {
			return err
		}
		d.stop("created")
	}
	return nil
}

// settleTriggers makes the triggers of every table those that are wanted, in their order.
func (d *Database) settleTriggers(ctx context.Context, c *sql.Conn, database string, have, want []object) error {
	of := func(list []object) map[string][]object {
		m := map[string][]object{}
		for _, o := range list {
			m[o.Table] = append(m[o.Table], o)
		}
		return m
	}
	has, wants := of(have), of(want)
	for _, t := range want { // table by table, each at its first one
		list := wants[t.Table]
		if delete(wants, t.Table); list == nil || slices.EqualFunc(has[t.Table], list, equal) {
			continue
		}
		if err := d.take(ctx, c, database, has[t.Table]); err != nil {
			return err
		}
		if err := d.create(ctx, c, list); err != nil {
			return err
		}
		d.stop("triggered")
	}
	return nil
}

func find(list []object, o object) int {
	return slices.IndexFunc(list, func(l object) bool { return l.Kind == o.Kind && l.Name == o.Name })
}

func equal(a, b object) bool {
	return a.Kind == b.Kind && a.Name == b.Name && a.Table == b.Table && bytes.Equal(a.SQL, b.SQL) && a.Mode == b.Mode && a.Zone == b.Zone && a.Charset == b.Charset && a.Collation == b.Collation
}

// create creates objects. Views may stand on each other in any order, so those that cannot be made yet wait for the others.
func (d *Database) create(ctx context.Context, c *sql.Conn, list []object) error {
	for len(list) > 0 {
		var later []object
		var last error
		for _, o := range list {
			if err := d.createOr(ctx, c, o); err != nil {
				last = d.failed(ctx, err, "create "+o.Name)
				if o.Kind != "VIEW" {
					return last
				}
				later = append(later, o)
			}
		}
		if len(later) == len(list) {
			return last
		}
		list = later
	}
	return nil
}

// createOr creates an object; as our own if we may not create it as somebody else's.
func (d *Database) createOr(ctx context.Context, c *sql.Conn, o object) error {
	err := o.create(ctx, c)
	var e *mysql.MySQLError
	if !errors.As(err, &e) || e.Number != 1227 && e.Number != 1449 {
		return err
	}
	loc := definer.FindIndex(o.SQL)
	if loc == nil {
		return err
	}
	o.SQL = slices.Concat(o.SQL[:loc[0]], o.SQL[loc[1]:])
	return o.create(ctx, c)
}
