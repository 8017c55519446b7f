package mysqltest

import (
	"os"
	"syscall"
)

// attr runs a child as whoever owns the folder, and lets it die with us.
func attr(dir string) (*syscall.SysProcAttr, error) {
	a := &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
	info, err := os.Stat(dir)
	if err != nil {
		return nil, err
	}
	if st := info.Sys().(*syscall.Stat_t); os.Getuid() == 0 {
		a.Credential = &syscall.Credential{Uid: st.Uid, Gid: st.Gid}
	}
	return a, nil
}
