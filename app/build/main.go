// Build makes the web app that holdfast serves: it compiles the page, the keys and the sealer to WebAssembly, takes styles, icons and scripts from
// node_modules, names every file after its content, compresses what compresses, and writes all of it, with the page around it, to a folder
// that package server/web embeds.
//
//	go run ./app/build -out server/web/dist          # as it is released
//	go run ./app/build -out server/web/dist -fast    # while developing: light compression
//
// Compressed files are kept under .cache/web by the hash of their content, so a second build compresses only what changed.
package main

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"sort"
	"strings"
	"sync"
	"text/template"
)

func main() {
	out := flag.String("out", "server/web/dist", "folder to write; it is emptied first")
	fast := flag.Bool("fast", false, "compress lightly")
	version := flag.String("version", "dev", "release that the app says it is")
	flag.Parse()
	b := &build{out: *out, fast: *fast, version: *version, assets: map[string]string{}}
	if err := b.run(); err != nil {
		fmt.Fprintf(os.Stderr, "build of the web app: %v\n", err)
		os.Exit(1)
	}
}

// build is one run.
type build struct {
	out     string
	fast    bool
	version string
	assets  map[string]string // plain name -> address
	sizes   []size
}

type size struct {
	name                string
	plain, gzip, brotli int
}

// source is a file that becomes an asset under its base name, or another one.
type source struct{ name, path string }

var sources = []source{
	{"adminlte.css", "node_modules/admin-lte/dist/css/adminlte.min.css"},
	{"adminlte.js", "node_modules/admin-lte/dist/js/adminlte.min.js"},
	{"bootstrap.js", "node_modules/bootstrap/dist/js/bootstrap.bundle.min.js"},
	{"blake3.js", "node_modules/hash-wasm/dist/blake3.umd.min.js"},
	{"icons.woff2", "node_modules/bootstrap-icons/font/fonts/bootstrap-icons.woff2"},
	{"app.css", "app/static/app.css"},
	{"boot.js", "app/static/boot.js"},
	{"logo.svg", "app/static/logo.svg"},
	{"icon-192.png", "app/static/icon-192.png"},
	{"icon-512.png", "app/static/icon-512.png"},
	{"icon-maskable.png", "app/static/icon-maskable.png"},
}

func (b *build) run() error {
	if _, err := os.Stat("node_modules/admin-lte"); errors.Is(err, fs.ErrNotExist) {
		return errors.New("node_modules is not there: run make web, which runs npm ci")
	}
	dir, err := os.MkdirTemp("", "holdfast-web-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	if err := b.compile(dir); err != nil {
		return err
	}
	if err := b.empty(); err != nil {
		return err
	}
	for _, s := range sources {
		content, err := os.ReadFile(s.path)
		if err != nil {
			return err
		}
		if err := b.asset(s.name, bytes.TrimSuffix(content, sourceMap(content))); err != nil {
			return err
		}
	}
	if err := b.icons(); err != nil {
		return err
	}
	goRoot := strings.TrimSpace(os.Getenv("GOROOT"))
	if goRoot == "" {
		if goRoot, err = output("go", "env", "GOROOT"); err != nil {
			return err
		}
	}
	glue, err := os.ReadFile(filepath.Join(goRoot, "lib", "wasm", "wasm_exec.js"))
	if err != nil {
		return err
	}
	if err := b.asset("wasm_exec.js", glue); err != nil {
		return err
	}
	for _, name := range []string{"app.wasm", "keys.wasm", "sealer.wasm"} {
		content, err := os.ReadFile(filepath.Join(dir, name))
		if err != nil {
			return err
		}
		if err := b.asset(name, content); err != nil {
			return err
		}
	}
	// In the order in which one names another.
	for _, name := range []string{"keys.js", "sealer.js"} {
		if err := b.page(name, true); err != nil {
			return err
		}
	}
	for _, name := range []string{"index.html", "manifest.webmanifest", "offline.html", "download.js", "sw.js"} {
		if err := b.page(name, false); err != nil {
			return err
		}
	}
	return b.report()
}

// compile makes the programs, one after the other: they share most of their packages.
func (b *build) compile(dir string) error {
	for name, pkg := range map[string]string{"app.wasm": "./app", "keys.wasm": "./app/keys", "sealer.wasm": "./app/sealer"} {
		cmd := exec.Command("go", "build", "-trimpath", "-ldflags", "-s -w -X github.com/holdfast-backup/holdfast/wire/proto.Version="+b.version,
			"-o", filepath.Join(dir, name), pkg)
		cmd.Env = append(os.Environ(), "GOOS=js", "GOARCH=wasm", "CGO_ENABLED=0")
		cmd.Stderr = os.Stderr
		if err := cmd.Run(); err != nil {
			return fmt.Errorf("%s: %w", pkg, err)
		}
	}
	return nil
}

// empty makes the folder anew, but for the file that keeps it in the repository.
func (b *build) empty() error {
	if err := os.MkdirAll(filepath.Join(b.out, "assets"), 0o755); err != nil {
		return err
	}
	return filepath.WalkDir(b.out, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || d.Name() == ".keep" {
			return err
		}
		return os.Remove(path)
	})
}

// asset writes a file under a name with its hash, and compressed ones beside it.
func (b *build) asset(name string, content []byte) error {
	sum := sha256.Sum256(content)
	ext := filepath.Ext(name)
	hashed := strings.TrimSuffix(name, ext) + "." + hex.EncodeToString(sum[:6]) + ext
	b.assets[name] = "/assets/" + hashed
	return b.write("assets/"+hashed, name, content)
}

func (b *build) write(path, name string, content []byte) error {
	to := filepath.Join(b.out, filepath.FromSlash(path))
	if err := os.WriteFile(to, content, 0o644); err != nil {
		return err
	}
	s := size{name: name, plain: len(content)}
	if compressible(path) {
		var wg sync.WaitGroup
		var gz, br []byte
		var gzErr, brErr error
		wg.Go(func() { gz, gzErr = b.compressed(content, "gz") })
		wg.Go(func() { br, brErr = b.compressed(content, "br") })
		wg.Wait()
		if err := errors.Join(gzErr, brErr); err != nil {
			return err
		}
		s.gzip, s.brotli = len(gz), len(br)
		for suffix, small := range map[string][]byte{".gz": gz, ".br": br} {
			if err := os.WriteFile(to+suffix, small, 0o644); err != nil {
				return err
			}
		}
	}
	b.sizes = append(b.sizes, s)
	return nil
}

func compressible(path string) bool {
	switch filepath.Ext(path) {
	case ".css", ".js", ".wasm", ".svg", ".html", ".webmanifest":
		return true
	}
	return false
}

var fontFace = regexp.MustCompile(`url\("?(?:\./)?fonts/bootstrap-icons\.woff2[^)]*\)\s*format\("woff2"\),\s*url\([^)]*\)\s*format\("woff"\)`)

// icons writes the style sheet of the icons, which names the font's file.
func (b *build) icons() error {
	css, err := os.ReadFile("node_modules/bootstrap-icons/font/bootstrap-icons.min.css")
	if err != nil {
		return err
	}
	named := fontFace.ReplaceAll(css, []byte(`url("`+b.assets["icons.woff2"]+`") format("woff2")`))
	if bytes.Equal(named, css) {
		return errors.New("bootstrap-icons.min.css is not what it was: its font was not found")
	}
	return b.asset("icons.css", named)
}

// page writes a file of ours in which {{asset "x"}} stands for an address; assets itself under a hashed name if hashed is set.
func (b *build) page(name string, hashed bool) error {
	text, err := os.ReadFile(filepath.Join("app", "static", name))
	if err != nil {
		return err
	}
	var missing error
	t, err := template.New(name).Funcs(template.FuncMap{
		"asset": func(name string) string {
			if b.assets[name] == "" {
				missing = fmt.Errorf("%s is no asset", name)
			}
			return b.assets[name]
		},
		"shell":   b.shell,
		"version": func() string { return b.version },
		"build":   b.hash,
	}).Parse(string(text))
	if err != nil {
		return err
	}
	var buf bytes.Buffer
	if err := errors.Join(t.Execute(&buf, nil), missing); err != nil {
		return fmt.Errorf("%s: %w", name, err)
	}
	if hashed {
		return b.asset(name, buf.Bytes())
	}
	return b.write(name, name, buf.Bytes())
}

// shell lists what the service worker keeps, as JSON: all that the app needs to start.
func (b *build) shell() (string, error) {
	list := []string{"/", "/offline.html", "/manifest.webmanifest"}
	for name, address := range b.assets {
		if !strings.HasPrefix(name, "sealer.") { // few need it, and those who do are connected
			list = append(list, address)
		}
	}
	sort.Strings(list)
	out, err := json.Marshal(list)
	return string(out), err
}

// hash names this build: it changes when any asset does.
func (b *build) hash() string {
	var list []string
	for _, address := range b.assets {
		list = append(list, address)
	}
	sort.Strings(list)
	sum := sha256.Sum256([]byte(strings.Join(list, "\n")))
	return hex.EncodeToString(sum[:6])
}

// budgets are the most bytes that a program may have on its way to a browser that takes Brotli.
var budgets = map[string]int{"app.wasm": 2_500_000, "keys.wasm": 1_500_000, "sealer.wasm": 1_800_000}

// report prints what a visitor loads, and fails if that is more than the budget. Light compression is not judged.
func (b *build) report() error {
	type line struct {
		Name   string `json:"name"`
		Plain  int    `json:"plain"`
		Gzip   int    `json:"gzip,omitempty"`
		Brotli int    `json:"brotli,omitempty"`
	}
	var lines []line
	var over error
	sort.Slice(b.sizes, func(i, j int) bool { return b.sizes[i].plain > b.sizes[j].plain })
	for _, s := range b.sizes {
		lines = append(lines, line{s.name, s.plain, s.gzip, s.brotli})
		if max, ok := budgets[s.name]; ok && !b.fast && s.brotli > max {
			over = fmt.Errorf("%s has %d bytes with brotli, and its budget is %d", s.name, s.brotli, max)
		}
		if s.plain > 50_000 {
			fmt.Printf("  %-22s %9d  gzip %8d  brotli %8d\n", s.name, s.plain, s.gzip, s.brotli)
		}
	}
	out, err := json.MarshalIndent(lines, "", " ")
	if err != nil {
		return err
	}
	return errors.Join(over, os.WriteFile(filepath.Join(b.out, "sizes.json"), append(out, '\n'), 0o644))
}

// sourceMap returns the comment at a file's end that names a source map, which is not served.
func sourceMap(content []byte) []byte {
	for _, mark := range []string{"\n//# sourceMappingURL=", "\n/*# sourceMappingURL="} {
		if i := bytes.LastIndex(content, []byte(mark)); i >= 0 && len(content)-i < 200 {
			return content[i:]
		}
	}
	return nil
}

func output(name string, args ...string) (string, error) {
	out, err := exec.Command(name, args...).Output()
	return strings.TrimSpace(string(out)), err
}
