--
-- schemaver.plan(): what apply() would do
--
SELECT current_database() AS home \gset
CREATE DATABASE sv_plan;
\c sv_plan
CREATE EXTENSION schemaver;
\getenv srcdir PG_ABS_SRCDIR

-- everything that a plan might leave behind
CREATE FUNCTION all_there_is() RETURNS text LANGUAGE sql AS $$
	SELECT md5(concat(
		(SELECT string_agg(c::text, ',' ORDER BY oid)
		 FROM (SELECT oid, relname, relnamespace, relfilenode, relnatts,
					relchecks, relhastriggers, relacl
			   FROM pg_class) c),
		(SELECT string_agg(a::text, ',' ORDER BY attrelid, attnum)
		 FROM (SELECT attrelid, attnum, attname, atttypid, attnotnull
			   FROM pg_attribute) a),
		(SELECT string_agg(p.oid::text || proname || prosrc, ',' ORDER BY p.oid) FROM pg_proc p),
		(SELECT string_agg(tgname || tgenabled::text, ',' ORDER BY oid) FROM pg_trigger),
		(SELECT string_agg(conname || oid, ',' ORDER BY oid) FROM pg_constraint),
		(SELECT string_agg(nspname || oid, ',' ORDER BY oid) FROM pg_namespace),
		(SELECT string_agg(typname || oid, ',' ORDER BY oid) FROM pg_type),
		(SELECT string_agg(d::text, ',' ORDER BY d::text) FROM pg_depend d),
		(SELECT string_agg(s::text, ',' ORDER BY s::text) FROM pg_sequences s
		 WHERE schemaname <> 'schemaver'),
		(SELECT string_agg(h::text, ',' ORDER BY id) FROM schemaver.history h),
		(SELECT string_agg(v::text, ',' ORDER BY v::text) FROM schemaver.versions v)))
$$;

CREATE TABLE person (
	id		int GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
	name	text NOT NULL,
	nick	text,
	age		int,
	code	varchar(10)
);
CREATE TABLE log (id serial, line text);
INSERT INTO person (name, age) SELECT 'n' || i, i FROM generate_series(1, 1000) i;
ANALYZE person, log;
CREATE FUNCTION greet() RETURNS text LANGUAGE plpgsql AS
	'BEGIN RETURN (SELECT min(name) FROM person); END';
SELECT schemaver.baseline('1.0.0', 'sv_plan');
-- what takes how long is not what most of this is about
SET schemaver.plan_lock_limit = 0;
SELECT schemaver.register('1.0.0');
SELECT all_there_is() AS before \gset

--
-- kinds of changes
--
\x on
SELECT * FROM schemaver.plan($$
ALTER TABLE person RENAME name TO title;
ALTER TABLE person DROP COLUMN nick;
UPDATE person SET age = 0 WHERE age IS NULL;
ALTER TABLE person ALTER age SET NOT NULL;
ALTER TABLE person ALTER age TYPE bigint;
ALTER TABLE person ADD CHECK (id > 0);
ALTER TABLE person ADD born date;
CREATE INDEX ON person (title);
INSERT INTO log (line) VALUES ('done');
INSERT INTO person (title, age) VALUES ('x', 1);
CREATE TABLE visit (id int, p int REFERENCES person);
DROP TABLE log;
$$);
-- directives, and what they are good for
SELECT statement, effect, breaks, access, jobs, inferred, version FROM schemaver.plan($$
-- schemaver: up person.years = age * 2
-- schemaver: down person.age = years / 2
ALTER TABLE person ADD years int;
ALTER TABLE person DROP COLUMN age;
$$);
SELECT statement, effect, breaks, inferred, version FROM schemaver.plan($$
ALTER TABLE log ADD kind int DEFAULT 7 NOT NULL;
ALTER TABLE log ALTER kind DROP DEFAULT;
$$);
SET schemaver.on_missing_value = nullable;
SELECT statement, effect, breaks, inferred, version FROM schemaver.plan($$
ALTER TABLE log ADD kind int NOT NULL;
$$);
RESET schemaver.on_missing_value;
-- what is dropped and made again is no change
SELECT statement, effect, breaks, prevention, version FROM schemaver.plan($$
ALTER TABLE log DROP CONSTRAINT IF EXISTS no_such;
CREATE OR REPLACE FUNCTION greet() RETURNS text LANGUAGE plpgsql AS
	'BEGIN RETURN (SELECT min(title) FROM person); END';
ALTER TABLE person RENAME name TO title;
$$);
-- what is left for later where the table is not small
SET schemaver.inline_pages = 0;
SELECT statement, effect, access, jobs, version FROM schemaver.plan($$
ALTER TABLE person ADD CHECK (age > 0);
ALTER TABLE person ADD born date;
$$);
RESET schemaver.inline_pages;
-- functions that mention a changed name
SELECT statement, effect, notices FROM schemaver.plan($$
ALTER TABLE person RENAME name TO title;
CREATE TABLE t (id int);
$$);
-- rewritten, and emptied
SELECT statement, access, jobs FROM schemaver.plan($$
ALTER TABLE log SET LOGGED; ALTER TABLE person SET UNLOGGED; TRUNCATE log; CREATE TABLE t (id int);
$$);

--
-- refusals
--
SELECT statement, effect, breaks, live, prevention, version FROM schemaver.plan($$
CREATE TABLE z (id int);
ALTER TABLE log ADD must int NOT NULL;
CREATE TABLE z2 (id int);
$$);
SELECT statement, line, effect, version FROM schemaver.plan($$
CREATE TABLE z (id int);
ALTER TABLE no_such ADD must int;
CREATE TABLE z2 (id int);
$$);
SELECT statement, effect, breaks, version FROM schemaver.plan('CREATE TABLE z (id int);
ALTER TABLE person DROP COLUMN nick; CREATE TABLE z2 (id int)', '1.0.1');
SELECT statement, effect, version FROM schemaver.plan('ALTER TABLE person ALTER age SET NOT NULL;
ALTER TABLE person ALTER age TYPE text USING ''about '' || age');
-- before anything runs they are apply()'s errors
SELECT * FROM schemaver.plan('SELEC 1');
SELECT * FROM schemaver.plan('VACUUM');
SELECT * FROM schemaver.plan('SELECT 1', '0.9');
SELECT * FROM schemaver.plan('SELECT 1', product => 'nobody');
SELECT * FROM schemaver.plan(NULL);
SELECT statement, effect FROM schemaver.plan('SELECT schemaver.apply(''SELECT 1'')');
SELECT statement, effect FROM schemaver.plan('SELECT schemaver.plan(''SELECT 1'')');
BEGIN READ ONLY;
SELECT * FROM schemaver.plan('SELECT 1');
ROLLBACK;

--
-- what is not tried
--
SELECT statement, effect, version FROM schemaver.plan($$
SELECT setval('log_id_seq', 5000);
DO 'BEGIN PERFORM 1; END';
COPY log FROM '/no/such/file';
UPDATE log SET line = (SELECT count(*) FROM generate_series(1, 10000));
UPDATE log SET no_such = 1;
$$);
SELECT statement, effect, version FROM schemaver.plan($$
DO 'BEGIN PERFORM nextval(''log_id_seq''); EXCEPTION WHEN OTHERS THEN NULL; END';
CREATE TABLE z (id int);
$$);
SELECT statement, effect FROM schemaver.plan($$
INSERT INTO log (line) VALUES ('the first');
ALTER TABLE person ADD log int NOT NULL DEFAULT 1;
ALTER TABLE log ADD PRIMARY KEY (id);
ALTER TABLE person ADD FOREIGN KEY (log) REFERENCES log;
$$);
SET schemaver.plan_lock_limit = '1s';
SELECT statement, effect, version FROM schemaver.plan($$
ALTER TABLE person ADD x int;
SELECT pg_sleep(60);
ALTER TABLE person ADD y int;
$$);
-- too much work, so that what comes after cannot be told
SELECT statement, effect, version FROM schemaver.plan($$
CREATE TABLE many AS SELECT i FROM generate_series(1, 1000) i;
UPDATE person SET code = (SELECT count(*) FROM person a, person b)::text;
ALTER TABLE person ALTER code SET NOT NULL;
$$);
SET schemaver.plan_lock_limit = 0;
\x off
SELECT all_there_is() = :'before' AS nothing_has_changed;
SELECT nextval('log_id_seq'), pg_sequence_last_value('person_id_seq');
SHOW lock_timeout;
SHOW client_min_messages;
-- in a transaction that has locks of its own, and that goes on
BEGIN;
ALTER TABLE log ADD mine int;
SELECT statement, effect, version FROM schemaver.plan('ALTER TABLE log DROP COLUMN mine; SELEKT 1');
ROLLBACK;
BEGIN;
ALTER TABLE log ADD mine int;
SELECT statement, effect, version FROM schemaver.plan('ALTER TABLE log DROP COLUMN mine');
SELECT mine FROM public.log;
ROLLBACK;
-- applied before
SELECT schemaver.unregister();
SELECT schemaver.apply('ALTER TABLE log ADD mine int');
SELECT statement, effect, version FROM schemaver.plan('ALTER TABLE log ADD mine int');
SELECT schemaver.rollback('1.0.0');
SELECT statement, effect, version FROM schemaver.plan('ALTER TABLE log ADD mine int');

--
-- what plan() says is what apply() does
--
CREATE FUNCTION compare(script text, product text) RETURNS text
LANGUAGE plpgsql AS $$
DECLARE
	planned text;
	done text;
BEGIN
	BEGIN
		SELECT coalesce(min(substr(effect, 10)) FILTER (WHERE effect ~ '^refused: '),
						'applied as ' || schemaver.min(p.version))
		INTO planned FROM schemaver.plan(script, product => compare.product) p;
	EXCEPTION WHEN OTHERS THEN
		planned := SQLERRM;
	END;
	BEGIN
		done := 'applied as ' || schemaver.apply(script, product => compare.product);
	EXCEPTION WHEN OTHERS THEN
		done := SQLERRM;
	END;
	RETURN CASE WHEN planned = done OR starts_with(planned, done || E'\n')
		THEN 'same: ' || done
		ELSE format('NOT THE SAME: %s <> %s', planned, done) END;
END $$;
CREATE SCHEMA brk;
CREATE TYPE brk.mood AS ENUM ('sad', 'happy');
CREATE TYPE brk.pair AS (a int, b int);
CREATE DOMAIN brk.small AS int CHECK (VALUE < 100);
CREATE SEQUENCE brk.seq;
CREATE TABLE brk.other (id int PRIMARY KEY);
CREATE TABLE brk.t (
	id		int PRIMARY KEY,
	code	varchar(20) UNIQUE,
	note	text DEFAULT 'n',
	num		int,
	mood	brk.mood DEFAULT 'sad',
	ident	int GENERATED BY DEFAULT AS IDENTITY,
	gen		int GENERATED ALWAYS AS (num * 2) STORED,
	len		varchar(20),
	big		int
);
CREATE UNIQUE INDEX t_note ON brk.t (lower(note));
CREATE VIEW brk.v AS SELECT id, code FROM brk.t;
CREATE MATERIALIZED VIEW brk.m AS SELECT id FROM brk.t;
CREATE FUNCTION brk.f(int) RETURNS int LANGUAGE sql AS 'SELECT $1';
CREATE PROCEDURE brk.p() LANGUAGE sql AS 'SELECT 1';
CREATE FUNCTION brk.trg() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NEW; END';
CREATE TRIGGER trg BEFORE INSERT ON brk.t FOR EACH ROW EXECUTE FUNCTION brk.trg();
SELECT schemaver.create_product('brk', '{brk}');
SELECT schemaver.baseline('1.0', 'brk');
CREATE TABLE changes (n serial, script text);
INSERT INTO changes (script) VALUES
	('ALTER TABLE t DROP COLUMN note'),
	('ALTER TABLE t ALTER big TYPE bigint'),
	('ALTER TABLE t ALTER len TYPE varchar(10)'),
	('ALTER TABLE t ALTER num SET NOT NULL'),
	('ALTER TABLE t ADD must int NOT NULL'),
	('ALTER TABLE t ADD CHECK (num > 0)'),
	('ALTER TABLE t ADD CHECK (num > 0) NOT VALID'),
	('ALTER TABLE t ADD FOREIGN KEY (num) REFERENCES other'),
	('ALTER TABLE t ADD UNIQUE (num)'),
	('CREATE UNIQUE INDEX ON t (num)'),
	('ALTER TABLE t ADD EXCLUDE (num WITH =)'),
	('ALTER TABLE t DROP CONSTRAINT t_code_key'),
	('ALTER TABLE t DROP CONSTRAINT t_pkey'),
	('DROP INDEX t_note'),
	('ALTER TABLE t ENABLE ROW LEVEL SECURITY'),
	('ALTER TABLE t ALTER ident SET GENERATED ALWAYS'),
	('ALTER TABLE t ALTER ident DROP IDENTITY'),
	('ALTER TABLE t ALTER gen DROP EXPRESSION'),
	('ALTER TABLE t ALTER gen DROP EXPRESSION, ALTER gen DROP NOT NULL'),
	('DROP TRIGGER trg ON t'),
	('DROP TABLE t CASCADE'),
	('DROP VIEW v'),
	('DROP MATERIALIZED VIEW m'),
	('DROP SEQUENCE seq'),
	('DROP FUNCTION f(int)'),
	('DROP PROCEDURE p()'),
	('ALTER FUNCTION f(int) RENAME TO g'),
	('DROP FUNCTION f; CREATE FUNCTION f(int) RETURNS bigint LANGUAGE sql AS ''SELECT 1::bigint'''),
	('DROP TYPE mood CASCADE'),
	('ALTER TYPE mood RENAME TO temper'),
	('ALTER TYPE mood RENAME VALUE ''sad'' TO ''blue'''),
	('ALTER TYPE pair DROP ATTRIBUTE a'),
	('ALTER TYPE pair ADD ATTRIBUTE c int'),
	('ALTER TYPE pair RENAME ATTRIBUTE a TO z'),
	('ALTER DOMAIN small ADD CHECK (VALUE > 0)'),
	('ALTER DOMAIN small SET NOT NULL'),
	('DROP DOMAIN small'),
	('ALTER SEQUENCE seq SET SCHEMA public'),
	('DO $$ BEGIN EXECUTE ''ALTER TABLE t DROP COLUMN code CASCADE''; END $$'),
	-- and what does not
	('ALTER TABLE t ALTER len TYPE varchar(40)'),
	('ALTER TABLE t ALTER num DROP NOT NULL'),
	('ALTER TABLE t ADD extra int CHECK (extra > 0)'),
	('ALTER TABLE t ADD extra int UNIQUE'),
	('ALTER TABLE t ADD extra int DEFAULT 1 UNIQUE'),
	('ALTER TABLE t ADD extra int REFERENCES other'),
	('ALTER TABLE t ADD extra int NOT NULL DEFAULT 1'),
	('ALTER TABLE t ADD extra serial'),
	('ALTER TABLE t ADD extra int GENERATED ALWAYS AS IDENTITY'),
	('ALTER TABLE t ADD UNIQUE (id, num)'),
	('CREATE INDEX ON t (num)'),
	('ALTER TABLE t DROP CONSTRAINT t_code_key; ALTER TABLE t ADD CONSTRAINT t_code_key UNIQUE (code)'),
	('CREATE OR REPLACE FUNCTION f(int) RETURNS int LANGUAGE sql AS ''SELECT 2'''),
	('CREATE FUNCTION f(int, int) RETURNS int LANGUAGE sql AS ''SELECT 2'''),
	('ALTER TYPE mood ADD VALUE ''mixed'' BEFORE ''happy'''),
	('ALTER DOMAIN small DROP CONSTRAINT small_check'),
	('ALTER TABLE t DISABLE TRIGGER trg'),
	('DROP TRIGGER trg ON t; CREATE TRIGGER trg BEFORE INSERT ON t FOR EACH ROW EXECUTE FUNCTION trg()'),
	('CREATE OR REPLACE VIEW v AS SELECT id, code, num FROM t'),
	('DROP MATERIALIZED VIEW m; CREATE MATERIALIZED VIEW m AS SELECT id FROM t WHERE id > 0'),
	('DELETE FROM t'),
	('TRUNCATE t'),
	('CREATE TABLE n (id int REFERENCES t)');
SET client_min_messages = warning;
\pset format unaligned
\pset tuples_only on
\set ECHO none
SELECT schemaver.register('1.0', 'brk');
SELECT format('BEGIN; SELECT %L || compare(%L, ''brk''); ROLLBACK;',
			  n || ' ', script)
FROM changes ORDER BY n \gexec
SELECT schemaver.unregister();
DELETE FROM schemaver.db_registration;
SELECT format('BEGIN; SELECT %L || compare(%L, ''brk''); ROLLBACK;',
			  n || ' ', script)
FROM changes ORDER BY n \gexec
\set ECHO all
-- a history, with nobody registered
CREATE SCHEMA sample;
SELECT FROM schemaver.create_product('sample', '{sample}');
\set file :srcdir '/history/sample/001_begin.sql'
\set script `cat :file`
SELECT compare(:'script', 'sample');
\set file :srcdir '/history/sample/002_add.sql'
\set script `cat :file`
SELECT compare(:'script', 'sample');
\set file :srcdir '/history/sample/003_rename_column.sql'
\set script `cat :file`
SELECT compare(:'script', 'sample');
\set file :srcdir '/history/sample/004_rename_tables.sql'
\set script `cat :file`
SELECT compare(:'script', 'sample');
\set file :srcdir '/history/sample/005_rename_table.sql'
\set script `cat :file`
SELECT compare(:'script', 'sample');
\set file :srcdir '/history/sample/006_drop_column.sql'
\set script `cat :file`
SELECT compare(:'script', 'sample');
\set file :srcdir '/history/sample/007_replace_view.sql'
\set script `cat :file`
SELECT compare(:'script', 'sample');
\set file :srcdir '/history/sample/008_demand.sql'
\set script `cat :file`
SELECT compare(:'script', 'sample');
\set file :srcdir '/history/sample/009_drop_table.sql'
\set script `cat :file`
SELECT compare(:'script', 'sample');
\set file :srcdir '/history/sample/010_not_plain.sql'
\set script `cat :file`
SELECT compare(:'script', 'sample');
-- and with somebody under every version
CREATE SCHEMA sample2;
SELECT FROM schemaver.create_product('sample2', '{sample2}');
\set file :srcdir '/history/sample/001_begin.sql'
\set script `cat :file`
SELECT compare(:'script', 'sample2');
SELECT schemaver.register(current_version, 'sample2') FROM schemaver.products WHERE product = 'sample2';
\set file :srcdir '/history/sample/002_add.sql'
\set script `cat :file`
SELECT compare(:'script', 'sample2');
SELECT schemaver.register(current_version, 'sample2') FROM schemaver.products WHERE product = 'sample2';
\set file :srcdir '/history/sample/003_rename_column.sql'
\set script `cat :file`
SELECT compare(:'script', 'sample2');
SELECT schemaver.register(current_version, 'sample2') FROM schemaver.products WHERE product = 'sample2';
\set file :srcdir '/history/sample/004_rename_tables.sql'
\set script `cat :file`
SELECT compare(:'script', 'sample2');
SELECT schemaver.register(current_version, 'sample2') FROM schemaver.products WHERE product = 'sample2';
\set file :srcdir '/history/sample/005_rename_table.sql'
\set script `cat :file`
SELECT compare(:'script', 'sample2');
SELECT schemaver.register(current_version, 'sample2') FROM schemaver.products WHERE product = 'sample2';
\set file :srcdir '/history/sample/006_drop_column.sql'
\set script `cat :file`
SELECT compare(:'script', 'sample2');
SELECT schemaver.register(current_version, 'sample2') FROM schemaver.products WHERE product = 'sample2';
\set file :srcdir '/history/sample/007_replace_view.sql'
\set script `cat :file`
SELECT compare(:'script', 'sample2');
SELECT schemaver.register(current_version, 'sample2') FROM schemaver.products WHERE product = 'sample2';
\set file :srcdir '/history/sample/008_demand.sql'
\set script `cat :file`
SELECT compare(:'script', 'sample2');
SELECT schemaver.register(current_version, 'sample2') FROM schemaver.products WHERE product = 'sample2';
\set file :srcdir '/history/sample/009_drop_table.sql'
\set script `cat :file`
SELECT compare(:'script', 'sample2');
SELECT schemaver.register(current_version, 'sample2') FROM schemaver.products WHERE product = 'sample2';
\set file :srcdir '/history/sample/010_not_plain.sql'
\set script `cat :file`
SELECT compare(:'script', 'sample2');
SELECT schemaver.register(current_version, 'sample2') FROM schemaver.products WHERE product = 'sample2';
SELECT schemaver.unregister();
\pset format aligned
\pset tuples_only off
RESET client_min_messages;

-- whoever may call it has his own rights, no more
CREATE ROLE regress_plan_deployer;
SET ROLE regress_plan_deployer;
SELECT * FROM schemaver.plan('SELECT 1', product => 'sample');
RESET ROLE;
GRANT EXECUTE ON FUNCTION schemaver.plan(text, schemaver.version, text) TO regress_plan_deployer;
GRANT USAGE ON SCHEMA sample TO regress_plan_deployer;
SET ROLE regress_plan_deployer;
SELECT effect FROM schemaver.plan('ALTER TABLE person ADD x int', product => 'sample');
SELECT effect FROM schemaver.plan('DELETE FROM schemaver.db_product', product => 'sample');
RESET ROLE;
-- a database without a product does not get one
BEGIN;
DELETE FROM schemaver.db_schema_version;
DELETE FROM schemaver.db_product;
SELECT effect, version FROM schemaver.plan('CREATE TABLE first_of_all (id int)');
SELECT count(*) FROM schemaver.products;
ROLLBACK;
\c :home
DROP DATABASE sv_plan;
DROP ROLE regress_plan_deployer;
