package safe

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"testing"

	"github.com/vektah/gqlparser/v2"
	"github.com/vektah/gqlparser/v2/ast"

	"github.com/holdfast-backup/holdfast/app/safe/safetest"
	"github.com/holdfast-backup/holdfast/app/talk"
	"github.com/holdfast-backup/holdfast/vault/seal"
	"github.com/holdfast-backup/holdfast/wire/fault"
)

// The query that is written by hand is one that the schema knows.
func TestTheQueryIsTheSchemas(t *testing.T) {
	t.Parallel()
	paths, err := filepath.Glob("../../schema/*.graphqls")
	if err != nil || len(paths) == 0 {
		t.Fatal(paths, err)
	}
	var sources []*ast.Source
	for _, p := range paths {
		b, err := os.ReadFile(p)
		if err != nil {
			t.Fatal(err)
		}
		sources = append(sources, &ast.Source{Name: p, Input: string(b)})
	}
	schema, err := gqlparser.LoadSchema(sources...)
	if err != nil {
		t.Fatal(err)
	}
	if _, errs := gqlparser.LoadQueryWithRules(schema, locationsQuery, nil); errs != nil {
		t.Error(errs)
	}
}

func TestAnswersThatAreNone(t *testing.T) {
	t.Parallel()
	cut := errors.New("cut off")
	for _, c := range []struct {
		answer string
		err    error
		want   fault.Kind
		retry  int
	}{
		{`{"errors":[{"message":"no","extensions":{"code":"FORBIDDEN"}}]}`, nil, fault.Forbidden, 0},
		{`{"errors":[{"message":"later","extensions":{"code":"RATE_LIMITED","retryAfter":7}}]}`, nil, fault.TooMany, 7},
		{`{"errors":[{"message":"what"}]}`, nil, fault.Internal, 0},
		{`{"data":{"objectLocations":null}}`, nil, fault.Unavailable, 0},
		{`<html>`, nil, fault.Unavailable, 0},
		{``, cut, fault.Unavailable, 0},
	} {
		s := New(Outside{Post: func(context.Context, []byte) (int, []byte, error) { return 200, []byte(c.answer), c.err }})
		_, _, err := s.locate(t.Context(), nil)
		var f *fault.Error
		if !errors.As(err, &f) || f.Kind != c.want || f.RetryAfter != c.retry || c.err != nil && !errors.Is(err, c.err) {
			t.Errorf("%s: %v", c.answer, err)
		}
	}
	ctx, cancel := context.WithCancel(t.Context())
	s := New(Outside{Post: func(context.Context, []byte) (int, []byte, error) { cancel(); return 0, nil, cut }})
	if _, _, err := s.locate(ctx, nil); !errors.Is(err, context.Canceled) {
		t.Errorf("%v", err)
	}
}

// What the browser decrypts and hashes is asked for, from the size on from which that pays.
func TestTheBrowserDecryptsAndHashes(t *testing.T) {
	t.Parallel()
	r := opened(t)
	r.safe.Lock(false)
	decrypted, hashed := 0, 0
	r.safe.out.Decrypt = func(dst []byte, k seal.Key, nonce, sealed, aad []byte) ([]byte, error) {
		decrypted++
		return dst, errors.New("not today") // the safe's own does it, then
	}
	r.safe.out.Hash = func(ck seal.ContentKey) func([]byte) (seal.Key, error) {
		if ck != r.Account.Space().Content {
			t.Error("another key")
		}
		return func(p []byte) (seal.Key, error) {
			hashed++
			return seal.New(ck).Key(p), nil
		}
	}
	r.safe.use(r.Account, "u")
	noise := func(name string, n int) safetest.File {
		return safetest.File{Entry: safetest.Text(name, "").Entry, Pieces: [][]byte{safetest.Noise(n, 1)}}
	}
	s := r.snap(safetest.Text("small", "small"), noise("decrypted", decryptFrom), noise("hashed", hashFrom))
	for _, c := range []struct {
		name                    string
		size, decrypted, hashed int
	}{{"small", 5, 0, 0}, {"decrypted", decryptFrom, 1, 0}, {"hashed", hashFrom, 2, 1}} {
		if _, m, err := r.get(talk.Selection{Snapshot: s, Paths: []string{c.name}}); err != nil || m.Len() != c.size || decrypted != c.decrypted || hashed != c.hashed {
			t.Errorf("%s: %v, %d decrypted, %d hashed", c.name, err, decrypted, hashed)
		}
	}
}
