package remotetest

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/hex"
	"encoding/json"
	"io"
	"log"
	"math/big"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/coder/websocket"
	"github.com/coder/websocket/wsjson"
)

type event struct {
	device string
	data   map[string]any
}

// publish tells the watchers. The caller holds the lock.
func (s *Server) publish(b *session, state string) {
	v := map[string]any{"id": b.id, "state": state, "startedAt": time.Now(), "lastSeenAt": time.Now(), "progress": b.progress}
	if b.progress == nil {
		v["progress"] = map[string]any{"phase": "scan"}
	}
	if b.done != nil {
		v["snapshot"] = map[string]any{"id": b.done.id}
	}
	for w := range s.watchers {
		select {
		case w <- event{b.device.id.String(), v}:
		default:
		}
	}
}

// Watchers returns the number of open subscription connections.
func (s *Server) Watchers() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.watchers)
}

type frame struct {
	ID      string          `json:"id,omitempty"`
	Type    string          `json:"type"`
	Payload json.RawMessage `json:"payload,omitempty"`
}

// socket speaks graphql-transport-ws. It sends a ping before anything else, as servers may.
func (s *Server) socket(w http.ResponseWriter, r *http.Request) {
	conn, err := websocket.Accept(w, r, &websocket.AcceptOptions{Subprotocols: []string{"graphql-transport-ws"}})
	if err != nil {
		return
	}
	defer conn.CloseNow()
	ctx, cancel := context.WithCancel(r.Context())
	defer cancel()
	var f frame
	if wsjson.Read(ctx, conn, &f) != nil || f.Type != "connection_init" {
		return
	}
	var init struct{ Authorization string }
	json.Unmarshal(f.Payload, &init)
	s.mu.Lock()
	known := s.tokens[strings.TrimPrefix(init.Authorization, "Bearer ")] != nil
	s.mu.Unlock()
	if !known {
		conn.Close(4401, "this login is unknown")
		return
	}
	if wsjson.Write(ctx, conn, frame{Type: "ping"}) != nil || wsjson.Write(ctx, conn, frame{Type: "connection_ack"}) != nil {
		return
	}
	events := make(chan event, 64)
	s.mu.Lock()
	s.watchers[events] = ""
	s.mu.Unlock()
	defer func() {
		s.mu.Lock()
		delete(s.watchers, events)
		s.mu.Unlock()
	}()
	frames := make(chan frame)
	go func() {
		defer close(frames)
		for {
			var f frame
			if wsjson.Read(ctx, conn, &f) != nil {
				return
			}
			select {
			case frames <- f:
			case <-ctx.Done():
				return
			}
		}
	}()
	ids := map[string]string{} // device -> subscription
	for {
		select {
		case f, ok := <-frames:
			if !ok {
				return
			}
			if f.Type == "subscribe" {
				var p struct{ Variables struct{ Device string } }
				json.Unmarshal(f.Payload, &p)
				ids[p.Variables.Device] = f.ID
			}
		case e := <-events:
			if sub, ok := ids[e.device]; ok {
				b, err := json.Marshal(map[string]any{"data": map[string]any{"deviceProgress": e.data}})
				if err != nil || wsjson.Write(ctx, conn, frame{ID: sub, Type: "next", Payload: b}) != nil {
					return
				}
			}
		}
	}
}

// Authority makes a certificate authority and a server certificate of it, valid for hosts, and returns a
// configuration whose chain has both, with the authority's fingerprint.
func Authority(t testing.TB, from, to time.Time, hosts ...string) (*tls.Config, string) {
	t.Helper()
	must := func(err error) {
		if err != nil {
			t.Fatal(err)
		}
	}
	caKey, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	must(err)
	ca := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "Test CA"}, NotBefore: time.Now().Add(-24 * time.Hour),
		NotAfter: time.Now().Add(24 * time.Hour), IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign}
	caDER, err := x509.CreateCertificate(rand.Reader, ca, ca, &caKey.PublicKey, caKey)
	must(err)
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	must(err)
	leaf := &x509.Certificate{SerialNumber: big.NewInt(2), Subject: pkix.Name{CommonName: "server"}, NotBefore: from, NotAfter: to,
		KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}}
	for _, h := range hosts {
		if ip := net.ParseIP(h); ip != nil {
			leaf.IPAddresses = append(leaf.IPAddresses, ip)
		} else {
			leaf.DNSNames = append(leaf.DNSNames, h)
		}
	}
	der, err := x509.CreateCertificate(rand.Reader, leaf, ca, &key.PublicKey, caKey)
	must(err)
	sum := sha256.Sum256(caDER)
	return &tls.Config{Certificates: []tls.Certificate{{Certificate: [][]byte{der, caDER}, PrivateKey: key}}}, hex.EncodeToString(sum[:])
}

func discard() *log.Logger { return log.New(io.Discard, "", 0) }
