package setting

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"image"
	_ "image/jpeg" // decoded, beside PNG
	"image/png"

	"github.com/jmoiron/sqlx"

	"github.com/holdfast-backup/holdfast/depot/actor"
	"github.com/holdfast-backup/holdfast/depot/audit"
	"github.com/holdfast-backup/holdfast/depot/pg"
	"github.com/holdfast-backup/holdfast/wire/fault"
	"github.com/holdfast-backup/holdfast/wire/id"
)

// Limits of a logo.
const (
	MaxLogo     = 256 << 10 // bytes, as it is uploaded
	MaxLogoSide = 1024      // pixels
)

// Brand is how an installation shows itself to everybody, also before anybody has logged in.
type Brand struct {
	Name string // the product's
	Logo string // the logo's hash, which its address has; "": Holdfast's own is shown
}

// Brand returns how the installation shows itself. Anybody may ask.
func (s *Service) Brand(ctx context.Context) (*Brand, error) {
	set, err := s.Get(ctx)
	if err != nil {
		return nil, err
	}
	l, err := logoHash(ctx, s.cfg.DB)
	return &Brand{Name: set.ProductName, Logo: l}, err
}

// Logo returns the logo as PNG. Anybody may ask. Without one, or with another one, it is not found.
func (s *Service) Logo(ctx context.Context, hash string) ([]byte, error) {
	b, err := logo(ctx, s.cfg.DB, hash)
	if err == nil && b == nil {
		err = fault.New(fault.NotFound, "there is no such logo")
	}
	return b, err
}

// SetLogo makes a PNG or JPEG picture of at most [MaxLogo] bytes and [MaxLogoSide] pixels a side the logo. What is kept is not what was uploaded, but a PNG that is made of
// its pixels: nothing that is not a picture reaches a browser. Administrators may.
func (s *Service) SetLogo(ctx context.Context, a actor.Actor, picture []byte) (*Brand, error) {
	if err := a.Require(actor.Admin); err != nil {
		return nil, err
	}
	b, err := redraw(picture)
	if err != nil {
		return nil, err
	}
	sum := sha256.Sum256(b)
	hash := hex.EncodeToString(sum[:16])
	err = pg.InTx(ctx, s.cfg.DB, func(tx *sqlx.Tx) error {
		if err := lock(ctx, tx); err != nil {
			return err
		}
		was, err := logoHash(ctx, tx)
		if err != nil || was == hash {
			return err
		}
		if err := writeLogo(ctx, tx, b, hash, person(a)); err != nil {
			return err
		}
		return audit.Write(ctx, tx, audit.Event{Kind: "settings.logo", Actor: a, Text: "The installation's logo was changed."})
	})
	if err != nil {
		return nil, err
	}
	return s.Brand(ctx)
}

// RemoveLogo brings Holdfast's own logo back. Administrators may. Without a logo nothing changes.
func (s *Service) RemoveLogo(ctx context.Context, a actor.Actor) (*Brand, error) {
	if err := a.Require(actor.Admin); err != nil {
		return nil, err
	}
	err := pg.InTx(ctx, s.cfg.DB, func(tx *sqlx.Tx) error {
		any, err := removeLogo(ctx, tx)
		if err != nil || !any {
			return err
		}
		return audit.Write(ctx, tx, audit.Event{Kind: "settings.logo", Actor: a, Text: "The installation's logo was removed."})
	})
	if err != nil {
		return nil, err
	}
	return s.Brand(ctx)
}

// redraw decodes a picture and encodes its pixels. Its size is asked before any memory is taken for them.
func redraw(picture []byte) ([]byte, error) {
	if len(picture) > MaxLogo {
		return nil, fault.New(fault.TooLarge, "picture: a logo has at most %d KiB, not %d", MaxLogo>>10, (len(picture)+1023)>>10)
	}
	cfg, _, err := image.DecodeConfig(bytes.NewReader(picture))
	if err != nil {
		return nil, fault.New(fault.Invalid, "picture: this is neither a PNG nor a JPEG picture: save it as PNG")
	}
	if cfg.Width < 1 || cfg.Height < 1 || cfg.Width > MaxLogoSide || cfg.Height > MaxLogoSide {
		return nil, fault.New(fault.TooLarge, "picture: a logo has at most %d by %d pixels, not %d by %d", MaxLogoSide, MaxLogoSide, cfg.Width, cfg.Height)
	}
	img, _, err := image.Decode(bytes.NewReader(picture))
	if err != nil {
		return nil, fault.New(fault.Invalid, "picture: this picture is damaged")
	}
	var out bytes.Buffer
	err = (&png.Encoder{CompressionLevel: png.BestCompression}).Encode(&out, img)
	return out.Bytes(), err
}

// person returns who a is; nil: the system.
func person(a actor.Actor) *id.User {
	if a.IsSystem() {
		return nil
	}
	return &a.User
}
