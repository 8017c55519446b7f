package graph

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"testing"

	"github.com/vektah/gqlparser/v2/gqlerror"
	"github.com/vektah/gqlparser/v2/parser"
	"github.com/vektah/gqlparser/v2/validator"

	"github.com/vektah/gqlparser/v2/ast"

	"github.com/holdfast-backup/holdfast/graph/internal/exec"
	"github.com/holdfast-backup/holdfast/wire/fault"
	"github.com/holdfast-backup/holdfast/wire/id"
)

func TestPresent(t *testing.T) {
	t.Parallel()
	var log bytes.Buffer
	ctx := NewContext(context.Background(), &Request{ID: "abc123", Log: slog.New(slog.NewTextHandler(&log, nil))})
	cause := errors.New("pq: secret table")
	retry := fault.New(fault.TooMany, "wait")
	retry.RetryAfter = 7
	lost := fault.New(fault.ObjectsMissing, "some are missing")
	lost.Data = bytes.Repeat([]byte{1}, 16)
	ours := "something went wrong on the server (request abc123)"
	for name, tt := range map[string]struct {
		err     error
		message string
		code    string
		extra   string
		value   any
	}{
		"fault":            {fault.New(fault.NotFound, "no such thing"), "no such thing", "NOT_FOUND", "", nil},
		"fault with cause": {fault.Wrap(cause, fault.Unavailable, "try later"), "try later", "UNAVAILABLE", "", nil},
		"wrapped fault":    {fmt.Errorf("deep: %w", fault.New(fault.Conflict, "busy")), "busy", "CONFLICT", "", nil},
		"retry":            {retry, "wait", "RATE_LIMITED", "retryAfter", 7},
		"missing objects":  {lost, "some are missing", "OBJECTS_MISSING", "missing", "AQEBAQEBAQEBAQEBAQEBAQ=="},
		"internal fault":   {fault.Wrap(cause, fault.Internal, "oh"), ours, "INTERNAL", "", nil},
		"anything else":    {cause, ours, "INTERNAL", "", nil},
		"time":             {fmt.Errorf("x: %w", context.DeadlineExceeded), "this took the server too long: try again, with less at once", "UNAVAILABLE", "", nil},
		"bare gqlerror":    {gqlerror.Errorf("the requested element is null"), ours, "INTERNAL", "", nil},
		"validation":       {&gqlerror.Error{Message: "no field x", Extensions: map[string]any{"code": "GRAPHQL_VALIDATION_FAILED"}}, "no field x", "GRAPHQL_VALIDATION_FAILED", "", nil},
		"foreign code":     {&gqlerror.Error{Message: "secret", Extensions: map[string]any{"code": "WHATEVER"}}, ours, "INTERNAL", "", nil},
	} {
		e := Present(ctx, tt.err)
		if e.Message != tt.message || e.Extensions["code"] != tt.code {
			t.Errorf("%s: %q %v", name, e.Message, e.Extensions)
		}
		if tt.extra != "" && e.Extensions[tt.extra] != tt.value {
			t.Errorf("%s: %v", name, e.Extensions)
		}
		if strings.Contains(fmt.Sprint(e.Message, e.Extensions), "secret") {
			t.Errorf("%s leaks its cause", name)
		}
	}
	if !strings.Contains(log.String(), "secret table") || !strings.Contains(log.String(), "request=abc123") {
		t.Error("the log lacks the cause or the request:", log.String())
	}
}

func TestSurvey(t *testing.T) {
	t.Parallel()
	schema := exec.NewExecutableSchema(exec.Config{}).Schema()
	parse := func(q string) shape {
		t.Helper()
		doc, err := parser.ParseQuery(&ast.Source{Input: q})
		if err != nil {
			t.Fatal(err)
		}
		if errs := validator.ValidateWithRules(schema, doc, nil); errs != nil {
			t.Fatal(errs)
		}
		return survey(doc.Operations[0], doc.Fragments)
	}
	s := parse(`query { a: me { id ...f } ...g server { time } } fragment f on User { devices { id: name } } fragment g on Query { me { id } }`)
	if s.depth != 3 || s.fields != 8 || s.aliases != 2 || !s.closed || s.introspects || fmt.Sprint(s.roots) != "[me me server]" {
		t.Errorf("%+v", s)
	}
	if s := parse(`{ server { time } __typename }`); s.closed || !s.only("server") || s.has("me") {
		t.Errorf("%+v", s)
	}
	if s := parse(`{ __schema { types { name } } }`); !s.introspects {
		t.Errorf("%+v", s)
	}
	q := "{ me { ...f0 } } "
	for i := range 200 {
		q += fmt.Sprintf("fragment f%d on User { ...f%d ...f%d ...f%d } ", i, i+1, i+1, i+1)
	}
	if s := parse(q + "fragment f200 on User { id }"); s.fields < 1<<20 {
		t.Errorf("3^200 fields were counted as %d", s.fields)
	}
}

func TestSmallThings(t *testing.T) {
	t.Parallel()
	if got := bitmap([]bool{true, false, false, false, false, false, false, false, false, true}); !bytes.Equal(got, []byte{1, 2}) {
		t.Error(got)
	}
	if got := bitmap(nil); got == nil || len(got) != 0 {
		t.Error("no objects need no null")
	}
	ids, err := objects(append(bytes.Repeat([]byte{1}, 16), bytes.Repeat([]byte{2}, 16)...))
	if err != nil || len(ids) != 2 || ids[1][0] != 2 {
		t.Error(ids, err)
	}
	for n, kind := range map[int]fault.Kind{15: fault.Invalid, 16 * 20_001: fault.TooLarge} {
		if _, err := objects(make([]byte, n)); fault.KindOf(err) != kind {
			t.Error(n, err)
		}
	}
	d := id.Device{}.New()
	if got, err := parse[id.Device](d.String()); err != nil || got != d {
		t.Error(got, err)
	}
	for _, bad := range []string{"", "dev_", d.String() + "0", id.User{}.New().String()} {
		if _, err := parse[id.Device](bad); fault.KindOf(err) != fault.Invalid {
			t.Errorf("%q: %v", bad, err)
		}
	}
}
