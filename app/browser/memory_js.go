package browser

import (
	"context"
	"syscall/js"
)

// Memory takes content into the browser's memory, where it has an address for pages of this origin: it is a safe.Memory. Make it with [NewMemory].
type Memory struct {
	kind  string
	parts js.Value
	url   string
}

// NewMemory returns a place for content of a media type.
func NewMemory(mediaType string) *Memory {
	return &Memory{kind: mediaType, parts: global.Get("Array").New()}
}

// Write implements safe.Stream.
func (m *Memory) Write(ctx context.Context, p []byte) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	_, err := try(func() js.Value { return m.parts.Call("push", toJS(p)) })
	return err
}

// Close implements safe.Stream.
func (m *Memory) Close(context.Context) error {
	url, err := try(func() js.Value {
		blob := global.Get("Blob").New(m.parts, record("type", m.kind))
		return global.Get("URL").Call("createObjectURL", blob)
	})
	m.parts = js.Undefined()
	if err != nil {
		return err
	}
	m.url = url.String()
	return nil
}

// Abort implements safe.Stream.
func (m *Memory) Abort(string) { m.parts = js.Undefined() }

// URL implements safe.Memory.
func (m *Memory) URL() string { return m.url }

// Release forgets what an address stands for.
func Release(url string) {
	try(func() js.Value { return global.Get("URL").Call("revokeObjectURL", url) }) //nolint:errcheck // it does not throw
}
