package place

import "strings"

// shellNames are the places as the registry calls them.
var shellNames = map[string]string{
	"Personal": "~documents", "Desktop": "~desktop", "My Pictures": "~pictures", "My Music": "~music", "My Video": "~videos",
	"{374DE290-123F-4565-9164-39C4925E467B}": "~downloads",
}

// expand puts the home folder into a path of the registry. Paths with other variables, whose values are the person's,
// and such as lie on other machines, are not ok.
func expand(path, home string) (string, bool) {
	const profile = "%USERPROFILE%"
	if len(path) >= len(profile) && strings.EqualFold(path[:len(profile)], profile) {
		path = trim(home) + path[len(profile):]
	}
	drive := len(path) >= 3 && path[1] == ':' && path[2] == '\\'
	return path, drive && !strings.Contains(path, "%")
}
