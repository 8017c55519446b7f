//go:build unix

package local

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/holdfast-backup/holdfast/wire/fault"
)

const (
	superuser = "holdfast" // the role that the cluster is made with
	database  = "holdfast"

	postgresSocket = ".s.PGSQL.5432" // by which every client finds it in the folder
)

// stillDying recognises the refusal of a PostgreSQL whose predecessor was killed a moment ago: the kernel has not
// taken all of its processes away, and so not its shared memory.
func stillDying(err error) bool {
	return err != nil && strings.Contains(err.Error(), "pre-existing shared memory block")
}

// startPostgres makes the cluster if there is none, starts the server and makes the database if there is none.
func (l *Local) startPostgres(ctx context.Context) (*child, error) {
	data := filepath.Join(l.cfg.Dir, postgresDir)
	version, err := os.ReadFile(filepath.Join(data, "PG_VERSION"))
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		return nil, fault.Wrap(err, fault.Unavailable, "cannot read the database's folder %s", data)
	}
	programs, err := findPostgres(strings.TrimSpace(string(version)), postgresPlaces)
	if err != nil {
		return nil, err
	}
	if version == nil {
		if err := l.initdb(ctx, programs, data); err != nil {
			return nil, err
		}
	}
	if err := l.claim(postgresDir, data); err != nil {
		return nil, err
	}
	c, err := keep(ctx, program{
		name:     "PostgreSQL",
		prepare:  func(ctx context.Context) error { return l.preparePostgres(ctx, data) },
		command:  func() *exec.Cmd { return l.postgresCommand(programs) },
		ready:    func(ctx context.Context, pid int) error { return postgresReady(ctx, data, pid) },
		passes:   stillDying,
		polite:   syscall.SIGINT, // "fast": roll back what runs, write a checkpoint
		insist:   syscall.SIGQUIT,
		patience: 30 * time.Second,
		level:    postgresLevel,
	}, l.log, l.report)
	if err != nil {
		return nil, err
	}
	if err := ensureDatabase(ctx, l.database); err != nil {
		c.stop()
		return nil, err
	}
	return c, nil
}

// initdb makes the cluster under another name and renames it when it is whole.
//
// Its locale is C on purpose: sorting by bytes is fast, and an upgrade of the system's libc can not silently
// make indexes wrong. Data checksums let PostgreSQL notice a damaged page instead of using it.
func (l *Local) initdb(ctx context.Context, programs postgresPrograms, data string) error {
	if entries, err := os.ReadDir(data); err == nil && len(entries) > 0 {
		return fault.New(fault.Unavailable, "%s holds files but no PostgreSQL cluster (PG_VERSION is missing): move the folder away, or restore it from a copy", data)
	}
	made := data + ".new"
	if err := os.RemoveAll(made); err != nil { // half a cluster from an interrupted first start
		return fault.Wrap(err, fault.Unavailable, "cannot remove %s", made)
	}
	if err := l.claim(postgresDir, made); err != nil {
		return err
	}
	args := []string{"--username=" + superuser, "--auth-local=trust", "--auth-host=reject", "--encoding=UTF8", "--locale=C"}
	if l.cfg.Throwaway {
		args = append(args, "--no-sync", "--wal-segsize=1")
	} else {
		args = append(args, "--data-checksums")
	}
	cmd := l.childCommand(filepath.Join(programs.bin, "initdb"), syscall.SIGKILL, postgresDir)
	cmd.Args = append(cmd.Args, "-D", l.childDir(postgresDir, 0))
	cmd.Args = append(cmd.Args, args...)
	out, err := outputOnOwnThread(ctx, cmd)
	if err != nil {
		if ctx.Err() != nil {
			return ctx.Err()
		}
		if errors.As(err, new(*exec.ExitError)) {
			return fault.Wrap(err, fault.Unavailable, "initdb could not make the database in %s: %s", data, lastLines(out))
		}
		return startError("initdb", cmd.Path, err)
	}
	if err := os.Rename(made, data); err != nil {
		return fault.Wrap(err, fault.Unavailable, "cannot rename %s", made)
	}
	return nil
}

// postgresCommand gives every setting on the command line, so that they go with the version of holdfast and not with
// the day the cluster was made.
func (l *Local) postgresCommand(p postgresPrograms) *exec.Cmd {
	settings := []string{
		"listen_addresses=",
		"unix_socket_directories=" + l.childDir(runDir, 1),
		"unix_socket_permissions=0700",
		"max_connections=200",
		"shared_buffers=128MB",
		"work_mem=16MB",
		"maintenance_work_mem=128MB",
		"random_page_cost=1.1", // disks of today; the catalog is read by key
		"jit=off",              // its queries are short
		// Object ids are random, so after each checkpoint nearly every touched index page goes whole into the
		// log: make checkpoints rare and those pages small.
		"max_wal_size=4GB",
		"min_wal_size=256MB",
		"checkpoint_timeout=15min",
		"wal_compression=on",
		"wal_level=minimal", // nobody replicates a private server
		"max_wal_senders=0",
		"synchronous_commit=on",
		"timezone=UTC",
		"log_timezone=UTC",
		"log_destination=stderr",
		"logging_collector=off",
		"log_line_prefix=",
		"log_checkpoints=off",
		"lc_messages=C",
	}
	if l.cfg.Throwaway {
		// Commits are still written before they are confirmed: kill -9 of the server loses none.
		settings = append(settings, "fsync=off", "full_page_writes=off",
			"shared_buffers=64MB", "autovacuum=off", "max_connections=400", "min_wal_size=2MB")
	}
	cmd := l.childCommand(filepath.Join(p.bin, "postgres"), postgresOrphan(l.cfg.Throwaway), postgresDir, runDir)
	cmd.Args = append(cmd.Args, "-D", l.childDir(postgresDir, 0))
	for _, s := range settings {
		cmd.Args = append(cmd.Args, "-c", s)
	}
	return cmd
}

// postgresOrphan is what the server gets when we die: a clean stop, or an immediate one if nobody will miss the data.
func postgresOrphan(throwaway bool) syscall.Signal {
	if throwaway {
		return syscall.SIGQUIT
	}
	return syscall.SIGINT
}

// preparePostgres makes sure that the start can succeed: nobody works in the cluster, and the lock files of a
// dead predecessor do not name a process that merely has its number (or is a zombie), which
// PostgreSQL would take for the predecessor itself.
func (l *Local) preparePostgres(ctx context.Context, data string) error {
	if !knowsHolders {
		return nil
	}
	if err := endHolders(ctx, l.log, data, syscall.SIGINT, syscall.SIGKILL); err != nil {
		return err
	}
	// The folder of the sockets is ours alone, so nothing in it can belong to a living server. In the cluster's own lock
	// file PostgreSQL also looks for shared memory still in use, so it goes only if it would be misread.
	os.Remove(filepath.Join(l.sockets, postgresSocket+".lock"))
	pidFile := filepath.Join(data, "postmaster.pid")
	pid, _, err := readPidFile(pidFile)
	if err != nil {
		return nil // none, or half written: PostgreSQL knows what to do
	}
	if syscall.Kill(pid, 0) == syscall.ESRCH {
		return nil // plainly dead: likewise
	}
	l.log.Warn("removing the lock file of a PostgreSQL that is gone", "file", pidFile, "pid", pid)
	if err := os.Remove(pidFile); err != nil && !errors.Is(err, os.ErrNotExist) {
		return fault.Wrap(err, fault.Unavailable, "cannot remove %s", pidFile)
	}
	return nil
}

// postgresReady waits until the server has written into its lock file that it takes connections. That is
// how pg_ctl does it; unlike a connection it cannot be fooled by another server on the same socket.
func postgresReady(ctx context.Context, data string, pid int) error {
	for {
		got, status, err := readPidFile(filepath.Join(data, "postmaster.pid"))
		if err == nil && got == pid && status == "ready" {
			return nil
		}
		if !pause(ctx, 2*time.Millisecond) {
			return ctx.Err()
		}
	}
}

// readPidFile reads postmaster.pid: the pid is its first line, the state its eighth.
func readPidFile(path string) (pid int, status string, err error) {
	b, err := os.ReadFile(path)
	if err != nil {
		return 0, "", err
	}
	lines := strings.Split(string(b), "\n")
	pid, err = strconv.Atoi(strings.TrimSpace(lines[0]))
	if len(lines) >= 8 {
		status = strings.TrimSpace(lines[7])
	}
	return pid, status, err
}

// postgresLevel keeps what concerns the server apart from what concerns one statement, which its caller hears about anyway.
func postgresLevel(line string) slog.Level {
	if strings.HasPrefix(line, "PANIC:") || strings.HasPrefix(line, "FATAL:") {
		return slog.LevelWarn
	}
	return slog.LevelDebug
}

// childCommand returns a command that runs as the right user, hears of our death, and has the named folders open as
// descriptors 3, 4, … It inherits none of our environment: secrets may be in it.
func (l *Local) childCommand(path string, whenOrphaned syscall.Signal, dirs ...string) *exec.Cmd {
	cmd := exec.Command(path)
	cmd.Env = []string{"PATH=/usr/local/bin:/usr/bin:/bin:/usr/sbin:/sbin", "LC_ALL=C"}
	if lib := os.Getenv("LD_LIBRARY_PATH"); lib != "" {
		cmd.Env = append(cmd.Env, "LD_LIBRARY_PATH="+lib)
	}
	cmd.Dir = "/"
	cmd.SysProcAttr = procAttr(whenOrphaned)
	if l.user != nil {
		cmd.SysProcAttr.Credential = &syscall.Credential{Uid: l.user.uid, Gid: l.user.gid}
	}
	if l.byFD() {
		for _, d := range dirs {
			cmd.ExtraFiles = append(cmd.ExtraFiles, l.folder(d))
		}
	}
	return cmd
}

// childDir returns the path by which a child reaches the i-th of its folders.
func (l *Local) childDir(key string, i int) string {
	if l.byFD() {
		return "/proc/self/fd/" + strconv.Itoa(3+i)
	}
	return l.folder(key).Name()
}

// byFD says that the children are of another user, who perhaps may not pass the folders above the data directory.
func (l *Local) byFD() bool { return dirsByFD && l.user != nil }

// outputOnOwnThread runs a command to its end from a thread that lives as long: see [child.run].
func outputOnOwnThread(ctx context.Context, cmd *exec.Cmd) ([]byte, error) {
	type result struct {
		out []byte
		err error
	}
	done := make(chan result, 1)
	go func() {
		runtime.LockOSThread()
		var out bytes.Buffer
		cmd.Stdout, cmd.Stderr = &out, &out
		cmd.WaitDelay = 2 * time.Second
		if err := cmd.Start(); err != nil {
			done <- result{nil, err}
			return
		}
		stop := context.AfterFunc(ctx, func() { cmd.Process.Kill() })
		defer stop()
		err := cmd.Wait()
		done <- result{out.Bytes(), err}
	}()
	r := <-done
	return r.out, r.err
}

// lastLines returns the end of a program's output as one line.
func lastLines(out []byte) string {
	lines := strings.FieldsFunc(string(out), func(r rune) bool { return r == '\n' })
	return strings.Join(lines[max(0, len(lines)-3):], " | ")
}
