// Package plan is the calendar: when backups are due, what they take, and how long they are kept. The server
// decides by it, the agent follows it, and the browser shows beforehand what it will come to; so these are
// functions of what they are given and of the table of time zones, without a clock, a database or a network.
//
// # Times
//
// A [Schedule] names times on the clock of a zone. Twice a year most clocks are changed, and now and then a country
// leaves out a whole day. One rule answers for all of it:
//
//	A slot is the first instant at which the clock shows its time, or a later one.
//
// So a time that the clock shows twice is one slot, the first of the two. A time that is left out is a slot at the
// instant at which the clock was put forward. Two times that come to the same instant are one slot. Whether a
// change is of 30 minutes or of a day, and whether it happens at night or at noon, makes no difference.
//
// This keeps the promise of a daily backup: every day that the calendar has is served once. A backup every
// quarter of an hour promises something else, a distance: by the rule above it would stand still for an hour in
// autumn. A cron expression for every hour of the day (its hour field comes to all 24) therefore follows the clock
// as it runs: a time that is shown twice is two slots, one that is left out is none, and between two slots passes
// what always does. (Only where clocks are changed by half an hour, one distance of an hour is half an hour
// shorter or longer.) An expression for some hours only, even for every second one, follows the rule above.
//
// # Cron
//
// Five fields: minute (0-59), hour (0-23), day of the month (1-31), month (1-12 or JAN-DEC), day of the
// week (0-7 or SUN-SAT; 0 and 7 are Sunday). A field is a list of *, values and ranges, each with a step or
// without: "*/15", "9-17/2", "MON,WED-FRI"; "5/20" goes from 5 to the end. As with cron(8), if neither of the two
// day fields begins with *, a day has to fit one of them only; otherwise it has to fit both. @hourly, @daily,
// @midnight, @weekly, @monthly, @yearly and @annually are words for the usual ones. There are no seconds and no
// years, and none of the letters L, W and #: a [Monthly] schedule has the last day.
//
// # Retention
//
// [Keep] says which snapshots of a device stay. Where it is in doubt it keeps: without a rule, with a rule that is
// not valid, with a snapshot that comes from the future. It never lets go of the newest snapshot, nor of the
// newest good one, whatever the rules say.
//
// # What this package does not promise
//
// It does not promise that two machines agree about next year: governments change the clocks with a month's
// notice, and each machine has the table of time zones that it was given (the one built in, if it has none).
// So a slot that was written down stays what it is; only those to come are computed anew.
//
// It checks the form of roots and extensions. Whether a folder exists, and how patterns match, the agent knows.
package plan
