--
-- schemaver.create_product(), baseline() and apply()
--
SELECT current_database() AS home \gset
CREATE DATABASE sv_apply;
\c sv_apply
CREATE EXTENSION schemaver;

-- what a product has come to
CREATE FUNCTION state(product text)
RETURNS TABLE (version text, status text, schemas text)
LANGUAGE sql AS $$
	SELECT version::text, status,
		(SELECT string_agg(coalesce(to_regnamespace(quote_ident(s))::text,
									'no ' || s), ' ')
		 FROM unnest(schemas) s)
	FROM schemaver.versions v WHERE v.product = $1 ORDER BY v.version
$$;

--
-- products
--
CREATE SCHEMA app;
CREATE SCHEMA app2;
SELECT schemaver.create_product('app', '{app}');
SELECT schemaver.create_product('app', '{app2}');
SELECT schemaver.create_product('other', '{app}');
SELECT schemaver.create_product('other', '{app2,app2}');
SELECT schemaver.create_product('other', '{app2,no_such}');
SELECT schemaver.create_product('other', '{}');
SELECT schemaver.create_product('other', '{NULL}');
SELECT schemaver.create_product('other', NULL);
SELECT schemaver.create_product(NULL, '{app2}');
SELECT schemaver.create_product('', '{app2}');
SELECT schemaver.create_product(repeat('x', 64), '{app2}');
SELECT schemaver.create_product('other', '{schemaver}');
SELECT schemaver.create_product('other', '{pg_catalog}');
SELECT schemaver.create_product('other', '{information_schema}');
SELECT schemaver.create_product('other', '{pg_toast}');
SELECT product, schemas, current_version, exact, complete
FROM schemaver.products WHERE product IN ('app', 'other');

--
-- the first version; how numbers are derived
--
SELECT schemaver.apply('CREATE TABLE person (id int PRIMARY KEY, name text)',
	product => 'app');
SELECT schemaver.apply('CREATE TABLE thing (id int PRIMARY KEY)', product => 'app');
SELECT schemaver.apply('ALTER TABLE person RENAME name TO title', product => 'app');
SELECT schemaver.apply('INSERT INTO person VALUES (1, ''Ann'')', product => 'app');
-- what nobody ever registered under is retired once it is not the one before
SELECT * FROM state('app');
SELECT schemaver.create_product('app2', '{app2}');
SELECT schemaver.create_product('app2; DROP TABLE "x"', '{app2}');
SELECT schemaver.apply('CREATE TABLE t (id int)', '3023-06-04', 'app2');
SELECT schemaver.apply('ALTER TABLE t RENAME id TO nr', '3023-06-05', 'app2');
SELECT schemaver.apply('ALTER TABLE t RENAME nr TO id', '3023-06-04', 'app2');
SELECT schemaver.apply('ALTER TABLE t RENAME nr TO id', '3023-06-03', 'app2');
SELECT schemaver.apply('ALTER TABLE t ADD tomorrow int', product => 'app2');
SELECT schemaver.apply('ALTER TABLE t ADD x int', '30240604', 'app2');

-- a number that promises too much, or goes back
SELECT schemaver.apply('ALTER TABLE person RENAME title TO name', '1.1.2', 'app');
SELECT schemaver.apply('ALTER TABLE person RENAME title TO name', '1.1.1', 'app');
SELECT schemaver.apply('ALTER TABLE person RENAME title TO name', '1.0.5', 'app');
SELECT schemaver.apply('CREATE TABLE more (id int)', '1.1.9', 'app');
SELECT schemaver.apply('ALTER TABLE person RENAME title TO name', '2.0.0', 'app');
SELECT * FROM state('app');

-- directives
SELECT schemaver.apply('-- schemaver: product app
-- schemaver: version 2.0.0 -> 2.1.0
-- schemaver: description people have titles
ALTER TABLE person RENAME name TO title', reason => 'asked for');
SELECT schemaver.apply('-- schemaver: version 2.0.0 -> 2.1.0
ALTER TABLE person RENAME title TO x', product => 'app');
SELECT schemaver.apply('-- schemaver: version 2.0.0 -> 2.2.0
ALTER TABLE person RENAME title TO x', product => 'app');
SELECT schemaver.apply('-- schemaver: version 2.1.0 -> 2.2.0
ALTER TABLE person RENAME title TO x', '2.3.0', 'app');
SELECT schemaver.apply('-- schemaver: product app
SELECT 1', product => 'app2');
SELECT schemaver.apply('-- schemaver: product nobody
SELECT 1');
SELECT schemaver.apply('-- schemaver: versoin 2.1.0 -> 2.2.0
SELECT 1', product => 'app');
SELECT schemaver.apply('-- schemaver: version 2.1.0 -> 2.2.0
-- schemaver: version 2.1.0 -> 2.3.0
SELECT 1', product => 'app');
SELECT schemaver.apply('-- schemaver: up person.full_name = title
SELECT 1', product => 'app');
SELECT schemaver.apply('-- schemaver: down person.full_name = title
SELECT 1', product => 'app');

-- applied before: the same script is skipped, another one is refused
SELECT schemaver.apply('-- schemaver: product app
-- schemaver: version 2.0.0 -> 2.1.0
-- schemaver: description people have titles
ALTER TABLE person RENAME name TO title');
SELECT schemaver.apply('CREATE TABLE thing (id int PRIMARY KEY)', product => 'app');
SELECT schemaver.apply('CREATE TABLE thing (id int PRIMARY KEY)', '1.0.1', 'app');
SELECT schemaver.apply('CREATE TABLE thing (id int PRIMARY KEY);', '1.0.1', 'app');
SELECT schemaver.apply('CREATE TABLE thing2 (id int)', '1.0.0', 'app');
-- the same text again, as a version of its own
SELECT schemaver.apply('INSERT INTO person VALUES (2, ''Bob'')', '2.1.1', 'app');
SELECT schemaver.apply('INSERT INTO person VALUES (2, ''Bob'')', '2.1.2', 'app');

-- no arguments to speak of
SELECT schemaver.apply(NULL);
SELECT schemaver.apply('SELECT 1');
SELECT schemaver.apply('SELECT 1', product => 'nobody');
SELECT schemaver.apply('', product => 'app');
SELECT schemaver.apply('-- nothing
/* at all */ ;;', product => 'app');
SELECT * FROM state('app');

--
-- errors tell where they are; nothing of a script that fails is left
--
SELECT id AS last FROM schemaver.history ORDER BY id DESC LIMIT 1 \gset
SELECT schemaver.apply('CREATE TABLE left_over (id int);
INSERT INTO person VALUES (3, ''Cid'');

-- a comment
SELECT 1 /
	(SELECT 0);
CREATE TABLE never (id int)', '2.2.0', 'app');
SELECT schemaver.apply('ALTER TABLE person RENAME title TO name;
	ALTER TABLE no_such ADD x int', product => 'app');
SELECT schemaver.apply('ALTER TABLE person RENAME title TO name; SELEC 1',
	product => 'app');
SELECT schemaver.apply('CREATE TABLE x (id int);
VACUUM person', product => 'app');
SELECT schemaver.apply('CREATE TABLE x (id int);
\dt', product => 'app');
SELECT schemaver.apply('COPY person FROM STDIN', product => 'app');
SELECT schemaver.apply('REINDEX TABLE CONCURRENTLY person', product => 'app');
SELECT schemaver.apply('CREATE TABLE x (id int); COMMIT; CREATE TABLE y (id int)', product => 'app');
SELECT schemaver.apply('ROLLBACK', product => 'app');
SELECT schemaver.apply('DO $$ BEGIN CREATE TABLE x (id int); COMMIT; END $$', product => 'app');
SELECT schemaver.apply('SELECT schemaver.apply(''CREATE TABLE y (id int)'', product => ''app'')',
	product => 'app');
SELECT schemaver.apply('DO $$ BEGIN PERFORM schemaver.baseline(''1'', ''app2''); END $$', product => 'app');
SELECT schemaver.apply('DO $$ BEGIN PERFORM schemaver.reconcile(''app''); END $$', product => 'app');
SELECT to_regclass('app.left_over'), to_regclass('app.x'), to_regclass('app.y'),
	(SELECT count(*) FROM app.person);
SELECT * FROM schemaver.history WHERE id > :last;
SELECT * FROM state('app') WHERE status <> 'retired';
SELECT title FROM app.person ORDER BY id LIMIT 1;
-- a script that catches its own error
SELECT schemaver.apply('DO $$ BEGIN
	ALTER TABLE person RENAME title TO name;
	PERFORM 1 / 0;
EXCEPTION WHEN division_by_zero THEN
	ALTER TABLE person ADD email text;
END $$', product => 'app');
SELECT * FROM app.person WHERE id = 1;

--
-- what a script sets ends with it
--
CREATE ROLE regress_apply_owner;
CREATE SCHEMA aside;
SET search_path = aside, app2, public;
SELECT schemaver.apply('SHOW search_path;
	CREATE TABLE landed_in_app (id int);
	SET search_path = aside;
	CREATE TABLE landed_aside (id int);
	SET ROLE regress_apply_owner;
	SET statement_timeout = ''1h'';
	SET LOCAL lock_timeout = ''1h''', product => 'app');
SHOW search_path;
SELECT current_user = session_user AS myself, current_setting('statement_timeout'),
	current_setting('lock_timeout');
SELECT 'app.landed_in_app'::regclass, 'aside.landed_aside'::regclass;
SET search_path = public;
-- BEGIN and COMMIT around it
SELECT schemaver.apply('BEGIN;
CREATE TABLE enclosed (id int);
COMMIT;', product => 'app');
-- a rollback section is kept, not run
SELECT schemaver.apply('CREATE TABLE kept (id int);
-- schemaver: rollback
DROP TABLE kept;', product => 'app');
SELECT to_regclass('app.enclosed'), to_regclass('app.kept');

--
-- inside of transactions
--
BEGIN;
SELECT schemaver.apply('CREATE TABLE gone (id int)', '3.0.0', 'app');
SELECT 'app_3_0_0'::regnamespace;
ROLLBACK;
SELECT to_regnamespace('app_3_0_0'), to_regclass('app.gone');
BEGIN;
SAVEPOINT s;
SELECT schemaver.apply('CREATE TABLE gone (id int)', '3.0.0', 'app');
ROLLBACK TO s;
SELECT schemaver.apply('CREATE TABLE not_gone (id int)', '3.0.0', 'app');
SELECT schemaver.apply('ALTER TABLE not_gone RENAME id TO nr', '3.1.0', 'app');
SELECT schemaver.register('3.0.0', 'app');
INSERT INTO not_gone VALUES (1) RETURNING id;
COMMIT;
SELECT schemaver.unregister();
BEGIN ISOLATION LEVEL REPEATABLE READ;
SELECT count(*) FROM app.person;
SELECT schemaver.apply('ALTER TABLE not_gone RENAME nr TO id', product => 'app');
COMMIT;
BEGIN ISOLATION LEVEL SERIALIZABLE;
SELECT schemaver.apply('ALTER TABLE not_gone RENAME id TO nr', '3.3.0', product => 'app');
COMMIT;
BEGIN READ ONLY;
SELECT schemaver.apply('CREATE TABLE r (id int)', product => 'app');
ROLLBACK;
-- from a function that catches what goes wrong
DO $$ BEGIN
	PERFORM schemaver.apply('CREATE TABLE x (id int); SELECT 1/0', product => 'app');
EXCEPTION WHEN division_by_zero THEN
	PERFORM schemaver.apply('CREATE TABLE second_try (id int)', product => 'app');
END $$;
SELECT * FROM state('app') WHERE status <> 'retired';

-- a product's script leaves other products alone, and its own schema in place
SELECT schemaver.apply('ALTER TABLE app2.t RENAME nr TO id', product => 'app');
SELECT schemaver.apply('DROP SCHEMA app2 CASCADE', product => 'app');
SELECT schemaver.apply('DROP SCHEMA app CASCADE', product => 'app');
SELECT schemaver.apply('ALTER SCHEMA app RENAME TO application', product => 'app');

-- what is schemaver's own is not for scripts
SELECT schemaver.apply('DROP TABLE schemaver.db_product CASCADE', product => 'app');
SELECT schemaver.apply('CREATE TABLE app_3_3_1.t (id int)', product => 'app');
SELECT schemaver.apply('DROP SCHEMA app_3_0_0 CASCADE', product => 'app');
SELECT schemaver.apply('DROP EXTENSION schemaver CASCADE', product => 'app');

-- a taken name
CREATE SCHEMA app_4_0_0;
SELECT schemaver.apply('CREATE TABLE four (id int)', '4.0.0', 'app');
DROP SCHEMA app_4_0_0;
SELECT schemaver.apply('CREATE TABLE four (id int)', '4.0.0', 'app');

-- large and foreign
SELECT schemaver.apply(string_agg(format('INSERT INTO four VALUES (%s); -- %s', i, repeat('x', 1000)), E'\n'),
	'4.0.1', 'app') FROM generate_series(1, 10000) i;
SELECT count(*) FROM app.four;
SELECT schemaver.apply('CREATE TABLE "naïve 表" (id int)', '4.0.2', 'app');

--
-- what breaks an older version that somebody uses, or nobody ever did
--
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
-- each change in a transaction of its own, tried once with nobody registered
-- and once with a version that somebody has registered under
CREATE FUNCTION try(script text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
	message text; detail text; hint text;
BEGIN
	RETURN 'applied as ' || schemaver.apply(script, product => 'brk');
EXCEPTION WHEN OTHERS THEN
	GET STACKED DIAGNOSTICS message = MESSAGE_TEXT,
		detail = PG_EXCEPTION_DETAIL, hint = PG_EXCEPTION_HINT;
	RETURN message || E'\n  ' || detail;
END $$;
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
\pset format unaligned
\pset tuples_only on
\set ON_ERROR_STOP off
SET client_min_messages = warning;
\set ECHO none
SELECT schemaver.register('1.0', 'brk');
SELECT format('BEGIN; SELECT %L || E''\n  '' || try(%L); ROLLBACK;',
			  n || ' ' || script, script)
FROM changes ORDER BY n \gexec
SELECT schemaver.unregister();
DELETE FROM schemaver.db_registration;
SELECT format('BEGIN; SELECT %L || E''\n  '' || try(%L); ROLLBACK;',
			  n || ' ' || script, script)
FROM changes ORDER BY n \gexec
\set ECHO all
RESET client_min_messages;
\pset format aligned
\pset tuples_only off
SELECT schemaver.apply('ALTER TABLE t DROP COLUMN big', product => 'brk');
SELECT * FROM state('brk');
SELECT schemaver.register('1.0', 'brk');

--
-- an existing database; the history of it all
--
CREATE SCHEMA "Old; 'DB'";
CREATE TABLE "Old; 'DB'"."T" (id int PRIMARY KEY, name text);
SELECT schemaver.create_product('Old; ''DB''', '{"Old; ''DB''"}');
SELECT schemaver.baseline(NULL, 'Old; ''DB''');
SELECT schemaver.baseline('7', 'Old; ''DB''');
SELECT schemaver.baseline('8', 'Old; ''DB''');
SELECT schemaver.apply('ALTER TABLE "T" RENAME name TO title', product => 'Old; ''DB''',
	description => 'names', reason => 'because');
SELECT schemaver.apply('-- schemaver: description from the script
ALTER TABLE "T" ADD x int; SELECT 1', product => 'Old; ''DB''');
SELECT * FROM state('Old; ''DB''');
-- what is done by hand is told too, with the guard off as well
ALTER TABLE "Old; 'DB'"."T" ADD y int;
SET schemaver.guard = off;
ALTER TABLE "Old; 'DB'"."T" ADD z int;
RESET schemaver.guard;
CREATE INDEX ON "Old; 'DB'"."T" (y);
DROP TABLE "Old; 'DB'"."T";
CREATE TEMP TABLE "T" (id int);
DROP TABLE "T";
SELECT action, from_version, version, update_by = session_user AS by_me,
	description, reason, script, length(checksum), statements,
	duration >= '0' AS took, outcome
FROM schemaver.history WHERE product = 'Old; ''DB''' ORDER BY id;
-- drift does not hold up the next migration
SELECT schemaver.apply('CREATE TABLE "U" (id int)', product => 'Old; ''DB''');

--
-- roles
--
CREATE ROLE regress_apply_deployer;
CREATE ROLE regress_apply_nobody;
CREATE SCHEMA roles AUTHORIZATION regress_apply_deployer;
CREATE TABLE roles.theirs (id int PRIMARY KEY, name text);
SELECT schemaver.create_product('roles', '{roles}');
SELECT schemaver.baseline('1.0', 'roles');
SET ROLE regress_apply_nobody;
SELECT schemaver.create_product('mine', '{public}');
SELECT schemaver.baseline('1.0', 'roles');
SELECT schemaver.apply('CREATE TABLE t (id int)', product => 'roles');
SELECT schemaver.reconcile('roles');
RESET ROLE;
GRANT EXECUTE ON FUNCTION
	schemaver.apply(text, schemaver.version, text, text, text)
TO regress_apply_deployer, regress_apply_nobody;
SET ROLE regress_apply_nobody;
SELECT schemaver.apply('CREATE TABLE t (id int)', product => 'roles');
SELECT schemaver.apply('CREATE TABLE roles.t (id int)', product => 'roles');
SELECT schemaver.apply('ALTER TABLE roles.theirs RENAME name TO title', product => 'roles');
SELECT schemaver.apply('SELECT 1', product => 'roles');
SET ROLE regress_apply_deployer;
SELECT schemaver.apply('CREATE TABLE t (id int PRIMARY KEY, name text)', product => 'roles');
SELECT schemaver.register('1.0.2', 'roles');
SELECT schemaver.apply('ALTER TABLE t RENAME name TO title', product => 'roles');
INSERT INTO t (id, name) VALUES (1, 'x') RETURNING *;
SELECT relowner::regrole FROM pg_class WHERE oid = 'roles_1_0_2.t'::regclass;
SELECT schemaver.apply('ALTER TABLE theirs RENAME name TO title', product => 'roles');
-- nobody gains a right
SELECT schemaver.apply('INSERT INTO schemaver.db_product SELECT', product => 'roles');
SELECT schemaver.apply('CREATE VIEW roles_1_0_2.v AS SELECT 1', product => 'roles');
SELECT schemaver.apply('SET ROLE regress_apply_nobody; ALTER TABLE t ADD x int', product => 'roles');
CREATE TABLE roles_1_0_2.x (id int);
DROP VIEW roles_1_0_2.t;
SELECT schemaver.unregister();
RESET ROLE;
SELECT * FROM state('roles');
SELECT nullif(update_by, session_user) AS other FROM schemaver.history
WHERE product = 'roles' ORDER BY id;

--
-- with the event triggers off everything is compared
--
ALTER EVENT TRIGGER schemaver_guard_ddl DISABLE;
ALTER EVENT TRIGGER schemaver_guard_drop DISABLE;
SELECT schemaver.register('1.0.2', 'roles');
SELECT schemaver.apply('ALTER TABLE t RENAME id TO nr', product => 'roles');
SELECT id, name FROM t;
SELECT schemaver.apply('ALTER TABLE t DROP COLUMN nr', product => 'roles');
SELECT schemaver.unregister();
ALTER EVENT TRIGGER schemaver_guard_ddl ENABLE ALWAYS;
ALTER EVENT TRIGGER schemaver_guard_drop ENABLE ALWAYS;

-- a database with no product gets one, named after itself
BEGIN;
DELETE FROM schemaver.db_schema_version;
DELETE FROM schemaver.db_product;
SELECT schemaver.apply('CREATE TABLE first_of_all (id int)');
SELECT product = current_database() AS named, schemas, current_version
FROM schemaver.products;
ROLLBACK;

DROP SCHEMA roles CASCADE;
DROP OWNED BY regress_apply_owner, regress_apply_deployer, regress_apply_nobody;
DROP ROLE regress_apply_owner, regress_apply_deployer, regress_apply_nobody;

\c :home
DROP DATABASE sv_apply;
