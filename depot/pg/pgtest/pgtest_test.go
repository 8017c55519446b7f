package pgtest_test

import (
	"testing"
	"time"

	"github.com/holdfast-backup/holdfast/depot/pg/pgtest"
)

func TestNew(t *testing.T) {
	t.Parallel()
	for range 3 {
		began := time.Now()
		db := pgtest.New(t)
		t.Log(time.Since(began))
		var n int
		if err := db.Get(&n, `SELECT count(*) FROM users`); err != nil || n != 0 {
			t.Fatal(n, err)
		}
	}
}
