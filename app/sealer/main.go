//go:build js

// Sealer is the worker of the web app that takes files which were made elsewhere: app/ingest, with a browser around it.
package main

import (
	"context"
	"runtime/debug"

	"github.com/holdfast-backup/holdfast/app/browser"
	"github.com/holdfast-backup/holdfast/app/ingest"
)

// lentMost is how many bytes the keys lend at most.
const lentMost = 8 << 10

func main() {
	// Memory that a WebAssembly program has taken once it never gives back, so it takes little.
	debug.SetGCPercent(50)
	desk := ingest.New(ingest.Outside{Post: browser.Bearer, Upload: browser.Upload})
	browser.Serve(func(ctx context.Context, r browser.Request) (any, error) {
		q := ingest.Request{Method: r.Method, In: r.In, Emit: r.Emit}
		if r.File != nil {
			q.File = r.File
		}
		if len(r.Ports) > 0 {
			q.Lent = func(ctx context.Context) ([]byte, error) { return r.Ports[0].Receive(ctx, lentMost) }
		}
		return desk.Do(ctx, q)
	})
}
