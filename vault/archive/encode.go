package archive

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"errors"
	"io"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/holdfast-backup/holdfast/vault/dump"
	"github.com/holdfast-backup/holdfast/vault/tree"
	"github.com/holdfast-backup/holdfast/wire/fault"
)

// Limits.
const (
	MaxSize   = 16 << 20 // bytes of a manifest
	maxTables = 100_000
	maxMedia  = 1000
	maxText   = 4096 // bytes of a text
)

// Encode returns the manifest as it is stored. Equal manifests are equal bytes, whatever the order of their tables. Format and Version
// are filled in. It fails with fault.Invalid or fault.TooLarge at what Decode would not take.
func (m Manifest) Encode() ([]byte, error) {
	m.Format, m.Version = Format, Version
	m.TakenAt = m.TakenAt.UTC()
	m.Tables = append([]dump.Table{}, m.Tables...)
	slices.SortFunc(m.Tables, func(a, b dump.Table) int { return strings.Compare(a.Name, b.Name) })
	m.Media = append([]Folder{}, m.Media...)
	if err := m.validate(); err != nil {
		return nil, err
	}
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	e.SetIndent("", "  ")
	if err := e.Encode(m); err != nil {
		return nil, err
	}
	if b.Len() > MaxSize {
		return nil, fault.New(fault.TooLarge, "the manifest would have %d bytes, and may have %d: the database has too many tables", b.Len(), MaxSize)
	}
	return b.Bytes(), nil
}

// Decode reads a manifest: one JSON object with no field that this version does not know. It fails with fault.Invalid or
// fault.TooLarge.
func Decode(p []byte) (*Manifest, error) {
	if len(p) > MaxSize {
		return nil, fault.New(fault.TooLarge, "%s has %d bytes, and may have %d", Name, len(p), MaxSize)
	}
	var is struct {
		Format  string `json:"format"`
		Version int    `json:"version"`
	}
	if err := json.Unmarshal(p, &is); err != nil {
		return nil, fault.Wrap(err, fault.Invalid, "%s is damaged: it is no JSON", Name)
	}
	if is.Format != Format {
		return nil, fault.New(fault.Invalid, "%s does not describe the backup of an application", Name)
	}
	if is.Version != Version {
		return nil, fault.New(fault.Invalid, "%s has version %d, and this program knows version %d: use a newer one", Name, is.Version, Version)
	}
	m := new(Manifest)
	d := json.NewDecoder(bytes.NewReader(p))
	d.DisallowUnknownFields()
	if err := d.Decode(m); err != nil {
		return nil, fault.Wrap(err, fault.Invalid, "%s is not as this program writes it", Name)
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return nil, fault.New(fault.Invalid, "%s holds something behind its end", Name)
	}
	m.TakenAt = m.TakenAt.UTC()
	if err := m.validate(); err != nil {
		return nil, err
	}
	return m, nil
}

// validate says what is wrong with m, for the writer and the reader alike.
func (m *Manifest) validate() error {
	invalid := func(format string, args ...any) error {
		return fault.New(fault.Invalid, Name+": "+format, args...)
	}
	switch m.Origin {
	case Backup, Safety, Import:
	default:
		return invalid("the origin %q is unknown", m.Origin)
	}
	for _, s := range []string{m.Application, m.EngineVersion, m.Tool} {
		if len(s) > maxText || !utf8.ValidString(s) {
			return invalid("a text is longer than %d bytes, or no UTF-8", maxText)
		}
	}
	if y := m.TakenAt.Year(); y < 1 || y > 9999 {
		return invalid("the year %d", y)
	}
	if len(m.Tables) > maxTables || len(m.Media) > maxMedia {
		return fault.New(fault.TooLarge, "%s lists %d tables and %d media folders, and may list %d and %d", Name, len(m.Tables), len(m.Media), maxTables, maxMedia)
	}
	for i, t := range m.Tables {
		switch {
		case t.Rows < 0:
			return invalid("table %q has %d rows", t.Name, t.Rows)
		case !utf8.ValidString(t.Name):
			return invalid("a table's name is no UTF-8: %q", t.Name)
		case i > 0 && m.Tables[i-1].Name >= t.Name:
			return invalid("table %q comes after %q", t.Name, m.Tables[i-1].Name)
		}
	}
	database, media := m.Part != Media, m.Part != Database
	switch {
	case m.Part != Database && m.Part != Media && m.Part != Full:
		return invalid("the part %q is unknown", m.Part)
	case media != (len(m.Media) > 0):
		return invalid("a backup of the part %q lists %d media folders", m.Part, len(m.Media))
	case database != (m.Engine != ""):
		return invalid("a backup of the part %q names the engine %q", m.Part, m.Engine)
	case !database && (m.Dump != nil || len(m.Tables) > 0 || m.EngineVersion != "" || m.Tool != ""):
		return invalid("a backup of media describes a database")
	}
	if err := m.validateDump(); err != nil {
		return err
	}
	return m.validateMedia()
}

func (m *Manifest) validateDump() error {
	switch m.Engine {
	case "", dump.Postgres, dump.MySQL, dump.SQLite:
	default:
		return fault.New(fault.Invalid, "%s: the engine %q is unknown", Name, m.Engine)
	}
	d := m.Dump
	if d == nil {
		return nil
	}
	if d.Format.Engine() != m.Engine || d.Bytes < 0 {
		return fault.New(fault.Invalid, "%s: a dump of the format %q with %d bytes for the engine %q", Name, d.Format, d.Bytes, m.Engine)
	}
	if sum, err := hex.DecodeString(d.SHA256); err != nil || len(sum) != 32 || strings.ToLower(d.SHA256) != d.SHA256 {
		return fault.New(fault.Invalid, "%s: %q is no SHA-256", Name, d.SHA256)
	}
	return nil
}

func (m *Manifest) validateMedia() error {
	seen := map[string]bool{}
	for _, f := range m.Media {
		switch {
		case len(f.Root) > tree.MaxPath || !utf8.ValidString(f.Root) || strings.ContainsRune(f.Root, 0):
			return fault.New(fault.Invalid, "%s: the path of a media folder is too long, or no UTF-8: %.60q", Name, f.Root)
		case f.Label == "" && len(m.Media) == 1:
			continue
		case tree.CheckPath(f.Label) != nil || strings.ContainsAny(f.Label, `/\`) || !utf8.ValidString(f.Label):
			return fault.New(fault.Invalid, "%s: %.60q cannot be the name of a media folder", Name, f.Label)
		case seen[f.Label]:
			return fault.New(fault.Invalid, "%s: two media folders are called %q", Name, f.Label)
		}
		seen[f.Label] = true
	}
	return nil
}

// Clock returns t as a manifest can hold it: in UTC, and zero if it is of no year that has four digits.
func Clock(t time.Time) time.Time {
	t = t.UTC()
	if y := t.Year(); y < 1 || y > 9999 {
		return time.Time{}
	}
	return t
}
