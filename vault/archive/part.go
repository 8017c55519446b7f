package archive

import "github.com/holdfast-backup/holdfast/wire/fault"

// HasDatabase reports whether the database is meant.
func (p Part) HasDatabase() bool { return p == Database || p == Full }

// HasMedia reports whether the media are meant.
func (p Part) HasMedia() bool { return p == Media || p == Full }

// ParsePart reads a part's name, or fails with fault.Invalid.
func ParsePart(s string) (Part, error) {
	switch p := Part(s); p {
	case Database, Media, Full:
		return p, nil
	}
	return "", fault.New(fault.Invalid, "%.40q is no part of an application: want database, media or full", s)
}
