package server

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/textproto"
	"strconv"
	"strings"

	"github.com/holdfast-backup/holdfast/wire/fault"
)

// Limits of an upload request, apart from its file. A real one needs about 1 KiB in all.
const (
	maxOperations  = 64 << 10              // bytes of the part "operations"
	maxFormMap     = 4 << 10               // bytes of the part "map"
	maxPartHeaders = 4 << 10               // bytes of one part's headers
	maxBoundary    = 70                    // RFC 2046
	formBuffer     = maxOperations + 4<<10 // the longest line, and some
)

// form is a GraphQL multipart request whose file was not read yet: the parts "operations" and "map", then
// exactly one file, then nothing. Its File streams the file from the connection.
//
// The request's Content-Length and the order of the parts make searching for the boundary inside the file
// idle: the file's length is its part's Content-Length, or else what the request's length leaves for it. So
// the file is copied as it comes, and a file that holds the boundary is no special case.
type form struct {
	Operations json.RawMessage // query, operationName, variables
	Key        string          // the file part's name, the only key of the map
	Path       []string        // where the file goes: the steps after "variables"
	Size       int64           // bytes of the file
	File       *formFile
}

// readForm reads a request up to the first byte of its file. length is the request's Content-Length. Errors
// are faults that say what is wrong with the request, or the reader's.
func readForm(body io.Reader, contentType string, length int64) (*form, error) {
	mediaType, params, err := mime.ParseMediaType(contentType)
	if err != nil || mediaType != "multipart/form-data" {
		return nil, fault.New(fault.Invalid, "an upload is sent as multipart/form-data")
	}
	boundary := params["boundary"]
	if boundary == "" || len(boundary) > maxBoundary || strings.ContainsAny(boundary, "\r\n") {
		return nil, fault.New(fault.Invalid, "the Content-Type has no usable boundary")
	}
	p := &parts{r: bufio.NewReaderSize(body, formBuffer), delimiter: []byte("--" + boundary), left: length}

	if line, err := p.line(len(boundary) + 4); err != nil {
		return nil, err
	} else if string(line) != "--"+boundary+"\r\n" {
		return nil, fault.New(fault.Invalid, "the upload does not begin with its boundary")
	}
	f := new(form)
	if f.Operations, err = p.small("operations", maxOperations); err != nil {
		return nil, err
	}
	rawMap, err := p.small("map", maxFormMap)
	if err != nil {
		return nil, err
	}
	if f.Key, f.Path, err = parseMap(rawMap); err != nil {
		return nil, err
	}
	name, size, err := p.headers()
	if err != nil {
		return nil, err
	}
	if name != f.Key {
		return nil, fault.New(fault.Invalid, "after operations and map comes one part, the file that the map names")
	}
	tail := int64(len("\r\n--") + len(boundary) + len("--"))
	if size < 0 {
		size = p.left - tail - int64(len("\r\n"))
	}
	// What follows the file is the closing boundary, with or without a line end: nothing else fits.
	if rest := p.left - size - tail; size < 0 || rest != 0 && rest != 2 {
		return nil, fault.New(fault.Invalid, "the file must be the last part, and its length and the request's Content-Length must agree")
	}
	f.Size = size
	f.File = &formFile{r: p.r, left: size, size: size, tail: []byte("\r\n--" + boundary + "--\r\n")[:p.left-size]}
	return f, nil
}

// parseMap reads the part "map": one key with one path below the variables.
func parseMap(raw []byte) (key string, path []string, err error) {
	bad := fault.New(fault.Invalid, `the map must send one file to one variable, such as {"0":["variables.input.pack"]}`)
	var m map[string][]string
	if err := json.Unmarshal(raw, &m); err != nil || len(m) != 1 {
		return "", nil, bad
	}
	for k, paths := range m {
		if k == "" || k == "operations" || k == "map" || len(paths) != 1 {
			return "", nil, bad
		}
		steps := strings.Split(paths[0], ".")
		if len(steps) < 2 || len(steps) > 4 || steps[0] != "variables" {
			return "", nil, bad
		}
		key, path = k, steps[1:]
	}
	return key, path, nil
}

// place puts the file where the map wants it: over a null that the variables have there.
func (f *form) place(variables map[string]any, file any) error {
	at := variables
	for i, step := range f.Path {
		v, ok := at[step]
		if !ok {
			break
		}
		if i == len(f.Path)-1 {
			if v != nil {
				break
			}
			at[step] = file
			return nil
		}
		if at, ok = v.(map[string]any); !ok {
			break
		}
	}
	return fault.New(fault.Invalid, "the map's path variables.%s must lead to a null in the variables", strings.Join(f.Path, "."))
}

// parts reads the small parts of a request.
type parts struct {
	r         *bufio.Reader
	delimiter []byte // two dashes and the boundary
	left      int64  // bytes of the request that were not read yet
}

// errLine is a line that is too long. Callers say what it was a part of.
var errLine = errors.New("line too long")

// line reads a line of up to max bytes with its end.
func (p *parts) line(max int) ([]byte, error) {
	line, err := p.r.ReadSlice('\n')
	p.left -= int64(len(line))
	switch {
	case err == io.EOF || err == io.ErrUnexpectedEOF:
		return nil, fault.New(fault.Invalid, "the upload ends before its file begins")
	case err == bufio.ErrBufferFull, err == nil && len(line) > max:
		return nil, fault.Wrap(errLine, fault.TooLarge, "the upload holds a line of more than %d bytes before its file", max)
	case err != nil:
		return nil, err
	case p.left < 0:
		return nil, fault.New(fault.Invalid, "the upload is longer than its Content-Length")
	}
	return line, nil
}

// headers reads a part's headers: its name and its length, -1 if it says none.
func (p *parts) headers() (name string, size int64, err error) {
	size = -1
	for budget := maxPartHeaders; ; {
		line, err := p.line(budget)
		if errors.Is(err, errLine) {
			return "", 0, fault.New(fault.TooLarge, "the headers of a part are limited to %d bytes", maxPartHeaders)
		} else if err != nil {
			return "", 0, err
		}
		budget -= len(line)
		text := strings.TrimRight(string(line), "\r\n")
		if text == "" {
			break
		}
		field, value, ok := strings.Cut(text, ":")
		if !ok {
			return "", 0, fault.New(fault.Invalid, "a part has a header without a colon")
		}
		value = strings.TrimSpace(value)
		switch textproto.CanonicalMIMEHeaderKey(field) {
		case "Content-Disposition":
			kind, params, err := mime.ParseMediaType(value)
			if err != nil || kind != "form-data" || name != "" {
				return "", 0, fault.New(fault.Invalid, "a part has a Content-Disposition that is not form-data with a name")
			}
			name = params["name"]
		case "Content-Length":
			n, err := strconv.ParseUint(value, 10, 62)
			if err != nil || size >= 0 {
				return "", 0, fault.New(fault.Invalid, "a part has a Content-Length that is not a number")
			}
			size = int64(n)
		case "Content-Transfer-Encoding":
			if !strings.EqualFold(value, "binary") && !strings.EqualFold(value, "8bit") && !strings.EqualFold(value, "7bit") {
				return "", 0, fault.New(fault.Invalid, "parts are sent as they are: Content-Transfer-Encoding %.40q is not supported", value)
			}
		}
	}
	if name == "" {
		return "", 0, fault.New(fault.Invalid, "a part has no name")
	}
	return name, size, nil
}

// small reads a part of up to max bytes that must have this name, and the delimiter after it.
func (p *parts) small(name string, max int) ([]byte, error) {
	got, _, err := p.headers()
	if err != nil {
		return nil, err
	}
	if got != name {
		return nil, fault.New(fault.Invalid, "the parts of an upload are operations, map and one file, in this order: found %.40q instead of %s", got, name)
	}
	var content []byte
	for {
		line, err := p.line(max + len(p.delimiter) + 4 - len(content))
		if errors.Is(err, errLine) {
			return nil, fault.New(fault.TooLarge, "the part %s is limited to %d bytes", name, max)
		} else if err != nil {
			return nil, err
		}
		// The line end before a delimiter belongs to it.
		if rest, ok := bytes.CutPrefix(line, p.delimiter); ok && (len(content) == 0 || bytes.HasSuffix(content, []byte("\r\n"))) {
			if string(rest) != "\r\n" {
				return nil, fault.New(fault.Invalid, "the upload ends without a file")
			}
			content = bytes.TrimSuffix(content, []byte("\r\n"))
			if len(content) > max {
				return nil, fault.New(fault.TooLarge, "the part %s is limited to %d bytes", name, max)
			}
			return content, nil
		}
		content = append(content, line...)
	}
}

// formFile streams the file of a form. It is an io.ReadSeeker only because graphql.Upload wants one.
type formFile struct {
	r    *bufio.Reader
	left int64 // bytes that were not read yet
	size int64
	tail []byte // what must follow
	err  error
}

// Read gives the file's bytes, and io.EOF only after the closing boundary was seen.
func (f *formFile) Read(b []byte) (int, error) {
	if f.err != nil {
		return 0, f.err
	}
	if f.left == 0 {
		f.err = f.end()
		return 0, f.err
	}
	if int64(len(b)) > f.left {
		b = b[:f.left]
	}
	n, err := f.r.Read(b)
	f.left -= int64(n)
	if err != nil && n == 0 {
		f.err = f.broken(err)
	}
	return n, f.err
}

// end reads what follows the file.
func (f *formFile) end() error {
	got := make([]byte, len(f.tail))
	if _, err := io.ReadFull(f.r, got); err != nil {
		return f.broken(err)
	}
	if !bytes.Equal(got, f.tail) {
		return fault.New(fault.Invalid, "the file is not followed by the closing boundary: it must be the last part, and as long as its Content-Length says")
	}
	return io.EOF
}

// broken says that the connection ended, or stalled, in mid-file.
func (f *formFile) broken(err error) error {
	if err == io.EOF {
		err = io.ErrUnexpectedEOF
	}
	return fault.Wrap(err, fault.HashMismatch, "the upload broke off after %d of %d bytes: send it again", f.size-f.left, f.size)
}

// Done reports whether the whole request was read, so that the connection may be used again.
func (f *formFile) Done() bool {
	if f.err == nil && f.left == 0 {
		f.err = f.end()
	}
	return f.err == io.EOF
}

// Seek refuses: the file is on its way and comes once.
func (f *formFile) Seek(int64, int) (int64, error) {
	return 0, fmt.Errorf("an upload streams: it cannot be read twice")
}
