package catalog

import (
	"fmt"
	"io"
	"strings"

	"github.com/holdfast-backup/holdfast/wire/fault"
)

// MarshalGQL writes the state as a value of the GraphQL enum, such as ACTIVE.
func (st BackupState) MarshalGQL(w io.Writer) { fmt.Fprintf(w, "%q", strings.ToUpper(string(st))) }

// UnmarshalGQL reads a value of the GraphQL enum.
func (st *BackupState) UnmarshalGQL(v any) error {
	s, _ := v.(string)
	for _, known := range []BackupState{Active, Committed, Aborted, Void} {
		if s == strings.ToUpper(string(known)) {
			*st = known
			return nil
		}
	}
	return fault.New(fault.Invalid, "a backup's state is ACTIVE, COMMITTED, ABORTED or VOID")
}
