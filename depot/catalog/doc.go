// Package catalog knows what is stored where, and decides when it may be believed: spaces, packs, objects, backup
// sessions, snapshots; commit, retention, cleaning, scrub and rebuild. Three rooms lie inside it: index (the rows of objects, packs
// and tree nodes), gc (what nothing refers to any more) and record (the small files in the store that a rebuild reads).
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
//	shared:    Begin; Upload and Commit in the transaction that writes rows; adopting and verifying in maintenance; compaction
//	exclusive: Exclusive (sweeping, unlinking); flagging a pack as damaged
//
// A writer takes it, then asks whether its session is alive, then writes. Exclusive takes it, voids what has lapsed,
// refuses if a session is alive, then deletes. So the writer's rows are visible to the sweep, or the sweep has voided
// its session: there is no third way. Order of locks: device, owner, space, session, packs, objects, nodes.
//
// Whoever unlinks blobs of swept packs must do that inside Exclusive too, or an upload of the same pack could
// find the blob, leave it, and lose it a moment later. Maintenance, which has no session, asks under the shared lock whether the blob of
// a pack is still there before it makes the pack known.
//
// # Deleting
//
// A deleted snapshot has left every list but can be taken back until its undo window is over; until then it is a root like a
// live one. [Service.Retain] deletes what a policy made and no rule keeps, in the same way. Its record and
// that of its deletion change in the order in which a crash leaves too much rather than too little: see [Service.DeleteSnapshot],
// [Service.RestoreDeleted] and purge.
//
// # Cleaning
//
// [Service.Collect] may be killed anywhere. What it does, in this order:
//
//   - Adopt. A snapshot whose record is in the store and of which there is no row gets one. Whatever points to a tree that the
//     index does not have is doubt: as long as the store holds a pack that the index does not know, nothing is deleted. So a database
//     that is older than the store, or is just being rebuilt, deletes nothing.
//   - Purge snapshots whose undo window is over.
//   - Mark, without a lock, what is reachable from the roots of all snapshots that are left (package gc).
//   - Sweep, with the space alone, a portion under each lock. The fence: no session is alive, so nobody was told of an object that
//     goes; what was committed since the marking is marked first; and the epoch, which every sweep and every purge raises, is the one
//     that this collection has seen last. Nodes that no snapshot reaches stop counting as complete before the first object goes.
//     Objects in packs younger than the grace stay: a backup that broke off goes on from them.
//   - A pack to which no row points any more goes into quarantine. Its blob is still there, for those who have its address; for everybody
//     else it is gone, because no row leads to it. If it is uploaded again it comes back, with all its objects.
//   - Compact, beside writers, packs that are mostly dead.
//   - Unlink what was in quarantine for long enough, after the rows of objects were asked once more whether one points there.
//
// One process at a time cleans a space, but nothing hangs on that: it saves work.
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
// is found by reading, so between two scrubs a rotten pack counts as sound. A session's progress is what the device says. A space into
// which some device backs up without a pause is not swept: nobody is stopped for it. After a loss of the database pins, and which
// snapshots a policy made, are forgotten: more is kept then, never less.
package catalog
