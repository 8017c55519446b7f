// Package browser is the app's only way to JavaScript: fetch, WebSockets, workers, storage, WebCrypto, files in and out. Only the three programs
// (app, app/keys, app/sealer) import it; everything else in the app is plain Go that takes interfaces, and runs, and is tested, without a browser.
// What is here is tested in one: see app/keys and e2e/web.
//
// Functions that wait (for a promise, for a message) block their goroutine, never the page. No error of JavaScript's passes as a panic.
package browser
