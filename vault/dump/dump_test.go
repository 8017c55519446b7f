package dump

import (
	"bytes"
	"errors"
	"testing"

	"github.com/holdfast-backup/holdfast/wire/fault"
)

func TestSniff(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]Format{
		"":                                      Unknown,
		"hello":                                 Unknown,
		"SQLite format 3\x00...":                Unknown,
		"PGDMP\x01\x0f\x00":                     PostgresCustom,
		"--\n-- PostgreSQL database dump\n--\n": PostgresSQL,
		"\xef\xbb\xbf-- PostgreSQL database dump":                                              PostgresSQL,
		"\n\nSET statement_timeout = 0;\n":                                                     PostgresSQL,
		"-- MySQL dump 10.13  Distrib 8.0.36":                                                  MySQLSQL,
		"/*M!999999\\- enable the sandbox mode */ \n-- MariaDB dump 10.19":                     MySQLSQL,
		"/*!999999\\- enable the sandbox mode */ \n-- MariaDB dump 10.19":                      MySQLSQL,
		"-- Host: x\n/*!40101 SET NAMES utf8 */;":                                              MySQLSQL,
		"PRAGMA foreign_keys=OFF;\nBEGIN TRANSACTION;\nCREATE TABLE t(a);":                     SQLiteSQL,
		"-- MySQL dump\nINSERT INTO `t` VALUES ('\n-- PostgreSQL database dump');":             MySQLSQL,
		"PRAGMA foreign_keys=OFF;\nBEGIN TRANSACTION;\nINSERT INTO t VALUES('\n-- MySQL dump'": SQLiteSQL,
		"this is about -- MySQL dump files":                                                    Unknown,
		"-- MySQL dump\x00":                                                                    Unknown,
	} {
		if got := Sniff([]byte(text)); got != want {
			t.Errorf("%q is %q, want %q", text, got, want)
		}
	}
	if got := Sniff(append(bytes.Repeat([]byte("\n"), SniffLen), "-- MySQL dump"...)); got != Unknown {
		t.Errorf("something far behind is %q", got)
	}
}

func TestFormatsHaveEngines(t *testing.T) {
	t.Parallel()
	for f, want := range map[Format]Engine{PostgresSQL: Postgres, PostgresCustom: Postgres, MySQLSQL: MySQL, SQLiteSQL: SQLite, Unknown: "", "other": ""} {
		if got := f.Engine(); got != want {
			t.Errorf("%q is of %q, want %q", f, got, want)
		}
	}
}

func TestScannerOfEachFormat(t *testing.T) {
	t.Parallel()
	for f, text := range map[Format]string{
		PostgresSQL:    "CREATE TABLE a (b int);\nINSERT INTO a VALUES (1);\n-- PostgreSQL database dump complete\n",
		PostgresCustom: "PGDMP\x01",
		MySQLSQL:       "CREATE TABLE `a` (b int);\nINSERT INTO `a` VALUES (1);\n-- Dump completed\n",
		SQLiteSQL:      "BEGIN TRANSACTION;\nCREATE TABLE a (b int);\nINSERT INTO a VALUES(1);\nCOMMIT;\n",
	} {
		s := NewScanner(f)
		if err := s.Whole(); !errors.Is(err, fault.Invalid) {
			t.Errorf("%s: nothing is whole: %v", f, err)
		}
		for i := range text {
			if _, err := s.Write([]byte(text[i : i+1])); err != nil {
				t.Fatalf("%s: %v", f, err)
			}
		}
		if err := s.Whole(); err != nil {
			t.Errorf("%s: %v", f, err)
		}
		tables := s.Tables()
		if f == PostgresCustom && tables != nil || f != PostgresCustom && (len(tables) != 1 || tables[0].Rows != 1) {
			t.Errorf("%s: %v", f, tables)
		}
	}
}

func TestScannerOfSomethingElse(t *testing.T) {
	t.Parallel()
	for f, text := range map[Format]string{Unknown: "hello", PostgresCustom: "PGDUMP"} {
		s := NewScanner(f)
		for range 2 { // it stays so
			if _, err := s.Write([]byte(text)); !errors.Is(err, fault.Invalid) {
				t.Errorf("%q: %v", f, err)
			}
			if err := s.Whole(); !errors.Is(err, fault.Invalid) {
				t.Errorf("%q: %v", f, err)
			}
		}
		if s.Tables() != nil {
			t.Errorf("%q has tables", f)
		}
	}
}
