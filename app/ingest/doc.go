// Package ingest takes a file that was made elsewhere, such as a plain dump or a ZIP of media, checks it, and stores it as a backup of an
// application, sealed before it leaves the browser. It runs in a Web Worker of its own (see app/sealer), which is started for the first file:
// what it is made of would make the program that holds the keys half as large again.
//
// It has no keys but those that the program with the keys lends it for one upload, over a port that the page passes on without seeing what goes
// through it; they are dropped when the upload ends.
//
// It is plain Go without a browser: what it needs of one is in [Outside].
package ingest
