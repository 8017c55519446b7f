package browser

import (
	"slices"
	"sync"
	"syscall/js"
)

// arrays are arrays that nobody needs any more, the oldest first.
type arrays struct {
	mu   sync.Mutex
	list []js.Value
}

// spent are those into which WebCrypto has decrypted, once they were copied. A download gives away one for each piece, and the system takes
// longer to find fresh memory than Go to fill it.
var spent arrays

// maxSpent is how many are kept: what is decrypted ahead of a download that waits for the browser.
const maxSpent = 8

// keep keeps an array for give.
func (s *arrays) keep(a js.Value) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.list) == maxSpent {
		s.list = slices.Delete(s.list, 0, 1)
	}
	s.list = append(s.list, a)
}

// take returns an array of n bytes or up to twice as many, which is the caller's from then on.
func (s *arrays) take(n int) js.Value {
	s.mu.Lock()
	defer s.mu.Unlock()
	for i, a := range s.list {
		if room := a.Get("length").Int(); n <= room && room <= 2*n {
			s.list = slices.Delete(s.list, i, i+1)
			return a
		}
	}
	return uint8Array.New(n)
}

// give copies bytes into an array that can be given away.
func give(b []byte) js.Value {
	a := spent.take(len(b)).Call("subarray", 0, len(b))
	js.CopyBytesToJS(a, b)
	return a
}
