// Package application keeps the applications of the institution: a shop, an inventory, each with a database, folders of media, or both, on one enrolled
// device; and the schedules by which they are backed up.
//
// # What is known here
//
// A name, the kind of database, how many folders of media there are, and schedules. Where the database is, with which password it opens
// and where the folders lie stays on the device: it registers its applications by name ([Service.Register]) and keeps the rest to
// itself. A name is unique on its device, without case. An application that the device has no more is not deleted: its
// backups and their history stay, and if the device registers the name again it is the same application, with the same schedules.
//
// # Who may
//
// The device registers and removes. The owner of an application is the owner of its device. Owners see theirs and write their schedules; administrators
// see and write all: names, schedules, numbers, never what a snapshot says. To everybody else an application is not there. Who may back up, test and
// restore one says package run; what a snapshot of one is, package catalog.
//
// # Schedules
//
// A schedule is to an application what a policy is to devices: it becomes due by plan.Schedule, and every slot becomes a row of runs, whoever ticks and
// however often ([Due], [Advance]). Slots while the application was removed, its device revoked or the owner suspended are none. A change
// first accounts for the slots that have passed, by the rule that held until then (Config.BeforeChange). Its retention applies to the snapshots that
// were made for it, and to no other; once it is deleted no rule deletes them any more.
//
// # What is not promised
//
// That an application still exists: the server learns of it only from its device.
package application
