package intake

import (
	"archive/tar"
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"strings"
	"testing"
	"time"

	"github.com/holdfast-backup/holdfast/vault/archive"
	"github.com/holdfast-backup/holdfast/vault/dump"
)

func TestDumpsAreKnownByTheirContent(t *testing.T) {
	t.Parallel()
	custom := "PGDMP\x01\x0e\x00" + strings.Repeat("\x00x", 1000)
	for _, c := range []struct {
		text, kind, path string
		format           dump.Format
		version, tool    string
		tables           string
	}{
		{postgresDump, "SQL dump", "database.sql", dump.PostgresSQL, "17.2 (Debian 17.2-1)", "pg_dump 17.4", "[{public.items 3}]"},
		{mysqlDump, "SQL dump", "database.sql", dump.MySQLSQL, "10.11.6-MariaDB-0+deb12u1", "mariadb-dump 10.19 Distrib 10.11.6-MariaDB", "[{t 2}]"},
		{strings.Replace(mysqlDump, "MariaDB dump", "MySQL dump", 1), "SQL dump", "database.sql", dump.MySQLSQL, "10.11.6-MariaDB-0+deb12u1", "mysqldump 10.19 Distrib 10.11.6-MariaDB", "[{t 2}]"},
		{sqliteDump, "SQL dump", "database.sql", dump.SQLiteSQL, "", "", "[{t 1}]"},
		{custom, "dump in the custom format of pg_dump", "database.dump", dump.PostgresCustom, "", "", "[]"},
		{portableDump, "portable dump", "database_dump.json", "", "10.11.6", "", "[{empty 0} {o\"rders 3}]"},
	} {
		for pack, p := range map[string][]byte{"": []byte(c.text), " in gzip": gz(t, []byte(c.text)), " in zstd": zst(t, []byte(c.text))} {
			im, err := take(t, p, Options{Application: "shop", ModTime: when})
			if err != nil {
				t.Errorf("%s%s: %v", c.kind, pack, err)
				continue
			}
			m := im.Manifest
			if im.Kind != c.kind+pack || m.Part != archive.Database || m.Application != "shop" || !m.TakenAt.Equal(when) || m.EngineVersion != c.version || m.Tool != c.tool ||
				fmt.Sprint(m.Tables) != c.tables || (m.Dump == nil) != (c.format == "") || m.Dump != nil && (m.Dump.Format != c.format || m.Dump.Bytes != int64(len(c.text))) {
				t.Errorf("%s%s: %q %+v", c.kind, pack, im.Kind, m)
			}
			got := contents(t, im)
			manifest, err := archive.Decode([]byte(got[archive.Name]))
			if err != nil || manifest.Origin != archive.Import {
				t.Errorf("%v: %s", err, got[archive.Name])
			}
			if len(got) != 2 || got[c.path] != c.text {
				t.Errorf("%s%s: %v", c.kind, pack, got)
			}
		}
	}
}

// every is an archive of all parts.
var every = []thing{
	{name: "./media/b/"},
	{name: "./media/b/x.jpg", text: "picture", mode: 0o4755},
	{name: "./database.sql", text: postgresDump},
	{name: "./media/a.txt", text: "hello"},
	{name: "./media/b/link", typ: tar.TypeSymlink, link: "../a.txt"},
	{name: "./database_dump.json", text: strings.Replace(portableDump, "mysql", "postgres", 1)},
	{name: "./README", text: "?"},
	{name: "./__MACOSX/._a", text: "?"},
}

// TestArchives takes the same in from every kind of archive, with a folder around it and without.
func TestArchives(t *testing.T) {
	t.Parallel()
	for _, wrapper := range []string{"", "backup of the shop/"} {
		var things []thing
		for _, x := range every {
			if !strings.Contains(x.name, "__MACOSX") {
				x.name = wrapper + strings.TrimPrefix(x.name, "./")
			}
			things = append(things, x)
		}
		raw := tarOf(t, things...)
		for kind, p := range map[string][]byte{"tar archive": raw, "tar.gz archive": gz(t, raw), "tar.zst archive": zst(t, raw), "ZIP archive": zipOf(t, things...)} {
			im := taken(t, p)
			if im.Kind != kind || !im.Portable || im.Files != 2 || im.Bytes != 12 || im.LeftOut != 1 || im.Left[0] != wrapper+"README" {
				t.Errorf("%s: %+v", kind, im)
			}
			m := im.Manifest
			if m.Part != archive.Full || m.Engine != dump.Postgres || len(m.Tables) != 1 || len(m.Media) != 1 || m.Folder(0) != "media" || !m.TakenAt.Equal(when) {
				t.Errorf("%s: %+v", kind, m)
			}
			got := contents(t, im)
			delete(got, archive.Name)
			want := map[string]string{
				"database.sql": postgresDump, "database_dump.json": every[5].text, "media/": "", "media/a.txt": "hello", "media/b/": "", "media/b/link": "-> ../a.txt",
				"media/b/x.jpg": "picture",
			}
			if !maps.Equal(got, want) {
				t.Errorf("%s: %v", kind, got)
			}
			for _, e := range im.list {
				if e.path == "media/b/x.jpg" && (e.mode != 0o755 || e.mtime != when.UnixNano()) {
					t.Errorf("%s: %o, %v", kind, e.mode, time.Unix(0, e.mtime))
				}
			}
		}
	}
}

func TestPartsOfALayout(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		things []thing
		part   archive.Part
		want   []string
	}{
		"another name":          {[]thing{{name: "shop-2026.SQL", text: mysqlDump}}, archive.Database, []string{"database.sql"}},
		"a packed dump":         {[]thing{{name: "x.sql.gz", text: string(gz(t, []byte(mysqlDump)))}}, archive.Database, []string{"database.sql"}},
		"a dump in zstd":        {[]thing{{name: "w/x.sql.zst", text: string(zst(t, []byte(mysqlDump)))}}, archive.Database, []string{"database.sql"}},
		"a custom dump":         {[]thing{{name: "x.backup", text: "PGDMP…"}, {name: "media/a", text: "1"}}, archive.Full, []string{"database.dump", "media/", "media/a"}},
		"the portable one only": {[]thing{{name: "database_dump.json", text: portableDump}}, archive.Database, []string{"database_dump.json"}},
		"that in a packed file": {[]thing{{name: "x.dump.gz", text: string(gz(t, []byte(portableDump)))}}, archive.Database, []string{"database_dump.json"}},
		"media":                 {[]thing{{name: "media/x.sql", text: "no dump"}, {name: "media/y/media/z", text: "1"}}, archive.Media, []string{"media/", "media/x.sql", "media/y/", "media/y/media/", "media/y/media/z"}},
		"an empty folder media": {[]thing{{name: "media/"}}, archive.Media, []string{"media/"}},
		"files":                 {[]thing{{name: "a/x", text: "1"}, {name: "b", text: "2"}, {name: "c/d/x.sql", text: "3"}, {name: ".DS_Store", text: "?"}}, archive.Media, []string{"media/", "media/a/", "media/a/x", "media/b", "media/c/", "media/c/d/", "media/c/d/x.sql"}},
		"files in a folder":     {[]thing{{name: "up/"}, {name: "up/a/x", text: "1"}, {name: "up/b", text: "2"}}, archive.Media, []string{"media/", "media/a/", "media/a/x", "media/b"}},
		"a toc.dat of others":   {[]thing{{name: "toc.dat", text: "table of contents"}}, archive.Media, []string{"media/", "media/toc.dat"}},
		"a folder named so":     {[]thing{{name: "x.sql/a", text: "1"}, {name: "b", text: "2"}}, archive.Media, []string{"media/", "media/x.sql/", "media/x.sql/a", "media/b"}},
		"a dump of others":      {[]thing{{name: "core.dump", text: "\x7fELF"}, {name: "b", text: "2"}}, archive.Media, []string{"media/", "media/core.dump", "media/b"}},
		"a folder twice":        {[]thing{{name: "media/"}, {name: "media/a", text: "1"}, {name: "media/"}}, archive.Media, []string{"media/", "media/a"}},
		"archives":              {[]thing{{name: "a.zip", text: "PK\x03\x04"}, {name: "b.tar", text: "?"}}, archive.Media, []string{"media/", "media/a.zip", "media/b.tar"}},
		"two of one letter":     {[]thing{{name: "a", text: "1"}, {name: "A", text: "2"}}, archive.Media, []string{"media/", "media/A", "media/a"}},
	} {
		for kind, p := range map[string][]byte{"zip": zipOf(t, c.things...), "tar": tarOf(t, c.things...), "tar.gz": gz(t, tarOf(t, c.things...))} {
			im, err := take(t, p, Options{})
			if err != nil {
				t.Errorf("%s, %s: %v", name, kind, err)
				continue
			}
			got := contents(t, im)
			if len(got) != len(c.want)+1 || im.Manifest.Part != c.part {
				t.Errorf("%s, %s: %s: %v", name, kind, im.Manifest.Part, got)
			}
			for _, w := range c.want {
				if _, ok := got[w]; !ok {
					t.Errorf("%s, %s: no %s in %v", name, kind, w, got)
				}
			}
		}
	}
}

// What git archive and tools of other systems put in archives.
func TestOtherArchivers(t *testing.T) {
	t.Parallel()
	var b bytes.Buffer
	w := tar.NewWriter(&b)
	for _, h := range []*tar.Header{
		{Typeflag: tar.TypeXGlobalHeader, Name: "pax_global_header", PAXRecords: map[string]string{"comment": "1234"}},
		{Typeflag: tar.TypeReg, Name: "media/a", Size: 1, Mode: 0o600, ModTime: time.Unix(1<<40, 0)},
	} {
		if err := w.WriteHeader(h); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := w.Write([]byte("x")); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	for _, p := range [][]byte{b.Bytes(), gz(t, b.Bytes())} {
		if got := contents(t, taken(t, p)); got["media/a"] != "x" || len(got) != 3 {
			t.Errorf("%v", got)
		}
	}
	p := zipOf(t, thing{name: "media/"}, thing{name: "media/a", text: "x"}) // by Windows
	for at := 0; ; {
		n := bytes.Index(p[at:], []byte("PK\x01\x02"))
		if n < 0 {
			break
		}
		at += n + 5
		p[at] = 0
	}
	im := taken(t, p)
	if got := contents(t, im); got["media/a"] != "x" {
		t.Errorf("%v", got)
	}
	for _, e := range im.list {
		if want := map[string]uint32{"media": 0o755, "media/a": 0o644, "holdfast.json": 0o600}[e.path]; e.mode != want {
			t.Errorf("%s: mode %o", e.path, e.mode)
		}
	}
	skipped := append([]byte("\x50\x2a\x4d\x18\x04\x00\x00\x00note"), zst(t, []byte(sqliteDump))...) // a frame to skip, as pzstd writes
	if got := contents(t, taken(t, skipped)); got["database.sql"] != sqliteDump {
		t.Errorf("%v", got)
	}
}

func TestHardLinksBecomeFiles(t *testing.T) {
	t.Parallel()
	raw := tarOf(t, thing{name: "media/z", text: "content"}, thing{name: "media/a", typ: tar.TypeLink, link: "media/z"},
		thing{name: "database.sql", typ: tar.TypeLink, link: "media/dump"}, thing{name: "media/dump", text: sqliteDump}, thing{name: "media/b", typ: tar.TypeLink, link: "./media/a"})
	if _, err := take(t, raw, Options{}); err == nil {
		t.Error("a dump that was not looked into")
	}
	raw = tarOf(t, thing{name: "media/z", text: "content"}, thing{name: "media/a", typ: tar.TypeLink, link: "media/z"}, thing{name: "media/b", typ: tar.TypeLink, link: "./media/a"})
	for _, p := range [][]byte{raw, gz(t, raw)} {
		got := contents(t, taken(t, p))
		if got["media/a"] != "content" || got["media/b"] != "content" || got["media/z"] != "content" {
			t.Errorf("%v", got)
		}
	}
	if im := taken(t, raw); im.Files != 3 || im.Bytes != 21 {
		t.Errorf("%d files, %d bytes", im.Files, im.Bytes)
	}
}

// exported is an export of two media folders, after a change to its manifest.
func exported(t *testing.T, change func(m *archive.Manifest), more ...thing) []byte {
	t.Helper()
	first := taken(t, zipOf(t, thing{name: "database.sql", text: postgresDump}, thing{name: "media/a", text: "1"}))
	m := first.Manifest
	m.Application, m.Origin = "shop", archive.Backup
	m.Media = []archive.Folder{{Label: "uploads", Root: "/srv/uploads"}, {Label: "logos", Root: "/srv/logos"}}
	change(&m)
	p, err := m.Encode()
	if err != nil {
		t.Fatal(err)
	}
	return zipOf(t, append([]thing{{name: "database.sql", text: postgresDump}, {name: "holdfast.json", text: string(p)}, {name: "media/uploads/a", text: "1"}, {name: "media/logos/"}}, more...)...)
}

func TestExports(t *testing.T) {
	t.Parallel()
	im := taken(t, exported(t, func(*archive.Manifest) {}))
	if m := im.Manifest; m.Application != "shop" || m.Origin != archive.Import || len(m.Media) != 2 || m.Media[1].Root != "/srv/logos" || !m.TakenAt.Equal(when) {
		t.Errorf("%+v", m)
	}
	if got := contents(t, im); got["media/uploads/a"] != "1" || len(got) != 6 {
		t.Errorf("%v", got)
	}
	for name, change := range map[string]func(m *archive.Manifest){
		"the part": func(m *archive.Manifest) {
			*m = archive.Manifest{Part: archive.Media, Media: m.Media, Origin: m.Origin}
		},
		"the dump":           func(m *archive.Manifest) { m.Dump.Bytes++ },
		"the engine":         func(m *archive.Manifest) { m.Dump, m.Engine = nil, dump.MySQL },
		"the number of rows": func(m *archive.Manifest) { m.Tables = []dump.Table{{Name: "public.items", Rows: 4}} },
	} {
		p := exported(t, change)
		if name == "the engine" {
			refused(t, name, p, Options{}, "was changed after it was exported")
			continue
		}
		refused(t, name, p, Options{}, "was changed after it was exported", name)
	}
	keep := func(*archive.Manifest) {}
	refused(t, "an export that lacks files", exported(t, keep, thing{name: "MISSING FILES.txt", text: "2 files"}), Options{}, "lacks files")
	refused(t, "a folder that is not listed", exported(t, keep, thing{name: "media/more/a", text: "1"}), Options{}, "is in no media folder")
	refused(t, "a link from one media folder to another", exported(t, keep, thing{name: "media/uploads/l", typ: tar.TypeSymlink, link: "../logos/a"}), Options{}, "leads out")
	refused(t, "a manifest that is none", zipOf(t, thing{name: "holdfast.json", text: "{}"}), Options{}, "does not describe")
	refused(t, "a manifest alone", zipOf(t, thing{name: "holdfast.json", text: string(must(taken(t, []byte(sqliteDump)).Manifest.Encode()))}), Options{}, "was changed")
	engine := strings.Replace(portableDump, "mysql", "sqlite", 1)
	m := taken(t, []byte(engine)).Manifest
	m.Engine = dump.Postgres
	refused(t, "another engine", zipOf(t, thing{name: "database_dump.json", text: engine}, thing{name: "holdfast.json", text: string(must(m.Encode()))}), Options{}, "the engine")
}

func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}

func TestPortableDumpsThatAreNone(t *testing.T) {
	t.Parallel()
	if !json.Valid([]byte(portableDump)) {
		t.Fatal("the test's own dump is no JSON")
	}
	for i := range len(portableDump) - 2 {
		if _, err := take(t, zipOf(t, thing{name: "database_dump.json", text: portableDump[:i]}), Options{}); err == nil {
			t.Fatalf("the first %d bytes are taken", i)
		}
	}
	change := func(old, new string) string { return strings.Replace(portableDump, old, new, 1) }
	for name, text := range map[string]string{
		"another format":  change("holdfast-portable", "x"),
		"another engine":  change("mysql", "oracle"),
		"something after": portableDump + "x",
		"a list":          "[" + portableDump + "]",
		"brackets":        change("null]", "null}"),
		"no JSON":         change("null", "NULL"),
		"a bad escape":    change(`o\"r`, `o\qr`),
		"a table twice":   change(`"empty"`, `"o\"rders"`),
		"no name":         change(`"empty"`, `""`),
		"deep":            change("null", strings.Repeat("[", 300)+strings.Repeat("]", 300)),
		"many tables":     change(`{"rows": [], "name": "empty"}`, manyTables(100_001)),
	} {
		refused(t, name, zipOf(t, thing{name: "database_dump.json", text: text}), Options{}, "database_dump.json")
		if strings.Contains(text, `"holdfast-portable"`) {
			refused(t, name+", alone", []byte(text), Options{})
		}
	}
	im := taken(t, zipOf(t, thing{name: "database_dump.json", text: change("empty", strings.Repeat("x", 5000))}))
	if len(im.Manifest.Tables) != 2 {
		t.Errorf("%v", im.Manifest.Tables)
	}
}

func manyTables(n int) string {
	list := make([]string, n)
	for i := range list {
		list[i] = fmt.Sprintf(`{"name": "t%d", "rows": []}`, i)
	}
	return strings.Join(list, ", ")
}
