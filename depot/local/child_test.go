//go:build unix

package local

import (
	"context"
	"log/slog"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"time"
)

// A first start that fails for a reason that passes is tried again; any other failure is told at once.
func TestFirstStartIsTriedAgain(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		says   string
		starts int
		works  bool
	}{
		"a predecessor that is still dying": {"FATAL:  pre-existing shared memory block (key 1, ID 2) is still in use", 3, true},
		"anything else":                     {"FATAL:  could not open configuration file", 1, false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			starts := 0
			child, err := keep(t.Context(), program{
				name:    "PostgreSQL",
				prepare: func(context.Context) error { return nil },
				command: func() *exec.Cmd {
					if starts++; starts < 3 {
						return exec.Command("sh", "-c", "echo '"+c.says+"' >&2; exit 1")
					}
					return exec.Command("sleep", "60")
				},
				ready: func(ctx context.Context, _ int) error {
					if starts < 3 {
						<-ctx.Done()
						return ctx.Err()
					}
					return nil
				},
				passes:   stillDying,
				polite:   syscall.SIGTERM,
				insist:   syscall.SIGKILL,
				patience: 10 * time.Second,
				level:    func(string) slog.Level { return slog.LevelDebug },
			}, slog.New(slog.DiscardHandler), func(error) {})
			if (err == nil) != c.works || err != nil && !strings.Contains(err.Error(), c.says) {
				t.Errorf("got %v", err)
			}
			if child != nil {
				child.stop()
			}
			if starts != c.starts {
				t.Errorf("%d starts, want %d", starts, c.starts)
			}
		})
	}
}
