//go:build linux

package e2e

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/holdfast-backup/holdfast/e2e/stack"
)

// TestChaos kills the agent, the server, its PostgreSQL and its Redis at random moments of random backups.
// After each kill: no committed snapshot may be unreadable, and the next backup must succeed. At the end
// every byte is compared.
func TestChaos(t *testing.T) {
	t.Parallel()
	kills, seed := 6, uint64(time.Now().UnixNano())
	if s := os.Getenv("HOLDFAST_CHAOS_KILLS"); s != "" {
		var err error
		if kills, err = strconv.Atoi(s); err != nil {
			t.Fatal(err)
		}
	}
	if s := os.Getenv("HOLDFAST_CHAOS_SEED"); s != "" {
		var err error
		if seed, err = strconv.ParseUint(s, 10, 64); err != nil {
			t.Fatal(err)
		}
	}
	t.Logf("HOLDFAST_CHAOS_SEED=%d", seed)
	rng := rand.New(rand.NewPCG(seed, 0))
	s := ownServer(t)
	a := person(t, s)
	files := filepath.Join(t.TempDir(), "files")
	grow(t, files, seed, 400, 150_000)
	mustBackup(t, a, files)

	victims := []string{"agent", "server", "postgres", "redis"}
	// A backup of what is new takes about this long at the speed that it is held to; kills are spread over it.
	const speed, took = "2MiB", 1500 * time.Millisecond
	inTime := 0
	for i := range kills {
		// Something new each time, so that there is something to lose.
		grow(t, files, seed+uint64(i)+1, 60, 300_000)
		victim := victims[i%len(victims)]
		cmd := a.Command("backup", files, "--json", "--limit-upload", speed)
		var out bytes.Buffer
		cmd.Stdout, cmd.Stderr = &out, &out
		if err := stack.Start(cmd); err != nil {
			t.Fatal(err)
		}
		wait := time.Duration(rng.Int64N(int64(took)))
		time.Sleep(wait)
		switch victim {
		case "agent":
			cmd.Process.Kill()
		case "server":
			s.Kill()
			if err := s.Start(t.Context()); err != nil {
				t.Fatalf("kill %d: %v", i, err)
			}
		default:
			killChild(t, s, victim)
		}
		began := time.Now()
		err := cmd.Wait()
		if err != nil || time.Since(began) > 50*time.Millisecond {
			inTime++ // it was still at work
		}
		t.Logf("kill %d: %s after %v; the agent ended %v later: %v", i, victim, wait.Round(time.Millisecond), time.Since(began).Round(time.Millisecond), err)
		if victim != "agent" && err != nil {
			t.Errorf("kill %d: the backup did not outlive the %s: %v\n%s\n%s", i, victim, err, out.String(), s.Log())
		}
		// The next backup succeeds, and what it says is committed can be read: all of it, through the real path.
		b := mustBackup(t, a, files)
		if err := a.Unlocked(t.Context(), "verify", b.Snapshot).Err(); err != nil {
			t.Fatalf("kill %d (%s): %v\n%s", i, victim, err, s.Log())
		}
	}

	if inTime < kills/3 {
		t.Errorf("only %d of %d kills came while a backup was at work: the test tests too little", inTime, kills)
	}

	// Every snapshot that was ever committed, not only the newest.
	for _, id := range snapshots(t, a) {
		if err := a.Unlocked(t.Context(), "verify", id).Err(); err != nil {
			t.Error(err)
		}
	}
	back := t.TempDir()
	if err := a.Unlocked(t.Context(), "restore", "latest", "--to", back).Err(); err != nil {
		t.Fatal(err)
	}
	mustMatch(t, files, back)
	if r := s.Holdfast(t.Context(), "scrub", "--all"); r.Code != 0 {
		t.Error(r.Err())
	}
}

func snapshots(t *testing.T, a *stack.Agent) []string {
	t.Helper()
	var list struct{ Snapshots []struct{ ID string } }
	if err := a.Unlocked(t.Context(), "snapshots", "--json").JSON(&list); err != nil {
		t.Fatal(err)
	}
	var ids []string
	for _, s := range list.Snapshots {
		ids = append(ids, s.ID)
	}
	return ids
}

// killChild kills a server process's PostgreSQL (its first process) or Redis.
func killChild(t *testing.T, s *stack.Server, name string) {
	t.Helper()
	kids, err := os.ReadFile(fmt.Sprintf("/proc/%d/task/%[1]d/children", s.Cmd.Process.Pid))
	if err != nil {
		t.Fatal(err)
	}
	// Children belong to the thread that forked them.
	tasks, _ := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/children", s.Cmd.Process.Pid))
	for _, task := range tasks {
		more, _ := os.ReadFile(task)
		kids = append(append(kids, ' '), more...)
	}
	for _, field := range strings.Fields(string(kids)) {
		pid, err := strconv.Atoi(field)
		if err != nil {
			continue
		}
		comm, _ := os.ReadFile(fmt.Sprintf("/proc/%d/comm", pid))
		if strings.HasPrefix(string(comm), name) {
			if err := syscall.Kill(pid, syscall.SIGKILL); err != nil {
				t.Fatal(err)
			}
			return
		}
	}
	t.Fatalf("the server has no child called %s", name)
}
