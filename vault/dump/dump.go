// Package dump knows what the plain dumps of databases look like: it tells their kinds apart by content, and counts
// the rows of every table while a dump streams by.
package dump

// An Engine is a kind of database server, or of file.
type Engine string

// The engines.
const (
	Postgres Engine = "postgres"
	MySQL    Engine = "mysql" // MariaDB, too
	SQLite   Engine = "sqlite"
)

// A Format is how a dump is written.
type Format string

// The formats. All but PostgresCustom are SQL text.
const (
	Unknown        Format = ""
	PostgresSQL    Format = "postgres-sql"
	PostgresCustom Format = "postgres-custom" // pg_dump --format=custom
	MySQLSQL       Format = "mysql-sql"       // mysqldump, mariadb-dump
	SQLiteSQL      Format = "sqlite-sql"      // sqlite3 .dump
)

// A Table is a table of a dump, with its rows.
type Table struct {
	Name string `json:"name"` // as the engine qualifies it: public.orders in PostgreSQL, orders elsewhere; without quotes
	Rows int64  `json:"rows"`
}
