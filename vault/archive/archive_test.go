package archive_test

import (
	"bytes"
	"errors"
	"os"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/holdfast-backup/holdfast/vault/archive"
	"github.com/holdfast-backup/holdfast/vault/dump"
	"github.com/holdfast-backup/holdfast/wire/fault"
)

const sum = "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"

func full() archive.Manifest {
	return archive.Manifest{
		Application: "Läden & <Lager>", Part: archive.Full, Engine: dump.Postgres, EngineVersion: "17.2", Tool: "pg_dump 17.2",
		Dump:    &archive.Dump{Format: dump.PostgresSQL, Bytes: 1234567, SHA256: sum},
		Tables:  []dump.Table{{Name: "public.orders", Rows: 500_000}, {Name: "public.customers", Rows: 0}},
		Media:   []archive.Folder{{Label: "uploads", Root: "/srv/shop/uploads"}, {Label: "invoices", Root: `C:\Rechnungen`}},
		TakenAt: time.Date(2026, 11, 26, 3, 4, 5, 678, time.FixedZone("", 3600)),
		Origin:  archive.Backup,
	}
}

func TestGolden(t *testing.T) {
	t.Parallel()
	want, err := os.ReadFile("testdata/holdfast.json")
	if err != nil {
		t.Fatal(err)
	}
	got, err := full().Encode()
	if err != nil || !bytes.Equal(got, want) {
		t.Fatalf("%v:\n%s", err, got)
	}
	m, err := archive.Decode(want)
	if err != nil {
		t.Fatal(err)
	}
	if m.Tables[0].Name != "public.customers" || m.Dump.Path() != archive.SQL || m.Folder(1) != "media/invoices" {
		t.Errorf("%+v", m)
	}
	if again, err := m.Encode(); err != nil || !bytes.Equal(again, want) {
		t.Errorf("%v: what was read is written differently:\n%s", err, again)
	}
}

func TestSmallManifests(t *testing.T) {
	t.Parallel()
	for _, m := range []archive.Manifest{
		{Part: archive.Media, Media: []archive.Folder{{}}, Origin: archive.Import},
		{Part: archive.Database, Engine: dump.SQLite, Origin: archive.Safety},
		{Part: archive.Database, Engine: dump.Postgres, Dump: &archive.Dump{Format: dump.PostgresCustom, SHA256: sum}, Origin: archive.Import},
	} {
		p, err := m.Encode()
		if err != nil {
			t.Fatal(err)
		}
		got, err := archive.Decode(p)
		m.Format, m.Version, m.Tables = archive.Format, archive.Version, []dump.Table{}
		if m.Media == nil {
			m.Media = []archive.Folder{}
		}
		if err != nil || !reflect.DeepEqual(*got, m) {
			t.Errorf("%v: %+v", err, got)
		}
		if m.Part == archive.Media && got.Folder(0) != "media" {
			t.Error("the only folder has a label in its path")
		}
	}
	custom := archive.Dump{Format: dump.PostgresCustom}
	if custom.Path() != archive.Custom {
		t.Error(custom.Path())
	}
}

func TestManifestsThatAreRefused(t *testing.T) {
	t.Parallel()
	long := strings.Repeat("x", 5000)
	for name, change := range map[string]func(*archive.Manifest){
		"an origin":               func(m *archive.Manifest) { m.Origin = "gift" },
		"a long name":             func(m *archive.Manifest) { m.Application = long },
		"a tool that is no UTF-8": func(m *archive.Manifest) { m.Tool = "\xff" },
		"a year":                  func(m *archive.Manifest) { m.TakenAt = time.Date(12000, 1, 1, 0, 0, 0, 0, time.UTC) },
		"rows":                    func(m *archive.Manifest) { m.Tables[0].Rows = -1 },
		"a table's name":          func(m *archive.Manifest) { m.Tables[0].Name = "\xff" },
		"a table twice":           func(m *archive.Manifest) { m.Tables[1] = m.Tables[0] },
		"a part":                  func(m *archive.Manifest) { m.Part = "half" },
		"media of a database":     func(m *archive.Manifest) { m.Part = archive.Database },
		"no media":                func(m *archive.Manifest) { m.Media = nil },
		"no engine":               func(m *archive.Manifest) { m.Engine = "" },
		"an engine":               func(m *archive.Manifest) { m.Engine, m.Dump = "oracle", nil },
		"another engine's dump":   func(m *archive.Manifest) { m.Engine = dump.MySQL },
		"a dump of media":         func(m *archive.Manifest) { m.Part, m.Engine = archive.Media, "" },
		"bytes":                   func(m *archive.Manifest) { m.Dump = &archive.Dump{Format: dump.PostgresSQL, Bytes: -1, SHA256: sum} },
		"a short sum":             func(m *archive.Manifest) { m.Dump = &archive.Dump{Format: dump.PostgresSQL, SHA256: sum[:62]} },
		"a sum in capitals": func(m *archive.Manifest) {
			m.Dump = &archive.Dump{Format: dump.PostgresSQL, SHA256: strings.ToUpper(sum)}
		},
		"a root":               func(m *archive.Manifest) { m.Media[0].Root = "/\xff" },
		"no label among two":   func(m *archive.Manifest) { m.Media[0].Label = "" },
		"a label that climbs":  func(m *archive.Manifest) { m.Media[0].Label = ".." },
		"a label with a slash": func(m *archive.Manifest) { m.Media[0].Label = "a/b" },
		"a label twice":        func(m *archive.Manifest) { m.Media[0].Label = m.Media[1].Label },
		"many tables":          func(m *archive.Manifest) { m.Tables = make([]dump.Table, 100_001) },
	} {
		m := full()
		change(&m)
		if _, err := m.Encode(); !errors.Is(err, fault.Invalid) && !errors.Is(err, fault.TooLarge) {
			t.Errorf("%s: %v", name, err)
		}
	}
	m := full()
	m.Tables = make([]dump.Table, 0, 5000)
	for i := range 5000 {
		m.Tables = append(m.Tables, dump.Table{Name: strings.Repeat("x", 4000) + string(rune('0'+i%10)) + string(rune(0x4e00+i))})
	}
	if _, err := m.Encode(); !errors.Is(err, fault.TooLarge) {
		t.Errorf("a manifest of 20 MB: %v", err)
	}
}

func TestTextsThatAreNoManifest(t *testing.T) {
	t.Parallel()
	good, err := full().Encode()
	if err != nil {
		t.Fatal(err)
	}
	for name, text := range map[string]string{
		"nothing":          "",
		"a part of it":     string(good[:len(good)/2]),
		"another format":   `{"format":"x","version":1}`,
		"a newer version":  `{"format":"holdfast-application","version":2,"more":1}`,
		"an unknown field": strings.Replace(string(good), `"part"`, `"more": 1, "part"`, 1),
		"twice":            string(good) + string(good),
		"an unknown part":  strings.Replace(string(good), `"full"`, `"half"`, 1),
		"too long":         string(good) + strings.Repeat(" ", archive.MaxSize),
	} {
		if _, err := archive.Decode([]byte(text)); !errors.Is(err, fault.Invalid) && !errors.Is(err, fault.TooLarge) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestClock(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 1, 2, 3, 4, 5, 6, time.FixedZone("", 3600))
	if got := archive.Clock(now); !got.Equal(now) || got.Location() != time.UTC {
		t.Error(got)
	}
	if got := archive.Clock(time.Unix(1<<50, 0)); !got.IsZero() {
		t.Error(got)
	}
}

func FuzzDecode(f *testing.F) {
	good, err := full().Encode()
	if err != nil {
		f.Fatal(err)
	}
	f.Add(good)
	f.Fuzz(func(t *testing.T, p []byte) {
		m, err := archive.Decode(p)
		if err != nil {
			return
		}
		again, err := m.Encode()
		if err != nil {
			t.Fatalf("what was read cannot be written: %v", err)
		}
		if n, err := archive.Decode(again); err != nil || !reflect.DeepEqual(m.Dump, n.Dump) {
			t.Fatalf("%v, %+v", err, n)
		}
	})
}
