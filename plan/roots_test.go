package plan

import (
	"strings"
	"testing"
)

func TestRoots(t *testing.T) {
	t.Parallel()
	for _, s := range []string{
		"~", "~/", "~/x", "~/x/", "~/Meine Daten/2024", "~documents", "~documents/a/b", "~desktop", "~pictures", "~music", "~videos", "~downloads/", "~/..x/x..", "~/.config", "~/~",
		"/", "/srv", "/srv/", `/a\b`, "/a:b", "/Ελλάδα", `C:\`, "C:/", `c:\Data`, "D:/Data/x/", `C:\Data\x\`, `C:\mixed/x`,
	} {
		if err := CheckRoot(s); err != nil {
			t.Errorf("%q: %v", s, err)
		}
	}
	for s, want := range map[string]string{
		"": "a folder has no name", "x": `is relative, and a policy has no folder to begin from: want one such as ~/x or /x`, "./x": "is relative", "../x": "is relative", "-": "is relative",
		"~x": "is not known: want ~, ~documents, ~desktop, ~pictures, ~music, ~videos or ~downloads", "~root": "is not known", "~Documents": "is not known", `~\x`: "is not known", "~~": "is not known", "~documents2/x": "is not known",
		"/..": `contains ".."`, "/a/../b": `contains ".."`, "~/..": `contains ".."`, "~documents/../x": `contains ".."`, `C:\a\..\b`: `contains ".."`, "C:/..": `contains ".."`, "/./a": `contains "."`,
		"//": "two slashes in a row", "/a//b": "two slashes in a row", "~//": "two slashes in a row", "~//x": "two slashes in a row", `C:\\a`: "two slashes in a row", "/a//": "two slashes in a row",
		"C:": `begins somewhere on the drive C:: write C:\ for all of it`, "C:x": "begins somewhere on the drive", `\x`: "is relative", `\\server\share`: "lies on another machine", "1:/x": "is relative",
		"C:/a:b": "no name on Windows has", `C:\a?`: "no name on Windows has", "/a\x00b": "cannot be shown", "/a\nb": "cannot be shown", "/a\xffb": "cannot be shown", "~/\u0085": "cannot be shown",
		"/" + strings.Repeat("a", 1000): "is longer than 1000 bytes",
	} {
		if err := CheckRoot(s); err == nil || !strings.Contains(err.Error(), want) || len(err.Error()) > 300 {
			t.Errorf("%q: %v; want %q", s, err, want)
		}
	}
}

func TestPlaces(t *testing.T) {
	t.Parallel()
	if n := len(Places()); n != 7 {
		t.Errorf("%d places", n)
	}
	for _, p := range Places() {
		if err := CheckRoot(p.Name); err != nil || p.Title == "" {
			t.Errorf("%+v: %v", p, err)
		}
	}
	Places()[0].Name = "changed"
	if Places()[0].Name != "~" {
		t.Error("places can be changed")
	}
}
