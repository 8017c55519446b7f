// Package open opens the database of an application by its address, whatever its engine is. It is apart from package source because
// every engine's package stands on that one.
package open

import (
	"slices"
	"strings"

	"github.com/holdfast-backup/holdfast/agent/source"
	"github.com/holdfast-backup/holdfast/agent/source/mysql"
	"github.com/holdfast-backup/holdfast/agent/source/postgres"
	"github.com/holdfast-backup/holdfast/agent/source/sqlite"
	"github.com/holdfast-backup/holdfast/wire/fault"
)

// engines open databases by their addresses.
var engines = []struct {
	schemes []string
	begin   string // as people write it
	open    func(string, source.Options) (source.Database, error)
}{
	{[]string{"postgres", "postgresql"}, "postgres://", func(a string, o source.Options) (source.Database, error) { return opened(postgres.Open(a, o)) }},
	{[]string{"mysql", "mariadb"}, "mysql://", func(a string, o source.Options) (source.Database, error) { return opened(mysql.Open(a, o)) }},
	{[]string{"sqlite"}, "sqlite:", func(a string, o source.Options) (source.Database, error) { return opened(sqlite.Open(a, o)) }},
}

// opened makes sure that there is no database where there is an error.
func opened[D source.Database](d D, err error) (source.Database, error) {
	if err != nil {
		return nil, err
	}
	return d, nil
}

// Database returns the database at an address. Nothing is connected yet. It fails with fault.Invalid, in words that show no
// password.
func Database(address string, o source.Options) (source.Database, error) {
	scheme, _, _ := strings.Cut(address, ":")
	var begins []string
	for _, e := range engines {
		if slices.Contains(e.schemes, scheme) {
			return e.open(address, o)
		}
		begins = append(begins, e.begin)
	}
	return nil, fault.New(fault.Invalid, "the address of a database begins with %s", strings.Join(begins, " or "))
}
