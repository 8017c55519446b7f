package stack

import (
	"os/exec"
	"runtime"
	"syscall"
)

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

// Start starts a program that the kernel ends with this one, so that a test that is killed leaves nothing behind.
func Start(cmd *exec.Cmd) error {
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGTERM}
	errs := make(chan error)
	starts <- func() { errs <- cmd.Start() }
	return <-errs
}
