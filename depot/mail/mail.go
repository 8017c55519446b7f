// Package mail sends mail through an institution's mail server, and writes what is in it.
//
// [ParseURL] reads which server, [New] makes a [Sender], [Sender.Send] hands over one [Message]. The letters themselves (a notification, a
// digest, an invitation) are made by [Notification], [Digest] and their like from plain values: see letter.go.
//
// # What holds
//
//   - The way is protected: STARTTLS or TLS with a certificate that is checked, unless the address says tls=none or the server is
//     this machine. A password is never sent without.
//   - Nothing that a person chose (a device's name, say) can become a header, another recipient or markup.
//   - When Send returns nil, the mail server has taken the mail over. Otherwise [Permanent] tells whether there is any
//     sense in trying again.
//   - No error and no log line shows the password.
//
// # What is not promised
//
// That a mail arrives: what the server does later, bounces included, is not seen here. That it arrives once: when the
// connection breaks between the end of a mail and the server's answer, nobody knows, and it is sent again. Give
// [Message.ID], and both carry the same Message-ID, by which many mailboxes show one.
//
// Each mail is a connection of its own. Holdfast sends few: that is simpler than keeping one alive.
package mail

import (
	"bytes"
	"context"
	"crypto/rand"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	netmail "net/mail"
	"net/textproto"
	"os"
	"slices"
	"strings"
	"time"
	"unicode"

	gomail "github.com/wneessen/go-mail"
	"github.com/wneessen/go-mail/smtp"

	"github.com/holdfast-backup/holdfast/wire/fault"
	"github.com/holdfast-backup/holdfast/wire/proto"
)

// Message is one mail to one person.
type Message struct {
	To      string // an address, or Name <address>
	Subject string // one line; line breaks become spaces
	Text    string // the plain text
	HTML    string // the same for eyes; empty: plain text alone

	ID       string // makes the Message-ID: letters, digits, '.', '_', '-'; the same for every attempt at one mail. Empty: a fresh one each time
	ListID   string // kind of mail, by which people filter, such as "digest": letters, digits, '-'; empty: none
	Settings string // address of the page where such mails are turned off; empty: none
}

// Sender sends mails. It is safe for concurrent use.
type Sender struct{ cfg Config }

// New returns a sender. It does not connect.
func New(cfg Config) *Sender {
	if cfg.Timeout == 0 {
		cfg.Timeout = DefaultTimeout
	}
	return &Sender{cfg}
}

// Config returns what the sender was made with.
func (s *Sender) Config() Config { return s.cfg }

// Permanent reports whether an error of Send is about this very mail, so that trying again is idle: the address is
// wrong or refused, or the server will not have the text.
func Permanent(err error) bool { return errors.Is(err, fault.Invalid) }

// Send hands a mail over. It fails with
//
//	BAD_INPUT    this mail will never go: see [Permanent]
//	FORBIDDEN    the server will not have us, or not with that password or sender: the address of the server is wrong
//	UNAVAILABLE  the server cannot be reached, is not trusted, or said "later"
//
// and with ctx's error once that is over.
func (s *Sender) Send(ctx context.Context, m Message) error {
	to, err := netmail.ParseAddress(m.To)
	if err != nil {
		return fault.New(fault.Invalid, "%q is no address for mail", m.To)
	}
	body, err := s.compose(to, m)
	if err != nil {
		return err
	}
	whole, cancel := context.WithTimeout(ctx, s.cfg.Timeout)
	defer cancel()
	err = s.deliver(whole, to.Address, body)
	switch {
	case err == nil:
		return nil
	case ctx.Err() != nil:
		return ctx.Err()
	case whole.Err() != nil:
		return fault.New(fault.Unavailable, "the mail server %s did not take the mail within %s", s.cfg.address(), s.cfg.Timeout)
	}
	return err
}

// Test sends a mail that says that mail works.
func (s *Sender) Test(ctx context.Context, b Brand, to string) error {
	c, err := TestLetter(b)
	if err != nil {
		return err
	}
	return s.Send(ctx, c.Message(to))
}

// compose writes the mail as it travels.
func (s *Sender) compose(to *netmail.Address, m Message) ([]byte, error) {
	if !words(m.ID) || !words(m.ListID) {
		return nil, fmt.Errorf("mail: id %q or list %q is not made of letters, digits, '.', '_' and '-'", m.ID, m.ListID)
	}
	_, domain, _ := strings.Cut(s.cfg.From.Address, "@")
	id := m.ID
	if id == "" {
		id = strings.ToLower(rand.Text())
	}
	msg := gomail.NewMsg(gomail.WithNoDefaultUserAgent())
	msg.FromMailAddress(&s.cfg.From)
	msg.ToMailAddress(&netmail.Address{Name: line(to.Name), Address: to.Address})
	msg.Subject(line(m.Subject))
	msg.SetMessageIDWithValue(id + "@" + domain)
	msg.SetDate()
	// Nobody is to answer this, machines least of all: RFC 3834, and what older and Microsoft's servers go by.
	msg.SetGenHeader("Auto-Submitted", "auto-generated")
	msg.SetBulk()
	msg.SetGenHeader(gomail.HeaderXMailer, "Holdfast "+proto.Version)
	if m.ListID != "" {
		msg.SetGenHeader("List-Id", "<"+m.ListID+".holdfast."+domain+">")
	}
	if m.Settings != "" {
		if strings.ContainsFunc(m.Settings, func(r rune) bool { return r <= ' ' || r >= 0x7f || r == '<' || r == '>' }) {
			return nil, fmt.Errorf("mail: %q cannot stand in a header", m.Settings)
		}
		msg.SetListUnsubscribe("<" + m.Settings + ">")
	}
	msg.SetBodyString(gomail.TypeTextPlain, m.Text)
	if m.HTML != "" {
		msg.AddAlternativeString(gomail.TypeTextHTML, m.HTML)
	}
	var b bytes.Buffer
	if _, err := msg.WriteTo(&b); err != nil {
		return nil, fmt.Errorf("compose a mail: %w", err)
	}
	return b.Bytes(), nil
}

// deliver speaks with the server. When ctx ends, the connection is closed under whatever waits for it.
func (s *Sender) deliver(ctx context.Context, to string, body []byte) error {
	c, done, err := s.connect(ctx)
	if err != nil {
		return err
	}
	defer done()
	if utf8, _ := c.Extension("SMTPUTF8"); !utf8 && !ascii(to) {
		return fault.New(fault.Invalid, "the mail server cannot send to %s: it knows only addresses of plain letters", to)
	}
	if s.cfg.User != "" {
		if err := c.Auth(&login{cfg: s.cfg}); err != nil {
			if errors.As(err, new(*textproto.Error)) || errors.Is(err, errNoLogin) {
				return s.refused(err, fault.Forbidden, fault.Unavailable, "refuses user %s or the password", s.cfg.User)
			}
			return s.broken(err)
		}
	}
	if err := c.Mail("<" + s.cfg.From.Address + ">"); err != nil {
		return s.refused(err, fault.Forbidden, fault.Unavailable, "refuses mail from %s", s.cfg.From.Address)
	}
	if err := c.Rcpt("<" + to + ">"); err != nil {
		return s.refused(err, fault.Invalid, fault.Unavailable, "refuses mail to %s", to)
	}
	w, err := c.Data()
	if err != nil {
		return s.refused(err, fault.Invalid, fault.Unavailable, "refuses the mail to %s", to)
	}
	if _, err := w.Write(body); err != nil {
		return s.broken(err)
	}
	if err := w.Close(); err != nil {
		return s.refused(err, fault.Invalid, fault.Unavailable, "refuses the mail to %s", to)
	}
	return nil // the mail is theirs now, whatever happens to the farewell
}

// farewell is how long the server has to answer QUIT.
const farewell = 2 * time.Second

// connect connects, protects the way and says hello. done says goodbye and lets the connection go.
func (s *Sender) connect(ctx context.Context) (c *smtp.Client, done func(), err error) {
	conn, err := (&net.Dialer{}).DialContext(ctx, "tcp", s.cfg.address())
	if err != nil {
		return nil, nil, fault.Wrap(err, fault.Unavailable, "the mail server %s cannot be reached", s.cfg.address())
	}
	plain := conn
	stop := context.AfterFunc(ctx, func() { plain.Close() })
	defer func() {
		if err != nil {
			stop()
			plain.Close()
		}
	}()
	security := &tls.Config{ServerName: s.cfg.Host, RootCAs: s.cfg.Roots, MinVersion: tls.VersionTLS12}
	if s.cfg.Protection == Implicit {
		t := tls.Client(conn, security)
		if err := t.HandshakeContext(ctx); err != nil {
			return nil, nil, s.untrusted(err)
		}
		conn = t
	}
	if c, err = smtp.NewClient(conn, s.cfg.Host); err != nil {
		return nil, nil, s.refused(err, fault.Unavailable, fault.Unavailable, "does not let us in")
	}
	if err := c.Hello(s.hello()); err != nil {
		return nil, nil, s.refused(err, fault.Unavailable, fault.Unavailable, "does not greet us")
	}
	if s.cfg.Protection == StartTLS {
		if can, _ := c.Extension("STARTTLS"); !can {
			return nil, nil, fault.New(fault.Unavailable, "the mail server %s does not offer STARTTLS, and mail is not sent unprotected: use smtps:// if it does TLS from the first byte, or say tls=none", s.cfg.address())
		}
		if err := c.StartTLS(security); err != nil {
			return nil, nil, s.untrusted(err)
		}
	}
	return c, func() {
		plain.SetDeadline(time.Now().Add(farewell))
		c.Quit()
		stop()
		plain.Close()
	}, nil
}

// hello is the name that we say: this machine's if it is a full one, and otherwise the sender's domain, since servers
// may refuse names that are no domains.
func (s *Sender) hello() string {
	if name, err := os.Hostname(); err == nil && strings.Contains(name, ".") && words(name) {
		return name
	}
	_, domain, _ := strings.Cut(s.cfg.From.Address, "@")
	return domain
}

// refused turns a server's answer into a fault: of one kind if it was final (5xx), of another if it was not. What
// is no answer is a broken connection.
func (s *Sender) refused(err error, final, later fault.Kind, format string, args ...any) error {
	var answer *textproto.Error
	switch {
	case errors.Is(err, errNoLogin):
		return fault.New(final, "the mail server %s offers no way to log in that we know (PLAIN, LOGIN): check its port and whether it wants a user at all", s.cfg.address())
	case !errors.As(err, &answer):
		return s.broken(err)
	}
	kind := later
	if answer.Code >= 500 {
		kind = final
	}
	return fault.New(kind, "the mail server %s %s: %d %s", s.cfg.address(), fmt.Sprintf(format, args...), answer.Code, shorten(line(answer.Msg), 300))
}

func (s *Sender) broken(err error) error {
	return fault.Wrap(err, fault.Unavailable, "the connection to the mail server %s broke", s.cfg.address())
}

func (s *Sender) untrusted(err error) error {
	if errors.As(err, new(*tls.CertificateVerificationError)) {
		return fault.Wrap(err, fault.Unavailable, "the mail server %s is not who it should be: its certificate is not in order, or the name in the address is not the one it is for", s.cfg.address())
	}
	return fault.Wrap(err, fault.Unavailable, "the mail server %s cannot do TLS as it should: check the port (smtps:// is for 465, smtp:// for 587)", s.cfg.address())
}

// login logs in by a way that the server offers. PLAIN and LOGIN are enough: the line is protected, or does not leave this machine.
type login struct {
	cfg Config
	smtp.Auth
}

var errNoLogin = errors.New("no common way to log in")

// Start chooses. Over an open line to another machine the password is not sent, whoever made the Config.
func (l *login) Start(server *smtp.ServerInfo) (string, []byte, error) {
	if !server.TLS && !loopback(l.cfg.Host) {
		return "", nil, smtp.ErrUnencrypted
	}
	switch {
	case slices.Contains(server.Auth, "PLAIN"):
		l.Auth = smtp.PlainAuth("", l.cfg.User, l.cfg.Password, l.cfg.Host, true)
	case slices.Contains(server.Auth, "LOGIN"):
		l.Auth = smtp.LoginAuth(l.cfg.User, l.cfg.Password, l.cfg.Host, true)
	default:
		return "", nil, errNoLogin
	}
	return l.Auth.Start(server)
}

// line makes one line of a text: white space and control characters become single spaces, and so does what turns the
// direction of writing round, by which a name could make the words after it read backwards.
func line(s string) string {
	return strings.Join(strings.FieldsFunc(strings.ToValidUTF8(s, "\uFFFD"), func(r rune) bool {
		return unicode.IsSpace(r) || unicode.IsControl(r) || '\u202A' <= r && r <= '\u202E' || '\u2066' <= r && r <= '\u2069'
	}), " ")
}

// shorten cuts a text to n characters.
func shorten(s string, n int) string {
	if r := []rune(s); len(r) > n {
		return string(r[:n-1]) + "…"
	}
	return s
}

func ascii(s string) bool {
	return !strings.ContainsFunc(s, func(r rune) bool { return r <= ' ' || r >= 0x7f })
}

func words(s string) bool {
	return !strings.ContainsFunc(s, func(r rune) bool {
		return !('a' <= r && r <= 'z' || 'A' <= r && r <= 'Z' || '0' <= r && r <= '9' || strings.ContainsRune("._-", r))
	})
}
