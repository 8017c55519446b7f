//go:build unix && !linux

package local

import "syscall"

// Without Linux's /proc and parent-death signal the children of a killed holdfast live on, and the next start
// relies on PostgreSQL's own lock file and on asking at the old Redis socket.
const (
	dirsByFD     = false
	knowsHolders = false
)

func procAttr(syscall.Signal) *syscall.SysProcAttr { return &syscall.SysProcAttr{Setpgid: true} }

func holders(string) []int { return nil }
