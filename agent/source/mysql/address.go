package mysql

import (
	"net"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"unicode/utf8"

	"github.com/go-sql-driver/mysql"

	"github.com/holdfast-backup/holdfast/wire/fault"
)

// An address says where a database is, and who we are there: mysql://user:password@host:3306/name, where
// socket=PATH in the query takes the place of host and port, and tls is true (with a certificate that proves the host's name), skip-verify
// or false; without tls, the connection is encrypted if the server can, and nobody is asked for a certificate.
type address struct {
	host, port, socket   string
	user, password, name string
	tls                  string
}

// maxName is how long the name of a database may be: with what a restore appends it must stay within 64 characters.
const maxName = 64 - len(mark) - 8 - len(oldEnd)

func parse(raw string) (address, error) {
	u, err := url.Parse(raw)
	if err != nil { // its text would show the password
		return address{}, fault.New(fault.Invalid, "the address of the database is not a URL: write mysql://user:password@host:3306/name, and %%40 for an @ in the password")
	}
	a := address{host: u.Hostname(), port: u.Port(), user: u.User.Username(), name: strings.TrimPrefix(u.Path, "/")}
	a.password, _ = u.User.Password()
	for key, values := range u.Query() {
		switch key {
		case "socket":
			a.socket = values[0]
		case "tls":
			a.tls = values[0]
		default:
			return address{}, fault.New(fault.Invalid, "the address of a MySQL or MariaDB database knows socket and tls in its query, not %q", key)
		}
	}
	if u.Scheme != "mysql" && u.Scheme != "mariadb" {
		return address{}, fault.New(fault.Invalid, "the address of a MySQL or MariaDB database begins with mysql:// or mariadb://")
	}
	if a.tls != "" && a.tls != "true" && a.tls != "false" && a.tls != "skip-verify" {
		return address{}, fault.New(fault.Invalid, "tls is true, skip-verify or false, not %q", a.tls)
	}
	if a.socket != "" && !filepath.IsAbs(a.socket) {
		return address{}, fault.New(fault.Invalid, "the path of the socket %q is not absolute", a.socket)
	}
	if a.user == "" {
		return address{}, fault.New(fault.Invalid, "the address of the database names no user: write mysql://user:password@host/name")
	}
	if a.host == "" {
		a.host = "localhost"
	}
	if a.port == "" {
		a.port = "3306"
	}
	return a, checkName(a.name)
}

// checkName refuses what cannot be the database of an application.
func checkName(name string) error {
	switch strings.ToLower(name) {
	case "":
		return fault.New(fault.Invalid, "the address names no database: write mysql://user:password@host/name")
	case "mysql", "information_schema", "performance_schema", "sys":
		return fault.New(fault.Invalid, "%s belongs to the server itself and is not backed up as an application", name)
	}
	if strings.ContainsAny(name, "/\\.`\x00\n\r") || !utf8.ValidString(name) {
		return fault.New(fault.Invalid, "%q cannot be the name of a database: / \\ . and ` are not possible", name)
	}
	if strings.Contains(name, mark) {
		return fault.New(fault.Invalid, "%s is what a restore builds beside a database: name the database itself", name)
	}
	if n := utf8.RuneCountInString(name); n > maxName {
		return fault.New(fault.Invalid, "the name of the database has %d characters, and at most %d are possible: a restore builds another one beside it, with a longer name", n, maxName)
	}
	return nil
}

// config returns what the driver needs. No database is chosen: there may be none yet.
func (a address) config() *mysql.Config {
	c := mysql.NewConfig()
	c.User, c.Passwd, c.Net, c.Addr = a.user, a.password, "tcp", net.JoinHostPort(a.host, a.port)
	if a.socket != "" {
		c.Net, c.Addr = "unix", a.socket
	}
	if c.TLSConfig = a.tls; a.tls == "" {
		c.TLSConfig = "preferred"
		if a.socket != "" {
			c.TLSConfig = "false"
		}
	}
	c.Collation = "utf8mb4_general_ci"
	c.InterpolateParams = true // one trip instead of three
	c.Timeout = connectTimeout
	c.MaxAllowedPacket = maxPacket
	c.Logger = silent{}
	return c
}

type silent struct{}

func (silent) Print(...any) {}

// options writes a file of options, which only we can read, for the programs: a password on a command line is everybody's.
func (a address) options(dir, prefix string, maria bool) (path string, err error) {
	f, err := os.CreateTemp(dir, prefix+"*"+optionsEnd) // 0600
	if err != nil {
		return "", fault.Wrap(err, fault.Unavailable, "cannot write the file that tells the database's programs the password")
	}
	defer func() {
		if err != nil {
			os.Remove(f.Name())
		}
	}()
	var b strings.Builder
	line := func(key, value string) {
		b.WriteString(key + `="` + quoteOption.Replace(value) + "\"\n")
	}
	b.WriteString("[client]\n")
	line("user", a.user)
	line("password", a.password)
	if a.socket != "" {
		line("socket", a.socket)
		line("protocol", "socket")
	} else {
		line("host", a.host)
		line("port", a.port)
		line("protocol", "tcp")
	}
	mode := map[string]string{"true": "ssl-mode=VERIFY_IDENTITY", "skip-verify": "ssl-mode=REQUIRED", "false": "ssl-mode=DISABLED", "": "ssl-mode=PREFERRED"}
	if maria { // older ones verify nothing unless told, newer ones everything
		mode = map[string]string{"true": "ssl\nssl-verify-server-cert", "skip-verify": "ssl\nskip-ssl-verify-server-cert", "false": "skip-ssl", "": "skip-ssl-verify-server-cert"}
	}
	b.WriteString(mode[a.tls] + "\n")
	if _, err := f.WriteString(b.String()); err != nil {
		f.Close()
		return "", err
	}
	return f.Name(), f.Close()
}

const optionsEnd = ".cnf"

var quoteOption = strings.NewReplacer(`\`, `\\`, `"`, `\"`, "\n", `\n`, "\r", `\r`, "\t", `\t`)
