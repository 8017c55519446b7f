package state

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"strings"

	"github.com/holdfast-backup/holdfast/app/api"
	"github.com/holdfast-backup/holdfast/wire/fault"
)

// Brand is how the installation shows itself: its name and its logo. What it was last is remembered in this browser, so that the page does not
// change its face while it loads. Make it with [NewBrand].
type Brand struct {
	Desk
	keep   Settings
	v      BrandView
	picked []byte
}

// BrandView is what pages show of a [Brand].
type BrandView struct {
	Work   `json:"-"`
	Name   string
	Logo   string // path; "": Holdfast's own
	Picked string `json:"-"` // a picture that was chosen and is not the logo yet, as an address; "": none
}

// ownName is the name of an installation that has none of its own.
const ownName = "Holdfast"

// brandKey is where the brand is remembered.
const brandKey = "holdfast-brand"

// maxPicture is how large a logo may be, in bytes.
const maxPicture = 256 << 10

// logoPrefix is where logos are: what is remembered may have been tampered with.
const logoPrefix = "/branding/logo/"

// NewBrand returns the brand as this browser remembers it.
func NewBrand(client *api.Client, keep Settings) *Brand {
	b := &Brand{Desk: Desk{api: client}, keep: keep}
	if json.Unmarshal([]byte(keep.Get(brandKey)), &b.v) != nil || b.v.Logo != "" && !strings.HasPrefix(b.v.Logo, logoPrefix) {
		b.v = BrandView{}
	}
	if b.v.Name == "" {
		b.v.Name = ownName
	}
	return b
}

// View returns what to show.
func (b *Brand) View() (v BrandView) {
	b.read(func() {
		v = b.v
		v.Work = b.work
	})
	return v
}

// Load asks what it is now. Without an answer it stays as it is.
func (b *Brand) Load() {
	go func() {
		if r, err := api.Branding(context.Background(), b.api); err == nil {
			b.take(r.Branding)
		}
	}()
}

// Renamed takes in a new name.
func (b *Brand) Renamed(name string) {
	b.change(func() {
		b.v.Name = name
		b.remember()
	})
}

func (b *Brand) take(f *api.BrandingFields) {
	b.change(func() {
		b.v.Name, b.v.Logo = f.Name, ""
		if f.Logo != nil {
			b.v.Logo = *f.Logo
		}
		b.remember()
	})
}

// remember keeps the brand; within a change, so that who hears of it finds it kept.
func (b *Brand) remember() {
	if text, err := json.Marshal(b.v); err == nil {
		b.keep.Set(brandKey, string(text))
	}
}

// Pick takes in a picture that was chosen as PNG, to be looked at first, or why there is none.
func (b *Brand) Pick(png []byte, err error) {
	if err == nil && len(png) > maxPicture {
		err = fault.New(fault.TooLarge, "as a logo this picture is too large: take one with fewer details")
	}
	b.change(func() {
		b.work = Work{Err: err}
		b.picked, b.v.Picked = nil, ""
		if err == nil {
			b.picked, b.v.Picked = png, "data:image/png;base64,"+base64.StdEncoding.EncodeToString(png)
		}
	})
}

// Drop forgets what was chosen.
func (b *Brand) Drop() { b.change(func() { b.picked, b.v.Picked = nil, "" }) }

// Save makes what was chosen the logo.
func (b *Brand) Save() {
	var picture []byte
	b.read(func() { picture = b.picked })
	if picture == nil {
		return
	}
	b.do("logo", func(ctx context.Context) (string, error) {
		r, err := api.SetLogo(ctx, b.api, picture)
		if err != nil {
			return "", err
		}
		b.Drop()
		b.take(r.SetLogo.Branding)
		return "This is the logo now.", nil
	})
}

// Remove brings Holdfast's own logo back.
func (b *Brand) Remove() {
	b.do("remove", func(ctx context.Context) (string, error) {
		r, err := api.RemoveLogo(ctx, b.api)
		if err != nil {
			return "", err
		}
		b.take(r.RemoveLogo.Branding)
		return "Holdfast's own logo is back.", nil
	})
}
