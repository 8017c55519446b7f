package goldentest

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// Every worked value of docs/format.md is one that the tests of the code read and make.
func TestThePageShowsGoldenValues(t *testing.T) {
	t.Parallel()
	page, err := os.ReadFile("../../docs/format.md")
	if err != nil {
		t.Fatal(err)
	}
	var vectors strings.Builder
	for _, pattern := range []string{"../../vault/*/testdata/*-v1.json", "../../wire/*/testdata/*-v1.json"} {
		files, err := filepath.Glob(pattern)
		if err != nil || len(files) == 0 {
			t.Fatalf("%s: %d files, %v", pattern, len(files), err)
		}
		for _, f := range files {
			b, err := os.ReadFile(f)
			if err != nil {
				t.Fatal(err)
			}
			vectors.Write(b)
		}
	}
	values := regexp.MustCompile(`\b[0-9a-f]{24,}\b|\bhfe_[\w-]{40,}|\b[0-9A-Z]{4,5}(-[0-9A-Z]{4,5}){6,}\b`).FindAllString(string(page), -1)
	if len(values) < 30 {
		t.Fatalf("%d values on the page", len(values))
	}
	for _, v := range values {
		if !strings.Contains(vectors.String(), v) {
			t.Errorf("%s is in no golden file", v)
		}
	}
}
