//go:build unix

package local

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/holdfast-backup/holdfast/wire/fault"
)

// program is how one server is run.
type program struct {
	name     string                                   // for people: "PostgreSQL"
	prepare  func(context.Context) error              // before every start; makes sure that no predecessor works
	command  func() *exec.Cmd                         // a fresh command, not started
	ready    func(ctx context.Context, pid int) error // returns when the server answers
	passes   func(error) bool                         // whether a failed first start is worth trying again soon; may be nil
	polite   syscall.Signal                           // clean stop
	insist   syscall.Signal                           // when that took longer than patience
	patience time.Duration
	level    func(line string) slog.Level // of a line that the server printed
}

const (
	minBackoff = 100 * time.Millisecond
	maxBackoff = 10 * time.Second
	passFor    = 15 * time.Second // how long a first start is tried again while what stands in its way passes by itself
	passEvery  = 100 * time.Millisecond
	wellFor    = 30 * time.Second // a child that lived so long starts again at minBackoff
)

// child is a program that is kept running.
type child struct {
	program
	log    *slog.Logger
	report func(error)

	stopping context.Context
	cancel   context.CancelFunc
	started  chan error    // gets the outcome of the first start
	done     chan struct{} // closed when the child is gone for good

	mu      sync.Mutex
	process *os.Process // nil while there is none
}

// keep starts a program and returns when it is ready. Later deaths are reported and answered by a new start.
func keep(ctx context.Context, p program, log *slog.Logger, report func(error)) (*child, error) {
	c := &child{program: p, log: log, report: report, started: make(chan error, 1), done: make(chan struct{})}
	c.stopping, c.cancel = context.WithCancel(context.Background())
	go c.run()
	select {
	case err := <-c.started:
		if err != nil {
			c.stop()
			return nil, err
		}
		return c, nil
	case <-ctx.Done():
		c.stop()
		return nil, fmt.Errorf("while %s was starting: %w", p.name, ctx.Err())
	}
}

// run is the child's goroutine. It keeps its thread for itself, because the parent-death signal of
// Linux fires when the forking *thread* ends, and Go ends idle threads.
func (c *child) run() {
	runtime.LockOSThread() // never unlocked: the thread goes with the goroutine
	defer close(c.done)
	backoff, asked := minBackoff, time.Now()
	for first := true; ; first = false {
		began := time.Now()
		readied, err := c.once()
		for first && !readied && c.passes != nil && c.passes(err) && time.Since(asked) < passFor && pause(c.stopping, passEvery) {
			c.log.Debug(c.name+" cannot start yet", "err", err)
			readied, err = c.once()
		}
		if c.stopping.Err() != nil {
			return
		}
		if first && !readied {
			c.started <- err
			return
		}
		if time.Since(began) >= wellFor {
			backoff = minBackoff
		}
		c.log.Error(c.name+" ended and is started again", "in", backoff, "err", err)
		c.report(err)
		if !pause(c.stopping, backoff) {
			return
		}
		backoff = min(2*backoff, maxBackoff)
	}
}

// once runs the program to its end. It returns whether the program had become ready, and why it is over.
func (c *child) once() (readied bool, _ error) {
	if err := c.prepare(c.stopping); err != nil {
		return false, err
	}
	said := &said{log: c.log, name: c.name, level: c.level}
	cmd := c.command()
	cmd.Stdout, cmd.Stderr = said, said
	cmd.WaitDelay = 2 * time.Second // processes that outlive the one we started may still hold the pipe

	// Starting and stopping exclude each other: a process is either seen by stop or not started.
	c.mu.Lock()
	if c.stopping.Err() != nil {
		c.mu.Unlock()
		return false, c.stopping.Err()
	}
	err := cmd.Start()
	if err == nil {
		c.process = cmd.Process
	}
	c.mu.Unlock()
	if err != nil {
		return false, startError(c.name, cmd.Path, err)
	}

	ctx, cancel := context.WithCancel(c.stopping)
	answered := make(chan error, 1)
	go func() {
		err := c.ready(ctx, cmd.Process.Pid)
		if err == nil {
			c.log.Debug(c.name+" is ready", "pid", cmd.Process.Pid)
			select {
			case c.started <- nil:
			default: // not the first time
			}
		}
		answered <- err
	}()
	err = cmd.Wait()
	c.mu.Lock()
	c.process = nil
	c.mu.Unlock()
	cancel()
	readied = <-answered == nil
	words := said.last()
	if words != "" {
		words = ": " + words
	}
	if err == nil {
		err = errors.New("exit status 0")
	}
	return readied, fault.Wrap(err, fault.Unavailable, "%s stopped by itself%s", c.name, words)
}

// stop ends the child and waits for it.
func (c *child) stop() {
	c.mu.Lock()
	c.cancel()
	if c.process != nil {
		c.process.Signal(c.polite)
	}
	c.mu.Unlock()
	t := time.NewTimer(c.patience)
	defer t.Stop()
	select {
	case <-c.done:
		return
	case <-t.C:
	}
	c.log.Warn(c.name + " does not stop: insisting")
	c.mu.Lock()
	if c.process != nil {
		c.process.Signal(c.insist)
	}
	c.mu.Unlock()
	<-c.done
}

// pid returns the process id of the running child, or 0.
func (c *child) pid() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.process == nil {
		return 0
	}
	return c.process.Pid
}

// startError explains why a program could not be started at all.
func startError(name, path string, err error) error {
	switch {
	case errors.Is(err, syscall.EPERM), errors.Is(err, syscall.EINVAL):
		return fault.Wrap(err, fault.Unavailable, "%s cannot be started as another user: a container that runs holdfast as root must allow setuid and setgid, or run it as an unprivileged user", name)
	case errors.Is(err, syscall.EACCES):
		return fault.Wrap(err, fault.Unavailable, "the user that runs %s may not execute %s: check the permissions of that file and of the folders above it", name, path)
	}
	return fault.Wrap(err, fault.Unavailable, "%s cannot be started", name)
}

// endHolders ends whatever server still works in dir, left over from a holdfast that was killed, and returns when
// nothing does. They may be in the middle of a clean stop, so they are asked first.
func endHolders(ctx context.Context, log *slog.Logger, dir string, polite, insist syscall.Signal) error {
	began := time.Now()
	asked := map[int]syscall.Signal{}
	for {
		pids := holders(dir)
		if len(pids) == 0 {
			return nil
		}
		for _, pid := range pids {
			sig := polite
			if time.Since(began) > 20*time.Second {
				sig = insist
			}
			if asked[pid] != sig {
				log.Warn("ending a server that an earlier holdfast left behind", "dir", dir, "pid", pid, "signal", sig)
				asked[pid] = sig
				if err := syscall.Kill(pid, sig); err != nil && err != syscall.ESRCH {
					return fault.Wrap(err, fault.Unavailable, "process %d still works in %s and cannot be ended: end it, then start again", pid, dir)
				}
			}
		}
		if time.Since(began) > time.Minute {
			return fault.New(fault.Unavailable, "processes %v still work in %s and do not end: end them, then start again", pids, dir)
		}
		if !pause(ctx, 10*time.Millisecond) {
			return ctx.Err()
		}
	}
}

// said passes a program's output to the log, line by line, and remembers the end of it.
type said struct {
	log   *slog.Logger
	name  string
	level func(string) slog.Level

	mu    sync.Mutex
	part  []byte   // of a line
	lines []string // the last few
}

const saidLines, saidLine = 8, 2048

func (s *said) Write(b []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.part = append(s.part, b...)
	for {
		advance, line, _ := bufio.ScanLines(s.part, false)
		if advance == 0 && len(s.part) > saidLine {
			advance, line = saidLine, s.part[:saidLine]
		}
		if advance == 0 {
			return len(b), nil
		}
		text := strings.TrimSpace(string(line))
		s.part = s.part[advance:]
		if text == "" {
			continue
		}
		s.log.Log(context.Background(), s.level(text), s.name+": "+text)
		if s.lines = append(s.lines, text); len(s.lines) > saidLines {
			s.lines = s.lines[1:]
		}
	}
}

// last returns the last lines as one.
func (s *said) last() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return strings.Join(s.lines, " | ")
}

var _ io.Writer = (*said)(nil)
