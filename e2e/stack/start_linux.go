package stack

import (
	"os/exec"
	"runtime"
	"syscall"
)

// dieWithParent makes the kernel end a program with the one that started it, so that a test that is killed
// leaves nothing behind.
func dieWithParent() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Pdeathsig: syscall.SIGTERM}
}

// The death signal comes when the *thread* ends that forked. The threads of Go's pool live on, but one that
// a goroutine has locked ends with it: so starting happens on one thread, locked for ever.
var starts = make(chan func())

func init() {
	go func() {
		runtime.LockOSThread()
		for f := range starts {
			f()
		}
	}()
}

func start(cmd *exec.Cmd) error {
	errs := make(chan error)
	starts <- func() { errs <- cmd.Start() }
	return <-errs
}
