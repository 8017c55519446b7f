package mail

import (
	"errors"
	"fmt"
	"log/slog"
	netmail "net/mail"
	"strings"
	"testing"

	"github.com/wneessen/go-mail/smtp"

	"github.com/holdfast-backup/holdfast/wire/fault"
)

func TestParseURL(t *testing.T) {
	t.Parallel()
	from := netmail.Address{Name: "The Backup", Address: "backup@example.org"}
	const q = "?from=The+Backup+<backup@example.org>"
	for in, want := range map[string]Config{
		"smtp://mail.example.org" + q:                                   {Host: "mail.example.org", Port: 587, Protection: StartTLS, From: from},
		" smtp://mail.example.org:2525/" + q + "\n":                     {Host: "mail.example.org", Port: 2525, Protection: StartTLS, From: from},
		"smtp://mail.example.org" + q + "&tls=none":                     {Host: "mail.example.org", Port: 25, Protection: None, From: from},
		"smtp://mail.example.org" + q + "&tls=implicit":                 {Host: "mail.example.org", Port: 465, Protection: Implicit, From: from},
		"smtps://mail.example.org" + q:                                  {Host: "mail.example.org", Port: 465, Protection: Implicit, From: from},
		"smtps://mail.example.org" + q + "&tls=implicit":                {Host: "mail.example.org", Port: 465, Protection: Implicit, From: from},
		"smtp://localhost" + q:                                          {Host: "localhost", Port: 25, Protection: None, From: from},
		"smtp://127.0.0.1:1025" + q:                                     {Host: "127.0.0.1", Port: 1025, Protection: None, From: from},
		"smtp://u:p@[::1]" + q:                                          {Host: "::1", Port: 25, Protection: None, User: "u", Password: "p", From: from},
		"smtp://127.0.0.1" + q + "&tls=starttls":                        {Host: "127.0.0.1", Port: 587, Protection: StartTLS, From: from},
		"smtp://a%40b.c:p%3A%2F%23@mail.example.org" + q:                {Host: "mail.example.org", Port: 587, Protection: StartTLS, User: "a@b.c", Password: "p:/#", From: from},
		"smtp://mail.example.org?from=backup%2Bx@example.org":           {Host: "mail.example.org", Port: 587, Protection: StartTLS, From: netmail.Address{Address: "backup+x@example.org"}},
		"smtp://mail.example.org?from=%22A%09B%22+<backup@example.org>": {Host: "mail.example.org", Port: 587, Protection: StartTLS, From: netmail.Address{Name: "A B", Address: "backup@example.org"}},
	} {
		got, err := ParseURL(in)
		if err != nil || got != want {
			t.Errorf("%q: %+v, %v", in, got, err)
		}
	}
}

func TestParseURLRefuses(t *testing.T) {
	t.Parallel()
	const q = "?from=backup@example.org"
	for in, words := range map[string]string{
		"":                                            "neither smtp",
		"mail.example.org":                            "neither smtp",
		"http://mail.example.org" + q:                 "neither smtp",
		"smtp://" + q:                                 "no host",
		"smtp://u:s3cret/x@mail.example.org":          "cannot be read", // the slash ends the host: s3cret is its port
		"smtp://u:s3cret#x@mail.example.org":          "cannot be read",
		"smtp://u:s3cret%zz@mail" + q:                 "cannot be read",
		"smtp://u:s3cret@mail/path" + q:               "only ?from=",
		"smtp://u:s3cret@mail" + q + "#x":             "only ?from=",
		"smtp://u@mail" + q:                           "come together",
		"smtp://:s3cret@mail" + q:                     "come together",
		"smtp://u:s3cret@mail":                        "no address that mail can be from",
		"smtp://u:s3cret@mail?from=a+b@c":             "no address that mail can be from",
		"smtp://u:s3cret@mail?from=ä@c.org":           "no address that mail can be from",
		"smtp://u:s3cret@mail?from=%zz":               "what follows the ?",
		"smtp://u:s3cret@mail" + q + "&x=1":           `no setting "x"`,
		"smtp://u:s3cret@mail" + q + "&tls=yes":       "none of starttls",
		"smtps://u:s3cret@mail" + q + "&tls=none":     "TLS from the first byte",
		"smtps://u:s3cret@mail" + q + "&tls=starttls": "TLS from the first byte",
		"smtp://u:s3cret@mail" + q + "&tls=none":      "could be read on its way",
		"smtp://u:s3cret@mail:0" + q:                  "between 1 and 65535",
		"smtp://u:s3cret@mail:70000" + q:              "between 1 and 65535",
	} {
		c, err := ParseURL(in)
		if !errors.Is(err, fault.Invalid) || !strings.Contains(err.Error(), words) || c != (Config{}) {
			t.Errorf("%q: %+v, %v", in, c, err)
		}
		if err != nil && strings.Contains(err.Error(), "s3cret") {
			t.Errorf("%q: the error shows the password: %v", in, err)
		}
	}
}

func TestConfigKeepsThePasswordToItself(t *testing.T) {
	t.Parallel()
	c, err := ParseURL("smtp://ann:s3cret@mail.example.org?from=backup@example.org")
	if err != nil {
		t.Fatal(err)
	}
	var log strings.Builder
	slog.New(slog.NewTextHandler(&log, nil)).Info("mail", "server", c)
	for _, s := range []string{c.String(), log.String(), fmt.Sprintf("%v %s", c, c)} {
		if strings.Contains(s, "s3cret") || !strings.Contains(s, "mail.example.org:587 as ann (starttls), from <backup@example.org>") {
			t.Errorf("%s", s)
		}
	}
}

// Whoever makes a Config by hand cannot send a password in the clear either.
func TestNoPasswordOverAnOpenLine(t *testing.T) {
	t.Parallel()
	offer := &smtp.ServerInfo{Name: "mail.example.org", Auth: []string{"PLAIN", "LOGIN"}}
	l := &login{cfg: Config{Host: offer.Name, Protection: None, User: "ann", Password: "s3cret"}}
	if _, said, err := l.Start(offer); !errors.Is(err, smtp.ErrUnencrypted) || len(said) > 0 {
		t.Errorf("it said %q, %v", said, err)
	}
	offer.TLS = true
	if _, said, err := l.Start(offer); err != nil || !strings.Contains(string(said), "s3cret") {
		t.Errorf("over TLS: %q, %v", said, err)
	}
}
