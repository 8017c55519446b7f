package mysql

import (
	"context"
	"database/sql"
	"errors"
	"strings"

	"github.com/go-sql-driver/mysql"

	"github.com/holdfast-backup/holdfast/wire/fault"
)

// prepare reads what beside tables both sides have, and writes down that the swap begins.
func (d *Database) prepare(ctx context.Context, j *journal, f *filter) (err error) {
	if j.New, err = d.definitions(ctx, j.Fresh); err != nil {
		return err
	}
	j.New.Events = f.armed(j.New.Events)
	if j.NewTables, err = d.tables(ctx, j.Fresh, true); err != nil {
		return err
	}
	if !j.Made {
		if j.Was, err = d.definitions(ctx, j.Target); err != nil {
			return err
		}
		if j.OldTables, err = d.tables(ctx, j.Target, true); err != nil {
			return err
		}
	}
	j.Swapping = true
	if err := d.write(j); err != nil {
		return err
	}
	d.stop("prepared")
	return nil
}

// swap puts the fresh database in the place of the live one. Once it has begun it goes on to an end, whatever becomes of ctx.
func (d *Database) swap(ctx context.Context, j *journal) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), cleanUp)
	defer cancel()
	if err := d.move(ctx, j); err != nil {
		moved, e := d.moved(ctx, j)
		if e != nil || moved { // the answer was lost: Mend finds out, now or when the server is there again
			return errors.Join(err, e)
		}
		return errors.Join(err, d.back(ctx, j))
	}
	d.stop("moved")
	return d.forward(ctx, j)
}

// move takes triggers and events away and moves all tables at once.
func (d *Database) move(ctx context.Context, j *journal) error {
	if err := d.makeIfMissing(ctx, j, j.Old); err != nil {
		return err
	}
	if err := d.makeIfMissing(ctx, j, j.Target); err != nil {
		return err
	}
	d.stop("made")
	c, done, err := d.connect(ctx, j.Target)
	if err != nil {
		return err
	}
	defer done()
	if _, err := c.ExecContext(ctx, "SET SESSION lock_wait_timeout = 60"); err != nil {
		return d.failed(ctx, err, "wait for locks")
	}
	for _, side := range []struct {
		database string
		list     []object
	}{{j.Target, j.Was.Events}, {j.Target, j.Was.Triggers}, {j.Fresh, j.New.Triggers}} {
		for _, o := range side.list {
			if err := o.drop(ctx, c, side.database); err != nil {
				return d.failed(ctx, err, "take away "+o.Name)
			}
		}
	}
	d.stop("bare")
	var moves []string
	for _, t := range j.OldTables {
		moves = append(moves, in(j.Target, t)+" TO "+in(j.Old, t))
	}
	for _, t := range j.NewTables {
		moves = append(moves, in(j.Fresh, t)+" TO "+in(j.Target, t))
	}
	if len(moves) == 0 {
		return nil
	}
	_, err = c.ExecContext(ctx, "RENAME TABLE "+strings.Join(moves, ", "))
	return d.failed(ctx, err, "move the tables")
}

// makeIfMissing creates a database like the target, unless it is there.
func (d *Database) makeIfMissing(ctx context.Context, j *journal, name string) error {
	exists, err := d.exists(ctx, name)
	if err != nil || exists {
		return err
	}
	return d.makeDatabase(ctx, j, name)
}

// moved reports whether the tables were moved.
func (d *Database) moved(ctx context.Context, j *journal) (bool, error) {
	if len(j.NewTables) > 0 {
		left, err := d.tables(ctx, j.Fresh, true)
		return len(left) == 0, err
	}
	old, err := d.tables(ctx, j.Old, true)
	return len(old) == len(j.OldTables), err
}

// forward makes everything else of the live database what the new one has, and drops what is left. It may be done again.
func (d *Database) forward(ctx context.Context, j *journal) error {
	c, done, err := d.connect(ctx, j.Target)
	if err != nil {
		return err
	}
	defer done()
	for _, list := range [][]object{j.Was.Events, j.Was.Triggers, j.Was.Views, j.Was.Routines, j.New.Events, j.New.Triggers, j.New.Views, j.New.Routines} {
		for _, o := range list {
			if err := o.drop(ctx, c, j.Target); err != nil {
				return d.failed(ctx, err, "take away "+o.Name)
			}
		}
	}
	for _, list := range [][]object{j.New.Routines, j.New.Views, j.New.Triggers, j.New.Events} {
		if err := d.createAll(ctx, c, list); err != nil {
			return err
		}
		d.stop("created")
	}
	return d.clear(ctx, j)
}

// back gives the live database what move has taken away, and drops what was loaded. It may be done again.
func (d *Database) back(ctx context.Context, j *journal) error {
	if j.Made {
		if left, err := d.tables(ctx, j.Target, true); err != nil {
			return err
		} else if len(left) == 0 {
			if err := d.dropDatabase(ctx, j.Target); err != nil {
				return err
			}
		}
		return d.clear(ctx, j)
	}
	c, done, err := d.connect(ctx, j.Target)
	if err != nil {
		return err
	}
	defer done()
	for _, list := range [][]object{j.Was.Triggers, j.Was.Events} {
		for _, o := range list {
			if err := o.drop(ctx, c, j.Target); err != nil {
				return d.failed(ctx, err, "take away "+o.Name)
			}
		}
		if err := d.createAll(ctx, c, list); err != nil {
			return err
		}
	}
	return d.clear(ctx, j)
}

// createAll creates objects in a database. Views may stand on each other in any order, so those that cannot be made yet wait for the
// others.
func (d *Database) createAll(ctx context.Context, c *sql.Conn, list []object) error {
	for len(list) > 0 {
		var later []object
		var last error
		for _, o := range list {
			if err := d.createOr(ctx, c, o); err != nil {
				if o.Kind != "VIEW" {
					return d.failed(ctx, err, "create "+o.Name)
				}
				later, last = append(later, o), d.failed(ctx, err, "create the view "+o.Name)
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
	o.SQL = append(append([]byte{}, o.SQL[:loc[0]]...), o.SQL[loc[1]:]...)
	return o.create(ctx, c)
}

// clear drops the two databases beside the live one, and the journal.
func (d *Database) clear(ctx context.Context, j *journal) error {
	for _, name := range []string{j.Fresh, j.Old} {
		if err := d.dropDatabase(ctx, name); err != nil {
			return err
		}
		d.stop("cleared")
	}
	return d.forget()
}

// Mend takes back a restore that was killed before its tables moved, and finishes one that was killed after that.
func (d *Database) Mend(ctx context.Context) (string, error) {
	j, err := d.journal()
	if err != nil || j == nil {
		return "", err
	}
	if _, err := d.server(ctx); err != nil {
		return "", err
	}
	if !j.Swapping {
		if err := d.remove(ctx, j); err != nil {
			return "", err
		}
		return "a restore that had not begun to change " + j.Target + " was removed", nil
	}
	moved, err := d.moved(ctx, j)
	if err != nil {
		return "", err
	}
	if moved {
		if err := d.forward(ctx, j); err != nil {
			return "", fault.Wrap(err, fault.KindOf(err), "a restore of %s was begun and cannot be finished: %s", j.Target, sentence(err))
		}
		return "a restore of " + j.Target + " was finished", nil
	}
	if err := d.back(ctx, j); err != nil {
		return "", fault.Wrap(err, fault.KindOf(err), "a restore of %s was begun and cannot be taken back: %s", j.Target, sentence(err))
	}
	return "a restore of " + j.Target + " was taken back", nil
}
