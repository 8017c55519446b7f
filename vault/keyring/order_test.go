package keyring

import (
	"bytes"
	"testing"

	"github.com/holdfast-backup/holdfast/wire/goldentest"
)

// goldenOrder is what came after keys-v1.json, with its space key.
type goldenOrder struct {
	SpaceKey, OrderMAC goldentest.Hex // the keys
	MACOfHello         goldentest.Hex // under the key for orders
}

func generateOrder() goldenOrder {
	s := goldenKeys().Space()
	hello := s.OrderMAC([]byte("hello"))
	return goldenOrder{fill(0x22, 32), s.order[:], hello[:]}
}

func TestGoldenOrderV1(t *testing.T) {
	t.Parallel()
	g := goldentest.Load(t, "order-key-v1.json", generateOrder)
	s := NewSpace([32]byte(g.SpaceKey))
	if !bytes.Equal(s.order[:], g.OrderMAC) {
		t.Errorf("order key is %x, want %x", s.order, g.OrderMAC)
	}
	if mac := s.OrderMAC([]byte("hello")); !bytes.Equal(mac[:], g.MACOfHello) {
		t.Errorf("MAC of an order is %x, want %x", mac, g.MACOfHello)
	}
}

func TestOrderMAC(t *testing.T) {
	t.Parallel()
	s, other := NewSpace([32]byte{1}), NewSpace([32]byte{2})
	msg := []byte("give it back")
	mac := s.OrderMAC(msg)
	if !s.VerifyOrder(msg, mac[:]) {
		t.Error("its own proof is refused")
	}
	manifest, device := s.ManifestMAC(msg), s.DeviceMAC(msg)
	for name, ok := range map[string]bool{
		"another space":         other.VerifyOrder(msg, mac[:]),
		"another message":       s.VerifyOrder(msg[1:], mac[:]),
		"a part of the proof":   s.VerifyOrder(msg, mac[:31]),
		"no proof":              s.VerifyOrder(msg, nil),
		"a manifest's proof":    s.VerifyOrder(msg, manifest[:]),
		"a device's proof":      s.VerifyOrder(msg, device),
		"proof of no message":   s.VerifyOrder(nil, mac[:]),
		"a manifest like order": s.VerifyManifest(msg, mac[:]),
	} {
		if ok {
			t.Errorf("%s is accepted", name)
		}
	}
}
