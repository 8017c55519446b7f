//go:build unix

package stack

import (
	"crypto/sha256"
	"encoding/hex"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
)

// Build returns the programs of this checkout, in dir, which it makes; or those in the folder that HOLDFAST_BIN names, as `make build` wrote
// them. Test programs share what is built, one after the other: linking takes seconds, and finding that nothing has changed does not.
func Build(dir string) (Programs, error) {
	if bin := os.Getenv("HOLDFAST_BIN"); bin != "" {
		return In(bin)
	}
	root, err := exec.Command("go", "list", "-m", "-f", "{{.Dir}}").Output()
	if err != nil {
		return Programs{}, fmt.Errorf("go list -m: %w", err)
	}
	module := strings.TrimSpace(string(root))
	shared := filepath.Join(dir, "shared") // where there is no cache folder, everybody builds
	if cache, err := os.UserCacheDir(); err == nil {
		sum := sha256.Sum256([]byte(module))
		shared = filepath.Join(cache, "holdfast-tools", "e2e-"+hex.EncodeToString(sum[:8]))
	}
	if err := os.MkdirAll(shared, 0o755); err != nil {
		return Programs{}, err
	}
	lock, err := os.OpenFile(filepath.Join(shared, "lock"), os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return Programs{}, err
	}
	defer lock.Close()
	if err := syscall.Flock(int(lock.Fd()), syscall.LOCK_EX); err != nil {
		return Programs{}, err
	}
	cmd := exec.Command("go", "build", "-o", filepath.Join(shared, "bin")+string(filepath.Separator), "./cmd/...")
	cmd.Dir = module
	if out, err := cmd.CombinedOutput(); err != nil {
		return Programs{}, fmt.Errorf("go build: %w\n%s", err, out)
	}
	// A copy: somebody may build something else there while our tests run.
	if err := os.CopyFS(dir, os.DirFS(filepath.Join(shared, "bin"))); err != nil {
		return Programs{}, err
	}
	return In(dir)
}

// Overlap lets four tests of a program run at once, however few processors there are, unless -parallel says otherwise. For programs whose tests
// mostly wait: for a minute to come, for a device to come back, for a speed limit.
func Overlap() error {
	flag.Parse()
	said := false
	flag.Visit(func(f *flag.Flag) { said = said || f.Name == "test.parallel" })
	if said || runtime.GOMAXPROCS(0) >= 4 {
		return nil
	}
	return flag.Set("test.parallel", "4")
}
