package setting_test

import (
	"bytes"
	"context"
	"image"
	"image/color"
	"image/jpeg"
	"image/png"
	"math/rand/v2"
	"testing"

	"github.com/holdfast-backup/holdfast/depot/actor"
	"github.com/holdfast-backup/holdfast/depot/setting"
	"github.com/holdfast-backup/holdfast/wire/fault"
)

// picture draws noise, the same for the same seed.
func picture(t *testing.T, width, height int, seed uint64, encode func(*bytes.Buffer, image.Image) error) []byte {
	t.Helper()
	r := rand.New(rand.NewPCG(seed, 0))
	img := image.NewNRGBA(image.Rect(0, 0, width, height))
	for i := range width * height {
		img.Set(i%width, i/width, color.NRGBA{uint8(r.Uint32()), uint8(r.Uint32()), 0, uint8(r.Uint32())})
	}
	var b bytes.Buffer
	if err := encode(&b, img); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func asPNG(b *bytes.Buffer, i image.Image) error { return png.Encode(b, i) }
func asJPEG(b *bytes.Buffer, i image.Image) error {
	return jpeg.Encode(b, i, &jpeg.Options{Quality: 10})
}

// TestLogo: what is kept is the picture and nothing else, in place of the one before; it is audited once for each change.
func TestLogo(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	ctx := t.Context()
	b, err := w.Brand(ctx)
	w.ok(err)
	if *b != (setting.Brand{Name: "Holdfast"}) {
		t.Errorf("%+v", b)
	}
	first := picture(t, 20, 10, 1, asPNG)
	spoiled := append(bytes.Clone(first), "<script>alert(1)</script>"...)
	set, err := w.SetLogo(ctx, w.boss, spoiled)
	w.ok(err)
	kept, err := w.Logo(ctx, set.Logo)
	w.ok(err)
	if bytes.Contains(kept, []byte("script")) {
		t.Error("what comes after the picture is kept")
	}
	was, _, _ := image.Decode(bytes.NewReader(first))
	is, kind, err := image.Decode(bytes.NewReader(kept))
	if err != nil || kind != "png" || is.Bounds() != was.Bounds() {
		t.Fatalf("%s, %v", kind, err)
	}
	for x := range 20 {
		for y := range 10 {
			if color.NRGBAModel.Convert(is.At(x, y)) != color.NRGBAModel.Convert(was.At(x, y)) {
				t.Fatalf("another picture at %d, %d", x, y)
			}
		}
	}
	again, err := w.SetLogo(ctx, w.boss, first)
	w.ok(err)
	if *again != *set {
		t.Errorf("the same picture: %+v, %+v", again, set)
	}
	second, err := w.SetLogo(ctx, actor.System(), picture(t, 30, 30, 2, asJPEG))
	w.ok(err)
	_, err = w.Logo(ctx, set.Logo)
	w.want(err, fault.NotFound, "no such logo")
	if _, err := w.Logo(ctx, second.Logo); err != nil {
		t.Error(err)
	}
	if b, err := w.Brand(ctx); err != nil || *b != *second || b.Logo == set.Logo || b.Logo == "" {
		t.Errorf("%+v, %v", b, err)
	}
	for range 2 {
		b, err := w.RemoveLogo(ctx, w.boss)
		w.ok(err)
		if b.Logo != "" {
			t.Errorf("%+v", b)
		}
	}
	if log := w.audited("settings.logo"); len(log) != 3 || log[0] != "The installation's logo was changed." || log[2] != "The installation's logo was removed." {
		t.Errorf("%q", log)
	}
}

// TestLogoRefused: by whom, and what.
func TestLogoRefused(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	ctx := t.Context()
	good := picture(t, 20, 10, 1, asPNG)
	for _, c := range []struct {
		picture []byte
		kind    fault.Kind
		words   string
	}{
		{nil, fault.Invalid, "neither a PNG nor a JPEG"},
		{[]byte(`<svg xmlns="http://www.w3.org/2000/svg"><script>alert(1)</script></svg>`), fault.Invalid, "neither a PNG nor a JPEG"},
		{good[:len(good)/2], fault.Invalid, "damaged"},
		{make([]byte, setting.MaxLogo+1), fault.TooLarge, "at most 256 KiB, not 257"},
		{picture(t, 1, setting.MaxLogoSide+1, 1, asPNG), fault.TooLarge, "not 1 by 1025"},
		{picture(t, setting.MaxLogoSide+1, 1, 1, asPNG), fault.TooLarge, "not 1025 by 1"},
	} {
		_, err := w.SetLogo(ctx, w.boss, c.picture)
		w.want(err, c.kind, "picture: ", c.words)
	}
	_, err := w.SetLogo(ctx, w.ann, good)
	w.want(err, fault.Forbidden)
	_, err = w.RemoveLogo(ctx, w.ann)
	w.want(err, fault.Forbidden)
	_, err = w.Logo(ctx, "")
	w.want(err, fault.NotFound)
	gone, cancel := context.WithCancel(ctx)
	cancel()
	for name, err := range map[string]error{
		"Brand": second(w.Brand(gone)), "Logo": second(w.Logo(gone, "x")), "SetLogo": second(w.SetLogo(gone, w.boss, good)), "RemoveLogo": second(w.RemoveLogo(gone, w.boss)),
	} {
		if err == nil {
			t.Errorf("%s: no error", name)
		}
	}
}
