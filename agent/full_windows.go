package agent

import (
	"errors"

	"golang.org/x/sys/windows"
)

// diskFull reports whether an error of this machine's file system says that there is no room.
func diskFull(err error) bool {
	return errors.Is(err, windows.ERROR_DISK_FULL) || errors.Is(err, windows.ERROR_HANDLE_DISK_FULL)
}
