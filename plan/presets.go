package plan

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"unicode"
)

// Preset is a kind of files.
type Preset struct {
	Name       string   // "documents"
	Title      string   // "Documents"
	Extensions []string // ".docx": lower case, with the dot, sorted; none for "everything"
}

// everythingPreset is the preset that filters nothing.
const everythingPreset = "everything"

// Presets returns the kinds of files, most wanted first.
func Presets() []Preset {
	list := make([]Preset, len(presets))
	for i, p := range presets {
		ext := strings.Fields(p.extensions)
		for j := range ext {
			ext[j] = "." + ext[j]
		}
		slices.Sort(ext)
		list[i] = Preset{p.name, p.title, ext}
	}
	return list
}

// Extensions returns the extensions of the named presets and extra ones, normalised, sorted, each once. With
// "everything" among the names, or with neither names nor extra ones, it returns nil: every file.
func Extensions(names, extra []string) ([]string, error) {
	all := Presets()
	var list []string
	everything := false
	for _, name := range names {
		i := slices.IndexFunc(all, func(p Preset) bool { return p.Name == name })
		if i < 0 {
			return nil, unknownPreset("kind of files", name, len(all), func(i int) string { return all[i].Name })
		}
		everything = everything || name == everythingPreset
		list = append(list, all[i].Extensions...)
	}
	for _, s := range extra {
		ext, err := NormalizeExtension(s)
		if err != nil {
			return nil, err
		}
		list = append(list, ext)
	}
	if everything || len(list) == 0 {
		return nil, nil
	}
	return set(list), nil
}

func unknownPreset(what, name string, n int, at func(int) string) error {
	var known []string
	for i := range n {
		known = append(known, at(i))
	}
	return fmt.Errorf("the %s %q is not known: want one of %s", what, clip(name), strings.Join(known, ", "))
}

const maxExtension = 32 // bytes, with the dot

// NormalizeExtension returns the one spelling of an extension, ".docx", for "docx", "DOCX", ".docx" and "*.docx".
// Several dots are fine: ".tar.gz" is what names end in.
func NormalizeExtension(s string) (string, error) {
	ext := strings.TrimSpace(s)
	ext = strings.TrimPrefix(ext, "*")
	ext = strings.ToLower(strings.TrimPrefix(ext, "."))
	switch {
	case ext == "":
		return "", errors.New("an extension is empty: want one such as .docx; for every file leave extensions out")
	case len(ext) >= maxExtension:
		return "", fmt.Errorf("the extension %q is longer than %d bytes", clip(s), maxExtension)
	case strings.HasPrefix(ext, "."), strings.HasSuffix(ext, "."), strings.ContainsFunc(ext, func(r rune) bool {
		return unicode.IsSpace(r) || !unicode.IsPrint(r) || r == unicode.ReplacementChar || strings.ContainsRune(`/\*?[]<>:"|,;`, r)
	}):
		return "", fmt.Errorf("the extension %q is not right: want letters and digits, such as .docx or .tar.gz", clip(s))
	}
	return "." + ext, nil
}

var presets = []struct{ name, title, extensions string }{
	{everythingPreset, "Everything", ""},
	{"documents", "Documents", "pdf doc docx docm dot dotx dotm odt ott fodt rtf txt md tex bib pages wpd wps epub djvu xps oxps " +
		"one vsd vsdx odg pub"},
	{"spreadsheets", "Spreadsheets", "xls xlsx xlsm xlsb xlt xltx xltm ods ots fods csv tsv numbers"},
	{"presentations", "Presentations", "ppt pptx pptm pps ppsx ppsm pot potx potm odp otp fodp key"},
	{"images", "Images", "jpg jpeg jpe jp2 png gif bmp tif tiff webp heic heif avif svg svgz eps ai psd psb xcf kra ico " +
		"raw dng cr2 cr3 nef nrw arw orf rw2 raf pef srw xmp"},
	{"audio", "Audio", "mp3 m4a m4b aac flac ogg oga opus wav aif aiff wma mid midi amr"},
	{"video", "Video", "mp4 m4v mov avi mkv webm wmv mpg mpeg mpe mts m2ts vob flv 3gp 3g2 ogv srt vtt"},
	{"mail", "Mail, contacts and calendars", "pst ost olm eml emlx msg mbox mbx dbx nsf vcf ics"},
	{"archives", "Archives", "zip 7z rar tar gz tgz bz2 tbz2 xz txz zst lz lzma cab iso dmg"},
	{"source", "Source code", "go c h cc cpp cxx hh hpp cs java kt kts scala groovy js mjs cjs jsx ts mts cts tsx vue svelte py pyi ipynb rb php pl pm " +
		"rs swift m mm r rmd jl lua sh bash zsh fish ps1 psm1 bat cmd vb vbs bas cls frm pas f f90 f95 for asm s sql graphql graphqls proto " +
		"html htm css scss sass less xml xsd xsl xslt json jsonl yaml yml toml ini cfg conf properties tf hcl gradle cmake mk sln csproj " +
		"tla v sv vhd vhdl do sas sps mat"},
	{"databases", "Databases", "db db3 sqlite sqlite3 mdb accdb dbf fdb gdb odb sdf mdf ldf ndf frm myd myi ibd sql dump bak sav dta rds rdata parquet kdbx"},
	{"design", "Plans and models", "dwg dxf dwt dwf rvt rfa ifc skp step stp iges igs stl obj 3mf fbx blend 3ds max sldprt sldasm slddrw ipt iam idw f3d " +
		"catpart catproduct indd idml shp shx prj qgz qgs gpkg kml kmz geojson"},
}
