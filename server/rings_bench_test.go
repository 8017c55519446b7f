package server_test

import (
	"context"
	"fmt"
	"os"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/coder/websocket"

	"github.com/holdfast-backup/holdfast/depot/actor"
	"github.com/holdfast-backup/holdfast/depot/run"
)

// BenchmarkIdleRings measures what devices cost a server that has nothing for them to do: each has a connection, authenticated, with
// one subscription rings on which it waits. The clients' ends live in the same process and are
// counted with it, so a server alone needs less.
//
//	go test -run '^$' -bench IdleRings -benchtime 2000x ./server
func BenchmarkIdleRings(b *testing.B) {
	w := newWorld(b)
	ctx := context.Background()
	const perPerson = 100 // the most devices that one person has
	var owner *person
	devices := make([]*device, b.N)
	for i := range devices {
		if i%perPerson == 0 {
			owner = w.person("owner", actor.Staff)
		}
		devices[i] = w.device(owner, fmt.Sprint("d", i))
	}
	before, resident, routines := heap(), rss(b), runtime.NumGoroutine()
	sockets := make([]*socket, b.N)
	b.ResetTimer()
	var wait sync.WaitGroup
	slots := make(chan struct{}, 16)
	for i, d := range devices {
		slots <- struct{}{}
		wait.Go(func() {
			defer func() { <-slots }()
			s, err := w.connect(d.Token)
			if err == nil {
				err = s.subscribe("r", ringsQuery, nil)
			}
			if err == nil {
				_, err = s.receive()
			}
			if err != nil {
				b.Error(err)
			}
			sockets[i] = s
		})
	}
	wait.Wait()
	b.StopTimer()
	if b.Failed() {
		return
	}
	after, residentAfter, routinesAfter := heap(), rss(b), runtime.NumGoroutine()
	b.ReportMetric(float64(after-before)/float64(b.N), "heap+stack-B/device")
	b.ReportMetric(float64(residentAfter-resident)/float64(b.N), "rss-B/device")
	b.ReportMetric(float64(routinesAfter-routines)/float64(b.N), "goroutines/device")

	// One ring for each reaches all of them.
	began := time.Now()
	for _, d := range devices {
		w.bus.Publish(ctx, run.RingTopic(d.ID), nil)
	}
	for _, s := range sockets {
		if _, err := s.receive(); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(time.Since(began).Microseconds())/float64(b.N), "µs/ring")
	for _, s := range sockets {
		s.conn.Close(websocket.StatusNormalClosure, "")
	}
}

// heap is what lives: objects and stacks, in bytes.
func heap() int64 {
	runtime.GC()
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc + m.StackInuse)
}

// rss is the process's resident memory in bytes; 0 where the system does not say.
func rss(b *testing.B) int64 {
	text, err := os.ReadFile("/proc/self/statm")
	if err != nil {
		return 0
	}
	pages, err := strconv.ParseInt(strings.Fields(string(text))[1], 10, 64)
	if err != nil {
		b.Fatal(err)
	}
	return pages * int64(os.Getpagesize())
}
