// Package archive is what the backup of an application looks like: the paths of its tree, and the manifest that lies in it.
//
//	/database.sql         the native dump, if it is SQL text
//	/database.dump        the native dump, if it is in pg_dump's custom format: of an import only
//	/database_dump.json   the portable dump, if it was asked for
//	/holdfast.json        the manifest
//	/media/…              the content of the one media folder, or a folder LABEL for each of several
//
// A download of such a tree is a ZIP of it, which plain tools can use: export writes it, intake reads it and what other
// tools made. docs/format-application.md describes both.
//
// The manifest is sealed with the content, like every file. It is not signed on its own, so that of a ZIP that somebody
// uploads is believed only as far as intake finds it true. Where media folders were is a claim that nobody can check.
package archive

import (
	"time"

	"github.com/holdfast-backup/holdfast/vault/dump"
)

// The paths.
const (
	SQL      = "database.sql"
	Custom   = "database.dump"
	Portable = "database_dump.json"
	Name     = "holdfast.json" // the manifest's
	MediaDir = "media"
)

// Lacking is the name of the text that a ZIP ends with if files could not be put in it.
const Lacking = "MISSING FILES.txt"

// The manifest's Format and Version.
const (
	Format  = "holdfast-application"
	Version = 1
)

// A Part is what of an application a backup holds.
type Part string

// The parts.
const (
	Database Part = "database"
	Media    Part = "media"
	Full     Part = "full"
)

// An Origin is how a backup came to be.
type Origin string

// The origins.
const (
	Backup Origin = "backup"
	Safety Origin = "safety" // made by a restore, of what it was about to replace
	Import Origin = "import"
)

// A Manifest describes the backup of an application.
type Manifest struct {
	Format        string       `json:"format"`
	Version       int          `json:"version"`
	Application   string       `json:"application"` // its name; "": not known
	Part          Part         `json:"part"`
	Engine        dump.Engine  `json:"engine,omitempty"`         // of a backup with a database
	EngineVersion string       `json:"engine_version,omitempty"` // of the server that was dumped; "": not known
	Tool          string       `json:"tool,omitempty"`           // that dumped, with its version; "": not known
	Dump          *Dump        `json:"dump,omitempty"`           // nil: there is no native dump
	Tables        []dump.Table `json:"tables"`                   // with the rows in the dump, by name; none: they are not known
	Media         []Folder     `json:"media"`
	TakenAt       time.Time    `json:"taken_at"` // zero: not known
	Origin        Origin       `json:"origin"`
}

// A Dump is the native dump, as it lies in the tree.
type Dump struct {
	Format dump.Format `json:"format"`
	Bytes  int64       `json:"bytes"`
	SHA256 string      `json:"sha256"` // 64 hexadecimal digits
}

// Path returns where the dump lies.
func (d *Dump) Path() string {
	if d.Format == dump.PostgresCustom {
		return Custom
	}
	return SQL
}

// A Folder is a media folder.
type Folder struct {
	Label string `json:"label"` // what it is called among several; may be "" if it is the only one
	Root  string `json:"root"`  // where it was: an absolute path of its host; "": not known
}

// Folder returns where the content of the media folder number i lies.
func (m *Manifest) Folder(i int) string {
	if len(m.Media) < 2 {
		return MediaDir
	}
	return MediaDir + "/" + m.Media[i].Label
}
