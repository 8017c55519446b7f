package postgres

import (
	"bytes"
	"errors"
	"testing"

	"github.com/holdfast-backup/holdfast/vault/dump"
	"github.com/holdfast-backup/holdfast/wire/fault"
)

func TestFilter(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		sql     string
		beside  string // what passes; "!": it is refused
		inPlace string
	}{
		{"SELECT 1;", "SELECT 1;", "SELECT 1;"},
		{"\\restrict abc\n", "", ""},
		{"\\unrestrict abc\n", "", ""},
		{"\\connect x\n", "!", "!"},
		{"\\\n", "!", "!"},
		{`SELECT "\", '\';`, `SELECT "\", '\';`, `SELECT "\", '\';`},
		{"BEGIN;", "BEGIN;", ""},
		{"COMMIT;", "COMMIT;", ""},
		{"SET work_mem = 1;", "SET work_mem = 1;", "SET work_mem = 1;"},
		{"SET future = 1;", "", ""},
		{"SET \"x.y\" = 1;", "SET \"x.y\" = 1;", "SET \"x.y\" = 1;"},
		{"SET standard_conforming_strings = off;", "!", "!"},
		{"SET SESSION AUTHORIZATION 'x';", "", ""},
		{"RESET SESSION AUTHORIZATION;", "", ""},
		{"CREATE DATABASE x;", "!", "!"},
		{"ALTER ROLE x;", "!", "!"},
		{"ALTER SYSTEM SET x = 1;", "!", "!"},
		{"CREATE USER MAPPING FOR x SERVER y;", "CREATE USER MAPPING FOR x SERVER y;", "CREATE USER MAPPING FOR x SERVER y;"},
		{"CREATE SCHEMA public;", "CREATE SCHEMA public;", ""},
		{"CREATE SCHEMA other;", "CREATE SCHEMA other;", "CREATE SCHEMA other;"},
		{"COMMENT ON SCHEMA public IS 'x';", "COMMENT ON SCHEMA public IS 'x';", ""},
		{"COMMENT ON SCHEMA ours IS 'x';", "COMMENT ON SCHEMA ours IS 'x';", "COMMENT ON SCHEMA ours IS 'x';"},
		{"GRANT USAGE ON SCHEMA public TO me;", "GRANT USAGE ON SCHEMA public TO me;", ""},
		{"COMMENT ON EXTENSION x IS 'y';", "", ""},
		{"ALTER TABLE a OWNER TO me;", "ALTER TABLE a OWNER TO me;", "ALTER TABLE a OWNER TO me;"},
		{"ALTER TABLE a OWNER TO \"Me \"\"2\";", "ALTER TABLE a OWNER TO \"Me \"\"2\";", "ALTER TABLE a OWNER TO \"Me \"\"2\";"},
		{"ALTER TABLE a OWNER TO other;", "", ""},
		{"ALTER TABLE a OWNER TO nobody;", "", ""},
		{"GRANT ALL ON TABLE a TO other WITH GRANT OPTION;", "GRANT ALL ON TABLE a TO other WITH GRANT OPTION;", "GRANT ALL ON TABLE a TO other WITH GRANT OPTION;"},
		{"GRANT ALL ON TABLE a TO PUBLIC;", "GRANT ALL ON TABLE a TO PUBLIC;", "GRANT ALL ON TABLE a TO PUBLIC;"},
		{"REVOKE ALL ON TABLE a FROM nobody;", "", ""},
		{"ALTER DEFAULT PRIVILEGES FOR ROLE nobody GRANT ALL ON TABLES TO me;", "", ""},
		{"ALTER DEFAULT PRIVILEGES FOR ROLE me GRANT ALL ON TABLES TO nobody;", "", ""},
		{"ALTER DEFAULT PRIVILEGES FOR ROLE me GRANT ALL ON TABLES TO me;", "ALTER DEFAULT PRIVILEGES FOR ROLE me GRANT ALL ON TABLES TO me;", "ALTER DEFAULT PRIVILEGES FOR ROLE me GRANT ALL ON TABLES TO me;"},
		{"SET future = 1;COPY a FROM stdin;\n1\n\\.\n", "COPY a FROM stdin;\n1\n\\.\n", "COPY a FROM stdin;\n1\n\\.\n"},
		{";", ";", ";"},
	} {
		for inPlace, want := range map[bool]string{false: c.beside, true: c.inPlace} {
			var out bytes.Buffer
			f := &filter{
				out: &out, plan: &plan{inPlace: inPlace},
				roles:    map[string]bool{"me": true, `Me "2`: true, "other": false},
				settings: map[string]bool{"work_mem": true, "standard_conforming_strings": true},
				kept:     map[string]bool{"public": false, "ours": true},
			}
			s := dump.NewPostgresStatements(f.pass)
			_, err := s.Write([]byte(c.sql))
			if err == nil {
				err = s.Close()
			}
			if want == "!" {
				if !errors.Is(err, fault.Invalid) {
					t.Errorf("%q: %v", c.sql, err)
				}
			} else if err != nil || out.String() != want {
				t.Errorf("%q becomes %q, want %q (in place: %v): %v", c.sql, out.String(), want, inPlace, err)
			}
		}
	}
}
