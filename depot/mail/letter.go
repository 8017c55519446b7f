package mail

import (
	"bytes"
	"embed"
	"fmt"
	htmltemplate "html/template"
	"net/url"
	"strings"
	"text/template"
)

// A letter is all that our mails can be: a heading, some words, facts, devices, items, one button. Each kind of mail
// (kinds.go) fills one in, and one pair of templates writes it, as plain text and as HTML that needs nothing from
// elsewhere: no picture, no font, no counter. Whatever people chose is made one line, or paragraphs of lines, on its
// way in, and escaped by html/template on its way out.

// Brand is how the installation calls itself.
type Brand struct {
	Name string // of the service, such as "Holdfast"; empty: Holdfast
	URL  string // where people open it, without a slash at its end
}

// Content is a mail that was written.
type Content struct {
	Subject, Text, HTML string
	ListID, Settings    string // for [Message]
}

// Message returns the content addressed to somebody.
func (c Content) Message(to string) Message {
	return Message{To: to, Subject: c.Subject, Text: c.Text, HTML: c.HTML, ListID: c.ListID, Settings: c.Settings}
}

// Severity says how much an item matters.
type Severity string

// The severities: the words of a notification.
const (
	Info    Severity = "info"
	Success Severity = "success"
	Warning Severity = "warning"
	Error   Severity = "error"
)

// Item is one thing that happened.
type Item struct {
	Severity Severity
	Title    string
	Body     string // paragraphs, apart by line breaks; may be empty
	When     string // for people, in their own zone, such as "2 March, 14:05"; may be empty
	Link     string // where it is shown: a path within the app, such as /devices/…; may be empty
}

// Fact is one line of a table.
type Fact struct{ Label, Value string }

// Device is one line about a device.
type Device struct {
	Name     string
	Severity Severity
	State    string // such as "backed up today at 02:10"
	Link     string // a path within the app; may be empty
}

const (
	maxItems = 50  // of a letter, and as many devices; the rest is counted
	maxLine  = 300 // characters of a title, a name, a value
	maxBody  = 2000
)

// letter is what the templates see. URLs are whole by then.
type letter struct {
	Brand           Brand
	Subject         string
	Heading         string
	Tone            Severity // of the whole
	Greeting        string   // "Hello Ada,"; may be empty
	Lead            []string
	Facts           []Fact
	Devices         []Device
	MoreDevices     int
	ItemsHeading    string
	Items           []block
	MoreItems       int
	Button, Address string // of the button
	Closing         []string
	Why             string // why this mail came
	Settings        string // address of the page where such mails are turned off; may be empty

	list string // for Content
}

// block is an item as templates see it.
type block struct {
	Item
	Paragraphs []string
}

//go:embed templates
var files embed.FS

var (
	textTemplate = template.Must(template.ParseFS(files, "templates/letter.txt"))
	htmlTemplate = htmltemplate.Must(htmltemplate.New("letter.html").Funcs(htmltemplate.FuncMap{"colour": colour}).ParseFS(files, "templates/letter.html"))
)

// colour returns the colour that stands for a severity, one that reads on white and on black.
func colour(s Severity) htmltemplate.CSS {
	switch s {
	case Error:
		return "#d6454f"
	case Warning:
		return "#c27803"
	case Success:
		return "#2f9e5b"
	}
	return "#5b7fb5"
}

// write fills the templates.
func (l letter) write() (Content, error) {
	if l.Brand.Name = shorten(line(l.Brand.Name), maxLine); l.Brand.Name == "" {
		l.Brand.Name = "Holdfast"
	}
	u, err := url.Parse(l.Brand.URL)
	if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "" {
		return Content{}, fmt.Errorf("mail: %q is no address of a service", l.Brand.URL)
	}
	l.Brand.URL = strings.TrimRight(l.Brand.URL, "/")
	clean := func(s *string) { *s = shorten(line(*s), maxLine) }
	for _, s := range []*string{&l.Subject, &l.Heading, &l.Greeting, &l.ItemsHeading, &l.Button, &l.Why} {
		clean(s)
	}
	if len(l.Items) > maxItems {
		l.Items, l.MoreItems = l.Items[:maxItems], len(l.Items)-maxItems
	}
	if len(l.Devices) > maxItems {
		l.Devices, l.MoreDevices = l.Devices[:maxItems], len(l.Devices)-maxItems
	}
	links := []*string{&l.Address, &l.Settings}
	for i := range l.Items {
		it := &l.Items[i]
		clean(&it.Title)
		clean(&it.When)
		it.Paragraphs = paragraphs(it.Body)
		links = append(links, &it.Link)
	}
	for i := range l.Devices {
		clean(&l.Devices[i].Name)
		clean(&l.Devices[i].State)
		links = append(links, &l.Devices[i].Link)
	}
	for i := range l.Facts {
		clean(&l.Facts[i].Label)
		clean(&l.Facts[i].Value)
	}
	for _, path := range links {
		if *path, err = l.Brand.at(*path); err != nil {
			return Content{}, err
		}
	}
	var text, html bytes.Buffer
	if err := textTemplate.Execute(&text, l); err != nil {
		return Content{}, fmt.Errorf("write a mail: %w", err)
	}
	if err := htmlTemplate.Execute(&html, l); err != nil {
		return Content{}, fmt.Errorf("write a mail: %w", err)
	}
	return Content{Subject: l.Subject, Text: text.String(), HTML: html.String(), ListID: l.list, Settings: l.Settings}, nil
}

// at returns the address of a path within the app. Mails lead nowhere else.
func (b Brand) at(path string) (string, error) {
	if path == "" {
		return "", nil
	}
	if !strings.HasPrefix(path, "/") || strings.HasPrefix(path, "//") || !ascii(path) || strings.ContainsAny(path, `<>"\`) {
		return "", fmt.Errorf("mail: %q is no path within the app", path)
	}
	return b.URL + path, nil
}

// paragraphs cuts a text at its line breaks.
func paragraphs(s string) []string {
	var list []string
	for p := range strings.Lines(shorten(s, maxBody)) {
		if p = line(p); p != "" {
			list = append(list, p)
		}
	}
	return list
}
