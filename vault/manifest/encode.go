package manifest

import (
	"fmt"
	"time"

	"github.com/holdfast-backup/holdfast/wire/cbor"
)

// The body is a deterministic CBOR map with the keys 1 to 15, all of them, in this order.
const (
	version = 1
	macSize = 32

	keyRoot         = 1
	keyDevice       = 2
	keyDeviceName   = 3
	keyHostname     = 4
	keyOS           = 5
	keyRoots        = 6
	keyStarted      = 7
	keyFinished     = 8
	keyFiles        = 9
	keyBytes        = 10
	keyDirs         = 11
	keyParent       = 12
	keyProblems     = 13
	keyProblemCount = 14
	keyAgentVersion = 15

	keys = 15
)

// encode appends the body to b.
func (m *Manifest) encode(b []byte) []byte {
	b = cbor.AppendMap(b, keys)
	b = cbor.AppendBytes(cbor.AppendUint(b, keyRoot), m.Root[:])
	b = cbor.AppendBytes(cbor.AppendUint(b, keyDevice), m.Device[:])
	b = cbor.AppendText(cbor.AppendUint(b, keyDeviceName), m.DeviceName)
	b = cbor.AppendText(cbor.AppendUint(b, keyHostname), m.Hostname)
	b = cbor.AppendText(cbor.AppendUint(b, keyOS), m.OS)
	b = cbor.AppendArray(cbor.AppendUint(b, keyRoots), len(m.Roots))
	for _, r := range m.Roots {
		b = cbor.AppendBytes(b, []byte(r))
	}
	b = cbor.AppendInt(cbor.AppendUint(b, keyStarted), m.Started.UnixNano())
	b = cbor.AppendInt(cbor.AppendUint(b, keyFinished), m.Finished.UnixNano())
	b = cbor.AppendInt(cbor.AppendUint(b, keyFiles), m.Files)
	b = cbor.AppendInt(cbor.AppendUint(b, keyBytes), m.Bytes)
	b = cbor.AppendInt(cbor.AppendUint(b, keyDirs), m.Dirs)
	b = cbor.AppendUint(b, keyParent)
	if m.Parent.IsZero() {
		b = cbor.AppendNull(b)
	} else {
		b = cbor.AppendBytes(b, m.Parent[:])
	}
	b = cbor.AppendArray(cbor.AppendUint(b, keyProblems), len(m.Problems))
	for _, p := range m.Problems {
		b = cbor.AppendArray(b, 3)
		b = cbor.AppendBytes(b, []byte(p.Path))
		b = cbor.AppendText(b, p.Cause)
		b = cbor.AppendText(b, p.Text)
	}
	b = cbor.AppendInt(cbor.AppendUint(b, keyProblemCount), m.ProblemCount)
	return cbor.AppendText(cbor.AppendUint(b, keyAgentVersion), m.AgentVersion)
}

// decode reads a body. It accepts what encode writes of a valid manifest, and nothing else.
func decode(body []byte) (*Manifest, error) {
	m := new(Manifest)
	r := cbor.NewReader(body)
	if n := r.Map(); n != keys {
		r.Fail("%d fields where %d are due", n, keys)
	}
	key := func(want uint64) {
		if k := r.Uint(); k != want {
			r.Fail("field %d where %d is due", k, want)
		}
	}
	text := func(want uint64) string {
		key(want)
		return readText(r)
	}
	count := func(want uint64) int64 {
		key(want)
		return r.Int()
	}
	key(keyRoot)
	r.Fixed(m.Root[:])
	key(keyDevice)
	r.Fixed(m.Device[:])
	m.DeviceName = text(keyDeviceName)
	m.Hostname = text(keyHostname)
	m.OS = text(keyOS)
	key(keyRoots)
	m.Roots = readRoots(r)
	m.Started = time.Unix(0, count(keyStarted)).UTC()
	m.Finished = time.Unix(0, count(keyFinished)).UTC()
	m.Files = count(keyFiles)
	m.Bytes = count(keyBytes)
	m.Dirs = count(keyDirs)
	key(keyParent)
	if !r.Null() {
		r.Fixed(m.Parent[:])
		if m.Parent.IsZero() {
			r.Fail("a parent without a name")
		}
	}
	key(keyProblems)
	m.Problems = readProblems(r)
	m.ProblemCount = count(keyProblemCount)
	m.AgentVersion = text(keyAgentVersion)
	err := r.Finish()
	if err == nil {
		err = m.validate()
	}
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrMalformed, err)
	}
	return m, nil
}

func readText(r *cbor.Reader) string {
	s := r.Text()
	if len(s) > maxText {
		r.Fail("a text of %d bytes", len(s))
	}
	return s
}

// readRoots bounds the number before it takes memory for it.
func readRoots(r *cbor.Reader) []string {
	n := r.Array()
	if n > MaxRoots {
		r.Fail("%d roots", n)
	}
	if r.Err() != nil || n == 0 {
		return nil
	}
	list := make([]string, n)
	for i := range list {
		list[i] = string(r.Bytes())
	}
	return list
}

// readProblems bounds the number before it takes memory for it.
func readProblems(r *cbor.Reader) []Problem {
	n := r.Array()
	if n > MaxProblems {
		r.Fail("%d problems", n)
	}
	if r.Err() != nil || n == 0 {
		return nil
	}
	list := make([]Problem, n)
	for i := range list {
		if k := r.Array(); k != 3 {
			r.Fail("a problem of %d parts", k)
		}
		list[i] = Problem{Path: string(r.Bytes()), Cause: readText(r), Text: readText(r)}
	}
	return list
}
