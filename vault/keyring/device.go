package keyring

// Device is the key pair of an enrolled device. The private key never leaves it. It is safe for concurrent use.
type Device struct{ keys keyPair }

// NewDevice makes a key pair.
func NewDevice() (*Device, error) {
	k, err := newKeyPair()
	if err != nil {
		return nil, err
	}
	return &Device{k}, nil
}

// OpenDevice returns the device whose private key, of 32 bytes, [Device.Private] returned.
func OpenDevice(private []byte) (*Device, error) {
	k, err := openKeyPair(private)
	if err != nil {
		return nil, err
	}
	return &Device{k}, nil
}

// String does not show the key.
func (*Device) String() string { return "device keys" }

// Public returns the public key, of [PublicSize] bytes.
func (d *Device) Public() []byte { return d.keys.public() }

// Private returns the private key, of 32 bytes, for the device to keep.
func (d *Device) Private() []byte { return d.keys.bytes() }

// OpenSealed opens what was sealed to the device with the same info by [SealTo]. It fails with [ErrWrongKey] or
// [ErrMalformed].
func (d *Device) OpenSealed(info string, sealed []byte) ([]byte, error) {
	return d.keys.open(info, sealed)
}
