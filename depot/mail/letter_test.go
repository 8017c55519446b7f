package mail_test

import (
	"fmt"
	"html"
	"regexp"
	"strings"
	"testing"

	"github.com/holdfast-backup/holdfast/depot/mail"
	"github.com/holdfast-backup/holdfast/depot/mail/mailtest"
)

var brand = mail.Brand{Name: "Backup of the Faculty", URL: "https://backup.example.org/"}

// rude is what a person might call a device.
const rude = `</td><script>alert("1")</script> & 'Büro' {{.Brand}}`

// letters returns one mail of each kind, with rude words wherever people choose them.
func letters(t *testing.T) map[string]mail.Content {
	t.Helper()
	item := mail.Item{Severity: mail.Error, Title: rude + "\nSubject: x", Body: "First " + rude + "\n\nSecond\tline.", When: "2 March, 14:05", Link: "/runs/1"}
	all := map[string]mail.Content{}
	add := func(name string, c mail.Content, err error) {
		t.Helper()
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		all[name] = c
	}
	c, err := mail.Notification(brand, rude, item, "/settings/mail")
	add("notification", c, err)
	devices := []mail.Device{{Name: rude, Severity: mail.Warning, State: "no backup for 9 days", Link: "/devices/1"}, {Name: strings.Repeat("W", 200), Severity: mail.Success, State: "backed up today"}}
	c, err = mail.Digest(brand, mail.DigestData{Name: rude, Period: "Monday, 2 March", Summary: "All is well.", Devices: devices,
		Items: []mail.Item{item, {Severity: mail.Info, Title: "A quiet one"}}, Link: "/", Settings: "/settings/mail"})
	add("digest", c, err)
	c, err = mail.AdminDigest(brand, mail.AdminDigestData{Name: rude, Period: "Monday, 2 March", Summary: "1 of 120 devices needs attention.",
		Facts: []mail.Fact{{"Devices", "120"}, {"Stored", "1.2 TB of " + rude}}, Devices: devices, Items: []mail.Item{item}, Link: "/admin", Settings: "/settings/mail"})
	add("admin-digest", c, err)
	c, err = mail.Invitation(brand, mail.InvitationData{Name: rude, By: rude, Link: "/join#abc", Until: "9 March, 14:05"})
	add("invitation", c, err)
	c, err = mail.TestLetter(brand)
	add("test", c, err)
	return all
}

var href = regexp.MustCompile(`href="([^"]*)"`)

func TestLetters(t *testing.T) {
	t.Parallel()
	srv := mailtest.New(t, mailtest.Config{})
	s, _ := sender(t, srv, "backup@example.org")
	for name, c := range letters(t) {
		if c.ListID != name || strings.ContainsAny(c.Subject, "\r\n") || c.Subject == "" {
			t.Errorf("%s: list %q, subject %q", name, c.ListID, c.Subject)
		}
		if strings.Contains(c.HTML, "<script") || strings.Contains(c.HTML, "ZgotmplZ") {
			t.Errorf("%s: unescaped\n%s", name, c.HTML)
		}
		// Nothing is fetched when the mail is opened, and links lead to the service alone.
		for _, word := range []string{"src=", "url(", "@import", "<link", "<img"} {
			if strings.Contains(c.HTML, word) {
				t.Errorf("%s: HTML has %s", name, word)
			}
		}
		for _, m := range href.FindAllStringSubmatch(c.HTML, -1) {
			if u := html.UnescapeString(m[1]); u != "https://backup.example.org" && !strings.HasPrefix(u, "https://backup.example.org/") {
				t.Errorf("%s: a link to %s", name, u)
			}
		}
		// Whoever reads the plain text gets the same.
		shown := html.UnescapeString(c.HTML)
		for line := range strings.Lines(c.Text) {
			if strings.HasPrefix(strings.TrimSpace(line), "https://") && !strings.Contains(c.HTML, strings.TrimSpace(line)) {
				t.Errorf("%s: HTML lacks the link %s", name, line)
			}
		}
		if name != "test" && (!strings.Contains(c.Text, rude) || !strings.Contains(shown, rude)) {
			t.Errorf("%s: the words are lost\n%s", name, c.Text)
		}
		if strings.Contains(c.Text, "\nSubject: x") || strings.Contains(c.Text, "\n\n\n") {
			t.Errorf("%s: text\n%s", name, c.Text)
		}
		if err := s.Send(t.Context(), c.Message("ada@example.org")); err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		sent := srv.Messages()
		if m := sent[len(sent)-1]; m.Subject != c.Subject || m.Text != c.Text || m.HTML != c.HTML {
			t.Errorf("%s: it did not arrive as it was written", name)
		}
	}
}

// TestWords: each kind says what it is for, word by word in plain text.
func TestWords(t *testing.T) {
	t.Parallel()
	all := letters(t)
	for name, want := range map[string][]string{
		"notification": {"Hello " + rude + ",", "First " + rude, "Second line.", "When: 2 March, 14:05", "Look at it: https://backup.example.org/runs/1", "at once", "Choose which mails you get: https://backup.example.org/settings/mail"},
		"digest": {"All is well.", "Devices", "- " + rude + ": no backup for 9 days", "  https://backup.example.org/devices/1", "What happened", "(2 March, 14:05)", "- A quiet one",
			"Open my backups: https://backup.example.org/\n", "chose a digest"},
		"admin-digest": {"1 of 120", "Devices: 120", "Stored: 1.2 TB", "Open the overview: https://backup.example.org/admin", "administrator"},
		"invitation":   {rude + " invites you to keep backups of your files with Backup of the Faculty.", "nobody can reset it", "Valid until: 9 March, 14:05", "Make my account: https://backup.example.org/join#abc", "works once"},
		"test":         {"This is the test", "Backup of the Faculty, https://backup.example.org\n"},
	} {
		for _, w := range want {
			if !strings.Contains(all[name].Text, w) {
				t.Errorf("%s: no %q in\n%s", name, w, all[name].Text)
			}
		}
	}
	c, err := mail.Invitation(mail.Brand{URL: "http://127.0.0.1:8440"}, mail.InvitationData{Link: "/join"})
	if err != nil || c.Subject != "Your invitation to Holdfast" || !strings.Contains(c.Text, "You are invited to keep backups of your files with Holdfast.") || strings.Contains(c.Text, "Hello") {
		t.Errorf("%v\n%s", err, c.Text)
	}
}

// TestSeveral: things that happened at once are one mail, named after the first.
func TestSeveral(t *testing.T) {
	t.Parallel()
	first := mail.Item{Severity: mail.Error, Title: "A backup failed " + strings.Repeat("W", 200), Body: "Look at it.", When: "2 March, 14:05", Link: "/runs/1"}
	c, err := mail.Notifications(brand, "Ada", []mail.Item{first, {Title: "A device was enrolled"}, {Title: "A third"}}, "/settings/mail")
	if err != nil {
		t.Fatal(err)
	}
	if !strings.HasPrefix(c.Subject, "A backup failed W") || !strings.HasSuffix(c.Subject, "…, and 2 more") || c.ListID != "notification" {
		t.Errorf("subject %q, list %q", c.Subject, c.ListID)
	}
	for _, w := range []string{"3 things to know", "Hello Ada,", "Look at it.", "https://backup.example.org/runs/1", "- A device was enrolled", "- A third", "at once"} {
		if !strings.Contains(c.Text, w) {
			t.Errorf("no %q in\n%s", w, c.Text)
		}
	}
	alone, err := mail.Notifications(brand, "Ada", []mail.Item{first}, "")
	same, err2 := mail.Notification(brand, "Ada", first, "")
	if err != nil || err2 != nil || alone != same {
		t.Errorf("one alone differs: %v, %v", err, err2)
	}
}

// TestBounds: a mail stays one that can be read, whatever happened.
func TestBounds(t *testing.T) {
	t.Parallel()
	d := mail.DigestData{Period: "today", Link: "/"}
	for i := range 5000 {
		d.Items = append(d.Items, mail.Item{Title: fmt.Sprintf("item %d %s", i, strings.Repeat("ä", 1000)), Body: strings.Repeat("word\n", 10000)})
		d.Devices = append(d.Devices, mail.Device{Name: fmt.Sprintf("device %d", i), State: strings.Repeat("x", 5000)})
	}
	c, err := mail.Digest(brand, d)
	if err != nil {
		t.Fatal(err)
	}
	if n := strings.Count(c.Text, "and 4950 more"); n != 2 || strings.Contains(c.Text, "item 50 ") || !strings.Contains(c.Text, "item 49 ") {
		t.Errorf("%d counts of what was left out", n)
	}
	if len(c.HTML) > 4<<20 || len(c.Text) > 1<<20 {
		t.Errorf("HTML of %d bytes, text of %d", len(c.HTML), len(c.Text))
	}
	if len(d.Devices[0].State) != 5000 || d.Items[0].Link != "" {
		t.Error("what the caller gave was changed")
	}
}

func TestLinksLeadNowhereElse(t *testing.T) {
	t.Parallel()
	for _, path := range []string{"https://evil.example/", "//evil.example/", "join", "/a b", "/\r\nBcc: x", `/"onclick=`, "/ä", `/\evil.example`} {
		if _, err := mail.Notification(brand, "", mail.Item{Title: "x", Link: path}, ""); err == nil {
			t.Errorf("%q was taken", path)
		}
		if _, err := mail.Digest(brand, mail.DigestData{Link: "/", Settings: path}); err == nil {
			t.Errorf("%q was taken for settings", path)
		}
		if _, err := mail.AdminDigest(brand, mail.AdminDigestData{Link: "/", Devices: []mail.Device{{Link: path}}}); err == nil {
			t.Errorf("%q was taken of a device", path)
		}
	}
	for _, u := range []string{"", "backup.example.org", "ftp://x", "https://", "https://x\x7f"} {
		if _, err := mail.TestLetter(mail.Brand{URL: u}); err == nil {
			t.Errorf("brand at %q was taken", u)
		}
	}
}
