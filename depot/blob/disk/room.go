//go:build linux || darwin || freebsd

package disk

import (
	"context"
	"fmt"
	"syscall"
)

// Room returns how many bytes can be written still, by a program that is not root's, and how many the file system has in all. Others
// may share it.
func (s *Store) Room(ctx context.Context) (free, total int64, err error) {
	if err := ctx.Err(); err != nil {
		return 0, 0, err
	}
	var st syscall.Statfs_t
	if err := syscall.Statfs(s.root, &st); err != nil {
		return 0, 0, fmt.Errorf("store %s: how much room there is: %w", s.root, err)
	}
	return int64(st.Bavail) * int64(st.Bsize), int64(st.Blocks) * int64(st.Bsize), nil
}
