--
-- schemaver.retire()
--
SET client_min_messages = warning;
CREATE EXTENSION IF NOT EXISTS schemaver;
RESET client_min_messages;
CREATE SCHEMA retire_base;
SET search_path = retire_base, public;
SELECT schemaver.create_product('retiring', ARRAY['retire_base']);
CREATE TABLE person (id int PRIMARY KEY, last_name text);
SELECT schemaver.baseline('1.0.0', 'retiring');
SELECT schemaver.register('1.0.0', 'retiring');
SELECT schemaver.apply('ALTER TABLE person RENAME last_name TO surname',
	product => 'retiring');
SELECT schemaver.register('1.1.0', 'retiring');
SELECT schemaver.apply('ALTER TABLE person RENAME surname TO family_name',
	product => 'retiring');
SELECT schemaver.register('1.2.0', 'retiring');
SELECT schemaver.apply('CREATE TABLE place (id int)', product => 'retiring');

-- what there is, as a list of version schemas with their views
CREATE VIEW retire_views AS
	SELECT n.nspname, c.relname
	FROM pg_namespace AS n
		LEFT JOIN pg_class AS c ON c.relnamespace = n.oid
	WHERE n.nspname LIKE 'retiring%'
	ORDER BY 1, 2;
TABLE retire_views;

-- what cannot be retired
SELECT schemaver.retire(NULL, 'retiring');
SELECT schemaver.retire('1.2.1', 'retiring');
SELECT schemaver.retire('2.0.0', 'retiring');
SELECT schemaver.retire('1.1.0', 'nobody');
\set VERBOSITY sqlstate
SELECT schemaver.retire('1.2.0', 'retiring');
\set VERBOSITY default
SELECT schemaver.unregister();

-- a change that only 1.0.0 and 1.1.0 stand in the way of
SELECT schemaver.apply('ALTER TABLE person ENABLE ROW LEVEL SECURITY',
	product => 'retiring');

-- somebody's view on a compatibility view is not dropped in silence
CREATE VIEW mine AS SELECT last_name FROM retiring_1_0_0.person;
SELECT schemaver.retire('1.1.0', 'retiring');
TABLE retire_views;
DROP VIEW mine;

-- all older versions go along, in one transaction
BEGIN;
SELECT schemaver.retire('1.1.0', 'retiring');
TABLE retire_views;
ROLLBACK;
TABLE retire_views;
SELECT schemaver.retire('v1.1', 'retiring');
SELECT schemaver.retire('1.1.0', 'retiring');
TABLE retire_views;
SELECT version, status, retired_on IS NOT NULL AS retired
FROM schemaver.versions
WHERE product = 'retiring'
ORDER BY version;
SELECT schemaver.register('1.1.0', 'retiring');
SELECT schemaver.register('1.0.0', 'retiring');

-- it is in the history, and nothing is refused for their sake any more
SELECT action, from_version, version, outcome
FROM schemaver.history
WHERE product = 'retiring'
ORDER BY id DESC LIMIT 1;
SELECT schemaver.apply('ALTER TABLE person ADD CHECK (family_name <> '''')',
	product => 'retiring');

-- who may
CREATE ROLE retire_nobody;
SET ROLE retire_nobody;
SELECT schemaver.retire('1.2.0', 'retiring');
RESET ROLE;
DROP ROLE retire_nobody;

--
-- archive: what would be lost is kept
--
SET client_min_messages = warning;
CREATE ROLE retire_owner;
CREATE ROLE retire_reader;
RESET client_min_messages;
CREATE SCHEMA retire_archive AUTHORIZATION retire_owner;
SET search_path = retire_archive, public;
SELECT schemaver.create_product('keeping', ARRAY['retire_archive']);
SET ROLE retire_owner;
ALTER DEFAULT PRIVILEGES GRANT SELECT ON TABLES TO retire_reader;
CREATE TYPE mood AS ENUM ('good', 'bad');
CREATE TABLE person (id int PRIMARY KEY, last_name varchar(20) COLLATE "C",
	feels mood, unused text, secret text);
GRANT SELECT ON person TO PUBLIC;
ALTER TABLE person ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY;
CREATE POLICY nobody ON person USING (false) WITH CHECK (true);
CREATE TABLE keyless (a int, extra json);
CREATE TABLE unikey (a int UNIQUE, b int NOT NULL UNIQUE, c int);
CREATE TABLE parent (id int PRIMARY KEY, note text);
CREATE TABLE child () INHERITS (parent);
CREATE FUNCTION stamp() RETURNS trigger LANGUAGE plpgsql AS
	'BEGIN RETURN NEW; END';
CREATE TABLE pet (id serial PRIMARY KEY,
	person int REFERENCES person ON DELETE CASCADE ON UPDATE CASCADE,
	feels mood, older mood[], wild text);
GRANT SELECT, UPDATE (wild) ON pet TO retire_reader;
CREATE TRIGGER stamped BEFORE INSERT ON pet
	FOR EACH ROW EXECUTE FUNCTION stamp();
CREATE TABLE measured (at int PRIMARY KEY, value text) PARTITION BY RANGE (at);
CREATE TABLE measured_1 PARTITION OF measured FOR VALUES FROM (0) TO (10);
INSERT INTO person VALUES (1, 'Lovelace', 'good', NULL, 'a'),
	(2, NULL, 'bad', NULL, NULL), (3, 'Babbage', NULL, NULL, NULL);
INSERT INTO keyless VALUES (1, '{}'), (1, '{"a": 1}'), (2, NULL);
INSERT INTO unikey VALUES (1, 10, 100), (2, 20, NULL);
INSERT INTO parent VALUES (1, 'of the parent');
INSERT INTO child VALUES (1, 'of the child');
INSERT INTO pet (person, feels, older, wild)
	VALUES (1, 'good', '{good,bad}', 'not very');
INSERT INTO measured VALUES (1, 'one');
RESET ROLE;
SELECT schemaver.baseline('1.0.0', 'keeping');
SELECT schemaver.register('1.0.0', 'keeping');
SELECT schemaver.apply('ALTER TABLE person DROP last_name, DROP feels, DROP unused;
	ALTER TABLE keyless DROP extra; ALTER TABLE unikey DROP c;
	ALTER TABLE parent DROP note; ALTER TABLE pet DROP wild', '1.1.0', 'keeping');
SELECT schemaver.register('1.1.0', 'keeping');
SELECT schemaver.apply('DROP TABLE pet, measured; DROP TYPE mood;
	DROP FUNCTION stamp()', '1.2.0', 'keeping');
SELECT schemaver.register('1.2.0', 'keeping');
SELECT schemaver.unregister();

-- names that are taken, and a transaction with an older snapshot
CREATE TABLE schemaver_archive.person_last_name_1_0_0 (mine int);
CREATE TYPE schemaver_archive.mood AS ENUM ('mine');
BEGIN ISOLATION LEVEL REPEATABLE READ;
SELECT count(*) FROM keyless;
SELECT schemaver.retire('1.1.0', 'keeping', archive => true);
COMMIT;
SELECT outcome FROM schemaver.history
WHERE product = 'keeping' ORDER BY id DESC LIMIT 1;
SELECT c.oid::regclass, c.relkind, r.rolname AS owner,
	(SELECT string_agg(DISTINCT grantee::regrole::text, ',') FROM aclexplode(c.relacl)),
	obj_description(c.oid, 'pg_class')
FROM pg_class AS c JOIN pg_roles AS r ON r.oid = c.relowner
WHERE c.relnamespace = 'schemaver_archive'::regnamespace
	AND c.relkind IN ('r', 'p', 'S')
	AND c.relname <> 'person_last_name_1_0_0'
ORDER BY c.relname;
\d schemaver_archive.person_last_name_1_0_0_1
\d schemaver_archive.unikey_c_1_0_0
\d schemaver_archive.pet_1_1_0
SET ROLE retire_owner;
TABLE schemaver_archive.person_last_name_1_0_0_1;
TABLE schemaver_archive.person_feels_1_0_0;
TABLE schemaver_archive.keyless_extra_1_0_0;
TABLE schemaver_archive.unikey_c_1_0_0;
TABLE schemaver_archive.parent_note_1_0_0;
INSERT INTO schemaver_archive.pet_1_1_0 (person) VALUES (44);
TABLE schemaver_archive.pet_1_1_0;
TABLE schemaver_archive.measured_1_1_0;

-- nobody gains a right, and the archive holds nobody back
SET ROLE retire_reader;
TABLE schemaver_archive.pet_1_1_0;
TABLE schemaver_archive.person_feels_1_0_0;
RESET ROLE;
DELETE FROM person WHERE id = 1;
SET ROLE retire_owner;
TABLE schemaver_archive.pet_1_1_0;

-- it is the owner's, who may drop it; nobody may make anything there
DROP TABLE schemaver_archive.pet_1_1_0;
CREATE TABLE schemaver_archive.mine (a int);
RESET ROLE;

-- without archive nothing is left
SELECT schemaver.register('1.2.0', 'keeping');
SELECT schemaver.apply('ALTER TABLE person DROP secret', '1.3.0', 'keeping');
SELECT schemaver.unregister();
SELECT schemaver.retire('1.2.0', 'keeping', NULL);
SELECT outcome FROM schemaver.history
WHERE product = 'keeping' ORDER BY id DESC LIMIT 1;
SELECT to_regclass('schemaver_archive.person_secret_1_2_0');

-- names of 63 bytes
SELECT schemaver.register('1.3.0', 'keeping');
CREATE TABLE table_ttttttttttttttttttttttttttttttttttttttttttttttttttttttttt (
	column_ccccccccccccccccccccccccccccccccccccccccccccccccccccccc1 int,
	column_ccccccccccccccccccccccccccccccccccccccccccccccccccccccc2 int);
INSERT INTO table_ttttttttttttttttttttttttttttttttttttttttttttttttttttttttt
	VALUES (1, 2);
SELECT schemaver.apply('SELECT 1', '1.4.0', 'keeping');
SELECT schemaver.register('1.4.0', 'keeping');
SELECT schemaver.apply('ALTER TABLE table_ttttttttttttttttttttttttttttttttttttttttttttttttttttttttt
	DROP column_ccccccccccccccccccccccccccccccccccccccccccccccccccccccc1,
	DROP column_ccccccccccccccccccccccccccccccccccccccccccccccccccccccc2',
	'2.0.0', 'keeping');
SELECT schemaver.unregister();
SELECT schemaver.retire('1.4.0', 'keeping', archive => true);
SELECT outcome FROM schemaver.history
WHERE product = 'keeping' ORDER BY id DESC LIMIT 1;

-- the schema is the extension's
SELECT schemaver.create_product('no', ARRAY['schemaver_archive']);
DROP SCHEMA schemaver_archive;
