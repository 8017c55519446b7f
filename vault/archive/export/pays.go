package export

import (
	"bufio"
	"compress/flate"
	"io"
)

// Whether a file is compressed is decided by its first bytes: they are compressed for a trial, in the fastest way. What
// loses less than a tenth by that is stored.
const (
	sampleSize = 64 << 10
	sampleMin  = 128 // bytes: less is not worth a trial
)

// beginning returns the first bytes of a file, a large one from where it is read.
func (a *writer) beginning(it *item, large *bufio.Reader) ([]byte, error) {
	if large != nil {
		p, err := large.Peek(sampleSize)
		if err == io.EOF {
			err = io.ErrUnexpectedEOF // no large file is so short
		}
		return p, err
	}
	a.sample = a.sample[:0]
	for i, p := range it.parts {
		if p == nil {
			p = a.zeros[:min(it.sizes[i], int64(len(a.zeros)))]
		}
		if a.sample = append(a.sample, p[:min(len(p), sampleSize-len(a.sample))]...); len(a.sample) == sampleSize {
			break
		}
	}
	return a.sample, nil
}

// pays reports whether a file that begins so becomes smaller.
func (a *writer) pays(sample []byte) bool {
	if len(sample) < sampleMin {
		return false
	}
	var n length
	if a.trial == nil {
		a.trial, _ = flate.NewWriter(&n, flate.BestSpeed) // the level is a good one
	} else {
		a.trial.Reset(&n)
	}
	_, _ = a.trial.Write(sample) // length does not fail
	_ = a.trial.Close()
	return int(n) < len(sample)-len(sample)/10
}

// length counts what is written.
type length int

func (n *length) Write(p []byte) (int, error) {
	*n += length(len(p))
	return len(p), nil
}
