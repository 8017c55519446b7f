//go:build js

// Keys is the worker of the web app that holds the keys: app/safe, with a browser around it.
package main

import (
	"context"
	"runtime/debug"

	"github.com/holdfast-backup/holdfast/app/browser"
	"github.com/holdfast-backup/holdfast/app/safe"
	"github.com/holdfast-backup/holdfast/vault/seal"
)

func main() {
	// Memory that a WebAssembly program has taken once it never gives back, so it takes little: collecting twice as often costs a
	// hundredth of a download's time.
	debug.SetGCPercent(50)
	var s *safe.Safe
	tabs := browser.OpenTabs("holdfast-keys", func(string) { s.Lock(false) })
	out := safe.Outside{
		Post:    browser.Post,
		Range:   browser.Range,
		Keeper:  browser.Keeper{},
		Locked:  func() { tabs.Say("locked") },
		Memory:  func(mediaType string) safe.Memory { return browser.NewMemory(mediaType) },
		Release: browser.Release,
		Hash: func(ck seal.ContentKey) func([]byte) (seal.Key, error) {
			hash := browser.HashBLAKE3(ck)
			if hash == nil {
				return nil
			}
			return func(p []byte) (seal.Key, error) { return hash(p) }
		},
	}
	if browser.HasCrypto() {
		out.Decrypt = func(dst []byte, k seal.Key, nonce, sealed, aad []byte) ([]byte, error) {
			return browser.DecryptGCM(dst, k, nonce, sealed, aad)
		}
	}
	s = safe.New(out)
	browser.Serve(func(ctx context.Context, r browser.Request) (any, error) {
		q := safe.Request{Method: r.Method, In: r.In, Emit: r.Emit}
		if len(r.Ports) > 0 {
			q.Out = r.Ports[0]
		}
		return s.Do(ctx, q)
	})
}
