//go:build unix

package pgtest

import (
	"io/fs"
	"os"
	"os/exec"
	"syscall"
)

func setpgid(cmd *exec.Cmd) { cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true} }

// chownLike gives a file to the owner of another: PostgreSQL's user if we are root, else ourselves.
func chownLike(path string, other fs.FileInfo) error {
	st := other.Sys().(*syscall.Stat_t)
	return os.Lchown(path, int(st.Uid), int(st.Gid))
}
