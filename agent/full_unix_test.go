//go:build unix

package agent

import "syscall"

var noSpace error = syscall.ENOSPC
