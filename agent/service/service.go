// Package service makes the machine run the agent: as a systemd unit, a launchd job or a Windows service.
//
// Who installs it decides what it is:
//
//	root          a service of the machine, which runs as the owner of the state directory, from boot on
//	anybody else  a service of that person, which runs while they are logged in; on Linux also without a login, once an
//	              administrator lets it linger
//	Windows       a service of the machine, which runs as the system's own account
//
// So a service never has more rights than whoever enrolled the machine. The definitions are written here, not by the
// library, which knows neither user units nor priorities: the agent runs with low priority, is started again
// when it failed, and is left alone when it was stopped, or called wrongly.
//
// On a machine without one of these, as most containers are, everything but [Manager.Status] and [Run] fails with a
// fault that says to run the agent by other means: it needs no service manager.
//
// What is not promised: that a definition which somebody changed by hand is kept. Uninstall and Install write it anew.
package service

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"

	kardianos "github.com/kardianos/service"

	"github.com/holdfast-backup/holdfast/wire/fault"
)

// Name is what the service is called.
const Name = "holdfast-agent"

// Scope says whose a service is.
type Scope string

// The scopes.
const (
	System Scope = "system" // the machine's
	User   Scope = "user"   // a person's
)

// State is what a service does.
type State string

// The states.
const (
	Absent  State = "not installed"
	Stopped State = "stopped"
	Running State = "running"
	Failed  State = "failed" // it ended by itself, and is not started again
)

// Status is how a service is. Scope is "" if it is absent.
type Status struct {
	State State
	Scope Scope
}

// Program is what the service runs.
type Program struct {
	State  string // the state directory of an enrolled device: absolute
	Binary string // the agent: absolute; "": this program
}

// Installed is what Install made.
type Installed struct {
	Scope  Scope
	RunsAs string   // "" on Windows: the system's own account
	Hints  []string // sentences about what does not go by itself
}

// Manager manages the service of this machine or, unless root calls, of this person.
type Manager struct {
	name   string
	goos   string
	uid    int // -1 on Windows
	scope  Scope
	system kardianos.System // nil: there is none that we know
	getenv func(string) string
	owner  func(fs.FileInfo) (uid int, ok bool)
	linger string // the folder in which systemd notes whose services run without a login
}

// New returns the manager for whoever calls. It does not fail: on a machine without a service manager its methods do.
func New() *Manager {
	m := &Manager{name: Name, goos: runtime.GOOS, uid: os.Geteuid(), scope: User, getenv: os.Getenv, owner: owner, linger: "/var/lib/systemd/linger"}
	if m.uid <= 0 {
		m.scope = System
	}
	if s := kardianos.ChosenSystem(); s != nil && (m.goos != "linux" || s.String() == "linux-systemd") {
		m.system = s
	}
	return m
}

// Install makes the service and has it started with the machine, or with the person's login. It does not start it now.
// It fails with a fault.Conflict if it is installed already or there is no service manager, and with another one that says
// what is wrong with the program.
func (m *Manager) Install(p Program) (Installed, error) {
	def, err := m.define(p)
	if err != nil {
		return Installed{}, err
	}
	s, err := m.handle(m.scope, def)
	if err != nil {
		return Installed{}, err
	}
	if st, err := m.at(m.scope); err != nil {
		return Installed{}, err
	} else if st != Absent {
		return Installed{}, fault.New(fault.Conflict, "the service is installed already: to install it anew, run holdfast-agent service uninstall first")
	}
	if err := s.Install(); err != nil {
		// What was half made would be in the way of the next attempt.
		_ = s.Uninstall()
		_ = os.Remove(m.unit(m.scope))
		return Installed{}, m.failed(err, "installed")
	}
	return Installed{m.scope, def.user, m.hints(def.user)}, nil
}

// Uninstall stops the service and removes it. The state directory stays.
func (m *Manager) Uninstall() error {
	return m.control("removed", func(s kardianos.Service) error {
		_ = s.Stop() // it may be stopped, and an error would say so
		return s.Uninstall()
	})
}

// Start starts the service; one that runs already stays as it is.
func (m *Manager) Start() error { return m.control("started", kardianos.Service.Start) }

// Stop stops the service until the machine, or the person's login, starts the next time.
func (m *Manager) Stop() error { return m.control("stopped", kardianos.Service.Stop) }

// Status says how the service is. A person's own comes before the machine's.
func (m *Manager) Status() (Status, error) {
	if m.system == nil {
		return Status{State: Absent}, nil
	}
	for _, scope := range slices.Compact([]Scope{m.scope, System}) {
		if st, err := m.at(scope); err != nil || st != Absent {
			return Status{st, scope}, err
		}
	}
	return Status{State: Absent}, nil
}

// control does something to a service that is installed.
func (m *Manager) control(what string, do func(kardianos.Service) error) error {
	s, err := m.handle(m.scope, definition{})
	if err != nil {
		return err
	}
	st, err := m.Status()
	switch {
	case err != nil:
		return err
	case st.State == Absent:
		return fault.New(fault.NotFound, "the service is not installed: run holdfast-agent service install")
	case st.Scope != m.scope:
		return fault.New(fault.Forbidden, "the service is the machine's: run this as root")
	}
	if err := do(s); err != nil {
		return m.failed(err, what)
	}
	return nil
}

// at returns the state of the service in a scope.
func (m *Manager) at(scope Scope) (State, error) {
	s, err := m.handle(scope, definition{})
	if err != nil {
		return "", err
	}
	switch st, err := s.Status(); {
	case errors.Is(err, kardianos.ErrNotInstalled):
		if _, err := os.Stat(m.unit(scope)); err == nil {
			return "", fault.New(fault.Unavailable, "the service is installed, and systemd does not say how it is: it is stopping just now, or systemd cannot be reached from this session")
		}
		return Absent, nil
	case err != nil && strings.Contains(err.Error(), "failed state"):
		return Failed, nil
	case err != nil:
		return "", fault.Wrap(err, fault.Unavailable, "how the service is cannot be found out: %s", err)
	case st == kardianos.StatusRunning:
		return Running, nil
	case st == kardianos.StatusStopped:
		return Stopped, nil
	}
	return Absent, nil
}

// handle is the library's hold of the service in a scope.
func (m *Manager) handle(scope Scope, def definition) (kardianos.Service, error) {
	if m.system == nil {
		return nil, fault.New(fault.Conflict, "this machine has no service manager that the agent knows (systemd, launchd, Windows): have holdfast-agent run started by other means, such as the container's command, an init script or cron's @reboot")
	}
	s, err := m.system.New(nil, &kardianos.Config{
		Name: m.name, DisplayName: "Holdfast agent", Description: description, Executable: def.binary, Arguments: def.arguments,
		Option: kardianos.KeyValue{
			"UserService": scope == User, "SystemdScript": def.unit, "LaunchdConfig": def.plist,
			"OnFailure": "restart", "OnFailureDelayDuration": restartAfter.String(), "DelayedAutoStart": true,
		},
	})
	if err != nil {
		return nil, fmt.Errorf("the service manager: %w", err)
	}
	return s, nil
}

// failed says what to do when the service manager refuses.
func (m *Manager) failed(err error, what string) error {
	advice := "run this as an administrator"
	switch {
	case m.goos == "linux" && m.scope == User:
		advice = fmt.Sprintf("systemctl --user status %s says why. If that cannot connect, log in as this user directly, not through su or sudo; or, as root, install a service of the machine", m.name)
	case m.goos == "linux":
		advice = fmt.Sprintf("systemctl status %s and journalctl -u %s say why", m.name, m.name)
	case m.goos == "darwin":
		advice = "launchctl print-disabled and the log in the state directory may say why"
	}
	return fault.Wrap(err, fault.Conflict, "the service could not be %s (%s): %s", what, err, advice)
}

// unit is where the library writes a systemd unit; "" where there is none.
func (m *Manager) unit(scope Scope) string {
	switch home := m.getenv("HOME"); {
	case m.goos != "linux":
		return ""
	case scope == System:
		return filepath.Join("/etc/systemd/system", m.name+".service")
	case home == "":
		return ""
	default:
		return filepath.Join(home, ".config", "systemd", "user", m.name+".service")
	}
}

// hints are about what an installed service does not do by itself.
func (m *Manager) hints(user string) []string {
	switch {
	case m.scope == System || m.goos == "windows":
		return nil
	case m.goos == "darwin":
		return []string{"The service runs while you are logged in. For backups at any time, install it with sudo."}
	}
	if _, err := os.Stat(filepath.Join(m.linger, user)); err == nil {
		return nil
	}
	return []string{fmt.Sprintf("The service runs while you are logged in. For backups at any time, run: sudo loginctl enable-linger %s", user)}
}
