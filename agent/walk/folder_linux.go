package walk

import (
	"encoding/binary"
	"fmt"

	"golang.org/x/sys/unix"

	"github.com/holdfast-backup/holdfast/vault/backup"
)

const (
	statFlags  = unix.AT_SYMLINK_NOFOLLOW | unix.AT_NO_AUTOMOUNT
	searchOnly = unix.O_PATH
	foldNames  = false // names that differ in case only are two names
)

// list reads all names of the folder.
func (f *folder) list(n *names) error {
	fd, err := f.use()
	if err != nil {
		return err
	}
	defer f.done()
	if _, err := unix.Seek(fd, 0, unix.SEEK_SET); err != nil {
		// It was opened for reaching entries only. Opening it for reading says why.
		if fd, err = openat(fd, ".", unix.O_DIRECTORY); err != nil {
			return err
		}
		defer unix.Close(fd)
	}
	buf := make([]byte, 64<<10)
	for {
		size, err := unix.Getdents(fd, buf)
		if err == unix.EINTR {
			continue
		}
		if err != nil {
			return fmt.Errorf("list: %w", err)
		}
		if size <= 0 {
			return nil
		}
		// struct linux_dirent64: inode[8] offset[8] record length[2] type[1] name, NUL.
		for rest := buf[:size]; len(rest) > 0; {
			length := int(binary.NativeEndian.Uint16(rest[16:]))
			name := rest[19:length]
			rest = rest[length:]
			end := 0
			for end < len(name) && name[end] != 0 {
				end++
			}
			if name = name[:end]; string(name) == "." || string(name) == ".." {
				continue
			}
			if err := n.add(name); err != nil {
				return err
			}
		}
	}
}

// openFile opens a file for reading, without touching its access time where that is allowed.
func openFile(dir int, name string) (int, error) {
	fd, err := unix.Openat(dir, name, unix.O_RDONLY|unix.O_CLOEXEC|unix.O_NOFOLLOW|unix.O_NONBLOCK|unix.O_NOATIME, 0)
	if err == nil {
		return fd, nil
	}
	return openat(dir, name, 0) // O_NOATIME is the owner's privilege
}

// pseudo reports whether the folder, a mount point, shows a file system that the kernel makes up.
func (f *folder) pseudo(path string) bool {
	if path == "proc" || path == "sys" || path == "dev" {
		return true
	}
	fd, err := f.use()
	if err != nil {
		return false
	}
	defer f.done()
	var st unix.Statfs_t
	if unix.Fstatfs(fd, &st) != nil {
		return false
	}
	switch uint32(st.Type) {
	case unix.PROC_SUPER_MAGIC, unix.SYSFS_MAGIC, unix.DEVPTS_SUPER_MAGIC, unix.CGROUP_SUPER_MAGIC, unix.CGROUP2_SUPER_MAGIC,
		unix.DEBUGFS_MAGIC, unix.TRACEFS_MAGIC, unix.SECURITYFS_MAGIC, unix.BPF_FS_MAGIC, unix.PSTOREFS_MAGIC,
		unix.BINFMTFS_MAGIC, unix.EFIVARFS_MAGIC, unix.NSFS_MAGIC, unix.SELINUX_MAGIC,
		0x19800202, 0x62656570, 0x65735543: // mqueue, configfs, fusectl
		return true
	}
	return false
}

// minHole is the shortest hole that is told apart from data: shorter ones would cut a file into crumbs.
const minHole = 256 << 10

// NextData implements [backup.Sparse].
func (f *file) NextData(from int64) (start, end int64, err error) {
	start, err = unix.Seek(f.fd, from, unix.SEEK_DATA)
	if err == unix.ENXIO {
		return from, from, nil
	}
	if err != nil {
		return 0, 0, explain(fmt.Errorf("seek: %w", err))
	}
	if start-from < minHole {
		start = from
	}
	for at := start; ; {
		if end, err = unix.Seek(f.fd, at, unix.SEEK_HOLE); err != nil {
			return 0, 0, explain(fmt.Errorf("seek: %w", err))
		}
		next, err := unix.Seek(f.fd, end, unix.SEEK_DATA)
		if err != nil || next-end >= minHole || next == end {
			break
		}
		at = next
	}
	if _, err := unix.Seek(f.fd, start, unix.SEEK_SET); err != nil {
		return 0, 0, explain(fmt.Errorf("seek: %w", err))
	}
	return start, end, nil
}

var _ backup.Sparse = (*file)(nil)
