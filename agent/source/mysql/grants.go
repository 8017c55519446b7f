package mysql

import (
	"context"
	"regexp"
	"strings"
)

// Rights on a database that are needed for what.
var (
	rightsToRead = []string{"SELECT", "SHOW VIEW", "TRIGGER", "EVENT"}
	rightsToLoad = []string{"SELECT", "INSERT", "UPDATE", "DELETE", "CREATE", "DROP", "ALTER", "INDEX", "REFERENCES", "LOCK TABLES",
		"CREATE VIEW", "SHOW VIEW", "CREATE ROUTINE", "ALTER ROUTINE", "TRIGGER", "EVENT"}
)

// A grant is a line of SHOW GRANTS: rights on a pattern of databases.
type grant struct {
	rights map[string]bool
	on     string // a LIKE pattern of databases; "" is all
	table  bool   // only on one table
}

// rights are what an account may do.
type rights []grant

var grantLine = regexp.MustCompile("(?is)^GRANT (.+?) ON (?:TABLE )?(\\*|`(?:[^`]|``)+`|\"[^\"]+\"|[^.\\s]+)\\.(\\*|`(?:[^`]|``)+`|\\S+) TO ")

// rights asks what we may do, by the grants of ourselves and of the roles that are on.
func (d *Database) rights(ctx context.Context) (rights, error) {
	rows, err := d.db.QueryContext(ctx, "SHOW GRANTS")
	if err != nil {
		return nil, d.failed(ctx, err, "tell its rights")
	}
	defer rows.Close()
	var all rights
	for rows.Next() {
		var line string
		if err := rows.Scan(&line); err != nil {
			return nil, d.failed(ctx, err, "tell its rights")
		}
		if g, ok := parseGrant(line); ok {
			all = append(all, g)
		}
	}
	return all, d.failed(ctx, rows.Err(), "tell its rights")
}

func parseGrant(line string) (grant, bool) {
	m := grantLine.FindStringSubmatch(line)
	if m == nil {
		return grant{}, false // a role, a proxy, or rights on a routine
	}
	g := grant{rights: map[string]bool{}, table: m[3] != "*"}
	if m[2] != "*" {
		g.on = strings.ReplaceAll(strings.Trim(m[2], "`\""), "``", "`")
	}
	depth, from := 0, 0
	list := m[1] + ","
	for i, c := range list { // a comma within parentheses is one of columns
		switch c {
		case '(':
			depth++
		case ')':
			depth--
		case ',':
			if depth == 0 {
				if r := strings.ToUpper(strings.TrimSpace(list[from:i])); !strings.Contains(r, "(") {
					g.rights[r] = true
				}
				from = i + 1
			}
		}
	}
	return g, true
}

// has reports whether there is a right on all of a database.
func (r rights) has(right, database string) bool {
	for _, g := range r {
		if !g.table && (g.rights[right] || g.rights["ALL PRIVILEGES"] || g.rights["ALL"]) && (g.on == "" || like(g.on, database)) {
			return true
		}
	}
	return false
}

// everywhere reports whether there is a right on everything.
func (r rights) everywhere(right string) bool {
	for _, g := range r {
		if g.on == "" && !g.table && (g.rights[right] || g.rights["ALL PRIVILEGES"]) {
			return true
		}
	}
	return false
}

// missing returns those of the rights that are not there.
func (r rights) missing(wanted []string, database string) []string {
	var m []string
	for _, w := range wanted {
		if !r.has(w, database) {
			m = append(m, w)
		}
	}
	return m
}

// like matches a pattern of GRANT, in which % is any text, _ any character, and a backslash takes their meaning away.
func like(pattern, name string) bool {
	p, n := []rune(pattern), []rune(name)
	var match func(i, j int) bool
	match = func(i, j int) bool {
		for ; i < len(p); i, j = i+1, j+1 {
			switch {
			case p[i] == '%':
				for ; j <= len(n); j++ {
					if match(i+1, j) {
						return true
					}
				}
				return false
			case j == len(n):
				return false
			case p[i] == '\\' && i+1 < len(p):
				if i++; p[i] != n[j] {
					return false
				}
			case p[i] != '_' && p[i] != n[j]:
				return false
			}
		}
		return j == len(n)
	}
	return match(0, 0)
}

// pattern escapes a name for GRANT.
func pattern(name string) string {
	return strings.NewReplacer(`\`, `\\`, "_", `\_`, "%", `\%`).Replace(name)
}
