package state

import (
	"os"
	"path/filepath"
	"runtime"

	"github.com/holdfast-backup/holdfast/wire/fault"
)

// Default returns where the state lives if nobody says otherwise. getenv is os.Getenv.
//
//	root          /var/lib/holdfast-agent
//	Linux …       $XDG_STATE_HOME/holdfast-agent, ~/.local/state/holdfast-agent
//	macOS         ~/Library/Application Support/Holdfast Agent
//	Windows       %ProgramData%\Holdfast Agent
func Default(getenv func(string) string) (string, error) {
	return defaultFor(runtime.GOOS, os.Geteuid(), getenv)
}

func defaultFor(goos string, uid int, getenv func(string) string) (string, error) {
	if goos == "windows" {
		if dir := getenv("ProgramData"); dir != "" {
			return filepath.Join(dir, "Holdfast Agent"), nil
		}
		return "", fault.New(fault.Invalid, "%%ProgramData%% is not set: name the state directory with --state")
	}
	if uid == 0 {
		return "/var/lib/holdfast-agent", nil
	}
	home := getenv("HOME")
	if goos == "darwin" && home != "" {
		return filepath.Join(home, "Library", "Application Support", "Holdfast Agent"), nil
	}
	if dir := getenv("XDG_STATE_HOME"); filepath.IsAbs(dir) {
		return filepath.Join(dir, "holdfast-agent"), nil
	}
	if home == "" {
		return "", fault.New(fault.Invalid, "$HOME is not set: name the state directory with --state")
	}
	return filepath.Join(home, ".local", "state", "holdfast-agent"), nil
}
