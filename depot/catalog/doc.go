// Package catalog knows what is stored where, and decides when it may be believed: spaces, packs, objects, backup
// sessions, snapshots; commit, scrub and rebuild. Two rooms lie inside it: index (the rows of objects, packs and tree nodes)
// and record (the small files in the store that a rebuild reads).
//
// # What holds at every instant
//
//   - A visible snapshot is complete. [Service.Commit] walks from the root through what tree nodes say they refer to and
//     finds everything in sound packs of the space, or refuses and says what is missing. Nodes found complete are
//     marked, so a walk costs what is new. The server needs no key for it.
//   - Durable before visible. A pack's hash is checked, then the store makes it durable, then its rows are
//     committed, then the agent is told. A snapshot's record is durable before its row is. A crash in between leaves
//     something in the store that is sound and unknown: never something known that is not there.
//   - A void session does nothing more. A session is alive while its heartbeat is younger than the time to live, by
//     the database's clock. It ends for ever when it lapses, when a newer one of its device begins, or when it commits. Every call asks the row.
//   - Nothing is deleted on doubt. Scrub and rebuild add and flag. Whatever keeps them from seeing the store ends them with an error; a
//     store without a pack where packs are known counts as not mounted.
//   - Every read starts from its owner. Somebody else's things are not found.
//
// # The space's lock
//
// Each space has a lock, an advisory one in PostgreSQL that ends with its transaction.
//
//	shared:    Begin; Upload and Commit in the transaction that writes rows; adopting and verifying in maintenance
//	exclusive: Exclusive (cleaning); flagging a pack as damaged
//
// A writer takes it, then asks whether its session is alive, then writes. Exclusive takes it, voids what has lapsed,
// refuses if a session is alive, then deletes. So the writer's rows are visible to the sweep, or the sweep has voided
// its session: there is no third way. Order of locks: device, owner, space, session, packs, objects, nodes.
//
// Whoever unlinks blobs of swept packs must do that inside Exclusive too, or an upload of the same pack could
// find the blob, leave it, and lose it a moment later.
//
// # Damage
//
// A pack that a scrub finds wrong or lost is flagged. Its objects then count as missing, for writers and for the
// completeness of new snapshots, and no tree of the space counts as complete until it was walked again. So the next backup
// of each device is told that its parent is not usable, asks for everything and sends what is missing, in new packs or in the
// same one. Spare copies in other packs stand in at once. Snapshots that were complete stay visible: what is left of
// them can be restored.
//
// # What is not promised
//
// The server believes what a pack's index says of its tree nodes: a device that lies about them harms the snapshots of its own space only. Damage
// is found by reading, so between two scrubs a rotten pack counts as sound. A session's progress is what the device says.
package catalog
