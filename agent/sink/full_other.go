//go:build !linux && !darwin && !windows

package sink

import (
	"errors"
	"syscall"
)

func isFull(err error) bool { return errors.Is(err, syscall.ENOSPC) }
