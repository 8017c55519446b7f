//go:build !linux

package stack

import "os/exec"

// Start starts a program. If the one that started it is killed, it stays.
func Start(cmd *exec.Cmd) error { return cmd.Start() }
