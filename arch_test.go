package holdfast_test

import (
	"bytes"
	"encoding/json"
	"io"
	"os/exec"
	"path"
	"strings"
	"sync"
	"testing"
)

const module = "github.com/holdfast-backup/holdfast/"

// pkg is what `go list` knows of a package. All paths inside the module are relative to it.
type pkg struct {
	ImportPath string
	Standard   bool
	Imports    []string // direct, without tests
	Deps       []string // at any distance, without tests
}

// load lists every package for a target, once for each target: build tags must not hide an import.
var load = func() func(t *testing.T, goos, goarch string) map[string]pkg {
	var mu sync.Mutex
	seen := map[string]map[string]pkg{}
	return func(t *testing.T, goos, goarch string) map[string]pkg {
		t.Helper()
		mu.Lock()
		defer mu.Unlock()
		if m := seen[goos]; m != nil {
			return m
		}
		patterns := []string{"./..."}
		if goos == "js" {
			patterns = []string{"./app", "./app/keys"}
		} else if goos == "windows" { // where only the knowing half runs
			patterns = []string{"./agent/...", "./cmd/holdfast-agent", "./vault/...", "./wire/..."}
		}
		cmd := exec.Command("go", append([]string{"list", "-deps", "-json=ImportPath,Standard,Imports,Deps"}, patterns...)...)
		cmd.Env = append(cmd.Environ(), "GOOS="+goos, "GOARCH="+goarch, "CGO_ENABLED=0")
		var stderr bytes.Buffer
		cmd.Stderr = &stderr
		out, err := cmd.Output()
		if err != nil {
			t.Fatalf("go list for %s/%s: %v\n%s", goos, goarch, err, stderr.Bytes())
		}
		m := map[string]pkg{}
		for dec := json.NewDecoder(bytes.NewReader(out)); ; {
			var p pkg
			if err := dec.Decode(&p); err == io.EOF {
				break
			} else if err != nil {
				t.Fatal(err)
			}
			m[p.ImportPath] = p
		}
		seen[goos] = m
		return m
	}
}()

// ours yields our packages that lie in one of the folders ("." is the module's root package only).
func ours(m map[string]pkg, folders ...string) map[string]pkg {
	found := map[string]pkg{}
	for name, p := range m {
		if rel, ok := strings.CutPrefix(name, module); ok && in(rel, folders...) {
			found[rel] = p
		}
	}
	return found
}

// in reports whether a path is, or lies below, one of the folders.
func in(p string, folders ...string) bool {
	for _, f := range folders {
		if p == f || strings.HasPrefix(p, f+"/") {
			return true
		}
	}
	return false
}

// rule is one line of the never-list.
type rule struct {
	name   string
	from   []string // our folders; empty: all of them
	except []string // folders that the rule leaves alone
	never  []string // import paths, or folders of ours starting with "./"
	direct bool     // only direct imports count
	why    string
}

var rules = []rule{
	{
		name:  "the keeping half cannot name a key",
		from:  []string{"server", "worker", "graph", "depot", "migrations", "cmd/holdfast"},
		never: []string{"./vault"},
		why:   "a server that cannot compile key code cannot leak a key: whatever it needs of the other half goes through wire",
	}, {
		name:  "a device holds no database, queue or bucket",
		from:  []string{"vault", "agent", "app", "cmd/holdfast-agent"},
		never: []string{"./depot", "./graph", "./migrations", "github.com/jmoiron/sqlx", "github.com/hibiken/asynq", "github.com/redis/go-redis", "github.com/minio/minio-go"},
		why:   "agents reach the server through GraphQL only; these packages compile for the browser without complaint, so only this test keeps them out",
	}, {
		name:  "what runs in a browser speaks to no database",
		from:  []string{"vault", "app"},
		never: []string{"github.com/lib/pq", "github.com/go-sql-driver/mysql", "./agent/source"},
		why:   "drivers compile for the browser without complaint, so only this test keeps them out",
	}, {
		name:   "databases of applications live in agent/source",
		from:   []string{"agent", "cmd/holdfast-agent"},
		except: []string{"agent/source"},
		never:  []string{"database/sql", "github.com/lib/pq", "github.com/go-sql-driver/mysql"},
		direct: true,
		why:    "their passwords stay on their host: one room has them, and the rest of the agent knows a source.Database",
	}, {
		name:  "the domain does not stand on the API",
		from:  []string{"depot"},
		never: []string{"./graph", "github.com/99designs/gqlgen"},
		why:   "worker, CLI and tests use the same methods as the resolvers",
	}, {
		name:   "resolvers ask, they do not fetch",
		from:   []string{"graph"},
		never:  []string{"database/sql", "github.com/jmoiron/sqlx", "github.com/lib/pq", "github.com/hibiken/asynq", "github.com/redis/go-redis", "github.com/minio/minio-go"},
		direct: true,
		why:    "permission is decided in the depot method; a resolver with a connection of its own goes round it",
	}, {
		name:  "server never reaches the app",
		from:  []string{"server"},
		never: []string{"./app"},
		why:   "the server serves the app's built files; it does not link its code",
	}, {
		name:   "asynq lives in depot/queue and worker",
		except: []string{"depot/queue", "worker"},
		never:  []string{"github.com/hibiken/asynq"},
		direct: true,
		why:    "the queue is a way to ring, not a place for state: one room owns it",
	}, {
		name:   "redis lives in depot/queue and depot/bus",
		except: []string{"depot/queue", "depot/bus"},
		never:  []string{"github.com/redis/go-redis"},
		direct: true,
		why:    "what is in Redis may be lost at any time: the rooms that live with that are few",
	}, {
		name:   "S3 lives in depot/blob/s3",
		except: []string{"depot/blob/s3"},
		never:  []string{"github.com/minio/minio-go"},
		direct: true,
		why:    "every other room knows a Store and its promise",
	}, {
		name:   "SMTP lives in depot/mail",
		except: []string{"depot/mail"},
		never:  []string{"github.com/wneessen/go-mail", "net/smtp"},
		direct: true,
		why:    "one room sees to it that no password goes over an open line and that no name becomes a header",
	}, {
		name:   "AEADs, HPKE, HKDF and Argon2 live in vault/seal and vault/keyring, and an AEAD in depot/locked",
		except: []string{"vault/seal", "vault/keyring", "depot/locked"},
		never:  []string{"crypto/aes", "crypto/cipher", "crypto/hpke", "crypto/hkdf", "crypto/mlkem", "golang.org/x/crypto/argon2", "golang.org/x/crypto/hkdf", "golang.org/x/crypto/chacha20poly1305"},
		direct: true,
		why:    "keys are made and used in rooms that one person can review in a day; depot/locked holds no key of a user's data",
	}, {
		name:   "the knowing half runs anywhere",
		from:   []string{"vault/chunk", "vault/seal", "vault/tree", "vault/backup", "vault/restore", "vault/keyring", "vault/manifest", "vault/order", "vault/archive", "vault/dump"},
		never:  []string{"net", "net/http", "os", "os/exec", "os/user", "syscall", "golang.org/x/sys/unix"},
		direct: true,
		why:    "it gets readers and interfaces, so it runs on a device, in the browser and in a test",
	}, {
		name:   "what screens know is plain Go",
		from:   []string{"app/state", "app/safe", "app/api", "app/live"},
		never:  []string{"github.com/maxence-charriere/go-app", "./app/page", "./app/ui", "./app/browser", "syscall/js", "os", "net"},
		direct: true,
		why:    "state and keys are tested without a browser, and a browser has no files and no sockets",
	}, {
		name:   "pieces of screens hold no data",
		from:   []string{"app/ui"},
		never:  []string{"./app/state", "./app/api", "./app/live", "./app/page", "./app/safe"},
		direct: true,
		why:    "a piece takes what it shows as arguments, so that every screen can use it",
	}, {
		name:  "the page has no keys",
		from:  []string{"app/page", "app/ui", "app/state"},
		never: []string{"./vault", "./app/safe"},
		why:   "what opens backups lives in the worker: a page that links key code could be made to hold a key",
	}, {
		name:   "syscall/js lives in app/browser",
		except: []string{"app/browser"},
		never:  []string{"syscall/js"},
		direct: true,
		why:    "everything else in the app runs, and is tested, without a browser",
	},
}

var targets = [][2]string{{"linux", "amd64"}, {"darwin", "arm64"}, {"windows", "amd64"}, {"js", "wasm"}}

func TestNeverList(t *testing.T) {
	t.Parallel()
	for _, target := range targets {
		m := load(t, target[0], target[1])
		for _, r := range rules {
			from := r.from
			if from == nil {
				from = []string{"agent", "app", "cmd", "depot", "e2e", "graph", "migrations", "plan", "server", "vault", "wire", "worker"}
			}
			for rel, p := range ours(m, from...) {
				if in(rel, r.except...) || strings.HasSuffix(path.Base(rel), "test") || in(rel, "e2e") {
					continue
				}
				reached := p.Deps
				if r.direct {
					reached = p.Imports
				}
				for _, dep := range reached {
					for _, never := range r.never {
						if folder, ok := strings.CutPrefix(never, "./"); ok {
							never = module + folder
						}
						if in(dep, never) {
							t.Errorf("%s/%s: %s reaches %s.\n\trule: %s\n\twhy:  %s", target[0], target[1], rel, dep, r.name, r.why)
						}
					}
				}
			}
		}
	}
}

// The ground stands on nothing: wire and plan import the standard library only, and one another only where
// the table says so.
func TestGroundStandsOnTheStandardLibrary(t *testing.T) {
	t.Parallel()
	m := load(t, "linux", "amd64")
	allowed := map[string]string{"wire/pack": "wire/id"}
	for rel, p := range ours(m, "wire", "plan") {
		for _, imp := range p.Imports {
			if dep, ok := strings.CutPrefix(imp, module); ok && allowed[rel] == dep {
				continue
			}
			if !m[imp].Standard {
				t.Errorf("%s imports %s: the ground must build with the standard library alone, for every program and for the browser", rel, imp)
			}
		}
	}
}

// Programs are leaves: nobody imports them, and they do not import one another.
func TestProgramsAreLeaves(t *testing.T) {
	t.Parallel()
	m := load(t, "linux", "amd64")
	for rel, p := range ours(m, "agent", "app", "cmd", "depot", "graph", "server", "vault", "wire", "worker") {
		for _, imp := range p.Imports {
			if in(strings.TrimPrefix(imp, module), "cmd", "app") && !in(rel, "app") {
				t.Errorf("%s imports %s: what two programs want belongs in a package below both", rel, imp)
			}
		}
	}
	layers := [][]string{ // a folder may import the folders after its own, never the ones before
		{"cmd/holdfast"}, {"server", "worker"}, {"graph"}, {"depot", "migrations"}, {"plan", "wire"},
	}
	for above, layer := range layers {
		for rel, p := range ours(m, layer...) {
			for _, imp := range p.Imports {
				for _, upper := range layers[:above] {
					if d := strings.TrimPrefix(imp, module); d != imp && in(d, upper...) {
						t.Errorf("%s imports %s: imports go downwards only", rel, d)
					}
				}
			}
		}
	}
}

// Packages that exist for tests stay in tests.
func TestTestPackagesStayInTests(t *testing.T) {
	t.Parallel()
	m := load(t, "linux", "amd64")
	for rel, p := range ours(m, "agent", "app", "cmd", "depot", "graph", "migrations", "server", "vault", "wire", "worker") {
		if strings.HasSuffix(path.Base(rel), "test") {
			continue
		}
		for _, imp := range p.Imports {
			if d := strings.TrimPrefix(imp, module); d != imp && strings.HasSuffix(path.Base(d), "test") || imp == "testing" {
				t.Errorf("%s imports %s outside its tests", rel, imp)
			}
		}
	}
}

// A package is named after its idea.
func TestNoGrabBags(t *testing.T) {
	t.Parallel()
	for rel := range ours(load(t, "linux", "amd64"), "agent", "app", "cmd", "depot", "e2e", "graph", "server", "vault", "wire", "worker", "plan") {
		switch path.Base(rel) {
		case "util", "utils", "common", "helper", "helpers", "misc", "types", "models", "base", "shared":
			t.Errorf("%s: a package is named after what it is about, so that a reader can find it and a writer knows what does not belong", rel)
		}
	}
}
