//go:build linux

package main

import (
	"bytes"
	"image"
	"image/draw"
	"image/jpeg"
	"image/png"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// shown are the pictures in the documentation: which page on what, and the name of the file.
var shown = []struct{ page, look, file string }{
	{"dashboard", "desk", "dashboard.jpg"},
	{"admin-overview", "desk-dark", "overview.jpg"},
	{"applications", "desk-dark", "applications.jpg"},
	{"application", "desk", "application.jpg"},
}

// quality is JPEG's: the lowest at which small letters have no halo.
const quality = 74

// wants reports whether pictures of a page are to be taken.
func (a *album) wants(s sight) bool {
	if a.docs != "" {
		return slices.ContainsFunc(shown, func(p struct{ page, look, file string }) bool { return p.page == s.name })
	}
	return strings.HasPrefix(s.name, a.only)
}

// document writes a picture, which may be longer than the screen, into the folder of the documentation, if that has one of it.
func (a *album) document(page, look string, height int, picture []byte) error {
	for _, s := range shown {
		if s.page != page || s.look != look {
			continue
		}
		whole, err := png.Decode(bytes.NewReader(picture))
		if err != nil {
			return err
		}
		screen := image.NewRGBA(image.Rect(0, 0, whole.Bounds().Dx(), min(height, whole.Bounds().Dy())))
		draw.Draw(screen, screen.Bounds(), whole, image.Point{}, draw.Src)
		var b bytes.Buffer
		if err := jpeg.Encode(&b, screen, &jpeg.Options{Quality: quality}); err != nil {
			return err
		}
		return os.WriteFile(filepath.Join(a.docs, s.file), b.Bytes(), 0o644)
	}
	return nil
}
