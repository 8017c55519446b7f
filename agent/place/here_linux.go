package place

var here = system{folders: xdg}
