package main

import (
	"encoding/json"
	"fmt"
	"io"
	"math"
	"strconv"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/holdfast-backup/holdfast/agent"
	"github.com/holdfast-backup/holdfast/vault/tree"
)

// print writes the result of --json.
func (c *call) print(v any) error {
	e := json.NewEncoder(c.out)
	e.SetIndent("", "  ")
	return e.Encode(v)
}

// array writes {"…": …, name: [element, element, …]} without holding the elements, of which there may be
// millions. Nothing is written before the first element or the end, so that an error at the beginning leaves
// no half object.
type array struct {
	w    io.Writer
	next string // what comes before the next element
}

// newArray begins an object with some fields before its array.
func newArray(w io.Writer, fields map[string]any, name string) (*array, error) {
	head, err := json.Marshal(fields)
	if err != nil {
		return nil, err
	}
	s := "{"
	if len(fields) > 0 {
		s = strings.TrimSuffix(string(head), "}") + ","
	}
	return &array{w, s + strconv.Quote(name) + ":[\n"}, nil
}

func (a *array) add(v any) error {
	b, err := json.Marshal(v)
	if err != nil {
		return err
	}
	_, err = io.WriteString(a.w, a.next+string(b))
	a.next = ",\n"
	return err
}

func (a *array) close() error {
	if a.next == ",\n" {
		a.next = "\n"
	}
	_, err := io.WriteString(a.w, a.next+"]}\n")
	return err
}

// printable makes a name harmless for a terminal: control characters and bytes that are no UTF-8 are written
// as \x1b.
func printable(s string) string {
	clean := utf8.ValidString(s)
	for _, r := range s {
		clean = clean && unicode.IsPrint(r)
	}
	if clean {
		return s
	}
	q := strconv.Quote(s)
	return strings.ReplaceAll(q[1:len(q)-1], `\"`, `"`)
}

// stamp writes an instant in local time.
func stamp(t time.Time) string {
	if t.IsZero() {
		return "never"
	}
	return t.Local().Format("2006-01-02 15:04:05")
}

// count writes a number with its noun.
func count(n int64, one, many string) string {
	if n == 1 {
		return "1 " + one
	}
	return thousands(n) + " " + many
}

func thousands(n int64) string {
	s := strconv.FormatInt(n, 10)
	for i := len(s) - 3; i > 0 && s[i-1] != '-'; i -= 3 {
		s = s[:i] + "," + s[i:]
	}
	return s
}

// mode writes type and permissions as ls does.
func mode(e *tree.Entry) string {
	b := []byte("-rwxrwxrwx")
	b[0] = "-dlpcb"[min(int(e.Type), 5)]
	for i := range 9 {
		if e.Mode>>(8-i)&1 == 0 {
			b[1+i] = '-'
		}
	}
	for i, bit := range []struct {
		mask     uint32
		pos      int
		set, not byte
	}{{0o4000, 3, 's', 'S'}, {0o2000, 6, 's', 'S'}, {0o1000, 9, 't', 'T'}} {
		_ = i
		if e.Mode&bit.mask != 0 {
			if b[bit.pos] == 'x' {
				b[bit.pos] = bit.set
			} else {
				b[bit.pos] = bit.not
			}
		}
	}
	return string(b)
}

// owner writes a name, or the number if there is none.
func owner(name string, n uint32) string {
	if name != "" {
		return printable(name)
	}
	return strconv.FormatUint(uint64(n), 10)
}

// entryJSON is an entry of a tree. A path that is no UTF-8 is also given as its bytes.
type entryJSON struct {
	Path    string    `json:"path"`
	Raw     []byte    `json:"pathBytes,omitempty"`
	Type    string    `json:"type"`
	Mode    string    `json:"mode"`
	Size    int64     `json:"size"`
	ModTime time.Time `json:"modTime"`
	UID     uint32    `json:"uid"`
	GID     uint32    `json:"gid"`
	User    string    `json:"user,omitempty"`
	Group   string    `json:"group,omitempty"`
	Link    string    `json:"link,omitempty"`
}

func entryOf(e *tree.Entry) *entryJSON {
	if e == nil {
		return nil
	}
	v := &entryJSON{Path: agent.LocalPath(e.Path), Type: e.Type.String(), Mode: fmt.Sprintf("%04o", e.Mode), Size: e.Size,
		ModTime: time.Unix(0, e.ModTime).UTC(), UID: e.UID, GID: e.GID, User: e.User, Group: e.Group, Link: e.Link}
	if !utf8.ValidString(e.Path) {
		v.Raw = []byte(e.Path)
	}
	return v
}

// rate is a flag: bytes a second.
type rate int64

// Set reads 500k, 5MiB, 1.5M, 2G or a plain number of bytes. Units are binary.
func (r *rate) Set(s string) error {
	n, err := parseSize(strings.TrimSuffix(strings.TrimSpace(s), "/s"))
	if err != nil {
		return err
	}
	if n < 1024 {
		return fmt.Errorf("%q is less than 1 KiB a second: that would never end", s)
	}
	*r = rate(n)
	return nil
}

func (r *rate) String() string {
	if *r == 0 {
		return ""
	}
	return agent.Size(int64(*r))
}

// Type implements pflag.Value.
func (*rate) Type() string { return "rate" }

// size is a flag: bytes.
type size int64

// Set reads what rate reads.
func (v *size) Set(s string) error {
	n, err := parseSize(s)
	if err == nil && n <= 0 {
		err = fmt.Errorf("%q is no size", s)
	}
	*v = size(n)
	return err
}

func (v *size) String() string {
	if *v == 0 {
		return ""
	}
	return agent.Size(int64(*v))
}

// Type implements pflag.Value.
func (*size) Type() string { return "size" }

func parseSize(s string) (int64, error) {
	t := strings.TrimSpace(s)
	t = strings.TrimSuffix(strings.TrimSuffix(t, "B"), "i")
	shift := 0
	if t != "" {
		if i := strings.IndexByte("kmgt", t[len(t)-1]|0x20); i >= 0 {
			shift = 10 * (i + 1)
			t = strings.TrimSpace(t[:len(t)-1])
		}
	}
	v, err := strconv.ParseFloat(t, 64)
	if err != nil || v < 0 || math.IsNaN(v) || v*math.Pow(2, float64(shift)) > math.MaxInt64/2 {
		return 0, fmt.Errorf("%q is no size: want something like 500k, 5MiB or 2G", s)
	}
	return int64(v * math.Pow(2, float64(shift))), nil
}

// percent reads 10% or 10.
func percent(s string) (float64, error) {
	v, err := strconv.ParseFloat(strings.TrimSuffix(strings.TrimSpace(s), "%"), 64)
	if err != nil || !(v > 0 && v <= 100) {
		return 0, usagef("%q is no sample: want a part such as 10%%", s)
	}
	return v, nil
}

// extensions accepts docx, .docx and *.docx alike.
func extensions(list []string) ([]string, error) {
	var out []string
	for _, s := range list {
		e := strings.TrimPrefix(strings.TrimSpace(s), "*")
		if e == "" {
			continue
		}
		if !strings.HasPrefix(e, ".") {
			e = "." + e
		}
		if strings.ContainsAny(e, "/*?[") || e == "." {
			return nil, usagef("%q is no extension: want something like .docx,.pdf", s)
		}
		out = append(out, e)
	}
	if len(list) > 0 && len(out) == 0 {
		return nil, usagef("--ext names no extension")
	}
	return out, nil
}
