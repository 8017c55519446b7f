package mail

import (
	"crypto/x509"
	"fmt"
	"log/slog"
	"net"
	netmail "net/mail"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/holdfast-backup/holdfast/wire/fault"
)

// Protection says how the way to the mail server is protected.
type Protection string

// The protections. Certificates are always checked; there is no "if the server can".
const (
	StartTLS Protection = "starttls" // plain, then TLS before anything is said; a server that cannot is refused
	Implicit Protection = "implicit" // TLS from the first byte
	None     Protection = "none"     // plain text
)

// Config says through which mail server mail goes, and from whom it is.
type Config struct {
	Host           string
	Port           int
	Protection     Protection
	User, Password string          // User empty: the server lets us in as we are
	From           netmail.Address // who mails are from
	Timeout        time.Duration   // of sending one mail, all in all; 0: DefaultTimeout
	Roots          *x509.CertPool  // authorities to believe; nil: the system's
}

// DefaultTimeout is how long sending one mail may take.
const DefaultTimeout = time.Minute

// Example is how an address of a mail server looks like, for messages and help.
const Example = "smtp://user:password@mail.example.org:587?from=Backup+<backup@example.org>"

// ParseURL reads the address of a mail server:
//
//	smtp://user:password@host:port?from=Name+<address>&tls=starttls|implicit|none
//	smtps://user:password@host:port?from=Name+<address>
//
// from is needed. Without tls, smtp means starttls, but none to a host that is this machine (localhost or an address of loopback), where nobody listens on the
// way and certificates are rarely in order. Without a port it is 587, 465 or 25 for starttls, implicit and none. A user is only
// allowed with TLS or on this machine. It fails with BAD_INPUT; no error shows the password.
func ParseURL(s string) (Config, error) {
	bad := func(format string, args ...any) (Config, error) {
		return Config{}, fault.New(fault.Invalid, "the address of the mail server is wrong: %s; it looks like %s", fmt.Sprintf(format, args...), Example)
	}
	u, err := url.Parse(strings.TrimSpace(s))
	if err != nil { // its text would show the password
		return bad("it cannot be read (in user and password, characters such as @ : / ? # %% are written as %%40 %%3A %%2F %%3F %%23 %%25)")
	}
	c := Config{Host: u.Hostname()}
	if u.User != nil {
		c.User = u.User.Username()
		c.Password, _ = u.User.Password()
	}
	switch {
	case u.Scheme != "smtp" && u.Scheme != "smtps":
		return bad("it begins with neither smtp:// nor smtps://")
	case c.Host == "":
		return bad("it names no host")
	case u.Path != "" && u.Path != "/" || u.Fragment != "":
		return bad("after the host there is only ?from=… (in user and password, / and # are written as %%2F and %%23)")
	case (c.User == "") != (c.Password == ""):
		return bad("user and password come together")
	}
	query, err := url.ParseQuery(u.RawQuery)
	if err != nil {
		return bad("what follows the ? cannot be read")
	}
	for key := range query {
		if key != "from" && key != "tls" {
			return bad("there is no setting %q", key)
		}
	}
	from, err := netmail.ParseAddress(query.Get("from"))
	if err != nil || !ascii(from.Address) {
		return bad("from=%s is no address that mail can be from (in an address, + is written as %%2B)", query.Get("from"))
	}
	c.From = netmail.Address{Name: line(from.Name), Address: from.Address}
	if c.Protection, err = protection(u.Scheme, query.Get("tls"), c.Host); err != nil {
		return bad("%v", err)
	}
	c.Port = map[Protection]int{StartTLS: 587, Implicit: 465, None: 25}[c.Protection]
	if p := u.Port(); p != "" {
		if c.Port, err = strconv.Atoi(p); err != nil || c.Port < 1 || c.Port > 65535 {
			return bad("its port %s is not between 1 and 65535", p)
		}
	}
	if c.User != "" && c.Protection == None && !loopback(c.Host) {
		return bad("without TLS the password could be read on its way: take it out, or take tls=none out")
	}
	return c, nil
}

func protection(scheme, tls, host string) (Protection, error) {
	switch p := Protection(tls); {
	case p == "" && scheme == "smtps", p == Implicit:
		return Implicit, nil
	case scheme == "smtps" && (p == StartTLS || p == None):
		return "", fmt.Errorf("smtps:// is TLS from the first byte: tls=%s goes with smtp://", p)
	case p == "" && loopback(host), p == None:
		return None, nil
	case p == "", p == StartTLS:
		return StartTLS, nil
	}
	return "", fmt.Errorf("tls=%s is none of starttls, implicit, none", tls)
}

// loopback reports whether a host is this machine by its very name.
func loopback(host string) bool {
	ip := net.ParseIP(host)
	return host == "localhost" || ip != nil && ip.IsLoopback()
}

func (c Config) address() string { return net.JoinHostPort(c.Host, strconv.Itoa(c.Port)) }

// String describes the server without the password.
func (c Config) String() string {
	user := ""
	if c.User != "" {
		user = " as " + c.User
	}
	return fmt.Sprintf("%s%s (%s), from %s", c.address(), user, c.Protection, c.From.String())
}

// LogValue keeps the password out of logs.
func (c Config) LogValue() slog.Value { return slog.StringValue(c.String()) }
