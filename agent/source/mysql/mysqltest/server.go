package mysqltest

import (
	"bytes"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"runtime"
	"strconv"
	"testing"
	"time"
)

// A Server is a MariaDB.
type Server struct {
	dir  string
	port int
	proc *os.Process
	dead chan struct{} // closed when proc is
}

// Socket returns the path of the server's socket.
func (s *Server) Socket() string { return filepath.Join(s.dir, "s") }

// Addr returns the server's address on loopback.
func (s *Server) Addr() string { return net.JoinHostPort("127.0.0.1", strconv.Itoa(s.port)) }

// start makes a data folder and starts a server in it. Temporary tables have their place there, too: a server that starts removes whatever
// there is of them, another server's as well.
func start() (*Server, error) {
	dir, err := os.MkdirTemp("", "hfmy")
	if err != nil {
		return nil, err
	}
	s := &Server{dir: dir}
	if err := s.install(); err != nil {
		os.RemoveAll(dir)
		return nil, err
	}
	if err := s.run(); err != nil {
		os.RemoveAll(dir)
		return nil, err
	}
	return s, nil
}

func (s *Server) install() error {
	if os.Getuid() == 0 { // who may not run a server
		u, err := user.Lookup("mysql")
		if err != nil {
			return err
		}
		uid, err := strconv.Atoi(u.Uid)
		if err != nil {
			return err
		}
		gid, err := strconv.Atoi(u.Gid)
		if err != nil {
			return err
		}
		if err := os.Chown(s.dir, uid, gid); err != nil {
			return err
		}
	}
	install, err := find("mariadb-install-db")
	if err != nil {
		return err
	}
	cmd := exec.Command(install, "--no-defaults", "--datadir="+filepath.Join(s.dir, "data"), "--auth-root-authentication-method=normal",
		"--skip-test-db", "--debug-no-sync", "--innodb-flush-method=nosync", "--innodb-log-file-size=16M")
	cmd.Env = append(os.Environ(), "TMPDIR="+s.dir)
	if cmd.SysProcAttr, err = attr(s.dir); err != nil {
		return err
	}
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("mariadb-install-db: %w: %s", err, out)
	}
	return nil
}

// run starts the server and waits until it takes connections.
func (s *Server) run() error {
	program, err := find("mariadbd")
	if err != nil {
		return err
	}
	if s.port == 0 {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			return err
		}
		s.port = l.Addr().(*net.TCPAddr).Port
		l.Close()
	}
	// Nothing is synced: what a killed process wrote is there all the same.
	cmd := exec.Command(program, "--no-defaults", "--datadir="+filepath.Join(s.dir, "data"), "--tmpdir="+s.dir,
		"--socket="+s.Socket(), "--bind-address=127.0.0.1",
		"--port="+strconv.Itoa(s.port), "--pid-file="+filepath.Join(s.dir, "pid"), "--skip-name-resolve", "--skip-log-bin", "--event-scheduler=ON",
		"--debug-no-sync", "--innodb-flush-method=nosync", "--innodb-log-file-size=16M", "--innodb-buffer-pool-size=96M", "--max-connections=400")
	if cmd.SysProcAttr, err = attr(s.dir); err != nil {
		return err
	}
	var log bytes.Buffer
	cmd.Stderr = &log
	started, dead := make(chan error), make(chan struct{})
	go func() { // the server goes with the thread that forked it
		runtime.LockOSThread()
		err := cmd.Start()
		started <- err
		if err == nil {
			cmd.Wait()
		}
		close(dead)
	}()
	if err := <-started; err != nil {
		return err
	}
	s.proc, s.dead = cmd.Process, dead
	for deadline := time.Now().Add(60 * time.Second); ; {
		c, err := net.DialTimeout("tcp", s.Addr(), time.Second)
		if err == nil {
			c.Close()
			return nil
		}
		select {
		case <-dead:
			return fmt.Errorf("mariadbd did not start: %s", log.Bytes())
		case <-time.After(5 * time.Millisecond):
		}
		if time.Now().After(deadline) {
			s.Kill()
			return fmt.Errorf("mariadbd takes no connections")
		}
	}
}

// Kill kills the server at once, as a loss of power would, but for what it has written.
func (s *Server) Kill() {
	s.proc.Kill()
	<-s.dead
}

// Start starts the server again, at the same address.
func (s *Server) Start(t testing.TB) {
	t.Helper()
	if err := s.run(); err != nil {
		t.Fatal(err)
	}
}

func (s *Server) stop() {
	s.Kill()
	os.RemoveAll(s.dir)
}

// find finds a program, also where users' paths do not lead.
func find(name string) (string, error) {
	if p, err := exec.LookPath(name); err == nil {
		return p, nil
	}
	for _, dir := range []string{"/usr/sbin", "/usr/local/sbin", "/usr/local/bin", "/opt/homebrew/bin"} {
		if p, err := exec.LookPath(filepath.Join(dir, name)); err == nil {
			return p, nil
		}
	}
	return "", errors.New(name + " is not installed: run make setup")
}
