package place

import (
	"path/filepath"
	"strings"

	"golang.org/x/sys/windows"
	"golang.org/x/sys/windows/registry"
)

var here = system{windows: true, folders: known}

// shellFolders is where Windows keeps, for each person, where their folders are.
const shellFolders = `Software\Microsoft\Windows\CurrentVersion\Explorer\User Shell Folders`

// known returns the places of the person whose profile home is.
func known(home string) map[string]string {
	m := usual(home, "Videos")
	if own, err := windows.KnownFolderPath(windows.FOLDERID_Profile, windows.KF_FLAG_DONT_VERIFY); err == nil && strings.EqualFold(own, filepath.Clean(home)) {
		for token, folder := range map[string]*windows.KNOWNFOLDERID{
			"~documents": windows.FOLDERID_Documents, "~desktop": windows.FOLDERID_Desktop, "~pictures": windows.FOLDERID_Pictures,
			"~music": windows.FOLDERID_Music, "~videos": windows.FOLDERID_Videos, "~downloads": windows.FOLDERID_Downloads,
		} {
			if path, err := windows.KnownFolderPath(folder, windows.KF_FLAG_DONT_VERIFY); err == nil && path != "" {
				m[token] = path
			}
		}
		return m
	}
	// The service runs as somebody else. The person's registry is there while they are logged in.
	id := sid(home)
	if id == "" {
		return m
	}
	k, err := registry.OpenKey(registry.USERS, id+`\`+shellFolders, registry.QUERY_VALUE)
	if err != nil {
		return m
	}
	defer k.Close()
	for value, token := range shellNames {
		if path, _, err := k.GetStringValue(value); err == nil {
			if path, ok := expand(path, home); ok {
				m[token] = path
			}
		}
	}
	return m
}

// sid returns the security identifier of the person whose profile home is, "" if the machine does not say.
func sid(home string) string {
	const profiles = `SOFTWARE\Microsoft\Windows NT\CurrentVersion\ProfileList`
	list, err := registry.OpenKey(registry.LOCAL_MACHINE, profiles, registry.ENUMERATE_SUB_KEYS)
	if err != nil {
		return ""
	}
	defer list.Close()
	names, err := list.ReadSubKeyNames(-1)
	if err != nil {
		return ""
	}
	for _, name := range names {
		k, err := registry.OpenKey(registry.LOCAL_MACHINE, profiles+`\`+name, registry.QUERY_VALUE)
		if err != nil {
			continue
		}
		path, _, err := k.GetStringValue("ProfileImagePath")
		k.Close()
		if err == nil {
			if full, err := registry.ExpandString(path); err == nil && strings.EqualFold(filepath.Clean(full), filepath.Clean(home)) {
				return name
			}
		}
	}
	return ""
}
