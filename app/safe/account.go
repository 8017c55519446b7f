package safe

import (
	"context"
	"sync"
	"time"

	"github.com/holdfast-backup/holdfast/vault/keyring"
	"github.com/holdfast-backup/holdfast/vault/manifest"
	"github.com/holdfast-backup/holdfast/vault/restore"
	"github.com/holdfast-backup/holdfast/vault/seal"
	"github.com/holdfast-backup/holdfast/wire/fault"
	"github.com/holdfast-backup/holdfast/wire/id"
)

// account is what exists while the keys are open.
type account struct {
	user    string
	keys    *keyring.Account
	space   *keyring.Space
	sealer  *seal.Sealer
	objects *restore.Objects
	kept    kept

	ctx    context.Context // ends with the keys
	cancel context.CancelFunc

	mu        sync.Mutex
	manifests map[id.Snapshot]*manifest.Manifest
	trees     map[id.Snapshot]*loading
	recent    []id.Snapshot // of trees, the last used at the end
	room      int           // rows that they may have together: maxLoaded
}

// Sizes of the reader. A browser has six connections to a server: half of them are left to the page. Reads are large because each takes
// memory of its own in three processes: Chromium fetches a GiB with 4 s of processor time in reads of 8 MiB, and with 6 s in reads of 2 MiB.
var readerOptions = restore.Options{Reads: 3, MaxRead: 8 << 20, CacheSize: 8 << 20}

func newAccount(s *Safe, keys *keyring.Account, user string) *account {
	a := &account{user: user, keys: keys, space: keys.Space(), manifests: map[id.Snapshot]*manifest.Manifest{}, trees: map[id.Snapshot]*loading{}, room: maxLoaded}
	a.ctx, a.cancel = context.WithCancel(context.Background())
	e := seal.Elsewhere{Decrypt: s.out.Decrypt, DecryptFrom: decryptFrom, HashFrom: hashFrom}
	if s.out.Hash != nil {
		e.Hash = s.out.Hash(a.space.Content)
	}
	a.sealer = seal.NewWith(a.space.Content, e)
	a.objects = restore.NewObjects(s.remote(), a.sealer, readerOptions)
	return a
}

// close ends what is under way.
func (a *account) close() {
	a.cancel()
	a.kept.mu.Lock()
	defer a.kept.mu.Unlock()
	if a.kept.expiry != nil {
		a.kept.expiry.Stop()
	}
}

// manifest returns what a snapshot that was opened says about itself.
func (a *account) manifest(snapshot string) (id.Snapshot, *manifest.Manifest, error) {
	s, err := parse[id.Snapshot](snapshot)
	if err != nil {
		return s, nil, err
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	m := a.manifests[s]
	if m == nil {
		return s, nil, fault.New(fault.NotFound, "this snapshot was not opened yet: reload the page")
	}
	return s, m, nil
}

// parse reads an id of the API's.
func parse[T any, P interface {
	*T
	UnmarshalText([]byte) error
}](s string) (T, error) {
	var v T
	if err := P(&v).UnmarshalText([]byte(s)); err != nil {
		return v, fault.Wrap(err, fault.Invalid, "%.80q is not the id of anything that was meant here: reload the page", s)
	}
	return v, nil
}

// kept is what of an account is kept across a reload.
type kept struct {
	mu     sync.Mutex
	wrap   keyring.WrapKey
	sealed []byte
	until  time.Time // zero: nothing was kept yet
	expiry *time.Timer
}
