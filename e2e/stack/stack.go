// Package stack runs the real programs, as a person would, for the end-to-end tests, the demonstration and
// the benchmark. It knows nothing of what is inside them: only their command lines, and their HTTP.
package stack

import (
	"bytes"
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"time"
)

// Programs are the two binaries.
type Programs struct{ Holdfast, Agent string }

// In returns the programs in a folder that `make build` wrote.
func In(dir string) (Programs, error) {
	p := Programs{filepath.Join(dir, "holdfast"), filepath.Join(dir, "holdfast-agent")}
	for _, name := range []string{p.Holdfast, p.Agent} {
		if _, err := os.Stat(name); err != nil {
			return p, fmt.Errorf("%w: run make build", err)
		}
	}
	return Programs{abs(p.Holdfast), abs(p.Agent)}, nil
}

func abs(p string) string {
	a, err := filepath.Abs(p)
	if err != nil {
		return p
	}
	return a
}

// Server is a running `holdfast up`.
type Server struct {
	URL         string // http://127.0.0.1:port, or https://
	Data        string
	Cmd         *exec.Cmd
	Fingerprint string // of its certificate authority, for the agents of new people; "" if they need none

	programs Programs
	env      []string
	args     []string
	log      *tail
	done     chan struct{}
	err      error
}

// Up starts `holdfast up` on a free port of the loopback interface (or the --listen of args) and waits until
// it is ready. More arguments are handed on to it.
func Up(ctx context.Context, p Programs, data string, args ...string) (*Server, error) {
	return Serve(ctx, p, nil, data, append([]string{"up"}, args...)...)
}

// Serve is [Up] for any command that serves, with more in the environment (KEY=value) of it and of the commands
// beside it. Without data those find the installation by the environment alone.
func Serve(ctx context.Context, p Programs, env []string, data string, args ...string) (*Server, error) {
	addr := ""
	if i := slices.Index(args, "--listen"); i >= 0 {
		addr = args[i+1]
	} else {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			return nil, err
		}
		addr = l.Addr().String()
		l.Close()
		args = append(args, "--listen", addr)
	}
	if data != "" {
		args = append(args, "--data", data)
	}
	scheme := "http://"
	if slices.ContainsFunc(args, func(a string) bool { return strings.HasPrefix(a, "--tls-") }) {
		scheme = "https://"
	}
	s := &Server{URL: scheme + addr, Data: data, programs: p, env: env, args: args}
	return s, s.Start(ctx)
}

// Start starts the server again on the same port and data, after [Server.Kill] or [Server.Stop].
func (s *Server) Start(ctx context.Context) error {
	if err := s.launch(); err != nil {
		return err
	}
	return s.ready(ctx)
}

func (s *Server) launch() error {
	s.log = &tail{}
	s.done = make(chan struct{})
	s.Cmd = exec.Command(s.programs.Holdfast, s.args...)
	s.Cmd.Env = append(os.Environ(), s.env...)
	s.Cmd.Stdout, s.Cmd.Stderr = s.log, s.log
	if err := Start(s.Cmd); err != nil {
		return err
	}
	go func() { s.err = s.Cmd.Wait(); close(s.done) }()
	return nil
}

// prober asks whether a server is ready; who it is does not matter.
var prober = &http.Client{Transport: &http.Transport{
	DisableKeepAlives: true,
	TLSClientConfig:   &tls.Config{InsecureSkipVerify: true}, //nolint:gosec // nothing is sent or believed
}}

func (s *Server) ready(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, 60*time.Second)
	defer cancel()
	for {
		req, err := http.NewRequestWithContext(ctx, http.MethodGet, s.URL+"/readyz", nil)
		if err != nil {
			return err
		}
		if resp, err := prober.Do(req); err == nil {
			resp.Body.Close()
			if resp.StatusCode == http.StatusOK {
				return nil
			}
		}
		select {
		case <-s.done:
			return fmt.Errorf("holdfast %s ended by itself: %v\n%s", s.args[0], s.err, s.log)
		case <-ctx.Done():
			return fmt.Errorf("holdfast %s is not ready after a minute\n%s", s.args[0], s.log)
		case <-time.After(25 * time.Millisecond):
		}
	}
}

// Via returns the same server as seen through another address, such as a proxy's.
func (s *Server) Via(url string) *Server {
	c := *s
	c.URL = url
	return &c
}

// With returns the same server with other programs for its commands and for the agents of new people.
func (s *Server) With(p Programs) *Server {
	c := *s
	c.programs = p
	return &c
}

// Log returns the end of what the server printed.
func (s *Server) Log() string { return s.log.String() }

// Running reports whether the process is still there.
func (s *Server) Running() bool {
	select {
	case <-s.done:
		return false
	default:
		return true
	}
}

// Kill ends the server without warning, as a power cut would.
func (s *Server) Kill() {
	s.Cmd.Process.Kill()
	<-s.done
}

// Stop ends the server politely and reports what it said if it did not end well.
func (s *Server) Stop() error {
	if !s.Running() {
		return nil
	}
	s.Cmd.Process.Signal(syscall.SIGTERM)
	select {
	case <-s.done:
	case <-time.After(30 * time.Second):
		s.Kill()
		return fmt.Errorf("holdfast %s did not stop within 30 s of SIGTERM\n%s", s.args[0], s.log)
	}
	if s.err != nil {
		return fmt.Errorf("holdfast %s: %w\n%s", s.args[0], s.err, s.log)
	}
	return nil
}

// Holdfast runs another command of the server's program against the same data.
func (s *Server) Holdfast(ctx context.Context, args ...string) Result {
	if s.Data != "" {
		args = append(args, "--data", s.Data)
	}
	return run(ctx, s.programs.Holdfast, s.env, args...)
}

// Invite invites a person and returns the invitation's token.
func (s *Server) Invite(ctx context.Context, email, name, role string) (string, error) {
	r := s.Holdfast(ctx, "invite", "--email", email, "--name", name, "--role", role, "--json")
	var out struct{ Token string }
	if err := r.JSON(&out); err != nil {
		return "", err
	}
	return out.Token, nil
}

// Agent is one device, or one person's shell: a state directory of holdfast-agent and a password.
type Agent struct {
	State        string // holdfast-agent --state
	PasswordFile string
	RecoveryFile string
	Email        string

	programs Programs
	server   *Server
	Env      []string // more environment, KEY=value
}

// Person makes an account by invitation and returns an agent that knows its password, not yet enrolled. dir
// is made and holds everything.
func (s *Server) Person(ctx context.Context, dir, email, name, role string) (*Agent, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, err
	}
	a := &Agent{
		State:        filepath.Join(dir, "state"),
		PasswordFile: filepath.Join(dir, "password"),
		RecoveryFile: filepath.Join(dir, "recovery"),
		Email:        email,
		programs:     s.programs,
		server:       s,
	}
	if s.Fingerprint != "" {
		a.Env = []string{"HOLDFAST_FINGERPRINT=" + s.Fingerprint}
	}
	if err := os.WriteFile(a.PasswordFile, []byte("correct horse battery "+name+"\n"), 0o600); err != nil {
		return nil, err
	}
	token, err := s.Invite(ctx, email, name, role)
	if err != nil {
		return nil, err
	}
	return a, a.Run(ctx, "join", s.URL, "--invite", token, "--password-file", a.PasswordFile, "--recovery-file", a.RecoveryFile).Err()
}

// Device returns an agent with a state directory of its own that belongs to nobody yet.
func (s *Server) Device(state string) *Agent {
	return &Agent{State: state, programs: s.programs, server: s}
}

// Enroll makes the agent a device of its account.
func (a *Agent) Enroll(ctx context.Context, name string) error {
	return a.Run(ctx, "enroll", a.server.URL, "--email", a.Email, "--password-file", a.PasswordFile, "--name", name).Err()
}

// Another returns an agent of the same person with a state directory of its own, as on a second machine.
func (a *Agent) Another(state string) *Agent {
	b := *a
	b.State = state
	return &b
}

// With returns the same device, run by other programs.
func (a *Agent) With(p Programs) *Agent {
	b := *a
	b.programs = p
	return &b
}

// Command returns the command without running it: see [Start].
func (a *Agent) Command(args ...string) *exec.Cmd {
	cmd := exec.Command(a.programs.Agent, append(args, "--state", a.State)...)
	cmd.Env = append(os.Environ(), a.Env...)
	return cmd
}

// Run runs holdfast-agent with this state.
func (a *Agent) Run(ctx context.Context, args ...string) Result {
	return run(ctx, a.programs.Agent, a.Env, append(args, "--state", a.State)...)
}

// Unlocked runs a command that needs the person's password.
func (a *Agent) Unlocked(ctx context.Context, args ...string) Result {
	return a.Run(ctx, append(args, "--password-file", a.PasswordFile)...)
}

// Result is what a program did.
type Result struct {
	Args           []string
	Stdout, Stderr string
	Code           int // exit code; -1 when it was killed
	Wall           time.Duration
	CPU            time.Duration // user and system
	PeakRSS        int64         // bytes
	failed         error         // could not be run at all
}

// Err returns nil if the program ended with exit code 0, and otherwise all that it said.
func (r Result) Err() error {
	if r.failed != nil {
		return fmt.Errorf("%s: %w", strings.Join(r.Args, " "), r.failed)
	}
	if r.Code != 0 {
		return fmt.Errorf("%s: exit code %d\n%s%s", strings.Join(r.Args, " "), r.Code, r.Stdout, r.Stderr)
	}
	return nil
}

// JSON decodes what the program printed, if it ended well.
func (r Result) JSON(v any) error {
	if err := r.Err(); err != nil {
		return err
	}
	if err := json.Unmarshal([]byte(r.Stdout), v); err != nil {
		return fmt.Errorf("%s printed no JSON: %w\n%s", strings.Join(r.Args, " "), err, r.Stdout)
	}
	return nil
}

// Run runs a program to its end, with more in its environment (KEY=value).
func Run(ctx context.Context, program string, env []string, args ...string) Result {
	return run(ctx, program, env, args...)
}

// Background starts a program that runs until stop is called, which ends it politely and reports what it said if
// it did not end well.
func Background(program string, env []string, args ...string) (stop func() error, err error) {
	s := &Server{programs: Programs{Holdfast: program}, env: env, args: args}
	return s.Stop, s.launch()
}

func run(ctx context.Context, program string, env []string, args ...string) Result {
	r := Result{Args: append([]string{filepath.Base(program)}, args...)}
	cmd := exec.CommandContext(ctx, program, args...)
	cmd.Env = append(os.Environ(), env...)
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	began := time.Now()
	err := Start(cmd)
	if err == nil {
		err = cmd.Wait()
	}
	r.Wall = time.Since(began)
	r.Stdout, r.Stderr = stdout.String(), stderr.String()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		r.failed = err
		return r
	}
	r.Code = cmd.ProcessState.ExitCode()
	r.CPU = cmd.ProcessState.UserTime() + cmd.ProcessState.SystemTime()
	if u, ok := cmd.ProcessState.SysUsage().(*syscall.Rusage); ok {
		r.PeakRSS = u.Maxrss * 1024
	}
	return r
}

// tail keeps the last part of what is written to it.
type tail struct {
	mu  sync.Mutex
	buf []byte
}

func (t *tail) Write(p []byte) (int, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	const keep = 64 << 10
	t.buf = append(t.buf, p...)
	if len(t.buf) > 2*keep {
		t.buf = append(t.buf[:0], t.buf[len(t.buf)-keep:]...)
	}
	return len(p), nil
}

func (t *tail) String() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	return string(t.buf)
}

var _ io.Writer = (*tail)(nil)
