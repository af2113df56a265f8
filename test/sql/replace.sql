--
-- What a script replaces, renames or drops stays for the versions that had it
--
-- In a database of its own, since a product cannot be dropped.
--
SELECT current_database() AS home \gset
CREATE DATABASE sv_replace;
\c sv_replace
SET client_min_messages = warning;
CREATE EXTENSION schemaver;
CREATE SCHEMA rep;
SET search_path = rep;
SELECT schemaver.create_product('rep', ARRAY['rep']);
CREATE ROLE sv_replace_reader;
GRANT USAGE ON SCHEMA rep TO sv_replace_reader;
\pset format unaligned
\pset tuples_only on

--
-- Functions
--
CREATE TABLE item (id int PRIMARY KEY, name text, price int);
INSERT INTO item VALUES (1, 'nail', 10), (2, 'bolt', 20);
CREATE FUNCTION gross(int) RETURNS int LANGUAGE sql AS 'SELECT $1 * 2';
CREATE FUNCTION label(x int, y int DEFAULT 5) RETURNS text LANGUAGE plpgsql
	AS $$BEGIN RETURN (SELECT name || y FROM item WHERE id = x); END$$;
CREATE PROCEDURE raise_price(INOUT x int) LANGUAGE plpgsql
	AS 'BEGIN x := x + 1; END';
CREATE AGGREGATE total(int) (sfunc = int4pl, stype = int, initcond = '0');
CREATE FUNCTION stamp() RETURNS trigger LANGUAGE plpgsql
	AS 'BEGIN NEW.name := NEW.name || 1; RETURN NEW; END';
CREATE FUNCTION secret() RETURNS int LANGUAGE sql AS 'SELECT 1';
REVOKE EXECUTE ON FUNCTION secret() FROM PUBLIC;
SELECT schemaver.baseline('1.0.0');
SELECT schemaver.register('1.0.0');
PREPARE price(int) AS SELECT gross($1), label(1), total(id) FROM item;
EXECUTE price(3);
SELECT schemaver.apply('CREATE TABLE a ()', '1.0.1');
SELECT schemaver.register('1.0.1');
EXECUTE price(3);

-- another body is a revision: callers notice nothing
SELECT schemaver.apply($$
	CREATE OR REPLACE FUNCTION gross(int) RETURNS int LANGUAGE sql
		AS 'SELECT $1 * 3';
	CREATE OR REPLACE FUNCTION stamp() RETURNS trigger LANGUAGE plpgsql
		AS 'BEGIN NEW.name := NEW.name || 2; RETURN NEW; END';
$$);
EXECUTE price(3);
SELECT schemaver.register('1.0.2');
EXECUTE price(3);

-- dropped, renamed, of another kind; ALTER FUNCTION changes one, too; the old
-- bodies find the tables under the names that they know
SELECT schemaver.apply($$
	DROP FUNCTION gross;
	CREATE FUNCTION gross(int) RETURNS text LANGUAGE sql AS $f$SELECT 'text'$f$;
	ALTER FUNCTION label RENAME TO caption;
	ALTER TABLE item RENAME name TO title;
	CREATE OR REPLACE FUNCTION caption(x int, y int DEFAULT 6) RETURNS text
		LANGUAGE plpgsql
		AS $f$BEGIN RETURN (SELECT title || y FROM item WHERE id = x); END$f$;
	DROP PROCEDURE raise_price;
	DROP AGGREGATE total(int);
	ALTER FUNCTION secret() SECURITY DEFINER;
	DO 'BEGIN EXECUTE ''DROP FUNCTION stamp''; END';
$$, '1.0.3');
SELECT schemaver.apply($$
	DROP FUNCTION gross;
	CREATE FUNCTION gross(int) RETURNS text LANGUAGE sql AS $f$SELECT 'text'$f$;
	ALTER FUNCTION label RENAME TO caption;
	ALTER TABLE item RENAME name TO title;
	CREATE OR REPLACE FUNCTION caption(x int, y int DEFAULT 6) RETURNS text
		LANGUAGE plpgsql
		AS $f$BEGIN RETURN (SELECT title || y FROM item WHERE id = x); END$f$;
	DROP PROCEDURE raise_price;
	DROP AGGREGATE total(int);
	ALTER FUNCTION secret() SECURITY DEFINER;
	DO 'BEGIN EXECUTE ''DROP FUNCTION stamp''; END';
$$);
EXECUTE price(3);
CALL raise_price(1);
SELECT schemaver.register('1.0.1');
EXECUTE price(3);
SELECT schemaver.register('1.0.0');
EXECUTE price(3);
CALL raise_price(1);
SELECT schemaver.unregister();
SELECT gross(3), caption(1);

-- owner, privileges and all else go along
SELECT oid::regprocedure, prosecdef, proowner = (SELECT oid FROM pg_roles
	WHERE rolname = current_user), proacl IS NULL
FROM pg_proc WHERE proname = 'secret' ORDER BY pronamespace::regnamespace::text;
SELECT oid::regprocedure FROM pg_proc
WHERE pronamespace::regnamespace::text LIKE 'rep_1%'
ORDER BY pronamespace::regnamespace::text, 1;

-- the same once more, and back again: nothing is kept
SELECT schemaver.apply($$
	DROP FUNCTION gross;
	CREATE FUNCTION gross(int) RETURNS text LANGUAGE sql AS $f$SELECT 'text'$f$;
	CREATE OR REPLACE FUNCTION secret() RETURNS int LANGUAGE sql SECURITY DEFINER
		AS 'SELECT 2';
	CREATE OR REPLACE FUNCTION secret() RETURNS int LANGUAGE sql SECURITY DEFINER
		AS 'SELECT 1';
$$);
SELECT oid::regprocedure FROM pg_proc
WHERE pronamespace::regnamespace::text LIKE 'rep_1_1%' ORDER BY 1;

-- what a block has undone is not kept either
SELECT schemaver.apply($$
	DO $d$
	BEGIN
		CREATE OR REPLACE FUNCTION gross(int) RETURNS text LANGUAGE sql
			AS $f$SELECT 'undone'$f$;
		DROP FUNCTION secret;
		RAISE 'undone';
	EXCEPTION WHEN raise_exception THEN
		NULL;
	END $d$;
$$);
SELECT gross(3), secret();
SELECT oid::regprocedure FROM pg_proc
WHERE pronamespace::regnamespace::text LIKE 'rep_1_1%' ORDER BY 1;
SELECT schemaver.reconcile();

--
-- Views
--
SELECT schemaver.apply($$
	CREATE VIEW cheap AS SELECT id, upper(title) AS title FROM item;
	CREATE VIEW cheaper AS SELECT id, title FROM cheap WHERE id < 2;
	CREATE VIEW note WITH (security_barrier) AS
		SELECT id, title || '!' AS title FROM item;
	ALTER VIEW note ALTER title SET DEFAULT 'none';
	CREATE FUNCTION write_note() RETURNS trigger LANGUAGE plpgsql AS $f$
	BEGIN
		INSERT INTO item (id, title) VALUES (NEW.id, NEW.title);
		RETURN NEW;
	END $f$;
	CREATE TRIGGER write_note INSTEAD OF INSERT ON note
		FOR EACH ROW EXECUTE FUNCTION write_note();
	CREATE RULE forget AS ON DELETE TO note DO INSTEAD
		DELETE FROM item WHERE id = OLD.id;
	GRANT SELECT ON note TO sv_replace_reader;
	GRANT UPDATE (title) ON note TO sv_replace_reader;
	CREATE MATERIALIZED VIEW stock AS SELECT id, title FROM cheap;
	CREATE UNIQUE INDEX ON stock (id);
$$, '2.0.0');
SELECT schemaver.register('2.0.0');
PREPARE shown AS SELECT c.title, n.title FROM cheap c JOIN note n USING (id)
	ORDER BY id;
PREPARE written(int) AS INSERT INTO note (id) VALUES ($1) RETURNING title;
EXECUTE shown;
SELECT schemaver.apply('CREATE TABLE b ()', '2.0.1');
SELECT schemaver.register('2.0.1');
EXECUTE shown;
EXECUTE written(3);

-- replaced in place
SELECT schemaver.apply($$
	CREATE OR REPLACE VIEW cheap AS
		SELECT id, lower(title) AS title, price FROM item;
	CREATE OR REPLACE VIEW note AS SELECT id, title FROM item;
$$);
EXECUTE shown;
EXECUTE written(4);
DELETE FROM note WHERE id = 4;
SELECT reloptions, relacl FROM pg_class WHERE relnamespace::regnamespace::text =
	'schemaver_retained' AND relname = 'note';
SELECT schemaver.register('2.0.2');
EXECUTE shown;

-- dropped and made again: with another definition, and with the same
SELECT schemaver.apply($$
	DROP VIEW cheap CASCADE;
	CREATE VIEW cheap AS SELECT id, title FROM item;
	CREATE VIEW cheaper AS SELECT id, title FROM cheap WHERE id < 2;
	CREATE MATERIALIZED VIEW stock AS SELECT id, title FROM cheap;
	CREATE UNIQUE INDEX ON stock (id);
$$);
EXECUTE shown;
SELECT schemaver.register('2.0.1');
EXECUTE shown;
SELECT schemaver.register('2.0.0');
EXECUTE shown;
TABLE cheaper;
SELECT schemaver.unregister();
SELECT oid::regclass FROM pg_class
WHERE relnamespace::regnamespace::text = 'schemaver_retained' AND
	relkind IN ('v', 'm') ORDER BY relname;

-- all of a tree of views as it was, but for the table under it: nothing is
-- kept twice, and the table's change alone counts
SELECT schemaver.apply($$
	DROP VIEW cheap CASCADE;
	ALTER TABLE item DROP COLUMN price;
	ALTER TABLE item DROP CONSTRAINT item_pkey;
	ALTER TABLE item ADD PRIMARY KEY (id);
	CREATE VIEW cheap AS SELECT id, title FROM item;
	CREATE VIEW cheaper AS SELECT id, title FROM cheap WHERE id < 2;
	CREATE MATERIALIZED VIEW stock AS SELECT id, title FROM cheap;
	CREATE UNIQUE INDEX ON stock (id);
$$);
SELECT oid::regclass FROM pg_class
WHERE relnamespace::regnamespace::text = 'schemaver_retained' AND
	relkind IN ('v', 'm') ORDER BY relname;
SELECT relname FROM pg_class
WHERE relnamespace::regnamespace::text = 'rep_2_1_0' ORDER BY 1;
SELECT conname, contype FROM pg_constraint WHERE conrelid = 'item'::regclass;
SELECT schemaver.reconcile();

--
-- Types
--
SELECT schemaver.apply($$
	CREATE TYPE mood AS ENUM ('sad', 'ok', 'happy');
	CREATE TYPE address AS (street text, zip int);
	CREATE DOMAIN positive AS int CHECK (VALUE > 0);
	CREATE TABLE person (id int PRIMARY KEY, m mood, ms mood[], a address,
		p positive);
	CREATE INDEX ON person (m);
	CREATE FUNCTION cheer(mood) RETURNS mood LANGUAGE sql AS 'SELECT $1';
	INSERT INTO person VALUES (1, 'sad', '{sad,ok}', ('s', 1), 4);
$$, '3.0.0');
SELECT schemaver.register('3.0.0');
PREPARE felt(mood) AS SELECT id FROM person WHERE m = $1 AND m >= 'sad'::mood
	AND m IN ('sad'::mood, 'ok') AND m = ANY ('{sad}'::mood[])
	AND ms = '{sad,ok}'::mood[] AND ms && '{ok}' AND '{ok}'::mood[] <@ ms;
PREPARE feel AS INSERT INTO person VALUES (1, 'ok'::mood, '{}'::mood[],
	row('x', 2)::address, 3::positive)
	ON CONFLICT (id) DO UPDATE SET p = 5::positive RETURNING m, ms, a, p;
PREPARE range AS SELECT enum_range(NULL::mood), enum_range('ok'::mood, NULL),
	enum_first(NULL::mood), enum_last(NULL::mood), cheer('ok'::mood),
	'sad'::mood < 'ok'::mood, 'ok'::mood::text,
	(row('x', 2)::address).zip;
EXECUTE felt('sad');
EXECUTE feel;
EXECUTE range;
SELECT schemaver.apply('CREATE TABLE c ()', '3.0.1');
SELECT schemaver.register('3.0.1');

-- renamed
SELECT schemaver.apply($$
	ALTER TYPE mood RENAME TO feeling;
	ALTER TYPE address RENAME TO place;
	ALTER DOMAIN positive RENAME TO counted;
$$);
EXECUTE felt('sad');
EXECUTE feel;
EXECUTE range;
DISCARD PLANS;
EXECUTE felt('sad');
EXECUTE feel;
EXECUTE range;
SELECT 'ok'::mood, '{1}'::positive[], '(x,2)'::address;
SELECT 0::positive;
SET enable_seqscan = off;
EXPLAIN (COSTS off) SELECT id FROM person WHERE m = 'sad'::mood;
RESET enable_seqscan;

-- a label cannot be renamed beside a function that takes the type
SELECT schemaver.apply($$ALTER TYPE feeling RENAME VALUE 'sad' TO 'blue'$$);

-- dropped, and an enum built anew under the name that it had
SELECT schemaver.register('3.1.0');
SELECT schemaver.apply($$
	CREATE TYPE new_feeling AS ENUM ('good', 'bad');
	ALTER TABLE person DROP COLUMN m, DROP COLUMN ms, DROP COLUMN p;
	ALTER TYPE feeling RENAME TO old_feeling;
	ALTER TYPE new_feeling RENAME TO feeling;
	DROP FUNCTION cheer;
	DROP TYPE old_feeling;
	DROP DOMAIN counted;
	ALTER TABLE person ADD COLUMN m feeling DEFAULT 'good';
$$);
SELECT m FROM person WHERE m = 'sad'::feeling AND p > 0::int::counted;
SELECT m FROM person WHERE m = 'sad'::feeling AND p > 1::counted;
SELECT schemaver.register('3.0.1');
EXECUTE felt('sad');
EXECUTE feel;
EXECUTE range;
SELECT schemaver.register('3.0.0');
EXECUTE felt('sad');
EXECUTE feel;
EXECUTE range;
SELECT schemaver.unregister();
SELECT m FROM person WHERE m = 'good'::feeling;
SELECT schemaver.reconcile();

--
-- Sequences
--
SELECT schemaver.apply($$
	CREATE SEQUENCE up;
	CREATE SEQUENCE down INCREMENT BY -2;
	CREATE SEQUENCE around MAXVALUE 3 CYCLE;
	CREATE TABLE ticket (id serial PRIMARY KEY, n int DEFAULT nextval('up'));
	INSERT INTO ticket DEFAULT VALUES;
$$, '4.0.0');
SELECT schemaver.register('4.0.0');
PREPARE next AS SELECT nextval('up'), nextval('down');
EXECUTE next;
SELECT schemaver.apply('CREATE TABLE d ()', '4.0.1');
SELECT schemaver.register('4.0.1');
SELECT schemaver.apply('CREATE TABLE e ()', '4.0.2');
SELECT schemaver.register('4.0.2');
SELECT schemaver.apply('DROP SEQUENCE around');
SELECT schemaver.apply('DROP TABLE ticket; DROP SEQUENCE up, down');
EXECUTE next;
EXECUTE next;
INSERT INTO ticket DEFAULT VALUES RETURNING *;
SELECT schemaver.register('4.0.1');
EXECUTE next;
INSERT INTO ticket DEFAULT VALUES RETURNING *;
EXECUTE next;
SELECT schemaver.register('4.0.0');
EXECUTE next;
EXECUTE next;
INSERT INTO ticket DEFAULT VALUES RETURNING *;
SELECT schemaver.unregister();

--
-- A version that nobody uses goes alone: what stands in its schema for others
-- moves to the newest of them
--
SELECT schemaver.apply($$
	CREATE FUNCTION double(int) RETURNS int LANGUAGE sql AS 'SELECT $1 * 2';
	CREATE TYPE size AS ENUM ('s', 'm', 'l');
	CREATE SEQUENCE tick;
$$, '5.0.0');
SELECT schemaver.register('5.0.0');
SELECT schemaver.unregister();
SELECT schemaver.apply('CREATE TABLE f ()', '5.0.1');
SELECT schemaver.apply($$
	DROP FUNCTION double; DROP TYPE size; DROP SEQUENCE tick;
$$, '5.1.0');
SELECT schemaver.apply('CREATE TABLE g ()', '5.2.0');
SELECT version FROM schemaver.versions WHERE status = 'retired';
SELECT schemaver.register('5.0.0');
SELECT double(2), enum_range(NULL::size), nextval('tick');
SELECT schemaver.unregister();

--
-- After retirement nothing of it is left
--
SELECT schemaver.retire('3.0.0');
SELECT oid::regtype FROM pg_type
WHERE typnamespace::regnamespace::text LIKE 'rep_3%' AND typtype <> 'c' AND
	typelem = 0 ORDER BY oid::regtype::text;
SELECT schemaver.retire('5.1.0');
SELECT oid::regclass FROM pg_class
WHERE relnamespace::regnamespace::text ~ '^(rep_|schemaver_retained)';
SELECT oid::regproc FROM pg_proc
WHERE pronamespace::regnamespace::text LIKE 'rep\_%';
SELECT oid::regtype FROM pg_type
WHERE typnamespace::regnamespace::text LIKE 'rep\_%';
SELECT oid::regoper FROM pg_operator
WHERE oprnamespace::regnamespace::text LIKE 'rep\_%';
SELECT schemaver.reconcile();

--
-- Taken back and done again: what depends on something replaced stays
--
SELECT schemaver.apply($$
	CREATE TYPE kind AS ENUM ('small', 'large');
	CREATE FUNCTION net(int) RETURNS int LANGUAGE sql AS 'SELECT $1 * 2';
	CREATE FUNCTION gone(kind) RETURNS kind LANGUAGE sql AS 'SELECT $1';
	CREATE FUNCTION old_name(kind) RETURNS kind LANGUAGE sql AS 'SELECT $1';
	CREATE TABLE part (id int PRIMARY KEY DEFAULT net(21), k kind, name text);
	CREATE VIEW loud AS SELECT id, upper(name) AS name, net(id) AS n FROM part;
	CREATE VIEW louder AS SELECT * FROM loud;
	CREATE VIEW ids AS SELECT id FROM part;
	CREATE SEQUENCE count;
	INSERT INTO part VALUES (1, 'small', 'a');
$$, '6.0.0');
SELECT schemaver.register('6.0.0');
PREPARE old AS SELECT net(id), gone('large'), old_name(k), k = 'small'::kind,
	louder.*, ids.* FROM louder JOIN ids USING (id) JOIN part USING (id);
EXECUTE old;
SELECT schemaver.unregister();
\set script 'CREATE OR REPLACE FUNCTION net(int) RETURNS int LANGUAGE sql AS $f$SELECT $1 * 3$f$; DROP FUNCTION gone; ALTER FUNCTION old_name RENAME TO new_name; ALTER TYPE kind RENAME TO size; DROP SEQUENCE count; CREATE OR REPLACE VIEW loud AS SELECT id, lower(name) AS name, net(id) AS n FROM part; CREATE OR REPLACE VIEW ids AS SELECT id, name FROM part'
SELECT schemaver.apply(:'script', '6.1.0');
SELECT schemaver.register('6.1.0');
PREPARE new AS SELECT net(id), new_name(k), k = 'small'::size, louder.*, ids.*
	FROM louder JOIN ids USING (id) JOIN part USING (id);
EXECUTE new;
SELECT schemaver.rollback('6.0.0');
EXECUTE new;
SELECT schemaver.register('6.0.0');
EXECUTE old;
SELECT nextval('count');
SELECT schemaver.unregister();
EXECUTE old;
\d part
SELECT schemaver.reconcile();
SELECT schemaver.apply(:'script', '6.1.0');
SELECT schemaver.register('6.1.0');
EXECUTE new;
SELECT schemaver.register('6.0.0');
EXECUTE old;
SELECT nextval('count');
SELECT schemaver.unregister();
EXECUTE new;
SELECT schemaver.reconcile();
SELECT schemaver.retire('6.0.0');
SELECT oid::regproc FROM pg_proc
WHERE pronamespace::regnamespace::text LIKE 'rep\_%';
SELECT oid::regclass FROM pg_class
WHERE relnamespace::regnamespace::text ~ '^(rep_|schemaver_retained)';

--
-- A range goes, and comes back, with all that was made with it
--
CREATE TYPE span AS RANGE (subtype = int);
SELECT schemaver.apply('CREATE TABLE h (s span)', '7.0.0');
SELECT schemaver.register('7.0.0');
SELECT schemaver.apply('DROP TABLE h; DROP TYPE span;
	CREATE TYPE span AS RANGE (subtype = date); CREATE TABLE h (s span)', '8.0.0');
INSERT INTO h VALUES (span(1, 3)) RETURNING *;
SELECT span_multirange(s) FROM h;
SELECT schemaver.register('8.0.0');
INSERT INTO h VALUES (span('2020-01-01', '2020-01-03')) RETURNING *;
SELECT schemaver.verify();
SELECT schemaver.rollback('7.0.0');
INSERT INTO h VALUES (span('2020-01-01'::date, '2020-01-04')) RETURNING *;
SELECT schemaver.unregister();
INSERT INTO h VALUES (span(1, 4)) RETURNING *;
SELECT schemaver.verify();
SELECT schemaver.apply('DROP TABLE h; DROP TYPE span;
	CREATE TYPE span AS RANGE (subtype = date); CREATE TABLE h (s span)', '8.0.0');
SELECT schemaver.retire('7.0.0', archive => true);
SELECT * FROM schemaver_archive.h_7_0_0;
SELECT oid::regprocedure FROM pg_proc WHERE proname ~ '^span'
ORDER BY oid::regprocedure::text;
SELECT schemaver.verify();

\c :home
DROP DATABASE sv_replace;
DROP ROLE sv_replace_reader;
