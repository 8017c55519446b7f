// Package safetest is an account with a device and snapshots, and a server that answers what a safe asks, all in memory: for tests of
// the safe and of the browser around it.
package safetest

import (
	"bytes"
	"context"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/holdfast-backup/holdfast/vault/keyring"
	"github.com/holdfast-backup/holdfast/vault/vaulttest"
	"github.com/holdfast-backup/holdfast/wire/fault"
	"github.com/holdfast-backup/holdfast/wire/id"
)

// World is an account and its server. It is an http.Handler for /graphql, which knows one query, and /packs/.
type World struct {
	*vaulttest.Remote

	User     id.User
	Account  *keyring.Account
	Device   *keyring.Device
	DeviceID id.Device

	// Refuse, if it is set, may answer a request with another status, and no content; 0 lets it pass.
	Refuse func(r *http.Request) int
}

// New returns an account with one device and no snapshot.
func New(t testing.TB) *World {
	t.Helper()
	account, err := keyring.NewAccount()
	if err != nil {
		t.Fatal(err)
	}
	device, err := keyring.NewDevice()
	if err != nil {
		t.Fatal(err)
	}
	return &World{Remote: new(vaulttest.Remote), User: id.User{}.New(), Account: account, Device: device, DeviceID: id.Device{}.New()}
}

// ServeHTTP implements http.Handler.
func (w *World) ServeHTTP(out http.ResponseWriter, r *http.Request) {
	if w.Refuse != nil {
		if status := w.Refuse(r); status != 0 {
			out.WriteHeader(status)
			return
		}
	}
	name, isPack := strings.CutPrefix(r.URL.Path, "/packs/")
	switch {
	case r.URL.Path == "/graphql" && r.Method == http.MethodPost:
		w.graphql(out, r)
	case isPack:
		w.pack(out, r, name)
	default:
		http.NotFound(out, r)
	}
}

func (w *World) graphql(out http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return
	}
	answer, err := w.locations(r.Context(), body)
	if err != nil {
		answer = map[string]any{"errors": []any{map[string]any{"message": err.Error(), "extensions": map[string]any{"code": fault.KindOf(err)}}}}
	}
	out.Header().Set("Content-Type", "application/json")
	json.NewEncoder(out).Encode(answer) //nolint:errcheck // the client went away
}

func (w *World) locations(ctx context.Context, body []byte) (any, error) {
	var q struct {
		OperationName string
		Variables     struct {
			Input struct {
				Ids   []byte
				Relay bool
			}
		}
	}
	if err := json.Unmarshal(body, &q); err != nil || q.OperationName != "ObjectLocations" {
		return nil, fault.New(fault.Invalid, "this server knows no %q", q.OperationName)
	}
	var ids []id.Object
	for chunk := range slices.Chunk(q.Variables.Input.Ids, 16) {
		ids = append(ids, id.Object(chunk))
	}
	list, err := w.Locate(ctx, ids)
	if err != nil {
		return nil, err
	}
	packs, index := []map[string]any{}, map[id.Pack]uint32{}
	var table []byte
	for _, l := range list {
		if !l.Stored {
			table = append(table, bytes.Repeat([]byte{0xff}, 12)...)
			continue
		}
		i, ok := index[l.Pack]
		if !ok {
			i = uint32(len(packs))
			index[l.Pack] = i
			url := "https://store.example.org/" + l.Pack.String() // where a page may not read
			if q.Variables.Input.Relay {
				url = "/packs/" + l.Pack.String()
			}
			packs = append(packs, map[string]any{"name": l.Pack.String(), "size": 1 << 30, "url": url, "expiresAt": time.Now().Add(time.Minute)})
		}
		for _, n := range []uint32{i, l.Offset, l.Length} {
			table = binary.BigEndian.AppendUint32(table, n)
		}
	}
	return map[string]any{"data": map[string]any{"objectLocations": map[string]any{"packs": packs, "table": table}}}, nil
}

func (w *World) pack(out http.ResponseWriter, r *http.Request, name string) {
	p, err := id.ParsePack(name)
	var from, to int64
	if _, scan := fmt.Sscanf(r.Header.Get("Range"), "bytes=%d-%d", &from, &to); err != nil || scan != nil || to < from {
		http.Error(out, "want a pack and a range", http.StatusBadRequest)
		return
	}
	b := make([]byte, min(to-from+1, 256<<10))
	for at := from; at <= to; at += int64(len(b)) {
		b = b[:min(to-at+1, int64(len(b)))]
		switch err := w.ReadPack(r.Context(), p, at, b); {
		case err == nil:
		case at > from:
			return // less comes than was promised
		case fault.KindOf(err) == fault.NotFound:
			out.WriteHeader(http.StatusNotFound)
			return
		case fault.KindOf(err) == fault.BadPack:
			out.WriteHeader(http.StatusRequestedRangeNotSatisfiable)
			return
		default:
			out.WriteHeader(http.StatusServiceUnavailable)
			return
		}
		if at == from {
			out.Header().Set("Content-Range", fmt.Sprintf("bytes %d-%d/*", from, to))
			out.Header().Set("Content-Length", fmt.Sprint(to-from+1))
			out.WriteHeader(http.StatusPartialContent)
		}
		out.Write(b) //nolint:errcheck // the client went away
	}
}

// Post sends an operation to the server, without a network.
func (w *World) Post(ctx context.Context, body []byte) (int, []byte, error) {
	r := w.serve(httptest.NewRequestWithContext(ctx, http.MethodPost, "/graphql", bytes.NewReader(body)))
	return r.Code, r.Body.Bytes(), nil
}

// Range reads from the server, without a network.
func (w *World) Range(ctx context.Context, address string, offset int64, dst []byte) (int, error) {
	r := httptest.NewRequestWithContext(ctx, http.MethodGet, address, nil)
	r.Header.Set("Range", fmt.Sprintf("bytes=%d-%d", offset, offset+int64(len(dst))-1))
	rec := w.serve(r)
	if rec.Code == http.StatusPartialContent && copy(dst, rec.Body.Bytes()) != len(dst) {
		return 0, io.ErrUnexpectedEOF
	}
	return rec.Code, nil
}

func (w *World) serve(r *http.Request) *httptest.ResponseRecorder {
	rec := httptest.NewRecorder()
	w.ServeHTTP(rec, r)
	return rec
}
