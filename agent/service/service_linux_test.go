package service

import (
	"encoding/xml"
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	kardianos "github.com/kardianos/service"

	"github.com/holdfast-backup/holdfast/wire/fault"
)

// bin has a systemctl that notes its calls and answers what a test wrote down for a unit.
var bin string

const systemctl = `#!/bin/sh
for word; do case $word in *.service) unit=$word;; esac; done
[ -n "$unit" ] || exit 0
echo "$*" >>"$0.$unit.calls"
answer=$0.$unit.$1
[ -e "$answer" ] || exit 0
cat "$answer"
[ -s "$answer.code" ] && exit "$(cat "$answer.code")"
exit 0
`

func TestMain(m *testing.M) {
	os.Exit(func() int {
		home, err := os.MkdirTemp("", "holdfast-service-")
		if err != nil {
			panic(err)
		}
		defer os.RemoveAll(home)
		bin = filepath.Join(home, "bin")
		// The library finds both in the environment of the process, which tests share: each has a unit of its own.
		if err := errors.Join(os.Mkdir(bin, 0o755), os.WriteFile(filepath.Join(bin, "systemctl"), []byte(systemctl), 0o755),
			os.Setenv("PATH", bin+":"+os.Getenv("PATH")), os.Setenv("HOME", home)); err != nil {
			panic(err)
		}
		return m.Run()
	}())
}

// answer has systemctl answer for a unit.
func (m *Manager) answer(t *testing.T, action, text, code string) {
	t.Helper()
	path := filepath.Join(bin, "systemctl."+m.name+".service."+action)
	if err := errors.Join(os.WriteFile(path, []byte(text), 0o644), os.WriteFile(path+".code", []byte(code), 0o644)); err != nil {
		t.Fatal(err)
	}
}

// calls returns what systemctl was called with for a unit.
func (m *Manager) calls(t *testing.T) string {
	t.Helper()
	b, err := os.ReadFile(filepath.Join(bin, "systemctl."+m.name+".service.calls"))
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// newManager manages a person's service of its own name, on a machine with systemd, on which it is not installed.
func newManager(t *testing.T) *Manager {
	t.Helper()
	m := New()
	m.name = strings.ToLower(strings.ReplaceAll(t.Name(), "/", "-"))
	m.scope, m.linger = User, t.TempDir()
	for _, s := range kardianos.AvailableSystems() {
		if s.String() == "linux-systemd" {
			m.system = s
		}
	}
	if m.system == nil {
		t.Fatal("the library does not know systemd")
	}
	m.answer(t, "is-active", "inactive\n", "3")
	return m
}

// program is an agent and its state, in a folder whose name tries everything.
func newProgram(t *testing.T) Program {
	t.Helper()
	dir := filepath.Join(t.TempDir(), `Zoë's "100%" {{Path}} $HOME & \`)
	p := Program{State: filepath.Join(dir, "state"), Binary: filepath.Join(dir, "holdfast-agent")}
	if err := errors.Join(os.MkdirAll(p.State, 0o700), os.WriteFile(p.Binary, nil, 0o755)); err != nil {
		t.Fatal(err)
	}
	return p
}

func TestLifeOfAService(t *testing.T) {
	t.Parallel()
	m, p := newManager(t), newProgram(t)
	if st, err := m.Status(); err != nil || st != (Status{State: Absent}) {
		t.Fatalf("%v, %v", st, err)
	}
	for name, do := range map[string]func() error{"start": m.Start, "stop": m.Stop, "uninstall": m.Uninstall} {
		if err := do(); !errors.Is(err, fault.NotFound) {
			t.Errorf("%s of what is not installed: %v", name, err)
		}
	}
	done, err := m.Install(p)
	if err != nil {
		t.Fatal(err)
	}
	if done.Scope != User || len(done.Hints) != 1 || !strings.Contains(done.Hints[0], "enable-linger "+done.RunsAs) {
		t.Errorf("%+v", done)
	}
	// The library wrote the unit as it was given.
	def, err := m.define(p)
	if err != nil {
		t.Fatal(err)
	}
	if b, err := os.ReadFile(m.unit(User)); err != nil || string(b) != def.unit {
		t.Errorf("%s, %v", b, err)
	}
	for text, want := range map[string]State{"active\n": Running, "activating\n": Running, "failed\n": Failed} {
		m.answer(t, "is-active", text, "0")
		if st, err := m.Status(); err != nil || st != (Status{want, User}) {
			t.Errorf("%s: %v, %v", text, st, err)
		}
	}
	m.answer(t, "is-active", "deactivating\n", "3")
	if _, err := m.Status(); !errors.Is(err, fault.Unavailable) {
		t.Errorf("while it stops: %v", err)
	}
	if err := m.Stop(); !errors.Is(err, fault.Unavailable) {
		t.Errorf("while nobody knows how it is: %v", err)
	}
	m.answer(t, "is-active", "inactive\n", "3")
	m.answer(t, "list-unit-files", m.name+".service enabled\n", "0")
	if st, err := m.Status(); err != nil || st != (Status{Stopped, User}) {
		t.Errorf("%v, %v", st, err)
	}
	if _, err := m.Install(p); !errors.Is(err, fault.Conflict) || !strings.Contains(err.Error(), "uninstall") {
		t.Errorf("installed twice: %v", err)
	}
	if err := errors.Join(m.Start(), m.Stop(), m.Uninstall()); err != nil {
		t.Error(err)
	}
	if _, err := os.Stat(m.unit(User)); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("the unit is still there: %v", err)
	}
	u := m.name + ".service\n"
	if got, want := m.calls(t), "enable --user "+u+"start --user "+u+"stop --user "+u+"stop --user "+u+"disable --user "+u; withoutQuestions(got) != want {
		t.Errorf("calls\n%swant\n%s", withoutQuestions(got), want)
	}
}

// withoutQuestions leaves what changes something.
func withoutQuestions(calls string) string {
	var b strings.Builder
	for line := range strings.Lines(calls) {
		if !strings.HasPrefix(line, "is-active") && !strings.HasPrefix(line, "list-unit-files") {
			b.WriteString(line)
		}
	}
	return b.String()
}

func TestLinger(t *testing.T) {
	t.Parallel()
	m := newManager(t)
	if err := os.WriteFile(filepath.Join(m.linger, "zoe"), nil, 0o644); err != nil {
		t.Fatal(err)
	}
	if h := m.hints("zoe"); h != nil {
		t.Errorf("%q", h)
	}
	if h := m.hints("ann"); len(h) != 1 {
		t.Errorf("%q", h)
	}
	if m.scope = System; m.hints("ann") != nil {
		t.Error("a service of the machine needs no login")
	}
	if m.scope, m.goos = User, "darwin"; len(m.hints("zoe")) != 1 {
		t.Error("no hint on macOS")
	}
}

func TestSystemdRefuses(t *testing.T) {
	t.Parallel()
	m, p := newManager(t), newProgram(t)
	m.answer(t, "enable", "", "1")
	_, err := m.Install(p)
	if !errors.Is(err, fault.Conflict) || !strings.Contains(err.Error(), "systemctl --user status") {
		t.Errorf("%v", err)
	}
	if _, err := os.Stat(m.unit(User)); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("half a service is left: %v", err)
	}
	m.answer(t, "is-active", "active\n", "0")
	m.answer(t, "start", "", "1")
	for goos, want := range map[string]string{"linux": "journalctl", "darwin": "state directory", "windows": "administrator"} {
		m.goos, m.scope = goos, System
		if err := m.Start(); !errors.Is(err, fault.Conflict) || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v", goos, err)
		}
	}
}

func TestMachinesServiceSeenByAPerson(t *testing.T) {
	t.Parallel()
	m := newManager(t)
	// To systemctl both are one unit here: it is told apart by who asks.
	m.system = onlySystem{m.system}
	m.answer(t, "is-active", "active\n", "0")
	if st, err := m.Status(); err != nil || st != (Status{Running, System}) {
		t.Errorf("%v, %v", st, err)
	}
	if err := m.Stop(); !errors.Is(err, fault.Forbidden) {
		t.Errorf("%v", err)
	}
}

// onlySystem has no services of persons.
type onlySystem struct{ kardianos.System }

func (s onlySystem) New(i kardianos.Interface, c *kardianos.Config) (kardianos.Service, error) {
	v, err := s.System.New(i, c)
	if c.Option["UserService"] == true {
		return absent{v}, err
	}
	return v, err
}

type absent struct{ kardianos.Service }

func (absent) Status() (kardianos.Status, error) {
	return kardianos.StatusUnknown, kardianos.ErrNotInstalled
}

func TestWithoutServiceManager(t *testing.T) {
	t.Parallel()
	m := newManager(t)
	m.system = nil
	if st, err := m.Status(); err != nil || st != (Status{State: Absent}) {
		t.Errorf("%v, %v", st, err)
	}
	_, err := m.Install(newProgram(t))
	for _, err := range []error{err, m.Start(), m.Stop(), m.Uninstall()} {
		if !errors.Is(err, fault.Conflict) || !strings.Contains(err.Error(), "holdfast-agent run") {
			t.Errorf("%v", err)
		}
	}
	m.system = broken{}
	if _, err := m.Status(); err == nil || !strings.Contains(err.Error(), "no luck") {
		t.Errorf("%v", err)
	}
}

func TestStatusThatIsNone(t *testing.T) {
	t.Parallel()
	m := newManager(t)
	var answer strange
	m.system = strangeSystem{m.system, &answer}
	answer.err = errors.New("a riddle")
	for _, err := range []error{m.Start(), second(m.Status()), second(m.Install(newProgram(t)))} {
		if !errors.Is(err, fault.Unavailable) || !strings.Contains(err.Error(), "a riddle") {
			t.Errorf("%v", err)
		}
	}
	answer = strange{status: kardianos.StatusUnknown}
	if st, err := m.Status(); err != nil || st.State != Absent {
		t.Errorf("%v, %v", st, err)
	}
}

func second[T any](_ T, err error) error { return err }

type strange struct {
	status kardianos.Status
	err    error
}

// strangeSystem answers whatever it is told to.
type strangeSystem struct {
	kardianos.System
	answer *strange
}

func (s strangeSystem) New(i kardianos.Interface, c *kardianos.Config) (kardianos.Service, error) {
	v, err := s.System.New(i, c)
	return strangeService{v, s.answer}, err
}

type strangeService struct {
	kardianos.Service
	answer *strange
}

func (s strangeService) Status() (kardianos.Status, error) { return s.answer.status, s.answer.err }

func TestWhereUnitsAre(t *testing.T) {
	t.Parallel()
	m := New()
	m.goos, m.getenv = "linux", func(string) string { return "/home/zoe" }
	if got := m.unit(User); got != "/home/zoe/.config/systemd/user/holdfast-agent.service" {
		t.Error(got)
	}
	if got := m.unit(System); got != "/etc/systemd/system/holdfast-agent.service" {
		t.Error(got)
	}
	m.getenv = func(string) string { return "" }
	if got := m.unit(User); got != "" {
		t.Error(got)
	}
	if m.goos = "darwin"; m.unit(System) != "" {
		t.Error("a unit on macOS")
	}
}

// broken is a service manager that cannot be talked to.
type broken struct{ kardianos.System }

func (broken) New(kardianos.Interface, *kardianos.Config) (kardianos.Service, error) {
	return nil, errors.New("no luck")
}

func TestWhoInstalls(t *testing.T) {
	t.Parallel()
	p := newProgram(t)
	open := newProgram(t)
	if err := os.Chmod(open.Binary, 0o775); err != nil {
		t.Fatal(err)
	}
	const zoe, ann = 54321, 54322 // whom this machine does not know
	for _, c := range []struct {
		name          string
		uid           int
		state, binary int // whose they are
		program       Program
		want          error
		user          string
	}{
		{"root, of a machine that root enrolled", 0, 0, 0, p, nil, "root"},
		{"root, of a machine that a person enrolled", 0, zoe, zoe, p, nil, "54321"},
		{"root, with a program that others own", 0, 0, zoe, p, fault.Forbidden, ""},
		{"root, with a program that others can write", 0, 0, 0, open, fault.Forbidden, ""},
		{"a person", zoe, zoe, 0, p, nil, "54321"},
		{"a person, with a program of their own", zoe, zoe, zoe, open, nil, "54321"},
		{"another person", ann, zoe, 0, p, fault.Forbidden, ""},
		{"a relative state directory", zoe, zoe, 0, Program{"state", p.Binary}, fault.Invalid, ""},
		{"a relative program", zoe, zoe, 0, Program{p.State, "agent"}, fault.Invalid, ""},
		{"a path of two lines", zoe, zoe, 0, Program{p.State + "\nUser=root", p.Binary}, fault.Invalid, ""},
		{"no program", zoe, zoe, 0, Program{p.State, p.Binary + "x"}, fault.Invalid, ""},
		{"a folder for a program", zoe, zoe, 0, Program{p.State, p.State}, fault.Invalid, ""},
		{"no state directory", zoe, zoe, 0, Program{p.State + "x", p.Binary}, fault.NotFound, ""},
	} {
		m := New()
		m.uid = c.uid
		m.owner = func(info fs.FileInfo) (int, bool) {
			if info.IsDir() {
				return c.state, true
			}
			return c.binary, true
		}
		def, err := m.define(c.program)
		if !errors.Is(err, c.want) || def.user != c.user {
			t.Errorf("%s: %q, %v", c.name, def.user, err)
		}
	}
	m := New()
	m.owner = func(fs.FileInfo) (int, bool) { return 0, false }
	if _, err := m.define(p); !errors.Is(err, fault.Forbidden) {
		t.Errorf("nobody's: %v", err)
	}
	m.goos = "windows" // where owners are of no use
	if def, err := m.define(p); err != nil || def.user != "" || strings.Join(def.arguments, " ") != "run --state "+p.State {
		t.Errorf("%+v, %v", def, err)
	}
	m.uid, m.getenv = 0, func(string) string { return "zoe" }
	if _, err := m.define(Program{State: p.State + "x", Binary: p.Binary}); err == nil || !strings.Contains(err.Error(), "if zoe enrolled it without sudo") {
		t.Errorf("%v", err)
	}
	// The agent itself is the program if nobody names one; here it is the test.
	if exe, err := os.Executable(); err != nil {
		t.Error(err)
	} else if def, err := m.define(Program{State: p.State}); err != nil || def.binary != exe {
		t.Errorf("%+v, %v", def, err)
	}
}

func TestUnits(t *testing.T) {
	t.Parallel()
	d := definition{binary: `/opt/Hold fast/100%/agent`, arguments: []string{"run", "--state", `/home/zoe/$x "y" {{z}}\`}, user: "zoe"}
	const service = `ExecStart="/opt/Hold fast/100%%/agent" run --state "/home/zoe/$$x \"y\" \x7b\x7bz}}\\"
`
	const rest = `Restart=on-failure
RestartSec=30
RestartPreventExitStatus=2
UMask=0077
Nice=10
IOSchedulingClass=idle

[Install]
`
	for scope, want := range map[Scope]string{
		System: "[Unit]\nDescription=Holdfast agent: backs up this machine\nWants=network-online.target\nAfter=network-online.target\n\n[Service]\n" +
			service + "User=zoe\n" + rest + "WantedBy=multi-user.target\n",
		User: "[Unit]\nDescription=Holdfast agent: backs up this machine\n\n[Service]\n" + service + rest + "WantedBy=default.target\n",
	} {
		if got := unitFile(d, scope); got != want {
			t.Errorf("%s:\n%swant\n%s", scope, got, want)
		}
	}
	if got := unitFile(definition{binary: "/usr/local/bin/holdfast-agent", arguments: []string{"run", "--state", "/var/lib/holdfast-agent"}}, User); !strings.Contains(got, "\nExecStart=/usr/local/bin/holdfast-agent run --state /var/lib/holdfast-agent\n") {
		t.Error(got)
	}
}

func TestPropertyLists(t *testing.T) {
	t.Parallel()
	d := definition{binary: "/opt/<agent>", arguments: []string{"run", "--state", `/Users/zoe/A & {{B}}`}, user: "zoe"}
	for scope, wantUser := range map[Scope]bool{System: true, User: false} {
		text := plistFile(d, scope, "holdfast-agent", "/Users/zoe/service.log")
		if strings.Contains(text, "{") {
			t.Errorf("the library would read it as a template:\n%s", text)
		}
		var words []string // keys and values, in order
		for r := xml.NewDecoder(strings.NewReader(text)); ; {
			token, err := r.Token()
			if err == io.EOF {
				break
			} else if err != nil {
				t.Fatal(err)
			}
			switch v := token.(type) {
			case xml.CharData:
				if s := strings.TrimSpace(string(v)); s != "" {
					words = append(words, s)
				}
			case xml.StartElement:
				if v.Name.Local == "true" || v.Name.Local == "false" {
					words = append(words, v.Name.Local)
				}
			}
		}
		want := "Label|holdfast-agent|ProgramArguments|/opt/<agent>|run|--state|/Users/zoe/A & {{B}}|"
		if wantUser {
			want += "UserName|zoe|"
		}
		want += "RunAtLoad|true|KeepAlive|SuccessfulExit|false|ThrottleInterval|30|Umask|63|ProcessType|Background|LowPriorityIO|true|Nice|10|" +
			"StandardErrorPath|/Users/zoe/service.log"
		if got := strings.Join(words, "|"); got != want {
			t.Errorf("%s:\n%s\nwant\n%s", scope, got, want)
		}
	}
}
