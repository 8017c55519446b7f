package blob

import (
	"bytes"
	"io"
	"strconv"

	"github.com/holdfast-backup/holdfast/wire/fault"
)

// Mark is the name of what tells a store from any other place, and MarkText how its text begins. It is no blob: see CheckName.
const (
	Mark     = ".holdfast-store"
	MarkText = "holdfast store, format 1\n"
)

// format is that of the stores that this program knows.
const format = 1

// CheckMark reads the mark of a store, and fails with fault.Conflict if it says that the store is of a later format than this program
// knows. A mark that says nothing is one all the same: people make them by hand.
func CheckMark(r io.Reader, where string) error {
	head := make([]byte, 64)
	n, err := io.ReadFull(r, head)
	if err != nil && err != io.EOF && err != io.ErrUnexpectedEOF {
		return fault.Wrap(err, fault.Unavailable, "the mark of the store in %s cannot be read", where)
	}
	line, _, _ := bytes.Cut(head[:n], []byte("\n"))
	number, ours := bytes.CutPrefix(line, []byte("holdfast store, format "))
	if f, err := strconv.Atoi(string(number)); ours && err == nil && f > format {
		return fault.New(fault.Conflict, "%s holds a store in format %d, and this holdfast knows none after %d: use the release that wrote it, or a later one", where, f, format)
	}
	return nil
}
