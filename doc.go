// Package holdfast is the map of the house; it holds no code.
//
// Holdfast backs up the devices and applications of an institution, and nobody but the owner can read a
// backup. So the code has two wings on one ground, programs above them, and no line that joins the wings.
//
//	cmd/holdfast         the keeping half's program       cmd/holdfast-agent   the knowing half's program
//	server worker graph  HTTP, queue, GraphQL             agent                local files, device state
//	depot                accounts, devices, packs         vault                keys, chunks, trees, restore
//	                \                                    /
//	             wire    ids, packs, faults, CBOR: what both must agree on
//	             plan    calendars, retention, kinds of files: rules that both apply
//
// vault is the wing that knows: passwords, keys and plaintext, on devices only. depot is the wing that keeps:
// sealed bytes, accounts and calendars, on servers only. Imports go downwards; arch_test.go holds the rules,
// and gives their reasons when one is broken.
//
// Read next: docs/architecture.md for how data moves, docs/format.md for every stored byte, docs/threats.md
// for who learns what.
package holdfast
