package mysql

import (
	"context"
	"database/sql"
	"errors"
	"slices"
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
		if j.Broken, err = d.broken(ctx, j.Target); err != nil {
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
	err := d.move(ctx, j)
	if err == nil {
		d.stop("moved")
		err = d.forward(ctx, j)
	}
	if err == nil {
		return nil
	}
	if _, e := d.takeBack(ctx, j); e != nil { // Mend does, when the server is there again
		return errors.Join(err, e)
	}
	return err
}

// move takes triggers and events away and moves all tables at once.
func (d *Database) move(ctx context.Context, j *journal) error {
	for _, name := range []string{j.Old, j.Target} {
		if err := d.makeIfMissing(ctx, j, name); err != nil {
			return err
		}
	}
	if taken, err := d.tables(ctx, j.Target, true); err != nil {
		return err
	} else if j.Made && len(taken) > 0 {
		return fault.New(fault.Conflict, "somebody else has made a database %s meanwhile: choose another name", j.Target)
	}
	d.stop("made")
	c, done, err := d.connect(ctx, j.Target)
	if err != nil {
		return err
	}
	defer done()
	if err := d.take(ctx, c, j.Target, j.Was.Events, named(j.Was.Views, j.NewTables), j.Was.Triggers); err != nil {
		return err
	}
	if err := d.take(ctx, c, j.Fresh, j.New.Triggers); err != nil {
		return err
	}
	d.stop("bare")
	moves, _, err := d.moves(ctx, j)
	if err != nil {
		return err
	}
	return d.rename(ctx, c, moves)
}

// named are the views that have a table's name, and so are in its way.
func named(views []object, tables []string) (in []object) {
	for _, v := range views {
		if slices.Contains(tables, v.Name) {
			in = append(in, v)
		}
	}
	return in
}

// take takes objects away from a database, if they are there.
func (d *Database) take(ctx context.Context, c *sql.Conn, database string, lists ...[]object) error {
	for _, list := range lists {
		for _, o := range list {
			if err := o.drop(ctx, c, database); err != nil {
				return d.failed(ctx, err, "take away "+o.Name)
			}
		}
	}
	return nil
}

// moves returns what is left to be renamed, and whether some of it was done already. It is all or nothing, but for old servers
// that were killed in that moment.
func (d *Database) moves(ctx context.Context, j *journal) (moves []string, begun bool, err error) {
	left, err := d.tables(ctx, j.Fresh, true)
	if err != nil {
		return nil, false, err
	}
	out, err := d.tables(ctx, j.Old, true)
	if err != nil {
		return nil, false, err
	}
	for _, t := range j.OldTables {
		if slices.Contains(out, t) {
			begun = true
		} else {
			moves = append(moves, in(j.Target, t)+" TO "+in(j.Old, t))
		}
	}
	for _, t := range j.NewTables {
		if slices.Contains(left, t) {
			moves = append(moves, in(j.Fresh, t)+" TO "+in(j.Target, t))
		} else {
			begun = true
		}
	}
	return moves, begun || len(moves) == 0, nil
}

func (d *Database) rename(ctx context.Context, c *sql.Conn, moves []string) error {
	if len(moves) == 0 {
		return nil
	}
	_, err := c.ExecContext(ctx, "RENAME TABLE "+strings.Join(moves, ", "))
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

// forward makes everything else of the live database what the new one has, and drops what is left. It may be done again.
func (d *Database) forward(ctx context.Context, j *journal) error {
	if err := d.settle(ctx, j.Target, j.New, j.Was, nil); err != nil {
		return err
	}
	return d.clear(ctx, j)
}

// takeBack makes the live database what it was, and drops the new one. It may be done again. It reports whether there was something
// to take back: a restore that has got as far as dropping the old tables is finished instead.
func (d *Database) takeBack(ctx context.Context, j *journal) (bool, error) {
	if j.Ended {
		return false, d.clear(ctx, j)
	}
	_, begun, err := d.moves(ctx, j)
	if err != nil {
		return false, err
	}
	if begun {
		if err := d.moveBack(ctx, j); err != nil {
			return false, err
		}
	}
	if !j.Made {
		// A view that was broken cannot be made again where it was replaced.
		if err := d.settle(ctx, j.Target, j.Was, j.New, j.Broken); err != nil {
			return false, err
		}
	} else if left, err := d.tables(ctx, j.Target, true); err != nil {
		return false, err
	} else if len(left) == 0 { // else it is somebody else's
		if err := d.dropDatabase(ctx, j.Target); err != nil {
			return false, err
		}
	}
	return true, d.clear(ctx, j)
}

// moveBack is the other way about of move.
func (d *Database) moveBack(ctx context.Context, j *journal) error {
	c, done, err := d.connect(ctx, j.Target)
	if err != nil {
		return err
	}
	defer done()
	if err := d.take(ctx, c, j.Target, j.New.Events, j.New.Triggers, named(j.New.Views, j.OldTables)); err != nil {
		return err
	}
	live, err := d.tables(ctx, j.Target, true)
	if err != nil {
		return err
	}
	left, err := d.tables(ctx, j.Fresh, true)
	if err != nil {
		return err
	}
	out, err := d.tables(ctx, j.Old, true)
	if err != nil {
		return err
	}
	var moves []string
	for _, t := range j.NewTables {
		if slices.Contains(live, t) && !slices.Contains(left, t) {
			moves = append(moves, in(j.Target, t)+" TO "+in(j.Fresh, t))
		}
	}
	for _, t := range j.OldTables {
		if slices.Contains(out, t) {
			moves = append(moves, in(j.Old, t)+" TO "+in(j.Target, t))
		}
	}
	return d.rename(ctx, c, moves)
}

// clear drops the two databases beside the live one, and the journal. Which of them was live is not asked any more.
func (d *Database) clear(ctx context.Context, j *journal) error {
	if !j.Ended {
		j.Ended = true
		if err := d.write(j); err != nil {
			return err
		}
	}
	d.stop("ended")
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
	if err := d.tidy(); err != nil {
		return "", err
	}
	j, err := d.journal()
	if err != nil || j == nil {
		return "", err
	}
	if _, err := d.server(ctx); err != nil {
		return "", err
	}
	ctx, cancel := context.WithTimeout(ctx, cleanUp)
	defer cancel()
	if !j.Swapping {
		if err := d.remove(ctx, j); err != nil {
			return "", err
		}
		return "a restore that had not begun to change " + j.Target + " was removed", nil
	}
	if j.Ended {
		if err := d.clear(ctx, j); err != nil {
			return "", err
		}
		return "what a restore of " + j.Target + " had left was removed", nil
	}
	if finished, err := d.finish(ctx, j); err == nil && finished {
		return "a restore of " + j.Target + " was finished", nil
	} else if err != nil && !answered(err) { // the server is away
		return "", err
	}
	if _, err := d.takeBack(ctx, j); err != nil {
		return "", fault.Wrap(err, fault.KindOf(err), "a restore of %s was begun, and can be neither finished nor taken back: %s", j.Target, sentence(err))
	}
	return "a restore of " + j.Target + " was taken back", nil
}

// finish brings forward a restore whose tables have begun to move.
func (d *Database) finish(ctx context.Context, j *journal) (bool, error) {
	moves, begun, err := d.moves(ctx, j)
	if err != nil || !begun {
		return false, err
	}
	c, done, err := d.connect(ctx, j.Target)
	if err != nil {
		return false, err
	}
	err = d.rename(ctx, c, moves)
	if done(); err != nil {
		return false, err
	}
	return true, d.forward(ctx, j)
}

// answered reports whether an error is the server's answer, and not its silence.
func answered(err error) bool {
	var e *mysql.MySQLError
	return errors.As(err, &e)
}
