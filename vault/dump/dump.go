// Package dump knows what the plain dumps of databases look like: it tells their kinds apart by content, and counts
// the rows of every table while a dump streams by.
//
// It reads what the dump programs write, and refuses what no dump program writes; it is no SQL parser. So the counts of a
// text that somebody wrote by hand may be wrong (INSERT … SELECT has no rows to see), which a restore then finds.
package dump

import (
	"bytes"

	"github.com/holdfast-backup/holdfast/wire/fault"
)

// An Engine is a kind of database server, or of file.
type Engine string

// The engines.
const (
	Postgres Engine = "postgres"
	MySQL    Engine = "mysql" // MariaDB, too
	SQLite   Engine = "sqlite"
)

// A Format is how a dump is written.
type Format string

// The formats. All but PostgresCustom are SQL text.
const (
	Unknown        Format = ""
	PostgresSQL    Format = "postgres-sql"
	PostgresCustom Format = "postgres-custom" // pg_dump --format=custom
	MySQLSQL       Format = "mysql-sql"       // mysqldump, mariadb-dump
	SQLiteSQL      Format = "sqlite-sql"      // sqlite3 .dump
)

// Engine returns the engine whose dumps have that format, or "".
func (f Format) Engine() Engine {
	switch f {
	case PostgresSQL, PostgresCustom:
		return Postgres
	case MySQLSQL:
		return MySQL
	case SQLiteSQL:
		return SQLite
	}
	return ""
}

// A Table is a table of a dump, with its rows.
type Table struct {
	Name string `json:"name"` // as the engine qualifies it: public.orders in PostgreSQL, orders elsewhere; without quotes
	Rows int64  `json:"rows"`
}

// SniffLen is how many bytes of a dump Sniff looks at.
const SniffLen = 64 << 10

// Sniff tells a dump's format by its first SniffLen bytes, or all there are, and Unknown if they are of none. What is compressed
// must be unpacked before.
func Sniff(head []byte) Format {
	head = bytes.TrimPrefix(head[:min(len(head), SniffLen)], []byte("\xef\xbb\xbf"))
	if bytes.HasPrefix(head, customMagic) {
		return PostgresCustom
	}
	if bytes.IndexByte(head, 0) >= 0 { // no dump program writes one into SQL; a database's own file is full of them
		return Unknown
	}
	first, at := Unknown, len(head)
	for _, s := range signs {
		if i := bytes.Index(head[:min(len(head), at+len(s.text))], []byte(s.text)); i >= 0 && i < at && (!s.start || i == 0 || head[i-1] == '\n') {
			first, at = s.format, i
		}
	}
	return first
}

var customMagic = []byte("PGDMP")

// signs are what only one kind of dump has; the one that comes first decides, because rows may hold anything.
var signs = []struct {
	text   string
	start  bool // of a line
	format Format
}{
	{"-- PostgreSQL database", true, PostgresSQL},
	{"SET statement_timeout = ", true, PostgresSQL},
	{"SET standard_conforming_strings = ", true, PostgresSQL},
	{"SELECT pg_catalog.set_config(", true, PostgresSQL},
	{"\\restrict ", true, PostgresSQL},
	{"-- MySQL dump", true, MySQLSQL},
	{"-- MariaDB dump", true, MySQLSQL},
	{"-- phpMyAdmin SQL Dump", true, MySQLSQL},
	{"/*!40", true, MySQLSQL},
	{"/*!99", true, MySQLSQL},
	{"/*M!99", true, MySQLSQL},
	{"CREATE TABLE `", true, MySQLSQL},
	{"INSERT INTO `", true, MySQLSQL},
	{"PRAGMA foreign_keys=", true, SQLiteSQL},
	{"BEGIN TRANSACTION;", true, SQLiteSQL},
}

// A Scanner counts the rows of a dump that is written to it, in pieces of any size. Memory does not grow with the
// dump.
type Scanner struct {
	of     reader
	format Format
	err    error
}

// A reader reads one format.
type reader interface {
	Write(p []byte) (int, error)
	Tables() []Table
	Whole() bool
}

// NewScanner returns a Scanner for a format. What a PostgresCustom dump holds is compressed, so of that one only the
// beginning is looked at, and Tables is empty.
func NewScanner(f Format) *Scanner {
	s := &Scanner{format: f}
	switch f {
	case PostgresSQL:
		s.of = NewPostgresStatements(nil)
	case MySQLSQL:
		s.of = NewMySQLStatements(nil)
	case SQLiteSQL:
		s.of = NewSQLiteStatements(nil)
	case PostgresCustom:
		s.of = &custom{}
	default:
		s.err = fault.New(fault.Invalid, "this is no dump of a database that is known: it can be one of pg_dump, mysqldump, mariadb-dump or sqlite3")
	}
	return s
}

// Write takes the next bytes. It fails with fault.Invalid or fault.TooLarge at what cannot be in such a dump.
func (s *Scanner) Write(p []byte) (int, error) {
	if s.err != nil {
		return 0, s.err
	}
	n, err := s.of.Write(p)
	s.err = err
	return n, err
}

// Tables returns the rows seen so far, by the tables' names.
func (s *Scanner) Tables() []Table {
	if s.of == nil {
		return nil
	}
	return s.of.Tables()
}

// Whole says whether the dump that was written ended as its program ends one: nil, or a fault of the kind Invalid.
func (s *Scanner) Whole() error {
	if s.err != nil {
		return s.err
	}
	if s.of.Whole() {
		return nil
	}
	end := map[Format]string{
		PostgresSQL: "\"-- PostgreSQL database dump complete\", is not there",
		MySQLSQL:    "\"-- Dump completed\", is not there",
		SQLiteSQL:   "\"COMMIT;\", is not there",
	}[s.format]
	if end == "" {
		return fault.New(fault.Invalid, "the dump breaks off at its beginning: make it again")
	}
	return fault.New(fault.Invalid, "the dump breaks off: its end, %s. Make it again", end)
}

// custom looks at the beginning of a dump in pg_dump's own format.
type custom struct{ head []byte }

func (c *custom) Write(p []byte) (int, error) {
	if more := len(customMagic) - len(c.head); more > 0 {
		c.head = append(c.head, p[:min(more, len(p))]...)
		if !bytes.HasPrefix(customMagic, c.head) {
			return 0, fault.New(fault.Invalid, "this is no dump in the custom format of pg_dump")
		}
	}
	return len(p), nil
}

func (c *custom) Tables() []Table { return nil }

func (c *custom) Whole() bool { return len(c.head) == len(customMagic) }
