package browser

import (
	"context"
	"fmt"
	"syscall/js"
)

// HashBLAKE3 returns BLAKE3 under a key, by the library hash-wasm, if app/static/keys.js has loaded it; otherwise nil. It is WebAssembly as
// Go is here, and nearly twice as fast.
func HashBLAKE3(key [32]byte) func(p []byte) ([32]byte, error) {
	library := global.Get("hashwasm")
	if !library.Truthy() {
		return nil
	}
	hasher, err := call(context.Background(), library, "createBLAKE3", 256, toJS(key[:])) // it compiles 11 KB
	if err != nil {
		return nil
	}
	return func(p []byte) (sum [32]byte, err error) {
		v, err := reading(p, func(array js.Value) js.Value { // one at a time: the hasher has one state
			hasher.Call("init")
			hasher.Call("update", array)
			return hasher.Call("digest", "binary")
		})
		if err != nil {
			return sum, err
		}
		b := toGo(v)
		if len(b) != len(sum) {
			return sum, fmt.Errorf("a hash of %d bytes", len(b))
		}
		return [32]byte(b), nil
	}
}
