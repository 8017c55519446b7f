// Package account keeps users: how they come in, with what, and what they may do.
//
// # Keys stay away
//
// A client turns a password into two keys. The auth key comes here and is kept as HMAC-SHA256 under a pepper
// that the database does not hold; the wrap key never leaves the client. Bundles and recovery bundles are
// sealed by clients and opaque here. Whoever has a dump of the database can neither log in nor try passwords.
//
// # Nobody learns who has an account
//
// [Service.LoginParams] gives an unknown e-mail a salt that is derived from it, so that it is the same every
// time, and the parameters that clients use by default. [Service.Login] gives a wrong password and an unknown
// e-mail the same answer after the same statements. That an account is suspended is said only to who has shown
// the right password: before that, suspended, unknown and mistyped are one.
//
// # Throttling
//
// Failed logins are counted in PostgreSQL, so that counts survive restarts and hold for any number of servers.
// An attempt is counted before it is checked and uncounted when it succeeds: parallel guesses do not overtake
// their count. The first failures are free; then each one doubles the wait, up to a limit, and an attempt that
// comes too early is refused without being looked at and without being counted.
//
// A login from a place (an IPv4 address, an IPv6 /64) where the account was logged in to during the last 90
// days is counted for that account and place together. Any other login is counted twice: for the account, and
// for the place. So an attacker elsewhere cannot lock a person out of their usual places, however long the
// attack; someone behind the same address can make them wait for as long as it lasts, and so can an attacker
// when the person logs in from a new place. Nothing is ever locked for good: the longest wait is 15 minutes.
//
// # Second factor
//
// A person may have codes asked for at login (TOTP), after the password or the recovery code was right and never before: until then an account
// with a second factor answers as any other. A code serves once, and so do all before it; so does each of the backup codes. A wrong code stays
// counted as a failed login; a login without one takes its own count back and no other. A login in a session of the same account is not asked:
// switching the factor on ended all sessions that had shown no code. The secret is locked under a key made of the pepper (depot/locked), backup
// codes are kept as HMAC. It keeps those out who know the password, and protects nothing from whoever holds the server.
//
// # Addresses
//
// A new address is shown to be one's own by a code that is mailed to it, where mail is sent ([Config].Mail); without mail it is believed. It reserves
// nothing until then. A new password gives it up. The mail with the code is no notification: nobody who is logged in can read it.
//
// # Starting anew
//
// [Service.Reset] is for who has lost both the password and the recovery code. It shuts the account; the person joins again with new keys
// and the same id. Until then [Service.WithdrawInvitation] takes it back: the old keys stay for as long.
//
// # Sessions and tokens
//
// A session ends when it was idle for 30 days, and after 180 days in any case. Its use is written at most once
// a minute. A session from a recovery code lives for 15 minutes and may do nothing but set a new password,
// after which it is an ordinary one. Setting a password ends all other sessions of the account. API tokens are
// made, and revoked, in login sessions only: a leaked API token cannot make itself a successor.
//
// # Roles
//
// An administrator invites, suspends and resumes staff; only a superuser does so with administrators and
// superusers, and only a superuser grants or withdraws a role. Nobody suspends themselves. There is always an
// active superuser, once there was one: changes of role and suspensions are one at a time, in the whole
// installation, and read both the caller's and the others' rights again. Who loses rights also loses the
// invitations that they had sent and nobody accepted.
//
// # Telling
//
// What changes who can get at an account is told to its owner, as part of the deed (depot/notice): a login from a place where they
// were not for 90 days, a login with the recovery code, a new password, a new recovery code, a new address (at the old one too), whatever becomes of
// the second factor, a wrong code after the right password, a reset, a new role.
//
// When credentials end, "user:<id>" is published on the bus, so that open subscriptions look whether theirs
// still stands.
package account
