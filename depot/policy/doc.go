// Package policy keeps what is saved, when, of which devices, and how long it is kept; and the groups that policies
// are written for. Administrators write policies. A device's owner, and the device, see what they come to: see [Effective].
//
// # One policy
//
// A policy says whom it is for ([Targets]), what it saves (roots, kinds of files, excludes), when ([plan.Schedule] and a window), and for how
// long (retention). What it says is checked when it is written, so that no device gets an order that it cannot follow; the syntax of excludes is
// that of agent/walk. Its revision rises with every change: who changes it says which revision they saw, and is refused if somebody else was faster.
//
// # Slots
//
// Every slot of a policy becomes rows of package run, which asks here: [Due] locks the policy and says which slots have passed since ticked_at,
// and [Advance] moves ticked_at in the same transaction in which the rows are written. So a slot is accounted for once, however
// many workers look, and whenever. A policy that is off has no slots; one that is switched on begins with its next.
//
// A slot belongs to the rule that held when it came. Whatever changes when a policy is due, or for whom, first calls
// [Config.BeforeChange], which writes the rows of the slots that have passed, and then sets ticked_at to the present, in the
// same transaction. That holds for changes of a policy and of a group's members. Devices that are enrolled, revoked, or whose owner is suspended,
// come and go between two looks, without that care: they gain or lose the slots of a minute at most.
//
// # Locks
//
// Changes of policies and groups are one at a time, by an advisory lock: they are rare, and some concern many policies. [Due] takes the row of one
// policy and waits for nothing else.
//
// # What is not promised
//
// A change reaches a device with the next work that it takes. A backup that is under way ends by the rule by which it began.
package policy
