package mail

import (
	"fmt"
	"slices"
)

// Notification writes the mail about one thing that just happened. name is the reader's; settings is the path of the page where mails
// are chosen.
func Notification(b Brand, name string, it Item, settings string) (Content, error) {
	l := letter{
		Brand: b, Subject: it.Title, Heading: it.Title, Tone: it.Severity, Greeting: greet(name), Lead: paragraphs(it.Body),
		Why: whyInstant, Settings: settings, list: "notification",
	}
	if it.When != "" {
		l.Facts = []Fact{{"When", it.When}}
	}
	if it.Link != "" {
		l.Button, l.Address = "Look at it", it.Link
	}
	return l.write()
}

// Notifications writes the mail about things that happened at the same time, at least one: the first gives the mail its subject.
func Notifications(b Brand, name string, items []Item, settings string) (Content, error) {
	if len(items) == 1 {
		return Notification(b, name, items[0], settings)
	}
	l := letter{
		Brand: b, Subject: fmt.Sprintf("%s, and %d more", shorten(line(items[0].Title), maxLine/2), len(items)-1),
		Heading: fmt.Sprintf("%d things to know", len(items)), Tone: items[0].Severity, Greeting: greet(name),
		ItemsHeading: "What happened", Items: blocks(items), Why: whyInstant, Settings: settings, list: "notification",
	}
	return l.write()
}

const whyInstant = "You get this mail because you asked to be told at once."

// DigestData is what somebody reads about their own backups.
type DigestData struct {
	Name     string   // the reader's
	Period   string   // what it is about, such as "Monday, 2 March"
	Summary  string   // one sentence; empty: none
	Devices  []Device // of the reader
	Items    []Item   // since the last digest, newest first
	Link     string   // path of the page that shows more
	Settings string   // path of the page where mails are chosen
}

// Digest writes a person's digest.
func Digest(b Brand, d DigestData) (Content, error) {
	l := letter{
		Brand: b, Subject: "Your backups: " + d.Period, Heading: "Your backups", Greeting: greet(d.Name), Lead: paragraphs(d.Summary),
		Devices: slices.Clone(d.Devices), ItemsHeading: "What happened", Items: blocks(d.Items),
		Button: "Open my backups", Address: d.Link,
		Why: "You get this mail because you chose a digest.", Settings: d.Settings, list: "digest",
	}
	return l.write()
}

// AdminDigestData is what an administrator reads about everybody's backups.
type AdminDigestData struct {
	Name     string   // the reader's
	Period   string   // such as "Monday, 2 March"
	Summary  string   // one sentence, such as "3 of 120 devices need attention."
	Facts    []Fact   // numbers: devices, runs, room
	Devices  []Device // that need attention
	Items    []Item   // of the installation itself: care that failed, a disk that fills
	Link     string   // path of the page that shows more
	Settings string   // path of the page where mails are chosen
}

// AdminDigest writes the administrators' digest.
func AdminDigest(b Brand, d AdminDigestData) (Content, error) {
	l := letter{
		Brand: b, Subject: "Backups of everybody: " + d.Period, Heading: "Backups of everybody", Greeting: greet(d.Name), Lead: paragraphs(d.Summary),
		Facts: slices.Clone(d.Facts), Devices: slices.Clone(d.Devices), ItemsHeading: "What happened", Items: blocks(d.Items),
		Button: "Open the overview", Address: d.Link,
		Why: "You get this mail because you are an administrator.", Settings: d.Settings, list: "admin-digest",
	}
	return l.write()
}

// InvitationData is what somebody reads who is to make an account.
type InvitationData struct {
	Name  string // the reader's
	By    string // who invites; empty: nobody is named
	Link  string // path of the page that accepts it, token included
	Until string // when it ends, such as "9 March, 14:05"
}

// Invitation writes an invitation.
func Invitation(b Brand, d InvitationData) (Content, error) {
	name := b.Name
	if name == "" {
		name = "Holdfast"
	}
	by := "You are invited"
	if d.By != "" {
		by = line(d.By) + " invites you"
	}
	l := letter{
		Brand: b, Subject: "Your invitation to " + name, Heading: "Your invitation", Greeting: greet(d.Name),
		Lead: []string{fmt.Sprintf("%s to keep backups of your files with %s.", by, line(name)),
			"Backups are locked with a password that only you know: nobody else can read them, and nobody can reset it for you. You also get a recovery code. Keep it on paper."},
		Facts:  []Fact{{"Valid until", d.Until}},
		Button: "Make my account", Address: d.Link,
		Closing: []string{"The link works once. If you did not expect this mail, leave it: without you nothing happens."},
		Why:     "You get this mail because somebody entered your address.", list: "invitation",
	}
	return l.write()
}

// CodeData is what somebody reads at an address that they want to have.
type CodeData struct {
	Name  string // the reader's
	Code  string
	Until string // when it ends, such as "9 March, 14:05"
	Link  string // path of the page that takes it
}

// Code writes the mail by which an address is shown to be somebody's.
func Code(b Brand, d CodeData) (Content, error) {
	l := letter{
		Brand: b, Subject: "Confirm your new e-mail address", Heading: "Confirm your new e-mail address", Greeting: greet(d.Name),
		Lead:   []string{"Somebody who is logged in wants this to be the address of their account. Type the code on the page of your profile, and it is."},
		Facts:  []Fact{{"Code", d.Code}, {"Valid until", d.Until}},
		Button: "Open my profile", Address: d.Link,
		Closing: []string{"If it was not you, leave this mail and show the code to nobody: without it nothing happens."},
		Why:     "You get this mail because somebody entered your address.", list: "confirmation",
	}
	return l.write()
}

// TestLetter writes the mail by which an administrator sees that mail works.
func TestLetter(b Brand) (Content, error) {
	return letter{
		Brand: b, Subject: "Mail works", Heading: "Mail works",
		Lead: []string{"This is the test that you asked for. Notifications and digests will come the same way."},
		Why:  "You get this mail because an administrator sent a test to this address.", list: "test",
	}.write()
}

func greet(name string) string {
	if name == "" {
		return ""
	}
	return "Hello " + name + ","
}

func blocks(items []Item) []block {
	var list []block
	for _, it := range items {
		list = append(list, block{Item: it})
	}
	return list
}
