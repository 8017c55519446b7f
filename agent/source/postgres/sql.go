package postgres

import (
	"fmt"
	"strings"

	"github.com/holdfast-backup/holdfast/vault/dump"
)

// ours leaves out what belongs to the server and to extensions. c is a row of pg_class, n its schema.
const ours = ` n.nspname <> 'information_schema' AND n.nspname !~ '^pg_'
	AND NOT EXISTS (SELECT FROM pg_depend e WHERE e.classid = 'pg_class'::regclass AND e.objid = c.oid AND e.deptype = 'e')`

const (
	sqlCalm = `SET statement_timeout = 0; SET lock_timeout = 0; SET idle_in_transaction_session_timeout = 0; SET default_transaction_read_only = off;
		SET search_path = ''; SET row_security = off; SET synchronous_commit = on; SET client_min_messages = warning;
		SET DateStyle = ISO; SET IntervalStyle = postgres; SET TimeZone = 'UTC'; SET extra_float_digits = 3; SET bytea_output = hex`

	sqlServer = `SELECT current_setting('server_version_num')::int, current_setting('server_version'),
		(SELECT rolsuper FROM pg_roles WHERE rolname = current_user), current_user`

	sqlSnapshot = `SELECT pg_export_snapshot(), now()`

	sqlSize = `SELECT pg_database_size(current_database()),
		(SELECT count(*) FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace WHERE c.relkind IN ('r', 'p') AND` + ours + `)`

	// sqlUnreadable lists what a dump would fail at, and the number of all of it.
	sqlUnreadable = `SELECT name, count(*) OVER () FROM (
		SELECT n.nspname || '.' || c.relname AS name FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
		WHERE c.relkind IN ('r', 'p', 'S') AND` + ours + `
			AND (NOT has_schema_privilege(n.oid, 'USAGE')
				OR c.relkind <> 'S' AND NOT has_table_privilege(c.oid, 'SELECT')
				OR c.relkind = 'S' AND NOT has_sequence_privilege(c.oid, 'SELECT'))
		UNION ALL
		SELECT 'large object ' || l.oid FROM pg_largeobject_metadata l WHERE l.lomacl IS NULL AND NOT pg_has_role(l.lomowner, 'USAGE')
		) t ORDER BY name LIMIT 5`

	// sqlHidden lists tables of which some rows are kept from us by policies.
	sqlHidden = `SELECT n.nspname || '.' || c.relname, count(*) OVER () FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
		WHERE c.relkind IN ('r', 'p') AND c.relrowsecurity AND` + ours + ` AND NOT (SELECT rolbypassrls OR rolsuper FROM pg_roles WHERE rolname = current_user)
			AND (c.relforcerowsecurity OR NOT pg_has_role(c.relowner, 'USAGE')) ORDER BY 1 LIMIT 5`

	// sqlTraits describes a database. What is only in some versions is in the row as JSON.
	sqlTraits = `SELECT pg_encoding_to_char(d.encoding), pg_get_userbyid(d.datdba), t.spcname, d.datconnlimit,
			coalesce(shobj_description(d.oid, 'pg_database'), ''), d.datacl IS NOT NULL, pg_has_role(d.datdba, 'MEMBER'), to_jsonb(d)::text
		FROM pg_database d JOIN pg_tablespace t ON t.oid = d.dattablespace WHERE d.datname = $1`

	sqlExists = `SELECT count(*) FROM pg_database WHERE datname = $1`

	sqlMayCreate = `SELECT rolcreatedb OR rolsuper FROM pg_roles WHERE rolname = current_user`

	// sqlStrangers counts settings of single roles in a database, for which more rights are needed.
	sqlStrangers = `SELECT count(*) FROM pg_db_role_setting s JOIN pg_database d ON d.oid = s.setdatabase WHERE d.datname = $1 AND s.setrole <> 0`

	sqlSettings = `SELECT coalesce(r.rolname, ''), split_part(c, '=', 1), substr(c, strpos(c, '=') + 1)
		FROM pg_db_role_setting s JOIN pg_database d ON d.oid = s.setdatabase LEFT JOIN pg_roles r ON r.oid = s.setrole, unnest(s.setconfig) c
		WHERE d.datname = $1 ORDER BY 1, 2`

	sqlGrants = `SELECT CASE WHEN a.grantee = 0 THEN '' ELSE pg_get_userbyid(a.grantee) END, a.privilege_type, a.is_grantable
		FROM pg_database d, aclexplode(d.datacl) a WHERE d.datname = $1`

	// sqlBound lists what ties a database to its number.
	sqlBound = `SELECT 'the replication slot ' || slot_name FROM pg_replication_slots WHERE database = $1
		UNION ALL SELECT 'the prepared transaction ' || gid FROM pg_prepared_xacts WHERE database = $1
`

	// sqlSubscriptions is asked in the database itself.
	sqlSubscriptions = `SELECT 'the subscription ' || subname FROM pg_stat_subscription WHERE subid IN (SELECT oid FROM pg_subscription)`

	// sqlSessions and sqlEndSessions take a session whose kind we may not know for one of a client.
	sqlSessions = `SELECT count(*) FROM pg_stat_activity WHERE datname = $1 AND pid <> pg_backend_pid() AND coalesce(backend_type, 'client backend') = 'client backend'`

	sqlEndSessions = `SELECT count(pg_terminate_backend(a.pid)) FROM pg_stat_activity a LEFT JOIN pg_roles r ON r.oid = a.usesysid
		WHERE a.datname = $1 AND a.pid <> pg_backend_pid() AND coalesce(a.backend_type, 'client backend') IN ('client backend', 'parallel worker', 'logical replication worker', 'walsender')
		AND ((SELECT rolsuper FROM pg_roles WHERE rolname = current_user)
			OR NOT r.rolsuper AND (pg_has_role(a.usesysid, 'USAGE') OR pg_has_role('pg_signal_backend', 'USAGE')))`

	sqlLeft = `SELECT datname FROM pg_database WHERE datname ~ $1 ORDER BY 1`

	sqlRoles = `SELECT rolname, pg_has_role(oid, 'MEMBER') FROM pg_roles`

	sqlKnownSettings = `SELECT name, true FROM pg_settings`

	// sqlKept lists the schemas that emptying a database leaves in place, because of an extension that we may not make anew, and whether
	// they are ours.
	sqlKept = `SELECT n.nspname, pg_has_role(n.nspowner, 'USAGE') FROM pg_namespace n WHERE n.nspname = 'public' OR n.nspname <> 'information_schema' AND n.nspname !~ '^pg_'
		AND EXISTS (SELECT FROM pg_extension x WHERE x.extnamespace = n.oid)`

	// sqlTables lists tables for the portable form: partitions are in their table.
	sqlTables = `SELECT c.oid, n.nspname || '.' || c.relname, format('%I.%I', n.nspname, c.relname), c.relkind = 'p'
		FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace WHERE c.relkind IN ('r', 'p') AND NOT c.relispartition AND` + ours + ` ORDER BY 2`

	sqlColumns = `SELECT a.attname, format_type(a.atttypid, a.atttypmod), t.typname, t.typtype, NOT a.attnotnull,
			coalesce(array_position(i.indkey::int2[], a.attnum), -1)
		FROM pg_attribute a JOIN pg_type t ON t.oid = CASE (SELECT typtype FROM pg_type b WHERE b.oid = a.atttypid)
			WHEN 'd' THEN (SELECT typbasetype FROM pg_type b WHERE b.oid = a.atttypid) ELSE a.atttypid END
		LEFT JOIN pg_index i ON i.indrelid = a.attrelid AND i.indisprimary
		WHERE a.attrelid = $1 AND a.attnum > 0 AND NOT a.attisdropped ORDER BY a.attnum`

	// sqlIsType asks whether a type of its own name exists here, and is one of the server's own.
	sqlIsType = `SELECT coalesce((SELECT typnamespace = 'pg_catalog'::regnamespace FROM pg_type WHERE oid = to_regtype($1)), false)`
)

// sqlEmpty drops what is in a database, but for extensions and what belongs to them. It is the body of a DO.
const sqlEmpty = `
DECLARE r record; todo text[];
BEGIN
	FOR r IN SELECT pubname FROM pg_catalog.pg_publication LOOP
		EXECUTE format('DROP PUBLICATION %I', r.pubname);
	END LOOP;
	FOR r IN SELECT evtname FROM pg_catalog.pg_event_trigger t WHERE NOT EXISTS (SELECT FROM pg_catalog.pg_depend e WHERE e.classid = 'pg_catalog.pg_event_trigger'::regclass AND e.objid = t.oid AND e.deptype = 'e') LOOP
		EXECUTE format('DROP EVENT TRIGGER %I CASCADE', r.evtname);
	END LOOP;
	FOR r IN SELECT nspname FROM pg_catalog.pg_namespace n WHERE nspname <> 'information_schema' AND nspname !~ '^pg_' AND nspname <> 'public'
		AND NOT EXISTS (SELECT FROM pg_catalog.pg_extension x WHERE x.extnamespace = n.oid)
		AND NOT EXISTS (SELECT FROM pg_catalog.pg_depend e WHERE e.classid = 'pg_catalog.pg_namespace'::regclass AND e.objid = n.oid AND e.deptype = 'e') LOOP
		EXECUTE format('DROP SCHEMA %I CASCADE', r.nspname);
	END LOOP;
	SELECT array_agg(format('DROP %s IF EXISTS %s CASCADE', CASE o.type WHEN 'composite type' THEN 'type' WHEN 'statistics object' THEN 'statistics' ELSE o.type END, o.identity))
	INTO todo FROM pg_catalog.pg_depend d JOIN pg_catalog.pg_namespace n ON n.oid = d.refobjid, pg_catalog.pg_identify_object(d.classid, d.objid, 0) o
	WHERE d.refclassid = 'pg_catalog.pg_namespace'::regclass AND d.deptype = 'n' AND nspname <> 'information_schema' AND nspname !~ '^pg_'
		AND NOT EXISTS (SELECT FROM pg_catalog.pg_depend e WHERE e.classid = d.classid AND e.objid = d.objid AND (e.deptype = 'e' OR e.deptype = 'i' AND e.refobjid <> e.objid))
		AND o.type IN ('table', 'foreign table', 'view', 'materialized view', 'sequence', 'composite type', 'type', 'domain', 'function', 'procedure', 'aggregate', 'operator',
			'operator class', 'operator family', 'collation', 'conversion', 'statistics object', 'text search configuration', 'text search dictionary', 'text search parser', 'text search template');
	FOR i IN 1 .. coalesce(array_length(todo, 1), 0) LOOP
		EXECUTE todo[i];
	END LOOP;
	PERFORM pg_catalog.lo_unlink(oid) FROM pg_catalog.pg_largeobject_metadata;
END`

// wrongRows is the SQLSTATE of what sqlCompare raises.
const wrongRows = "HF001"

// sqlCompare is the body of a DO that fails unless the tables have these rows.
func sqlCompare(want []dump.Table) string {
	if len(want) == 0 {
		return "\nBEGIN END"
	}
	var b strings.Builder
	b.WriteString("\nDECLARE w record; at text; n bigint;\nBEGIN\n\tFOR w IN SELECT * FROM (VALUES")
	for i, t := range want {
		if i > 0 {
			b.WriteByte(',')
		}
		fmt.Fprintf(&b, "\n\t\t(%s::text, %d::bigint)", literal(t.Name), t.Rows)
	}
	b.WriteString(`) v (name, rows) LOOP
		SELECT format('%I.%I', n.nspname, c.relname) INTO at FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
			WHERE c.relkind IN ('r', 'p') AND n.nspname || '.' || c.relname = w.name;
		IF at IS NULL THEN
			RAISE EXCEPTION 'the table % is not there after loading the dump, which should have it', w.name USING ERRCODE = '` + wrongRows + `';
		END IF;
		EXECUTE 'SELECT count(*) FROM ONLY ' || at INTO n;
		IF n <> w.rows THEN
			RAISE EXCEPTION 'the table % has % rows after loading the dump, and should have %', w.name, n, w.rows USING ERRCODE = '` + wrongRows + `';
		END IF;
	END LOOP;
END`)
	return b.String()
}

// sqlDo makes a statement of a body.
func sqlDo(body string) string {
	tag := "$holdfast$"
	for i := 0; strings.Contains(body, tag); i++ { // a table may be called anything
		tag = fmt.Sprintf("$holdfast%d$", i)
	}
	return "DO " + tag + body + tag + ";\n"
}
