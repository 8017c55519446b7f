// Package notice tells people what they should know: in the app, live, and by mail.
//
// # Rows first
//
// A notification is a row that is written in the transaction of the deed ([Write]): neither exists without the other. Everything
// else follows from rows. A ring on [Topic] says only that there is something to see; a mail is made from rows by
// whoever comes round ([Service.Post], every minute), so neither Redis nor a mail server that is away loses a word.
//
// The package never learns names of files: titles and bodies name devices and policies, say what happened and what to do.
//
// # From a notification to a mail
//
//	pending -> none      nobody wants it by mail: the reader's choice, a suspended reader, or no mail server is configured
//	pending -> sent      it went into a mail at once, with everything else that was pending for its reader at that moment
//	pending -> digest    its reader wants a digest, or has had [Settings].MailsPerHour mails within the hour
//	digest  -> sent      it went into the digest of a day
//	digest  -> none      like pending
//
// sent means that a row in mails exists. That row waits until a mail server has taken it, or refused it for good:
//
//	waiting -> sent      the server took it
//	waiting -> waiting   the server was away, or said "later": again after a minute, then two, four … up to six hours
//	waiting -> failed    the address or the text was refused; or two days have passed; or its reader was suspended
//
// A digest is written at most once a day and person, from the hour on that the settings name, in the zone that they name: the key of its row
// names person and day. Administrators' digests likewise, on every day or on Mondays. A day on which nothing ran at all has none.
//
// # Several workers
//
// All methods may run at once, anywhere. What is pending for a person is turned into mail under an advisory lock of that person's. Whoever sends a
// mail first moves its next_at ahead, in a transaction of its own, and counts the attempt; the result is only
// written if no further attempt was counted meanwhile.
//
// # What is not promised
//
// That a mail arrives once. If the process dies, or the connection breaks, between the server's "250" and our commit, the mail
// is sent again. Every attempt carries the same Message-ID, made of the row's id, by which most mailboxes show one.
//
// That a mail is fresh: what changed between the event and the mail is not in it.
//
// All times are the database's.
package notice
