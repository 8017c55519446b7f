package postgres

import (
	"context"
	"errors"
	"io"
	"os/exec"
	"time"

	"github.com/holdfast-backup/holdfast/wire/fault"
)

// unpackDelay is how long a program that ended is waited for to let go of its pipes.
const unpackDelay = 5 * time.Second

// unpacked is a dump in the custom format as pg_restore makes text of it.
type unpacked struct {
	ctx   context.Context
	tool  tool
	cmd   *exec.Cmd
	out   io.Reader
	said  *tail
	ended bool
}

// Read returns io.EOF only if pg_restore exited with success.
func (u *unpacked) Read(p []byte) (int, error) {
	n, err := u.out.Read(p)
	if err != io.EOF {
		return n, err
	}
	u.ended = true
	err = u.cmd.Wait()
	var exit *exec.ExitError
	if err == nil {
		return n, io.EOF
	}
	if !errors.As(err, &exit) && u.ctx.Err() == nil { // the dump could not be read
		return n, err
	}
	if u.ctx.Err() == nil && exit.Exited() {
		return n, fault.Wrap(err, fault.Invalid, "the dump is damaged, or of a version that this pg_restore does not know: %s", u.said)
	}
	return n, ended(u.ctx, u.tool, err, u.said)
}

// stop ends pg_restore if it still runs.
func (u *unpacked) stop() {
	if !u.ended {
		u.cmd.Process.Kill()
		u.cmd.Wait()
	}
}
