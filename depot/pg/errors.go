package pg

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"io"
	"net"
	"os"
	"syscall"

	"github.com/lib/pq"
	"github.com/lib/pq/pqerror"

	"github.com/holdfast-backup/holdfast/wire/fault"
)

// Fault gives the errors of PostgreSQL that a caller can act on a kind: fault.Unavailable when the server cannot be
// reached, is stopping or starting, is read-only or has no connection left; fault.StorageFull when its disk is
// full. A fault that is in the chain already, and everything else, is returned as it is; nil stays nil. [InTx] applies it; single statements
// outside a transaction need it too.
func Fault(err error) error {
	if err == nil || errors.As(err, new(*fault.Error)) {
		return err
	}
	switch code := state(err); {
	case code == pqerror.DiskFull:
		return fault.Wrap(err, fault.StorageFull, "the database has no room left on its disk: nothing was changed")
	case code == pqerror.ReadOnlySQLTransaction:
		return fault.Wrap(err, fault.Unavailable, "the database accepts no changes now (it is a standby, or set read-only)")
	case code == pqerror.TooManyConnections:
		return fault.Wrap(err, fault.Unavailable, "the database has no connection left for us: raise its max_connections, or run fewer servers")
	case IsConnection(err):
		return fault.Wrap(err, fault.Unavailable, "the database cannot be reached now: try again in a moment")
	}
	return err
}

// IsUnique reports whether a row could not be written because the named unique constraint or index (any, if none is
// named) has one like it.
func IsUnique(err error, constraints ...string) bool {
	e := pq.As(err, pqerror.UniqueViolation)
	if e == nil {
		return false
	}
	for _, c := range constraints {
		if e.Constraint == c {
			return true
		}
	}
	return len(constraints) == 0
}

// IsForeignKey reports whether a row refers to one that is not there, or is still referred to.
func IsForeignKey(err error) bool { return pq.As(err, pqerror.ForeignKeyViolation) != nil }

// IsConnection reports whether the server could not be reached, went away, or turns callers away for the moment.
func IsConnection(err error) bool {
	// A cancelled context looks like a network error to the driver, but it is the caller's own doing.
	if err == nil || errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded) {
		return false
	}
	if code := state(err); code != "" {
		switch code {
		case pqerror.AdminShutdown, pqerror.CrashShutdown, pqerror.CannotConnectNow, pqerror.TooManyConnections:
			return true
		}
		return code.Class() == "08"
	}
	return errors.Is(err, driver.ErrBadConn) || errors.Is(err, sql.ErrConnDone) ||
		errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) ||
		errors.Is(err, syscall.ECONNREFUSED) || errors.Is(err, syscall.ECONNRESET) || errors.Is(err, syscall.EPIPE) ||
		errors.As(err, new(*net.OpError)) || errors.As(err, new(*net.DNSError))
}

// isCollision reports whether a transaction was ended only because of another one.
func isCollision(err error) bool {
	code := state(err)
	return code == pqerror.TRSerializationFailure || code == pqerror.TRDeadlockDetected
}

// canPass reports whether a failure to connect may pass by itself soon.
func canPass(err error) bool {
	// A socket that is not there yet is a server that has not begun to listen; a wrong password stays wrong.
	return IsConnection(err) || errors.Is(err, os.ErrNotExist)
}

// state returns the SQLSTATE of an error, or "".
func state(err error) pqerror.Code {
	if e := pq.As(err); e != nil {
		return e.Code
	}
	return ""
}
