--
-- schemaver.verify(), and what reconcile() mends of what it finds
--
-- Everything here is broken by hand, with the guard off or in the catalogs.
-- A database of its own keeps away what other tests leave behind.
--
\pset format unaligned
\pset tuples_only on
SELECT current_database() AS home \gset
CREATE DATABASE sv_verify;
\c sv_verify
SET client_min_messages = warning;
CREATE EXTENSION schemaver;
CREATE SCHEMA tool;
CREATE VIEW tool.findings AS
	SELECT coalesce(product, '-') || ' ' || coalesce(version::text, '-') || ' '
			|| severity || ', ' || object || ': ' || finding
			|| coalesce(E'\n    ' || regexp_replace(detail,
				'By \S+, line \d+', 'By WHO, line N'), '')
			|| E'\n    -> ' || hint AS finding
	FROM schemaver.verify();

-- the same for several versions told once
CREATE VIEW tool.summary AS
	SELECT severity || ', ' || object || ': ' || finding || ', '
			|| coalesce(detail, '') || ' ('
			|| string_agg(version::text, ', ' ORDER BY version) || ')' AS finding
	FROM schemaver.verify()
	WHERE version IS NOT NULL
	GROUP BY severity, object, finding, detail
	ORDER BY (array_agg(version ORDER BY version))[1], severity, object, detail;

-- nothing there, nothing to find; neither without a version
TABLE tool.findings;
SELECT schemaver.create_product('shop');
TABLE tool.findings;
CREATE TYPE mood AS ENUM ('good', 'bad');
CREATE TABLE person (
	id int PRIMARY KEY,
	last_name text NOT NULL CONSTRAINT named CHECK (last_name <> ''),
	email text DEFAULT 'none' CONSTRAINT person_email UNIQUE,
	nick text);
CREATE TABLE pet (id int PRIMARY KEY, owner int REFERENCES person, old text);
CREATE TABLE place (id int PRIMARY KEY, label text);
CREATE TABLE lonely (id int PRIMARY KEY, a int, b int);
CREATE UNIQUE INDEX lonely_a ON lonely (a);
CREATE FUNCTION stamp() RETURNS trigger LANGUAGE plpgsql AS
	'BEGIN RETURN NEW; END';
CREATE FUNCTION twice(n int) RETURNS int LANGUAGE sql AS 'SELECT 2 * n';
CREATE TRIGGER stamped BEFORE INSERT ON lonely
	FOR EACH ROW EXECUTE FUNCTION stamp();
SELECT schemaver.baseline('1.0.0');
SELECT schemaver.register('1.0.0');
SELECT schemaver.apply('ALTER TABLE person RENAME last_name TO surname;
	ALTER TABLE person ALTER email SET DEFAULT ''unknown'';
	ALTER TABLE person DROP nick;
	ALTER TABLE pet DROP old;
	DROP TABLE place; DROP TYPE mood; DROP FUNCTION twice(int)', '1.1.0');
SELECT schemaver.register('1.1.0');
SELECT schemaver.apply('CREATE TABLE fresh (id int PRIMARY KEY)', '1.2.0');
SELECT schemaver.register('1.2.0');
SELECT schemaver.unregister();
TABLE tool.findings;

-- it changes nothing, and keeps no lock
BEGIN;
SELECT count(*) FROM schemaver.verify();
SELECT relation::regclass, mode FROM pg_locks
WHERE pid = pg_backend_pid() AND locktype IN ('relation', 'userlock')
	AND mode <> 'AccessShareLock';
SELECT relation::regclass FROM pg_locks
WHERE pid = pg_backend_pid() AND relation::regclass::text ~ 'person|pet';
COMMIT;
BEGIN READ ONLY;
SELECT count(*) FROM schemaver.verify();
COMMIT;

SET schemaver.guard = off;

-- views that are missing, altered, or not needed
DROP VIEW shop_1_0_0.person;
CREATE OR REPLACE VIEW shop_1_0_0.pet WITH (security_invoker) AS
	SELECT id, owner, schemaver_retained_old AS old FROM pet WHERE id > 7;
CREATE VIEW shop_1_0_0.lonely AS SELECT 1 AS a;
ALTER VIEW shop_1_1_0.person ALTER email SET DEFAULT 'else';
TABLE tool.findings;
SELECT schemaver.reconcile();
TABLE tool.findings;

-- a view of other columns, a mirrored key, privileges, in the catalogs too
DROP VIEW shop_1_1_0.person;
CREATE VIEW shop_1_1_0.person AS SELECT id FROM person;
ALTER TABLE shop_1_0_0.place RENAME TO moved;
WITH mirror AS (
	DELETE FROM pg_constraint WHERE conrelid = 'shop_1_0_0.person'::regclass
		AND conname = 'person_email' RETURNING oid)
DELETE FROM pg_depend USING mirror
WHERE classid = 'pg_constraint'::regclass AND objid = mirror.oid;
UPDATE pg_class SET relacl = ARRAY[makeaclitem(0, relowner, 'SELECT', false)]
WHERE oid = 'shop_1_0_0.pet'::regclass;
UPDATE pg_class SET reloptions = NULL WHERE oid = 'shop_1_2_0.pet'::regclass;
TABLE tool.findings;
SELECT schemaver.reconcile();
TABLE tool.findings;
DROP VIEW shop_1_0_0.moved;

-- a whole version schema
CREATE TYPE keep AS ENUM ('here');
DROP SCHEMA shop_1_1_0 CASCADE;
REVOKE USAGE ON SCHEMA shop_1_2_0 FROM PUBLIC;
SET schemaver.guard = mixed;
TABLE tool.findings;
SELECT schemaver.reconcile();
TABLE tool.findings;
SET schemaver.guard = off;

-- strangers in a version schema, and among what is retained
CREATE TABLE shop_1_1_0.mine (a serial);
CREATE FUNCTION shop_1_1_0.mine() RETURNS int LANGUAGE sql AS 'SELECT 1';
CREATE TYPE shop_1_1_0.my_mood AS ENUM ('mine');
CREATE TABLE shop_1_0_0.person_too (a int);
CREATE TABLE schemaver_retained.mine (a serial);
TABLE tool.findings;
SELECT schemaver.reconcile();
SELECT count(*) FROM tool.findings;
DROP TABLE shop_1_1_0.mine, shop_1_0_0.person_too, schemaver_retained.mine;
DROP FUNCTION shop_1_1_0.mine();
DROP TYPE shop_1_1_0.my_mood;
-- something that is no view has a view's name
DROP VIEW shop_1_0_0.person;
CREATE TABLE shop_1_0_0.person (a int);
SELECT * FROM tool.findings WHERE finding ~ 'error';
SELECT schemaver.reconcile();
DROP TABLE shop_1_0_0.person;
SELECT schemaver.reconcile();
SELECT * FROM tool.findings WHERE finding ~ 'error';
SELECT schemaver.apply('DROP TYPE keep', '1.2.1');
TABLE tool.findings;

-- contracts: what was changed by hand is found, and after reconcile() still
ALTER TABLE lonely DROP b;
ALTER TABLE lonely ALTER id TYPE bigint;
DROP INDEX lonely_a;
DROP TRIGGER stamped ON lonely;
ALTER TABLE lonely ADD CONSTRAINT positive CHECK (id > 0);
ALTER TABLE person ALTER email SET NOT NULL;
DROP TABLE schemaver_retained.place;
DROP FUNCTION shop_1_0_0.twice(int);
CREATE UNIQUE INDEX CONCURRENTLY fresh_too ON fresh (id);
UPDATE pg_index SET indisvalid = false
WHERE indexrelid = 'fresh_too'::regclass;
TABLE tool.summary;
SELECT * FROM tool.findings WHERE finding ~ 'lonely_a|warning';
SELECT schemaver.reconcile();
TABLE tool.summary;
-- the next version takes the current one's part; the others are as they were
SELECT schemaver.apply('SELECT 1', '1.3.0');
SELECT schemaver.unregister();
TABLE tool.summary;
SELECT schemaver.retire('1.2.1');
DROP INDEX fresh_too;
SELECT schemaver.apply('SELECT 2', '1.3.1');
TABLE tool.findings;

-- retained for nobody: a name that was hidden by hand
ALTER TABLE fresh ADD hidden_x int;
UPDATE pg_attribute SET attname = 'schemaver_retained_x'
WHERE attrelid = 'fresh'::regclass AND attname = 'hidden_x';
SELECT * FROM tool.findings WHERE finding ~ 'nobody';
ALTER TABLE fresh DROP schemaver_retained_x;

-- constraints that are relaxed for a version that was rolled back
RESET schemaver.guard;
SELECT schemaver.apply('SELECT 3', '2.0.0');
SELECT schemaver.register('2.0.0');
SELECT schemaver.apply('ALTER TABLE person ALTER surname DROP NOT NULL;
	ALTER TABLE person DROP CONSTRAINT named;
	ALTER TABLE pet DROP CONSTRAINT pet_owner_fkey', '2.1.0');
SELECT schemaver.register('2.1.0');
TABLE tool.findings;
SELECT schemaver.rollback('2.0.0');
TABLE tool.findings;
SELECT schemaver.unregister();
SELECT schemaver.retire('2.1.0');
TABLE tool.findings;
ALTER TABLE person VALIDATE CONSTRAINT named;
ALTER TABLE pet VALIDATE CONSTRAINT pet_owner_fkey;
SELECT finding FROM schemaver.verify();

-- what the guard rests on
ALTER EVENT TRIGGER schemaver_guard_ddl DISABLE;
ALTER EVENT TRIGGER schemaver_guard_drop ENABLE;
SELECT * FROM tool.findings WHERE finding ~ '^-';
ALTER EVENT TRIGGER schemaver_guard_ddl ENABLE ALWAYS;
ALTER EVENT TRIGGER schemaver_guard_drop ENABLE ALWAYS;
ALTER EXTENSION schemaver DROP EVENT TRIGGER schemaver_guard_drop;
DROP EVENT TRIGGER schemaver_guard_drop;
SELECT * FROM tool.findings WHERE finding ~ '^-';
SELECT substring(hint FROM '^[^;]*') AS call FROM schemaver.verify()
WHERE finding = 'event trigger missing' \gset
:call;
ALTER EVENT TRIGGER schemaver_guard_drop ENABLE ALWAYS;
SELECT * FROM tool.findings WHERE finding ~ '^-';

-- a view that cannot be made
SELECT schemaver.register('2.0.0');
SELECT schemaver.apply('ALTER TABLE person RENAME surname TO family_name', '2.2.0');
SELECT schemaver.unregister();
CREATE ROLE regress_sv_verify;
GRANT SELECT (id) ON person TO regress_sv_verify;
SET schemaver.guard = off;
ALTER TABLE person ENABLE ROW LEVEL SECURITY;
DROP VIEW shop_2_0_0.person;
RESET schemaver.guard;
SELECT * FROM tool.findings WHERE finding ~ 'error';
SELECT schemaver.reconcile();
REVOKE SELECT (id) ON person FROM regress_sv_verify;
ALTER TABLE person DISABLE ROW LEVEL SECURITY;
SELECT schemaver.reconcile();
SELECT * FROM tool.findings WHERE finding ~ 'error';

-- rows that an older version leaves without what the newest requires
CREATE TABLE paid (id int PRIMARY KEY, amount int);
SELECT schemaver.apply('SELECT 4', '3.0.0');
SELECT schemaver.register('3.0.0');
SET schemaver.on_missing_value = nullable;
SELECT schemaver.apply('ALTER TABLE paid ALTER amount SET NOT NULL', '3.1.0');
RESET schemaver.on_missing_value;
TABLE tool.findings;
INSERT INTO paid VALUES (1, NULL), (2, NULL), (3, 3);
TABLE tool.findings;
UPDATE paid SET amount = 0 WHERE amount IS NULL;
TABLE tool.findings;
SELECT schemaver.unregister();

-- asleep, as after a restore
UPDATE schemaver.db_product SET incarnation = 0;
TABLE tool.findings;
SELECT schemaver.reconcile();
SELECT count(*) FROM schemaver.verify() WHERE severity = 'error';

-- several products, and one that is asked for; who may
ALTER TABLE paid ADD note text;
CREATE SCHEMA crm;
SELECT schemaver.create_product('crm', '{crm}');
SELECT schemaver.verify('crm');
SELECT DISTINCT product FROM schemaver.verify();
SELECT schemaver.verify('nobody''s');
SELECT schemaver.apply('SELECT schemaver.verify()', product => 'shop');
SET ROLE regress_sv_verify;
SELECT schemaver.verify();
RESET ROLE;
GRANT EXECUTE ON FUNCTION schemaver.verify(text, boolean) TO regress_sv_verify;
SET ROLE regress_sv_verify;
SELECT product, detail FROM schemaver.verify() WHERE finding = 'changed by hand'
	AND detail ~ 'script|ALTER';
SELECT count(*) > 0 FROM schemaver.verify();
RESET ROLE;

\c :home
DROP DATABASE sv_verify WITH (FORCE);
DROP ROLE regress_sv_verify;
