package source

import (
	"testing"

	"github.com/holdfast-backup/holdfast/vault/dump"
)

func TestRedact(t *testing.T) {
	t.Parallel()
	for address, want := range map[string]string{
		"postgres://anna:secret@db:5432/shop?sslmode=require":          "postgres://anna@db:5432/shop?sslmode=require",
		"postgres://anna@db/shop":                                      "postgres://anna@db/shop",
		"postgres:///shop?host=/run&password=secret&sslpassword=other": "postgres:///shop?host=%2Frun",
		"mysql://anna:se%zzcret@db/shop":                               "mysql://…@db/shop",
		"mysql://anna:se@c%zzret@db/shop":                              "mysql://…@db/shop",
		"sqlite:/var/lib/shop.db":                                      "sqlite:/var/lib/shop.db",
		"mysql://secret%zz":                                            "mysql://…",
		"secret%zz":                                                    "…",
	} {
		if got := Redact(address); got != want {
			t.Errorf("%s is shown as %s, want %s", address, got, want)
		}
	}
}

func TestCheckOK(t *testing.T) {
	t.Parallel()
	c := Check{Engine: dump.Postgres, Points: []Point{{OK: true}, {OK: true}}}
	if !c.OK() || !(Check{}).OK() {
		t.Error("nothing is wrong, and it is not OK")
	}
	if c.Points[1].OK = false; c.OK() {
		t.Error("something is wrong, and it is OK")
	}
}
