package postgres

import (
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"strings"

	"github.com/holdfast-backup/holdfast/wire/fault"
)

// An address says where a database is, and who we are there: postgres://user:password@host:5432/name, with the query's
// host=FOLDER for a socket, sslmode, sslrootcert, sslcert and sslkey as libpq knows them. Without a password, the server
// lets us in by our system user's name, or PGPASSFILE or ~/.pgpass has one.
type address struct {
	host, port, user, password, name string
	ssl                              map[string]string // by libpq's names
}

// sslVars are the parameters of an address that only pass through.
var sslVars = map[string]string{"sslmode": "PGSSLMODE", "sslrootcert": "PGSSLROOTCERT", "sslcert": "PGSSLCERT", "sslkey": "PGSSLKEY"}

const example = "postgres://user:password@host:5432/name"

func parse(raw string) (address, error) {
	u, err := url.Parse(raw)
	if err != nil { // its text would show the password
		return address{}, fault.New(fault.Invalid, "the address of the database is not a URL: write %s, and %%40 for an @ in the password", example)
	}
	if u.Scheme != "postgres" && u.Scheme != "postgresql" {
		return address{}, fault.New(fault.Invalid, "the address of a PostgreSQL database begins with postgres://")
	}
	a := address{host: u.Hostname(), port: u.Port(), user: u.User.Username(), name: strings.TrimPrefix(u.Path, "/"), ssl: map[string]string{"sslmode": "prefer"}}
	a.password, _ = u.User.Password()
	for key, values := range u.Query() {
		switch v := values[len(values)-1]; key {
		case "host":
			a.host = v
		case "port":
			a.port = v
		case "user":
			a.user = v
		case "password":
			a.password = v
		default:
			if sslVars[key] == "" {
				return address{}, fault.New(fault.Invalid, "the address of a PostgreSQL database knows host, port, user, password, sslmode, sslrootcert, sslcert and sslkey in its query, not %q", key)
			}
			a.ssl[key] = v
		}
	}
	if a.host == "" {
		a.host = "localhost"
	}
	if a.port == "" {
		a.port = "5432"
	}
	if a.user == "" {
		return address{}, fault.New(fault.Invalid, "the address of the database names no user: write %s", example)
	}
	switch a.ssl["sslmode"] {
	case "disable", "allow", "prefer", "require", "verify-ca", "verify-full":
	default:
		return address{}, fault.New(fault.Invalid, "sslmode is disable, allow, prefer, require, verify-ca or verify-full, not %q", a.ssl["sslmode"])
	}
	for what, v := range map[string]string{"host": a.host, "port": a.port, "user": a.user, "password": a.password} {
		if strings.ContainsAny(v, "\x00\r\n") {
			return address{}, fault.New(fault.Invalid, "the %s in the database's address has a line break, which cannot be", what)
		}
	}
	if strings.Contains(a.host, ",") {
		return address{}, fault.New(fault.Invalid, "the address of the database names several hosts: name the one that is to be read and restored")
	}
	return a, checkName(a.name)
}

// checkName refuses what cannot be the database of an application.
func checkName(name string) error {
	switch {
	case name == "":
		return fault.New(fault.Invalid, "the address names no database: write %s", example)
	case name == "template0" || name == "template1":
		return fault.New(fault.Invalid, "%s belongs to the server itself and is not backed up as an application", name)
	case strings.Contains(name, mark):
		return fault.New(fault.Invalid, "%s is what a restore builds beside a database: name the database itself", name)
	case strings.ContainsAny(name, "\x00\r\n"):
		return fault.New(fault.Invalid, "%q cannot be the name of a database", name)
	case len(name) > maxName:
		return fault.New(fault.Invalid, "the name of the database has %d bytes, and %d are possible", len(name), maxName)
	}
	return nil
}

// maxName is how many bytes PostgreSQL keeps of a name.
const maxName = 63

// dsn returns what the driver needs for one of the server's databases.
func (a address) dsn(database string) string {
	var b strings.Builder
	set := func(key, value string) {
		fmt.Fprintf(&b, "%s='%s' ", key, strings.NewReplacer(`\`, `\\`, `'`, `\'`).Replace(value))
	}
	set("host", a.host)
	set("port", a.port)
	set("user", a.user)
	set("dbname", database)
	if a.password != "" {
		set("password", a.password)
	}
	for key, value := range a.ssl {
		if !a.socket() || key != "sslmode" {
			set(key, value)
		}
	}
	if a.socket() {
		set("sslmode", "disable")
	}
	set("connect_timeout", "15")
	set("application_name", "holdfast")
	return b.String()
}

func (a address) socket() bool { return filepath.IsAbs(a.host) }

// environment returns what PostgreSQL's programs need to know for one of the server's databases. The password is in a file that only we
// can read: a command line, and on some systems an environment, is everybody's. When the program has ended, forget must be called.
func (a address) environment(dir, prefix, database string) (env []string, forget func(), err error) {
	for _, e := range os.Environ() { // without what would change a program's target or words
		if !strings.HasPrefix(e, "PG") && !strings.HasPrefix(e, "LC_") && !strings.HasPrefix(e, "LANG") && !strings.HasPrefix(e, "PSQL") ||
			strings.HasPrefix(e, "PGPASSFILE=") && a.password == "" {
			env = append(env, e)
		}
	}
	env = append(env, "LC_ALL=C", "PGHOST="+a.host, "PGPORT="+a.port, "PGUSER="+a.user, "PGDATABASE="+database, "PGCONNECT_TIMEOUT=15", "PGAPPNAME=holdfast")
	for key, value := range a.ssl {
		env = append(env, sslVars[key]+"="+value)
	}
	if a.password == "" {
		return env, func() {}, nil
	}
	f, err := os.CreateTemp(dir, prefix+"*"+passEnd) // 0600
	if err == nil {
		_, err = f.WriteString("*:*:*:*:" + strings.NewReplacer(`\`, `\\`, `:`, `\:`).Replace(a.password) + "\n")
		if e := f.Close(); err == nil {
			err = e
		}
		if err != nil {
			os.Remove(f.Name())
		}
	}
	if err != nil {
		return nil, nil, fault.Wrap(err, fault.Unavailable, "cannot write the file that tells PostgreSQL's programs the password, in %s", dir)
	}
	return append(env, "PGPASSFILE="+f.Name()), func() { os.Remove(f.Name()) }, nil
}

const passEnd = ".pgpass"
