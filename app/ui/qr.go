package ui

import (
	"strconv"
	"strings"

	"github.com/maxence-charriere/go-app/v10/pkg/app"
	qrcode "github.com/skip2/go-qrcode"
)

// QR is a text for a camera: dark on white also in dark mode, or cameras do not read it. Nothing is drawn of a text that is too long.
func QR(text, label string) app.UI {
	code, err := qrcode.New(text, qrcode.Medium)
	if err != nil {
		return app.Text("")
	}
	bits := code.Bitmap()
	var path strings.Builder
	for y, line := range bits {
		for x := 0; x < len(line); x++ {
			from := x
			for x < len(line) && line[x] {
				x++
			}
			if x > from {
				path.WriteString("M" + strconv.Itoa(from) + " " + strconv.Itoa(y) + "h" + strconv.Itoa(x-from) + "v1H" + strconv.Itoa(from) + "z")
			}
		}
	}
	side := strconv.Itoa(len(bits))
	return app.Elem("svg").XMLNS(svg).Attr("class", "hf-qr").Attr("viewBox", "0 0 "+side+" "+side).Attr("role", "img").Attr("aria-label", label).
		Attr("shape-rendering", "crispEdges").Body(
		app.Elem("rect").XMLNS(svg).Attr("width", side).Attr("height", side).Attr("fill", "#fff"),
		app.Elem("path").XMLNS(svg).Attr("d", path.String()).Attr("fill", "#000"),
	)
}
