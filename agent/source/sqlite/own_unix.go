//go:build unix

package sqlite

import (
	"os"
	"syscall"
)

// own gives a file to whoever owns another one, if we may: it would be of no use to an application that cannot read it.
func own(f *os.File, like os.FileInfo) {
	if st, ok := like.Sys().(*syscall.Stat_t); ok && os.Getuid() == 0 {
		f.Chown(int(st.Uid), int(st.Gid))
	}
}
