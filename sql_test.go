package holdfast_test

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
)

// statement matches a string literal that begins like SQL.
var statement = regexp.MustCompile(`(?is)^\s*(--[^\n]*\n\s*)*(SELECT\s.+\sFROM|SELECT\s+\w+\(|INSERT\s+INTO|UPDATE\s+\w+\s+SET|DELETE\s+FROM|WITH\s+\w+\s*(\([^)]*\)\s*)?AS|CREATE\s+(TABLE|DATABASE|INDEX|TYPE)|DROP\s+(TABLE|DATABASE)|TRUNCATE\s|LOCK\s+TABLE)`)

func sqlRoom(file string) bool { return file == "sql.go" || strings.HasPrefix(file, "sql_") }

// SQL lives where a reader looks for it: in files named sql.go below depot, and in migrations. depot/pg and
// depot/local speak to the server itself (locks, databases, readiness), which is not the product's data; agent/source speaks to
// databases of applications, and vault/dump knows how their dumps begin.
func TestSQLHasARoom(t *testing.T) {
	t.Parallel()
	fset := token.NewFileSet()
	err := filepath.WalkDir(".", func(name string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		slash := filepath.ToSlash(name)
		if d.IsDir() {
			if base := d.Name(); base != "." && strings.HasPrefix(base, ".") || base == "node_modules" || base == "testdata" || slash == "e2e" {
				return fs.SkipDir
			}
			return nil
		}
		if !strings.HasSuffix(slash, ".go") || strings.HasSuffix(slash, "_test.go") || strings.HasSuffix(path.Dir(slash), "test") ||
			sqlRoom(path.Base(slash)) && in(slash, "depot") || in(slash, "depot/pg", "depot/local", "agent/source", "vault/dump") {
			return nil
		}
		src, err := os.ReadFile(name)
		if err != nil {
			return err
		}
		f, err := parser.ParseFile(fset, name, src, 0)
		if err != nil {
			return err
		}
		ast.Inspect(f, func(n ast.Node) bool {
			lit, ok := n.(*ast.BasicLit)
			if !ok || lit.Kind != token.STRING {
				return true
			}
			if s, err := strconv.Unquote(lit.Value); err == nil && statement.MatchString(s) {
				t.Errorf("%s holds SQL: it belongs in a file named sql.go, or sql_WHAT.go, below depot, or in migrations", fset.Position(lit.Pos()))
			}
			return true
		})
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}
