// Package fault is the closed set of ways in which Holdfast fails.
//
// A depot method returns a fault; graph turns its [Kind] into the GraphQL error's extensions.code; the
// agent turns that code back into the same Kind and the Kind into an exit code and advice. Whatever is not
// a fault is an internal error: it is logged with its cause and shown as a sentence without one.
package fault

import (
	"errors"
	"fmt"
)

// Kind says what went wrong, for a program. Its text is the code on the wire.
type Kind string

// The kinds. A new one needs a line in docs/api.md and one in the agent's advice.
const (
	Invalid         Kind = "BAD_INPUT"              // the request itself is wrong; repeating it will not help
	NotFound        Kind = "NOT_FOUND"              // no such thing, or not yours: the two are never told apart
	Unauthenticated Kind = "UNAUTHENTICATED"        // no credential, or one that is unknown, expired or revoked
	WrongPassword   Kind = "WRONG_CREDENTIALS"      // e-mail and password (or recovery code) do not match; says not which
	SecondFactor    Kind = "SECOND_FACTOR_REQUIRED" // the password is right: a code is missing, or wrong
	FactorMissing   Kind = "SECOND_FACTOR_MISSING"  // an administrator has none, and has to set one up before anything else
	Forbidden       Kind = "FORBIDDEN"              // known, but not allowed to do this
	Conflict        Kind = "CONFLICT"               // the state of things does not allow this now
	SessionExpired  Kind = "SESSION_EXPIRED"        // this backup session is void for ever: begin a new one
	ObjectsMissing  Kind = "OBJECTS_MISSING"        // a snapshot refers to objects that are not stored; Data lists them
	TooLarge        Kind = "TOO_LARGE"              // over a limit that the message names
	TooMany         Kind = "RATE_LIMITED"           // wait, then try again; RetryAfter says how long
	HashMismatch    Kind = "HASH_MISMATCH"          // bytes arrived damaged: send them again
	BadPack         Kind = "BAD_PACK"               // the bytes are as sent, but they are not a pack
	StorageFull     Kind = "STORAGE_FULL"           // the server has no room
	Unavailable     Kind = "UNAVAILABLE"            // the server cannot now; try again later
	ClientTooOld    Kind = "CLIENT_TOO_OLD"         // this agent speaks a protocol that the server gave up
	Internal        Kind = "INTERNAL"               // a fault of ours
)

// Error is a failure that its receiver can act on.
type Error struct {
	Kind       Kind
	Message    string // one sentence for a person: what is wrong and what to do
	RetryAfter int    // seconds, for TooMany and Unavailable; 0 if unknown
	Data       []byte // for ObjectsMissing: the 16-byte ids, one after another
	Err        error  // the cause, for logs only: it is never sent
}

// New returns a fault with a formatted message.
func New(kind Kind, format string, args ...any) *Error {
	return &Error{Kind: kind, Message: fmt.Sprintf(format, args...)}
}

// Wrap returns a fault that remembers its cause.
func Wrap(err error, kind Kind, format string, args ...any) *Error {
	return &Error{Kind: kind, Message: fmt.Sprintf(format, args...), Err: err}
}

// Error returns the message and, for logs, the cause.
func (e *Error) Error() string {
	if e.Err != nil {
		return e.Message + ": " + e.Err.Error()
	}
	return e.Message
}

// Unwrap returns the cause.
func (e *Error) Unwrap() error { return e.Err }

// Is makes errors.Is(err, fault.NotFound) work on any chain that holds a fault.
func (e *Error) Is(target error) bool {
	k, ok := target.(Kind)
	return ok && k == e.Kind
}

// Error makes a Kind usable as a target of errors.Is.
func (k Kind) Error() string { return string(k) }

// KindOf returns the kind of the first fault in err's chain, and Internal if there is none.
func KindOf(err error) Kind {
	var e *Error
	if errors.As(err, &e) {
		return e.Kind
	}
	return Internal
}
