package talk

import "strings"

// Kind is what a person calls a sort of file. It is told by the name alone.
type Kind uint8

// The kinds.
const (
	Other Kind = iota
	Folder
	Document
	Spreadsheet
	Presentation
	Image
	Audio
	Video
	Archive
	Source // of programs, and what looks like it
	Mail
	Database
	Link // a symbolic link
	Special

	kinds
)

var kindNames = [kinds]string{"other", "folder", "document", "spreadsheet", "presentation", "image", "audio", "video", "archive", "code", "mail",
	"database", "link", "special"}

// String returns the kind's name, as it is in addresses.
func (k Kind) String() string {
	if k >= kinds {
		return kindNames[Other]
	}
	return kindNames[k]
}

// ParseKind is the inverse of String. ok is false for a name of no kind.
func ParseKind(s string) (k Kind, ok bool) {
	for i, name := range kindNames {
		if name == s {
			return Kind(i), true
		}
	}
	return Other, false
}

// MarshalText implements encoding.TextMarshaler.
func (k Kind) MarshalText() ([]byte, error) { return []byte(k.String()), nil }

// UnmarshalText implements encoding.TextUnmarshaler. What it does not know is Other.
func (k *Kind) UnmarshalText(b []byte) error {
	*k, _ = ParseKind(string(b))
	return nil
}

// extensions of the kinds that are told by them: lower case, with a dot.
var extensions = [kinds]string{
	Document:     ".pdf .doc .docx .docm .dot .dotx .odt .ott .rtf .txt .md .tex .pages .epub .mobi .djvu .xps .wpd .wps .csv .log",
	Spreadsheet:  ".xls .xlsx .xlsm .xlsb .xlt .xltx .ods .ots .numbers .tsv",
	Presentation: ".ppt .pptx .pptm .pps .ppsx .pot .potx .odp .otp .key",
	Image:        ".jpg .jpeg .png .gif .webp .bmp .tif .tiff .svg .heic .heif .avif .ico .raw .cr2 .cr3 .nef .arw .dng .orf .rw2 .psd .ai .eps .xcf .indd .sketch",
	Audio:        ".mp3 .m4a .aac .ogg .oga .opus .flac .wav .aif .aiff .wma .mid .midi .amr",
	Video:        ".mp4 .m4v .mov .avi .mkv .webm .wmv .flv .mpg .mpeg .3gp .mts .m2ts .ogv .vob",
	Archive:      ".zip .rar .7z .tar .gz .tgz .bz2 .tbz .xz .txz .zst .lz4 .iso .img .dmg .vhd .vhdx .vmdk .qcow2 .ova .cab .deb .rpm .apk .jar",
	Source: ".go .c .h .cc .cpp .hpp .cs .java .kt .swift .m .rs .py .rb .pl .php .js .mjs .ts .jsx .tsx .html .htm .css .scss .less .sh .bash .ps1 .bat .cmd " +
		".lua .r .jl .sql .json .yaml .yml .toml .xml .ini .cfg .conf .ipynb .vue .svelte .dart .scala .hs .ex .erl .clj .asm .s .f90 .mk",
	Mail:     ".eml .msg .pst .ost .mbox .mbx .vcf .ics .emlx",
	Database: ".db .sqlite .sqlite3 .mdb .accdb .dbf .fdb .mdf .ldf .bak .dump .frm .ibd .parquet .feather",
}

var byExtension = func() map[string]Kind {
	m := map[string]Kind{}
	for k, list := range extensions {
		for _, ext := range strings.Fields(list) {
			m[ext] = Kind(k)
		}
	}
	return m
}()

// Extensions returns the extensions of a kind, in lower case and with their dots; none for the kinds that are not told by them.
func (k Kind) Extensions() []string {
	if k >= kinds {
		return nil
	}
	return strings.Fields(extensions[k])
}

// KindOf returns the kind of a file of this name.
func KindOf(name string) Kind { return byExtension[Extension(name)] }

// maxExtension is how long an extension may be, in bytes without its dot: what is longer is a part of the name.
const maxExtension = 12

// Extension returns a name's last extension in lower case with its dot, such as ".docx"; "" if it has none.
func Extension(name string) string {
	i := strings.LastIndexByte(name, '.')
	if i <= 0 || i == len(name)-1 || len(name)-i-1 > maxExtension || strings.ContainsAny(name[i:], " /") {
		return ""
	}
	return strings.ToLower(name[i:])
}
