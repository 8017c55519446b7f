package mysql

import (
	"context"
	"database/sql"
	"fmt"
	"regexp"
	"strconv"
	"strings"

	"github.com/holdfast-backup/holdfast/agent/source/portable"
)

// wordOf are the portable words for MySQL's types.
var wordOf = map[string]portable.Type{
	"tinyint": portable.Int, "smallint": portable.Int, "mediumint": portable.Int, "int": portable.Int, "bigint": portable.Int, "year": portable.Int,
	"decimal": portable.Decimal, "float": portable.Float, "double": portable.Float,
	"char": portable.Text, "varchar": portable.Text, "tinytext": portable.Text, "text": portable.Text, "mediumtext": portable.Text, "longtext": portable.Text,
	"enum": portable.Text, "set": portable.Text, "inet6": portable.Text, "inet4": portable.Text,
	"binary": portable.Bytes, "varbinary": portable.Bytes, "tinyblob": portable.Bytes, "blob": portable.Bytes, "mediumblob": portable.Bytes, "longblob": portable.Bytes, "bit": portable.Bytes,
	"geometry": portable.Bytes, "point": portable.Bytes, "linestring": portable.Bytes, "polygon": portable.Bytes, "multipoint": portable.Bytes, "multilinestring": portable.Bytes,
	"multipolygon": portable.Bytes, "geometrycollection": portable.Bytes, "geomcollection": portable.Bytes, "vector": portable.Bytes,
	"date": portable.Date, "time": portable.Time, "datetime": portable.Timestamp, "timestamp": portable.TimestampTZ, "json": portable.JSON, "uuid": portable.UUID,
}

// typeOf are MySQL's types for the portable words. Moments of a zone are kept in UTC, as datetime, because timestamp ends in 2038 and begins in
// 1970.
var typeOf = map[portable.Type]string{
	portable.Int: "bigint", portable.Decimal: "decimal(65,30)", portable.Float: "double", portable.Bool: "tinyint(1)", portable.Text: "longtext", portable.Bytes: "longblob",
	portable.Date: "date", portable.Time: "time(6)", portable.Timestamp: "datetime(6)", portable.TimestampTZ: "datetime(6)", portable.JSON: "longtext", portable.UUID: "char(36)",
	portable.Interval: "longtext", portable.Other: "longtext",
}

const (
	maxKeyBytes   = 3072 // of all columns of a key together, in InnoDB
	bytesPerRune  = 4
	maxIdentifier = 64 // characters of a name
)

// fixedBytes is what columns of other words take of a key.
var fixedBytes = map[portable.Type]int{
	portable.Int: 8, portable.Decimal: 30, portable.Float: 8, portable.Bool: 1, portable.Date: 3, portable.Time: 6, portable.Timestamp: 8, portable.TimestampTZ: 8, portable.UUID: 36 * bytesPerRune,
}

var (
	nativeType = regexp.MustCompile(`^([a-z0-9]+)(\([0-9]+(?:,[0-9]+)?\))?((?: unsigned)?(?: zerofill)?)(?: CHARACTER SET (\w+) COLLATE (\w+))?$`)
	nativeList = regexp.MustCompile(`^(enum|set)\(('(?:[^']|'')*'(?:,'(?:[^']|'')*')*)\)(?: CHARACTER SET (\w+) COLLATE (\w+))?$`)
	listItem   = regexp.MustCompile(`'((?:[^']|'')*)'`)
	listed     = strings.NewReplacer("''", "'", `\\`, `\`, `\n`, "\n", `\r`, "\r", `\0`, "\x00") // as the server shows it
	ofText     = regexp.MustCompile(`^(?:char|varchar|tinytext|text|mediumtext|longtext|enum|set)\b`)
	ofNoLength = regexp.MustCompile(`^(?:tinytext|text|mediumtext|longtext|json|tinyblob|blob|mediumblob|longblob)\b`)
	pgNumeric  = regexp.MustCompile(`^numeric\(([0-9]+),([0-9]+)\)$`)
	decimalOf  = regexp.MustCompile(`^decimal\(([0-9]+),([0-9]+)\)`)
	digitsOf   = regexp.MustCompile(`^(?:time|datetime|timestamp)\(([0-6])\)`)
)

// A typed is a column of a table that is made.
type typed struct {
	portable.Column
	kind   string // its type here, without character set
	own    bool   // which it had there, too
	set    string // CHARACTER SET and COLLATE, or ""
	most   int    // characters of a text, or bytes, that fit into the key; 0: it is not in one, or its type says
	whole  int    // digits that a decimal has before its point
	behind int    // and behind it; or the digits of a second's fraction
}

// sql is the column as CREATE TABLE has it.
func (c typed) sql(key bool) string {
	null := " NULL"
	if key || !c.Nullable {
		null = " NOT NULL"
	}
	return quote(c.Name) + " " + c.kind + c.set + null
}

// types chooses the types of a table's columns.
func (m *importer) types(ctx context.Context, t portable.Table) ([]typed, error) {
	key := map[string]bool{}
	for _, k := range t.PrimaryKey {
		key[k] = true
	}
	columns := make([]typed, len(t.Columns))
	room, long := maxKeyBytes, 0
	for i, col := range t.Columns {
		c := &columns[i]
		c.Column = col
		if err := m.choose(ctx, c, key[col.Name]); err != nil {
			return nil, err
		}
		switch {
		case !key[col.Name]:
		case ofNoLength.MatchString(c.kind):
			long++
		case c.own:
			room -= ownBytes(c.kind)
		default:
			room -= fixedBytes[col.Type]
		}
	}
	for i := range columns {
		if c := &columns[i]; key[c.Name] && ofNoLength.MatchString(c.kind) {
			c.own = false
			if c.most = max(room/long, bytesPerRune); c.Type == portable.Bytes {
				c.kind = fmt.Sprintf("varbinary(%d)", c.most)
			} else {
				c.most /= bytesPerRune
				c.kind, c.set = fmt.Sprintf("varchar(%d)", c.most), m.exact
			}
		}
	}
	return columns, nil
}

// ownBytes is about how much a column of a type with a length takes of a key.
func ownBytes(kind string) int {
	m := nativeType.FindStringSubmatch(kind)
	if m == nil || m[2] == "" || !strings.Contains(m[1], "char") && !strings.Contains(m[1], "binary") {
		return 8
	}
	n, _ := strconv.Atoi(strings.Trim(m[2], "()"))
	if strings.Contains(m[1], "char") {
		n *= bytesPerRune
	}
	return n
}

// choose chooses the type of a column: its own, if it is one of the server's, else the nearest.
func (m *importer) choose(ctx context.Context, c *typed, key bool) error {
	if m.own {
		if err := m.native(ctx, c); err != nil {
			return err
		}
	}
	if c.kind == "" {
		c.kind = typeOf[c.Type]
		switch {
		case c.Type == portable.JSON && m.server.maria: // a longtext that is checked; MySQL's rounds numbers
			c.kind = "json"
		case c.Type == portable.UUID && m.server.hasUUID():
			c.kind = "uuid"
		case c.Type == portable.Decimal:
			if n := pgNumeric.FindStringSubmatch(c.Native); n != nil {
				p, _ := strconv.Atoi(n[1])
				s, _ := strconv.Atoi(n[2])
				if p <= 65 && s <= 30 && s <= p && p > 0 {
					c.kind = fmt.Sprintf("decimal(%d,%d)", p, s)
				}
			}
		}
	}
	if c.set == "" && ofText.MatchString(c.kind) {
		if c.set = m.plain; key || c.kind[0] == 'e' || c.kind[0] == 's' { // what differs in case only is two keys, and two words
			c.set = m.exact
		}
	}
	if n := decimalOf.FindStringSubmatch(c.kind); n != nil {
		p, _ := strconv.Atoi(n[1])
		c.behind, _ = strconv.Atoi(n[2])
		c.whole = p - c.behind
	} else if n := digitsOf.FindStringSubmatch(c.kind); n != nil {
		c.behind, _ = strconv.Atoi(n[1])
	}
	return nil
}

// native gives a column the type that it had, if that is one of MySQL's and nothing else. It is written anew from its parts.
func (m *importer) native(ctx context.Context, c *typed) error {
	var kind, set, collation string
	if n := nativeList.FindStringSubmatch(c.Native); n != nil {
		var words []string
		for _, w := range listItem.FindAllStringSubmatch(n[2], -1) {
			words = append(words, string(appendText(nil, []byte(listed.Replace(w[1])))))
		}
		kind, set, collation = n[1]+"("+strings.Join(words, ",")+")", n[3], n[4]
	} else if n := nativeType.FindStringSubmatch(c.Native); n != nil {
		if wordOf[n[1]] == "" || wordOf[n[1]] != c.Type || n[1] == "enum" || n[1] == "set" {
			return nil
		}
		if !m.server.maria && (n[1] == "uuid" || strings.HasPrefix(n[1], "inet")) || n[1] == "uuid" && !m.server.hasUUID() {
			return nil
		}
		kind, set, collation = n[1]+n[2]+n[3], n[4], n[5]
	}
	if kind == "" || wordOf[kind[:wordLen(kind)]] != c.Type {
		return nil
	}
	if set != "" {
		known, err := m.knows(ctx, set, collation)
		if err != nil {
			return err
		}
		if known {
			c.set = " CHARACTER SET " + set + " COLLATE " + collation
		}
	}
	c.kind, c.own = kind, true
	return nil
}

func wordLen(kind string) int {
	if i := strings.IndexAny(kind, "( "); i >= 0 {
		return i
	}
	return len(kind)
}

// knows reports whether the server has a collation.
func (m *importer) knows(ctx context.Context, set, collation string) (bool, error) {
	known, asked := m.collations[set+" "+collation]
	if asked {
		return known, nil
	}
	var none sql.NullString
	err := m.conn.QueryRowContext(ctx, "SELECT CONVERT('' USING "+word(set)+") COLLATE "+word(collation)).Scan(&none)
	if err != nil && !answered(err) {
		return false, m.d.failed(ctx, err, "tell its collations")
	}
	m.collations[set+" "+collation] = err == nil
	return err == nil, nil
}

// hasUUID reports whether there is a type uuid.
func (s server) hasUUID() bool {
	return s.maria && (s.major > 10 || s.major == 10 && s.minor >= 7)
}
