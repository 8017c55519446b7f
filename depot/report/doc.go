// Package report counts: what administrators read of the fleet and of the store, and what people read of their own. It decides nothing and changes
// nothing, but for the daily samples from which growth is computed, and for telling people whose quota is nearly used up.
//
// # What counts when
//
// A run belongs to the time of its slot, or to the time at which it was asked for. So a day's numbers do not change because the server was down
// on that day and wrote its missed slots later. The success rate is that of all runs that ended and were not cancelled; missed ones are
// failures. One backup may answer several runs: its files and bytes then count once in each row and once in the total.
//
// How a device is doing is decided by the SQL function device_health, for every reader alike. "Worst first" is the order of [Worst].
//
// Backups of applications count beside those of files. What is protected is the newest snapshot of the files of each device, and the newest of each
// application. Probes are no failures.
//
// # Growth
//
// Every hour [Service.Sample] writes what is stored into the row of the day, so that the last sample of a day is what the day came to. Growth is the
// slope of the line that fits the last 30 samples best (least squares), given at least 7: one large restore test or one cleaning
// moves it little. A forecast says when the store is full if it goes on like this; it is left out where the store cannot say how much room it has.
//
// # What is not promised
//
// Reports are read without a lock: numbers of one report may be some milliseconds apart. Days of reports about runs are those of the zone that was asked for, days
// of samples are UTC.
package report
