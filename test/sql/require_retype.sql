--
-- SET NOT NULL of a column that an earlier version has given another type: what
-- both versions before write is filled in where it is NULL, and stays otherwise
--
SELECT current_database() AS home \gset
CREATE DATABASE sv_require_retype;
ALTER DATABASE sv_require_retype SET schemaver.job_workers = 0;
\c sv_require_retype
SET client_min_messages = warning;
CREATE EXTENSION schemaver;
\set VERBOSITY terse

CREATE SCHEMA look;
CREATE PROCEDURE look.write(version text, tab text, first int) LANGUAGE plpgsql AS $$
BEGIN
	PERFORM schemaver.register(version::schemaver.version, 'shop');
	EXECUTE format('INSERT INTO %I (id, amount) VALUES (%s, NULL)', tab, first);
	EXECUTE format('INSERT INTO %I (id) VALUES (%s)', tab, first + 1);
	EXECUTE format('INSERT INTO %I (id, amount) VALUES (%s, 5), (%s, 50)', tab, first + 2, first + 3);
	EXECUTE format('UPDATE %I SET amount = NULL WHERE id = %s', tab, first + 2);
	PERFORM schemaver.unregister();
	PERFORM set_config('search_path', 'public', false);
END $$;
CREATE PROCEDURE look.through(versions text[], tab text) LANGUAGE plpgsql AS $$
DECLARE
	seen text;
	each text;
BEGIN
	FOREACH each IN ARRAY versions
	LOOP
		PERFORM schemaver.register(each::schemaver.version, 'shop');
		EXECUTE format('SELECT string_agg(id || '':'' || coalesce(amount::text, ''-''), '' ''
			ORDER BY id) FROM %I', tab) INTO seen;
		RAISE INFO '% %: %', each, tab, seen;
		PERFORM schemaver.unregister();
		PERFORM set_config('search_path', 'public', false);
	END LOOP;
END $$;
CREATE TABLE a (id int PRIMARY KEY, amount int, other int);
INSERT INTO a VALUES (1, 1), (2, NULL);
CREATE TABLE b (LIKE a INCLUDING ALL);
CREATE TABLE c (LIKE a INCLUDING ALL);
CREATE TABLE d (LIKE a INCLUDING ALL);
INSERT INTO b TABLE a;
INSERT INTO c TABLE a;
INSERT INTO d TABLE a;
SELECT schemaver.create_product('shop');
SELECT schemaver.baseline('1.0.0');
SELECT schemaver.register('1.0.0');
SELECT schemaver.unregister();
SET search_path = public;
SELECT schemaver.apply('ALTER TABLE a ALTER amount TYPE bigint;
	ALTER TABLE b ALTER amount TYPE bigint;
	ALTER TABLE c ALTER amount TYPE bigint;
	ALTER TABLE d ALTER amount TYPE bigint', '1.1.0');
SELECT schemaver.register('1.1.0');
SELECT schemaver.unregister();
SET search_path = public;

-- the script's own UPDATE says the value, or a directive does
SELECT schemaver.apply('UPDATE a SET amount = 0 WHERE amount IS NULL;
	ALTER TABLE a ALTER amount SET NOT NULL;
	-- schemaver: up b.amount = coalesce(other, 9)
	ALTER TABLE b ALTER amount SET NOT NULL', '1.2.0');
CALL look.write('1.0.0', 'a', 10);
CALL look.write('1.1.0', 'a', 20);
CALL look.through('{1.0.0,1.1.0,1.2.0}', 'a');
CALL look.write('1.0.0', 'b', 10);
CALL look.write('1.1.0', 'b', 20);
CALL look.through('{1.0.0,1.1.0,1.2.0}', 'b');

-- nobody does: refused
SELECT schemaver.apply('ALTER TABLE c ALTER amount SET DEFAULT NULL;
	DELETE FROM c WHERE amount IS NULL;
	ALTER TABLE c ALTER amount SET NOT NULL', '1.3.0');

-- by jobs
SET schemaver.inline_pages = 0;
SELECT schemaver.apply('UPDATE c SET amount = 0 WHERE amount IS NULL;
	ALTER TABLE c ALTER amount SET NOT NULL;
	-- schemaver: up d.amount = coalesce(other, 9)
	ALTER TABLE d ALTER amount SET NOT NULL', '1.3.0');
CALL schemaver.run_jobs();
CALL look.write('1.0.0', 'c', 10);
CALL look.write('1.1.0', 'c', 20);
CALL look.through('{1.0.0,1.1.0,1.3.0}', 'c');
CALL look.write('1.0.0', 'd', 10);
CALL look.write('1.1.0', 'd', 20);
CALL look.through('{1.0.0,1.1.0,1.3.0}', 'd');
SELECT schemaver.retire('1.2.0');
CALL schemaver.run_jobs();
SELECT attrelid::regclass, attname, attnotnull FROM pg_attribute
WHERE attrelid IN ('a'::regclass, 'b'::regclass, 'c'::regclass, 'd'::regclass)
	AND attnum > 1 AND NOT attisdropped AND attname <> 'other'
ORDER BY 1, 2;
SELECT object, finding FROM schemaver.verify(deep => true);

\c :home
DROP DATABASE sv_require_retype;
