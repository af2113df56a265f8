--
-- The guard: DDL by hand against the contracts of live versions
--
-- A session counts itself, so one is enough for the modes off, warn and
-- strict; what mixed makes of several live versions is for isolation tests.
--
SELECT current_database() AS home \gset
CREATE DATABASE sv_guard;
\c sv_guard
CREATE EXTENSION schemaver;
\set VERBOSITY terse

CREATE ROLE regress_guard_owner;
GRANT CREATE ON DATABASE sv_guard TO regress_guard_owner;
CREATE SCHEMA g AUTHORIZATION regress_guard_owner;
CREATE SCHEMA elsewhere AUTHORIZATION regress_guard_owner;
SET ROLE regress_guard_owner;
SET search_path = g;
CREATE TYPE mood AS ENUM ('sad', 'happy');
CREATE TYPE pair AS (a int, b int);
CREATE DOMAIN small AS int CHECK (VALUE < 100);
CREATE SEQUENCE seq;
CREATE TABLE other (id int PRIMARY KEY);
CREATE TABLE t (
	id		int PRIMARY KEY,
	code	varchar(20) UNIQUE,
	note	text DEFAULT 'n',
	num		int,
	mood	mood DEFAULT 'sad',
	ser		serial,
	small	small,
	len		varchar(20)
);
CREATE UNIQUE INDEX t_note ON t (lower(note));
CREATE TABLE parent (id int, name text);
CREATE TABLE child (more int) INHERITS (parent);
CREATE TABLE part (id int, name text) PARTITION BY LIST (id);
CREATE TABLE part1 PARTITION OF part FOR VALUES IN (1);
CREATE VIEW v AS SELECT id, code FROM t;
CREATE MATERIALIZED VIEW m AS SELECT id FROM other;
CREATE FUNCTION f(int) RETURNS int LANGUAGE sql AS 'SELECT $1';
CREATE FUNCTION trg() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NEW; END';
CREATE TRIGGER trg BEFORE INSERT ON t FOR EACH ROW EXECUTE FUNCTION trg();
CREATE FUNCTION ddl(text) RETURNS void LANGUAGE plpgsql AS 'BEGIN EXECUTE $1; END';
RESET ROLE;
RESET search_path;
SELECT schemaver.create_product('g', '{g}');

--
-- nobody is registered: nothing is blocked, nothing is said
--
SET ROLE regress_guard_owner;
-- not even a version yet
ALTER TABLE g.t ADD tmp int;
RESET ROLE;
SELECT schemaver.baseline('1.0', 'g');
SET ROLE regress_guard_owner;
BEGIN;
SET LOCAL client_min_messages = notice;
ALTER TABLE g.t DROP COLUMN tmp;
ALTER TABLE g.t RENAME note TO remark;
DROP TABLE g.other CASCADE;
ROLLBACK;
RESET ROLE;

--
-- strict: one live version is enough.  Each in a subtransaction of its own.
--
SHOW schemaver.guard;
SELECT schemaver.register('1.0', 'g');
SET schemaver.guard = strict;
SET ROLE regress_guard_owner;
\set VERBOSITY default
ALTER TABLE g.t DROP COLUMN note;
\set VERBOSITY terse
CREATE FUNCTION pg_temp.try(statement text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
	message text;
BEGIN
	EXECUTE statement;
	RAISE EXCEPTION USING errcode = 'ZZ000';
EXCEPTION
	WHEN SQLSTATE 'ZZ000' THEN
		RETURN 'passed';
	WHEN OTHERS THEN
		GET STACKED DIAGNOSTICS message = MESSAGE_TEXT;
		RETURN message;
END $$;
SET search_path = g;
CREATE TEMP TABLE statements (n serial, statement text);
INSERT INTO statements (statement) VALUES
	('ALTER TABLE t DROP COLUMN code CASCADE'),
	('ALTER TABLE t RENAME note TO remark'),
	('ALTER TABLE t RENAME TO tt'),
	('ALTER TABLE t SET SCHEMA elsewhere'),
	('ALTER TABLE t ADD more int'),
	('ALTER TABLE t ADD more int NOT NULL'),
	('ALTER TABLE t ALTER num SET NOT NULL'),
	('ALTER TABLE t ALTER num TYPE bigint'),
	('ALTER TABLE t ALTER num TYPE text USING num::text'),
	('ALTER TABLE t ALTER note DROP DEFAULT'),
	('ALTER TABLE t ADD CHECK (num > 0)'),
	('ALTER TABLE t DROP CONSTRAINT t_code_key'),
	('ALTER TABLE t RENAME CONSTRAINT t_code_key TO k'),
	('ALTER INDEX t_code_key RENAME TO k'),
	('DROP INDEX t_note'),
	('CREATE UNIQUE INDEX ON t (num)'),
	('ALTER TABLE t ENABLE ROW LEVEL SECURITY'),
	('DROP TRIGGER trg ON t'),
	('DROP FUNCTION trg() CASCADE'),
	('DROP FUNCTION f(int)'),
	('ALTER FUNCTION f(int) RENAME TO g'),
	('ALTER FUNCTION f(int) SET SCHEMA elsewhere'),
	('ALTER TABLE parent DROP COLUMN name'),
	('ALTER TABLE parent RENAME name TO title'),
	('ALTER TABLE child NO INHERIT parent'),
	('ALTER TABLE part DROP COLUMN name'),
	('ALTER TABLE part RENAME name TO title'),
	('DROP TABLE part1'),
	('DROP TABLE part'),
	('DROP TABLE t CASCADE'),
	('DROP TABLE parent CASCADE'),
	('DROP VIEW v'),
	('CREATE OR REPLACE VIEW v AS SELECT id, code, num FROM t'),
	('DROP MATERIALIZED VIEW m'),
	('DROP SEQUENCE seq'),
	('DROP SEQUENCE t_ser_seq CASCADE'),
	('ALTER TYPE mood RENAME TO temper'),
	('ALTER TYPE mood RENAME VALUE ''sad'' TO ''blue'''),
	('DROP TYPE mood CASCADE'),
	('ALTER TYPE pair DROP ATTRIBUTE a'),
	('ALTER TYPE pair ALTER ATTRIBUTE a TYPE bigint'),
	('DROP TYPE pair'),
	('DROP DOMAIN small CASCADE'),
	('ALTER DOMAIN small ADD CHECK (VALUE > 0)'),
	('ALTER DOMAIN small RENAME TO little'),
	('DROP SCHEMA g CASCADE'),
	('ALTER SCHEMA g RENAME TO gg'),
	('DO $d$ BEGIN EXECUTE ''ALTER TABLE t DROP COLUMN num''; END $d$'),
	('SELECT ddl(''DROP TABLE other CASCADE'')'),
	('DO $d$ BEGIN PERFORM ddl(''ALTER TABLE t RENAME id TO nr''); END $d$'),
	-- of no interest to anybody
	('CREATE TABLE another (id int REFERENCES t)'),
	('CREATE TABLE part2 PARTITION OF part FOR VALUES IN (2)'),
	('CREATE INDEX ON t (num)'),
	('ALTER TABLE t ALTER num SET STATISTICS 10'),
	('ALTER TABLE t SET (fillfactor = 90)'),
	('ALTER TABLE t CLUSTER ON t_pkey'),
	('COMMENT ON TABLE t IS ''x'''),
	('CREATE FUNCTION f(text) RETURNS int LANGUAGE sql AS ''SELECT 1'''),
	('CREATE OR REPLACE FUNCTION f(int) RETURNS int LANGUAGE sql AS ''SELECT 2'''),
	('ALTER TYPE mood ADD VALUE ''mixed'''),
	('GRANT SELECT ON t TO PUBLIC'),
	('ALTER TABLE part DETACH PARTITION part1'),
	('REFRESH MATERIALIZED VIEW m'),
	('CREATE TABLE elsewhere.t (id int)'),
	('CREATE TEMP TABLE t (id int); ALTER TABLE t DROP COLUMN id; DROP TABLE t'),
	('CREATE TEMP VIEW tv AS SELECT * FROM t; DROP VIEW tv'),
	('CREATE TABLE short (id int); DROP TABLE short'),
	('DROP INDEX t_note; CREATE UNIQUE INDEX t_note ON t (lower(note))'),
	('TRUNCATE t');
\pset format unaligned
\pset tuples_only on
SELECT n || ' ' || statement || E'\n   ' || pg_temp.try(statement)
FROM statements ORDER BY n;
\pset format aligned
\pset tuples_only off
RESET search_path;
DROP OWNED BY regress_guard_owner CASCADE;

-- a replication role or a function's own setting is no way around
RESET ROLE;
SET session_replication_role = replica;
ALTER TABLE g.t DROP COLUMN note;
RESET session_replication_role;
SET ROLE regress_guard_owner;
SET schemaver.guard = off;
CREATE FUNCTION g.unguarded() RETURNS void LANGUAGE plpgsql
	SET schemaver.guard = off AS 'BEGIN END';
ALTER ROLE regress_guard_owner SET schemaver.guard = off;
ALTER EVENT TRIGGER schemaver_guard_ddl DISABLE;
DROP EVENT TRIGGER schemaver_guard_ddl;
DROP EXTENSION schemaver CASCADE;
RESET ROLE;
DROP EVENT TRIGGER schemaver_guard_ddl;

--
-- what is schemaver's own
--
SELECT schemaver.apply('ALTER TABLE t RENAME note TO remark', product => 'g');
SELECT schemaver.register('1.0', 'g');
DROP VIEW g_1_0.t;
DROP VIEW t;
ALTER VIEW g_1_0.t RENAME COLUMN note TO x;
ALTER TABLE g_1_0.t RENAME TO x;
ALTER VIEW g_1_0.t SET (security_barrier);
ALTER VIEW g_1_0.t ALTER note SET DEFAULT 'x';
ALTER VIEW g_1_0.t SET SCHEMA elsewhere;
ALTER TABLE g_1_0.t SET SCHEMA g;
CREATE OR REPLACE VIEW g_1_0.t AS SELECT id FROM g.t;
CREATE TABLE g_1_0.x (id int);
CREATE FUNCTION g_1_0.x() RETURNS int LANGUAGE sql AS 'SELECT 1';
COMMENT ON VIEW g_1_0.t IS 'x';
ALTER TABLE elsewhere.e SET SCHEMA g_1_0;
CREATE TABLE elsewhere.e (id int);
ALTER TABLE elsewhere.e SET SCHEMA g_1_0;
DROP TABLE elsewhere.e;
DROP SCHEMA g_1_0 CASCADE;
RESET schemaver.guard;
ALTER SCHEMA g_1_0 RENAME TO x;
ALTER VIEW g_1_0.t SET SCHEMA elsewhere;
ALTER SCHEMA g_1_0 OWNER TO regress_guard_owner;
CREATE RULE r AS ON INSERT TO g_1_0.t DO INSTEAD NOTHING;
CREATE TRIGGER r INSTEAD OF INSERT ON g_1_0.t FOR EACH ROW EXECUTE FUNCTION g.trg();
CREATE TABLE schemaver.x (id int);
ALTER TABLE schemaver.db_product ADD x int;
DROP FUNCTION schemaver.status(text, text);
ALTER FUNCTION schemaver.guard_ddl() RENAME TO x;
CREATE VIEW elsewhere.on_view AS SELECT id, note FROM g_1_0.t;
SELECT schemaver.reconcile('g');
DROP VIEW elsewhere.on_view;

--
-- warn, off, mixed with one live version
--
SET schemaver.guard = warn;
BEGIN;
\set VERBOSITY default
ALTER TABLE g.t DROP COLUMN code CASCADE;
\set VERBOSITY terse
ROLLBACK;
SET schemaver.guard = off;
BEGIN;
ALTER TABLE g.t DROP COLUMN code CASCADE;
ROLLBACK;
RESET schemaver.guard;
BEGIN;
ALTER TABLE g.t DROP COLUMN code CASCADE;
ROLLBACK;
SELECT action, from_version, version, description, script, outcome
FROM schemaver.history WHERE action = 'ddl' ORDER BY id;

-- parts of a table are told as well
CREATE TRIGGER more BEFORE INSERT ON g.other FOR EACH ROW EXECUTE FUNCTION g.trg();
CREATE POLICY p ON g.other;
CREATE RULE r AS ON UPDATE TO g.other DO ALSO NOTHING;
COMMENT ON TABLE g.other IS 'others';
DROP TRIGGER more ON g.other;
DROP POLICY p ON g.other;
DROP RULE r ON g.other;
SELECT description, script FROM schemaver.history WHERE action = 'ddl' ORDER BY id
OFFSET 1;

-- what passes is mended where a view can mend it
PREPARE t_all AS SELECT * FROM t;
EXECUTE t_all;
ALTER TABLE g.t RENAME num TO number;
ALTER TABLE g.t ALTER remark SET DEFAULT 'r';
ALTER TABLE g.t ADD another int;
ALTER TABLE g.other ADD another int;
EXECUTE t_all;
INSERT INTO t (id) VALUES (1) RETURNING *;
SELECT * FROM other;
ALTER TABLE g.t RENAME TO tt;
EXECUTE t_all;
SELECT count(*) FROM pg_class WHERE relnamespace = 'g_1_0'::regnamespace;
SELECT schemaver.unregister();

-- the type of a column under a compatibility view
ALTER TABLE g.tt ALTER len TYPE varchar(30);
SELECT schemaver.register('1.0', 'g');
SELECT * FROM t;
SET schemaver.guard = strict;
ALTER TABLE g.tt ALTER len TYPE varchar(40);
SELECT * FROM t;
RESET schemaver.guard;
SELECT schemaver.unregister();

--
-- scripts of extensions are none of its business
--
SELECT schemaver.register('1.0', 'g');
SET schemaver.guard = strict;
CREATE EXTENSION hstore SCHEMA g;
ALTER EXTENSION hstore SET SCHEMA elsewhere;
DROP EXTENSION hstore;
RESET schemaver.guard;
SELECT schemaver.unregister();
SELECT description, script FROM schemaver.history WHERE script LIKE '%hstore%';

-- all of it can be removed
DROP EXTENSION schemaver;
SELECT nspname FROM pg_namespace WHERE nspname LIKE 'g%' ORDER BY 1;
SELECT evtname FROM pg_event_trigger;
SELECT * FROM g.tt;
\c :home
DROP DATABASE sv_guard;
DROP ROLE regress_guard_owner;
