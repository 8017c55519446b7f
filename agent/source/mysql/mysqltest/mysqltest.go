// Package mysqltest hands tests a real MariaDB: one server a test program, on loopback, with its own folder, and in it a
// database, and a user who owns it, for every test that asks. It needs the programs of Debian's mariadb-server; no service is
// used or started.
package mysqltest

import (
	"database/sql"
	"fmt"
	"net/url"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/go-sql-driver/mysql"
)

// A Database is a database of a test's own.
type Database struct {
	Server *Server
	Name   string
	User   string // who may do everything in Name, and in what a restore of it builds beside
	URL    string // as an owner would write it, with the password
	Admin  *sql.DB
}

var (
	one   sync.Mutex
	ours  *Server
	count atomic.Int64
)

// Main runs the tests and then stops the server that they shared.
func Main(m *testing.M) {
	status := m.Run()
	one.Lock()
	if ours != nil {
		ours.stop()
	}
	os.Exit(status)
}

// New returns a new database on the shared server. It goes when the server goes.
func New(t testing.TB) *Database {
	t.Helper()
	one.Lock()
	defer one.Unlock()
	if ours == nil {
		s, err := start()
		if err != nil {
			t.Fatalf("a MariaDB for tests: %v", err)
		}
		ours = s
	}
	return ours.New(t)
}

// Private returns a server that a test has for itself, because it wants to kill it.
func Private(t testing.TB) *Server {
	t.Helper()
	s, err := start()
	if err != nil {
		t.Fatalf("a MariaDB for a test: %v", err)
	}
	t.Cleanup(s.stop)
	return s
}

// New returns a new database on the server.
func (s *Server) New(t testing.TB) *Database {
	t.Helper()
	n := count.Add(1)
	d := &Database{Server: s, Name: fmt.Sprintf("shop_%d", n), User: fmt.Sprintf("app%d", n), Admin: s.Open(t, "")}
	const password = `p a"s's\w#;`
	d.Exec(t, "CREATE DATABASE `"+d.Name+"` CHARACTER SET utf8mb4 COLLATE utf8mb4_unicode_ci",
		"CREATE USER `"+d.User+"`@`127.0.0.1` IDENTIFIED BY '"+strings.NewReplacer("'", "''", `\`, `\\`).Replace(password)+"'")
	for _, pattern := range []string{d.Name, d.Name + "__holdfast_%"} {
		d.Exec(t, "GRANT ALL PRIVILEGES ON `"+strings.ReplaceAll(pattern, "_", `\_`)+"`.* TO `"+d.User+"`@`127.0.0.1`")
	}
	d.URL = (&url.URL{Scheme: "mysql", User: url.UserPassword(d.User, password), Host: s.Addr(), Path: "/" + d.Name}).String()
	return d
}

// Open returns a connection as the server's root, with a database of that name, or none.
func (s *Server) Open(t testing.TB, database string) *sql.DB {
	t.Helper()
	c := mysql.NewConfig()
	c.User, c.Net, c.Addr, c.DBName, c.MultiStatements = "root", "tcp", s.Addr(), database, true
	c.Logger = silent{} // a server that was killed is no news
	con, err := mysql.NewConnector(c)
	if err != nil {
		t.Fatal(err)
	}
	db := sql.OpenDB(con)
	t.Cleanup(func() { db.Close() })
	return db
}

type silent struct{}

func (silent) Print(...any) {}

// Exec runs statements as root.
func (d *Database) Exec(t testing.TB, statements ...string) {
	t.Helper()
	for _, s := range statements {
		if _, err := d.Admin.ExecContext(t.Context(), s); err != nil {
			t.Fatalf("%s: %v", s, err)
		}
	}
}
