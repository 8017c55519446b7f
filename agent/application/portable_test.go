package application

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/holdfast-backup/holdfast/agent/state"
	"github.com/holdfast-backup/holdfast/vault/archive"
	"github.com/holdfast-backup/holdfast/vault/archive/intake"
	"github.com/holdfast-backup/holdfast/vault/dump"
	"github.com/holdfast-backup/holdfast/vault/restore"
	"github.com/holdfast-backup/holdfast/vault/seal"
	"github.com/holdfast-backup/holdfast/vault/tree"
	"github.com/holdfast-backup/holdfast/vault/vaulttest"
	"github.com/holdfast-backup/holdfast/wire/fault"
)

const (
	portableText = `{"format":"holdfast-portable","version":1,"engine":"postgres","server":"15.4","taken_at":"2026-05-06T07:08:09Z","tables":[
{"name":"public.things","columns":[{"name":"id","type":"int","native":"bigint","nullable":false},{"name":"what","type":"text","native":"text","nullable":true}],"primary_key":["id"],"rows":[
["1","of the portable form"]]}]}
`
	nativeText = "PRAGMA foreign_keys=OFF;\nBEGIN TRANSACTION;\nCREATE TABLE things (id INTEGER PRIMARY KEY, what TEXT);\nINSERT INTO things VALUES(1,'of the native dump');\nCOMMIT;\n"
)

// kept is a backup with these files beside its manifest.
func kept(t *testing.T, m archive.Manifest, files map[string]string) (*restore.Objects, seal.Key) {
	t.Helper()
	m.Part, m.Origin = archive.Database, archive.Import
	b, err := m.Encode()
	if err != nil {
		t.Fatal(err)
	}
	all := map[string]string{archive.Name: string(b)}
	var paths []string
	for p, text := range files {
		all[p] = text
	}
	for p := range all {
		paths = append(paths, p)
	}
	slices.SortFunc(paths, tree.Compare)
	remote, sealer := new(vaulttest.Remote), seal.New(seal.ContentKey{1})
	out := &vaulttest.Writer{Remote: remote, Sealer: sealer, PackSize: 100 << 10}
	builder := tree.NewBuilder([32]byte{2}, out)
	for _, p := range paths {
		e := &tree.Entry{Path: p, Type: tree.File, Mode: 0o600, Size: int64(len(all[p]))}
		c, err := out.Chunk([]byte(all[p]))
		if err == nil {
			err = builder.PutChunks(t.Context(), e, []tree.Chunk{c})
		}
		if err == nil {
			err = builder.Add(t.Context(), e)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	root, err := builder.Finish(t.Context())
	if err == nil {
		err = out.Flush()
	}
	if err != nil {
		t.Fatal(err)
	}
	return restore.NewObjects(remote, sealer, restore.Options{}), root.Key
}

// The native dump is used if it is of the application's engine, else the portable form, if it is there.
func TestWhichFormIsRestored(t *testing.T) {
	t.Parallel()
	sum := strings.Repeat("0", 64)
	lite := archive.Manifest{Engine: dump.SQLite, Dump: &archive.Dump{Format: dump.SQLiteSQL, Bytes: int64(len(nativeText)), SHA256: sum}, Tables: []dump.Table{{Name: "things", Rows: 1}}}
	foreign := archive.Manifest{Engine: dump.MySQL, Dump: &archive.Dump{Format: dump.MySQLSQL, SHA256: sum}, Tables: []dump.Table{{Name: "other", Rows: 9}}}
	for name, c := range map[string]struct {
		m     archive.Manifest
		files map[string]string
		what  string
		table string
		says  string
	}{
		"both":                {lite, map[string]string{archive.SQL: nativeText, archive.Portable: portableText}, "of the native dump", "things", ""},
		"JSON only":           {archive.Manifest{Engine: dump.Postgres}, map[string]string{archive.Portable: portableText}, "of the portable form", "things", ""},
		"beside another's":    {foreign, map[string]string{archive.SQL: "CREATE TABLE `other` (a int);\n", archive.Portable: portableText}, "of the portable form", "things", ""},
		"another's only":      {foreign, map[string]string{archive.SQL: "CREATE TABLE `other` (a int);\n"}, "", "", "make the backup with database_dump.json beside it"},
		"a dump that is gone": {lite, map[string]string{archive.Portable: portableText}, "", "", "has no database.sql"},
		"nothing":             {archive.Manifest{Engine: dump.SQLite}, nil, "", "", "holds no database"},
		"JSON that is none":   {archive.Manifest{Engine: dump.Postgres}, map[string]string{archive.Portable: strings.Replace(portableText, `["1"`, `["one"`, 1)}, "", "", "row 1 of the table public.things"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dir, err := state.Open(filepath.Join(t.TempDir(), "state"))
			if err != nil {
				t.Fatal(err)
			}
			path := filepath.Join(t.TempDir(), "shop.db")
			a := &App{Name: "Shop", Database: "sqlite:" + path}
			if err := os.WriteFile(path, nil, 0o600); err != nil { // a database without tables
				t.Fatal(err)
			}
			objects, root := kept(t, c.m, c.files)
			for _, as := range []string{path + ".copy", ""} {
				got, err := Restore(t.Context(), dir, a, RestoreInput{Objects: objects, Root: root, Part: archive.Database, Database: as, Bare: true})
				if c.says != "" {
					if !errors.Is(err, fault.Invalid) || !strings.Contains(err.Error(), c.says) {
						t.Errorf("%v", err)
					}
					continue
				}
				if err != nil {
					t.Fatal(err)
				}
				if want := []dump.Table{{Name: c.table, Rows: 1}}; !reflect.DeepEqual(got.Tables, want) {
					t.Errorf("tables %v", got.Tables)
				}
				at := as
				if at == "" {
					at = path
				}
				if out, err := exec.Command("sqlite3", at, "SELECT what FROM things").Output(); err != nil || strings.TrimSpace(string(out)) != c.what {
					t.Errorf("%s has %q, %v, want %q", at, out, err, c.what)
				}
			}
			if left, _ := filepath.Glob(filepath.Join(filepath.Dir(path), ".*")); len(left) > 0 {
				t.Errorf("left: %v", left)
			}
		})
	}
}

// A dump of another engine is taken in only with the portable form beside it.
func TestForeignFits(t *testing.T) {
	t.Parallel()
	of := func(e dump.Engine, portable bool) *Foreign {
		return &Foreign{Import: &intake.Import{Manifest: archive.Manifest{Part: archive.Database, Engine: e}, Portable: portable}, name: "x.zip"}
	}
	for _, f := range []*Foreign{of(dump.SQLite, false), of(dump.Postgres, true)} {
		if err := f.fits("Shop", dump.SQLite); err != nil {
			t.Error(err)
		}
	}
	if err := of(dump.Postgres, false).fits("Shop", dump.SQLite); !errors.Is(err, fault.Invalid) || !strings.Contains(err.Error(), "database_dump.json") {
		t.Error(err)
	}
}
