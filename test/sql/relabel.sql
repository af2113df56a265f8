--
-- Labels of enums that a script renames: older versions read and write the
-- old ones
--
-- In a database of its own, since a product cannot be dropped.
--
SELECT current_database() AS home \gset
CREATE DATABASE sv_relabel;
\c sv_relabel
SET client_min_messages = warning;
CREATE EXTENSION schemaver;
CREATE SCHEMA enu;
SET search_path = enu;
SELECT schemaver.create_product('enu', ARRAY['enu']);
CREATE ROLE sv_relabel_app;
GRANT USAGE ON SCHEMA enu TO sv_relabel_app;
\pset format unaligned
\pset tuples_only on

CREATE TYPE mood AS ENUM ('sad', 'fair', 'happy');
COMMENT ON TYPE mood IS 'how somebody feels';
CREATE TABLE person (id int PRIMARY KEY, name text,
	m mood NOT NULL DEFAULT 'sad', ms mood[] DEFAULT '{sad,happy}',
	UNIQUE (name, m), CHECK (m <> 'happy' OR name <> 'bad'));
CREATE INDEX ON person (m) WHERE m = 'sad';
CREATE UNIQUE INDEX person_one ON person (name) WHERE m = 'sad';
CREATE TABLE log (m mood, at int) PARTITION BY RANGE (at);
CREATE TABLE log_1 PARTITION OF log FOR VALUES FROM (0) TO (10);
CREATE FUNCTION sad() RETURNS bigint LANGUAGE sql
	AS $$SELECT count(*) FROM person WHERE m = 'sad'$$;
INSERT INTO person VALUES (1, 'Ann', 'sad', '{}'), (2, 'Bob', 'happy', '{{sad},{NULL}}');
INSERT INTO log VALUES ('sad', 1), ('happy', 2), (NULL, 3);
GRANT SELECT, INSERT, UPDATE ON person TO sv_relabel_app;
SELECT schemaver.baseline('0.8.0');

-- nobody has used it: it gives way
SELECT schemaver.apply('ALTER TYPE mood RENAME VALUE ''fair'' TO ''so''', '0.9.0');
SELECT schemaver.apply('ALTER TYPE mood RENAME VALUE ''so'' TO ''fair''', '1.0.0');
SELECT schemaver.register('1.0.0');
PREPARE r AS SELECT id, m, ms FROM person WHERE m IN ('sad', 'happy') ORDER BY id;
PREPARE w(int, text, mood) AS INSERT INTO person (id, name, m) VALUES ($1, $2, $3)
	ON CONFLICT (name, m) DO UPDATE SET id = excluded.id RETURNING *;
PREPARE l(mood) AS SELECT at FROM log WHERE m = $1 ORDER BY 1;
EXECUTE r;
EXECUTE w(3, 'Cid', 'sad');

-- what fails plainly fails so
SELECT schemaver.apply('ALTER TYPE mood RENAME VALUE ''x'' TO ''y''');
SELECT schemaver.apply('ALTER TYPE mood RENAME VALUE ''sad'' TO ''happy''');
SELECT schemaver.apply('ALTER TYPE nothing RENAME VALUE ''sad'' TO ''happy''');

\set script 'ALTER TYPE mood RENAME VALUE ''sad'' TO ''blue''; CREATE OR REPLACE FUNCTION sad() RETURNS bigint LANGUAGE sql AS $f$SELECT count(*) FROM person WHERE m = ''blue''$f$'
SET schemaver.plan_lock_limit = 0;
SELECT effect, jobs, inferred FROM schemaver.plan(:'script');
SELECT schemaver.apply(:'script');
-- the older version
EXECUTE r;
EXECUTE w(4, 'Cid', 'sad');
EXECUTE w(5, 'Cid', 'blue');
EXECUTE l('sad');
INSERT INTO person (id, name) VALUES (6, 'Eve') RETURNING *;
UPDATE person SET m = 'happy', ms = ms || '{sad}' WHERE id = 6 RETURNING *;
INSERT INTO person VALUES (7, 'bad', 'happy');
INSERT INTO person VALUES (7, 'Ann', 'sad') ON CONFLICT (name) WHERE m = 'sad' DO NOTHING;
INSERT INTO person VALUES (7, 'Ann', 'sad') ON CONFLICT ON CONSTRAINT person_name_m_key DO NOTHING;
SELECT sad(), enum_range(NULL::mood), 'sad'::mood < 'fair', '{sad}'::mood[];
INSERT INTO log VALUES ('sad', 4);
SELECT * FROM log ORDER BY at;
-- the newest one
SELECT schemaver.register('1.1.0');
SELECT id, m, ms FROM person ORDER BY id;
INSERT INTO person (id, name) VALUES (8, 'Fay') RETURNING *;
UPDATE person SET m = 'blue' WHERE id = 2;
SELECT sad(), enum_range(NULL::mood);
SELECT 'sad'::mood;
SELECT * FROM log ORDER BY at;
SET ROLE sv_relabel_app;
SELECT schemaver.register('1.0.0');
EXECUTE r;
INSERT INTO person (id, name) VALUES (9, 'Gil') RETURNING *;
RESET ROLE;
SELECT schemaver.verify();
SELECT schemaver.reconcile();
SELECT kind, object, physical, needed_by FROM schemaver.retained ORDER BY 1, 2;

-- once more: two labels, one of them back to what it was once, and more names
SELECT schemaver.register('1.1.0');
PREPARE r1 AS SELECT id, m, ms FROM person WHERE m IN ('blue', 'happy') ORDER BY id;
SELECT schemaver.apply($$
	ALTER TYPE mood RENAME VALUE 'happy' TO 'high';
	ALTER TYPE mood RENAME VALUE 'blue' TO 'sad';
	ALTER TYPE mood ADD VALUE 'ecstatic';
	ALTER TYPE mood RENAME TO feeling;
	ALTER TABLE person RENAME m TO f;
	DROP FUNCTION sad;
$$, '2.0.0');
EXECUTE r1;
INSERT INTO person (id, name) VALUES (10, 'Hal') RETURNING *;
SELECT schemaver.register('1.0.0');
EXECUTE r;
INSERT INTO person (id, name) VALUES (11, 'Ida') RETURNING *;
SELECT schemaver.register('2.0.0');
SELECT id, f, ms FROM person ORDER BY id;
INSERT INTO person (id, name, f) VALUES (12, 'Jim', 'high') RETURNING *;
INSERT INTO person (id, name, f) VALUES (13, 'Kim', 'ecstatic') RETURNING *;
SELECT schemaver.register('1.0.0');
EXECUTE r;
SELECT schemaver.verify();

-- a label that is added by hand keeps its place, too
ALTER TYPE feeling ADD VALUE 'numb' BEFORE 'fair';
SELECT schemaver.register('2.0.0');
INSERT INTO person (id, name, f) VALUES (14, 'Len', 'numb'), (15, 'Lex', 'fair') RETURNING *;
SELECT schemaver.register('1.0.0');
SELECT id, m, enum_range(NULL::mood) FROM person WHERE id IN (14, 15) ORDER BY id;
DELETE FROM person WHERE id IN (14, 15);

-- back, and forward again
SELECT schemaver.rollback('1.0.0');
EXECUTE r;
EXECUTE w(20, 'Lou', 'sad');
SELECT schemaver.register('1.1.0');
EXECUTE r1;
SELECT schemaver.register('2.0.0');
SELECT id, f FROM person WHERE f = 'sad' ORDER BY id;
INSERT INTO person (id, name) VALUES (21, 'Max') RETURNING *;
SELECT schemaver.unregister();
SELECT id, m FROM person WHERE id > 10 ORDER BY id;
\d person
SELECT schemaver.verify();
SELECT schemaver.apply(:'script');
SELECT schemaver.apply(script, version) FROM schemaver.history
	WHERE version::text = '2.0.0' AND action = 'apply';
SELECT schemaver.register('1.1.0');
EXECUTE r1;
SELECT schemaver.register('1.0.0');
EXECUTE r;
SELECT schemaver.unregister();
SELECT schemaver.verify();

SELECT schemaver.retire('1.0.0');
SELECT schemaver.register('1.1.0');
EXECUTE r1;
SELECT schemaver.unregister();
SELECT schemaver.retire('1.1.0');
SELECT schemaver.verify();
\d person
SELECT pg_get_constraintdef(oid) FROM pg_constraint
WHERE conrelid = 'person'::regclass ORDER BY conname;
SELECT pg_get_indexdef(indexrelid) FROM pg_index
WHERE indrelid = 'person'::regclass ORDER BY indexrelid::regclass::text;
SELECT oid::regtype, obj_description(oid), enum_range(NULL::feeling)
FROM pg_type WHERE typname IN ('mood', 'feeling');
SELECT relname FROM pg_class
WHERE relnamespace = 'schemaver_retained'::regnamespace;

-- what stands in the way is dropped before, and made again after
CREATE TYPE kind AS ENUM ('a', 'b');
CREATE TABLE thing (id int, k kind);
CREATE VIEW things AS SELECT id, k FROM thing;
CREATE FUNCTION is_a(kind) RETURNS bool LANGUAGE sql AS $$SELECT $1 = 'a'$$;
CREATE DOMAIN a AS kind;
CREATE TABLE parts (k kind) PARTITION BY LIST (k);
INSERT INTO thing VALUES (1, 'a'), (2, 'b');
SELECT schemaver.apply('CREATE TABLE x ()', '2.0.1');
SELECT schemaver.register('2.0.1');
PREPARE t AS SELECT k, is_a(k) FROM things ORDER BY id;
EXECUTE t;
SELECT schemaver.apply('ALTER TYPE kind RENAME VALUE ''a'' TO ''c''');
SELECT schemaver.apply('DROP VIEW things; ALTER TYPE kind RENAME VALUE ''a'' TO ''c''');
SELECT schemaver.apply('DROP VIEW things; DROP FUNCTION is_a(kind); ALTER TYPE kind RENAME VALUE ''a'' TO ''c''');
SELECT schemaver.apply('DROP VIEW things; DROP FUNCTION is_a(kind); DROP DOMAIN a; ALTER TYPE kind RENAME VALUE ''a'' TO ''c''');
SELECT schemaver.apply($$
	DROP VIEW things;
	DROP FUNCTION is_a(kind);
	DROP DOMAIN a;
	DROP TABLE parts;
	CREATE TABLE fresh (k kind DEFAULT 'a', ks kind[]);
	INSERT INTO fresh VALUES ('a', '{a,b}');
	ALTER TYPE kind RENAME VALUE 'a' TO 'c';
	INSERT INTO fresh VALUES (DEFAULT, '{c}');
	CREATE VIEW things AS SELECT id, k FROM thing;
	CREATE FUNCTION is_a(kind) RETURNS bool LANGUAGE sql AS $f$SELECT $1 = 'c'$f$;
$$, '3.0.0');
EXECUTE t;
-- a literal might be of either type
SELECT is_a('a');
SELECT is_a('a'::kind);
SELECT schemaver.register('3.0.0');
SELECT k, is_a(k) FROM things ORDER BY id;
TABLE fresh;
SELECT schemaver.unregister();
SELECT schemaver.verify();

\c :home
DROP DATABASE sv_relabel;
DROP ROLE sv_relabel_app;
