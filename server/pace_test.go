package server

import (
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"testing"
	"time"

	"github.com/holdfast-backup/holdfast/wire/fault"
	"github.com/holdfast-backup/holdfast/wire/id"
)

// TestPacedBody: whoever sends steadily is waited for, however slowly; whoever stops, or drips, is not.
func TestPacedBody(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		pause time.Duration // between bytes
		bytes int
		end   time.Duration // for the whole body
		ok    bool
	}{
		"steady":  {20 * time.Millisecond, 30, time.Minute, true},
		"stopped": {time.Minute, 2, time.Minute, false},
		"drip":    {20 * time.Millisecond, 1000, 300 * time.Millisecond, false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			result := make(chan error, 1)
			web := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				p := newPacedBody(w, r)
				p.stall, p.end = 400*time.Millisecond, time.Now().Add(tt.end)
				_, err := io.Copy(io.Discard, p)
				if err == nil {
					// The deadline is gone with the body: what follows may take its time.
					time.Sleep(p.stall + 100*time.Millisecond)
					err = r.Context().Err()
				}
				result <- err
			}))
			defer web.Close()
			conn, err := net.Dial("tcp", web.Listener.Addr().String())
			if err != nil {
				t.Fatal(err)
			}
			defer conn.Close()
			fmt.Fprintf(conn, "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n", tt.bytes)
			go func() {
				for range tt.bytes {
					if _, err := conn.Write([]byte("x")); err != nil {
						return
					}
					time.Sleep(tt.pause)
				}
			}()
			select {
			case err := <-result:
				if tt.ok && err != nil || !tt.ok && !errors.Is(err, os.ErrDeadlineExceeded) {
					t.Error(err)
				}
			case <-time.After(20 * time.Second):
				t.Fatal("the server waits for ever")
			}
		})
	}
}

func TestUploadPlaces(t *testing.T) {
	t.Parallel()
	var u uploads
	var leave []func()
	a, b := id.Device{}.New(), id.Device{}.New()
	for range uploadsPerDevice {
		l, err := u.enter(a)
		if err != nil {
			t.Fatal(err)
		}
		leave = append(leave, l)
	}
	if _, err := u.enter(a); !errors.Is(err, fault.TooMany) {
		t.Fatal(err)
	}
	if _, err := u.enter(b); err != nil {
		t.Fatal("one device takes another's place:", err)
	}
	for _, l := range leave {
		l()
	}
	if _, err := u.enter(a); err != nil || u.all != 2 || len(u.device) != 2 {
		t.Fatal(err, u.all, u.device)
	}
}

// TestSlowWriter: a client that takes nothing of a download is given up.
func TestSlowWriter(t *testing.T) {
	t.Parallel()
	w := &slowWriter{ResponseWriter: httptest.NewRecorder(), control: http.NewResponseController(httptest.NewRecorder())}
	if _, err := w.Write([]byte("x")); err != nil {
		t.Fatal("a writer without deadlines:", err)
	}
	if d := time.Until(w.until); d < stallTime-time.Second || d > stallTime {
		t.Errorf("a write may take %v", d)
	}
}
