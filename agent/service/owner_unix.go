//go:build unix

package service

import (
	"io/fs"
	"syscall"
)

// owner returns the number of the user whose a file is.
func owner(info fs.FileInfo) (int, bool) {
	st, ok := info.Sys().(*syscall.Stat_t)
	if !ok {
		return 0, false
	}
	return int(st.Uid), true
}
