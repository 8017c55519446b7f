package application

import (
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/holdfast-backup/holdfast/agent/source"
	"github.com/holdfast-backup/holdfast/agent/source/open"
	"github.com/holdfast-backup/holdfast/agent/state"
	"github.com/holdfast-backup/holdfast/vault/archive"
	"github.com/holdfast-backup/holdfast/vault/dump"
	"github.com/holdfast-backup/holdfast/wire/fault"
	"github.com/holdfast-backup/holdfast/wire/id"
)

// App is an application of this device.
type App struct {
	ID       id.Application `json:"id,omitzero"` // that the server gave it; zero: it does not know of it yet
	Name     string         `json:"name"`
	Database string         `json:"database,omitempty"` // its URL, with the password
	Media    []Folder       `json:"media,omitempty"`    // by label
	Exclude  []string       `json:"exclude,omitempty"`  // patterns as in .gitignore, of media
}

// Folder is a folder of media.
type Folder struct {
	Label string `json:"label"` // what it is called in a backup
	Path  string `json:"path"`  // absolute
}

// MaxName is the length of an application's name, in characters.
const MaxName = 80

// New checks what an application is to be and gives labels to its folders. It does not look whether any of it exists.
func New(name, database string, media, exclude []string) (*App, error) {
	a := &App{Name: strings.TrimSpace(name), Database: database, Exclude: exclude}
	switch n := utf8.RuneCountInString(a.Name); {
	case n == 0 || n > MaxName || !utf8.ValidString(a.Name) || strings.ContainsFunc(a.Name, func(r rune) bool { return r < ' ' }):
		return nil, fault.New(fault.Invalid, "an application has a name of 1 to %d characters", MaxName)
	case database == "" && len(media) == 0:
		return nil, fault.New(fault.Invalid, "an application has a database (--db URL), media (--media DIR), or both")
	}
	if database != "" {
		if _, err := engineOf(database); err != nil {
			return nil, err
		}
	}
	for _, m := range media {
		path, err := filepath.Abs(m)
		if err != nil {
			return nil, fault.Wrap(err, fault.Invalid, "%q is no folder", m)
		}
		for _, f := range a.Media {
			if within(path, f.Path) || within(f.Path, path) {
				return nil, fault.New(fault.Invalid, "%s and %s overlap: name the outer one", f.Path, path)
			}
		}
		a.Media = append(a.Media, Folder{a.label(path), path})
	}
	slices.SortFunc(a.Media, func(x, y Folder) int { return strings.Compare(x.Label, y.Label) })
	return a, nil
}

var notLabel = regexp.MustCompile(`[^\pL\pN._-]+`)

// label names a folder after its last element, so that no two of the application have the same.
func (a *App) label(path string) string {
	base := strings.Trim(notLabel.ReplaceAllString(filepath.Base(path), "-"), "-.")
	if base == "" {
		base = "media"
	}
	label := base
	for n := 2; slices.ContainsFunc(a.Media, func(f Folder) bool { return strings.EqualFold(f.Label, label) }); n++ {
		label = base + "-" + itoa(n)
	}
	return label
}

// within reports whether path is dir or lies in it.
func within(path, dir string) bool {
	rel, err := filepath.Rel(dir, path)
	return err == nil && rel != ".." && !strings.HasPrefix(rel, ".."+string(filepath.Separator))
}

// Engine returns the engine of the database; "" without one.
func (a *App) Engine() dump.Engine {
	if a.Database == "" {
		return ""
	}
	e, _ := engineOf(a.Database) // it was checked when it was added
	return e
}

// Whole is all that the application has.
func (a *App) Whole() archive.Part {
	switch {
	case a.Database == "":
		return archive.Media
	case len(a.Media) == 0:
		return archive.Database
	}
	return archive.Full
}

// engineOf returns the engine of a database's address.
func engineOf(address string) (dump.Engine, error) {
	db, err := open.Database(address, source.Options{})
	if err != nil {
		return "", err
	}
	defer db.Close()
	return db.Engine(), nil
}

// Store is the applications of a device, in its state folder.
type Store struct{ dir *state.Dir }

// In returns the store of a state folder.
func In(dir *state.Dir) Store { return Store{dir} }

const storeName = "applications.json"

// All returns the applications, by name.
func (s Store) All() ([]*App, error) {
	var all []*App
	err := s.dir.ReadPrivate(storeName, &all)
	return all, err
}

// ByName returns the application of this name, in any case, or fault.NotFound.
func (s Store) ByName(name string) (*App, error) {
	return s.find(func(a *App) bool { return strings.EqualFold(a.Name, name) }, "there is no application %q on this device: holdfast-agent app list shows them", name)
}

// ByID returns the application that the server knows as v, or fault.NotFound.
func (s Store) ByID(v id.Application) (*App, error) {
	return s.find(func(a *App) bool { return a.ID == v && !v.IsZero() }, "this device does not have the application any more: add it again with holdfast-agent app add")
}

func (s Store) find(is func(*App) bool, format string, args ...any) (*App, error) {
	all, err := s.All()
	if err != nil {
		return nil, err
	}
	if i := slices.IndexFunc(all, is); i >= 0 {
		return all[i], nil
	}
	return nil, fault.New(fault.NotFound, format, args...)
}

// Put adds an application, or replaces the one of the same name.
func (s Store) Put(a *App) error {
	all, err := s.All()
	if err != nil {
		return err
	}
	all = slices.DeleteFunc(all, func(b *App) bool { return strings.EqualFold(a.Name, b.Name) })
	all = append(all, a)
	slices.SortFunc(all, func(x, y *App) int { return strings.Compare(strings.ToLower(x.Name), strings.ToLower(y.Name)) })
	return s.dir.WritePrivate(storeName, all)
}

// Remove forgets an application.
func (s Store) Remove(name string) error {
	all, err := s.All()
	if err != nil {
		return err
	}
	return s.dir.WritePrivate(storeName, slices.DeleteFunc(all, func(b *App) bool { return strings.EqualFold(name, b.Name) }))
}

// open opens the application's database; nil without one.
func (s Store) open(a *App) (source.Database, error) {
	if a.Database == "" {
		return nil, nil
	}
	journal, err := s.dir.Sub("restores")
	if err != nil {
		return nil, err
	}
	return open.Database(a.Database, source.Options{Journal: journal})
}
