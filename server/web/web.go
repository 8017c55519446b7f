// Package web is the web app as it was built, inside the server's program: files, and which headers they are served with.
//
// The folder dist is written by app/build (make web) and is not part of the repository; a program that was built without it has no
// web app, and [Inside] says so. Nothing here knows what the app does: server and app share the API, no code.
//
// Files under /assets/ are named after their content and are cached for ever; all others are asked for again each time.
package web

import (
	"embed"
	"io/fs"
	"mime"
	"net/http"
	"path"
	"strconv"
	"strings"
)

//go:embed all:dist
var dist embed.FS

// Inside returns the app that is inside the program, or nil if it was built without one.
func Inside() *App {
	files, err := fs.Sub(dist, "dist")
	if err != nil {
		return nil
	}
	return New(files)
}

// App is an app's files.
type App struct{ files fs.FS }

// New returns the app that app/build wrote to a folder, or nil if there is none.
func New(files fs.FS) *App {
	if _, err := fs.Stat(files, "index.html"); err != nil {
		return nil
	}
	return &App{files}
}

// types are those whose names some systems' tables do not have.
var types = map[string]string{
	".wasm": "application/wasm", ".webmanifest": "application/manifest+json", ".js": "text/javascript; charset=utf-8", ".css": "text/css; charset=utf-8",
	".woff2": "font/woff2", ".svg": "image/svg+xml", ".html": "text/html; charset=utf-8", ".png": "image/png",
}

// Serve answers with a file of the app, such as "index.html" or "assets/app.0123456789ab.wasm", in the smallest encoding that the client
// takes. It reports false, and has not answered, if there is no such file.
func (a *App) Serve(w http.ResponseWriter, r *http.Request, name string) bool {
	name = path.Clean(name)
	if strings.HasSuffix(name, ".br") || strings.HasSuffix(name, ".gz") || name == "sizes.json" {
		return false
	}
	file, encoding := name, ""
	info, err := fs.Stat(a.files, file)
	if err != nil || info.IsDir() || strings.HasPrefix(path.Base(name), ".") {
		return false
	}
	for _, way := range []struct{ name, suffix string }{{"br", ".br"}, {"gzip", ".gz"}} {
		if !accepts(r.Header.Values("Accept-Encoding"), way.name) {
			continue
		}
		if _, err := fs.Stat(a.files, file+way.suffix); err == nil {
			file, encoding = file+way.suffix, way.name
			break
		}
	}
	content, err := fs.ReadFile(a.files, file)
	if err != nil {
		return false
	}
	h := w.Header()
	h.Set("Content-Type", kind(name))
	h.Set("Vary", "Accept-Encoding")
	if encoding != "" {
		h.Set("Content-Encoding", encoding)
	}
	if strings.HasPrefix(name, "assets/") {
		h.Set("Cache-Control", "public, max-age=31536000, immutable")
	} else {
		h.Set("Cache-Control", "no-cache")
	}
	h.Set("Content-Length", strconv.Itoa(len(content)))
	h.Set("X-Plain-Length", strconv.FormatInt(info.Size(), 10)) // what a progress bar counts: bytes after decoding
	w.WriteHeader(http.StatusOK)
	if r.Method != http.MethodHead {
		w.Write(content) //nolint:errcheck // the client went away
	}
	return true
}

func kind(name string) string {
	if t := types[path.Ext(name)]; t != "" {
		return t
	}
	if t := mime.TypeByExtension(path.Ext(name)); t != "" {
		return t
	}
	return "application/octet-stream"
}

// accepts reads Accept-Encoding as far as it matters here: a coding that is named, and not with a weight of zero.
func accepts(header []string, coding string) bool {
	for _, part := range strings.Split(strings.Join(header, ","), ",") {
		name, params, _ := strings.Cut(strings.TrimSpace(part), ";")
		if !strings.EqualFold(strings.TrimSpace(name), coding) {
			continue
		}
		q, found := strings.CutPrefix(strings.ReplaceAll(params, " ", ""), "q=")
		weight, err := strconv.ParseFloat(q, 64)
		return !found || err == nil && weight > 0
	}
	return false
}
