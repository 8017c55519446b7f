//go:build unix

package local

import (
	"bufio"
	"context"
	"errors"
	"log/slog"
	"net"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"github.com/holdfast-backup/holdfast/wire/fault"
)

const redisSocketName = "redis.sock"

func (l *Local) redisSocket() string { return filepath.Join(l.sockets, redisSocketName) }

// startRedis starts redis-server. What it holds is worth keeping (queued tasks) but not the truth, which is in
// PostgreSQL: so the append-only file is synced once a second.
func (l *Local) startRedis(ctx context.Context) (*child, error) {
	path, err := findRedis(redisPlaces)
	if err != nil {
		return nil, err
	}
	data := filepath.Join(l.cfg.Dir, redisDir)
	if err := l.claim(redisDir, data); err != nil {
		return nil, err
	}
	return keep(ctx, program{
		name:     "Redis",
		prepare:  func(ctx context.Context) error { return l.prepareRedis(ctx, data) },
		command:  func() *exec.Cmd { return l.redisCommand(path) },
		ready:    func(ctx context.Context, _ int) error { return redisReady(ctx, l.redisSocket()) },
		polite:   syscall.SIGTERM,
		insist:   syscall.SIGKILL,
		patience: 15 * time.Second,
		level:    redisLevel,
	}, l.log, l.report)
}

func (l *Local) redisCommand(path string) *exec.Cmd {
	cmd := l.childCommand(path, syscall.SIGTERM, redisDir, runDir)
	persist := []string{"--appendonly", "yes", "--appendfsync", "everysec"}
	if l.cfg.Throwaway {
		persist = []string{"--appendonly", "yes", "--appendfsync", "no"} // a restart keeps the data, as in earnest
	}
	cmd.Args = append(cmd.Args,
		"--port", "0", // no network
		"--unixsocket", l.childDir(runDir, 1)+"/"+redisSocketName,
		"--unixsocketperm", "700",
		"--dir", l.childDir(redisDir, 0),
		"--save", "", // the append-only file is enough
		"--maxmemory-policy", "noeviction", // a queue must not forget
		"--databases", "1",
		"--daemonize", "no",
		"--logfile", "",
		"--loglevel", "notice",
	)
	cmd.Args = append(cmd.Args, persist...)
	return cmd
}

// prepareRedis makes sure that no redis-server works in the folder: it takes no lock of its own, and two on one
// append-only file destroy it.
func (l *Local) prepareRedis(ctx context.Context, data string) error {
	if err := endHolders(ctx, l.log, data, syscall.SIGTERM, syscall.SIGKILL); err != nil || knowsHolders {
		return err
	}
	// Without /proc: whoever answers at the old address is the predecessor.
	for _, socket := range []string{l.redisSocket(), l.previous.redisSocket()} {
		for range 100 {
			if socket == "" || errors.Is(askRedis(socket, "SHUTDOWN"), errNobody) {
				break
			}
			if !pause(ctx, 50*time.Millisecond) {
				return ctx.Err()
			}
		}
		if socket != "" && !errors.Is(askRedis(socket, "PING"), errNobody) {
			return fault.New(fault.Unavailable, "a redis-server of an earlier holdfast still works in %s: end it, then start again", data)
		}
	}
	return nil
}

// redisReady waits until the server has read its file and answers.
func redisReady(ctx context.Context, socket string) error {
	for {
		if askRedis(socket, "PING") == nil {
			return nil
		}
		if !pause(ctx, 2*time.Millisecond) {
			return ctx.Err()
		}
	}
}

var (
	errNobody = errors.New("nobody listens")
	errNotYet = errors.New("not ready")
)

// askRedis sends one command and succeeds if the answer is a simple string. These are two words of the
// protocol; a client library would be more than this package needs.
func askRedis(socket, command string) error {
	conn, err := net.DialTimeout("unix", socket, time.Second)
	if err != nil {
		return errNobody
	}
	defer conn.Close()
	conn.SetDeadline(time.Now().Add(time.Second))
	if _, err := conn.Write([]byte(command + "\r\n")); err != nil {
		return err
	}
	answer, err := bufio.NewReader(conn).ReadString('\n')
	if err != nil {
		return err
	}
	if !strings.HasPrefix(answer, "+") {
		return errNotYet // "-LOADING …"
	}
	return nil
}

// redisLevel: redis-server marks warnings with '#' after "pid:role date". It calls its greeting and advice on kernel
// settings warnings too, so they stay at debug.
func redisLevel(line string) slog.Level {
	if strings.Contains(line, "# ") && (strings.Contains(line, "rror") || strings.Contains(line, "Can't") || strings.Contains(line, "FATAL")) {
		return slog.LevelWarn
	}
	return slog.LevelDebug
}
