//go:build unix

// Package local runs a private PostgreSQL and a private redis-server as children of this process: for
// `holdfast up` on one machine, for development and for tests.
//
// They are the real programs, as the system packages them, started with settings of ours. Nothing listens
// on the network: both are reached through unix sockets in a folder of mode 0700, and that folder is the whole of
// their access control (PostgreSQL's pg_hba.conf says trust for the socket and reject for everything
// else): whoever may enter it is the user they run as, or root, who could read the files anyway.
//
// # What lies in the data directory
//
//	lock             held with flock by the process that owns the directory; holds its pid
//	endpoints.json   the two URLs while it runs, for other commands on this machine: see [Find]
//	postgres/        the cluster; postgres.new/ while it is being made, so that half a cluster is never used
//	redis/           the append-only file
//	run/             the sockets, unless the path would be longer than a socket address may be (107 bytes):
//	                 then they are in a fresh folder of an unguessable name under os.TempDir
//
// # Whose processes
//
// PostgreSQL refuses to run as root. When this process is root, both programs run as the first of these users that
// exists: the one who owns the cluster already, `holdfast`, `postgres`, `nobody` (a last resort: other daemons may
// share it). On Linux they get their folders as open file descriptors, so that it does not matter whether that user may
// pass the folders above. When this process is not root they run as the same user.
//
// # Life and death
//
// A child that ends is reported and started again, at once and then with growing pauses. When this process
// ends, however it ends, the children go too: on Linux the kernel tells them to shut down (the parent-death signal belongs to
// the thread that forked, hence one locked thread for each child). Before a program is started on a folder, whatever
// still works in that folder is found through /proc and waited for or ended: two redis-servers on one append-only
// file would destroy it, and PostgreSQL takes a recycled pid or a zombie for a living predecessor.
package local

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/holdfast-backup/holdfast/wire/fault"
)

// Config says what to run where.
type Config struct {
	Dir string       // the data directory; made if missing
	Log *slog.Logger // nil: nothing is logged

	NoPostgres bool // do not run PostgreSQL
	NoRedis    bool // do not run redis-server
	Throwaway  bool // nothing needs to survive a crash of the machine (of the servers: yes), so no fsync at all. For tests
}

// Local is a running pair of servers.
type Local struct {
	cfg      Config
	log      *slog.Logger
	lock     *os.File
	previous Endpoints  // of a predecessor that was killed; zero if there was none
	user     *runAs     // nil: as we are
	mu       sync.Mutex // guards dirs: the servers are started side by side
	dirs     map[string]*os.File
	sockets  string // folder of the sockets
	children []*child
	failures chan error

	database, redis string

	closing sync.Once
}

const (
	postgresDir = "postgres"
	redisDir    = "redis"
	runDir      = "run"

	// maxSocketPath is the longest path of a unix socket that every system takes: 107 bytes on Linux, 103 on BSD.
	maxSocketPath = 103
	longestSocket = "/" + postgresSocket
)

// Start starts both servers and returns when they answer. A first start makes the cluster and takes about two seconds, later
// ones about a tenth of one; after a crash PostgreSQL first replays its log, for as long as ctx allows.
//
// It fails with fault.Conflict if another process uses the directory, and with fault.Unavailable, in words
// that say what to install or change, if the programs are missing or will not run.
func Start(ctx context.Context, cfg Config) (*Local, error) {
	dir, err := filepath.Abs(cfg.Dir)
	if err != nil {
		return nil, fmt.Errorf("data directory %q: %w", cfg.Dir, err)
	}
	cfg.Dir = dir
	l := &Local{cfg: cfg, log: cfg.Log, dirs: map[string]*os.File{}, failures: make(chan error, 16)}
	if l.log == nil {
		l.log = slog.New(slog.DiscardHandler)
	}
	if err := l.start(ctx); err != nil {
		l.Close()
		return nil, err
	}
	return l, nil
}

func (l *Local) start(ctx context.Context) error {
	if err := os.MkdirAll(l.cfg.Dir, 0o700); err != nil {
		return fault.Wrap(err, fault.Unavailable, "cannot make the data directory %s", l.cfg.Dir)
	}
	var err error
	if l.lock, err = takeLock(l.cfg.Dir); err != nil {
		return err
	}
	l.previous = takeEndpoints(l.cfg.Dir)
	if l.user, err = chooseUser(filepath.Join(l.cfg.Dir, postgresDir)); err != nil {
		return err
	}
	if err := l.makeSockets(); err != nil {
		return err
	}
	// Both are prepared and started side by side: each is mostly waiting.
	starts := []func(context.Context) (*child, error){}
	if !l.cfg.NoPostgres {
		l.database = (&url.URL{Scheme: "postgres", User: url.User(superuser), Path: "/" + database,
			RawQuery: url.Values{"host": {l.sockets}, "sslmode": {"disable"}}.Encode()}).String()
		starts = append(starts, l.startPostgres)
	}
	if !l.cfg.NoRedis {
		l.redis = (&url.URL{Scheme: "unix", Path: l.redisSocket()}).String()
		starts = append(starts, l.startRedis)
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	errs := make([]error, len(starts))
	children := make([]*child, len(starts))
	var wg sync.WaitGroup
	for i, start := range starts {
		wg.Go(func() {
			if children[i], errs[i] = start(ctx); errs[i] != nil {
				cancel() // one failed: do not wait for the other
			}
		})
	}
	wg.Wait()
	for _, c := range children {
		if c != nil {
			l.children = append(l.children, c)
		}
	}
	if err := firstCause(errs); err != nil {
		return err
	}
	l.sweepSockets()
	return writeEndpoints(l.cfg.Dir, Endpoints{PID: os.Getpid(), DatabaseURL: l.database, RedisURL: l.redis})
}

// firstCause returns the error that is not merely the consequence of cancelling because of the other.
func firstCause(errs []error) error {
	for _, err := range errs {
		if err != nil && !errors.Is(err, context.Canceled) {
			return err
		}
	}
	return errors.Join(errs...)
}

// DatabaseURL returns the address of PostgreSQL, for depot/pg; "" if it is not run.
func (l *Local) DatabaseURL() string { return l.database }

// RedisURL returns the address of Redis, for depot/bus and depot/queue; "" if it is not run.
func (l *Local) RedisURL() string { return l.redis }

// Err tells of each child that ended unasked: which, how, and its last words. It has been or will be started
// again by then; the channel is for showing, is never closed, and drops what nobody reads.
func (l *Local) Err() <-chan error { return l.failures }

// Close stops both servers cleanly, usually in well under a second, and releases the directory. It is safe to
// call more than once.
func (l *Local) Close() {
	l.closing.Do(func() {
		if l.lock != nil {
			takeEndpoints(l.cfg.Dir)
		}
		var wg sync.WaitGroup
		for _, c := range l.children {
			wg.Go(c.stop)
		}
		wg.Wait()
		for _, d := range l.dirs {
			d.Close()
		}
		if l.sockets != "" && l.sockets != filepath.Join(l.cfg.Dir, runDir) {
			os.RemoveAll(l.sockets)
		}
		if l.lock != nil {
			dropLock(l.lock) // last, when nothing of ours works in the directory any more
		}
	})
}

// makeSockets chooses and makes the folder for the sockets.
func (l *Local) makeSockets() error {
	l.sockets = filepath.Join(l.cfg.Dir, runDir)
	if len(l.sockets)+len(longestSocket) > maxSocketPath {
		tmp, err := os.MkdirTemp("", "holdfast-") // 0700, and a name nobody can have made before
		if err != nil {
			return fault.Wrap(err, fault.Unavailable, "cannot make a folder for sockets under %s", os.TempDir())
		}
		l.sockets = tmp
		if len(tmp)+len(longestSocket) > maxSocketPath {
			os.Remove(tmp)
			return fault.New(fault.Unavailable, "both the data directory and the folder for temporary files have names too long for sockets: set TMPDIR to a short one, such as /tmp")
		}
	}
	return l.claim(runDir, l.sockets)
}

// sweepSockets removes the folder that a killed predecessor left among the temporary files.
func (l *Local) sweepSockets() {
	dir := filepath.Dir(l.previous.redisSocket())
	if strings.HasPrefix(filepath.Base(dir), "holdfast-") && dir != l.sockets && filepath.Dir(dir) == filepath.Clean(os.TempDir()) {
		os.RemoveAll(dir)
	}
}

// claim makes a folder, gives it to the user of the children with mode 0700, and opens it under a key.
func (l *Local) claim(key, path string) error {
	if err := os.Mkdir(path, 0o700); err != nil && !errors.Is(err, os.ErrExist) {
		return fault.Wrap(err, fault.Unavailable, "cannot make the folder %s", path)
	}
	d, err := os.OpenFile(path, os.O_RDONLY|syscall.O_DIRECTORY|syscall.O_NOFOLLOW, 0)
	if err != nil {
		return fault.Wrap(err, fault.Unavailable, "cannot open the folder %s", path)
	}
	l.mu.Lock()
	old := l.dirs[key]
	l.dirs[key] = d
	l.mu.Unlock()
	if old != nil {
		old.Close()
	}
	if l.user != nil {
		if err := d.Chown(int(l.user.uid), int(l.user.gid)); err != nil {
			return fault.Wrap(err, fault.Unavailable, "cannot give the folder %s to the user %s", path, l.user.name)
		}
	}
	if err := d.Chmod(0o700); err != nil {
		return fault.Wrap(err, fault.Unavailable, "cannot close the folder %s to others", path)
	}
	return nil
}

// folder returns what [Local.claim] opened.
func (l *Local) folder(key string) *os.File {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.dirs[key]
}

// report hands a failure to whoever listens, and drops it if nobody does.
func (l *Local) report(err error) {
	select {
	case l.failures <- err:
	default:
	}
}

// pause waits, and reports whether it was not cut short.
func pause(ctx context.Context, d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-t.C:
		return true
	}
}
