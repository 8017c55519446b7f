package place

var here = system{folders: func(home string) map[string]string { return usual(home, "Movies") }}
