// Package browser is the app's only way to JavaScript: fetch, WebSockets, workers, storage, WebCrypto, files in and out. Everything else in the
// app is plain Go and runs, and is tested, without a browser; the files without a js suffix are the native twins, with which such tests
// link.
//
// Functions that wait (for a promise, for a message) block their goroutine, never the page. No error of JavaScript's passes as a panic.
package browser
