package talk

import "time"

// Snapshot names one.
type Snapshot struct {
	Snapshot string `json:"snapshot"`
}

// Contents is what a snapshot holds, counted.
type Contents struct {
	Entries    int              `json:"entries"` // files, folders and all else
	Files      int64            `json:"files"`
	Bytes      int64            `json:"bytes"`
	Kinds      []KindCount      `json:"kinds"`      // the most frequent first
	Extensions []ExtensionCount `json:"extensions"` // likewise; at most 100
}

// KindCount counts files of a kind.
type KindCount struct {
	Kind  Kind  `json:"kind"`
	Files int64 `json:"files"`
	Bytes int64 `json:"bytes"`
}

// ExtensionCount counts files of an extension, such as ".docx".
type ExtensionCount struct {
	Extension string `json:"extension"`
	Files     int64  `json:"files"`
	Bytes     int64  `json:"bytes"`
}

// Filter chooses files: those of any of these kinds or extensions (in any case, with or without a dot). The zero value chooses all.
type Filter struct {
	Kinds      []Kind   `json:"kinds,omitempty"`
	Extensions []string `json:"extensions,omitempty"`
}

// By is what a list is sorted by.
type By string

// The orders. Folders come first in each.
const (
	ByName By = "" // as people sort: case does not count, page 2 comes before page 10
	BySize By = "size"
	ByTime By = "time"
	ByKind By = "kind"
)

// Sort is the order of a list. Equals are sorted by name, upwards.
type Sort struct {
	By         By   `json:"by,omitempty"`
	Descending bool `json:"descending,omitempty"`
}

// List asks for a page of a folder.
type List struct {
	Snapshot string `json:"snapshot"`
	Path     string `json:"path"`
	Filter
	Sort
	Page
}

// Search asks for a page of what is called so, under a folder.
type Search struct {
	Snapshot string `json:"snapshot"`
	Path     string `json:"path"`
	Text     string `json:"text"` // a part of the name; with * or ? all of it; with / of the path
	Filter
	Sort
	Page
}

// Listing is a page.
type Listing struct {
	Total   int     `json:"total"` // entries of all pages
	Files   int64   `json:"files"` // files in the folder and under it, or found
	Bytes   int64   `json:"bytes"` // their sizes
	Entries []Entry `json:"entries"`
}

// Entry is a file, a folder or something else.
type Entry struct {
	Name    string `json:"name"`
	Path    string `json:"path"`
	Kind    Kind   `json:"kind"`
	Size    int64  `json:"size"`              // of a folder: of all files under it that pass the filter
	Files   int64  `json:"files,omitempty"`   // of a folder: how many these are
	ModTime int64  `json:"modTime,omitempty"` // 0: not known, as for a folder of which only the content was saved
}

// Selection is some files and folders with everything in them; without paths, everything.
type Selection struct {
	Snapshot   string   `json:"snapshot"`
	Paths      []string `json:"paths"`
	Extensions []string `json:"extensions,omitempty"` // only files with one of these
	InMemory   bool     `json:"inMemory,omitempty"`   // of a download: give an address of it instead of streaming it
}

// Totals is what a selection holds.
type Totals struct {
	Files   int64 `json:"files"`
	Folders int64 `json:"folders"`
	Bytes   int64 `json:"bytes"`
}

// Path names a file or folder of a snapshot.
type Path struct {
	Snapshot string `json:"snapshot"`
	Path     string `json:"path"`
}

// Stat is everything that a snapshot says about a file or folder.
type Stat struct {
	Entry
	Type     string   `json:"type"` // file, dir, symlink, fifo, char-device, block-device
	Mode     uint32   `json:"mode"` // permissions, set-id and sticky bits
	UID      uint32   `json:"uid"`
	GID      uint32   `json:"gid"`
	User     string   `json:"user,omitempty"`
	Group    string   `json:"group,omitempty"`
	Link     string   `json:"link,omitempty"`   // a symbolic link's target
	Xattrs   []string `json:"xattrs,omitempty"` // names
	HardLink bool     `json:"hardLink,omitempty"`
	Chunks   int64    `json:"chunks"` // pieces that a file is stored in
}

// Versions asks how a path fared in some snapshots.
type Versions struct {
	Path      string   `json:"path"`
	Snapshots []string `json:"snapshots"`
}

// Version is a path in one snapshot.
type Version struct {
	Snapshot string `json:"snapshot"`
	Error    string `json:"error,omitempty"` // why it is not known
	Absent   bool   `json:"absent,omitempty"`
	Type     string `json:"type,omitempty"`
	Size     int64  `json:"size,omitempty"`
	ModTime  int64  `json:"modTime,omitempty"`
	Content  int    `json:"content,omitempty"` // of files: versions with the same number have the same content
}

// Preview is a look at a file.
type Preview struct {
	Kind      string `json:"kind"`                // text, image, none
	Why       string `json:"why,omitempty"`       // there is none
	Text      string `json:"text,omitempty"`      // the first 256 KiB of a text
	Truncated bool   `json:"truncated,omitempty"` // there is more
	URL       string `json:"url,omitempty"`       // of an image, until it is released
	Size      int64  `json:"size"`                // of the file
}

// URL is an address in the browser's memory.
type URL struct {
	URL string `json:"url"`
}

// Plan is what a download would be.
type Plan struct {
	Name string `json:"name"` // for the file in the person's downloads
	Type string `json:"type"` // media type
	Size int64  `json:"size"` // of the file that is downloaded; -1 for a ZIP, whose size shows at its end
	ZIP  bool   `json:"zip"`
	Totals
}

// Downloaded is what came of a download.
type Downloaded struct {
	Totals
	URL      string    `json:"url,omitempty"` // where it is, of one in memory
	Failures []Failure `json:"failures"`      // files that a ZIP lacks; the first 1000
	Failed   int64     `json:"failed"`        // how many
}

// Failure is a file that could not be had.
type Failure struct {
	Path string `json:"path"`
	Text string `json:"text"`
}

// Order is what a device is to put back.
type Order struct {
	Selection
	Device   Device `json:"device"`
	To       string `json:"to"`       // an absolute path of the device; "": where each file was
	Conflict string `json:"conflict"` // skip, overwrite, keep-both
}

// Ordered is an order, sealed for the device: for orderRestore.
type Ordered struct {
	Sealed []byte `json:"sealed"`
	Order  string `json:"order"` // its id: the report names it
}

// SealedReport is Run.sealedReport, and what the API says about the run.
type SealedReport struct {
	Sealed   []byte `json:"sealed"`
	Kind     string `json:"kind"` // BACKUP, RESTORE
	Run      string `json:"run"`
	Device   string `json:"device"`
	Snapshot string `json:"snapshot"` // "" if it is null
	Order    string `json:"order"`    // "" if it is not known any more
}

// Report is what a device said of a run.
type Report struct {
	Text     string    `json:"text"` // why a backup failed, or a restore ended early
	Started  time.Time `json:"started"`
	Finished time.Time `json:"finished"`
	Files    int64     `json:"files"`
	Dirs     int64     `json:"dirs"`
	Others   int64     `json:"others"`
	Bytes    int64     `json:"bytes"`
	Skipped  int64     `json:"skipped"` // files that were there already
	Failures []Failure `json:"failures"`
	Failed   int64     `json:"failed"` // how many: Failures lists the first
}
