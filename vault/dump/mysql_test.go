package dump

import (
	"bytes"
	"errors"
	"fmt"
	"reflect"
	"strings"
	"testing"

	"github.com/holdfast-backup/holdfast/wire/fault"
)

const mysqlText = "/*M!999999\\- enable the sandbox mode */ \n" + `-- MariaDB dump 10.19  Distrib 10.11.19-MariaDB, for debian-linux-gnu (x86_64)
--
-- Host: localhost    Database: shop
-- ------------------------------------------------------
/*!40101 SET NAMES utf8mb4 */;
/*!40101 SET @OLD_SQL_NOTES=@@SQL_NOTES, SQL_NOTES=0 */;

DROP SEQUENCE IF EXISTS ` + "`tickets`" + `;
CREATE SEQUENCE ` + "`tickets`" + ` start with 1 cache 1000 nocycle ENGINE=InnoDB;
INSERT INTO ` + "`tickets` VALUES (1,1,9,1,1,1000,0,0)" + `;
/*!50001 CREATE VIEW ` + "`v` AS SELECT\n 1 AS `id`*/;" + `
/*!50001 CREATE TABLE ` + "`w` (\n  `id` int\n) ENGINE=MyISAM */;" + `
CREATE TABLE ` + "`a``;b`" + ` (
  id int COMMENT 'it''s; \'x\' "(' -- INSERT INTO ` + "`no` VALUES (1);" + `
  /* INSERT INTO no VALUES (2); */, # ;
  PRIMARY KEY (id)
);
CREATE TABLE IF NOT EXISTS plain (a int);
LOCK TABLES ` + "`a``;b`" + ` WRITE;
INSERT INTO ` + "`a``;b`" + ` VALUES (1,'a),(b;'),(2,'it''s \' \\'),
(3,_binary '` + "\x01\xff;(" + `'),(4,concat('(',((')')))),(5,0xABCD--1),(6,"\"(");
INSERT INTO ` + "`a``;b` (`VALUES`, `x`)" + ` VALUES (7,NULL)/* ) */;
insert  ignore into plain values (1);
REPLACE INTO ` + "`plain`(`a`)" + ` VALUES (2),(3);
INSERT INTO plain SELECT 4;
DELIMITER ;;
/*!50003 CREATE*/ /*!50017 DEFINER=` + "`root`@`localhost`" + `*/ /*!50003 TRIGGER t BEFORE INSERT ON plain FOR EACH ROW BEGIN
  INSERT INTO log VALUES (1),(2);
  SET @a = ';';
END */;;
DELIMITER ;
DELIMITER //
CREATE PROCEDURE p() BEGIN INSERT INTO log VALUES (3); SELECT 6 / 3 /* / */ - 1; END//
DELIMITER ;
/*!40111 SET SQL_NOTES=@OLD_SQL_NOTES */;

-- Dump completed
`

var mysqlTables = []Table{{"a`;b", 7}, {"plain", 3}}

func TestMySQL(t *testing.T) {
	t.Parallel()
	s := NewScanner(MySQLSQL)
	if _, err := s.Write([]byte(mysqlText)); err != nil {
		t.Fatal(err)
	}
	if got := s.Tables(); !reflect.DeepEqual(got, mysqlTables) {
		t.Errorf("got %v", got)
	}
	if err := s.Whole(); err != nil {
		t.Error(err)
	}
	if Sniff([]byte(mysqlText)) != MySQLSQL {
		t.Error("not recognised")
	}
}

func TestMySQLStatements(t *testing.T) {
	t.Parallel()
	var heads, into []string
	var all []byte
	s := NewMySQLStatements(func(st Statement) error {
		all = append(all, st.Text...)
		if st.Rows {
			into = append(into, st.Into)
			return nil
		}
		head := strings.TrimSpace(string(st.Head))
		heads = append(heads, head)
		if code := string(st.Text[st.Code:]); head != "" && !strings.HasPrefix(code, head[:1]) {
			t.Errorf("the code of %q is said to begin at %q", head, code)
		}
		return nil
	})
	if _, err := s.Write([]byte(mysqlText)); err != nil {
		t.Fatal(err)
	}
	if err := s.Close(); err != nil || !s.Whole() {
		t.Fatal(err, s.Whole())
	}
	if string(all) != mysqlText {
		t.Error("the parts are not the whole")
	}
	for i, want := range map[int]string{0: "SET NAMES utf8mb4", 2: "DROP SEQUENCE IF EXISTS `tickets`", 4: "CREATE VIEW `v` AS SELECT\n 1 AS `id`", 9: "INSERT INTO plain SELECT 4", 10: "DELIMITER ;;"} {
		if i >= len(heads) || strings.TrimRight(heads[i], "; ") != strings.TrimRight(want, "; ") {
			t.Errorf("head %d is not %q, of %q", i, want, heads)
		}
	}
	if want := []string{"`tickets`", "`a``;b`", "`a``;b`", "plain", "`plain`"}; !reflect.DeepEqual(unique(into), unique(want)) {
		t.Errorf("rows of %q", into)
	}
}

// unique leaves out what is the same as what stands before it.
func unique(list []string) (out []string) {
	for _, s := range list {
		if len(out) == 0 || out[len(out)-1] != s {
			out = append(out, s)
		}
	}
	return out
}

// What a dump holds does not depend on where it is cut.
func FuzzMySQLCuts(f *testing.F) {
	f.Add([]byte(mysqlText), uint16(1), uint16(7))
	f.Add([]byte("INSERT INTO a VALUES ('\\''),(2);INSERT INTO `a`.`b` VALUES(1);"), uint16(0), uint16(2))
	f.Add([]byte("DELIMITER $$\r\nCREATE TRIGGER t INSERT INTO a VALUES (1);$$\r\nDELIMITER ;\n/*! ; */;--x\n-- y\n/**/#"), uint16(3), uint16(1))
	f.Fuzz(func(t *testing.T, text []byte, a, b uint16) {
		read := func(cuts ...uint16) string {
			var heads strings.Builder
			var all []byte
			s := NewMySQLStatements(func(st Statement) error {
				if all = append(all, st.Text...); !st.Rows {
					fmt.Fprintf(&heads, "%q %d\n", st.Head, st.Code)
				}
				return nil
			})
			rest := text
			for i := 0; len(rest) > 0; i++ {
				n := min(len(rest), 1+int(cuts[i%len(cuts)]))
				if _, err := s.Write(bytes.Clone(rest[:n])); err != nil {
					return heads.String() + err.Error()
				}
				rest = rest[n:]
			}
			fmt.Fprint(&heads, s.Tables(), s.Whole())
			if s.Close() == nil && !bytes.Equal(all, text) {
				t.Error("the parts are not the whole")
			}
			return heads.String()
		}
		if whole, cut := read(65535), read(a, b); whole != cut {
			t.Errorf("whole:\n%s\ncut:\n%s", whole, cut)
		}
	})
}

func TestMySQLBreaksOff(t *testing.T) {
	t.Parallel()
	for i, text := range []string{
		"", mysqlText[:len(mysqlText)/2], "INSERT INTO `t` VALUES ('\n-- Dump completed\n", "SELECT '\n-- Dump completed\n", "/*\n-- Dump completed\n",
		"-- Dump completed\nINSERT INTO `t` VALUES (1", "-- Dump completed\nSELECT 1",
	} {
		s := NewScanner(MySQLSQL)
		if _, err := s.Write([]byte(text)); err != nil {
			t.Fatal(err)
		}
		if err := s.Whole(); !errors.Is(err, fault.Invalid) {
			t.Errorf("%d is whole: %v", i, err)
		}
	}
	for _, text := range []string{"-- Dump completed", "-- Dump completed on 2026-01-01  1:02:03\r\n", "/*!40111 SET SQL_NOTES=@OLD_SQL_NOTES */;\n"} {
		s := NewScanner(MySQLSQL)
		s.Write([]byte(text))
		if err := s.Whole(); err != nil {
			t.Errorf("%q: %v", text, err)
		}
	}
}

// Memory does not grow with rows, and what cannot be in a dump is refused before it fills the memory.
func TestMySQLMemoryIsBounded(t *testing.T) {
	t.Parallel()
	piece := bytes.Repeat([]byte("0123456789abcdef"), 4<<10)
	for _, begin := range []string{"INSERT INTO `t` VALUES ('", "INSERT INTO `t` VALUES (", "SELECT '", "-- ", "/* ", "SELECT `"} {
		counting := NewMySQLStatements(nil)
		counting.Write([]byte(begin))
		passing := NewMySQLStatements(func(Statement) error { return nil })
		passing.Write([]byte(begin))
		var err error
		for range 2 * maxStatement / len(piece) {
			counting.Write(piece)
			if _, err = passing.Write(piece); err != nil {
				break
			}
		}
		if n := cap(counting.text) + cap(counting.head) + cap(counting.line); n > 1<<20 {
			t.Errorf("%q: %d bytes are kept", begin, n)
		}
		if rows := strings.HasPrefix(begin, "INSERT"); rows != (err == nil) || !rows && !errors.Is(err, fault.TooLarge) {
			t.Errorf("%q: %v", begin, err)
		}
	}
}

func TestMySQLGivesUpWithItsReader(t *testing.T) {
	t.Parallel()
	stop := errors.New("enough")
	for _, text := range []string{"SELECT 1;", "INSERT INTO a VALUES (1);", "INSERT INTO a VALUES "} {
		s := NewMySQLStatements(func(Statement) error { return stop })
		if _, err := s.Write([]byte(text)); err != stop {
			t.Errorf("%q: %v", text, err)
		}
	}
	s := NewMySQLStatements(func(Statement) error { return stop })
	s.Write([]byte("SELECT 1"))
	if err := s.Close(); err != stop {
		t.Errorf("at the end: %v", err)
	}
}

func BenchmarkMySQL(b *testing.B) {
	row := "(4711,'2024-05-06 07:08:09','some text of a row, with ünïcödé',12.34,NULL,1)"
	rows := strings.Repeat(row+",", 12000) + row
	for name, text := range map[string]string{
		"rows":    strings.Repeat("INSERT INTO `t` VALUES "+rows+";\n", 16),
		"inserts": strings.Repeat("INSERT INTO `t` VALUES "+row+";\n", 200000),
		"blob":    "INSERT INTO `t` VALUES (0x" + strings.Repeat("0123456789ABCDEF", 1<<20) + ");\n",
		"text":    "INSERT INTO `t` VALUES ('" + strings.Repeat("0123456789abcdef", 1<<20) + "');\n",
	} {
		b.Run(name, func(b *testing.B) { scanned(b, MySQLSQL, text) })
	}
}

func scanned(b *testing.B, f Format, text string) {
	b.SetBytes(int64(len(text)))
	all := []byte(text)
	for b.Loop() {
		s := NewScanner(f)
		for p := all; len(p) > 0; {
			n := min(len(p), 128<<10)
			s.Write(p[:n])
			p = p[n:]
		}
	}
}
