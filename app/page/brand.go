package page

import (
	"github.com/maxence-charriere/go-app/v10/pkg/app"

	"github.com/holdfast-backup/holdfast/app/state"
)

// BrandMark is the installation's logo and name: above a door or, as a link, above the menu.
type BrandMark struct {
	app.Compo
	watched
	Link bool
}

// OnMount implements app.Mounter.
func (b *BrandMark) OnMount(ctx app.Context) { b.watch(ctx, World.Brand) }

// Render implements app.Composer.
func (b *BrandMark) Render() app.UI {
	v := World.Brand.View()
	if b.Link {
		return app.A().Href("/").Class("brand-link").Body(logo(v, "brand-image"), app.Span().Class("brand-text fw-light text-truncate").Title(v.Name).Text(v.Name))
	}
	return app.Div().Class("hf-door-brand").Body(logo(v, "hf-door-logo"), app.Span().Class("hf-door-name fw-light").Text(v.Name))
}

// logo is the picture of a brand: an ornament beside its name.
func logo(v state.BrandView, class string) app.UI {
	src := v.Logo
	if src == "" {
		src = app.Getenv("GOAPP_LOGO")
	}
	return app.Img().Src(src).Attr("role", "presentation").Class(class)
}
