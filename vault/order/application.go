package order

import (
	"errors"
	"fmt"
	"strings"
	"unicode/utf8"

	"github.com/holdfast-backup/holdfast/wire/cbor"
	"github.com/holdfast-backup/holdfast/wire/id"
)

// Part says what of an application.
type Part uint8

// The parts. Their numbers are stored.
const (
	Full Part = iota
	DatabaseOnly
	MediaOnly

	parts
)

// String returns the part's name on the command line.
func (p Part) String() string {
	if p < parts {
		return [...]string{"full", "database", "media"}[p]
	}
	return fmt.Sprintf("part %d", uint8(p))
}

// Database reports whether the database is meant.
func (p Part) Database() bool { return p != MediaOnly }

// Media reports whether the media are meant.
func (p Part) Media() bool { return p != DatabaseOnly }

// maxDatabase is how long a database's name, or its file's path, may be.
const maxDatabase = 4096

// Application says what of an application is to be put back, and where.
type Application struct {
	ID       id.Application
	Part     Part
	Database string // another one, that does not exist yet: its name, or its file's path; "": in place
	Bare     bool   // without a safety backup first: what is there now cannot be saved any more
}

const applicationParts = 4

// validate says what is wrong with a as part of o. A nil a is right.
func (a *Application) validate(o *Order) error {
	switch {
	case a == nil:
		return nil
	case a.ID.IsZero():
		return errors.New("an order for an application names it")
	case a.Part >= parts:
		return fmt.Errorf("an order for %v of an application", a.Part)
	case len(o.Paths) > 0 || len(o.Extensions) > 0:
		return errors.New("an order for an application puts back a whole part of it, not single paths")
	case o.Conflict == KeepBoth:
		return errors.New("the media of an application are overwritten or left alone, not kept beside")
	case len(a.Database) > maxDatabase || !utf8.ValidString(a.Database) || strings.ContainsAny(a.Database, "\x00\n"):
		return fmt.Errorf("%.80q is no name of a database", a.Database)
	case a.Database != "" && !a.Part.Database(), o.To != "" && !a.Part.Media():
		return errors.New("an order that says where to put what it leaves out")
	}
	return nil
}

func (a *Application) encode(w *writer) {
	w.array(applicationParts)
	w.b = cbor.AppendBytes(w.b, a.ID[:])
	w.b = cbor.AppendInt(w.b, int64(a.Part))
	w.b = cbor.AppendText(w.b, a.Database)
	bare := int64(0)
	if a.Bare {
		bare = 1
	}
	w.b = cbor.AppendInt(w.b, bare)
}

func decodeApplication(r *reader) *Application {
	a := new(Application)
	if n := r.array(applicationParts); n != applicationParts {
		r.Fail("an application of %d parts", n)
	}
	r.Fixed(a.ID[:])
	part := r.Int()
	if part < 0 || part >= int64(parts) {
		r.Fail("part %d", part)
	}
	a.Part = Part(part)
	a.Database = r.bounded(maxDatabase)
	bare := r.Int()
	if bare != 0 && bare != 1 {
		r.Fail("%d where 0 or 1 is due", bare)
	}
	a.Bare = bare == 1
	return a
}
