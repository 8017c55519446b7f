package server

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"time"

	"github.com/holdfast-backup/holdfast/wire/fault"
	"github.com/holdfast-backup/holdfast/wire/id"
)

// packTTL is how long the address of a pack is good. Clients ask for locations again when it has passed.
const packTTL = 15 * time.Minute

// Signer makes and checks the addresses of packs. Whoever holds one may read that pack of that space until
// it expires, without further credentials: so a browser can stream it, and a lost address is soon worth
// nothing. It reveals sealed bytes only.
type Signer struct {
	key [sha256.Size]byte
	now func() time.Time
}

// NewSigner returns a signer under a key that it derives from the server's secret. Servers that share the
// secret honour each other's addresses.
func NewSigner(secret []byte) *Signer {
	if len(secret) < 16 {
		panic("server: the secret has less than 16 bytes")
	}
	m := hmac.New(sha256.New, secret)
	m.Write([]byte("holdfast/v1/pack-url"))
	return &Signer{key: [sha256.Size]byte(m.Sum(nil)), now: time.Now}
}

// Sign returns the address of a pack, relative to the server, and when it expires.
func (s *Signer) Sign(space id.Space, pack id.Pack, _ int64) (string, time.Time) {
	expires := s.now().Add(packTTL).Truncate(time.Second)
	q := url.Values{
		"space":   {space.String()},
		"expires": {strconv.FormatInt(expires.Unix(), 10)},
		"sig":     {base64.RawURLEncoding.EncodeToString(s.mac(space, pack, expires.Unix()))},
	}
	return "/packs/" + pack.String() + "?" + q.Encode(), expires
}

// mac covers fields of fixed length: no two requests share a message.
func (s *Signer) mac(space id.Space, pack id.Pack, expires int64) []byte {
	m := hmac.New(sha256.New, s.key[:])
	m.Write(space[:])
	m.Write(pack[:])
	m.Write(binary.BigEndian.AppendUint64(nil, uint64(expires)))
	return m.Sum(nil)
}

// check reads an address. All that is wrong with one gives the same answer, which tells nothing about
// what is stored; only that a good address has expired is told apart, to whoever shows it.
func (s *Signer) check(name string, q url.Values) (space id.Space, pack id.Pack, err error) {
	bad := fault.New(fault.Forbidden, "this address was not made by this server, or was changed: ask for the objects' locations again")
	pack, err = id.ParsePack(name)
	if err != nil || space.UnmarshalText([]byte(q.Get("space"))) != nil {
		return space, pack, bad
	}
	expires, err := strconv.ParseInt(q.Get("expires"), 10, 64)
	if err != nil {
		return space, pack, bad
	}
	sig, err := base64.RawURLEncoding.Strict().DecodeString(q.Get("sig"))
	if err != nil || !hmac.Equal(sig, s.mac(space, pack, expires)) {
		return space, pack, bad
	}
	if s.now().Unix() >= expires {
		return space, pack, fault.New(fault.Forbidden, "this address has expired: ask for the objects' locations again")
	}
	return space, pack, nil
}

// packFile is what the depot gives for a pack.
type packFile interface{ io.ReadSeekCloser }

// packs hands out packs by signed address, whole or in ranges.
type packs struct {
	signer *Signer
	open   func(ctx context.Context, space id.Space, pack id.Pack) (packFile, error)
}

func (p *packs) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if r.Method != http.MethodGet && r.Method != http.MethodHead {
		w.Header().Set("Allow", "GET, HEAD")
		writeStatus(w, r, http.StatusMethodNotAllowed, fault.New(fault.Invalid, "packs are read with GET and HEAD"))
		return
	}
	space, pack, err := p.signer.check(r.PathValue("name"), r.URL.Query())
	if err != nil {
		writeError(w, r, err)
		return
	}
	f, err := p.open(r.Context(), space, pack)
	if err != nil {
		writeError(w, r, err)
		return
	}
	defer f.Close()
	h := w.Header()
	h.Set("Content-Type", "application/octet-stream")
	h.Set("Cache-Control", "private, max-age="+strconv.Itoa(int(packTTL.Seconds()))+", immutable")
	h.Set("ETag", `"`+pack.String()+`"`)
	// The store's error becomes a status as long as nothing was sent: ServeContent would say 500 in plain text.
	if _, err := f.Seek(0, io.SeekEnd); err != nil {
		h.Del("ETag")
		h.Del("Cache-Control")
		writeError(w, r, err)
		return
	}
	out := &slowWriter{ResponseWriter: w, control: http.NewResponseController(w)}
	http.ServeContent(out, r, "", time.Time{}, f)
}

// slowWriter gives every write of a download its own time, so that a client that stops reading does not
// hold a connection for ever, however long a slow one takes in all.
type slowWriter struct {
	http.ResponseWriter
	control *http.ResponseController
	until   time.Time
}

func (s *slowWriter) Write(b []byte) (int, error) {
	if now := time.Now(); s.until.Sub(now) < stallTime/2 {
		s.until = now.Add(stallTime)
		if err := s.control.SetWriteDeadline(s.until); err != nil && !errors.Is(err, http.ErrNotSupported) {
			return 0, err
		}
	}
	return s.ResponseWriter.Write(b)
}

func (s *slowWriter) Unwrap() http.ResponseWriter { return s.ResponseWriter }
