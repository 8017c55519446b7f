package server

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"mime/multipart"
	"net/textproto"
	"strings"
	"testing"

	"github.com/holdfast-backup/holdfast/wire/fault"
)

const formType = "multipart/form-data; boundary=bnd"

// rawForm writes a request by hand: operations, map, the file's headers, the file, the end.
func rawForm(operations, fileMap, headers, file, end string) string {
	return "--bnd\r\nContent-Disposition: form-data; name=\"operations\"\r\n\r\n" + operations +
		"\r\n--bnd\r\nContent-Disposition: form-data; name=\"map\"\r\n\r\n" + fileMap +
		"\r\n--bnd\r\n" + headers + "\r\n" + file + end
}

const (
	okMap     = `{"0":["variables.input.pack"]}`
	okHeaders = "Content-Disposition: form-data; name=\"0\"; filename=\"p\"\r\n"
	okEnd     = "\r\n--bnd--\r\n"
)

func TestForm(t *testing.T) {
	t.Parallel()
	nasty := "a\r\n--bnd--\r\nb\r\n--bnd\r\nContent-Disposition: form-data; name=\"1\"\r\n\r\n"
	for name, tt := range map[string]struct{ raw, file string }{
		"with its length":             {rawForm("{}", okMap, okHeaders+"Content-Length: 5\r\n", "hello", okEnd), "hello"},
		"without its length":          {rawForm("{}", okMap, okHeaders, "hello", okEnd), "hello"},
		"without a last line end":     {rawForm("{}", okMap, okHeaders+"Content-Length: 5\r\n", "hello", "\r\n--bnd--"), "hello"},
		"empty":                       {rawForm("{}", okMap, okHeaders+"content-length: 0\r\n", "", okEnd), ""},
		"boundary inside":             {rawForm("{}", okMap, okHeaders+fmt.Sprintf("Content-Length: %d\r\n", len(nasty)), nasty, okEnd), nasty},
		"operations on several lines": {rawForm("{\r\n \"a\":\n1}", okMap, okHeaders, "x", okEnd), "x"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f, err := readForm(strings.NewReader(tt.raw), formType, int64(len(tt.raw)))
			if err != nil {
				t.Fatal(err)
			}
			if f.Key != "0" || strings.Join(f.Path, ".") != "input.pack" || f.Size != int64(len(tt.file)) {
				t.Fatalf("form %+v", f)
			}
			got, err := io.ReadAll(f.File)
			if err != nil || string(got) != tt.file {
				t.Fatalf("file %q, %v", got, err)
			}
			if !f.File.Done() {
				t.Fatal("the whole request was read, but Done says no")
			}
		})
	}
}

// TestFormFromStandardWriter takes what Go's own writer sends, which is what curl and browsers send.
func TestFormFromStandardWriter(t *testing.T) {
	t.Parallel()
	var buf bytes.Buffer
	w := multipart.NewWriter(&buf)
	w.WriteField("operations", `{"query":"q","variables":{"input":{"pack":null}}}`)
	w.WriteField("map", okMap)
	part, _ := w.CreatePart(textproto.MIMEHeader{"Content-Disposition": {`form-data; name="0"; filename="pack"`}})
	part.Write(bytes.Repeat([]byte("data"), 50_000))
	w.Close()
	f, err := readForm(&buf, w.FormDataContentType(), int64(buf.Len()))
	if err != nil {
		t.Fatal(err)
	}
	if n, err := io.Copy(io.Discard, f.File); n != 200_000 || err != nil {
		t.Fatal(n, err)
	}
}

func TestFormRefusals(t *testing.T) {
	t.Parallel()
	long := strings.Repeat("x", 1<<20)
	for name, tt := range map[string]struct {
		raw  string
		kind fault.Kind
	}{
		"nothing":               {"", fault.Invalid},
		"garbage":               {long, fault.TooLarge},
		"other boundary":        {strings.ReplaceAll(rawForm("{}", okMap, okHeaders, "x", okEnd), "--bnd", "--bmd"), fault.Invalid},
		"map first":             {"--bnd\r\nContent-Disposition: form-data; name=\"map\"\r\n\r\n{}\r\n--bnd\r\n", fault.Invalid},
		"no file":               {"--bnd\r\nContent-Disposition: form-data; name=\"operations\"\r\n\r\n{}\r\n--bnd--\r\n", fault.Invalid},
		"huge operations":       {rawForm(long, okMap, okHeaders, "x", okEnd), fault.TooLarge},
		"operations of lines":   {rawForm(strings.Repeat("{\n", 1<<18), okMap, okHeaders, "x", okEnd), fault.TooLarge},
		"huge map":              {rawForm("{}", long, okHeaders, "x", okEnd), fault.TooLarge},
		"huge headers":          {rawForm("{}", okMap, strings.Repeat("A: b\r\n", 5000), "x", okEnd), fault.TooLarge},
		"map of two":            {rawForm("{}", `{"0":["variables.a.b"],"1":["variables.a.c"]}`, okHeaders, "x", okEnd), fault.Invalid},
		"map to two":            {rawForm("{}", `{"0":["variables.a.b","variables.a.c"]}`, okHeaders, "x", okEnd), fault.Invalid},
		"map outside":           {rawForm("{}", `{"0":["query"]}`, okHeaders, "x", okEnd), fault.Invalid},
		"map is no map":         {rawForm("{}", `[]`, okHeaders, "x", okEnd), fault.Invalid},
		"file of another name":  {rawForm("{}", okMap, "Content-Disposition: form-data; name=\"1\"\r\n", "x", okEnd), fault.Invalid},
		"no disposition":        {rawForm("{}", okMap, "", "x", okEnd), fault.Invalid},
		"colonless header":      {rawForm("{}", okMap, okHeaders+"hello\r\n", "x", okEnd), fault.Invalid},
		"negative length":       {rawForm("{}", okMap, okHeaders+"Content-Length: -1\r\n", "x", okEnd), fault.Invalid},
		"length over the end":   {rawForm("{}", okMap, okHeaders+"Content-Length: 99999\r\n", "x", okEnd), fault.Invalid},
		"length short of it":    {rawForm("{}", okMap, okHeaders+"Content-Length: 1\r\n", "four", okEnd), fault.Invalid},
		"overflowing length":    {rawForm("{}", okMap, okHeaders+"Content-Length: 9223372036854775807\r\n", "x", okEnd), fault.Invalid},
		"a part after the file": {rawForm("{}", okMap, okHeaders+"Content-Length: 1\r\n", "x", "\r\n--bnd\r\n\r\n\r\n--bnd--\r\n"), fault.Invalid},
		"base64":                {rawForm("{}", okMap, okHeaders+"Content-Transfer-Encoding: base64\r\n", "x", okEnd), fault.Invalid},
		"ends in the headers":   {"--bnd\r\nContent-Disposition: form-da", fault.Invalid},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, err := readForm(strings.NewReader(tt.raw), formType, int64(len(tt.raw)))
			if fault.KindOf(err) != tt.kind {
				t.Fatalf("got %v (%s), want %s", err, fault.KindOf(err), tt.kind)
			}
		})
	}
	for _, contentType := range []string{"", "application/json", "multipart/form-data", "multipart/mixed; boundary=bnd", "multipart/form-data; boundary=" + strings.Repeat("b", 71)} {
		raw := rawForm("{}", okMap, okHeaders, "x", okEnd)
		if _, err := readForm(strings.NewReader(raw), contentType, int64(len(raw))); fault.KindOf(err) != fault.Invalid {
			t.Errorf("Content-Type %q: %v", contentType, err)
		}
	}
}

func TestFormFileThatBreaksOff(t *testing.T) {
	t.Parallel()
	raw := rawForm("{}", okMap, okHeaders+"Content-Length: 5\r\n", "hello", okEnd)
	for cut := 1; cut <= len("hello"+okEnd); cut++ {
		f, err := readForm(strings.NewReader(raw[:len(raw)-cut]), formType, int64(len(raw)))
		if err != nil {
			t.Fatal(err)
		}
		if _, err = io.ReadAll(f.File); fault.KindOf(err) != fault.HashMismatch || !errors.Is(err, io.ErrUnexpectedEOF) {
			t.Fatalf("%d bytes short: %v", cut, err)
		}
		if f.File.Done() {
			t.Fatal("Done after a broken upload")
		}
	}
	// As long as announced, but not closed.
	raw = rawForm("{}", okMap, okHeaders+"Content-Length: 5\r\n", "hello", "\r\n--bnd__\r\n")
	f, err := readForm(strings.NewReader(raw), formType, int64(len(raw)))
	if err != nil {
		t.Fatal(err)
	}
	if _, err = io.ReadAll(f.File); fault.KindOf(err) != fault.Invalid {
		t.Fatal(err)
	}
	if _, err := f.File.Seek(0, io.SeekStart); err == nil {
		t.Fatal("Seek on a stream")
	}
}

func TestFormPlace(t *testing.T) {
	t.Parallel()
	vars := func() map[string]any {
		return map[string]any{"input": map[string]any{"pack": nil, "name": "n", "list": []any{nil}}, "x": nil}
	}
	for path, ok := range map[string]bool{"input.pack": true, "x": true, "input.name": false, "input.other": false, "input.list.0": false, "input.name.a": false, "y": false, "input": false} {
		v := vars()
		f := &form{Path: strings.Split(path, ".")}
		if err := f.place(v, 7); (err == nil) != ok {
			t.Errorf("%s: %v", path, err)
		}
	}
	v := vars()
	(&form{Path: []string{"input", "pack"}}).place(v, 7)
	if v["input"].(map[string]any)["pack"] != 7 {
		t.Fatal("the file is not in its place")
	}
}

// FuzzForm feeds arbitrary requests: none may panic, read more than it says, or give more than announced.
func FuzzForm(f *testing.F) {
	f.Add([]byte(rawForm(`{"query":"q"}`, okMap, okHeaders+"Content-Length: 5\r\n", "hello", okEnd)), formType, int64(0))
	f.Add([]byte(rawForm("{}", okMap, okHeaders, "hello", "\r\n--bnd--")), formType, int64(3))
	f.Add([]byte("--bnd\r\n"), "multipart/form-data; boundary=\"b\r\n\"", int64(-9))
	f.Fuzz(func(t *testing.T, raw []byte, contentType string, off int64) {
		length := int64(len(raw)) + off%100
		got, err := readForm(bytes.NewReader(raw), contentType, length)
		if err != nil {
			return
		}
		if len(got.Operations) > maxOperations || got.Size < 0 || got.Size > length || len(got.Path) == 0 {
			t.Fatalf("%d bytes of operations, %d of file in %d", len(got.Operations), got.Size, length)
		}
		n, err := io.Copy(io.Discard, got.File)
		if n > got.Size || err == nil && n != got.Size {
			t.Fatalf("%d bytes of %d, %v", n, got.Size, err)
		}
		if (err == nil) != got.File.Done() {
			t.Fatalf("Done %v after %v", got.File.Done(), err)
		}
	})
}
