// Package replica keeps other stores like the store: every pack, every record and every copy of the database is also in each replica,
// some minutes later. A replica is a store: a server can be recovered from it alone.
//
// # What is to be copied
//
// A replica that lacks a pack has a row that says so, written by a trigger in the transaction that makes the pack known; it goes when the
// copy is durable. The same holds for spaces whose records changed. So nothing that was ever acknowledged is forgotten, a pass that is
// killed anywhere is continued by the next one, and a replica that is up to date has no rows at all, however many packs there are.
//
// A copy is hashed on its way: what is wrong in the store does not reach a replica. Such a pack is tried again, later and later,
// until a scrub has mended or flagged it; it holds up nothing else.
//
// Of each space the packs are copied before the records that were there when it began, so that a replica at any instant holds
// what its records of snapshots refer to, and a recovery from it finds them complete.
//
// # What is deleted
//
// What has left the store leaves the replica only after [Config.KeepDays] more days. It goes only if its leaving was written down at
// that time, nobody has made it known again, and the store, which must answer, does not have it. What is in a replica and is not known here is
// counted and left alone. A deletion that was taken back leaves at once: it would come true in a recovery.
//
// # What is looked at again
//
// Once a day ([Service.Check]) a replica is listed from end to end, and what it should have and lacks is copied again. In between, a slice of
// its packs is read and hashed ([Service.Scrub]); a wrong copy is replaced, after the right bytes were read to their end.
//
// The other way round, [Service.Stores] gives the catalog the replicas to mend the store with.
//
// # The mark
//
// A replica that is configured for the first time is made a store, once. From then on a place that is not a store is one that is not mounted: an error,
// and never made anew. A replica that no worker has among its replicas for a week is forgotten: what is in it stays there. If
// it comes back it is new, and what it has already is found and not copied again.
//
// # What is not promised
//
// A replica is behind by what was stored since the last pass: what exists in the store alone is lost with it. One process at a time copies to a
// replica. Deletions in the store that an intruder makes reach replicas after the days above: how many days there are to notice it. A
// replica on the same disk helps against nothing; [New] refuses only the very same address.
package replica
