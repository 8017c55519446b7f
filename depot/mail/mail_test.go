package mail_test

import (
	"context"
	"errors"
	netmail "net/mail"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/holdfast-backup/holdfast/depot/mail"
	"github.com/holdfast-backup/holdfast/depot/mail/mailtest"
	"github.com/holdfast-backup/holdfast/wire/fault"
)

// sender returns a sender to a server.
func sender(t *testing.T, s *mailtest.Server, from string) (*mail.Sender, mail.Config) {
	t.Helper()
	cfg, err := mail.ParseURL(s.URL(from))
	if err != nil {
		t.Fatal(err)
	}
	cfg.Roots = s.Roots()
	return mail.New(cfg), cfg
}

var hello = mail.Message{To: "Ada <ada@example.org>", Subject: "Hello", Text: "Hi.\n.\nBye.\n", HTML: "<p>Hi.</p>"}

func TestSend(t *testing.T) {
	t.Parallel()
	for name, cfg := range map[string]mailtest.Config{
		"plain":             {},
		"plain, with login": {User: "ann", Password: "pass word"},
		"starttls":          {StartTLS: true, User: "ann", Password: "p@:/#?"},
		"implicit":          {Implicit: true, User: "ann", Password: "ö"},
		"login":             {StartTLS: true, User: "ann", Password: "x", Mechanisms: []string{"CRAM-MD5", "LOGIN"}},
		"no login":          {StartTLS: true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			srv := mailtest.New(t, cfg)
			s, _ := sender(t, srv, "The Backup <backup@example.org>")
			if err := s.Send(t.Context(), hello); err != nil {
				t.Fatal(err)
			}
			m := srv.Messages()[0]
			if m.From != "backup@example.org" || !slices.Equal(m.To, []string{"ada@example.org"}) || m.User != cfg.User || m.TLS != (cfg.StartTLS || cfg.Implicit) {
				t.Errorf("%+v", m)
			}
			if m.Subject != "Hello" || m.Text != hello.Text || m.HTML != hello.HTML {
				t.Errorf("subject %q, text %q, HTML %q", m.Subject, m.Text, m.HTML)
			}
			if said := srv.Dialogue(); said[len(said)-1] != "QUIT" {
				t.Errorf("no farewell: %q", said)
			}
		})
	}
}

func TestHeaders(t *testing.T) {
	t.Parallel()
	srv := mailtest.New(t, mailtest.Config{})
	s, _ := sender(t, srv, "Sicherung Köln <backup@example.org>")
	m := hello
	m.To, m.Subject = `"Ünal, Öz" <ada@example.org>`, "Sicherung von Jürgens Gerät fehlgeschlagen — 3 Dateien 日本語 "+strings.Repeat("long ", 60)
	m.ID, m.ListID, m.Settings = "0198a", "digest", "https://backup.example.org/settings/mail"
	for range 2 {
		if err := s.Send(t.Context(), m); err != nil {
			t.Fatal(err)
		}
	}
	got := srv.Messages()
	h := got[0].Header
	for key, want := range map[string]string{
		"Message-Id":               "<0198a@example.org>",
		"Auto-Submitted":           "auto-generated",
		"Precedence":               "bulk",
		"X-Auto-Response-Suppress": "All",
		"List-Id":                  "<digest.holdfast.example.org>",
		"List-Unsubscribe":         "<https://backup.example.org/settings/mail>",
		"Mime-Version":             "1.0",
	} {
		if h.Get(key) != want || len(h[key]) != 1 {
			t.Errorf("%s: %q, want %q", key, h[key], want)
		}
	}
	if got[0].Subject != strings.TrimSpace(m.Subject) {
		t.Errorf("subject %q", got[0].Subject)
	}
	for key, want := range map[string]netmail.Address{"From": {Name: "Sicherung Köln", Address: "backup@example.org"}, "To": {Name: "Ünal, Öz", Address: "ada@example.org"}} {
		if list, err := h.AddressList(key); err != nil || len(list) != 1 || *list[0] != want {
			t.Errorf("%s: %v, %v", key, list, err)
		}
	}
	if at, err := h.Date(); err != nil || time.Since(at).Abs() > time.Hour {
		t.Errorf("date %v, %v", at, err)
	}
	for line := range strings.SplitSeq(string(got[0].Raw), "\r\n") {
		if len(line) > 998 {
			t.Errorf("a line of %d bytes", len(line))
		}
	}
	if got[1].Header.Get("Message-Id") != h.Get("Message-Id") {
		t.Error("a second attempt at one mail has another id")
	}
	m.ID = ""
	for range 2 {
		if err := s.Send(t.Context(), m); err != nil {
			t.Fatal(err)
		}
	}
	if got := srv.Messages(); got[2].Header.Get("Message-Id") == got[3].Header.Get("Message-Id") {
		t.Error("two mails have one id")
	}
}

// TestInjection: what people chose stays what it is.
func TestInjection(t *testing.T) {
	t.Parallel()
	srv := mailtest.New(t, mailtest.Config{})
	s, _ := sender(t, srv, "backup@example.org")
	m := hello
	m.Subject = "Ada's laptop\r\nBcc: eve@example.org\r\n\r\n<b>and a body\u202Eevil\x00"
	m.Text = "a\r\n.\r\nMAIL FROM:<eve@example.org>\r\n"
	if err := s.Send(t.Context(), m); err != nil {
		t.Fatal(err)
	}
	got := srv.Messages()
	if len(got) != 1 || got[0].Header.Get("Bcc") != "" || len(got[0].To) != 1 || got[0].Subject != "Ada's laptop Bcc: eve@example.org <b>and a body evil" {
		t.Errorf("%+v", got)
	}
	if got[0].Text != "a\n.\nMAIL FROM:<eve@example.org>\n" {
		t.Errorf("%q", got[0].Text)
	}
	for _, to := range []string{"", "ada", "ada@example.org\r\nBcc: eve@example.org", "ada@example.org, eve@example.org", "<ada@example.org> RCPT", "\"a\r\nb\" <ada@example.org>"} {
		m := hello
		m.To = to
		if err := s.Send(t.Context(), m); !errors.Is(err, fault.Invalid) || !mail.Permanent(err) {
			t.Errorf("to %q: %v", to, err)
		}
	}
	for _, m := range []mail.Message{{To: "a@b.c", ID: "a>\r\nx"}, {To: "a@b.c", ListID: "a b"}, {To: "a@b.c", Settings: "https://x/\r\nBcc: y"}, {To: "a@b.c", Settings: "https://x/>"}} {
		if err := s.Send(t.Context(), m); err == nil {
			t.Errorf("%+v was sent", m)
		}
	}
	if n := len(srv.Messages()); n != 1 {
		t.Errorf("%d mails", n)
	}
}

func TestAddressesBeyondASCII(t *testing.T) {
	t.Parallel()
	m := hello
	m.To = "jürgen@example.org"
	old := mailtest.New(t, mailtest.Config{})
	s, _ := sender(t, old, "backup@example.org")
	if err := s.Send(t.Context(), m); !mail.Permanent(err) || !strings.Contains(err.Error(), "plain letters") {
		t.Errorf("%v", err)
	}
	able := mailtest.New(t, mailtest.Config{UTF8: true})
	s, _ = sender(t, able, "backup@example.org")
	if err := s.Send(t.Context(), m); err != nil {
		t.Fatal(err)
	}
	if got := able.Messages()[0].To; !slices.Equal(got, []string{m.To}) {
		t.Errorf("%q", got)
	}
}

// TestRefusals: who is to blame, and whether it is any use to try again.
func TestRefusals(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		at    mailtest.Step
		reply string
		kind  fault.Kind
		words string
	}{
		{mailtest.Connect, "554 no", fault.Unavailable, "does not let us in: 554 no"},
		{mailtest.Connect, "421 busy", fault.Unavailable, "does not let us in: 421 busy"},
		{mailtest.Hello, "550 no", fault.Unavailable, "does not greet us: 550 no"},
		{mailtest.StartTLS, "454 TLS not available", fault.Unavailable, "cannot do TLS"},
		{mailtest.Auth, "535 5.7.8 no", fault.Forbidden, "refuses user ann or the password: 535 5.7.8 no"},
		{mailtest.Auth, "454 4.7.0 later", fault.Unavailable, "refuses user ann or the password: 454"},
		{mailtest.Mail, "550 5.7.1 not yours", fault.Forbidden, "refuses mail from backup@example.org: 550 5.7.1 not yours"},
		{mailtest.Mail, "451 4.3.0 later", fault.Unavailable, "refuses mail from backup@example.org: 451"},
		{mailtest.Rcpt, "550 5.1.1 no such\tuser", fault.Invalid, "refuses mail to ada@example.org: 550 5.1.1 no such user"},
		{mailtest.Rcpt, "450 4.2.0 greylisted", fault.Unavailable, "refuses mail to ada@example.org: 450 4.2.0 greylisted"},
		{mailtest.Data, "554 no", fault.Invalid, "refuses the mail to ada@example.org: 554 no"},
		{mailtest.Data, "421 bye", fault.Unavailable, "refuses the mail to ada@example.org: 421 bye"},
		{mailtest.Body, "552 too large", fault.Invalid, "refuses the mail to ada@example.org: 552 too large"},
		{mailtest.Body, "452 full", fault.Unavailable, "refuses the mail to ada@example.org: 452 full"},
		{mailtest.Body, "554 " + strings.Repeat("x", 400), fault.Invalid, strings.Repeat("x", 299) + "…"},
		{mailtest.Rcpt, "gibberish", fault.Unavailable, "broke"},
	} {
		srv := mailtest.New(t, mailtest.Config{StartTLS: true, User: "ann", Password: "s3cret"})
		s, _ := sender(t, srv, "backup@example.org")
		srv.Answer(c.at, c.reply)
		err := s.Send(t.Context(), hello)
		if !errors.Is(err, c.kind) || !strings.Contains(err.Error(), c.words) || strings.Contains(err.Error(), "s3cret") || mail.Permanent(err) != (c.kind == fault.Invalid) {
			t.Errorf("%s %s: %v (%s)", c.at, c.reply, err, fault.KindOf(err))
		}
		if n := len(srv.Messages()); n != 0 {
			t.Errorf("%s %s: %d mails", c.at, c.reply, n)
		}
		srv.Heal()
		if err := s.Send(t.Context(), hello); err != nil {
			t.Errorf("after %s %s: %v", c.at, c.reply, err)
		}
	}
}

func TestLoginRefused(t *testing.T) {
	t.Parallel()
	srv := mailtest.New(t, mailtest.Config{StartTLS: true, User: "ann", Password: "right"})
	_, cfg := sender(t, srv, "backup@example.org")
	cfg.Password = "wr0ng"
	if err := mail.New(cfg).Send(t.Context(), hello); !errors.Is(err, fault.Forbidden) || strings.Contains(err.Error(), "wr0ng") {
		t.Errorf("wrong password: %v", err)
	}
	cfg.User = ""
	if err := mail.New(cfg).Send(t.Context(), hello); !errors.Is(err, fault.Forbidden) || !strings.Contains(err.Error(), "log in first") {
		t.Errorf("without a user: %v", err)
	}
	odd := mailtest.New(t, mailtest.Config{StartTLS: true, User: "ann", Password: "right", Mechanisms: []string{"XOAUTH2"}})
	s, _ := sender(t, odd, "backup@example.org")
	if err := s.Send(t.Context(), hello); !errors.Is(err, fault.Forbidden) || !strings.Contains(err.Error(), "no way to log in") {
		t.Errorf("no common way: %v", err)
	}
}

// TestProtection: mail does not go unprotected where it was to be protected, nor to somebody else.
func TestProtection(t *testing.T) {
	t.Parallel()
	ask := func(cfg mailtest.Config, change func(*mail.Config), words string) {
		t.Helper()
		srv := mailtest.New(t, cfg)
		_, c := sender(t, srv, "backup@example.org")
		change(&c)
		err := mail.New(c).Send(t.Context(), hello)
		if !errors.Is(err, fault.Unavailable) || !strings.Contains(err.Error(), words) {
			t.Errorf("%s: %v", words, err)
		}
		for _, said := range srv.Dialogue() {
			if strings.HasPrefix(said, "AUTH") || strings.HasPrefix(said, "MAIL") {
				t.Errorf("%s: it said %s", words, said)
			}
		}
	}
	ask(mailtest.Config{}, func(c *mail.Config) { c.Protection = mail.StartTLS }, "does not offer STARTTLS")
	ask(mailtest.Config{}, func(c *mail.Config) { c.Protection = mail.Implicit }, "cannot do TLS")
	ask(mailtest.Config{StartTLS: true}, func(c *mail.Config) { c.Roots = nil }, "not who it should be")
	ask(mailtest.Config{Implicit: true}, func(c *mail.Config) { c.Roots = nil }, "not who it should be")
	ask(mailtest.Config{StartTLS: true}, func(c *mail.Config) { c.Host = "localhost" }, "not who it should be") // the certificate is for 127.0.0.1
}

func TestBrokenConnections(t *testing.T) {
	t.Parallel()
	for _, at := range []mailtest.Step{mailtest.Connect, mailtest.Hello, mailtest.StartTLS, mailtest.Auth, mailtest.Mail, mailtest.Rcpt, mailtest.Data, mailtest.Body} {
		t.Run(string(at), func(t *testing.T) {
			t.Parallel()
			srv := mailtest.New(t, mailtest.Config{StartTLS: true, User: "ann", Password: "x"})
			s, cfg := sender(t, srv, "backup@example.org")
			srv.HangUp(at)
			if err := s.Send(t.Context(), hello); !errors.Is(err, fault.Unavailable) {
				t.Errorf("hung up: %v", err)
			}
			srv.Stall(at)
			cfg.Timeout = 300 * time.Millisecond
			if err := mail.New(cfg).Send(t.Context(), hello); !errors.Is(err, fault.Unavailable) || !strings.Contains(err.Error(), "within 300ms") {
				t.Errorf("stalled: %v", err)
			}
			ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
			defer cancel()
			if err := s.Send(ctx, hello); !errors.Is(err, context.DeadlineExceeded) {
				t.Errorf("cancelled: %v", err)
			}
		})
	}
}

// TestFarewell: a mail that was taken is sent, even if the server is rude afterwards.
func TestFarewell(t *testing.T) {
	t.Parallel()
	srv := mailtest.New(t, mailtest.Config{})
	s, _ := sender(t, srv, "backup@example.org")
	srv.HangUp(mailtest.Quit)
	if err := s.Send(t.Context(), hello); err != nil {
		t.Error(err)
	}
	srv.Stall(mailtest.Quit)
	if err := s.Send(t.Context(), hello); err != nil {
		t.Error(err)
	}
	srv.Wait(t, 2)
}

func TestNobodyThere(t *testing.T) {
	t.Parallel()
	srv := mailtest.New(t, mailtest.Config{})
	s, _ := sender(t, srv, "backup@example.org")
	srv.Close()
	if err := s.Send(t.Context(), hello); !errors.Is(err, fault.Unavailable) || !strings.Contains(err.Error(), "cannot be reached") {
		t.Errorf("%v", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := s.Send(ctx, hello); !errors.Is(err, context.Canceled) {
		t.Errorf("%v", err)
	}
}

func TestTestMail(t *testing.T) {
	t.Parallel()
	srv := mailtest.New(t, mailtest.Config{})
	s, cfg := sender(t, srv, "backup@example.org")
	if s.Config().Host != cfg.Host {
		t.Errorf("%v", s.Config())
	}
	if err := s.Test(t.Context(), mail.Brand{URL: "https://backup.example.org"}, "ada@example.org"); err != nil {
		t.Fatal(err)
	}
	if m := srv.Wait(t, 1)[0]; m.Subject != "Mail works" || !strings.Contains(m.Text, "https://backup.example.org") || !strings.Contains(m.HTML, "Mail works") {
		t.Errorf("%+v", m)
	}
	if err := s.Test(t.Context(), mail.Brand{}, "ada@example.org"); err == nil {
		t.Error("a test without an address of the service")
	}
}
