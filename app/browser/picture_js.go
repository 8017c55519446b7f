package browser

import (
	"context"
	"errors"
	"syscall/js"
)

// Picture reads the picture that was chosen in a file field and returns it as PNG, no wider and no higher than side pixels: whatever kind of picture the
// browser can show. nil: none was chosen.
func (Window) Picture(ctx context.Context, id string, side int) ([]byte, error) {
	field := global.Get("document").Call("getElementById", id)
	if !field.Truthy() || field.Get("files").Length() == 0 {
		return nil, nil
	}
	bitmap, err := call(ctx, global, "createImageBitmap", field.Get("files").Index(0))
	if err != nil {
		return nil, errors.New("this browser cannot read the file as a picture: choose a PNG, JPEG or WebP file")
	}
	field.Set("value", "") // so that the same file can be chosen again
	width, height := bitmap.Get("width").Int(), bitmap.Get("height").Int()
	if most := max(width, height); most > side {
		width, height = max(1, width*side/most), max(1, height*side/most)
	}
	canvas, err := try(func() js.Value { return global.Get("OffscreenCanvas").New(width, height) })
	if err != nil {
		return nil, errors.New("this browser is too old to prepare a picture: use a newer one")
	}
	canvas.Call("getContext", "2d").Call("drawImage", bitmap, 0, 0, width, height)
	file, err := call(ctx, canvas, "convertToBlob", record("type", "image/png"))
	if err != nil {
		return nil, err
	}
	buffer, err := call(ctx, file, "arrayBuffer")
	if err != nil {
		return nil, err
	}
	return toGo(buffer), nil
}

// Title names the window.
func Title(text string) { global.Get("document").Set("title", text) }
