// Package application backs up and restores the applications of one device: a database, folders of media, or both.
//
// Where an application's database and media are, and the password that opens the database, stay in the device's state
// folder ([Store]). A backup is a snapshot like any other, with the layout of vault/archive: the native dump, the
// portable export if it was asked for, a manifest with the rows of every table, the media. The dump goes from the
// engine's own tool into the chunker; no file is written in between.
//
// # What a backup promises
//
// A dump that fails half-way ends the backup without a snapshot, and so does a media folder that is not there. A file
// among the media that cannot be read makes it one with warnings, as with any files. Database and media are read one
// after the other: of one moment each is the database alone.
//
// # What a restore promises
//
// Nothing is touched before a preflight found that it can succeed and, unless the order says otherwise, the present
// state was committed as a safety backup. The database changes all at once or not at all (see agent/source). Then the
// media are written file by file: each file is the old or the new one. If that fails in between, the run says so, and the safety backup is the
// way back.
package application
