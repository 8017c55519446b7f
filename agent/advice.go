package agent

import (
	"context"
	"errors"

	"github.com/holdfast-backup/holdfast/vault/remote"
	"github.com/holdfast-backup/holdfast/wire/fault"
)

// Sentence returns what an error says to a person. A fault's message stands alone, without its cause, since it
// was written to; what is no fault is said as it is.
func Sentence(err error) string {
	var f *fault.Error
	switch {
	case errors.Is(err, context.Canceled):
		return "interrupted"
	case errors.As(err, &f):
		return f.Message
	case diskFull(err):
		return "this machine's disk is full: " + err.Error()
	}
	return err.Error()
}

// DiskFull reports whether an error says that this machine's disk is full.
func DiskFull(err error) bool { return diskFull(err) }

// Advice returns what to do about an error, "" if its message says it already.
func Advice(err error) string {
	var cert *remote.CertificateError
	if errors.As(err, &cert) {
		return ""
	}
	if diskFull(err) {
		return "make room, then run the same command again: it continues from where it was"
	}
	if errors.Is(err, context.Canceled) {
		return ""
	}
	switch fault.KindOf(err) {
	case fault.Unauthenticated:
		return "the login was revoked or has expired. If it is this device's, enrol it again: holdfast-agent enroll --replace"
	case fault.WrongPassword:
		return "check the e-mail address and the password (Caps Lock?). A forgotten password is replaced by holdfast-agent recover, with the recovery code"
	case fault.SecondFactor:
		return "a code serves once: wait for the next one, and see that the clock of the device that shows it is right. Who has lost that device uses a backup code, or asks an administrator"
	case fault.FactorMissing:
		return "open the server in a browser, log in and follow the steps, then run the command again. Devices go on backing up meanwhile"
	case fault.StorageFull:
		return "the server's disk is full: tell its administrator. What was stored is kept, and the next backup continues from it"
	case fault.Unavailable:
		return "check that this machine is online and the server runs, then try again: a backup continues from what was stored"
	case fault.ClientTooOld:
		return ""
	case fault.HashMismatch:
		return "the bytes were damaged on their way, again and again: look for faulty memory, or a proxy that changes uploads"
	case fault.SessionExpired:
		return "another backup of this device took its place, or this machine slept: run the backup again"
	case fault.TooMany:
		return "wait a while, then try again"
	}
	return ""
}
