package postgres

import (
	"context"
	"database/sql"
	"io"
	"strings"

	"github.com/holdfast-backup/holdfast/vault/dump"
	"github.com/holdfast-backup/holdfast/wire/fault"
)

// A filter passes a dump on to psql, without what cannot be said on this server, and refuses what must not be said.
type filter struct {
	out      io.Writer
	plan     *plan
	roles    map[string]bool // that there are; true: we may act for it
	settings map[string]bool // that the server knows
	kept     map[string]bool // schemas that stay, in place; true: we may change them

	skipping bool // the rest of a statement
}

func (d *Database) newFilter(ctx context.Context, p *plan) (*filter, error) {
	f := &filter{plan: p, roles: map[string]bool{}, settings: map[string]bool{}, kept: map[string]bool{}}
	for set, query := range map[*map[string]bool]string{&f.roles: sqlRoles, &f.settings: sqlKnownSettings, &f.kept: sqlKept} {
		err := d.each(ctx, p.conn, query, nil, func(rows *sql.Rows) error {
			var name string
			var yes bool
			err := rows.Scan(&name, &yes)
			(*set)[name] = yes
			return err
		})
		if err != nil {
			return nil, err
		}
	}
	return f, nil
}

// pass takes the next statement, or part of one.
func (f *filter) pass(st dump.Statement) error {
	if st.Head != nil {
		keep, err := f.keep(string(st.Head))
		if err != nil {
			return err
		}
		f.skipping = !keep
	} else if st.Rows {
		f.skipping = false
	}
	if f.skipping {
		return nil
	}
	_, err := f.out.Write(st.Text)
	return err
}

// keep decides by a statement's code.
func (f *filter) keep(head string) (bool, error) {
	if strings.HasPrefix(head, `\`) {
		if word := strings.Fields(head)[0]; word == `\restrict` || word == `\unrestrict` { // ours stands before them
			return false, nil
		}
		return false, fault.New(fault.Invalid, "the dump has a command for psql, %.40q: it is one of several databases (pg_dumpall, or pg_dump --create), or somebody changed it. Make it with pg_dump, without --create", head)
	}
	w := words(head)
	if len(w) == 0 {
		return true, nil
	}
	is := func(i int, what ...string) bool {
		for _, x := range what {
			if i < len(w) && strings.EqualFold(w[i], x) {
				return true
			}
		}
		return false
	}
	switch {
	case is(0, "CREATE", "DROP", "ALTER") && is(1, "DATABASE", "ROLE", "USER", "GROUP", "TABLESPACE", "SYSTEM") && !(is(1, "USER") && is(2, "MAPPING")):
		return false, fault.New(fault.Invalid, "the dump changes more than a database: %s %s. Make it with pg_dump, without --create", w[0], w[1])
	case is(0, "SET") && is(1, "standard_conforming_strings") && is(len(w)-1, "off"):
		return false, fault.New(fault.Invalid, "the dump is of a server with standard_conforming_strings = off, in which strings mean something else: switch it on there and make it again")
	case f.plan.inPlace && is(0, "BEGIN", "COMMIT", "ROLLBACK", "START", "END", "ABORT", "SAVEPOINT", "RELEASE", "PREPARE"):
		return false, nil // pg_dump writes large objects in transactions of their own
	case f.plan.inPlace && is(0, "CREATE") && is(1, "SCHEMA") && len(w) > 2:
		_, kept := f.kept[name(w[2])]
		return !kept, nil
	case f.plan.inPlace && f.stays(w):
		return false, nil
	case is(0, "SET") && is(1, "SESSION"): // a grantor
		return f.plan.server.super, nil
	case is(0, "RESET") && is(1, "SESSION"):
		return f.plan.server.super, nil
	case is(0, "SET") && len(w) > 2 && !strings.Contains(w[1], "."):
		return f.settings[strings.ToLower(w[1])] || !is(2, "=") && !is(2, "TO"), nil
	case is(0, "COMMENT") && is(2, "EXTENSION"): // making it has set it
		return f.plan.server.super, nil
	case is(0, "ALTER") && is(1, "DEFAULT") && is(2, "PRIVILEGES"):
		if is(3, "FOR") && len(w) > 5 && !f.roles[name(w[5])] {
			return false, nil
		}
		return f.grantee(w), nil
	case is(0, "ALTER") && len(w) > 3 && is(len(w)-3, "OWNER") && is(len(w)-2, "TO"):
		return f.roles[name(w[len(w)-1])], nil
	case is(0, "GRANT", "REVOKE"):
		return f.grantee(w), nil
	}
	return true, nil
}

// stays reports whether a statement changes a schema that stays, and is not ours to change.
func (f *filter) stays(w []string) bool {
	switch strings.ToUpper(w[0]) {
	case "COMMENT", "ALTER", "GRANT", "REVOKE":
	default:
		return false
	}
	for i := 1; i+1 < len(w); i++ {
		if strings.EqualFold(w[i], "SCHEMA") && (i == 1 || strings.EqualFold(w[i-1], "ON")) {
			ours, kept := f.kept[name(w[i+1])]
			return kept && !ours
		}
	}
	return false
}

// grantee reports whether the role that a GRANT is for exists.
func (f *filter) grantee(w []string) bool {
	for i := len(w) - 2; i > 0; i-- {
		if strings.EqualFold(w[i], "TO") || strings.EqualFold(w[i], "FROM") {
			_, ok := f.roles[name(w[i+1])]
			return ok || strings.EqualFold(w[i+1], "PUBLIC")
		}
	}
	return true
}

// words cuts code into words; what stands in double quotes is one, or a part of one.
func words(head string) []string {
	quoted := false
	return strings.FieldsFunc(head, func(r rune) bool {
		if r == '"' {
			quoted = !quoted
		}
		return !quoted && strings.ContainsRune(" \t\r\n;,()", r)
	})
}

// name takes the quotes off a name.
func name(word string) string {
	if n := len(word); n >= 2 && word[0] == '"' && word[n-1] == '"' {
		return strings.ReplaceAll(word[1:n-1], `""`, `"`)
	}
	return strings.ToLower(word)
}
