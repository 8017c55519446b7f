package sqlite

import (
	"bytes"
	"slices"
	"strings"

	"github.com/holdfast-backup/holdfast/vault/dump"
	"github.com/holdfast-backup/holdfast/wire/fault"
)

// verbs are what statements of a dump begin with.
var verbs = []string{"PRAGMA", "BEGIN", "COMMIT", "END", "CREATE", "DROP", "INSERT", "REPLACE", "DELETE", "ALTER", "ANALYZE"}

// pragmas are the settings that a dump may make: of the file, and some of the shell itself.
var pragmas = []string{"encoding", "page_size", "auto_vacuum", "user_version", "application_id", "journal_mode", "foreign_keys", "writable_schema", "synchronous", "cache_size", "defer_foreign_keys", "legacy_alter_table"}

// pass refuses what no dump of one database has: commands of the shell's, other files, other programs. The shell's safe mode refuses most of
// it, too, but not all: .quit would end a load half-way, and .bail would go on after errors.
func pass(st dump.Statement) error {
	head := bytes.TrimLeft(st.Head, " \t\r\n;")
	if len(head) == 0 {
		return nil
	}
	verb := head
	if i := bytes.IndexAny(head, " \t\r\n(;\"'`["); i >= 0 {
		verb = head[:i]
	}
	word := strings.ToUpper(string(verb))
	if !slices.Contains(verbs, word) {
		return refuse(head)
	}
	if word == "PRAGMA" {
		name := strings.ToLower(strings.TrimSpace(string(head[len(verb):])))
		if i := strings.IndexAny(name, " \t\r\n=(;"); i >= 0 {
			name = name[:i]
		}
		if !slices.Contains(pragmas, name) {
			return refuse(head)
		}
	}
	return nil
}

const maxShown = 60

func refuse(head []byte) error {
	text := strings.Join(strings.Fields(strings.ToValidUTF8(string(head[:min(len(head), maxShown)]), "?")), " ")
	if len(head) > maxShown {
		text += "…"
	}
	return fault.New(fault.Invalid, "the dump holds a statement that no dump of one database has, %q: it is not loaded", text)
}
