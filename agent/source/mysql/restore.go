package mysql

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"io"
	"sort"
	"strings"

	"github.com/holdfast-backup/holdfast/agent/source"
	"github.com/holdfast-backup/holdfast/vault/dump"
	"github.com/holdfast-backup/holdfast/wire/fault"
)

// Restore loads a dump beside the target and swaps.
func (d *Database) Restore(ctx context.Context, in io.Reader, o source.Restore, progress func(bytes int64)) error {
	if o.Format != dump.MySQLSQL {
		return fault.New(fault.Invalid, "a dump of the kind %q cannot be loaded into MySQL or MariaDB", o.Format)
	}
	return d.build(ctx, o, func(s server, j *journal) (*filter, error) { return d.load(ctx, s, j, in, o.Want, progress) })
}

// build lets fill make a fresh database and fill it, and swaps.
func (d *Database) build(ctx context.Context, o source.Restore, fill func(server, *journal) (*filter, error)) error {
	s, err := d.server(ctx)
	if err != nil {
		return err
	}
	if j, err := d.journal(); err != nil {
		return err
	} else if j != nil {
		return fault.New(fault.Conflict, "an earlier restore of %s is not finished: it must be mended first", j.Target)
	}
	j, err := d.plan(ctx, o)
	if err != nil {
		return err
	}
	if err := d.write(j); err != nil {
		return err
	}
	d.stop("planned")
	f, err := fill(s, j)
	if err == nil {
		d.stop("loaded")
		err = d.prepare(ctx, j, f)
	}
	if err != nil {
		return errors.Join(err, d.remove(ctx, j))
	}
	return d.swap(ctx, j)
}

// plan decides on names, and refuses what cannot be.
func (d *Database) plan(ctx context.Context, o source.Restore) (*journal, error) {
	target, err := d.target(o)
	if err != nil {
		return nil, err
	}
	exists, err := d.exists(ctx, target)
	if err != nil {
		return nil, err
	}
	if o.As != "" && exists {
		return nil, fault.New(fault.Conflict, "there is a database %s already: choose another name", target)
	}
	var id [4]byte
	rand.Read(id[:])
	j := &journal{Version: 1, Target: target, Made: !exists}
	j.Fresh = target + mark + hex.EncodeToString(id[:])
	j.Old = j.Fresh + oldEnd
	err = d.db.QueryRowContext(ctx, "SELECT default_character_set_name, default_collation_name FROM information_schema.schemata WHERE schema_name IN (?, ?)"+
		" ORDER BY schema_name = ? DESC LIMIT 1", target, d.at.name, target).Scan(&j.Charset, &j.Collation)
	if err != nil && !exists { // nothing to be like
		err = d.db.QueryRowContext(ctx, "SELECT @@character_set_server, @@collation_server").Scan(&j.Charset, &j.Collation)
	}
	if err != nil {
		return nil, d.failed(ctx, err, "tell the character set of "+target)
	}
	others, err := d.referrers(ctx, target)
	if err == nil && others != "" {
		err = fault.New(fault.Conflict, "%s", others)
	}
	if err != nil {
		return nil, err
	}
	r, err := d.rights(ctx)
	if err != nil {
		return nil, err
	}
	if wanting := d.wanting(r, target); len(wanting) > 0 {
		return nil, fault.New(fault.Forbidden, "%s", strings.Join(wanting, "; "))
	}
	return j, nil
}

// referrers returns a sentence about tables of other databases whose foreign keys would go on pointing at the old tables; "" if there are none.
func (d *Database) referrers(ctx context.Context, target string) (string, error) {
	rows, err := d.db.QueryContext(ctx, "SELECT DISTINCT CONCAT(table_schema, '.', table_name) FROM information_schema.key_column_usage"+
		" WHERE referenced_table_schema = ? AND table_schema <> ? ORDER BY 1", target, target)
	if err != nil {
		return "", d.failed(ctx, err, "tell what refers to "+target)
	}
	others, err := names(rows)
	if err != nil || len(others) == 0 {
		return "", d.failed(ctx, err, "tell what refers to "+target)
	}
	return "tables of other databases refer to " + target + " by foreign keys, which would go on pointing at the old tables: restore a copy, or drop the keys of " + strings.Join(others, ", ") + " first", nil
}

// load makes the fresh database and fills it.
func (d *Database) load(ctx context.Context, s server, j *journal, in io.Reader, want []dump.Table, progress func(int64)) (*filter, error) {
	r, err := d.rights(ctx)
	if err != nil {
		return nil, err
	}
	t, err := d.find(ctx, clients(s))
	if err != nil {
		return nil, err
	}
	if err := d.makeDatabase(ctx, j, j.Fresh); err != nil {
		return nil, err
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	cmd, said, forget, err := d.command(ctx, t, "--binary-mode", "--batch", "--unbuffered", "--default-character-set=utf8mb4", "--max-allowed-packet=1G", "--database="+j.Fresh)
	if err != nil {
		return nil, err
	}
	defer forget()
	pipe, err := cmd.StdinPipe()
	if err == nil {
		err = cmd.Start()
	}
	if err != nil {
		return nil, fault.Wrap(err, fault.Unavailable, "%s could not be started", t.path)
	}
	f := &filter{out: &pipeOut{pipe}, fresh: j.Fresh, enabled: map[string]bool{}}
	f.definer = r.everywhere("SUPER") || r.everywhere("SET USER") || r.everywhere("SET_USER_ID") || r.everywhere("SET_ANY_DEFINER")
	scan := dump.NewMySQLStatements(f.pass)
	err = feed(ctx, scan, in, progress, d.stop)
	if err != nil && !errors.Is(err, errPipe) {
		cancel() // whatever else it has in its pipe is not wanted
		cmd.Wait()
		return nil, err
	}
	pipe.Close()
	if e := ended(ctx, t, cmd.Wait(), said); e != nil {
		return nil, e
	} else if err != nil {
		return nil, fault.Wrap(err, fault.Unavailable, "%s stopped reading", t.path)
	}
	if !scan.Whole() {
		return nil, fault.New(fault.Invalid, "the dump breaks off: its last line, \"-- Dump completed\", is not there")
	}
	if want == nil {
		want = scan.Tables()
	}
	return f, d.compare(ctx, j.Fresh, want)
}

// errPipe says that the program does not read any more; why is for the program to say.
var errPipe = errors.New("the pipe is closed")

type pipeOut struct{ io.Writer }

func (p *pipeOut) Write(b []byte) (int, error) {
	n, err := p.Writer.Write(b)
	if err != nil {
		err = errors.Join(errPipe, err)
	}
	return n, err
}

// feed gives all of in to the scan.
func feed(ctx context.Context, scan *dump.MySQLStatements, in io.Reader, progress func(int64), stop func(string)) error {
	buf := make([]byte, 256<<10)
	for total, last := int64(0), false; !last; {
		n, err := in.Read(buf)
		if err != nil && err != io.EOF {
			return err
		}
		if ctx.Err() != nil {
			return ctx.Err()
		}
		if _, err := scan.Write(buf[:n]); err != nil {
			return err
		}
		if last = err == io.EOF; n > 0 {
			total += int64(n)
			if progress != nil {
				progress(total)
			}
			stop("loading")
		}
	}
	return scan.Close()
}

// compare counts the rows of a database's tables.
func (d *Database) compare(ctx context.Context, database string, want []dump.Table) error {
	tables, err := d.tables(ctx, database, false)
	if err != nil {
		return err
	}
	var lower int
	if err := d.db.QueryRowContext(ctx, "SELECT @@lower_case_table_names").Scan(&lower); err != nil {
		return d.failed(ctx, err, "tell how it writes names")
	}
	have := map[string]bool{}
	for _, t := range tables {
		have[t] = true
	}
	for _, w := range want {
		name := w.Name
		if lower == 1 {
			name = strings.ToLower(name)
		}
		if !have[name] {
			return fault.New(fault.Invalid, "the table %s is not there after loading the dump, which should have it", w.Name)
		}
		delete(have, name)
		var rows int64
		if err := d.db.QueryRowContext(ctx, "SELECT COUNT(*) FROM "+in(database, name)).Scan(&rows); err != nil {
			return d.failed(ctx, err, "count the rows of "+name)
		}
		if rows != w.Rows {
			return fault.New(fault.Invalid, "the table %s has %d rows after loading the dump, and should have %d", w.Name, rows, w.Rows)
		}
	}
	for t := range have {
		return fault.New(fault.Invalid, "the table %s is there after loading the dump, and should not be", t)
	}
	return nil
}

// tables returns a database's tables by name: those with rows, or all that RENAME TABLE moves, sequences included.
func (d *Database) tables(ctx context.Context, database string, sequences bool) ([]string, error) {
	query := "SELECT table_name FROM information_schema.tables WHERE table_schema = ? AND table_type IN ('BASE TABLE', 'SYSTEM VERSIONED'"
	if sequences {
		query += ", 'SEQUENCE'"
	}
	rows, err := d.db.QueryContext(ctx, query+")", database)
	if err != nil {
		return nil, d.failed(ctx, err, "list the tables of "+database)
	}
	all, err := names(rows)
	sort.Strings(all)
	return all, d.failed(ctx, err, "list the tables of "+database)
}

type namesRows interface {
	Next() bool
	Scan(...any) error
	Err() error
	Close() error
}

func names(rows namesRows) ([]string, error) {
	defer rows.Close()
	var all []string
	for rows.Next() {
		var n string
		if err := rows.Scan(&n); err != nil {
			return nil, err
		}
		all = append(all, n)
	}
	return all, rows.Err()
}

// makeDatabase creates a database like the target.
func (d *Database) makeDatabase(ctx context.Context, j *journal, name string) error {
	_, err := d.db.ExecContext(ctx, "CREATE DATABASE "+quote(name)+" CHARACTER SET "+word(j.Charset)+" COLLATE "+word(j.Collation))
	return d.failed(ctx, err, "create the database "+name)
}

func (d *Database) dropDatabase(ctx context.Context, name string) error {
	_, err := d.db.ExecContext(ctx, "DROP DATABASE IF EXISTS "+quote(name))
	return d.failed(ctx, err, "drop the database "+name)
}

// remove removes what was loaded. It is done even if the context has ended.
func (d *Database) remove(ctx context.Context, j *journal) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), cleanUp)
	defer cancel()
	if err := d.dropDatabase(ctx, j.Fresh); err != nil {
		return err
	}
	return d.forget()
}
