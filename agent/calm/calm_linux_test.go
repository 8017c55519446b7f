package calm

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"testing"

	"golang.org/x/sys/unix"
)

// priorities returns a thread's niceness and class of I/O.
func priorities(t *testing.T, tid int) (nice, class int) {
	t.Helper()
	prio, err := unix.Getpriority(unix.PRIO_PROCESS, tid)
	if err != nil {
		t.Fatal(err)
	}
	io, _, errno := unix.Syscall(unix.SYS_IOPRIO_GET, ioprioWhoProcess, uintptr(tid), 0)
	if errno != 0 {
		t.Fatal(errno)
	}
	return 20 - prio, int(io >> ioprioShift)
}

// onThread calls fn on a thread that is its own, and keeps the thread until the test is over.
func onThread(t *testing.T, fn func(tid int)) (tid int) {
	t.Helper()
	ready, over := make(chan int), make(chan struct{})
	t.Cleanup(func() { close(over) })
	go func() {
		runtime.LockOSThread() // and never unlocked: the thread ends with it
		fn(unix.Gettid())
		ready <- unix.Gettid()
		<-over
	}()
	return <-ready
}

func TestEveryThreadStepsBack(t *testing.T) {
	t.Parallel()
	before := onThread(t, func(int) {})
	lower := onThread(t, func(tid int) {
		if err := unix.Setpriority(unix.PRIO_PROCESS, tid, 15); err != nil {
			t.Error(err)
		}
	})
	for range 2 { // the second time nothing is left to do
		if err := Lower(); err != nil {
			t.Fatal(err)
		}
		after := onThread(t, func(int) {})
		for tid, want := range map[int]int{before: niceness, lower: 15, after: niceness, os.Getpid(): niceness} {
			if nice, class := priorities(t, tid); nice != want || class != ioprioIdle {
				t.Errorf("thread %d has niceness %d, want %d, and class %d of I/O", tid, nice, want, class)
			}
		}
	}
}

func TestWhatCannotBeLowered(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	if err := lower(filepath.Join(dir, "nothing")); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("%v", err)
	}
	// A thread that ended meanwhile, and what is no thread.
	for _, name := range []string{strconv.Itoa(1 << 30), "x"} {
		if err := os.WriteFile(filepath.Join(dir, name), nil, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if err := lower(dir); err != nil {
		t.Errorf("%v", err)
	}
	if err := lowerThread(-1); err == nil {
		t.Error("thread -1 was lowered")
	}
}
