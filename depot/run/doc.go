// Package run keeps what devices are to do, and what became of it: every slot of every policy on every device, every
// backup that somebody asks for, every restore that is ordered.
//
// # Row first, ring after, sweep always
//
// A run is a row before anybody is told of it. [Service.Tick] turns the slots of policies into rows, in the transaction that moves the policy
// on, so that no slot is lost or doubled, whoever ticks and however often. After the commit the device is rung ([RingTopic]); a ring
// only says look, and may be lost with all of Redis. [Service.Sweep] rings again for whatever is due. The device then
// asks for its work, and that is the truth.
//
// # One device, one thing at a time
//
// [Service.Take] hands out either one restore or all backups that are due: one backup answers all of them, since it saves what all
// policies of the device ask for together (plan.Merge). They share a lease, are kept, cancelled and ended together, and end
// with the same snapshot. While a device holds a lease it gets nothing more.
//
// A lease is a number and a time. Its number fences: every attempt has its own, and what is said under an older one is
// refused, so that a device that slept through its successor cannot harm it. Its time is by the database's clock, as every time here that
// decides something. A device that is silent beyond it counts as gone once somebody looked (the sweep, or the device
// itself when it asks for work); if it speaks before that, its lease goes on.
//
// # States
//
// The arrows between states are in one table, in state.go, and docs/runs.md explains them; a test compares the two. Every
// change of a state goes through it, with the row locked, so that of two that want to decide about a run exactly one does, and a
// final state stays for ever.
//
// A device does not decide alone that it succeeded. A backup ends well if the snapshot that it names is committed, is the device's, and is
// younger than the attempt; then also if the device was never heard of again after the commit.
//
// # Who may
//
// A device sees and moves its own runs. Owners see the runs of their devices, ask for backups, order restores and cancel. Administrators
// see all runs, ask and cancel, but learn of no snapshot and no report, and cannot order a restore. A login by recovery code reads only.
//
// The server learns of a run how it ended, a code, and counts of files by cause. Names of files travel in orders and reports that
// are sealed by the owner for the device, and by the device for the owner.
//
// # What is not promised
//
// A backup may be made although nothing asks for it any more: a device that is told to stop may have finished first. A window says
// when backups begin, not when they end. Counts and progress are what the device says.
package run
