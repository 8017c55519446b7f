// Package plan is the calendar: when a backup is due, what it takes, and how long it is kept.
package plan
