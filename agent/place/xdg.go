package place

import (
	"bufio"
	"io"
	"os"
	"path/filepath"
	"strings"
)

// xdgNames are the places as user-dirs.dirs calls them.
var xdgNames = map[string]string{
	"XDG_DOCUMENTS_DIR": "~documents", "XDG_DESKTOP_DIR": "~desktop", "XDG_PICTURES_DIR": "~pictures",
	"XDG_MUSIC_DIR": "~music", "XDG_VIDEOS_DIR": "~videos", "XDG_DOWNLOAD_DIR": "~downloads",
}

// maxConfig is how much of user-dirs.dirs is read: it has about a kilobyte.
const maxConfig = 64 << 10

// xdg returns the places of a person with a freedesktop.org desktop.
func xdg(home string) map[string]string {
	m := usual(home, "Videos")
	path := filepath.Join(home, ".config", "user-dirs.dirs")
	if info, err := os.Stat(path); err != nil || !info.Mode().IsRegular() {
		return m // opening a FIFO would wait for ever
	}
	f, err := os.Open(path)
	if err != nil {
		return m
	}
	defer f.Close()
	parseXDG(io.LimitReader(f, maxConfig), home, m)
	return m
}

// parseXDG reads lines such as XDG_MUSIC_DIR="$HOME/Musik" into m. A place that is the home folder itself is one that the person
// does without: it leaves m. Other lines are not for us.
func parseXDG(r io.Reader, home string, m map[string]string) {
	for lines := bufio.NewScanner(r); lines.Scan(); {
		name, value, ok := strings.Cut(strings.TrimSpace(lines.Text()), "=")
		token := xdgNames[strings.TrimSpace(name)]
		if !ok || token == "" {
			continue
		}
		value, ok = unquote(strings.TrimSpace(value))
		if !ok {
			continue
		}
		if rest, below := strings.CutPrefix(value, "$HOME"); below && (rest == "" || rest[0] == '/') {
			value = home + rest
		} else if !strings.HasPrefix(value, "/") {
			continue
		}
		if value = filepath.Clean(value); value == filepath.Clean(home) {
			delete(m, token)
		} else {
			m[token] = value
		}
	}
}

// unquote reads a shell's double-quoted string.
func unquote(s string) (string, bool) {
	if len(s) < 2 || s[0] != '"' {
		return "", false
	}
	var b strings.Builder
	for i := 1; i < len(s); i++ {
		switch s[i] {
		case '"':
			return b.String(), i == len(s)-1
		case '\\':
			if i++; i == len(s) {
				return "", false
			}
		}
		b.WriteByte(s[i])
	}
	return "", false
}
