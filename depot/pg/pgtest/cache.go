package pgtest

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/holdfast-backup/holdfast/depot/local"
)

// startCached starts the server on a copy of the cluster that an earlier test program left, template and all. If there is
// none, or it will not do (PostgreSQL was upgraded, say), it makes a new one and leaves that.
func startCached(ctx context.Context, s *server) error {
	cached := cachedCluster()
	if _, err := os.Stat(cached); cached != "" && err == nil {
		dir, err := tempDir()
		if err != nil {
			return err
		}
		if err = copyTree(cached, filepath.Join(dir, "postgres")); err == nil {
			if err = s.startIn(ctx, dir); err == nil {
				return nil
			}
		}
		if ctx.Err() != nil {
			return err
		}
		os.RemoveAll(cached)
	}
	dir, err := tempDir()
	if err != nil {
		return err
	}
	if err := s.startIn(ctx, dir); err != nil || cached == "" {
		return err
	}
	if _, err := s.shiftedTemplate(ctx); err != nil {
		return err
	}
	// The files are whole only while the server is down.
	if err := s.admin.Close(); err != nil {
		return err
	}
	s.local.Close()
	leave(filepath.Join(dir, "postgres"), cached)
	return s.startIn(ctx, dir)
}

func (s *server) startIn(ctx context.Context, dir string) (err error) {
	s.local, err = local.Start(ctx, local.Config{Dir: dir, NoRedis: true, Throwaway: true})
	if err != nil {
		return err
	}
	s.url = s.local.DatabaseURL()
	if err := s.open(ctx); err != nil {
		s.local.Close()
		return err
	}
	return nil
}

// Private returns what a test needs to start a PostgreSQL of its own with depot/local, as often as it likes, because it
// wants to stop or kill it. The directory goes with the test. The database is empty.
func Private(t testing.TB) local.Config {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "data")
	if err := os.Mkdir(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	if _, err := postgres(); err != nil { // fills the cache
		t.Fatalf("a PostgreSQL for tests: %v", err)
	}
	if cached := cachedCluster(); cached != "" {
		if err := copyTree(cached, filepath.Join(dir, "postgres")); err != nil {
			os.RemoveAll(filepath.Join(dir, "postgres")) // then it is made anew, which takes longer
		}
	}
	return local.Config{Dir: dir, NoRedis: true, Throwaway: true}
}

const cachePrefix = "pgtest-"

// cachedCluster returns where the cluster for this state of the migrations is kept, or "" if there is no place.
func cachedCluster() string {
	cache, err := os.UserCacheDir()
	if err != nil {
		return ""
	}
	return filepath.Join(cache, "holdfast-tools", cachePrefix+schemaHash())
}

// leave puts a copy of a cluster into the cache. It is a favour for the next test program: if it fails, nothing is lost. Test programs that
// do it at once each make a copy; the first rename wins.
func leave(cluster, cached string) {
	if err := os.MkdirAll(filepath.Dir(cached), 0o700); err != nil {
		return
	}
	making := fmt.Sprintf("%s.%d", cached, os.Getpid())
	defer os.RemoveAll(making)
	if copyTree(cluster, making) == nil {
		os.Rename(making, cached)
	}
	// Clusters for older migrations, and copies that were never finished.
	entries, err := filepath.Glob(filepath.Join(filepath.Dir(cached), cachePrefix+"*"))
	if err != nil {
		return
	}
	for _, e := range entries {
		if st, err := os.Stat(e); err == nil && e != cached && e != making && time.Since(st.ModTime()) > 24*time.Hour {
			os.RemoveAll(e)
		}
	}
}

// copyTree copies folders and files, with modes and owners.
func copyTree(from, to string) error {
	return filepath.WalkDir(from, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		rel, err := filepath.Rel(from, path)
		if err != nil {
			return err
		}
		info, err := d.Info()
		if err != nil {
			return err
		}
		target := filepath.Join(to, rel)
		switch {
		case d.IsDir():
			err = os.Mkdir(target, info.Mode().Perm())
		case info.Mode().IsRegular():
			err = copyFile(path, target, info.Mode().Perm())
		default:
			err = fmt.Errorf("%s is neither folder nor file", path)
		}
		if err != nil {
			return err
		}
		return chownLike(target, info)
	})
}

func copyFile(from, to string, mode fs.FileMode) error {
	src, err := os.Open(from)
	if err != nil {
		return err
	}
	defer src.Close()
	dst, err := os.OpenFile(to, os.O_WRONLY|os.O_CREATE|os.O_EXCL, mode)
	if err != nil {
		return err
	}
	_, err = dst.ReadFrom(src)
	return errors.Join(err, dst.Close())
}
