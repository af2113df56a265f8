--
-- schemaver.rollback(), and forward again
--
SELECT current_database() AS home \gset
CREATE DATABASE sv_rollback;
\c sv_rollback
CREATE EXTENSION schemaver;
CREATE SCHEMA extra;
CREATE TABLE person (id int PRIMARY KEY, first text, last text DEFAULT 'l',
	age int CONSTRAINT grown CHECK (age > 0), nick text UNIQUE);
CREATE TABLE pet (id serial PRIMARY KEY, owner int REFERENCES person,
	name text NOT NULL);
CREATE TABLE cat (id int PRIMARY KEY, a text);
CREATE TABLE dog (id int PRIMARY KEY, a text);
CREATE TABLE song (id int PRIMARY KEY, a text);
INSERT INTO song VALUES (1, 'la');
CREATE TABLE kin (id int PRIMARY KEY, a text);
CREATE TABLE kid (b text) INHERITS (kin);
CREATE TABLE part (k int, a text, PRIMARY KEY (k)) PARTITION BY LIST (k);
CREATE TABLE part_1 PARTITION OF part FOR VALUES IN (1);
CREATE VIEW names AS SELECT id, first FROM person;
CREATE MATERIALIZED VIEW ages AS SELECT id, age FROM person;
CREATE SEQUENCE numbers;
CREATE TYPE mood AS ENUM ('sad', 'glad');
CREATE FUNCTION twice(int) RETURNS int LANGUAGE sql AS 'SELECT $1 * 2';
CREATE FUNCTION upper_a() RETURNS trigger LANGUAGE plpgsql AS
	'BEGIN NEW.a = upper(NEW.a); RETURN NEW; END';
CREATE TRIGGER t BEFORE INSERT ON cat FOR EACH ROW EXECUTE FUNCTION upper_a();
INSERT INTO person VALUES (1, 'Ada', 'Lovelace', 36, 'al');
INSERT INTO pet (owner, name) VALUES (1, 'Rex');
INSERT INTO cat VALUES (1, 'c');
INSERT INTO dog VALUES (1, 'd');
INSERT INTO part VALUES (1, 'x');
REFRESH MATERIALIZED VIEW ages;

-- all that there is in the base schemas, but what is hidden there
CREATE SCHEMA look;
CREATE VIEW look.shape AS
	SELECT c.relname, c.relkind, n.nspname,
		(SELECT string_agg(attname || ' ' || atttypid::regtype
				|| CASE WHEN attnotnull THEN '!' ELSE '' END
				|| coalesce(' = ' || pg_get_expr(adbin, adrelid), ''), ', '
				ORDER BY attnum)
		 FROM pg_attribute LEFT JOIN pg_attrdef
			ON adrelid = attrelid AND adnum = attnum
		 WHERE attrelid = c.oid AND attnum > 0 AND NOT attisdropped
			AND attname NOT LIKE 'schemaver%') AS parts
	FROM pg_class AS c JOIN pg_namespace AS n ON n.oid = c.relnamespace
	WHERE n.nspname IN ('public', 'extra') AND c.relname NOT LIKE 'schemaver%'
	UNION ALL
	SELECT conname, contype, conrelid::regclass::text,
		pg_get_constraintdef(oid)
	FROM pg_constraint
	WHERE connamespace IN ('public'::regnamespace, 'extra'::regnamespace)
		AND conname NOT LIKE 'schemaver%'
	UNION ALL
	SELECT tgname, 't', tgrelid::regclass::text, tgenabled::text
	FROM pg_trigger
	WHERE NOT tgisinternal AND tgname NOT LIKE 'schemaver%'
	UNION ALL
	SELECT proname, 'F', pg_get_function_identity_arguments(oid), prosrc
	FROM pg_proc WHERE pronamespace = 'public'::regnamespace
	UNION ALL
	SELECT typname, 'T', '', '' FROM pg_type
	WHERE typnamespace = 'public'::regnamespace AND typtype = 'e';
CREATE TABLE look.was (version text, shape text);

-- what differs from the shape that the base had at a version
CREATE FUNCTION look.differs(v text) RETURNS SETOF text LANGUAGE sql
SET search_path = pg_catalog AS $$
	(SELECT '- ' || shape FROM look.was WHERE version = v
	 EXCEPT SELECT '- ' || s::text FROM look.shape AS s)
	UNION ALL
	(SELECT '+ ' || s::text FROM look.shape AS s
	 EXCEPT SELECT '+ ' || shape FROM look.was WHERE version = v)
	ORDER BY 1;
$$;
CREATE FUNCTION look.note(v text) RETURNS void LANGUAGE sql
SET search_path = pg_catalog AS
	'INSERT INTO look.was SELECT v, s::text FROM look.shape AS s';

SELECT schemaver.create_product('shop', ARRAY['public', 'extra']);
SELECT schemaver.baseline('1.0.0');
SELECT look.note('1.0.0');
SELECT schemaver.register('1.0.0');

\set two 'DROP VIEW names; DROP MATERIALIZED VIEW ages; ALTER TABLE person DROP last, DROP age, DROP CONSTRAINT person_nick_key; ALTER TABLE person RENAME first TO last; ALTER TABLE person ADD first int DEFAULT 7; DROP TABLE pet; ALTER TABLE cat RENAME TO swap; ALTER TABLE dog RENAME TO cat; ALTER TABLE swap RENAME TO dog; ALTER TABLE kin DROP a; DROP TABLE part; CREATE VIEW names AS SELECT id, first FROM person; DROP SEQUENCE numbers; DROP FUNCTION twice(int); DROP TRIGGER t ON dog; CREATE TABLE note (id int GENERATED ALWAYS AS IDENTITY PRIMARY KEY, person int REFERENCES person, t text)'
SELECT schemaver.apply(:'two', '2.0.0');
SELECT look.note('2.0.0');
SELECT schemaver.register('2.0.0');
INSERT INTO person (id, last) VALUES (2, 'Grace');
INSERT INTO note (person, t) VALUES (2, 'new');

-- there, back, and there again; whatever is written stays
SELECT schemaver.rollback('1.0.0', 'shop', 'too early');
SELECT look.differs('1.0.0');
SELECT * FROM person ORDER BY id;
SELECT * FROM names ORDER BY id;
SELECT id, person, t FROM note;
INSERT INTO note (person, t) VALUES (1, 'later') RETURNING id;
INSERT INTO person (id, last, nick) VALUES (3, 'Mary', 'al2') RETURNING *;
SELECT schemaver.register('1.0.0');
SELECT * FROM person ORDER BY id;
SELECT owner, name FROM pet;
SELECT * FROM part;
SELECT * FROM cat;
INSERT INTO pet (owner, name) VALUES (3, 'Tom') RETURNING name;
INSERT INTO cat VALUES (2, 'low') RETURNING a;
SELECT twice(2), nextval('numbers');
SELECT schemaver.reconcile();
SELECT schemaver.apply(:'two', '2.0.0');
SELECT look.differs('2.0.0');
SELECT * FROM person ORDER BY id;
SELECT owner, name FROM pet ORDER BY id;
SELECT schemaver.register('2.0.0');
SELECT * FROM person ORDER BY id;
SELECT person, t FROM note ORDER BY id;
SELECT schemaver.reconcile();

-- the version that was rolled back can be retired; what it alone needed goes
SELECT schemaver.rollback('1.0.0');
SELECT schemaver.unregister();
DELETE FROM person WHERE age IS NULL AND id = 2;
SELECT schemaver.retire('2.0.0');
SELECT look.differs('1.0.0');
SELECT count(*) FROM pg_class WHERE relnamespace = 'schemaver_retained'::regnamespace;
SELECT schemaver.register('2.0.0');
SELECT schemaver.apply(:'two', '2.0.0');
SELECT action, from_version, version, reason, outcome FROM schemaver.history
ORDER BY id;
SELECT version, status FROM schemaver.versions ORDER BY version;

-- four versions, whose scripts change data
\set three 'ALTER TABLE song RENAME a TO b; UPDATE song SET b = b || ''3'';\n-- schemaver: rollback\nUPDATE song SET b = left(b, -1);'
\set four 'ALTER TABLE song ADD a int; ALTER TABLE song RENAME b TO c; UPDATE song SET c = c || ''4'';\n\n-- schemaver: rollback\n\nUPDATE song SET c = left(c, -1);'
\set five 'ALTER TABLE song DROP a; ALTER TABLE song RENAME c TO a'
SELECT schemaver.apply(:'three', '3.0.0');
SELECT schemaver.register('3.0.0');
SELECT schemaver.apply(:'four', '4.0.0');
SELECT schemaver.register('4.0.0');
SELECT schemaver.apply(:'five', '5.0.0');
SELECT schemaver.register('5.0.0');
SELECT * FROM song ORDER BY id;
SELECT schemaver.rollback('3.0.0');
TABLE public.song ORDER BY id;
SELECT schemaver.rollback('1.0.0');
TABLE public.song ORDER BY id;
SELECT schemaver.apply(:'four', '4.0.0');
TABLE public.song ORDER BY id;
SELECT schemaver.apply(:'five', '5.0.0');
TABLE public.song ORDER BY id;
SELECT schemaver.rollback('3.0.0');
SELECT id, a FROM song ORDER BY id;
SELECT schemaver.rollback('1.0.0');

-- a section that fails names statement and line, and nothing is done
SELECT schemaver.apply(E'ALTER TABLE dog ADD z int;\n\n-- schemaver: rollback\nUPDATE dog SET a = a;\n\nSELECT 1 / (count(*) - count(*)) FROM dog;', '1.1.0');
SELECT schemaver.rollback('1.0.0');
SELECT product, current_version FROM schemaver.products;
SELECT schemaver.apply('ALTER TABLE dog ADD y int');
SELECT schemaver.apply(:'three', '3.0.0');

-- what cannot be
SELECT schemaver.rollback(NULL);
SELECT schemaver.rollback('9.9');
SELECT schemaver.rollback('1.0.0', 'nobody');
SELECT schemaver.rollback('1.1.1');
SELECT schemaver.rollback('5.0.0');
SELECT schemaver.rollback('2.0.0');
SELECT schemaver.apply('SELECT schemaver.rollback(''1.0.0'')');
BEGIN READ ONLY;
SELECT schemaver.rollback('1.0.0');
ROLLBACK;
SELECT schemaver.register('1.1.0');
SELECT schemaver.register('1.9');
SELECT schemaver.register('5.0.0');
SELECT schemaver.register('6.0.0');
SELECT schemaver.unregister();

-- rights: none, and those on some tables only
CREATE ROLE rollback_some;
SET ROLE rollback_some;
SELECT schemaver.rollback('1.1.0');
RESET ROLE;
SELECT schemaver.apply('ALTER TABLE dog RENAME a TO aa; ALTER TABLE kin RENAME a TO aa', '7.0.0');
GRANT EXECUTE ON FUNCTION schemaver.rollback TO rollback_some;
GRANT ALL ON SCHEMA public TO rollback_some;
ALTER TABLE dog OWNER TO rollback_some;
SET ROLE rollback_some;
SELECT schemaver.rollback('1.1.1');
RESET ROLE;
SELECT current_version FROM schemaver.products;

-- changed by hand
SET schemaver.guard = off;
BEGIN;
ALTER TABLE dog DROP aa;
SELECT schemaver.rollback('1.1.1');
ROLLBACK;
BEGIN;
DROP TABLE kin CASCADE;
SELECT schemaver.rollback('1.1.1');
ROLLBACK;
BEGIN;
ALTER TABLE dog RENAME TO hound;
SELECT schemaver.rollback('1.1.1');
SELECT a FROM dog ORDER BY id;
ROLLBACK;
BEGIN;
DROP VIEW shop_1_1_1.dog;
SELECT schemaver.rollback('1.1.1');
SELECT a FROM dog ORDER BY id;
SELECT aa FROM shop_7_0_0.dog ORDER BY id;
ROLLBACK;
RESET schemaver.guard;

-- a trigger that is gone does not hold back the columns that it watched, nor
-- its function; one that has come back does
CREATE FUNCTION nothing() RETURNS trigger LANGUAGE plpgsql AS
	'BEGIN RETURN NEW; END';
SELECT schemaver.apply($$
	CREATE TABLE watched (id int PRIMARY KEY, a int, b int) PARTITION BY HASH (id);
	CREATE TABLE watched_0 PARTITION OF watched FOR VALUES WITH (modulus 1, remainder 0);
	CREATE TRIGGER watch AFTER UPDATE OF a ON watched FOR EACH ROW
		WHEN (NEW.b > 0) EXECUTE FUNCTION nothing();
	CREATE TABLE plain (id int PRIMARY KEY);
$$, '8.0.0');
SELECT schemaver.register('8.0.0');
SELECT schemaver.unregister();
SELECT schemaver.apply('DROP TRIGGER watch ON watched', '8.1.0');
SELECT schemaver.apply('ALTER TABLE watched DROP a', '8.2.0');
SELECT schemaver.apply('ALTER TABLE watched DROP b; DROP FUNCTION nothing()', '8.3.0');
SELECT schemaver.rollback('8.0.0');
SET schemaver.guard = off;
ALTER TABLE watched DROP a;
ALTER TABLE watched DROP b;
DROP FUNCTION nothing();
RESET schemaver.guard;
SELECT tgrelid::regclass, tgname, tgfoid::regproc FROM pg_trigger
	WHERE tgname ~ 'watch' ORDER BY 1;
SELECT pg_describe_object(refclassid, refobjid, refobjsubid), deptype FROM pg_depend
	WHERE objid = (SELECT oid FROM pg_trigger WHERE tgname = 'watch' AND
		tgrelid = 'watched'::regclass) ORDER BY 1;

-- a key that is checked late goes with its trigger
SELECT schemaver.apply('ALTER TABLE plain ADD late int;
	ALTER TABLE plain ADD CONSTRAINT late UNIQUE (late) DEFERRABLE', '8.4.0');
SELECT schemaver.rollback('8.0.0');
SELECT attname FROM pg_attribute
WHERE attrelid = 'plain'::regclass AND attnum > 0 AND NOT attisdropped;

-- a newer version's check of a domain goes on holding, even if that comes back
CREATE DOMAIN small AS int;
CREATE TABLE sized (id int PRIMARY KEY, size small);
SELECT schemaver.apply('SELECT 1', '9.0.0');
SELECT schemaver.register('9.0.0');
SELECT schemaver.apply('ALTER DOMAIN small ADD CONSTRAINT small CHECK (VALUE < 100)', '9.1.0');
SELECT schemaver.apply('ALTER TABLE sized ALTER size TYPE int; DROP DOMAIN small', '9.2.0');
SELECT schemaver.rollback('9.0.0');
INSERT INTO sized VALUES (1, 100);
SELECT schemaver.unregister();

\c :home
DROP DATABASE sv_rollback;
DROP ROLE rollback_some;
