//go:build unix

package agent

import (
	"errors"

	"golang.org/x/sys/unix"
)

// diskFull reports whether an error of this machine's file system says that there is no room.
func diskFull(err error) bool { return errors.Is(err, unix.ENOSPC) || errors.Is(err, unix.EDQUOT) }
