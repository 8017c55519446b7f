package calm

import (
	"fmt"

	"golang.org/x/sys/windows"
)

// Lower lowers the priority of this program. The error says what could not be had, for a log: no work needs to stop for it.
func Lower() error {
	self := windows.CurrentProcess()
	class, err := windows.GetPriorityClass(self)
	if err == nil && class != windows.IDLE_PRIORITY_CLASS {
		err = windows.SetPriorityClass(self, windows.BELOW_NORMAL_PRIORITY_CLASS)
	}
	if err != nil {
		return fmt.Errorf("the priority cannot be lowered: %w", err)
	}
	return nil
}
