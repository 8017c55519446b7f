package calm

import (
	"fmt"

	"golang.org/x/sys/unix"
)

// Lower lowers the priority of this program. The error says what could not be had, for a log: no work needs to stop for it.
func Lower() error {
	prio, err := unix.Getpriority(unix.PRIO_PROCESS, 0)
	if err == nil && prio < niceness {
		err = unix.Setpriority(unix.PRIO_PROCESS, 0, niceness)
	}
	if err != nil {
		return fmt.Errorf("the priority cannot be lowered: %w", err)
	}
	return nil
}
