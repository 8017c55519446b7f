package dump

import (
	"bytes"
	"errors"
	"fmt"
	"reflect"
	"strings"
	"testing"

	"github.com/holdfast-backup/holdfast/wire/fault"
)

const postgresText = `--
-- PostgreSQL database dump
--

\restrict abc

SET statement_timeout = 0;
SELECT pg_catalog.set_config('search_path', '', false);

CREATE FUNCTION public.f(a integer) RETURNS integer
    LANGUAGE plpgsql
    AS $_$
COPY public.no (a) FROM stdin;
it''s $$ $_ ; INSERT INTO public.no VALUES (1);
$_$;

CREATE PROCEDURE public.p()
    LANGUAGE sql
    BEGIN ATOMIC
 INSERT INTO public.no (id)
   VALUES (CASE WHEN true THEN 1 ELSE 2 END);
 INSERT INTO public.no (id) VALUES (2);
END;

CREATE TABLE public.empty (a text DEFAULT E'it\';s' /* a /* nested */ ; */);
CREATE UNLOGGED TABLE "Odd ""Schema"""."T(1)" (
    "a;b" integer DEFAULT '1'::integer -- not ;
);

COPY "Odd ""Schema"""."T(1)" ("a;b") FROM stdin;
1
\\.
\N
2 \.
\.


INSERT INTO public.items VALUES (1, E'\'(', type'\', 'a;(''b\', $$it's ($$);
INSERT INTO public.items (id, "values") OVERRIDING SYSTEM VALUE VALUES
	(2, 'x'),
	(3, concat('(', ((')'))))
ON CONFLICT (id) DO NOTHING;
INSERT INTO nothing DEFAULT VALUES;
PREPARE q AS SELECT $1;
COPY public.items (id) FROM stdin;
\.

--
-- PostgreSQL database dump complete
--

\unrestrict abc

`

var postgresTables = []Table{{`Odd "Schema".T(1)`, 4}, {"public.empty", 0}, {"public.items", 3}, {"public.nothing", 1}}

func TestPostgres(t *testing.T) {
	t.Parallel()
	s := NewScanner(PostgresSQL)
	if _, err := s.Write([]byte(postgresText)); err != nil {
		t.Fatal(err)
	}
	if got := s.Tables(); !reflect.DeepEqual(got, postgresTables) {
		t.Errorf("got %v", got)
	}
	if err := s.Whole(); err != nil {
		t.Error(err)
	}
	if s.Tables(); Sniff([]byte(postgresText)) != PostgresSQL {
		t.Error("not recognised")
	}
}

// A head that was seen before is not taken for another table's.
func TestPostgresInsertsInTurn(t *testing.T) {
	t.Parallel()
	const a, copied, def, b = "INSERT INTO public.a VALUES (1);\n", "COPY public.c (x) FROM stdin;\n1\n\\.\n", "INSERT INTO public.d DEFAULT VALUES;\n", "INSERT INTO public.b VALUES (1), (2);\n"
	s := NewPostgresStatements(nil)
	if _, err := s.Write([]byte(a + a + copied + a + def + a + b + a + b + b + "INSERT INTO public.b VALUES2 (1);\n")); err != nil {
		t.Fatal(err)
	}
	if got, want := s.Tables(), []Table{{"public.a", 5}, {"public.b", 6}, {"public.c", 1}, {"public.d", 1}}; !reflect.DeepEqual(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
}

func TestPostgresStatements(t *testing.T) {
	t.Parallel()
	var heads []string
	var all []byte
	rows := 0
	s := NewPostgresStatements(func(st Statement) error {
		all = append(all, st.Text...)
		if st.Rows {
			rows++
		} else {
			heads = append(heads, string(st.Head))
		}
		return nil
	})
	s.Write([]byte(postgresText))
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if string(all) != postgresText {
		t.Error("the parts are not the whole")
	}
	for i, want := range []string{`\restrict abc`, "SET statement_timeout = 0;", "SELECT pg_catalog.set_config(', ', false);"} {
		if heads[i] != want {
			t.Errorf("head %d is %q, want %q", i, heads[i], want)
		}
	}
	if len(heads) != 17 || rows != 2 {
		t.Errorf("%d statements and %d parts with rows: %q", len(heads), rows, heads)
	}
}

// What a dump holds does not depend on where it is cut.
func FuzzPostgresCuts(f *testing.F) {
	f.Add([]byte(postgresText), uint16(1), uint16(7))
	f.Add([]byte("COPY a FROM stdin;\r\n1\r\n\\.\r\nSELECT 1;"), uint16(3), uint16(2))
	f.Add([]byte("INSERT INTO a VALUES (1 e'\\'(', e2'\\', a$b$, ee'', $e$ ' $e$), (2) returning (3);"), uint16(0), uint16(1))
	f.Add([]byte("INSERT INTO a VALUES (1);INSERT INTO a VALUES (1);COPY b FROM stdin;\n1\n\\.\nINSERT INTO a VALUES (1);"), uint16(5), uint16(90))
	f.Add([]byte("/* /* */ */ E'\\''; $a$ $$ $a$; \\x"), uint16(2), uint16(1))
	f.Fuzz(func(t *testing.T, text []byte, a, b uint16) {
		read := func(cuts ...uint16) (string, []byte) {
			var heads strings.Builder
			var all []byte
			s := NewPostgresStatements(func(st Statement) error {
				if all = append(all, st.Text...); st.Head != nil {
					fmt.Fprintf(&heads, "%q\n", st.Head)
				}
				return nil
			})
			rest := text
			for i := 0; len(rest) > 0; i++ {
				n := min(len(rest), 1+int(cuts[i%len(cuts)]))
				if _, err := s.Write(bytes.Clone(rest[:n])); err != nil {
					return heads.String() + err.Error(), all
				}
				rest = rest[n:]
			}
			fmt.Fprint(&heads, s.Tables(), s.Whole())
			if s.Close() == nil && !bytes.Equal(all, text) {
				t.Error("the parts are not the whole")
			}
			return heads.String(), all
		}
		whole, _ := read(65535)
		cut, _ := read(a, b)
		if whole != cut {
			t.Errorf("whole:\n%s\ncut:\n%s", whole, cut)
		}
	})
}

func TestPostgresBreaksOff(t *testing.T) {
	t.Parallel()
	for i, text := range []string{
		"", "COPY public.t (a) FROM stdin;\n1\n", postgresText[:len(postgresText)/2],
		"COPY public.t (a) FROM stdin;\n-- PostgreSQL database dump complete\n",
		"SELECT '\n-- PostgreSQL database dump complete\n",
		"SELECT $a$\n-- PostgreSQL database dump complete\n",
		"-- PostgreSQL database dump complete\nSELECT 1",
	} {
		s := NewScanner(PostgresSQL)
		if _, err := s.Write([]byte(text)); err != nil {
			t.Fatal(err)
		}
		if err := s.Whole(); !errors.Is(err, fault.Invalid) {
			t.Errorf("%d is whole: %v", i, err)
		}
	}
	s := NewPostgresStatements(nil)
	s.Write([]byte("COPY public.t (a) FROM stdin;\n1\n"))
	if err := s.Close(); !errors.Is(err, fault.Invalid) {
		t.Errorf("rows that end nowhere: %v", err)
	}
}

// Memory does not grow with rows, strings or names.
func TestPostgresMemoryIsBounded(t *testing.T) {
	t.Parallel()
	for _, begin := range []string{"COPY public.t (a) FROM stdin;\n", "INSERT INTO public.t VALUES ('", "SELECT lowrite(0, '", `SELECT "`, "SELECT $tag$", "INSERT INTO public.t VALUES (", "-- ", "/* ", "SELECT ", `\x `} {
		s := NewPostgresStatements(func(Statement) error { return nil })
		piece := bytes.Repeat([]byte("0123456789abcdef"), 4<<10)
		s.Write([]byte(begin))
		for range 128 {
			if _, err := s.Write(piece); err != nil {
				t.Fatal(err)
			}
		}
		if n := cap(s.text) + cap(s.head) + cap(s.line) + cap(s.word) + cap(s.tag); n > 1<<20 {
			t.Errorf("%q: %d bytes are kept", begin, n)
		}
	}
}

func TestPostgresGivesUpWithItsReader(t *testing.T) {
	t.Parallel()
	stop := errors.New("enough")
	for _, text := range []string{"SELECT 1;", "COPY a FROM stdin;\n1\n"} {
		n := 0
		s := NewPostgresStatements(func(Statement) error {
			if n++; n == strings.Count(text, "\n")+1-strings.Count(text, "COPY") {
				return stop
			}
			return nil
		})
		if _, err := s.Write([]byte(text)); err != stop {
			t.Errorf("%q: %v", text, err)
		}
	}
}

func TestPostgresCommandsWithinStatements(t *testing.T) {
	t.Parallel()
	for text, ok := range map[string]bool{
		`\restrict a` + "\n": true, `SELECT '\', "\", $$\$$ /* \ */ -- \` + "\n;": true, "COPY a FROM stdin;\n\\! id\n\\.\n": true,
		"SELECT 1 \\! id\n": false, "INSERT INTO a VALUES (1 \\! id\n": false, "SELECT '" + strings.Repeat("x", maxPart) + "' \\! id\n": false,
	} {
		s := NewPostgresStatements(nil)
		for range 2 {
			if _, err := s.Write([]byte(text)); ok != (err == nil) || !ok && !errors.Is(err, fault.Invalid) {
				t.Errorf("%.40q: %v", text, err)
			}
		}
	}
}

func BenchmarkPostgres(b *testing.B) {
	row := []byte("4711\t2024-05-06 07:08:09.123456+00\tsome text of a row, with ünïcödé\t12.34\t\\N\tt\n")
	for name, text := range map[string][]byte{
		"copy":    append([]byte("COPY public.t (a) FROM stdin;\n"), bytes.Repeat(row, 200000)...),
		"inserts": bytes.Repeat([]byte("INSERT INTO public.t VALUES (4711, '2024-05-06 07:08:09', 'some text of a row, with ünïcödé', 12.34, NULL, true);\n"), 140000),
		"blob":    append([]byte("COPY public.t (a) FROM stdin;\n"), bytes.Repeat([]byte("0123456789abcdef"), 1<<20)...),
	} {
		b.Run(name, func(b *testing.B) {
			b.SetBytes(int64(len(text)))
			for b.Loop() {
				s := NewScanner(PostgresSQL)
				for p := text; len(p) > 0; {
					n := min(len(p), 128<<10)
					s.Write(p[:n])
					p = p[n:]
				}
			}
		})
	}
}
