package service

import (
	"encoding/xml"
	"fmt"
	"os"
	"os/user"
	"path/filepath"
	"strconv"
	"strings"
	"time"
	"unicode"

	"github.com/holdfast-backup/holdfast/wire/fault"
)

const (
	description  = "Holdfast agent: backs up this machine"
	restartAfter = 30 * time.Second
	usageCode    = 2 // the exit code of a wrong command line, which the next start would not mend
)

// definition is what a service manager is told.
type definition struct {
	binary    string
	arguments []string
	user      string // who it runs as; "" on Windows
	unit      string // for systemd
	plist     string // for launchd
}

// define checks a program and describes it. Whatever it says is a fault.
func (m *Manager) define(p Program) (definition, error) {
	if p.Binary == "" {
		exe, err := os.Executable()
		if err != nil {
			return definition{}, fault.Wrap(err, fault.Invalid, "this program's own file is not known: %s", err)
		}
		p.Binary = exe
	}
	for _, path := range []string{p.State, p.Binary} {
		if !filepath.IsAbs(path) || strings.ContainsFunc(path, unicode.IsControl) {
			return definition{}, fault.New(fault.Invalid, "%q must be an absolute path: a service has no working directory", path)
		}
	}
	info, err := os.Stat(p.Binary)
	if err != nil || !info.Mode().IsRegular() {
		return definition{}, fault.Wrap(err, fault.Invalid, "%s is not the agent's program", p.Binary)
	}
	d := definition{binary: p.Binary, arguments: []string{"run", "--state", p.State}}
	dir, err := os.Stat(p.State)
	if err != nil {
		return definition{}, m.noState(p.State, err)
	}
	if m.goos == "windows" {
		return d, nil
	}
	uid, ok := m.owner(dir)
	if !ok || m.uid != 0 && uid != m.uid {
		return definition{}, fault.New(fault.Forbidden, "%s belongs to somebody else: run this as the user who enrolled this machine, or as root", p.State)
	}
	if by, ok := m.owner(info); uid == 0 && (!ok || by != 0 || info.Mode().Perm()&0o022 != 0) {
		return definition{}, fault.New(fault.Forbidden, "%s can be changed by others than root, and a service of root would run it: copy it to /usr/local/bin as root, and run this from there", p.Binary)
	}
	d.user = userName(uid)
	d.unit = unitFile(d, m.scope)
	d.plist = plistFile(d, m.scope, m.name, filepath.Join(p.State, "service.log"))
	return d, nil
}

// noState says what is missing. Under sudo another state directory is the default than without.
func (m *Manager) noState(path string, err error) error {
	hint := ""
	if caller := m.getenv("SUDO_USER"); caller != "" && m.uid == 0 {
		hint = fmt.Sprintf("; if %s enrolled it without sudo, name the state directory with --state", caller)
	}
	return fault.Wrap(err, fault.NotFound, "no device is enrolled in %s: run holdfast-agent enroll first%s", path, hint)
}

// userName is the name of a user. One that is not known here, or would need quoting, is the number, which systemd takes as
// well.
func userName(uid int) string {
	number := strconv.Itoa(uid)
	if u, err := user.LookupId(number); err == nil && !strings.ContainsFunc(u.Username, unusual) {
		return u.Username
	}
	return number
}

// unitFile is a systemd unit.
func unitFile(d definition, scope Scope) string {
	var b strings.Builder
	line := func(format string, args ...any) { fmt.Fprintf(&b, format+"\n", args...) }
	line("[Unit]\nDescription=%s", description)
	if scope == System {
		line("Wants=network-online.target\nAfter=network-online.target")
	}
	line("\n[Service]")
	command := unitWord(d.binary)
	for _, a := range d.arguments {
		command += " " + strings.ReplaceAll(unitWord(a), "$", "$$") // the first word has no variables
	}
	line("ExecStart=%s", command)
	if scope == System {
		line("User=%s", d.user)
	}
	line("Restart=on-failure\nRestartSec=%d\nRestartPreventExitStatus=%d", int(restartAfter.Seconds()), usageCode)
	line("UMask=0077\nNice=10\nIOSchedulingClass=idle")
	target := "default.target"
	if scope == System {
		target = "multi-user.target"
	}
	line("\n[Install]\nWantedBy=%s", target)
	return b.String()
}

// unitWord quotes a word for systemd, and keeps it clear of the library's templates.
func unitWord(s string) string {
	s = strings.NewReplacer(`\`, `\\`, `"`, `\"`, "%", "%%", "{", `\x7b`).Replace(s)
	if strings.ContainsFunc(s, unusual) {
		return `"` + s + `"`
	}
	return s
}

// unusual reports whether a character may mean something to systemd.
func unusual(r rune) bool {
	return !unicode.IsLetter(r) && !unicode.IsDigit(r) && !strings.ContainsRune("/-_.+@", r)
}

// plistFile is a launchd job.
func plistFile(d definition, scope Scope, name, log string) string {
	var b strings.Builder
	b.WriteString(xml.Header)
	b.WriteString(`<!DOCTYPE plist PUBLIC "-//Apple//DTD PLIST 1.0//EN" "http://www.apple.com/DTDs/PropertyList-1.0.dtd">` + "\n<plist version=\"1.0\">\n<dict>\n")
	pair := func(key, value string) { fmt.Fprintf(&b, "\t<key>%s</key>\n\t%s\n", key, value) }
	pair("Label", plistText(name))
	words := "<array>"
	for _, w := range append([]string{d.binary}, d.arguments...) {
		words += "\n\t\t" + plistText(w)
	}
	pair("ProgramArguments", words+"\n\t</array>")
	if scope == System {
		pair("UserName", plistText(d.user))
	}
	pair("RunAtLoad", "<true/>")
	pair("KeepAlive", "<dict>\n\t\t<key>SuccessfulExit</key>\n\t\t<false/>\n\t</dict>")
	pair("ThrottleInterval", fmt.Sprintf("<integer>%d</integer>", int(restartAfter.Seconds())))
	pair("Umask", fmt.Sprintf("<integer>%d</integer>", 0o077))
	pair("ProcessType", "<string>Background</string>")
	pair("LowPriorityIO", "<true/>")
	pair("Nice", "<integer>10</integer>")
	pair("StandardErrorPath", plistText(log))
	b.WriteString("</dict>\n</plist>\n")
	return b.String()
}

// plistText is a string of a property list, kept clear of the library's templates.
func plistText(s string) string {
	var b strings.Builder
	_ = xml.EscapeText(&b, []byte(s)) // a Builder takes everything
	return "<string>" + strings.ReplaceAll(b.String(), "{", "&#123;") + "</string>"
}
