package calm

import (
	"errors"
	"fmt"
	"os"
	"strconv"

	"golang.org/x/sys/unix"
)

// What the kernel's headers say of I/O priorities.
const (
	ioprioWhoProcess = 1
	ioprioShift      = 13
	ioprioIdle       = 3
)

// Lower lowers the priority of this program, in all of its threads and those to come. The error says what could not be had,
// for a log: no work needs to stop for it.
func Lower() error { return lower("/proc/self/task") }

// lower lowers the threads that a folder lists. A thread inherits from the one that made it, which may have been a high one
// still: so it looks again until there is none left to lower.
func lower(folder string) error {
	done := map[int]bool{}
	for {
		list, err := os.ReadDir(folder)
		if err != nil {
			return fmt.Errorf("this program's threads are not known: %w", err)
		}
		more := false
		for _, entry := range list {
			tid, err := strconv.Atoi(entry.Name())
			if err != nil || done[tid] {
				continue
			}
			done[tid], more = true, true
			if err := lowerThread(tid); err != nil && !errors.Is(err, unix.ESRCH) { // it ended
				return err
			}
		}
		if !more {
			return nil
		}
	}
}

// lowerThread tries both, whether or not the first can be had.
func lowerThread(tid int) error {
	prio, cpu := unix.Getpriority(unix.PRIO_PROCESS, tid)
	if cpu == nil && 20-prio < niceness { // the kernel counts from 1 to 40, the other way round
		cpu = unix.Setpriority(unix.PRIO_PROCESS, tid, niceness)
	}
	var disk error
	if _, _, errno := unix.Syscall(unix.SYS_IOPRIO_SET, ioprioWhoProcess, uintptr(tid), ioprioIdle<<ioprioShift); errno != 0 {
		disk = errno
	}
	switch {
	case cpu != nil:
		return fmt.Errorf("the priority cannot be lowered: %w", cpu)
	case disk != nil:
		return fmt.Errorf("the priority of I/O cannot be lowered: %w", disk)
	}
	return nil
}
