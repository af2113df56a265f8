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
