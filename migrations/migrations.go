// Package migrations holds the database's schema as goose SQL, one file a step. Files that were released
// are never edited: a change is a new file.
package migrations

import "embed"

// FS holds the files.
//
//go:embed *.sql
var FS embed.FS
