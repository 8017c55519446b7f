package mysql

import (
	"bytes"
	"errors"
	"strings"
	"testing"

	"github.com/holdfast-backup/holdfast/vault/dump"
	"github.com/holdfast-backup/holdfast/wire/fault"
)

// filtered passes a text through a filter, in pieces.
func filtered(text string, mayDefine bool) (string, error) {
	var out bytes.Buffer
	f := &filter{out: &out, fresh: "shop__holdfast_1", definer: mayDefine, enabled: map[string]bool{}}
	scan := dump.NewMySQLStatements(f.pass)
	for i := 0; i < len(text); i += 7 {
		if _, err := scan.Write([]byte(text[i:min(i+7, len(text))])); err != nil {
			return out.String(), err
		}
	}
	err := scan.Close()
	return out.String(), err
}

func TestFilterPasses(t *testing.T) {
	t.Parallel()
	const head = "-- Host: localhost    Database: shop\n"
	for text, want := range map[string]string{
		"":                          "",
		"-- only words\n":           "-- only words\n",
		"CREATE TABLE t (a int);\n": "CREATE TABLE t (a int);\n",
		"CREATE DATABASE `shop`;\nUSE `shop`;\nCOMMIT;\n":                                                                                                                                  "\nCOMMIT;\n",
		"CREATE DATABASE /*!32312 IF NOT EXISTS*/ `shop` /*!40100 DEFAULT CHARACTER SET utf8mb4 */;USE `shop`;":                                                                            "",
		"DROP DATABASE IF EXISTS `shop`;":                                                                                                                                                  "",
		"/*!50003 ALTER DATABASE `shop` CHARACTER SET latin1 COLLATE latin1_swedish_ci */ ;":                                                                                               "/*!50003 ALTER DATABASE `shop__holdfast_1` CHARACTER SET latin1 COLLATE latin1_swedish_ci */ ;",
		"SET @@GLOBAL.GTID_PURGED='x';SET @@SESSION.SQL_LOG_BIN= 0;SET NAMES utf8;":                                                                                                        "SET NAMES utf8;",
		"CHANGE MASTER TO MASTER_LOG_FILE='x';":                                                                                                                                            "",
		"INSERT INTO `t` VALUES (1,'USE x; DEFINER=`a`@`b`');":                                                                                                                             "INSERT INTO `t` VALUES (1,'USE x; DEFINER=`a`@`b`');",
		"CREATE TABLE t (a int COMMENT 'CREATE DEFINER=x VIEW');":                                                                                                                          "CREATE TABLE t (a int COMMENT 'CREATE DEFINER=x VIEW');",
		"CREATE TABLE `view` (a int COMMENT 'DEFINER=x PROCEDURE');":                                                                                                                       "CREATE TABLE `view` (a int COMMENT 'DEFINER=x PROCEDURE');",
		"/*!50003 CREATE*/ /*!50017 DEFINER=`ro``ot`@`local%`*/ /*!50003 TRIGGER t BEFORE INSERT ON a FOR EACH ROW SET @a = 'DEFINER=`x`@`y`'*/;":                                          "/*!50003 CREATE*/ /*!50017 */ /*!50003 TRIGGER t BEFORE INSERT ON a FOR EACH ROW SET @a = 'DEFINER=`x`@`y`'*/;",
		"-- Dumping events: DEFINER=`x`@`y`\nCREATE PROCEDURE p() SELECT 'DEFINER=`x`@`y`';":                                                                                               "-- Dumping events: DEFINER=`x`@`y`\nCREATE PROCEDURE p() SELECT 'DEFINER=`x`@`y`';",
		"CREATE DEFINER=`event`@`view` PROCEDURE p() SELECT 1;":                                                                                                                            "CREATE  PROCEDURE p() SELECT 1;",
		"CREATE DEFINER=CURRENT_USER() FUNCTION f() RETURNS int RETURN 1;":                                                                                                                 "CREATE  FUNCTION f() RETURNS int RETURN 1;",
		"/*!50013 CREATE ALGORITHM=UNDEFINED DEFINER=app@'10.0.%' SQL SECURITY DEFINER VIEW `v` AS SELECT 1 AS a*/;":                                                                       "/*!50013 CREATE ALGORITHM=UNDEFINED  SQL SECURITY DEFINER VIEW `v` AS SELECT 1 AS a*/;",
		head + "CREATE VIEW `v` AS SELECT `shop`.`f`(1) AS `a`,'`shop`.' AS `b`,\"\\\"`shop`.\" FROM `t`;":                                                                                 head + "CREATE VIEW `v` AS SELECT `f`(1) AS `a`,'`shop`.' AS `b`,\"\\\"`shop`.\" FROM `t`;",
		head + "CREATE TRIGGER shop.`t` BEFORE INSERT ON `shop` . `a` FOR EACH ROW INSERT INTO `shop`.`b` VALUES (1);":                                                                     head + "CREATE TRIGGER `t` BEFORE INSERT ON `a` FOR EACH ROW INSERT INTO `shop`.`b` VALUES (1);",
		"CREATE EVENT `sh``op`.e ON SCHEDULE AT '2030-01-01' ON COMPLETION PRESERVE ENABLE DO SELECT 1;":                                                                                   "CREATE EVENT e ON SCHEDULE AT '2030-01-01' ON COMPLETION PRESERVE DISABLE DO SELECT 1;",
		"CREATE EVENT `e` ON SCHEDULE EVERY 1 DAY ON COMPLETION NOT PRESERVE ENABLE DO SELECT 'PRESERVE ENABLE';":                                                                          "CREATE EVENT `e` ON SCHEDULE EVERY 1 DAY ON COMPLETION NOT PRESERVE DISABLE DO SELECT 'PRESERVE ENABLE';",
		"DROP TABLE IF EXISTS `a`;DROP VIEW IF EXISTS `v`;/*!50001 DROP TABLE IF EXISTS `v`*/;LOCK TABLES `a` WRITE;UNLOCK TABLES;COMMIT;":                                                 "DROP TABLE IF EXISTS `a`;DROP VIEW IF EXISTS `v`;/*!50001 DROP TABLE IF EXISTS `v`*/;LOCK TABLES `a` WRITE;UNLOCK TABLES;COMMIT;",
		"CREATE UNIQUE INDEX i ON t (a) COMMENT 'x.y';ALTER TABLE t ALTER a SET DEFAULT 1.5;CREATE OR REPLACE SEQUENCE `s`;DO SETVAL(`s`, 1, 0);/*!40000 ALTER TABLE `a` DISABLE KEYS */;": "CREATE UNIQUE INDEX i ON t (a) COMMENT 'x.y';ALTER TABLE t ALTER a SET DEFAULT 1.5;CREATE OR REPLACE SEQUENCE `s`;DO SETVAL(`s`, 1, 0);/*!40000 ALTER TABLE `a` DISABLE KEYS */;",
		"DELIMITER ;;\nCREATE TRIGGER t BEFORE INSERT ON a FOR EACH ROW BEGIN USE x; DROP DATABASE y; END;;\nDELIMITER ;\n":                                                                "DELIMITER ;;\nCREATE TRIGGER t BEFORE INSERT ON a FOR EACH ROW BEGIN USE x; DROP DATABASE y; END;;\nDELIMITER ;\n",
	} {
		got, err := filtered(text, false)
		if err != nil || got != want {
			t.Errorf("%s\nbecomes\n%s\nwant\n%s\n%v", text, got, want, err)
		}
	}
	const named = "CREATE DEFINER=`root`@`%` PROCEDURE p() SELECT 1;"
	if got, err := filtered(named, true); err != nil || got != named {
		t.Errorf("who may name a definer gets %q, %v", got, err)
	}
}

func TestFilterRefuses(t *testing.T) {
	t.Parallel()
	for _, text := range []string{
		"USE `shop`; USE `other`;", "CREATE DATABASE a; CREATE DATABASE b;", "-- Host: localhost    Database: shop\nUSE other;",
		"INSERT INTO `live`.`t` VALUES (1);", "INSERT INTO live.t VALUES (1);", "REPLACE INTO `live` . `t` VALUES (1);", "DROP TABLE IF EXISTS live.t;", "DROP TABLE t, live.t;", "ALTER TABLE `live`.`t` ADD a int;",
		"USE shop; CREATE TRIGGER t BEFORE INSERT ON live.a FOR EACH ROW SET @a=1;", "-- Host: localhost    Database: shop\nCREATE PROCEDURE live.p() SELECT 1;", "CREATE TABLE live.t (a int);", "CREATE TABLE IF NOT EXISTS `live`.t (a int);", "USE shop; CREATE VIEW live.v AS SELECT 1;", "USE shop; CREATE OR REPLACE VIEW `live`.`v` AS SELECT 1;", "USE shop; CREATE DEFINER=a@b TRIGGER live.t BEFORE INSERT ON x FOR EACH ROW SET @a=1;",
		"DROP TRIGGER live.t;", "DROP EVENT IF EXISTS live.e;", "LOCK TABLES a WRITE, `live`.t WRITE;", "INSERT INTO live.t SELECT 1;", "INSERT INTO t SELECT 1;", "SELECT 1;", "DO SLEEP(1);", "DROP TABLE `1`.2;", "DROP TABLE x.1;", "INSERT INTO live.t SET a = 1;", "CREATE INDEX i ON live.t (a);",
		"GRANT ALL ON *.* TO x;", "CREATE USER x;", "DROP USER x;", "ALTER USER x;", "SET PASSWORD = 'x';", "SET ROLE x;", "CREATE ROLE x;", "CALL p();", "DELETE FROM t;", "UPDATE t SET a = 1;", "TRUNCATE t;", "RENAME TABLE a TO live.a;",
		"LOAD DATA INFILE 'x' INTO TABLE t;", "INSTALL PLUGIN x SONAME 'y';", "SHUTDOWN;", "SOURCE /etc/passwd;", "\\! id;", "system id;", "FLUSH PRIVILEGES;", "CREATE SERVER s FOREIGN DATA WRAPPER mysql;",
		"SELECT 1 INTO OUTFILE '/tmp/x';", "SELECT a FROM live.t INTO DUMPFILE '/tmp/x';", "CREATE AGGREGATE FUNCTION f RETURNS STRING SONAME 'x.so';", "CREATE FUNCTION f RETURNS STRING SONAME 'x.so';", "/*!50003 DROP TABLE live.t */;",
	} {
		if got, err := filtered(text, true); !errors.Is(err, fault.Invalid) {
			t.Errorf("%s passes as %q: %v", text, got, err)
		} else if s := err.Error(); len(s) > 300 || strings.Contains(s, "\n") {
			t.Errorf("%s: %q", text, s)
		}
	}
}

func TestGrants(t *testing.T) {
	t.Parallel()
	var r rights
	for _, line := range []string{
		"GRANT USAGE ON *.* TO `app`@`%` IDENTIFIED BY PASSWORD '*94BDCEBE19083CE2A1F959FD02F964C7AF4CFC29'", "GRANT `role` TO `app`@`%`", "GRANT SELECT, SHOW VIEW ON `shop\\_1`.* TO `app`@`%`",
		"GRANT ALL PRIVILEGES ON `shop\\_1\\_\\_holdfast\\_%`.* TO `app`@`%`", "GRANT INSERT (a, b), UPDATE ON `shop\\_1`.`orders` TO `app`@`%`", "GRANT EXECUTE ON PROCEDURE `shop\\_1`.`p` TO `app`@`%`", "GRANT DELETE ON `w_ld`.* TO `app`@`%` WITH GRANT OPTION",
	} {
		if g, ok := parseGrant(line); ok {
			r = append(r, g)
		}
	}
	if got := r.missing([]string{"SELECT", "SHOW VIEW", "INSERT", "UPDATE", "EXECUTE"}, "shop_1"); strings.Join(got, ",") != "INSERT,UPDATE,EXECUTE" {
		t.Errorf("missing: %v", got)
	}
	for name, want := range map[string]bool{"shop_1__holdfast_00000000": true, "shop_1__holdfast_": true, "shop_1xxholdfast_0": false, "shop_2__holdfast_0": false} {
		if r.has("DROP", name) != want {
			t.Errorf("%s: %v", name, !want)
		}
	}
	if !r.has("DELETE", "wild") || !r.has("DELETE", "w_ld") || r.has("DELETE", "wld") || r.everywhere("SELECT") {
		t.Error("patterns are not understood")
	}
	g, ok := parseGrant("GRANT SUPER, SELECT ON *.* TO `root`@`localhost`")
	if !ok || !(rights{g}).everywhere("SUPER") || !(rights{g}).has("SELECT", "any") || (rights{g}).everywhere("DROP") {
		t.Errorf("of everything: %v", g)
	}
	if p := pattern(`a_b%c\`); p != `a\_b\%c\\` || !like(p, `a_b%c\`) || like(p, `axb%c\`) {
		t.Errorf("pattern %q", p)
	}
}

func TestAddresses(t *testing.T) {
	t.Parallel()
	for _, url := range []string{"", "mysql://", "mysql://u@h", "mysql://u@h/", "mysql://h/db", "http://u@h/db", "mysql://u:p%zz@h/db", "mysql://u@h/mysql", "mysql://u@h/Sys", "mysql://u@h/a/b", "mysql://u@h/a%60b", "mysql://u@h/a__holdfast_1",
		"mysql://u@h/db?charset=x", "mysql://u@h/db?tls=maybe", "mysql://u@h/db?socket=relative", "mysql://u@h/" + strings.Repeat("x", maxName+1)} {
		if _, err := parse(url); !errors.Is(err, fault.Invalid) {
			t.Errorf("%q: %v", url, err)
		} else if strings.Contains(err.Error(), "p%zz") {
			t.Errorf("the password is shown: %v", err)
		}
	}
	a, err := parse("mariadb://us%40er:p%40ss@[::1]:3307/sh%C3%B6p?tls=true")
	if err != nil || a.user != "us@er" || a.password != "p@ss" || a.name != "shöp" || a.config().Addr != "[::1]:3307" || a.config().TLSConfig != "true" {
		t.Errorf("%+v, %v", a, err)
	}
	for tls, want := range map[string]string{"": "preferred", "false": "false", "skip-verify": "skip-verify"} {
		if a, err := parse("mysql://u@h/db?tls=" + tls); err != nil || a.config().TLSConfig != want || a.config().Addr != "h:3306" {
			t.Errorf("tls=%s: %+v, %v", tls, a, err)
		}
	}
	if a, err := parse("mysql://u@/db?socket=/run/s"); err != nil || a.config().Net != "unix" || a.config().Addr != "/run/s" || a.config().TLSConfig != "false" {
		t.Errorf("%+v, %v", a, err)
	}
}
